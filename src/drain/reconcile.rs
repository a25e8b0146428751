//! What the server's own list says about readings in doubt (RULES.md, 23). Pure: a list,
//! our frozen keys, and what must be in the list for its silence to count.
//!
//! The server's id recognises what was acknowledged, but readings in doubt have none: they
//! are recognised by their note or by their key, or not at all. So a list proves absence
//! only if it shows that these can be recognised in it.

use std::collections::{BTreeSet, HashMap};

use jiff::tz::{Offset, TimeZone};

use crate::delivery::Frozen;
use crate::jobcloser::note;
use crate::jobcloser::wire::{Stored, When};
use crate::reading::Seq;

/// So many acknowledged records, the newest, must be in a list before its silence is
/// believed.
pub const PROOF: usize = 20;

/// What a list proves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// There, with the server's id.
    pub present: Vec<(Seq, Option<String>)>,
    /// Not there.
    pub absent: Vec<Seq>,
    /// Why absence is not believed; `None` where it is.
    pub flaw: Option<Flaw>,
    /// Whether it has no record at all: so may the list be that a server gives to one
    /// whose session has ended.
    pub empty: bool,
}

/// Why what a list lacks may be stored all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Then it may lack others too.
    #[error("the list lacks acknowledged records")]
    Lacks,
    /// They are there by the server's id, and neither note nor key is what was sent: those
    /// in doubt couldn't be recognised either.
    #[error(
        "no acknowledged record in the list has the note, or meter, time and count, it was sent with"
    )]
    Altered,
    /// It may be one that is in doubt.
    #[error("a record in the list has no readable meter, time or count")]
    Unreadable,
    /// Two parts of its key are those of one in doubt. The third may be the server's doing:
    /// a time that it rounds or moves, a serial number that it shortens.
    #[error("a record in the list is like one in doubt, but for its time or meter")]
    Alike,
}

/// How records are recognised.
#[derive(Debug, Clone)]
pub struct Recogniser {
    /// The rig's zone, for answers without an offset.
    pub zone: TimeZone,
    /// This database's tag, for answers with notes.
    pub tag: String,
}

/// A list by what its records are recognised by. Each record proves one reading at most:
/// what is taken off here is used up.
struct Unclaimed<'a> {
    rows: &'a [Stored],
    left: BTreeSet<usize>,
    by_id: HashMap<&'a str, Vec<usize>>,
    by_note: HashMap<Seq, Vec<usize>>,
    /// By count, of those without a note of ours.
    by_raw: HashMap<i64, Vec<usize>>,
}

impl Recogniser {
    /// Looks for `doubted` in `list`, and for `sent`, the newest acknowledged up to
    /// [`PROOF`], as proof that it is whole.
    pub fn reconcile(&self, list: &[Stored], doubted: &[Frozen], sent: &[Frozen]) -> Findings {
        let mut rows = Unclaimed::new(list, &self.tag);
        let mut findings = Findings { empty: list.is_empty(), ..Findings::default() };
        // Ids first: what they claim is nobody else's, however alike it is.
        let by_id: Vec<_> =
            sent.iter().map(|s| s.server_id.as_deref().and_then(|id| rows.take_id(id))).collect();
        let (mut known, mut recognised) = (0, 0);
        for (reading, by_id) in sent.iter().zip(by_id) {
            let told = match by_id {
                Some(row) => self.is(row, reading),
                None => self.take(&mut rows, reading).is_some(),
            };
            known += usize::from(by_id.is_some() || told);
            recognised += usize::from(told);
        }
        let mut absent = Vec::new();
        for reading in doubted {
            match self.take(&mut rows, reading) {
                Some(stored) => findings.present.push((reading.seq, stored.id.clone())),
                None => absent.push(reading),
            }
        }
        findings.absent = absent.iter().map(|reading| reading.seq).collect();
        findings.flaw = if known < sent.len() {
            Some(Flaw::Lacks)
        } else if recognised == 0 && !sent.is_empty() {
            Some(Flaw::Altered)
        } else {
            // With fewer, all that was ever acknowledged is used up by now. With so many
            // there may be older ones, at rest with the same count; but where all of them
            // are recognised the server leaves keys as they are.
            let kept = recognised > 0 && recognised == sent.len();
            let proven = kept && sent.len() >= PROOF;
            self.suspect(&rows, &absent, kept, proven)
        };
        findings
    }

