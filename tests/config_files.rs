//! The configuration as a technician meets it: files, layers, variables, and what is said
//! of a wrong one. Everything goes through the public doors of `spraylog::config`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;
use spraylog::config::Source;
use spraylog::config::annotate::annotated;
use spraylog::config::load::{data_dir_hint, load_with, text_of};
use spraylog::config::{
    Config, Loaded, MeterProfile, Origin, Problems, Severity, keys, load, reference,
};

/// For each key, values that it must refuse, as TOML. What any key refuses (a date, a
/// table, inf and nan) is tried on all of them besides.
const WRONG: &[(&str, &[&str])] = &[
    ("device.name", &["7", "'''a\nb'''"]),
    ("device.timezone", &["''", "'America/Chicgo'", "5"]),
    ("device.data_dir", &["''", "'var/lib'", "'/'"]),
    (
        "jobcloser.base_url",
        &["''", "'jobcloser.com'", "'http://jobcloser.com'", "'https://a@b'", "'https://b?c'"],
    ),
    ("jobcloser.email_file", &["'email'", "5"]),
    ("jobcloser.password_file", &["'password'", "5"]),
    ("jobcloser.company_id", &["'two words'", "5"]),
    ("jobcloser.batch_records", &["0", "10001", "'100'", "-1"]),
    ("jobcloser.batch_bytes", &["'2047 B'", "'65 MiB'", "262144", "'lots'"]),
    ("jobcloser.body_wrapper", &["5", "\"a\\nb\""]),
    ("jobcloser.max_count", &["999999", "9223372036854775808", "-1"]),
    ("jobcloser.timeout", &["'0s'", "'11m'", "30", "'30'"]),
    ("jobcloser.settle_after", &["'0s'", "'2h'", "60"]),
    ("jobcloser.ca_file", &["'ca.pem'", "5"]),
    ("job.event_id", &["'a b'", "5"]),
    ("job.job_id", &["'a b'", "5"]),
    ("job.job_item_id", &["'a b'", "5"]),
    ("job.product_id", &["'a b'", "5"]),
    ("job.note", &["5", "\"a\\tb\""]),
    ("meter.profile", &["''", "5"]),
    ("meter.port", &["''", "'ttyUSB0'", "5"]),
    ("meter.baud", &["0", "299", "'9600'", "9600.5", "-9600", "99999999999"]),
    ("meter.framing", &["''", "'8N3'", "'9N1'", "'8X1'", "8"]),
    ("meter.poll_every", &["'99ms'", "'2m'", "1"]),
    ("meter.unit", &["0", "248", "256", "'1'"]),
    ("meter.serial_number", &["5", "' A1'", "'A\u{e9}'"]),
    ("meter.stale_after", &["'0s'", "'2h'", "5"]),
    ("meter.calibration.factor", &["0", "-1.5", "'126.7'", "1e10"]),
    (
        "meter.calibration.points",
        &[
            "[1, 2]",
            "[[1, 2]]",
            "[[2, 1], [1, 1]]",
            "[[1, 0], [2, 1]]",
            "[[1, 2, 3], [4, 5, 6]]",
            "5",
        ],
    ),
    ("meter.counter.modulus", &["1", "0", "-1", "'x'"]),
    ("meter.counter.max_rate_gpm", &["0", "-1", "1e5"]),
    ("meter.counter.low_flow_gpm", &["-0.1", "1001"]),
    (
        "meter.battery.curve",
        &[
            "[[11.8, 0]]",
            "[[12.7, 100], [11.8, 0]]",
            "[[1, 0], [2, 101]]",
            "[[1, 50], [2, 40]]",
            "'x'",
        ],
    ),
    ("gps.source", &["''", "'Serial'", "'usb'", "5"]),
    ("gps.port", &["''", "'gps'", "5"]),
    ("gps.baud", &["0", "'9600'"]),
    ("gps.gpsd", &["''", "'127.0.0.1'", "'host:0'", "'ho st:1'"]),
    ("gps.max_hdop", &["0", "51", "'5'"]),
    ("gps.stale_after", &["'0s'", "3"]),
    ("gps.fixed", &["[0, 0]", "[91, 0]", "[0, 181]", "[1]", "[1, 2, 3]", "'x'"]),
    ("gps.backfill", &["'true'", "1"]),
    ("clock.trust_system", &["''", "'yes'", "true"]),
    ("record.every", &["'0s'", "'999ms'", "'2h'", "5"]),
    ("record.every_m", &["0", "-1", "'2'"]),
    ("record.every_gal", &["0", "-1", "'0.5'"]),
    ("record.idle_every", &["'500ms'", "'25h'", "0"]),
    ("record.stand_in.fluid_f", &["'70'", "300"]),
    ("record.stand_in.ambient_f", &["'70'", "-100"]),
    ("record.stand_in.battery_percent", &["101", "-1"]),
    ("record.stand_in.runtime_min", &["-1", "'x'"]),
    ("queue.retention", &["'0s'", "'364d'", "3"]),
    ("queue.max_bytes", &["'1 KiB'", "8589934592", "'x'"]),
    ("queue.min_free", &["'-1 B'", "5"]),
    ("retry.initial", &["'0s'", "'199ms'", "1"]),
    ("retry.connect_max", &["'0s'", "'2h'", "15"]),
    ("retry.max", &["'0s'", "'25h'", "5"]),
    ("status.listen", &["'8377'", "'127.0.0.1'", "8377"]),
    ("status.socket", &["''", "'control.sock'", "5"]),
    ("log.level", &["''", "'INFO'", "'chatty'", "5"]),
];

