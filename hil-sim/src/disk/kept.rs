//! A content with its history since the last flush, and what a power cut leaves of it.
//! Pure: knows neither names nor numbers of files.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::dice::Dice;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: u64 = 512;

/// What is seen, what has been flushed, and what leads from the one to the other.
#[derive(Debug, Clone)]
pub struct Kept<T, C> {
    /// What is seen.
    pub now: T,
    flushed: T,
    /// Not flushed yet, in its order.
    pub since: Vec<C>,
    /// Changes that have left `since`, ever.
    pub done: u64,
}

/// What is done to a file.
#[derive(Debug, Clone)]
pub enum Change {
    /// From this byte on these.
    Write(u64, Vec<u8>),
    /// So many bytes from now on.
    Length(u64),
}

/// What is done to a directory.
#[derive(Debug, Clone)]
pub enum Naming {
    /// A name for a file.
    Link(OsString, u64),
    /// It has the name no longer.
    Unlink(OsString),
    /// The second name instead of the first.
    Rename(OsString, OsString),
}

/// A change that can be made to a content.
pub trait Apply<T> {
    /// Makes it.
    fn apply(&self, to: &mut T);
}

impl Apply<Vec<u8>> for Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => write_at(to, *at, data),
            Self::Length(length) => to.resize(index(*length), 0),
        }
    }
}

impl Apply<BTreeMap<OsString, u64>> for Naming {
    fn apply(&self, to: &mut BTreeMap<OsString, u64>) {
        match self {
            Self::Link(name, number) => {
                to.insert(name.clone(), *number);
            }
            Self::Unlink(name) => {
                to.remove(name);
            }
            Self::Rename(old, new) => {
                if let Some(number) = to.remove(old) {
                    to.insert(new.clone(), number);
                }
            }
        }
    }
}

impl<T: Clone, C: Apply<T>> Kept<T, C> {
    /// Changes what is seen.
    pub fn change(&mut self, change: C) {
        change.apply(&mut self.now);
        self.since.push(change);
    }

    /// What a flush that begins now covers.
    pub fn mark(&self) -> u64 {
        self.done + self.since.len() as u64
    }

    /// What was done up to a mark outlives a cut.
    pub fn flush(&mut self, up_to: u64) {
        let many = index(up_to.saturating_sub(self.done)).min(self.since.len());
        for change in self.since.drain(..many) {
            change.apply(&mut self.flushed);
        }
        self.done += many as u64;
    }

    /// With nothing to flush.
    pub fn settled(value: T) -> Self {
        Self { now: value.clone(), flushed: value, since: Vec::new(), done: 0 }
    }
}

/// Each write since the last flush survives or not, sector by sector: a cache writes back
/// in any order.
pub fn file_after(file: &Kept<Vec<u8>, Change>, dice: Option<&mut Dice>) -> Vec<u8> {
    let mut left = file.flushed.clone();
    let Some(dice) = dice else { return left };
    for change in &file.since {
        match change {
            Change::Length(_) if dice.below(2) == 0 => change.apply(&mut left),
            Change::Length(_) => {}
            Change::Write(at, data) => {
                let mut from = 0;
                while from < data.len() {
                    let to_edge = SECTOR - (at + from as u64) % SECTOR;
                    let to = (from + index(to_edge)).min(data.len());
                    if dice.below(2) == 0 {
                        write_at(&mut left, at + from as u64, &data[from..to]);
                    }
                    from = to;
                }
            }
        }
    }
    left
}

/// A file system's journal keeps the order of names: the first so many survive.
pub fn dir_after(
    dir: &Kept<BTreeMap<OsString, u64>, Naming>,
    dice: Option<&mut Dice>,
) -> BTreeMap<OsString, u64> {
    let mut left = dir.flushed.clone();
    let many = dice.map_or(0, |dice| dice.below(dir.since.len() as u64 + 1));
    dir.since.iter().take(index(many)).for_each(|naming| naming.apply(&mut left));
    left
}

fn write_at(to: &mut Vec<u8>, at: u64, data: &[u8]) {
    let (from, end) = (index(at), index(at) + data.len());
    if to.len() < end {
        to.resize(end, 0);
    }
    to[from..end].copy_from_slice(data);
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
