//! Whether SQLite's log has lost more than a power cut can take. SQLite reads it up to the
//! first frame that doesn't fit and drops the rest without a word, so this looks first.
//! Knows the log's form, and neither pages nor what they hold.
//!
//! ```text
//! header, 32 bytes   magic  version  page size  checkpoint  salt 1, 2  checksum 1, 2
//! frame, 24 + page   page  pages after commit, or 0  salt 1, 2  checksum 1, 2 | page
//! ```
//!
//! Source: "Database File Format", 4 ("The Write-Ahead Log"), sqlite.org/fileformat2.html.
//! All numbers are big-endian; the magic's last bit says how the sums are added up. Each
//! frame's checksum goes on from that of the frame before it, as stored, so that frames can
//! be told from noise behind one that was damaged, too.
//!
//! Each commit is synced before the next begins, so that a power cut tears one transaction
//! at most: frames of one commit behind the first bad frame. Those of two are damage. What
//! can't be told from a torn transaction is damage to the last one, or to the end of the
//! last but one.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read};

const HEADER: usize = 32;
const FRAME: usize = 24;
/// The last bit is the byte order of the sums.
const MAGIC: u32 = 0x377f_0682;
/// What this program's databases have, where the header can't be read.
const PAGE: usize = 4096;

/// What was found behind the first frame that doesn't fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// That frame, from 1; 0 is the header.
    pub frame: u64,
    /// Commits behind it that SQLite would drop.
    pub commits: u64,
}

/// What a log comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Where it is damaged; `None` where it is whole, or torn as by a power cut.
    pub damage: Option<Damage>,
    /// Pages of the database after its last commit; 0 where it has none.
    pub pages: u32,
    /// Pages that are in it.
    pub holds: HashSet<u32>,
}

/// The two sums of a header or frame.
type Sums = (u32, u32);

#[derive(Clone, Copy)]
struct Header {
    big_endian: bool,
    page: usize,
    salts: Sums,
    sums: Sums,
}

/// Reads a log.
///
/// # Errors
/// Where it can't be read.
pub fn read(log: &mut impl Read) -> io::Result<Log> {
    let mut found = Log::default();
    let mut head = [0; HEADER];
    if !fill(log, &mut head)? {
        return Ok(found);
    }
    let header = Header::read(&head);
    let page = header.map_or(PAGE, |header| header.page);
    let mut frame = vec![0; FRAME + page];
    // Without a header each frame tells the next one's salts, and the sums are as this machine
    // adds them.
    let mut with = header;
    let mut bad = if header.is_some() { None } else { Some(0) };
    let (mut number, mut commits) = (0, 0);
    let mut uncommitted = Vec::new();
    while fill(log, &mut frame)? {
        number += 1;
        let stored = (word(&frame, 16), word(&frame, 20));
        let salts = (word(&frame, 8), word(&frame, 12));
        let Some(last) = with.as_mut() else {
            let big_endian = cfg!(target_endian = "big");
            with = Some(Header { big_endian, page, salts, sums: stored });
            continue;
        };
        let ours = last.salts == salts;
        let fits = ours && last.goes_on_with(&frame) == stored;
        last.sums = stored;
        if header.is_none() {
            last.salts = salts;
        }
        let first_bad = !fits && bad.is_none();
        if first_bad {
            bad = Some(number);
        }
        let commit = word(&frame, 4) != 0;
        if bad.is_none() {
            uncommitted.push(word(&frame, 0));
            if commit {
                found.pages = word(&frame, 4);
                found.holds.extend(uncommitted.drain(..));
            }
        }
        commits += u64::from(bad.is_some() && commit && (fits || (first_bad && ours)));
    }
    // A header is synced before its first frame.
    let torn_at_most = if header.is_some() { 1 } else { 0 };
    found.damage = bad.filter(|_| commits > torn_at_most).map(|frame| Damage { frame, commits });
    Ok(found)
}

impl Header {
    fn read(head: &[u8; HEADER]) -> Option<Self> {
        let magic = word(head, 0);
        let page = usize::try_from(word(head, 8)).ok()?;
        let header = Self {
            big_endian: magic & 1 == 1,
            page,
            salts: (word(head, 16), word(head, 20)),
            sums: (word(head, 24), word(head, 28)),
        };
        let sums = add((0, 0), &head[..24], header.big_endian);
        let sound = magic | 1 == MAGIC | 1
            && page.is_power_of_two()
            && (512..=65_536).contains(&page)
            && sums == header.sums;
        sound.then_some(header)
    }

