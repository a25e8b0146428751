//! Keys that this version takes and does nothing with: whoever sets one to something else
//! than its default is told, so that nobody relies on it. Each goes with its feature.

use super::check::Findings;
use super::{Config, keys};

/// The keys, and what doesn't happen.
const NOT_YET: &[(&str, &str)] = &[("status.listen", "this version has no page")];

/// Warns of them.
pub(super) fn all(config: &Config, findings: &mut Findings<'_>) {
    let usual = Config::default();
    for (path, why) in NOT_YET {
        let (Some(key), false) = (keys::find(path), findings.have(path)) else { continue };
        // No page is what there is.
        let as_it_is = match *path {
            "status.listen" => config.status.listen.is_none(),
            _ => false,
        };
        if !as_it_is && (key.write)(config) != (key.write)(&usual) {
            findings.warn(&[path], format!("has no effect: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::super::layers::Origins;
    use super::super::{Severity, spans};
    use super::*;

    fn told(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        config.meter.port = "/dev/serial/by-id/meter".into();
        config.gps.port = "/dev/serial/by-id/gps".into();
        change(&mut config);
        let found = check(&config, &Origins::new(), None);
        assert!(found.iter().all(|p| p.severity == Severity::Warning));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_does_nothing_yet_is_told_once_it_is_set_and_no_sooner() {
        assert_eq!(told(|_| {}), [""; 0]);
        let other = ["'127.0.0.1:1'"];
        for ((path, why), value) in NOT_YET.iter().zip(other) {
            let value = spans::value(value).unwrap();
            let told = told(|config| (keys::find(path).unwrap().set)(config, &value).unwrap());
            assert_eq!(told, [format!("warning: {path}: has no effect: {why}")]);
        }
        assert_eq!(told(|config| config.status.listen = None), [""; 0]);
    }
}
