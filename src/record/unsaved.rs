//! What was recorded and is not on the disk yet: readings and anchors, oldest first, up to
//! a bound. Knows no queue, and nothing of who writes them there.

use std::collections::VecDeque;

use crate::clock::{Anchor, BootInstant};
use crate::reading::Reading;
use crate::units::Microlitres;

/// Readings that may wait: an hour of one a second, of which each takes some 300 bytes.
/// When so many do, no more are made (`Recorder::withhold`): their volume goes into the
/// next one, and only places and times are lost.
pub const READINGS: usize = 3_600;
/// Anchors that may wait, ten hours' worth. When so many do, no more are asked for: time is
/// interpolated over a longer stretch.
pub const ANCHORS: usize = 64;
/// Readings in one transaction, so that what else waits for the queue gets its turn.
const TOGETHER: usize = 600;
/// A disk that takes no longer than this is no trouble.
const SLOW_MS: i64 = 3_000;

/// Readings and anchors that wait for the disk.
#[derive(Debug, Default)]
pub struct Unsaved {
    readings: VecDeque<Reading>,
    anchors: VecDeque<Anchor>,
    /// Only the first one is offered: one of those behind it can't be kept, or itself.
    alone: bool,
    /// The last one that could never be kept, while none has come after it.
    estate: Option<Reading>,
}

impl Unsaved {
    /// A reading that is to be kept.
    pub fn reading(&mut self, mut reading: Reading) {
        if let Some(gone) = self.estate.take() {
            inherit(&mut reading, &gone);
        }
        self.readings.push_back(reading);
    }

    /// An anchor that is to be kept.
    pub fn anchor(&mut self, anchor: Anchor) {
        self.anchors.push_back(anchor);
    }

    /// Whether everything is on the disk.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.anchors.is_empty()
    }

    /// How many readings wait.
    pub fn readings(&self) -> usize {
        self.readings.len()
    }

    /// Whether no more readings should be made.
    pub fn is_full(&self) -> bool {
        self.readings.len() >= READINGS
    }

    /// Whether another anchor has room.
    pub fn wants_anchors(&self) -> bool {
        self.anchors.len() < ANCHORS
    }

    /// Seconds since the oldest that waits, if that is longer than a disk may take.
    pub fn late_s(&self, now: BootInstant) -> Option<i64> {
        let reading = self.readings.front().map(|r| r.at);
        let oldest = reading.into_iter().chain(self.anchors.front().map(|a| a.at)).min()?;
        Some(now.since_ms(oldest)).filter(|ms| *ms >= SLOW_MS).map(|ms| ms / 1000)
    }

    /// What is to be written next, in one go.
    pub fn next(&self) -> (Vec<Anchor>, Vec<Reading>) {
        let many = if self.alone { 1 } else { TOGETHER };
        let readings = self.readings.iter().take(many).cloned().collect();
        (self.anchors.iter().copied().collect(), readings)
    }

    /// So many of the oldest are on the disk.
    pub fn kept(&mut self, readings: usize, anchors: usize) -> Vec<Anchor> {
        self.readings.drain(..readings.min(self.readings.len()));
        if readings > 0 {
            self.alone = false;
        }
        self.anchors.drain(..anchors.min(self.anchors.len())).collect()
    }

    /// One of those that were offered can never be kept. Returns whether it was found, and
    /// is gone; else they are offered one by one until it is.
    pub fn one_is_impossible(&mut self, offered: usize) -> bool {
        if offered > 1 {
            self.alone = true;
            return false;
        }
        self.alone = false;
        let Some(gone) = self.readings.pop_front() else { return false };
        match (self.readings.front_mut(), self.estate.take()) {
            (Some(next), _) => inherit(next, &gone),
            (None, _) => self.estate = Some(gone),
        }
        true
    }
}

