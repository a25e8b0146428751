//! Our readings as they are looked for in a list: by what a record is recognised by, with
//! what the list has shown of each so far. Doesn't know how a record is judged.
//!
//! A job has some hundred thousand, and a board little memory: a reading takes 32 bytes here, and
//! up to 8 more where orders differ, whatever its serial number and its server's id.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use crate::delivery::Frozen;
use crate::reading::Seq;

/// What a list has shown of a reading: any of these together.
pub(super) mod shown {
    /// There is a record with its server id.
    pub const CLAIMED: u8 = 1;
    /// That record has its meter, count and time ...
    pub const PLAIN: u8 = 2;
    /// ... with its note ...
    pub const WITH_NOTE: u8 = 4;
    /// ... and without an offset: as the rig's zone has it,
    pub const IN_ZONE: u8 = 8;
    /// or as it was written.
    pub const AS_WRITTEN: u8 = 16;
    /// There is a record with its note, and without a server id that is another's.
    pub const NOTED: u8 = 32;
    /// There is a record with its key, which fits no other.
    pub const KEYED: u8 = 64;
    /// A record that is nobody's has its count and its time.
    pub const LIKE: u8 = 128;
}

/// A reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub seq: Seq,
    pub utc_s: i64,
    pub raw: i64,
    /// Which of [`Ours::meters`].
    pub meter: usize,
    /// That its date was written with, in minutes.
    pub offset_min: i32,
    /// The attempt that it was last sent in.
    pub attempt: i64,
    /// Whether it counts as sent.
    pub sent: bool,
}

/// Our readings, by what a record is recognised by.
#[derive(Debug, Default)]
pub(super) struct Ours {
    kept: Vec<Kept>,
    /// What many readings have in common, and one of them in full.
    runs: Vec<Reading>,
    /// The serial numbers of our meters, as they are compared.
    meters: Vec<String>,
    /// That our records were written with, in minutes.
    pub offsets: BTreeSet<i32>,
    /// The two halves of an id's hash, and whose it is; by hash. Not of those that share an id:
    /// it names none of them. Of 64 bits, under a key of this process: among a million records
    /// that aren't ours one is taken for one of a million that are once in ten million lists.
    by_id: Vec<[u32; 3]>,
    hash: RandomState,
    /// Empty where they were given in that order, as most are.
    by_seq: Vec<u32>,
    /// By count and second, likewise.
    by_key: Vec<u32>,
}

/// A reading, by what it differs in from one of its run.
#[derive(Debug, Clone, Copy)]
struct Kept {
    seq: i32,
    utc_s: i32,
    raw: i32,
    run: u32,
    shown: u8,
}

/// A batch may have two meters' readings by turns: so many runs are looked through for one
/// that fits before another is begun.
const LATELY: usize = 4;

impl Ours {
    /// One more, in the order in which they are looked for; [`Self::index`] comes after the last.
    pub fn add(&mut self, frozen: &Frozen, sent: bool) {
        // No list is long enough to have so many, nor a board.
        let Ok(at) = u32::try_from(self.kept.len()) else { return };
        let serial = meter_of(&frozen.serial);
        let meter = self.meter(&serial).unwrap_or_else(|| {
            self.meters.push(serial);
            self.meters.len() - 1
        });
        self.offsets.insert(frozen.offset_min);
        if let Some(id) = &frozen.server_id {
            let [high, low] = self.halves(id);
            self.by_id.push([high, low, at]);
        }
        let Frozen { seq, utc_s, raw, offset_min, attempt, .. } = *frozen;
        let reading = Reading { seq, utc_s, raw, meter, offset_min, attempt, sent };
        let lately = self.runs.iter().enumerate().rev().take(LATELY);
        let fits = lately.filter_map(|(run, of)| Kept::of(&reading, run, of)).next();
        let kept = fits.or_else(|| {
            self.runs.push(reading);
            Kept::of(&reading, self.runs.len() - 1, &reading)
        });
        self.kept.extend(kept);
    }

