//! What is wrong with a configuration whose every value is good by itself: keys that
//! contradict each other, and values that are taken but that the operator is warned of.
//! Every rule runs; none stops at the first problem. Opens nothing: whether a port or a
//! file is there is `spraylog doctor`'s question.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::defaults::PORT_TO_BE_SET;
use super::layers::{MeterProfile, Origins};
use super::problem::{Origin, Problem};
use super::valid::YEAR;
use super::{Config, GpsSource, not_yet};

/// The profile whose line carries the meter's serial number.
const TELLS_SERIAL: &str = "rig-line";
/// Bits a second that receivers and meters are sold with.
const USUAL_BAUD: [u32; 15] = [
    300, 600, 1200, 2400, 4800, 9600, 14_400, 19_200, 28_800, 38_400, 57_600, 115_200, 230_400,
    460_800, 921_600,
];
/// A note has 250 characters (RULES.md, 29); the record's id and flags take up to these.
const NOTE_ROOM: usize = 190;
/// Below this a slow server may still be at work when it is asked.
const SETTLE_SOON: Duration = Duration::from_secs(30);
/// The window of the plausibility bound, and its margin (RULES.md, 6).
const BOUND_S: f64 = 5.0;
const BOUND_MARGIN: f64 = 1.2;

/// Every problem of a configuration. `profile_tells_serial` is whether the meter's
/// profile reads its serial number: `None` where that isn't known.
pub fn check(
    config: &Config,
    origins: &Origins,
    profile_tells_serial: Option<bool>,
) -> Vec<Problem> {
    let mut findings = Findings::new(origins, BTreeSet::new());
    all(config, profile_tells_serial, &mut findings);
    findings.into_problems()
}

