//! The keys of place and time.

use super::super::key::{Refusal, Section, key};
use super::super::shape::{File, Flag, Number, OneOf, Place, Text, Time, Whole};
use super::super::valid::{self, HOUR, SECOND};
use super::super::{GpsSource, TrustSystem};

pub(super) const GPS: Section = Section {
    name: "gps",
    doc: "Where the rig is, and from that also what time it is.",
    keys: &[
        key!(gps.source: OneOf<GpsSource>, "serial", Live, valid::anything,
            "serial: a receiver on a port. gpsd: a running gpsd. fixed: a rig that never moves. none: records are held until they are given a place."),
        key!(gps.port: File, "/dev/serial/by-id/…", Live, |v| valid::serial_port(v),
            "SET THIS where source is serial. The receiver's stable name: `ls /dev/serial/by-id`."),
        key!(gps.baud: Whole<u32>, "9600", Live, |v| valid::within(v, 300, 4_000_000),
            "Bits a second, as in the receiver's manual: 4800, 9600 or 38400 mostly."),
        key!(gps.gpsd: Text, "127.0.0.1:2947", Live, |v| valid::host_port(v),
            "Host and port of gpsd, where source is gpsd."),
        key!(gps.max_hdop: Number, "5.0", Live, max_hdop,
            "A fix with a larger horizontal dilution (HDOP) doesn't count. 1 is excellent, 5 is poor."),
        key!(gps.stale_after: Time, "3s", Live, |v| valid::time(v, SECOND, HOUR),
            "Age at which a fix is no longer fresh."),
        key!(gps.fixed: Place, "[]", Live, valid::place,
            "Where the rig stands, where source is fixed: [latitude, longitude] in degrees, west and south negative. Every record then says fixed-place, and time comes from the system."),
        key!(gps.backfill: Flag, "false", Live, valid::anything,
            "Whether a record without a place gets one on the straight line between the fixes before and after it, where these are at most 60 s apart and a rig can have driven so; its note says backfill."),
    ],
};

pub(super) const CLOCK: Section = Section {
    name: "clock",
    doc: "The board has no clock of its own that outlives a power cut: time comes from the GPS, or from the network.",
    keys: &[key!(clock.trust_system: OneOf<TrustSystem>, "auto", Live, valid::anything,
            "When the system's clock is believed. auto: once the kernel says it is synchronised. always: from the start, for a board with a good clock. never: the GPS alone.")],
};

/// Whether `gps.max_hdop` takes a value: for a command that has an option in its place.
///
/// # Errors
/// Says the range.
pub fn max_hdop(value: &f64) -> Result<(), Refusal> {
    valid::above(value, 0.0, 50.0)
}