/// A directory with a configuration in it.
struct Etc(tempfile::TempDir);

impl Etc {
    fn new(main: &str) -> Self {
        let etc = Self(tempfile::tempdir().unwrap());
        fs::write(etc.path(), main).unwrap();
        etc
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("spraylog.toml")
    }

    fn with(self, name: &str, text: &str) -> Self {
        let dir = self.0.path().join("conf.d");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), text).unwrap();
        self
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(Some(&self.path()), [])
    }

    fn load_env(&self, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
        load(
            Some(&self.path()),
            env.iter().map(|(name, value)| (name.to_string(), value.to_string())),
        )
    }
}

fn errors(problems: &Problems) -> Vec<String> {
    problems.0.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect()
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap()
}

#[test]
fn every_key_refuses_what_is_wrong_and_names_its_line() {
    let mut tried = BTreeSet::new();
    for (path, wrong) in WRONG {
        tried.insert(*path);
        let (section, name) = split(path);
        let everywhere = ["1979-05-27", "{ x = 1 }", "inf", "nan"];
        for value in wrong.iter().chain(&everywhere) {
            let etc = Etc::new(&format!("# a comment\n\n[{section}]\n{name} = {value}\n"));
            let problems = etc.load().expect_err(&format!("{path} = {value} was taken"));
            let hit = problems.0.iter().find(|p| p.key == *path && p.severity == Severity::Error);
            let hit = hit.unwrap_or_else(|| panic!("{path} = {value}: {problems}"));
            assert_eq!((hit.line(), hit.file()), (Some(4), Some(etc.path().as_path())), "{hit}");
            assert!(hit.to_string().contains(&format!("spraylog.toml:4: {path}: ")), "{hit}");
        }
    }
    let known: BTreeSet<&str> = keys::all().map(|key| key.path).collect();
    assert_eq!(tried, known, "every key has values here that it must refuse");
}

#[test]
fn every_key_refuses_the_same_from_the_environment_and_names_the_variable() {
    let etc = Etc::new("");
    for key in keys::all() {
        let wrong = if key.textual { "\u{7}" } else { "lots" };
        let problems = etc.load_env(&[(&key.variable(), wrong)]).expect_err(key.path);
        let text = problems.to_string();
        assert!(
            text.contains(&format!("environment {}: {}: ", key.variable(), key.path)),
            "{text}"
        );
    }
}

#[test]
fn every_key_can_be_set_by_its_variable() {
    let etc = Etc::new("");
    let examples: Vec<(String, String)> =
        keys::all().map(|key| (key.variable(), key.example.to_string())).collect();
    let loaded = load(Some(&etc.path()), examples).unwrap();
    assert_eq!(loaded.origins.len(), keys::all().count());
    assert_eq!(loaded.config.record.stand_in.battery_percent, Some(100.0));
    assert_eq!(
        Config { record: Config::default().record, ..loaded.config },
        named(Config::default())
    );
}

/// A configuration of which `load` filled in the host name.
fn named(mut config: Config) -> Config {
    config.device.name = Etc::new("").load().unwrap().config.device.name;
    config
}

