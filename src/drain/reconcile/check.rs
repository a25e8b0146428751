//! A job set beside the whole of its list (RULES.md, 24): what of it the server lacks, and
//! which records there are nobody's.
//!
//! A list may be cut (a server that answers a page at a time) or behind (one that reads from
//! a copy), and what is sent again because of it is there twice. So a reading is *lost* only
//! where the list shows what was sent before and after it and what was sprayed before and
//! after it: no cut and no delay leaves out the middle. At the end of the job nothing comes
//! after it; there its own batch must be in the list but for it, and the list must not be of
//! a length that pages have. All others that aren't there are *missing*: shown, and not sent
//! again.

use std::collections::HashSet;

use super::sought::Reading;
use super::{Look, Recogniser};
use crate::delivery::{JobKey, Placed};
use crate::reading::Seq;
use crate::verified::Extra;

/// No server gives fewer records to a page.
const PAGE_MIN: usize = 10;

/// A look through a job's list.
#[derive(Debug)]
pub struct Check {
    look: Look,
    rows: usize,
    longest: usize,
}

/// What one list says of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Not there, though what was sent and sprayed around it is.
    pub lost: Vec<Seq>,
    /// Not there, and the list may not be whole.
    pub missing: Vec<Seq>,
    /// Of those missing, what may be sent again where an operator says so: the list has others
    /// of the job, isn't of a length that pages have, and has no record that may be it.
    pub gone: Vec<Seq>,
    /// Records of our meters or with our tag that are none of our readings, or are one again.
    pub extras: u64,
    /// Some of them.
    pub named: Vec<Extra>,
    /// How many records the list has.
    pub rows: usize,
}

impl Recogniser {
    /// Looks for all of a job that was ever sent: what [`Check::add`] is told of it.
    pub fn check(&self, key: JobKey) -> Check {
        Check { look: Look::of_job(self.clone(), key), rows: 0, longest: self.longest }
    }
}

impl Check {
    /// More that was sent of the job, in any order: before the first record of its list.
    pub fn add(&mut self, placed: &[Placed]) {
        placed.iter().for_each(|placed| self.look.add(placed));
    }

    /// That was all.
    #[must_use]
    pub fn added(mut self) -> Self {
        self.look.added();
        self
    }

    /// The next record of the list.
    pub fn take(&mut self, row: crate::jobcloser::wire::Stored) {
        self.rows += 1;
        self.look.take(row);
    }

    /// The list is at its end: what it says.
    pub fn checked(mut self) -> Checked {
        self.look.end();
        let place = |of: &Reading| (of.attempt, of.seq);
        let (mut sent, mut sprayed) = (None, None);
        let mut attempts = HashSet::new();
        for (_, of, _) in self.look.each().filter(|(.., there)| *there) {
            widen(&mut sent, place(&of));
            widen(&mut sprayed, of.utc_s);
            attempts.insert(of.attempt);
        }
        let page = is_page(self.rows) && self.rows >= self.longest;
        let whole = sent.is_some() && !page;
        let mut checked = Checked { rows: self.rows, ..Checked::default() };
        for (at, of, _) in self.look.each().filter(|(_, of, there)| !there && of.sent) {
            let amid = is_amid(sent, place(&of)) && is_amid(sprayed, of.utc_s);
            let all_but_it = attempts.contains(&of.attempt) && whole;
            let like = self.look.may_be(at, &of);
            if (amid || all_but_it) && !like {
                checked.lost.push(of.seq);
                continue;
            }
            checked.missing.push(of.seq);
            if whole && !like {
                checked.gone.push(of.seq);
            }
        }
        (checked.extras, checked.named) = self.look.extras();
        checked
    }
}

/// Takes `one` into what reaches from the first to the last.
fn widen<T: Ord + Copy>(reach: &mut Option<(T, T)>, one: T) {
    let (first, last) = reach.unwrap_or((one, one));
    *reach = Some((first.min(one), last.max(one)));
}

fn is_amid<T: Ord>(reach: Option<(T, T)>, one: T) -> bool {
    reach.is_some_and(|(first, last)| first < one && one < last)
}

