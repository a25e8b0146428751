//! The keys of recording, keeping, waiting and showing.

use std::time::Duration;

use super::super::key::{Section, key};
use super::super::shape::{File, Listen, Number, OptionalNumber, Size, Text, Time};
use super::super::valid::{self, HOUR, SECOND, YEAR};

/// `backoff` waits no shorter than this, whatever is configured.
const RETRY_FLOOR: Duration = Duration::from_millis(200);

pub(super) const RECORD: Section = Section {
    name: "record",
    doc: "When a record is made while liquid flows: whichever of the three comes first. Starts, stops and changes are always recorded.",
    keys: &[
        key!(record.every: Time, "5s", Live, |v| valid::time(v, SECOND, HOUR),
            "After so much time."),
        key!(record.every_m: Number, "2.0", Live, |v| valid::above(v, 0.0, 10_000.0),
            "After so many metres of movement."),
        key!(record.every_gal: Number, "0.5", Live, |v| valid::above(v, 0.0, 10_000.0),
            "After so many gallons, also while it only seeps."),
        key!(record.idle_every: Time, "0s", Live, |v| valid::zero_or_time(v, SECOND, 24 * HOUR),
            "A record at rest every so often, as a sign of life. 0s: none."),
    ],
};

pub(super) const STAND_IN: Section = Section {
    name: "record.stand_in",
    doc: "Values to send where the rig has no such sensor and the server refuses null. Unset means null: nothing is made up unless you say so here.",
    keys: &[
        key!(record.stand_in.fluid_f: OptionalNumber, unset "70.0", Live, |v| optional(v, -60.0, 250.0),
            "Temperature of the liquid, °F."),
        key!(record.stand_in.ambient_f: OptionalNumber, unset "70.0", Live, |v| optional(v, -60.0, 250.0),
            "Temperature of the air, °F."),
        key!(record.stand_in.battery_percent: OptionalNumber, unset "100.0", Live, |v| optional(v, 0.0, 100.0),
            "The meter's battery, percent."),
        key!(record.stand_in.runtime_min: OptionalNumber, unset "0.0", Live, |v| optional(v, 0.0, 10_000_000.0),
            "Estimated run time of that battery, minutes."),
    ],
};

pub(super) const QUEUE: Section = Section {
    name: "queue",
    doc: "The records on this board.",
    keys: &[
        key!(queue.retention: Time, "3y", Live, |v| valid::time(v, YEAR, 100 * YEAR),
            "How long delivered records are kept here. The law asks for two years, some states for three. What wasn't delivered is kept for ever."),
        key!(queue.max_bytes: Size, "8 GiB", Live, |v| valid::size(v, 1 << 20, 1 << 50),
            "Size of the database above which the program warns. Nothing is deleted for it."),
        key!(queue.min_free: Size, "64 MiB", Live, |v| valid::size(v, 0, 1 << 50),
            "Free space on the disk below which the program warns, and logs nothing below a warning. Readings are always kept. Its ballast, 8 MiB that it gives up when the disk is full so that records still fit, is built only with as much left."),
    ],
};

pub(super) const RETRY: Section = Section {
    name: "retry",
    doc: "How long to wait between attempts to deliver. The wait grows from initial, with chance in it, and never ends.",
    keys: &[
        key!(retry.initial: Time, "1s", Live, |v| valid::time(v, RETRY_FLOOR, HOUR),
            "The first wait."),
        key!(retry.connect_max: Time, "15s", Live, |v| valid::time(v, RETRY_FLOOR, HOUR),
            "The longest wait while the server was never reached."),
        key!(retry.max: Time, "5m", Live, |v| valid::time(v, RETRY_FLOOR, 24 * HOUR),
            "The longest wait while the server answers, but doesn't take the records."),
    ],
};

pub(super) const STATUS: Section = Section {
    name: "status",
    doc: "Where the program shows what it does.",
    keys: &[
        key!(status.listen: Listen, "127.0.0.1:8377", Restart, valid::anything,
            "Address and port of the local page. It has no password: keep it on this machine. Empty turns it off."),
        key!(status.socket: File, "/run/spraylog/control.sock", Restart, |v| valid::socket(v),
            "Socket through which the commands talk to the daemon."),
    ],
};

pub(super) const LOG: Section = Section {
    name: "log",
    doc: "What goes to the journal.",
    keys: &[key!(log.level: Text, "info", Live, |v| valid::level(v),
            "error, warn, info, debug or trace: each says more than the one before it. No level shows passwords.")],
};

fn optional(value: &Option<f64>, least: f64, most: f64) -> Result<(), super::super::key::Refusal> {
    value.as_ref().map_or(Ok(()), |value| valid::within(value, least, most))
}