#[test]
fn an_empty_file_is_the_defaults_and_the_host_name() {
    let loaded = Etc::new("").load().unwrap();
    assert!(!loaded.config.device.name.is_empty());
    assert_eq!(loaded.config, named(Config::default()));
    assert!(loaded.origins.is_empty());
}

#[test]
fn a_later_layer_wins_key_by_key() {
    let etc = Etc::new(
        "[meter]\nbaud = 1200\nunit = 2\n[meter.calibration]\nfactor = 1\n[gps]\nbaud = 1200\n",
    )
    .with("20-late.toml", "meter.baud = 4800\n")
    .with("10-early.toml", "[meter]\nbaud = 2400\nprofile = \"other\"\n")
    .with("30-not.conf", "meter.baud = 300\n")
    .with(".31-hidden.toml", "meter.baud = 300\n");
    let loaded =
        etc.load_env(&[("SPRAYLOG_METER__CALIBRATION__FACTOR", "3.5"), ("HOME", "/root")]).unwrap();
    let config = &loaded.config;
    assert_eq!(
        (config.meter.baud, config.meter.unit, config.meter.profile.as_str()),
        (4800, 2, "other")
    );
    assert_eq!((config.meter.calibration.factor, config.gps.baud), (3.5, 1200));

    let from = |key: &str| loaded.origins[key].clone();
    let conf_d = etc.0.path().join("conf.d");
    assert_eq!(from("meter.baud"), Origin::line(conf_d.join("20-late.toml"), 1));
    assert_eq!(from("meter.profile"), Origin::line(conf_d.join("10-early.toml"), 3));
    assert_eq!(from("gps.baud"), Origin::line(etc.path(), 7));
    assert_eq!(
        from("meter.calibration.factor"),
        Origin::Environment("SPRAYLOG_METER__CALIBRATION__FACTOR".into())
    );
    assert_eq!(
        loaded.sources,
        [
            Source::File(etc.path()),
            Source::File(conf_d.join("10-early.toml")),
            Source::File(conf_d.join("20-late.toml")),
            Source::Environment(vec!["SPRAYLOG_METER__CALIBRATION__FACTOR".into()]),
        ]
    );
}

#[test]
fn a_server_ends_without_a_slash() {
    let etc = Etc::new("jobcloser.base_url = \"https://jobcloser.com/\"\n");
    assert_eq!(etc.load().unwrap().config.jobcloser.base_url, "https://jobcloser.com");
}

#[test]
fn a_list_replaces_a_list() {
    let etc = Etc::new("[meter.battery]\ncurve = [[11, 0], [12, 50], [13, 100]]\n")
        .with("a.toml", "meter.battery.curve = [[11.8, 0], [12.7, 100]]\n");
    assert_eq!(etc.load().unwrap().config.meter.battery.curve, [(11.8, 0.0), (12.7, 100.0)]);
}

#[test]
fn variables_are_taken_as_written_and_their_types_are_not_guessed() {
    let etc = Etc::new("");
    let loaded = etc.load_env(&[
        ("SPRAYLOG_METER__SERIAL_NUMBER", "0012345"),
        ("SPRAYLOG_DEVICE__NAME", "true"),
        ("SPRAYLOG_GPS__FIXED", "[32.6, -85.4]"),
        ("SPRAYLOG_GPS__SOURCE", "fixed"),
        ("SPRAYLOG_STATUS__LISTEN", ""),
    ]);
    let config = loaded.unwrap().config;
    assert_eq!(
        (config.meter.serial_number.as_str(), config.device.name.as_str()),
        ("0012345", "true")
    );
    assert_eq!((config.gps.fixed, config.status.listen), (Some((32.6, -85.4)), None));
}

#[test]
fn a_misspelt_variable_is_refused_and_one_that_is_no_key_is_told() {
    let etc = Etc::new("");
    let refused = etc.load_env(&[("SPRAYLOG_METER__BAUDS", "1")]).unwrap_err().to_string();
    assert!(
        refused.contains(
            "environment SPRAYLOG_METER__BAUDS: unknown key; did you mean \"SPRAYLOG_METER__BAUD\"?"
        ),
        "{refused}"
    );
    let loaded = etc.load_env(&[("SPRAYLOG_METER_BAUD", "1"), ("SPRAYLOGGER__X", "1")]).unwrap();
    let told: Vec<_> = loaded.warnings.iter().filter_map(|w| w.suggestion.clone()).collect();
    assert_eq!(told, ["SPRAYLOG_METER__BAUD"]);
    let strangers = |variables: &[(&str, &str)]| {
        let loaded = etc.load_env(variables).unwrap();
        loaded.warnings.iter().filter(|w| matches!(w.origin, Origin::Environment(_))).count()
    };
    assert_eq!(strangers(&[("SPRAYLOG_CONFIG", "x")]), 0);
    let of_tests = [("SPRAYLOG_TEST_CLOCK", "x"), ("SPRAYLOG_FAILPOINT", "x")];
    assert_eq!(strangers(&of_tests), if cfg!(feature = "testhooks") { 0 } else { 2 });
}

