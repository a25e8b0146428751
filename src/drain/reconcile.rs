//! What the server's own list says about readings in doubt (RULES.md, 23), and of those it
//! has acknowledged (24). Pure: our frozen keys, the list's records one by one, and what must
//! be in the list for its silence to count.
//!
//! The server's id recognises what was acknowledged, but readings in doubt have none: they
//! are recognised by their note or by their key, or not at all. So a list proves absence
//! only if it shows that these can be recognised in it.
//!
//! What is kept of a list is what concerns our readings, so memory is bounded by them and
//! not by the list; and what comes of it doesn't depend on the order of its records.

mod check;
mod keyed;
mod look;
mod sought;

use jiff::tz::TimeZone;

use crate::delivery::Frozen;
use crate::reading::Seq;

pub use check::{Check, Checked};
pub use look::Look;

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
    /// How many records it has.
    pub rows: usize,
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
    /// A part of the batch is there, and what is absent isn't amid it.
    #[error("the list is as long as a page, and what is in doubt may be on another")]
    Page,
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
    /// An answer without an offset means UTC: a test record has shown it.
    pub plain_is_utc: bool,
    /// The longest list that this server has given so far: a shorter one is no page.
    pub longest: usize,
}

impl Recogniser {
    /// Looks in a list for `doubted`, and for `sent`, the newest acknowledged up to
    /// [`PROOF`], as proof that it is whole.
    pub fn look_for(&self, doubted: Vec<Frozen>, sent: Vec<Frozen>) -> Look {
        Look::new(self.clone(), &doubted, &sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobcloser::wire::{Stored, When, parse_list};
    use proptest::prelude::*;

    impl Recogniser {
        fn reconcile(&self, list: &[Stored], doubted: &[Frozen], sent: &[Frozen]) -> Findings {
            let mut look = self.look_for(doubted.to_vec(), sent.to_vec());
            list.iter().for_each(|row| look.take(row.clone()));
            look.findings()
        }
    }

    fn frozen(seq: i64, utc_s: i64, raw: i64) -> Frozen {
        Frozen {
            seq: Seq(seq),
            serial: "AF23265".to_owned(),
            utc_s,
            raw,
            offset_min: -300,
            server_id: None,
            attempt: 1,
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
        Recogniser {
            zone: TimeZone::get("America/Chicago").unwrap(),
            tag: "ab3k9".to_owned(),
            plain_is_utc: false,
            longest: 0,
        }
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
    fn a_plain_date_is_utc_where_a_test_record_has_shown_it_and_then_nothing_else() {
        let utc = Recogniser { plain_is_utc: true, ..ours() };
        let doubted = [frozen(7, NOON_S, 200)];
        let present = |who: &Recogniser, date: &str| {
            who.reconcile(&list(&row("x1", date, 200, "")), &doubted, &[]).present.len()
        };
        assert_eq!(present(&utc, "2027-05-02T10:16:42"), 1);
        assert_eq!(present(&ours(), "2027-05-02T10:16:42"), 0);
        assert_eq!(present(&utc, "2027-05-02T05:16:42"), 0);
        assert_eq!(present(&utc, "2027-05-02T05:16:42-05:00"), 1);
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
    fn a_list_as_long_as_a_page_proves_nothing_about_what_another_page_may_have() {
        let at = |n: i64| frozen(n, NOON_S + n, 100 + n);
        let there = |range: std::ops::Range<i64>| -> Vec<Stored> {
            let stored = |n| Stored {
                serial: Some("AF23265".to_owned()),
                raw: Some(100 + n),
                when: Some(When::Instant(NOON_S + n)),
                ..Stored::default()
            };
            range.map(stored).collect()
        };
        // The first batch of a job, 12 of it: the first ten are shown.
        let first: Vec<Frozen> = (0..12).map(at).collect();
        let found = ours().reconcile(&there(0..10), &first, &[]);
        assert_eq!((found.present.len(), found.flaw), (10, Some(Flaw::Page)));
        assert_eq!(ours().reconcile(&there(0..9), &first, &[]).flaw, None, "no page is that short");
        // A server that has given a longer list has no page of ten.
        let known = Recogniser { longest: 11, ..ours() };
        assert_eq!(known.reconcile(&there(0..10), &first, &[]).flaw, None);
        // What is amid those that are there isn't cut off.
        let gone: Vec<Stored> = there(0..11).into_iter().filter(|r| r.raw != Some(104)).collect();
        assert_eq!(ours().reconcile(&gone, &first[..11], &[]).flaw, None);
        // Nor once what was shown of it is acknowledged.
        let acknowledged: Vec<Frozen> = (0..10).map(at).collect();
        let rest = [at(10), at(11)];
        let found = ours().reconcile(&there(0..10), &rest, &acknowledged);
        assert_eq!(found.flaw, Some(Flaw::Page));
        // Batches are round numbers too: one of which nothing is there got lost on the way.
        let lost = rest.map(|reading| Frozen { attempt: 2, ..reading });
        assert_eq!(ours().reconcile(&there(0..10), &lost, &acknowledged).flaw, None);
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

    #[test]
    fn a_record_that_fits_two_readings_is_left_to_the_one_that_has_no_other() {
        // 2026-11-01 01:30 in Chicago is 06:30Z and 07:30Z.
        let fold = 1_793_514_600;
        let either = row("x1", "2026-11-01T01:30:00", 5, "");
        let first = row("x2", "2026-11-01T06:30:00Z", 5, "");
        let both = [frozen(1, fold, 5), frozen(2, fold + 3600, 5)];
        for there in [format!("{either},{first}"), format!("{first},{either}")] {
            let found = ours().reconcile(&list(&there), &both, &[]);
            let ids = [(Seq(1), Some("x2".to_owned())), (Seq(2), Some("x1".to_owned()))];
            assert_eq!(found.present, ids, "{there}");
        }
    }

    /// Records that are like ours in some way: few values, so that they meet.
    fn any_row() -> impl Strategy<Value = String> {
        let fold = [
            "2026-11-01T01:30:00",
            "2026-11-01T06:30:00Z",
            "2026-11-01T07:30:00Z",
            "2026-11-01T02:30:00-04:00",
            "2026-11-01T09:00:00Z",
            "soon",
        ];
        let id = prop::sample::select(vec!["a", "b", "c", "d"]);
        let serial = prop::sample::select(vec!["AF23265", "af23265 ", "ZZ1"]);
        let note = prop::sample::select(vec!["", "#ab3k9-1", "#ab3k9-2 gap", "#ab3k9-9", "wind"]);
        (id, prop::sample::select(fold.to_vec()), serial, 5_i64..7, note).prop_map(
            |(id, date, serial, raw, note)| {
                format!(
                    r#"{{"Id":"{id}","ApplicationDate":"{date}","MeterSerialNumber":"{serial}","MeterRawCount":{raw},"Note":"{note}"}}"#
                )
            },
        )
    }

    proptest! {
        #[test]
        fn the_order_of_a_list_says_nothing(
            rows in prop::collection::vec(any_row(), 0..7),
            turn in any::<prop::sample::Index>(),
            swap in any::<(prop::sample::Index, prop::sample::Index)>(),
            with_ids in any::<bool>(),
        ) {
            let fold = 1_793_514_600;
            let id = |id: &str| with_ids.then(|| id.to_owned());
            let sent = [
                Frozen { server_id: id("a"), ..frozen(1, fold, 5) },
                Frozen { server_id: id("b"), ..frozen(2, fold + 3600, 5) },
            ];
            let doubted = [frozen(3, fold + 7200, 5), frozen(4, fold, 6), frozen(9, fold + 3600, 6)];
            let there = list(&rows.join(","));
            let found = ours().reconcile(&there, &doubted, &sent);
            let mut other = there;
            if !other.is_empty() {
                let many = other.len();
                other.swap(swap.0.index(many), swap.1.index(many));
                other.rotate_left(turn.index(many));
                other.reverse();
            }
            prop_assert_eq!(found, ours().reconcile(&other, &doubted, &sent));
        }
    }
}