/// Whether a list of so many may be one page of several: pages are round numbers, in tens or
/// in twos.
fn is_page(records: usize) -> bool {
    records >= PAGE_MIN && (records.is_multiple_of(5) || records.is_power_of_two())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::delivery::Frozen;
    use crate::jobcloser::wire::{Stored, When};

    /// Batches of four, a reading a second.
    fn placed(many: i64) -> Vec<Placed> {
        (0..many)
            .map(|n| Placed {
                frozen: Frozen {
                    seq: Seq(n),
                    serial: "AF1".to_owned(),
                    utc_s: 1000 + n,
                    raw: n * 10,
                    offset_min: 0,
                    server_id: None,
                    attempt: n / 4,
                },
                sent: true,
            })
            .collect()
    }

    fn row(n: i64) -> Stored {
        Stored {
            id: Some(format!("x{n}")),
            serial: Some("AF1".to_owned()),
            raw: Some(n * 10),
            when: Some(When::Instant(1000 + n)),
            ..Stored::default()
        }
    }

    fn checked(many: i64, rows: impl IntoIterator<Item = Stored>) -> Checked {
        let key = JobKey { event: "e".to_owned(), job: "j".to_owned() };
        let how = Recogniser {
            zone: TimeZone::UTC,
            tag: "ab3k9".to_owned(),
            plain_is_utc: false,
            longest: 0,
        };
        let mut check = how.check(key);
        check.add(&placed(many));
        let mut check = check.added();
        rows.into_iter().for_each(|row| check.take(row));
        check.checked()
    }

    #[test]
    fn a_record_that_is_not_there_amid_others_is_lost() {
        let lacks = |gone: i64| checked(12, (0..12).filter(|n| *n != gone).map(row));
        for gone in 0..12 {
            let expected = Checked { lost: vec![Seq(gone)], rows: 11, ..Checked::default() };
            assert_eq!(lacks(gone), expected);
        }
        assert_eq!(checked(12, (0..12).map(row)), Checked { rows: 12, ..Checked::default() });
    }

    #[test]
    fn a_list_that_is_cut_or_behind_loses_nothing() {
        let seqs = |range: std::ops::Range<i64>| range.map(Seq).collect::<Vec<_>>();
        for (there, gone) in [(0..10, 10..23), (13..23, 0..13), (0..16, 16..23), (0..0, 0..23)] {
            let found = checked(23, there.map(row));
            assert_eq!((found.lost, found.missing), (vec![], seqs(gone)));
        }
        // Behind by a batch.
        let found = checked(16, (0..12).map(row));
        assert_eq!((found.lost, found.missing), (vec![], seqs(12..16)));
    }

    #[test]
    fn only_what_a_list_of_no_pages_length_lacks_may_be_sent_again_by_hand() {
        // The last batch is gone, and the list is as long as a page, or isn't.
        assert_eq!(checked(20, (0..16).map(row)).gone, []);
        let gone: Vec<Seq> = (12..16).map(Seq).collect();
        assert_eq!(checked(16, (0..12).map(row)).gone, gone);
        assert_eq!(checked(16, []).gone, [], "a list of nothing proves nothing");
        // One of them is there under another time.
        let moved = Stored { when: Some(When::Instant(9)), ..row(14) };
        let found = checked(16, (0..12).map(row).chain([moved]));
        assert_eq!(found.gone, [Seq(12), Seq(13), Seq(15)]);
    }

    #[test]
    fn a_list_by_date_that_is_cut_does_not_lose_what_was_sent_between() {
        // The last batch was sprayed first: it was assigned late.
        let key = JobKey { event: "e".to_owned(), job: "j".to_owned() };
        let how = Recogniser {
            zone: TimeZone::UTC,
            tag: "ab3k9".to_owned(),
            plain_is_utc: false,
            longest: 0,
        };
        let mut late = placed(24);
        late.iter_mut().skip(20).for_each(|p| p.frozen.utc_s -= 500);
        let mut check = how.check(key);
        check.add(&late);
        let mut check = check.added();
        (0..6).map(row).for_each(|row| check.take(row));
        for n in 20..24 {
            check.take(Stored { when: Some(When::Instant(500 + n)), ..row(n) });
        }
        let found = check.checked();
        assert_eq!((found.lost, found.missing.len()), (vec![], 14));
    }

    #[test]
    fn what_is_there_twice_or_nobodys_is_counted_and_what_is_like_a_missing_one_keeps_it() {
        let twice = (0..12).chain([5]).map(row);
        let found = checked(12, twice);
        let named = vec![Extra { seq: Some(Seq(5)), id: None }];
        assert_eq!((found.extras, found.named), (1, named));
        let stranger = Stored { raw: Some(77), ..row(3) };
        let of_another = Stored { serial: Some("ZZ".to_owned()), ..stranger.clone() };
        let other_job = Stored { job: Some("k".to_owned()), ..stranger.clone() };
        let foreign = [stranger.clone(), of_another, other_job];
        let found = checked(12, (0..12).map(row).chain(foreign));
        let named = vec![Extra { seq: None, id: Some("x3".to_owned()) }];
        assert_eq!((found.extras, found.named), (1, named));
        let noted = Stored { note: Some("#ab3k9-9z".to_owned()), ..stranger };
        assert_eq!(checked(12, (0..12).map(row).chain([noted])).extras, 1);
        // Its time was moved: the same record.
        let moved = Stored { when: Some(When::Instant(9)), ..row(5) };
        let found = checked(12, (0..12).filter(|n| *n != 5).map(row).chain([moved]));
        assert_eq!((found.lost, found.missing, found.extras), (vec![], vec![Seq(5)], 1));
    }
}