#[test]
fn every_problem_of_every_layer_is_told_at_once() {
    let etc =
        Etc::new("[meter]\nbauds = 1\nunit = 0\n[metre]\nx = 1\n[retry]\ninitial = \"30s\"\n")
            .with("a.toml", "log.level = \"chatty\"\n[gps]\nsource = \"serail\"\n")
            .with("b.toml", "[job]\nevent_id = \"0160366349ff2c5b8967a54178a716\"\n");
    let problems = etc.load_env(&[("SPRAYLOG_QUEUE__RETENTION", "1d")]).unwrap_err();
    let keys: Vec<_> = problems
        .0
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .map(|p| p.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "meter.bauds",
            "meter.unit",
            "metre",
            "retry.connect_max",
            "log.level",
            "gps.source",
            "job.event_id",
            "queue.retention"
        ],
        "{problems}"
    );
    assert_eq!(problems.to_string().lines().count(), problems.0.len());
}

#[test]
fn a_value_that_a_later_layer_overrides_is_told_too() {
    let etc = Etc::new("meter.unit = 0\n").with("a.toml", "meter.unit = 1\n");
    assert_eq!(errors(&etc.load().unwrap_err()).len(), 1);
}

#[rstest]
#[case("[meter]\nbauds = 1", "2: meter.bauds: unknown key; did you mean \"baud\"?")]
#[case("[metr]\nbaud = 1", "1: metr: unknown section; did you mean \"meter\"?")]
#[case(
    "[meter]\nfactor = 1",
    "2: meter.factor: unknown key; did you mean \"meter.calibration.factor\"?"
)]
#[case(
    "[meter.calibratoin]\nfactor = 1",
    "1: meter.calibratoin: unknown key; did you mean \"calibration\"?"
)]
#[case("baud = 1", "1: baud: unknown section; did you mean \"meter.baud\"?")]
#[case(
    "[gps]\nsource = \"seriel\"",
    "2: gps.source: expected \"serial\", \"gpsd\", \"fixed\" or \"none\", found \"seriel\"; did you mean \"serial\"?"
)]
#[case(
    "device.timezone = \"America/Chicgo\"",
    "1: device.timezone: isn't a time zone: write an IANA name, as in \"America/Chicago\"; did you mean \"America/Chicago\"?"
)]
#[case(
    "[meter]\nbaud = \"9600\"",
    "2: meter.baud: expected a whole number without quotes, found text in quotes"
)]
fn a_slip_is_told_with_what_was_meant(#[case] text: &str, #[case] said: &str) {
    let etc = Etc::new(text);
    let problems = etc.load().unwrap_err();
    assert_eq!(errors(&problems), [format!("{}:{said}", etc.path().display())]);
}

#[test]
fn a_syntax_error_has_line_and_column_and_the_other_problems_are_told_with_it() {
    let etc = Etc::new("[meter]\r\nbaud = \r\nunit = 0\r\n").with("a.toml", "meter.bauds = 1\n");
    let problems = etc.load().unwrap_err();
    let said = errors(&problems);
    assert!(said[0].contains("spraylog.toml:2:8: not valid TOML: "), "{problems}");
    assert!(said.iter().any(|p| p.contains("spraylog.toml:3: meter.unit: ")), "{problems}");
    assert!(said.iter().any(|p| p.contains("a.toml:1: meter.bauds: ")), "{problems}");
    assert_eq!(said.len(), 3, "{problems}");
}

#[test]
fn lines_end_as_on_any_machine() {
    let unix = reference::shipped().replace("baud = 9600", "baud = 4800");
    let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n"));
    let (unix, windows) = (Etc::new(&unix), Etc::new(&windows));
    assert_eq!(unix.load().unwrap().config, windows.load().unwrap().config);
    let line = |etc: &Etc| match etc.load().unwrap().origins["gps.baud"] {
        Origin::File { line, .. } => line,
        _ => None,
    };
    assert_eq!(line(&unix), line(&windows));
}

