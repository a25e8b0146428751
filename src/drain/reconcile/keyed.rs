//! Records that are recognised by their key alone: which readings each may be, and which
//! one it is given to. Knows no more of a reading than its place in the look.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The readings that a record without our note fits, and those that it fits but for the
/// meter.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fits {
    pub by_key: Vec<usize>,
    pub but_for_meter: Vec<usize>,
}

/// Records by which readings they fit: of all that fit the same only their number is kept,
/// and as many of their ids as can be of use.
#[derive(Debug, Default)]
pub(super) struct Keyed {
    groups: BTreeMap<Fits, Group>,
}

#[derive(Debug, Default)]
struct Group {
    records: usize,
    /// The least.
    ids: BTreeSet<(Option<String>, usize)>,
    readings: Vec<usize>,
}

impl Keyed {
    /// One more record, with its id.
    pub fn add(&mut self, fits: Fits, id: Option<String>) {
        let of_use = fits.by_key.len();
        let group = self.groups.entry(fits).or_default();
        group.records += 1;
        group.ids.insert((id, group.records));
        if group.ids.len() > of_use {
            group.ids.pop_last();
        }
    }

    /// Gives records to the readings that want one and whose keys they fit, so that as many
    /// as can be find one: for each reading that does the record's id.
    pub fn matched(&mut self, wants: impl Iterator<Item = bool>) -> HashMap<usize, Option<String>> {
        let mut matched = HashMap::new();
        let (mut groups, mut of) = (Vec::new(), HashMap::<usize, Vec<usize>>::new());
        for (nth, (fits, group)) in self.groups.iter_mut().enumerate() {
            for at in &fits.by_key {
                of.entry(*at).or_default().push(nth);
            }
            groups.push(group);
        }
        for (at, _) in wants.enumerate().filter(|(_, wants)| *wants) {
            place(at, &of, &mut groups, &mut BTreeSet::new());
        }
        for group in groups {
            group.readings.sort_unstable();
            for (at, (id, _)) in group.readings.iter().zip(&group.ids) {
                matched.insert(*at, id.clone());
            }
        }
        matched
    }

    /// After that: what fits and is still nobody's, and how many records of each.
    pub fn left(&mut self) -> Vec<(Fits, usize)> {
        let groups = std::mem::take(&mut self.groups).into_iter();
        let left = groups.map(|(fits, group)| (fits, group.records - group.readings.len()));
        left.filter(|(_, many)| *many > 0).collect()
    }
}

/// Finds a record for a reading; one that has another to go to makes room.
fn place(
    at: usize,
    of: &HashMap<usize, Vec<usize>>,
    groups: &mut [&mut Group],
    seen: &mut BTreeSet<usize>,
) -> bool {
    for nth in of.get(&at).into_iter().flatten().copied() {
        if !seen.insert(nth) {
            continue;
        }
        let Some(group) = groups.get_mut(nth) else { continue };
        if group.readings.len() < group.records {
            group.readings.push(at);
            return true;
        }
        for other in group.readings.clone() {
            if place(other, of, groups, seen) {
                if let Some(group) = groups.get_mut(nth) {
                    group.readings.retain(|reading| *reading != other);
                    group.readings.push(at);
                }
                return true;
            }
        }
    }
    false
}
