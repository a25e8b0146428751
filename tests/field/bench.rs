//! What field scenarios are set up with: the agent's binary, and settings that let minutes
//! of a working day pass in seconds. Knows no scenario.

use std::path::PathBuf;
use std::time::Duration;

use hil_sim::bench::BenchOptions;

/// How long to wait for what should come in a second or two: generous, for slow machines.
pub const SOON: Duration = Duration::from_secs(45);

/// A reading a second, and short waits wherever the agent waits for something.
const FAST: &str = r#"
[record]
every = "1s"
[jobcloser]
settle_after = "1s"
timeout = "8s"
[retry]
initial = "200ms"
connect_max = "1s"
max = "1s"
"#;

/// The agent under test: this build's, or the one that `SPRAYLOG_FIELD_AGENT` names.
pub fn agent() -> PathBuf {
    std::env::var_os("SPRAYLOG_FIELD_AGENT")
        .map_or_else(|| env!("CARGO_BIN_EXE_spraylog").into(), PathBuf::from)
}

/// Whether campaigns may take their time (`make nightly`).
pub fn nightly() -> bool {
    std::env::var_os("SPRAYLOG_NIGHTLY").is_some()
}

/// A bench that works fast; the meter and the receiver speak five times a second, so that
/// what takes long isn't they.
pub fn options() -> BenchOptions {
    let mut options = BenchOptions::new(agent()).with_config(FAST).expect("TOML");
    options.meter.lines_per_s = 5.0;
    options.gps.hz = 5;
    options
}

/// The same with more configuration.
pub fn options_with(toml: &str) -> BenchOptions {
    options().with_config(toml).expect("TOML")
}