    /// They are all there.
    pub fn index(&mut self) {
        self.by_seq = self.ordered(|of| of.seq);
        self.by_key = self.ordered(|of| (of.raw, of.utc_s));
        self.by_id.sort_unstable();
        let (mut left, mut before) = (0, None);
        for nth in 0..self.by_id.len() {
            let Some(one @ [high, low, _]) = self.by_id.get(nth).copied() else { break };
            let after = self.by_id.get(nth + 1).map(|[high, low, _]| [*high, *low]);
            let shared = before == Some([high, low]) || after == Some([high, low]);
            before = Some([high, low]);
            if let Some(place) = self.by_id.get_mut(left).filter(|_| !shared) {
                *place = one;
                left += 1;
            }
        }
        self.by_id.truncate(left);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn get(&self, at: usize) -> Option<Reading> {
        self.kept.get(at)?.reading(&self.runs)
    }

    /// In the order in which they are looked for.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Reading)> {
        (0..self.len()).filter_map(|at| Some((at, self.get(at)?)))
    }

    /// What the list has shown of a reading.
    pub fn shown(&self, at: usize) -> u8 {
        self.kept.get(at).map_or(0, |kept| kept.shown)
    }

    /// The list has shown this of a reading, instead of that.
    pub fn show(&mut self, at: usize, this: u8, not: u8) {
        if let Some(kept) = self.kept.get_mut(at) {
            kept.shown = kept.shown & !not | this;
        }
    }

    pub fn by_id(&self, id: &str) -> Option<usize> {
        let halves = self.halves(id);
        let found = self.by_id.binary_search_by_key(&halves, |[high, low, _]| [*high, *low]);
        found.ok().and_then(|nth| self.by_id.get(nth)).map(|[.., at]| *at as usize)
    }

    pub fn by_seq(&self, seq: Seq) -> Option<usize> {
        let found = self.from(&self.by_seq, move |of| of.seq < seq).next();
        found.filter(|(_, of)| of.seq == seq).map(|(at, _)| at)
    }

    /// Those of this count and second, whatever their meter.
    pub fn by_key(&self, raw: i64, utc_s: i64) -> impl Iterator<Item = (usize, Reading)> {
        self.those_from(raw, utc_s).take_while(move |(_, of)| (of.raw, of.utc_s) == (raw, utc_s))
    }

    /// Whether any has this count.
    pub fn has_raw(&self, raw: i64) -> bool {
        self.those_from(raw, i64::MIN).next().is_some_and(|(_, of)| of.raw == raw)
    }

    fn those_from(&self, raw: i64, utc_s: i64) -> impl Iterator<Item = (usize, Reading)> {
        self.from(&self.by_key, move |of| (of.raw, of.utc_s) < (raw, utc_s))
    }

    /// In an order, those after the ones that are `before`.
    fn from(
        &self,
        order: &[u32],
        before: impl Fn(Reading) -> bool,
    ) -> impl Iterator<Item = (usize, Reading)> {
        let first = match order {
            [] => self.kept.partition_point(|kept| kept.reading(&self.runs).is_some_and(&before)),
            _ => order.partition_point(|at| self.get(*at as usize).is_some_and(&before)),
        };
        (first..self.len()).filter_map(move |nth| {
            let at = if order.is_empty() { nth } else { *order.get(nth)? as usize };
            Some((at, self.get(at)?))
        })
    }

    fn ordered<T: Ord>(&self, by: impl Fn(&Reading) -> T) -> Vec<u32> {
        if self.iter().is_sorted_by_key(|(_, of)| by(&of)) {
            return Vec::new();
        }
        let mut order: Vec<u32> = (0..).take(self.len()).collect();
        order.sort_unstable_by_key(|at| self.get(*at as usize).map(|of| by(&of)));
        order
    }

    /// Which of our meters has this serial number, as [`meter_of`] gives it.
    pub fn meter(&self, serial: &str) -> Option<usize> {
        self.meters.iter().position(|meter| meter == serial)
    }

    pub fn meter_name(&self, meter: usize) -> Option<&str> {
        self.meters.get(meter).map(String::as_str)
    }

    fn halves(&self, id: &str) -> [u32; 2] {
        let hash = self.hash.hash_one(id);
        [(hash >> 32) as u32, hash as u32]
    }
}

