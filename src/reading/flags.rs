//! What happened inside a reading's second, as a set that one integer column holds.
//! The bit of a flag is part of the schema and never changes.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

/// One thing that a reading says about its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Flag {
    /// Flow began.
    Start = 1 << 0,
    /// Flow ended.
    Stop = 1 << 1,
    /// The first reading of a span.
    Tare = 1 << 2,
    /// K changed here.
    Calibration = 1 << 3,
    /// The meter restarted before this count.
    Restart = 1 << 4,
    /// The meter's count passed its modulus.
    Rollover = 1 << 5,
    /// Part of the volume was found after a gap in the samples.
    Gap = 1 << 6,
    /// The count moved by more than the meter's greatest rate allows, and stayed there.
    Jump = 1 << 7,
    /// The assignment changed here.
    Assign = 1 << 8,
    /// Nothing happened: a heartbeat at rest.
    Idle = 1 << 9,
    /// The position is that of an earlier fix, at which the rig stood still.
    ReusedFix = 1 << 10,
    /// The last reading before the agent stopped.
    Last = 1 << 11,
    /// Another meter serial from here on.
    Meter = 1 << 12,
    /// Raw count and zero were rebased together.
    Rebase = 1 << 13,
    /// The position was found between two later fixes.
    Backfill = 1 << 14,
    /// The span was given by an operator afterwards.
    AssignedLater = 1 << 15,
    /// The count before was a damaged line's, too high; the next counts make up for it.
    Corrected = 1 << 16,
    /// It was open in a damaged queue, whose last transactions may be lost: JobCloser may have
    /// it, and is asked before it is sent. Never in a note.
    Carried = 1 << 17,
    /// Its time is that of a boot whose start an operator told.
    OperatorTime = 1 << 18,
    /// Its position was told by an operator.
    OperatorPlace = 1 << 19,
    /// The position is the configured one, not a receiver's.
    FixedPlace = 1 << 20,
    /// The meter tells only a rate: its volume is that rate over time, and what flowed
    /// unheard isn't in it.
    Integrated = 1 << 21,
}

impl Flag {
    /// Every flag, in the order in which notes list them.
    pub const ALL: [Self; 22] = [
        Self::Start,
        Self::Stop,
        Self::Tare,
        Self::Calibration,
        Self::Restart,
        Self::Rollover,
        Self::Gap,
        Self::Jump,
        Self::Assign,
        Self::Idle,
        Self::ReusedFix,
        Self::Last,
        Self::Meter,
        Self::Rebase,
        Self::Backfill,
        Self::AssignedLater,
        Self::Corrected,
        Self::Carried,
        Self::OperatorTime,
        Self::OperatorPlace,
        Self::FixedPlace,
        Self::Integrated,
    ];

    /// The word that stands for it in notes, lists and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Tare => "tare",
            Self::Calibration => "k",
            Self::Restart => "restart",
            Self::Rollover => "rollover",
            Self::Gap => "gap",
            Self::Jump => "jump",
            Self::Assign => "assign",
            Self::Idle => "idle",
            Self::ReusedFix => "fix",
            Self::Last => "last",
            Self::Meter => "meter",
            Self::Rebase => "rebase",
            Self::Backfill => "backfill",
            Self::AssignedLater => "assigned-later",
            Self::Corrected => "corrected",
            Self::Carried => "carried",
            Self::OperatorTime => "operator-time",
            Self::OperatorPlace => "operator-place",
            Self::FixedPlace => "fixed-place",
            Self::Integrated => "integrated",
        }
    }
}

/// A set of [`Flag`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// From the stored integer; bits that no flag has are kept.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The stored integer.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Adds a flag.
    pub fn set(&mut self, flag: Flag) {
        self.0 |= flag as u32;
    }

    /// With a flag added.
    #[must_use]
    pub fn with(mut self, flag: Flag) -> Self {
        self.set(flag);
        self
    }

    /// With a flag taken away.
    #[must_use]
    pub fn without(self, flag: Flag) -> Self {
        Self(self.0 & !(flag as u32))
    }

    /// With the flags of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a flag is set.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & flag as u32 != 0
    }

    /// Whether no flag is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The words of those that are set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Flag::ALL.into_iter().filter(move |f| self.has(*f)).map(Flag::word)
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(None)?;
        for word in self.words() {
            list.serialize_element(word)?;
        }
        list.end()
    }
}