/// What a reading that can't be kept leaves to the next one: its volume, and the segment and
/// the span that begin with it. Without them the next would count in the segment before, or,
/// the first of a queue, in none, and nothing after it would ever be kept.
fn inherit(next: &mut Reading, gone: &Reading) {
    next.share += gone.share;
    next.flags = next.flags.union(gone.flags);
    match &mut next.segment {
        Some(segment) => segment.carried += gone.share,
        None => next.segment.clone_from(&gone.segment),
    }
    if next.span.is_none() {
        next.span.clone_from(&gone.span);
    }
    // A reading that begins a span has no volume: with any it closes the one before.
    if let Some(span) = next.span.as_mut().filter(|_| next.share != Microlitres::ZERO) {
        span.owns_reading = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Flags, NewSegment, SegmentReason};
    use crate::units::KFactor;

    fn reading(raw: u64) -> Reading {
        Reading {
            at: BootInstant(raw.cast_signed() * 1_000),
            serial: "AF23265".to_owned(),
            raw,
            meter_seq: None,
            unwrapped: raw,
            share: Microlitres::ZERO,
            rate_gpm: None,
            fluid_f: None,
            ambient_f: None,
            battery_percent: None,
            runtime_min: None,
            place: None,
            flags: Flags::NONE,
            segment: None,
            span: None,
        }
    }

    fn offered(unsaved: &Unsaved) -> Vec<u64> {
        unsaved.next().1.iter().map(|r| r.raw).collect()
    }

    #[test]
    fn what_can_never_be_kept_is_found_among_its_neighbours_and_they_are_kept() {
        let mut unsaved = Unsaved::default();
        (1..=3).for_each(|raw| unsaved.reading(reading(raw)));
        assert_eq!(offered(&unsaved), [1, 2, 3]);
        // It is the second.
        assert!(!unsaved.one_is_impossible(3));
        assert_eq!(offered(&unsaved), [1]);
        unsaved.kept(1, 0);
        assert!(!unsaved.one_is_impossible(2));
        assert_eq!(offered(&unsaved), [2]);
        assert!(unsaved.one_is_impossible(1), "and is gone");
        assert_eq!(offered(&unsaved), [3]);
        unsaved.kept(1, 0);
        assert!(unsaved.is_empty());
    }

    #[test]
    fn what_begins_with_a_reading_that_can_never_be_kept_begins_with_the_next() {
        let segment = |raw_start| NewSegment {
            raw_start,
            unwrapped_start: raw_start,
            k: KFactor::new(126.7).unwrap(),
            points: String::new(),
            carried: Microlitres(5),
            reason: SegmentReason::First,
        };
        let opens = |raw, share| Reading {
            segment: Some(segment(raw)),
            share: Microlitres(share),
            ..reading(raw)
        };
        for waits in [true, false] {
            let mut unsaved = Unsaved::default();
            unsaved.reading(opens(1, 7));
            if waits {
                unsaved.reading(reading(2));
            }
            assert!(unsaved.one_is_impossible(1));
            if !waits {
                unsaved.reading(reading(2));
            }
            let next = unsaved.next().1.remove(0);
            assert_eq!((next.share, next.segment), (Microlitres(7), Some(segment(1))));
        }
        // One that opens a segment itself has the volume from before it.
        let mut unsaved = Unsaved::default();
        unsaved.reading(opens(1, 7));
        unsaved.reading(opens(2, 3));
        assert!(unsaved.one_is_impossible(1));
        let next = unsaved.next().1.remove(0);
        let carried = next.segment.map(|segment| segment.carried);
        assert_eq!((next.share, carried), (Microlitres(10), Some(Microlitres(12))));
    }

    #[test]
    fn what_comes_while_a_write_is_under_way_stays_behind_it() {
        let mut unsaved = Unsaved::default();
        unsaved.reading(reading(1));
        let (_, under_way) = unsaved.next();
        unsaved.reading(reading(2));
        unsaved.kept(under_way.len(), 0);
        assert_eq!(offered(&unsaved), [2]);
        assert_eq!(unsaved.late_s(BootInstant(4_999)), None, "a disk may take its time");
        assert_eq!(unsaved.late_s(BootInstant(9_000)), Some(7));
    }
}