impl Kept {
    /// None where it isn't of that run, or too far from it.
    fn of(reading: &Reading, run: usize, of: &Reading) -> Option<Self> {
        let common = |of: &Reading| (of.meter, of.offset_min, of.attempt, of.sent);
        let off = |of: i64, from: i64| i32::try_from(of.checked_sub(from)?).ok();
        if common(reading) != common(of) {
            return None;
        }
        Some(Self {
            seq: off(reading.seq.0, of.seq.0)?,
            utc_s: off(reading.utc_s, of.utc_s)?,
            raw: off(reading.raw, of.raw)?,
            run: u32::try_from(run).ok()?,
            shown: 0,
        })
    }

    fn reading(&self, runs: &[Reading]) -> Option<Reading> {
        let of = runs.get(self.run as usize)?;
        Some(Reading {
            seq: Seq(of.seq.0 + i64::from(self.seq)),
            utc_s: of.utc_s + i64::from(self.utc_s),
            raw: of.raw + i64::from(self.raw),
            ..*of
        })
    }
}

/// A database may pad what it stores, or change its case.
pub(super) fn meter_of(serial: &str) -> String {
    serial.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_frozen() -> impl Strategy<Value = (Frozen, bool)> {
        let near_or_far = || prop_oneof![0..9_i64, any::<i64>()];
        let serial = prop::sample::select(vec!["AF1", "af1 ", "ZZ"]);
        let id = prop::option::of(prop::sample::select(vec!["a", "b", "c", "d", "e"]));
        let numbers = (near_or_far(), near_or_far(), near_or_far(), near_or_far());
        (serial, id, numbers, -3..3_i32, any::<bool>()).prop_map(
            |(serial, id, (seq, utc_s, raw, attempt), offset_min, sent)| {
                let (serial, server_id) = (serial.to_owned(), id.map(str::to_owned));
                let seq = Seq(seq);
                (Frozen { seq, serial, utc_s, raw, offset_min, server_id, attempt }, sent)
            },
        )
    }

    proptest! {
        #[test]
        fn a_reading_is_found_as_it_was_given_however_far_it_is_from_the_others(
            given in prop::collection::vec(any_frozen(), 0..20),
        ) {
            let mut ours = Ours::default();
            given.iter().for_each(|(frozen, sent)| ours.add(frozen, *sent));
            ours.index();
            prop_assert_eq!(ours.len(), given.len());
            for (at, (frozen, sent)) in given.iter().enumerate() {
                let of = ours.get(at).unwrap();
                prop_assert_eq!((of.seq, of.utc_s, of.raw), (frozen.seq, frozen.utc_s, frozen.raw));
                prop_assert_eq!((of.attempt, of.sent), (frozen.attempt, *sent));
                prop_assert_eq!(of.offset_min, frozen.offset_min);
                prop_assert_eq!(ours.meter_name(of.meter), Some(&*meter_of(&frozen.serial)));
                let by_seq = ours.by_seq(of.seq).and_then(|at| ours.get(at));
                prop_assert_eq!(by_seq.map(|of| of.seq), Some(of.seq));
                let mut by_key: Vec<usize> = ours.by_key(of.raw, of.utc_s).map(|(at, _)| at).collect();
                by_key.sort_unstable();
                let same = |(_, (f, ..)): &(usize, &(Frozen, bool))| {
                    (f.raw, f.utc_s) == (of.raw, of.utc_s)
                };
                let same: Vec<usize> = given.iter().enumerate().filter(same).map(|(at, _)| at).collect();
                prop_assert_eq!(by_key, same);
                prop_assert!(ours.has_raw(of.raw));
            }
            for id in ["a", "b", "c", "d", "e", "f"] {
                let with: Vec<usize> = given.iter().enumerate()
                    .filter(|(_, (f, ..))| f.server_id.as_deref() == Some(id))
                    .map(|(at, _)| at).collect();
                let only = if let [at] = *with { Some(at) } else { None };
                prop_assert_eq!(ours.by_id(id), only, "an id that two share names neither");
            }
        }
    }
}