/// Problems as they are found, each with the origin of its key.
#[derive(Debug)]
pub(super) struct Findings<'o> {
    origins: &'o Origins,
    /// Keys whose value was refused before: what rests on them is not judged.
    failed: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl<'o> Findings<'o> {
    pub(super) fn new(origins: &'o Origins, failed: BTreeSet<&'static str>) -> Self {
        Self { origins, failed, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Refuses; the first key is the one to change.
    fn error(&mut self, keys: &[&'static str], message: impl Into<String>) {
        self.find(keys, message.into(), Problem::error);
    }

    pub(super) fn warn(&mut self, keys: &[&'static str], message: impl Into<String>) {
        self.find(keys, message.into(), Problem::warning);
    }

    fn find(
        &mut self,
        keys: &[&'static str],
        message: String,
        problem: fn(Origin, String, String) -> Problem,
    ) {
        let Some(key) = keys.first() else { return };
        if keys.iter().any(|key| self.failed.contains(key)) {
            return;
        }
        // The place of the first of them that somebody set.
        let origin =
            keys.iter().find_map(|key| self.origins.get(key)).cloned().unwrap_or(Origin::Default);
        self.problems.push(problem(origin, (*key).to_string(), message));
    }

    /// Whether there is something about a key already.
    pub(super) fn have(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key == key)
    }

    fn is_set(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }
}

/// The meter's profile, if it was found good; else it is a problem of its key.
pub(super) fn profile(
    found: Result<Option<MeterProfile>, String>,
    findings: &mut Findings<'_>,
) -> Option<MeterProfile> {
    found.unwrap_or_else(|why| {
        findings.error(&["meter.profile"], why);
        None
    })
}

/// Every rule.
pub(super) fn all(
    config: &Config,
    profile_tells_serial: Option<bool>,
    findings: &mut Findings<'_>,
) {
    device(config, findings);
    server(config, findings);
    job(config, findings);
    meter(config, profile_tells_serial, findings);
    ports(config, findings);
    gps(config, findings);
    record(config, findings);
    retry(config, findings);
    status(config, findings);
    not_yet::all(config, findings);
}

fn device(config: &Config, findings: &mut Findings<'_>) {
    let dir = &config.device.data_dir;
    if ["/tmp", "/run", "/dev/shm", "/var/run"].iter().any(|memory| dir.starts_with(memory)) {
        findings.warn(
            &["device.data_dir"],
            "is lost at a power cut or restart on most boards: set a directory on the disk, as /var/lib/spraylog",
        );
    }
}

fn server(config: &Config, findings: &mut Findings<'_>) {
    let server = &config.jobcloser;
    id("jobcloser.company_id", &server.company_id, findings);
    if server.settle_after < SETTLE_SOON {
        findings.warn(
            &["jobcloser.settle_after"],
            "is short: a server that stores a batch later than that would get it twice; 60s is safe",
        );
    }
    if server.email_file.as_os_str().is_empty() != server.password_file.as_os_str().is_empty() {
        findings.error(
            &["jobcloser.email_file", "jobcloser.password_file"],
            "email_file and password_file go together: set both, or empty both",
        );
    }
}

fn job(config: &Config, findings: &mut Findings<'_>) {
    let job = &config.job;
    id("job.event_id", &job.event_id, findings);
    id("job.job_id", &job.job_id, findings);
    id("job.job_item_id", &job.job_item_id, findings);
    id("job.product_id", &job.product_id, findings);
    match (job.event_id.is_empty(), job.job_id.is_empty()) {
        (false, true) => findings.error(
            &["job.event_id", "job.job_id"],
            "is set and job.job_id is not: set both, or empty both",
        ),
        (true, false) => findings.error(
            &["job.job_id", "job.event_id"],
            "is set and job.event_id is not: set both, or empty both",
        ),
        (true, true) => {
            for (key, value) in
                [("job.job_item_id", &job.job_item_id), ("job.product_id", &job.product_id)]
            {
                if !value.is_empty() {
                    findings
                        .warn(&[key, "job.job_id"], "has no effect without event_id and job_id");
                }
            }
        }
        (false, false) => {}
    }
    let length = job.note.chars().count();
    if length > NOTE_ROOM {
        findings.warn(
            &["job.note"],
            format!("has {length} characters: what comes after about {NOTE_ROOM} may be cut"),
        );
    }
}

fn id(key: &'static str, value: &str, findings: &mut Findings<'_>) {
    if !value.is_empty() && !super::valid::is_usual_id(value) {
        findings.warn(&[key], "doesn't look like an id of JobCloser's, which has 30 hexadecimal digits: copy it again");
    }
}

fn meter(config: &Config, profile_tells_serial: Option<bool>, findings: &mut Findings<'_>) {
    let meter = &config.meter;
    let tells = profile_tells_serial.or((meter.profile == TELLS_SERIAL).then_some(true));
    if meter.serial_number.is_empty() && tells == Some(false) {
        findings.error(
            &["meter.serial_number", "meter.profile"],
            "is empty, and a meter of this profile doesn't tell it: set it from the meter's plate",
        );
    }
    let counter = &meter.counter;
    if counter.low_flow_gpm >= counter.max_rate_gpm {
        findings.error(
            &["meter.counter.low_flow_gpm", "meter.counter.max_rate_gpm"],
            "is not below max_rate_gpm: nothing would ever flow",
        );
    }
    let fastest_k = meter
        .calibration
        .points
        .iter()
        .map(|point| point.1)
        .fold(meter.calibration.factor, f64::max);
    let bound = counter.max_rate_gpm / 60.0 * BOUND_S * fastest_k * BOUND_MARGIN;
    if bound >= counter.modulus as f64 / 2.0 {
        findings.warn(
            &["meter.counter.modulus", "meter.counter.max_rate_gpm", "meter.calibration.factor"],
            format!("is small for this flow: {bound:.0} counts can pass in 5 s, so that a rollover can't be told from a jump"),
        );
    }
    if !config.meter.calibration.points.is_empty() && !findings.is_set("meter.calibration.factor") {
        findings.warn(
            &["meter.calibration.points", "meter.calibration.factor"],
            "has no factor beside it: set meter.calibration.factor too, it serves outside the points",
        );
    }
}

fn ports(config: &Config, findings: &mut Findings<'_>) {
    port("meter.port", &config.meter.port, findings);
    baud("meter.baud", config.meter.baud, findings);
    if config.gps.source != GpsSource::Serial {
        return;
    }
    port("gps.port", &config.gps.port, findings);
    baud("gps.baud", config.gps.baud, findings);
    if config.gps.port == config.meter.port && !to_be_set(&config.gps.port) {
        findings.error(&["gps.port", "meter.port"], "is the meter's port too: each needs its own");
    }
}

fn port(key: &'static str, path: &Path, findings: &mut Findings<'_>) {
    let name = path.to_string_lossy();
    if to_be_set(path) {
        findings.warn(
            &[key],
            "isn't set yet, so nothing is read from it: put in a name from `ls /dev/serial/by-id`",
        );
    } else if name.starts_with("/dev/ttyUSB") || name.starts_with("/dev/ttyACM") {
        findings.warn(
            &[key],
            "is a name that changes when cables are moved: use the stable one, from `ls -l /dev/serial/by-id`",
        );
    }
}

/// The placeholder of the shipped file, or anything else with its dots in it.
/// Whether a port is still what the shipped file has in its place.
pub fn to_be_set(path: &Path) -> bool {
    path == Path::new(PORT_TO_BE_SET) || path.to_string_lossy().contains('…')
}

fn baud(key: &'static str, baud: u32, findings: &mut Findings<'_>) {
    if !USUAL_BAUD.contains(&baud) {
        findings
            .warn(&[key], format!("{baud} is unusual: compare with the manual, 9600 is common"));
    }
}

fn gps(config: &Config, findings: &mut Findings<'_>) {
    let gps = &config.gps;
    if gps.source == GpsSource::Fixed && gps.fixed.is_none() {
        findings.error(
            &["gps.fixed", "gps.source"],
            "is empty, and gps.source is \"fixed\": set [latitude, longitude]",
        );
    }
    if gps.source != GpsSource::Fixed && gps.fixed.is_some() {
        findings.warn(&["gps.fixed", "gps.source"], "has no effect: gps.source is not \"fixed\"");
    }
    let no_gps_time = matches!(gps.source, GpsSource::Fixed | GpsSource::None);
    if no_gps_time && config.clock.trust_system == super::TrustSystem::Never {
        findings.warn(
            &["clock.trust_system", "gps.source"],
            "is \"never\" and there is no GPS to tell the time: every record will be held for want of a time",
        );
    }
}

fn record(config: &Config, findings: &mut Findings<'_>) {
    let record = &config.record;
    if !record.idle_every.is_zero() && record.idle_every < record.every {
        findings.warn(
            &["record.idle_every", "record.every"],
            "is shorter than record.every: more is recorded at rest than in work",
        );
    }
    if config.queue.retention < YEAR * 3 {
        findings.warn(
            &["queue.retention"],
            "is under three years: delivered records are gone from this board before some regulators may ask for them",
        );
    }
}

fn retry(config: &Config, findings: &mut Findings<'_>) {
    let retry = &config.retry;
    if retry.connect_max < retry.initial {
        findings.error(&["retry.connect_max", "retry.initial"], "is shorter than retry.initial");
    }
    if retry.max < retry.connect_max {
        findings.error(&["retry.max", "retry.connect_max"], "is shorter than retry.connect_max");
    }
}

fn status(config: &Config, findings: &mut Findings<'_>) {
    if config.status.listen.is_some_and(|address| !address.ip().is_loopback()) {
        findings.warn(
            &["status.listen"],
            "is open to the network, and the page has no password: 127.0.0.1:8377 keeps it on this machine",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn found(change: impl FnOnce(&mut Config), tells: Option<bool>) -> Vec<(String, Severity)> {
        let mut config = Config::default();
        config.meter.port = "/dev/serial/by-id/meter".into();
        config.gps.port = "/dev/serial/by-id/gps".into();
        change(&mut config);
        check(&config, &Origins::new(), tells).into_iter().map(|p| (p.key, p.severity)).collect()
    }

    fn error(key: &str) -> Vec<(String, Severity)> {
        vec![(key.into(), Severity::Error)]
    }

    fn warning(key: &str) -> Vec<(String, Severity)> {
        vec![(key.into(), Severity::Warning)]
    }

    #[test]
    fn a_sane_rig_has_no_problem() {
        assert_eq!(found(|_| {}, None), []);
    }

    #[test]
    fn an_empty_serial_is_refused_where_the_profile_cannot_read_one() {
        let other = |c: &mut Config| c.meter.profile = "tuf-2000m".into();
        assert_eq!(found(other, Some(false)), error("meter.serial_number"));
        assert_eq!(found(other, Some(true)), []);
        assert_eq!(found(other, None), []);
        assert_eq!(found(|c| c.meter.serial_number = "A1".into(), Some(false)), []);
    }

    #[test]
    fn event_and_job_go_together() {
        let id = "0160366349ff2c5b8967a54178a716";
        assert_eq!(found(|c| c.job.event_id = id.into(), None), error("job.event_id"));
        assert_eq!(found(|c| c.job.job_id = id.into(), None), error("job.job_id"));
        assert_eq!(found(|c| c.job.product_id = id.into(), None), warning("job.product_id"));
        let both = |c: &mut Config| (c.job.event_id, c.job.job_id) = (id.into(), id.into());
        assert_eq!(found(both, None), []);
    }

    #[test]
    fn an_id_of_another_shape_is_told_and_not_refused() {
        assert_eq!(
            found(|c| c.jobcloser.company_id = "acme".into(), None),
            warning("jobcloser.company_id")
        );
    }

    #[test]
    fn two_devices_do_not_share_a_port() {
        assert_eq!(found(|c| c.gps.port = c.meter.port.clone(), None), error("gps.port"));
        let gpsd =
            |c: &mut Config| (c.gps.port, c.gps.source) = (c.meter.port.clone(), GpsSource::Gpsd);
        assert_eq!(found(gpsd, None), [], "a port that nobody opens");
    }

    #[test]
    fn a_port_that_is_not_set_or_not_stable_is_told() {
        assert_eq!(found(|c| c.meter.port = PORT_TO_BE_SET.into(), None), warning("meter.port"));
        assert_eq!(
            found(|c| c.meter.port = "/dev/serial/by-id/usb-…-port0".into(), None),
            warning("meter.port")
        );
        assert_eq!(found(|c| c.gps.port = "/dev/ttyUSB0".into(), None), warning("gps.port"));
    }

    #[test]
    fn waits_do_not_shrink() {
        let s = Duration::from_secs;
        assert_eq!(found(|c| c.retry.initial = s(20), None), error("retry.connect_max"));
        assert_eq!(found(|c| c.retry.max = s(10), None), error("retry.max"));
    }

    #[test]
    fn a_fixed_rig_says_where_it_stands() {
        assert_eq!(found(|c| c.gps.source = GpsSource::Fixed, None), error("gps.fixed"));
        assert_eq!(found(|c| c.gps.fixed = Some((32.6, -85.4)), None), warning("gps.fixed"));
    }

    #[test]
    fn what_weakens_the_evidence_is_told() {
        assert_eq!(found(|c| c.queue.retention = YEAR * 2, None), warning("queue.retention"));
        assert_eq!(
            found(|c| c.jobcloser.settle_after = Duration::from_secs(2), None),
            warning("jobcloser.settle_after")
        );
        assert_eq!(
            found(|c| c.meter.counter.modulus = 1000, None),
            warning("meter.counter.modulus")
        );
        assert_eq!(
            found(|c| c.device.data_dir = "/tmp/x".into(), None),
            warning("device.data_dir")
        );
        assert_eq!(
            found(|c| c.status.listen = Some(([0, 0, 0, 0], 8377).into()), None),
            warning("status.listen")
        );
        assert_eq!(found(|c| c.meter.baud = 9700, None), warning("meter.baud"));
    }

    #[test]
    fn a_cut_off_above_the_fastest_flow_is_refused() {
        assert_eq!(
            found(|c| c.meter.counter.low_flow_gpm = 40.0, None),
            error("meter.counter.low_flow_gpm")
        );
    }

    #[test]
    fn what_rests_on_a_refused_value_is_not_judged() {
        let origins = Origins::new();
        let mut config = Config::default();
        config.gps.source = GpsSource::Fixed;
        let mut findings = Findings::new(&origins, BTreeSet::from(["gps.fixed"]));
        gps(&config, &mut findings);
        assert_eq!(findings.into_problems(), []);
    }
}
