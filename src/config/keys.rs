//! Every key that `spraylog.toml` takes, in the order in which they are shown. A row here
//! is all it takes to add one, besides its field and default: the shipped file, the
//! reference and the unknown-key check follow, and a test holds them to it.

mod meter;
mod place;
mod record;
mod server;

use super::key::{Key, Section};
pub use place::max_hdop;

/// The sections in the order in which they are shown.
pub static SECTIONS: &[Section] = &[
    server::DEVICE,
    server::JOBCLOSER,
    server::JOB,
    meter::METER,
    meter::CALIBRATION,
    meter::COUNTER,
    meter::BATTERY,
    place::GPS,
    place::CLOCK,
    record::RECORD,
    record::STAND_IN,
    record::QUEUE,
    record::RETRY,
    record::STATUS,
    record::LOG,
];

/// Every key, in order.
pub fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The key at `path`, as in `meter.baud`.
pub fn find(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

/// The keys whose values differ: what a reload brings, or would bring after a restart.
pub fn changed(old: &super::Config, new: &super::Config) -> Vec<&'static Key> {
    all().filter(|key| (key.write)(old) != (key.write)(new)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_key_is_under_its_section_once() {
        let mut seen = BTreeSet::new();
        for section in SECTIONS {
            for key in section.keys {
                assert_eq!(key.path, format!("{}.{}", section.name, key.name()));
                assert!(seen.insert(key.path), "{} twice", key.path);
            }
        }
    }

    #[test]
    fn a_change_is_named_by_its_key() {
        let old = super::super::Config::default();
        let mut new = old.clone();
        new.meter.calibration.factor = 130.0;
        new.record.stand_in.fluid_f = Some(70.0);
        let paths: Vec<_> = changed(&old, &new).iter().map(|key| key.path).collect();
        assert_eq!(paths, ["meter.calibration.factor", "record.stand_in.fluid_f"]);
    }
}
