//! Our readings as they are looked for in a list: by what a record is recognised by, with
//! what the list has shown of each so far. Doesn't know how a record is judged.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::delivery::Frozen;
use crate::jobcloser::wire::Stored;
use crate::reading::Seq;

/// A reading, and what the list has of it.
#[derive(Debug)]
pub(super) struct Sought {
    pub reading: Frozen,
    pub meter: String,
    /// The record with its server id.
    pub claimed: Option<Box<Stored>>,
    /// Records with its note, and the least of their ids.
    pub noted: Option<(usize, Option<String>)>,
    /// A record that is nobody's has its count and its time.
    pub like: bool,
}

/// Our readings by what a record is recognised by.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Not those that share an id: it names none of them.
    pub by_id: HashMap<String, usize>,
    pub by_seq: HashMap<Seq, usize>,
    /// By count and second.
    pub by_key: HashMap<(i64, i64), Vec<usize>>,
    pub raws: HashSet<i64>,
    pub meters: HashSet<String>,
    /// That our records were written with, in minutes.
    pub offsets: BTreeSet<i32>,
}

impl Sought {
    pub fn new(reading: Frozen) -> Self {
        let meter = meter_of(&reading.serial);
        Self { reading, meter, claimed: None, noted: None, like: false }
    }
}

impl Index {
    pub fn new(ours: &[Sought]) -> Self {
        let mut index = Self::default();
        let mut shared = HashSet::new();
        for (at, sought) in ours.iter().enumerate() {
            let reading = &sought.reading;
            if let Some(id) = &reading.server_id
                && index.by_id.insert(id.clone(), at).is_some()
            {
                shared.insert(id.clone());
            }
            index.by_seq.insert(reading.seq, at);
            index.by_key.entry((reading.raw, reading.utc_s)).or_default().push(at);
            index.raws.insert(reading.raw);
            index.meters.insert(sought.meter.clone());
            index.offsets.insert(reading.offset_min);
        }
        index.by_id.retain(|id, _| !shared.contains(id));
        index
    }
}

/// A database may pad what it stores, or change its case.
pub(super) fn meter_of(serial: &str) -> String {
    serial.trim().to_ascii_lowercase()
}
