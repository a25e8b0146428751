//! Room on the disk: what to do with the ballast, and what `status` shows. Plain numbers in
//! and out; knows no file.

use serde::Serialize;

use crate::config;

/// Less than this is a full disk, in bytes: a checkpoint and some minutes of readings.
const FULL: u64 = 1 << 20;
/// Size of the ballast, as [`crate::queue::ballast`] builds it.
const BALLAST: u64 = 8 << 20;

/// The limits that are configured, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    min_free: u64,
    max_bytes: u64,
}

/// What to do with the ballast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Leave it.
    Nothing,
    /// Give it up, so that readings go on.
    GiveUp,
    /// Build it.
    Build,
}

/// The disk's part of `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RoomView {
    /// Free bytes; `None` where the disk doesn't say.
    pub free_bytes: Option<u64>,
    /// Less is free than `queue.min_free`: what can wait is not to be written.
    pub low: bool,
    /// The ballast is there.
    pub ballast: bool,
    /// Size of the database.
    pub queue_bytes: u64,
    /// It is larger than `queue.max_bytes`.
    pub over_max: bool,
}

impl Room {
    /// As configured.
    pub fn of(queue: &config::Queue) -> Self {
        Self { min_free: queue.min_free, max_bytes: queue.max_bytes }
    }

    /// What to do, with so much free and the ballast there or not. Built only where
    /// `min_free` is left beside it, it isn't given up and built in turns.
    pub fn step(self, free: u64, there: bool) -> Step {
        match there {
            true if free < FULL => Step::GiveUp,
            false if free >= self.min_free.max(FULL).saturating_add(BALLAST) => Step::Build,
            _ => Step::Nothing,
        }
    }

    /// What is shown.
    pub fn view(self, free: u64, ballast: bool, queue_bytes: u64) -> RoomView {
        RoomView {
            free_bytes: Some(free),
            low: free < self.min_free,
            ballast,
            queue_bytes,
            over_max: queue_bytes > self.max_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_ballast_is_as_large_as_it_is_counted() {
        assert_eq!(BALLAST, crate::queue::ballast::BALLAST);
    }

    #[test]
    fn it_is_given_up_on_a_full_disk_and_built_again_with_room_to_spare() {
        let room = Room { min_free: 64 * MIB, max_bytes: MIB };
        assert_eq!(room.step(100 * MIB, false), Step::Build);
        assert_eq!(room.step(92 * MIB, true), Step::Nothing);
        assert_eq!(room.step(2 * MIB, true), Step::Nothing, "low is not full");
        assert_eq!(room.step(MIB - 1, true), Step::GiveUp);
        assert_eq!(room.step(9 * MIB, false), Step::Nothing, "what was given up is not taken back");
        assert_eq!(room.step(71 * MIB, false), Step::Nothing);
        assert_eq!(room.step(72 * MIB, false), Step::Build);
        let none = Room { min_free: 0, max_bytes: MIB };
        assert_eq!(none.step(8 * MIB, false), Step::Nothing, "or it would be given up at once");
    }

    #[test]
    fn low_room_and_a_large_queue_are_told() {
        let room = Room { min_free: 64 * MIB, max_bytes: MIB };
        let view = room.view(63 * MIB, true, 2 * MIB);
        assert!(view.low && view.over_max);
        assert!(!room.view(64 * MIB, true, MIB).low);
    }
}
