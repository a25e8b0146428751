//! What is kept of a record in short against the same kept in full, in whatever order a list is.

use proptest::prelude::*;

use super::*;
use crate::reading::Seq;

/// 2026-11-01 01:30 in Chicago is 06:30Z and 07:30Z.
const FOLD_S: i64 = 1_793_514_600;

impl Look {
    /// Keeps every record of ours as it came.
    fn in_full(mut self) -> Self {
        self.brief = false;
        self
    }
}

/// Few values, so that they meet.
fn any_record() -> impl Strategy<Value = Stored> {
    let id = prop::option::of(prop::sample::select(vec!["a", "b", "c", "z"]));
    let serial = prop::option::of(prop::sample::select(vec!["AF1", " af1", "ZZ"]));
    let raw = prop::option::weighted(0.9, 5..7_i64);
    let when = ["06:30:00Z", "07:30:00Z", "01:30:00", "02:30:00", "03:30:00-04:00", "09:00:00Z"];
    let when = prop::option::weighted(0.9, prop::sample::select(when.to_vec()));
    let note = prop::sample::select(vec!["", "#ab3k9-1", "#ab3k9-2 gap", "#ab3k9-4", "#ab3k9-9"]);
    let job = prop::option::of(prop::sample::select(vec!["j", "k"]));
    (id, serial, raw, when, note, job).prop_map(|(id, serial, raw, when, note, job)| Stored {
        id: id.map(str::to_owned),
        serial: serial.map(str::to_owned),
        raw,
        when: when.and_then(|time| When::parse(&format!("2026-11-01T{time}"))),
        note: Some(note.to_owned()),
        job: job.map(str::to_owned),
        ..Stored::default()
    })
}

/// Readings of an hour that comes twice, the count at rest for most of it.
fn any_reading() -> impl Strategy<Value = Placed> {
    let id = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
    let serial = prop::sample::select(vec!["AF1", "AF1", "AF2"]);
    (id, serial, 0..3_i64, 5..7_i64, 0..2_i64, any::<bool>()).prop_map(
        |(id, serial, hours, raw, attempt, sent)| {
            let frozen = Frozen {
                seq: Seq(0),
                serial: serial.to_owned(),
                utc_s: FOLD_S + hours * 3600,
                raw,
                offset_min: -300 - 60 * i32::from(hours == 1),
                server_id: id.map(str::to_owned),
                attempt,
            };
            Placed { frozen, sent }
        },
    )
}

/// Of each reading whether it is there and whether another record may be it; and the extras.
type Says = (Vec<(Seq, bool, bool)>, (u64, Vec<Extra>));

fn says(mut look: Look, ours: &[Placed], list: &[Stored]) -> Says {
    ours.iter().for_each(|placed| look.add(placed));
    look.added();
    list.iter().for_each(|row| look.take(row.clone()));
    look.end();
    let each = look.each().map(|(at, of, there)| (of.seq, there, look.may_be(at, &of))).collect();
    (each, look.extras())
}

proptest! {
    #[test]
    fn a_record_that_is_kept_in_short_says_what_it_says_in_full(
        mut ours in prop::collection::vec(any_reading(), 0..6),
        list in prop::collection::vec(any_record(), 0..8),
        plain_is_utc in any::<bool>(),
        turn in any::<prop::sample::Index>(),
    ) {
        (1..).zip(&mut ours).for_each(|(seq, placed)| placed.frozen.seq = Seq(seq));
        let look = || {
            let zone = TimeZone::get("America/Chicago").unwrap();
            let how = Recogniser { zone, tag: "ab3k9".to_owned(), plain_is_utc, longest: 0 };
            Look::of_job(how, JobKey { event: "e".to_owned(), job: "j".to_owned() })
        };
        let short = says(look(), &ours, &list);
        prop_assert_eq!(&short, &says(look().in_full(), &ours, &list));
        let mut turned = list.clone();
        if !list.is_empty() {
            turned.rotate_left(turn.index(list.len()));
            turned.reverse();
        }
        prop_assert_eq!(&short, &says(look(), &ours, &turned), "in another order");
    }
}
