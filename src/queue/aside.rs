//! Setting a damaged database aside, whole and for good: the file, its log and its index go
//! together into a directory of their own, `damaged-1` and on, which nothing here ever
//! deletes or writes over. Knows nothing of what is in them, nor of what comes after.
//!
//! The order, and what a power cut after each step leaves:
//!
//! 1. `moving-queue.db/` is made, with the note of what was found. From here on every start
//!    goes on with the moving before it opens or makes a database.
//! 2. The log, the database and the rest are renamed into it, in any order: what is still
//!    outside belongs to what is inside, since no fresh database is begun meanwhile.
//! 3. Once the renames are on the disk the directory gets its number. Only a cut after this
//!    lets a fresh database begin, and nothing of the old one lies beside it by then.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::QueueError;
use super::ballast::Ballast;
use crate::failpoint;

/// A directory with a database that was set aside, before its number.
const ASIDE: &str = "damaged-";
/// A directory into which one is being moved, before the database's name.
const MOVING: &str = "moving-";
/// What was found, for whoever looks into the directory.
const NOTE: &str = "found.txt";
/// What SQLite keeps beside a database, and the database itself. The log first: a database
/// without its log looks whole, a log without its database like what it is.
const ENDS: [&str; 4] = ["-wal", "", "-journal", "-shm"];

/// Sets the database in `file` aside, with a note of what was found; returns the directory
/// that it is in now. Nobody may have it open.
///
/// # Errors
/// Where it can't be moved; the next start goes on with it.
pub fn set_aside(file: &Path, note: &str) -> Result<PathBuf, QueueError> {
    let fail = |source| QueueError::SetAside { path: file.to_owned(), source };
    let (Some(dir), Some(name)) = (file.parent(), file.file_name().and_then(|n| n.to_str())) else {
        return Err(fail(ErrorKind::InvalidFilename.into()));
    };
    begin(dir, name, note).map_err(fail)?;
    failpoint::pass("aside_begun");
    finish(dir)?.ok_or_else(|| fail(ErrorKind::NotFound.into()))
}

/// Goes on with what a power cut has left half moved; returns where it is now, `None` where
/// there was nothing.
///
/// # Errors
/// Where it can't be moved; no database may be opened then.
pub fn finish(dir: &Path) -> Result<Option<PathBuf>, QueueError> {
    let Some(name) = names(dir).find_map(|n| n.strip_prefix(MOVING).map(str::to_owned)) else {
        return Ok(None);
    };
    let moved = go_on(dir, &name);
    moved.map(Some).map_err(|source| QueueError::SetAside { path: dir.join(name), source })
}

/// The directories of databases that were set aside, by their numbers.
pub fn all_aside(dir: &Path) -> Vec<PathBuf> {
    let mut numbers: Vec<u32> = names(dir).filter_map(|name| number(&name)).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|n| dir.join(format!("{ASIDE}{n}"))).collect()
}

fn begin(dir: &Path, name: &str, note: &str) -> io::Result<()> {
    let moving = dir.join(format!("{MOVING}{name}"));
    with_room(dir, || match fs::create_dir(&moving) {
        // Of a try before this one that came no further.
        Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    })?;
    let written = with_room(dir, || {
        let mut file = File::create(moving.join(NOTE))?;
        writeln!(file, "{name}: {note}")?;
        file.sync_all()
    });
    if let Err(err) = written {
        // The log says the same. The fresh queue is worth more than the note.
        warn!(%err, found = note, path = %moving.display(), "what was found can't be noted beside the damaged queue");
    }
    sync(&moving)?;
    sync(dir)
}

/// Gives the ballast up where a disk that is full is in the way: it is there for that.
fn with_room(dir: &Path, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match work() {
        Err(err) if matches!(err.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            Ballast::in_directory(dir).give_up()?;
            work()
        }
        done => done,
    }
}

fn go_on(dir: &Path, name: &str) -> io::Result<PathBuf> {
    let moving = dir.join(format!("{MOVING}{name}"));
    for end in ENDS {
        let part = format!("{name}{end}");
        with_room(dir, || match fs::rename(dir.join(&part), moving.join(&part)) {
            // Not there, or moved before the cut.
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
            moved => moved,
        })?;
        failpoint::pass("aside_moving");
    }
    sync(&moving)?;
    sync(dir)?;
    let last = names(dir).filter_map(|name| number(&name)).max().unwrap_or(0);
    let aside = dir.join(format!("{ASIDE}{}", last.saturating_add(1)));
    with_room(dir, || fs::rename(&moving, &aside))?;
    sync(dir)?;
    failpoint::pass("aside_done");
    Ok(aside)
}

fn names(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix(ASIDE)?.parse().ok()
}

/// A rename is on the disk once its directory is.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootId;
    use crate::queue::{FILE, Store};

    fn read(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    #[test]
    fn a_cut_at_any_step_of_the_moving_is_gone_on_with_before_a_fresh_one_begins() {
        for moved in 0..=ENDS.len() {
            let dir = tempfile::tempdir().unwrap();
            for end in ENDS {
                fs::write(dir.path().join(format!("{FILE}{end}")), format!("old{end}")).unwrap();
            }
            begin(dir.path(), FILE, "zeros").unwrap();
            for end in &ENDS[..moved] {
                let part = format!("{FILE}{end}");
                let inside = dir.path().join("moving-queue.db").join(&part);
                fs::rename(dir.path().join(&part), inside).unwrap();
            }
            // The power goes; the next start opens the queue.
            let queue = dir.path().join(FILE);
            drop(Store::open(&queue, &BootId("boot-1".to_owned())).unwrap());
            let aside = dir.path().join("damaged-1");
            for end in ENDS {
                let kept = read(&aside.join(format!("{FILE}{end}")));
                assert_eq!(kept, Some(format!("old{end}")), "{moved} were moved");
            }
            assert_eq!(read(&aside.join(NOTE)).unwrap(), "queue.db: zeros\n");
            assert!(queue.metadata().unwrap().len() > 0);
            assert!(finish(dir.path()).unwrap().is_none());
        }
    }

    #[test]
    fn a_try_that_came_no_further_than_the_directory_is_gone_on_with_and_its_note_is_not_needed() {
        let dir = tempfile::tempdir().unwrap();
        let queue = dir.path().join(FILE);
        fs::write(&queue, "zeros").unwrap();
        // The note's name is taken by what can't be written: as good as no room for it.
        let moving = dir.path().join("moving-queue.db");
        fs::create_dir_all(moving.join(NOTE)).unwrap();
        let aside = set_aside(&queue, "zeros").unwrap();
        assert_eq!(read(&aside.join(FILE)).as_deref(), Some("zeros"));
        assert!(!queue.exists());
    }

    #[test]
    fn a_second_one_is_kept_beside_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let queue = dir.path().join(FILE);
        for n in 1..=12 {
            fs::write(&queue, format!("{n}")).unwrap();
            let aside = set_aside(&queue, "zeros").unwrap();
            assert_eq!(aside, dir.path().join(format!("damaged-{n}")));
        }
        let all = all_aside(dir.path());
        assert_eq!(all.len(), 12);
        assert_eq!(read(&all[11].join(FILE)).as_deref(), Some("12"));
        assert_eq!(read(&all[0].join(FILE)).as_deref(), Some("1"));
    }
}
