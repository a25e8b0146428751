//! What is in force where nobody set anything. A test holds these values to the defaults
//! in the table of keys.

use std::path::PathBuf;
use std::time::Duration;

use super::{
    Calibration, Clock, Counter, Device, Framing, Gps, GpsSource, JobCloser, Log, Meter, Parity,
    Queue, Record, Retry, StandIn, Status, TrustSystem,
};

/// Stands where a port must be set. It opens nothing.
pub(super) const PORT_TO_BE_SET: &str = "/dev/serial/by-id/…";

const DAY_S: u64 = 86_400;

impl Default for Device {
    fn default() -> Self {
        Self {
            name: String::new(),
            timezone: "America/Chicago".into(),
            data_dir: PathBuf::from("/var/lib/spraylog"),
        }
    }
}

impl Default for JobCloser {
    fn default() -> Self {
        Self {
            base_url: "https://jobcloser.com".into(),
            email_file: "/etc/spraylog/credentials/email".into(),
            password_file: "/etc/spraylog/credentials/password".into(),
            company_id: String::new(),
            batch_records: 100,
            batch_bytes: 256 << 10,
            body_wrapper: String::new(),
            max_count: 2_147_483_647,
            timeout: Duration::from_secs(30),
            settle_after: Duration::from_secs(60),
            ca_file: PathBuf::new(),
        }
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self { data_bits: 8, parity: Parity::None, stop_bits: 1 }
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            profile: "rig-line".into(),
            port: PORT_TO_BE_SET.into(),
            baud: 9600,
            framing: Framing::default(),
            poll_every: Duration::from_secs(1),
            unit: 1,
            serial_number: String::new(),
            stale_after: Duration::from_secs(5),
            calibration: Calibration::default(),
            counter: Counter::default(),
            battery: super::Battery::default(),
        }
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self { factor: 126.7, points: Vec::new() }
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self { modulus: 1 << 32, max_rate_gpm: 40.0, low_flow_gpm: 0.05 }
    }
}

impl Default for Gps {
    fn default() -> Self {
        Self {
            source: GpsSource::Serial,
            port: PORT_TO_BE_SET.into(),
            baud: 9600,
            gpsd: "127.0.0.1:2947".into(),
            max_hdop: 5.0,
            stale_after: Duration::from_secs(3),
            fixed: None,
            backfill: false,
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { trust_system: TrustSystem::Auto }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            every_m: 2.0,
            every_gal: 0.5,
            idle_every: Duration::ZERO,
            stand_in: StandIn::default(),
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        // A year is 365.25 days, as in `humantime`.
        Self {
            retention: Duration::from_secs(3 * (365 * DAY_S + DAY_S / 4)),
            max_bytes: 8 << 30,
            min_free: 64 << 20,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            connect_max: Duration::from_secs(15),
            max: Duration::from_secs(300),
        }
    }
}

impl Default for Status {
    fn default() -> Self {
        Self {
            listen: Some(([127, 0, 0, 1], 8377).into()),
            socket: "/run/spraylog/control.sock".into(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, keys, spans};

    #[test]
    fn the_defaults_in_code_are_those_of_the_table() {
        let mut config = Config::default();
        for key in keys::all().filter(|key| key.default.is_some()) {
            let value = spans::value(&key.example_toml()).unwrap();
            (key.set)(&mut config, &value).unwrap_or_else(|e| panic!("{}: {e:?}", key.path));
            assert_eq!(config, Config::default(), "{}", key.path);
        }
    }

    #[test]
    fn what_has_no_default_is_unset() {
        for key in keys::all() {
            assert_eq!(
                (key.write)(&Config::default()).is_none(),
                key.default.is_none(),
                "{}",
                key.path
            );
        }
    }
}
