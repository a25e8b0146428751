//! Time: what the board knows of it (types here), how a row's wall time follows from
//! anchors (pure: [`resolve`], [`anchors`], [`weeks`]), and the system's clocks
//! (an edge: [`source`]).
//!
//! A row carries only its boot and milliseconds of `CLOCK_BOOTTIME`. Wall time is
//! derived from anchors, so that one good fix dates everything that the boot recorded
//! before it.

pub mod anchors;
pub mod resolve;
pub mod source;
pub mod weeks;

use serde::{Deserialize, Serialize};

/// Milliseconds of `CLOCK_BOOTTIME`: monotonic, counts through suspend, zero at boot.
/// Comparable only within one boot.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BootInstant(pub i64);

impl BootInstant {
    /// Milliseconds from `earlier` to `self`; negative if `earlier` is later.
    pub fn since_ms(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// So many milliseconds later.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0 + ms)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UtcMs(pub i64);

impl UtcMs {
    /// Whole seconds, rounded towards the past.
    pub fn floor_s(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// RFC 3339 with milliseconds, for people; an instant outside years 1 to 9999 is
    /// printed as its number.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => format!("{t:.3}"),
            Err(_) => format!("{} ms", self.0),
        }
    }
}

/// The kernel's id of one boot (`/proc/sys/kernel/random/boot_id`), a UUID as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// Who says what time it is. The order is that of trust: where a boot has anchors of a
/// better source, those of a worse one are not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorSource {
    /// A person, by `records release --boot N --start T`, where nothing better is known. A
    /// time that is measured in that boot later goes before it.
    Operator,
    /// The system clock, once the kernel calls it synchronised (or the operator says so).
    System,
    /// Three consistent GPS fixes.
    Gps,
}

/// One point at which a boot's `CLOCK_BOOTTIME` and wall time are known together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Boot time of the observation.
    pub at: BootInstant,
    /// Wall time of the same moment.
    pub utc: UtcMs,
    /// How far off it may be, in milliseconds.
    pub err_ms: i64,
    /// Who said it.
    pub source: AnchorSource,
}