    /// Takes off the record that a reading is, by its note, else by its key.
    fn take<'a>(&self, rows: &mut Unclaimed<'a>, reading: &Frozen) -> Option<&'a Stored> {
        rows.take_note(reading.seq)
            .or_else(|| rows.take_raw(reading.raw, |row| self.is_key(row, reading)))
    }

    /// A note with one of our ids decides; else the key: serial number, second and count.
    fn is(&self, stored: &Stored, reading: &Frozen) -> bool {
        match our_note(stored, &self.tag) {
            Some(seq) => seq == reading.seq,
            None => stored.raw == Some(reading.raw) && self.is_key(stored, reading),
        }
    }

    /// The key, but for the count.
    fn is_key(&self, stored: &Stored, reading: &Frozen) -> bool {
        is_meter(stored, reading) == Some(true) && self.is_time(stored, reading)
    }

    /// What is wrong with the records that are nobody's, while `absent` are looked for.
    /// `kept`: the server is seen to keep keys as they are; `proven`: all the newest are there.
    fn suspect(
        &self,
        rows: &Unclaimed<'_>,
        absent: &[&Frozen],
        kept: bool,
        proven: bool,
    ) -> Option<Flaw> {
        let mut by_raw: HashMap<i64, Vec<&Frozen>> = HashMap::new();
        for reading in absent {
            by_raw.entry(reading.raw).or_default().push(reading);
        }
        let anonymous = |row: &&Stored| our_note(row, &self.tag).is_none();
        rows.left().filter(anonymous).find_map(|row| {
            let readable = row.serial.is_some() && row.raw.is_some() && row.when.is_some();
            if !readable {
                // One that names another meter is that meter's.
                let ours = absent.iter().any(|r| is_meter(row, r) != Some(false));
                // Where ours come back readable, this is a person's own record.
                return (ours && !kept).then_some(Flaw::Unreadable);
            }
            let like = row.raw.and_then(|raw| by_raw.get(&raw)).into_iter().flatten();
            let mut like = like.filter(|r| is_meter(row, r) == Some(true) || self.is_time(row, r));
            (!proven && like.next().is_some()).then_some(Flaw::Alike)
        })
    }

    /// Without an offset, the answer means the zone that the record was written in, which
    /// may not be the one that is configured now.
    fn is_time(&self, stored: &Stored, reading: &Frozen) -> bool {
        let written = Offset::from_seconds(reading.offset_min.saturating_mul(60));
        let is = |when: When| {
            when.is(reading.utc_s, &self.zone)
                || written.is_ok_and(|offset| when.is(reading.utc_s, &TimeZone::fixed(offset)))
        };
        stored.when.is_some_and(is)
    }
}

fn our_note(stored: &Stored, tag: &str) -> Option<Seq> {
    stored.note.as_deref().and_then(|n| note::id_in(n, tag))
}

/// Whether a record names the reading's meter; `None` where it names none. A database may
/// pad what it stores, or change its case.
fn is_meter(stored: &Stored, reading: &Frozen) -> Option<bool> {
    let serial = stored.serial.as_deref()?;
    Some(serial.trim().eq_ignore_ascii_case(reading.serial.trim()))
}

impl<'a> Unclaimed<'a> {
    fn new(rows: &'a [Stored], tag: &str) -> Self {
        let mut index = Self {
            rows,
            left: (0..rows.len()).collect(),
            by_id: HashMap::new(),
            by_note: HashMap::new(),
            by_raw: HashMap::new(),
        };
        for (at, row) in rows.iter().enumerate() {
            if let Some(id) = row.id.as_deref() {
                index.by_id.entry(id).or_default().push(at);
            }
            match (our_note(row, tag), row.raw) {
                (Some(seq), _) => index.by_note.entry(seq).or_default().push(at),
                (None, Some(raw)) => index.by_raw.entry(raw).or_default().push(at),
                (None, None) => {}
            }
        }
        index
    }