#[test]
fn a_file_that_is_missing_or_unreadable_is_a_problem() {
    let etc = Etc::new("");
    let missing = load(Some(&etc.0.path().join("other.toml")), []).unwrap_err();
    assert!(missing.to_string().contains("other.toml: no such file"), "{missing}");
    fs::write(etc.path(), b"[meter]\nprofile = \"\xff\"\n").unwrap();
    let latin = etc.load().unwrap_err();
    assert!(latin.to_string().contains("spraylog.toml:2: isn't UTF-8"), "{latin}");
    fs::write(etc.path(), "#".repeat((1 << 20) + 1)).unwrap();
    assert!(etc.load().unwrap_err().to_string().contains("is larger than"));
    fs::remove_file(etc.path()).unwrap();
    fs::create_dir(etc.path()).unwrap();
    assert!(etc.load().unwrap_err().to_string().contains("can't be read"));
}

#[test]
fn the_effective_text_loads_as_the_same_configuration() {
    let etc = Etc::new(
        "[device]\nname = \"rig \\\"7\\\" \u{e9} '\"\ndata_dir = \"/srv/a b\\\\c\"\n\
         [jobcloser]\nbase_url = \"http://[::1]:8080\"\ntimeout = \"1500ms\"\nsettle_after = \"90s\"\nbatch_bytes = \"3000 B\"\nmax_count = 9223372036854775807\n\
         [meter]\nframing = \"7e2\"\nserial_number = \"0012\"\n\
         [meter.calibration]\nfactor = 0.1\npoints = [[103.6, 2749.99], [769.7, 1e3]]\n\
         [meter.counter]\nmodulus = 1000000\n\
         [gps]\nsource = \"fixed\"\nfixed = [32.123456789012345, -85.4]\n\
         [record.stand_in]\nfluid_f = -40\n[status]\nlisten = \"\"\n",
    );
    let loaded = etc.load_env(&[("SPRAYLOG_JOB__NOTE", "ends with \\ and # and ''")]).unwrap();
    let again = Etc::new(&text_of(&loaded)).load().unwrap();
    assert_eq!(again.config, loaded.config);
    assert_eq!(text_of(&again), text_of(&loaded));
    let annotated = annotated(&loaded, |_| None);
    assert_eq!(Etc::new(&annotated).load().unwrap().config, loaded.config);
}

#[test]
fn the_annotated_text_has_every_key_with_its_meaning_and_who_set_it() {
    let etc = Etc::new("[meter]\nunit = 9\n");
    let loaded = etc.load_env(&[("SPRAYLOG_GPS__BAUD", "4800")]).unwrap();
    let text = annotated(&loaded, |_| None);
    for key in keys::all() {
        let named = [format!("\n{} = ", key.name()), format!("\n# {} is unset", key.name())];
        assert!(named.iter().any(|line| text.contains(line)), "{}", key.path);
        let first_words = key.doc.split(' ').take(3).collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("\n# {first_words}")), "{}", key.path);
    }
    assert!(
        text.lines().any(|line| line.starts_with("unit = 9 ") && line.ends_with("spraylog.toml:2")),
        "{text}"
    );
    assert!(text.contains("# environment SPRAYLOG_GPS__BAUD\n"));
}

#[test]
fn the_data_directory_is_found_in_a_broken_configuration() {
    let hint = |etc: &Etc, env: &[(&str, &str)]| {
        data_dir_hint(Some(&etc.path()), env.iter().map(|(n, v)| (n.to_string(), v.to_string())))
    };
    let etc = Etc::new("[device]\ndata_dir = \"/srv/one\"\n[meter]\nbaud = \n\"");
    assert_eq!(hint(&etc, &[]).as_deref(), Some(Path::new("/srv/one")));
    let etc = etc
        .with("a.toml", "device.data_dir = \"/srv/two\"\nx = 1\n")
        .with("b.toml", "device.data_dir = \"relative\"\n");
    assert_eq!(hint(&etc, &[]).as_deref(), Some(Path::new("/srv/two")));
    let set = hint(&etc, &[("SPRAYLOG_DEVICE__DATA_DIR", "/srv/three")]);
    assert_eq!(set.as_deref(), Some(Path::new("/srv/three")));
    assert_eq!(hint(&Etc::new("[[["), &[]), None);
    let gone = Path::new("/nonexistent/spraylog.toml");
    assert_eq!(data_dir_hint(Some(gone), []), None);
}

