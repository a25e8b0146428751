//! What a bench is set up with.

use std::ffi::OsString;
use std::path::PathBuf;

use toml::Table;

use crate::jobcloser::Options;
use crate::meter::MeterSetup;
use crate::rig::GpsSetup;
use crate::scenario::{BoardSetup, Scenario};

/// What a bench is set up with; only the agent's binary has no default.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The agent's binary.
    pub agent: PathBuf,
    /// Merged into the agent's configuration.
    pub config: Table,
    /// Put into the agent's environment.
    pub env: Vec<(OsString, OsString)>,
    /// Whether the agent is started at once.
    pub start_agent: bool,
    /// The meter.
    pub meter: MeterSetup,
    /// The receiver.
    pub gps: GpsSetup,
    /// A real port for the meter.
    pub meter_port: Option<PathBuf>,
    /// A real port for the receiver.
    pub gps_port: Option<PathBuf>,
    /// The server.
    pub server: Options,
    /// Of everything that is thrown.
    pub seed: u64,
    /// Whether the agent's data lies on a [disk](crate::disk) of its own, which loses what
    /// was not flushed.
    pub disk: bool,
    /// The board's clocks, where they aren't this machine's; for an agent that was built for
    /// tests.
    pub clock: Option<BoardSetup>,
    /// Leave the agent's directory behind.
    pub keep: bool,
}

impl BenchOptions {
    /// Everything as usual.
    pub fn new(agent: impl Into<PathBuf>) -> Self {
        Self {
            agent: agent.into(),
            config: Table::new(),
            env: Vec::new(),
            start_agent: true,
            meter: MeterSetup::default(),
            gps: GpsSetup::default(),
            meter_port: None,
            gps_port: None,
            server: Options::default(),
            seed: 1,
            disk: false,
            clock: None,
            keep: false,
        }
    }

    /// As a scenario says.
    pub fn for_scenario(agent: impl Into<PathBuf>, scenario: &Scenario) -> Self {
        Self {
            config: scenario.agent.clone(),
            start_agent: scenario.agent_at_start,
            meter: scenario.meter.clone(),
            gps: scenario.gps.clone(),
            server: Options { behaviour: scenario.server.clone(), ..Options::default() },
            seed: scenario.seed,
            clock: scenario.clock.clone(),
            ..Self::new(agent)
        }
    }

    /// With TOML merged into the agent's configuration.
    ///
    /// # Errors
    /// Where it isn't TOML.
    pub fn with_config(mut self, toml: &str) -> Result<Self, toml::de::Error> {
        crate::agent::merge(&mut self.config, &toml.parse()?);
        Ok(self)
    }
}