    /// The sums of a frame that comes after this one.
    fn goes_on_with(&self, frame: &[u8]) -> Sums {
        let sums = add(self.sums, &frame[..8], self.big_endian);
        add(sums, &frame[FRAME..], self.big_endian)
    }
}

/// Adds bytes, eight at a time, to both sums.
fn add(sums: Sums, bytes: &[u8], big_endian: bool) -> Sums {
    let word = |four: &[u8]| {
        let four = [four[0], four[1], four[2], four[3]];
        if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    bytes.chunks_exact(8).fold(sums, |(one, two), eight| {
        let one = one.wrapping_add(word(&eight[..4])).wrapping_add(two);
        (one, two.wrapping_add(word(&eight[4..])).wrapping_add(one))
    })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Fills the buffer; `false` where the log ends before.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// A log of many small transactions, as SQLite writes it, and the frame that each ends
    /// with. `turns` checkpoints began it anew before.
    fn log(turns: usize) -> (Vec<u8>, Vec<usize>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        let db = Connection::open(&file).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE a (n, b)",
        )
        .unwrap();
        let many = |some: i64| {
            for n in 0..some {
                db.execute("INSERT INTO a VALUES (?1, zeroblob(700))", [n]).unwrap();
            }
        };
        for _ in 0..turns {
            many(60);
            db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        }
        many(20);
        let bytes = std::fs::read(dir.path().join("a.db-wal")).unwrap();
        let salts = bytes[16..24].to_vec();
        let frames = bytes[HEADER..].chunks_exact(FRAME + PAGE);
        let ends = frames
            .enumerate()
            .filter(|(_, f)| f[8..16] == salts && word(f, 4) != 0)
            .map(|(n, _)| n + 1)
            .collect();
        (bytes, ends)
    }

    fn damage(bytes: &[u8]) -> Option<Damage> {
        read(&mut &bytes[..]).unwrap().damage
    }

    #[test]
    fn a_log_that_sqlite_wrote_is_whole_also_over_the_frames_of_an_older_one() {
        for turns in 0..3 {
            let (bytes, ends) = log(turns);
            assert!(ends.len() >= 20);
            assert_eq!(damage(&bytes), None, "{turns} turns");
        }
        assert_eq!(damage(&[]), None);
        assert_eq!(damage(&[0; HEADER + FRAME + PAGE]), None);
    }

    #[test]
    fn a_log_that_was_cut_off_or_torn_in_its_last_transaction_is_no_damage() {
        let (bytes, ends) = log(0);
        for len in (0..bytes.len()).step_by(509) {
            assert_eq!(damage(&bytes[..len]), None, "cut at {len}");
        }
        let last_but_one = ends[ends.len() - 2];
        for at in (HEADER + last_but_one * (FRAME + PAGE)..bytes.len()).step_by(97) {
            let mut torn = bytes.clone();
            torn[at] ^= 0x10;
            assert_eq!(damage(&torn), None, "torn at {at}");
        }
    }

    #[test]
    fn a_byte_changed_anywhere_before_the_last_two_transactions_is_found_and_told_where() {
        for turns in [0, 1] {
            let (bytes, ends) = log(turns);
            let proven = HEADER + ends[ends.len() - 3] * (FRAME + PAGE);
            for at in (0..proven).step_by(61) {
                let mut changed = bytes.clone();
                changed[at] ^= 0x10;
                let found = damage(&changed).unwrap_or_else(|| panic!("not found at {at}"));
                let frame = at.checked_sub(HEADER).map_or(0, |at| 1 + at / (FRAME + PAGE));
                assert_eq!(found.frame, frame as u64, "changed at {at}");
                assert!(found.commits >= 2);
            }
        }
    }

    #[test]
    fn a_page_of_noise_over_the_header_or_in_the_middle_is_found() {
        let (bytes, ends) = log(1);
        let proven = HEADER + ends[ends.len() - 4] * (FRAME + PAGE);
        for at in (0..proven - PAGE).step_by(PAGE) {
            let mut changed = bytes.clone();
            changed[at..at + PAGE].fill(0x5a);
            assert!(damage(&changed).is_some(), "noise at {at}");
        }
    }
}