    fn left(&self) -> impl Iterator<Item = &'a Stored> {
        self.left.iter().filter_map(|at| self.rows.get(*at))
    }

    fn take_id(&mut self, id: &str) -> Option<&'a Stored> {
        let found = first(self.by_id.get(id), &self.left, |_| true);
        self.claim(found)
    }

    fn take_note(&mut self, seq: Seq) -> Option<&'a Stored> {
        let found = first(self.by_note.get(&seq), &self.left, |_| true);
        self.claim(found)
    }

    fn take_raw(&mut self, raw: i64, is: impl Fn(&Stored) -> bool) -> Option<&'a Stored> {
        let rows = self.rows;
        let fits = |at: usize| rows.get(at).is_some_and(&is);
        let found = first(self.by_raw.get(&raw), &self.left, fits);
        self.claim(found)
    }

    fn claim(&mut self, at: Option<usize>) -> Option<&'a Stored> {
        let at = at?;
        self.left.remove(&at);
        self.rows.get(at)
    }
}

/// The first of these that is left and fits.
fn first(
    among: Option<&Vec<usize>>,
    left: &BTreeSet<usize>,
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    among?.iter().copied().find(|at| left.contains(at) && fits(*at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobcloser::wire::parse_list;

    fn frozen(seq: i64, utc_s: i64, raw: i64) -> Frozen {
        Frozen {
            seq: Seq(seq),
            serial: "AF23265".to_owned(),
            utc_s,
            raw,
            offset_min: -300,
            server_id: None,
        }
    }

    fn list(rows: &str) -> Vec<Stored> {
        parse_list(format!(r#"{{"Success":true,"Message":"Sucess","Result":[{rows}]}}"#).as_bytes())
            .unwrap()
    }

    fn row(id: &str, date: &str, raw: i64, note: &str) -> String {
        format!(
            r#"{{"Id":"{id}","ApplicationDate":"{date}","MeterSerialNumber":"AF23265","MeterRawCount":{raw}{note}}}"#
        )
    }

    fn ours() -> Recogniser {
        Recogniser { zone: TimeZone::get("America/Chicago").unwrap(), tag: "ab3k9".to_owned() }
    }

    /// 2027-05-02T10:16:42Z.
    const NOON_S: i64 = 1_809_253_002;

    #[test]
    fn keys_are_compared_as_instants_and_integers() {
        for date in [
            "2027-05-02T05:16:42-05:00",
            "2027-05-02T10:16:42Z",
            "2027-05-02T12:16:42+02:00",
            "2027-05-02T05:16:42",
        ] {
            let list = list(&row("x1", date, 200, ""));
            let found = ours().reconcile(&list, &[frozen(7, NOON_S, 200)], &[]);
            assert_eq!(found.present, [(Seq(7), Some("x1".to_owned()))], "{date}");
        }
    }

    #[test]
    fn another_second_count_or_meter_is_another_record() {
        let there = list(&row("x1", "2027-05-02T10:16:43Z", 200, ""));
        assert_eq!(ours().reconcile(&there, &[frozen(7, NOON_S, 200)], &[]).absent, [Seq(7)]);
        let there = list(&row("x1", "2027-05-02T10:16:42Z", 201, ""));
        assert_eq!(ours().reconcile(&there, &[frozen(7, NOON_S, 200)], &[]).absent, [Seq(7)]);
        let other = Frozen { serial: "ZZ1".to_owned(), ..frozen(7, NOON_S, 201) };
        assert_eq!(ours().reconcile(&there, &[other], &[]).absent, [Seq(7)]);
    }

    #[test]
    fn a_local_time_that_occurs_twice_is_either_of_the_two() {
        // 2026-11-01 01:30 in Chicago is 06:30Z and 07:30Z.
        let fold = 1_793_514_600;
        let list = list(&row("x1", "2026-11-01T01:30:00", 5, ""));
        for utc_s in [fold, fold + 3600] {
            assert_eq!(ours().reconcile(&list, &[frozen(1, utc_s, 5)], &[]).present.len(), 1);
        }
        assert_eq!(ours().reconcile(&list, &[frozen(1, fold + 7200, 5)], &[]).present.len(), 0);
    }

    #[test]
    fn a_note_with_our_id_decides_where_notes_come_back() {
        let note = r##","Note":"#ab3k9-7 start""##;
        let list = list(&row("x1", "2027-05-02T10:16:42Z", 200, note));
        assert_eq!(ours().reconcile(&list, &[frozen(7, 1, 1)], &[]).present.len(), 1);
        assert_eq!(ours().reconcile(&list, &[frozen(8, NOON_S, 200)], &[]).absent, [Seq(8)]);
    }

    #[test]
    fn a_list_without_what_was_acknowledged_is_not_whole() {
        let list = list(&row("x1", "2027-05-02T10:16:42Z", 200, ""));
        let doubted = [frozen(7, NOON_S + 5, 300)];
        let flaw = |list: &[Stored], sent| ours().reconcile(list, &doubted, &[sent]).flaw;
        assert_eq!(flaw(&list, frozen(6, NOON_S, 200)), None);
        assert_eq!(flaw(&list, frozen(5, NOON_S - 5, 100)), Some(Flaw::Lacks));
        assert_eq!(flaw(&[], frozen(6, NOON_S, 200)), Some(Flaw::Lacks));
    }

    #[test]
    fn a_time_zone_that_is_corrected_does_not_hide_what_was_sent() {
        let list = list(&row("x1", "2027-05-02T05:16:42", 200, ""));
        let corrected = Recogniser { zone: TimeZone::get("America/New_York").unwrap(), ..ours() };
        let found = corrected.reconcile(&list, &[frozen(7, NOON_S, 200)], &[]);
        assert_eq!(found.present.len(), 1);
    }

    fn with_id(id: &str, sent: Frozen) -> Frozen {
        Frozen { server_id: Some(id.to_owned()), ..sent }
    }

    /// The newest twenty, a second apart from `NOON_S` on, as the server shows them.
    fn twenty() -> (Vec<String>, Vec<Frozen>) {
        let rows = (0..20)
            .map(|n| row(&format!("s{n}"), &format!("2027-05-02T10:16:{}Z", 42 + n), 200, ""));
        let sent = (0..20).map(|n| with_id(&format!("s{n}"), frozen(n + 1, NOON_S + n, 200)));
        // The minute ends before the twenty do.
        let rows = rows.map(|r| r.replace("10:16:60", "10:17:00").replace("10:16:61", "10:17:01"));
        (rows.collect(), sent.collect())
    }

    #[test]
    fn an_acknowledged_record_is_known_by_the_servers_id_even_after_it_was_edited() {
        let edited = row("x1", "2027-05-02T10:16:42Z", 999, "");
        let other = row("x2", "2027-05-02T10:16:43Z", 300, "");
        let list = list(&format!("{edited},{other}"));
        let sent = [with_id("x1", frozen(6, NOON_S, 200)), frozen(7, NOON_S + 1, 300)];
        let found = ours().reconcile(&list, &[frozen(8, NOON_S + 5, 400)], &sent);
        assert_eq!((found.flaw, found.absent), (None, vec![Seq(8)]));
    }

    #[test]
    fn absence_is_not_believed_where_acknowledged_records_are_known_by_the_servers_id_alone() {
        // The server gives neither notes nor offsets, and shows the time of its own zone. The
        // record in doubt is there.
        let ours_there = row("x1", "2027-05-02T20:16:42", 200, "");
        let doubted_there = row("x2", "2027-05-02T20:16:47", 300, "");
        let list = list(&format!("{ours_there},{doubted_there}"));
        let sent = [with_id("x1", frozen(6, NOON_S, 200))];
        let found = ours().reconcile(&list, &[frozen(7, NOON_S + 5, 300)], &sent);
        assert_eq!((found.present.len(), found.flaw), (0, Some(Flaw::Altered)));
    }

    #[test]
    fn in_the_first_batch_of_a_job_a_record_without_a_readable_key_may_be_the_one_in_doubt() {
        let whole = row("x1", "2027-05-02T10:16:42Z", 200, "");
        for (what, lost) in
            [("ApplicationDate", "Date"), ("MeterSerialNumber", "Serial"), ("MeterRawCount", "Raw")]
        {
            let list = list(&whole.replace(what, lost));
            let found = ours().reconcile(&list, &[frozen(7, NOON_S, 200)], &[]);
            assert_eq!((found.present.len(), found.flaw), (0, Some(Flaw::Unreadable)), "{what}");
        }
        // Another meter's is none of ours, and a note of ours says whose it is.
        let other = whole.replace("AF23265", "ZZ1").replace("MeterRawCount", "Raw");
        let noted = row("x1", "soon", 1, r##","Note":"#ab3k9-6""##);
        for there in [other, noted] {
            let found = ours().reconcile(&list(&there), &[frozen(7, NOON_S, 200)], &[]);
            assert_eq!((found.absent, found.flaw), (vec![Seq(7)], None), "{there}");
        }
    }

    #[test]
    fn a_record_like_one_in_doubt_but_for_its_time_or_meter_may_be_that_one() {
        let rounded = row("x1", "2027-05-02T10:17:00Z", 200, "");
        let shortened = row("x1", "2027-05-02T10:16:42Z", 200, "").replace("AF23265", "F23265");
        let at_eight = row("x0", "2027-05-02T08:00:00Z", 7, "");
        for there in [&rounded, &shortened] {
            let list = list(&format!("{at_eight},{there}"));
            // At eight sharp rounding changed nothing.
            let sent = [frozen(6, 1_809_244_800, 7)];
            for sent in [&sent[..], &[]] {
                let found = ours().reconcile(&list, &[frozen(7, NOON_S, 200)], sent);
                assert_eq!(found.flaw, Some(Flaw::Alike), "{there}");
            }
        }
    }

    #[test]
    fn older_records_at_rest_do_not_keep_one_in_doubt_where_twenty_are_recognised() {
        let (mut rows, mut sent) = twenty();
        rows.push(row("old", "2027-05-02T09:00:00Z", 200, ""));
        let there = list(&rows.join(","));
        let doubted = [frozen(30, NOON_S + 60, 200)];
        let found = ours().reconcile(&there, &doubted, &sent);
        assert_eq!((found.absent, found.flaw), (vec![Seq(30)], None));
        // One of them was moved: then so may the one in doubt have been.
        sent[3].utc_s -= 3600;
        assert_eq!(ours().reconcile(&there, &doubted, &sent).flaw, Some(Flaw::Alike));
    }

    #[test]
    fn a_record_proves_one_reading_and_no_other() {
        // 2026-11-01 01:30 in Chicago is 06:30Z and 07:30Z; the rig stood, the count too.
        let fold = 1_793_514_600;
        let first = row("x1", "2026-11-01T01:30:00", 5, "");
        let (sent, doubted) = ([with_id("x1", frozen(1, fold, 5))], [frozen(2, fold + 3600, 5)]);
        let found = ours().reconcile(&list(&first), &doubted, &sent);
        assert_eq!((found.absent, found.flaw), (vec![Seq(2)], None), "taken for the acknowledged");
        let second = row("x2", "2026-11-01T01:30:00", 5, "");
        let found = ours().reconcile(&list(&format!("{second},{first}")), &doubted, &sent);
        assert_eq!(found.present, [(Seq(2), Some("x2".to_owned()))]);
        let both = [frozen(1, fold, 5), frozen(2, fold + 3600, 5)];
        assert_eq!(ours().reconcile(&list(&first), &both, &[]).present.len(), 1);
    }

    #[test]
    fn a_serial_number_may_come_back_padded_or_in_another_case() {
        let there = row("x1", "2027-05-02T10:16:42Z", 200, "").replace("AF23265", "af23265  ");
        assert_eq!(
            ours().reconcile(&list(&there), &[frozen(7, NOON_S, 200)], &[]).present.len(),
            1
        );
    }

    #[test]
    fn a_seasons_list_is_gone_through_once() {
        let stored: Vec<Stored> = (0..200_000)
            .map(|n| Stored {
                serial: Some("AF23265".to_owned()),
                raw: Some(n),
                when: Some(When::Instant(NOON_S + n)),
                ..Stored::default()
            })
            .collect();
        let doubted: Vec<Frozen> =
            (0..20_000).map(|n| frozen(n, NOON_S + n * 10, n * 10)).collect();
        let begun = std::time::Instant::now();
        assert_eq!(ours().reconcile(&stored, &doubted, &[]).present.len(), 20_000);
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}