#[test]
fn a_serial_number_is_asked_for_where_the_profile_cannot_tell() {
    let etc = Etc::new("[meter]\nprofile = \"tuf-2000m\"\nport = \"/dev/m\"\n");
    let silent = MeterProfile { text: String::new(), tells_serial: false };
    let problems = load_with(Some(&etc.path()), [], &|_| Ok(Some(silent.clone()))).unwrap_err();
    assert!(errors(&problems)[0].contains(":2: meter.serial_number: is empty"), "{problems}");
    assert!(etc.load().is_ok(), "what isn't known isn't refused");
}

#[test]
fn a_profile_that_cannot_be_used_is_told_with_its_line_and_the_other_problems() {
    let etc = Etc::new("[meter]\nunit = 0\nprofile = \"rig-lime\"\n");
    let problems =
        load_with(Some(&etc.path()), [], &|name| Err(format!("no profile {name}"))).unwrap_err();
    let said = errors(&problems);
    assert!(said[1].ends_with("spraylog.toml:3: meter.profile: no profile rig-lime"), "{problems}");
    assert_eq!(said.len(), 2, "{problems}");
}

#[test]
fn a_secret_in_the_wrong_place_is_never_repeated() {
    const MARKER: &str = "hunter2-marker";
    for text in [
        format!("[jobcloser]\npassword = \"{MARKER}\"\n"),
        format!("[jobcloser]\npassword_file = \"{MARKER}\"\n"),
        format!("[jobcloser]\nemail_file = \"{MARKER}\"\n"),
        format!("[jobcloser]\nbase_url = \"https://rig:{MARKER}@jobcloser.com\"\n"),
        format!("[jobcloser]\nbase_url = \"https://jobcloser.com/?password={MARKER}\"\n"),
        format!("[jobcloser]\npassword = \"{MARKER}\n"),
        format!("[jobcloser]\npassword = {MARKER}\n"),
        format!("password = \"{MARKER}\"\n"),
        format!("[jobcloser.password]\nvalue = \"{MARKER}\"\n"),
    ] {
        let problems = Etc::new(&text).load().expect_err(&text);
        assert!(!format!("{problems} {problems:?}").contains(MARKER), "{problems}");
    }
    let env = [("SPRAYLOG_JOBCLOSER__PASSWORD", MARKER), ("SPRAYLOG_PASSWORD", MARKER)];
    let problems = Etc::new("").load_env(&env).unwrap_err();
    assert!(!format!("{problems} {problems:?}").contains(MARKER), "{problems}");
}

/// `SPRAYLOG_BLESS=1 cargo test --test config_files` writes both files anew.
#[rstest]
#[case("config/spraylog.toml", reference::shipped())]
#[case("docs/config-reference.md", reference::markdown())]
fn the_shipped_files_follow_from_the_table(#[case] file: &str, #[case] text: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("SPRAYLOG_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "{file} differs from the table of keys: SPRAYLOG_BLESS=1 writes it anew"
    );
}

#[test]
fn the_shipped_file_is_good_complete_and_says_what_to_set() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/spraylog.toml");
    let loaded = load(Some(&path), []).unwrap();
    assert_eq!(loaded.config, named(Config::default()));
    let set: BTreeSet<&str> = loaded.origins.keys().copied().collect();
    let expected: BTreeSet<&str> =
        keys::all().filter(|key| key.default.is_some()).map(|key| key.path).collect();
    assert_eq!(set, expected);
    let warned: Vec<_> =
        loaded.warnings.iter().map(|w| (w.key.as_str(), w.line().is_some())).collect();
    assert_eq!(warned, [("meter.port", true), ("gps.port", true)]);
}

#[test]
fn what_the_shipped_file_leaves_out_is_taken_as_it_stands_there() {
    let text = reference::shipped()
        .replace("\n# fluid_f = ", "\nfluid_f = ")
        .replace("\n# runtime_min = ", "\nruntime_min = ");
    let config = Etc::new(&text).load().unwrap().config;
    assert_eq!(
        (config.record.stand_in.fluid_f, config.record.stand_in.runtime_min),
        (Some(70.0), Some(0.0))
    );
}
