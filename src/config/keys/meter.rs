//! The keys of the flow meter.

use super::super::key::{Section, key};
use super::super::shape::{File, Line, Number, Pairs, Text, Time, Whole};
use super::super::valid::{self, HOUR, MINUTE, SECOND};

pub(super) const METER: Section = Section {
    name: "meter",
    doc: "The flow meter.",
    keys: &[
        key!(meter.profile: Text, "rig-line", Live, |v| valid::profile(v),
            "How the meter speaks: the name of a file in meters/ without .toml, or the path of one."),
        key!(meter.port: File, "/dev/serial/by-id/…", Live, |v| valid::serial_port(v),
            "SET THIS. The port's stable name: `ls /dev/serial/by-id` with the meter plugged in. /dev/ttyUSB0 changes when cables are moved."),
        key!(meter.baud: Whole<u32>, "9600", Live, |v| valid::within(v, 300, 4_000_000),
            "Bits a second, as in the meter's manual."),
        key!(meter.framing: Line, "8N1", Live, valid::anything,
            "Data bits, parity (N, E or O) and stop bits, as in the meter's manual."),
        key!(meter.poll_every: Time, "1s", Live, |v| valid::time(v, SECOND / 10, MINUTE),
            "How often a meter is asked that doesn't speak by itself."),
        key!(meter.unit: Whole<u8>, "1", Live, |v| valid::within(v, 1, 247),
            "Modbus unit, where the meter is on Modbus."),
        key!(meter.serial_number: Text, "", Live, |v| valid::serial_number(v),
            "The meter's serial number from its plate, where the meter doesn't tell it. It is half of each record's identity: change it when the meter is changed."),
        key!(meter.stale_after: Time, "5s", Live, |v| valid::time(v, SECOND, HOUR),
            "Silence after which status shows the meter as stale."),
    ],
};

pub(super) const CALIBRATION: Section = Section {
    name: "meter.calibration",
    doc: "How many counts make a gallon: catch what flows in a minute, three times, and divide counts by gallons.",
    keys: &[
        key!(meter.calibration.factor: Number, "126.7", Live, |v| valid::above(v, 0.0, 1e9),
            "K: counts a US gallon. A new value begins a new segment and never changes what was recorded before."),
        key!(meter.calibration.points: Pairs, "[]", Live,
            |v| valid::ascending(v, |hz, k| hz >= 0.0 && k > 0.0 && k <= 1e9, "counts a second from 0, then a K above 0"),
            "K at several rates, for a meter that isn't linear: [[counts a second, K], …], ascending. Empty: the factor alone."),
    ],
};

pub(super) const COUNTER: Section = Section {
    name: "meter.counter",
    doc: "What the meter's count can do, so that a wrong line is told from real flow.",
    keys: &[
        key!(meter.counter.modulus: Whole<u64>, "4294967296", Live, |v| valid::within(v, 2, i64::MAX as u64),
            "The count at which the meter starts again at 0: 65536 for 16 bits, 4294967296 for 32, 1000000 for six digits."),
        key!(meter.counter.max_rate_gpm: Number, "40", Live, |v| valid::above(v, 0.0, 10_000.0),
            "No flow is faster, in gallons a minute. A count that jumps further is not believed."),
        key!(meter.counter.low_flow_gpm: Number, "0.05", Live, |v| valid::within(v, 0.0, 1_000.0),
            "Below it nothing flows, in gallons a minute. What seeps is still counted."),
    ],
};

pub(super) const BATTERY: Section = Section {
    name: "meter.battery",
    doc: "For a meter that tells volts instead of percent.",
    keys: &[key!(meter.battery.curve: Pairs, "[]", Live,
            |v| valid::ascending(v, |volts, percent| volts >= 0.0 && (0.0..=100.0).contains(&percent), "volts from 0, then percent from 0 to 100")
                .and_then(|()| valid::never_falling(v)),
            "Volts to percent, ascending: [[11.8, 0], [12.7, 100]]. Between two points on the line through them, outside that of the nearest. Empty: no battery status from volts.")],
};
