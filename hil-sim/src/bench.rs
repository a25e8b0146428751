//! The bench: rig, server and agent together, for scenarios and for the agent's own field
//! tests. Everything that happens to any of them goes through here, so that the truth
//! knows when the agent was down and the judge gets all evidence.
//!
//! ```no_run
//! # async fn field_test() -> Result<(), hil_sim::bench::BenchError> {
//! use hil_sim::bench::{Bench, BenchOptions};
//! use std::time::Duration;
//!
//! let mut bench = Bench::start(BenchOptions::new("target/debug/spraylog")).await?;
//! bench.spray(2.0);
//! bench.wait_for_records(3, Duration::from_secs(30)).await?;
//! bench.server().go_away().await;
//! bench.kill_agent()?;
//! bench.start_agent()?;
//! bench.server().come_back().await?;
//! bench.stop_spraying();
//! bench.settle_and_judge(Duration::from_secs(30)).await.assert_clean();
//! # Ok(()) }
//! ```

mod board;
mod error;
mod look;
mod options;
mod play;

pub use error::BenchError;
pub use look::Look;
pub use options::BenchOptions;
pub use play::turn_rig;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use toml::Table;

use crate::agent::{self, Agent, AgentPorts};
use crate::board_clock::{self, BoardClock};
use crate::disk::{Cut, Disk};
use crate::jobcloser::{Options, Server};
use crate::rig::{Rig, RigSetup};
use crate::truth::Trouble;

/// How often an agent that is to end is looked at: the truth should know when it did.
const LOOK_FOR_END_EVERY: Duration = Duration::from_millis(20);

/// How long the agent has to stop after SIGTERM: the interface says 5 s.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// With this set, a bench keeps its directory and says where it is.
const KEEP: &str = "HIL_SIM_KEEP";

/// Rig, server and agent.
pub struct Bench {
    // Dropped in this order: the agent first, its directory last.
    agent: Agent,
    rig: Rig,
    server: Server,
    config: Table,
    base_config: Table,
    shown_seq: Option<i64>,
    mishaps: Vec<String>,
    /// How the agent ended, where that was noticed before anybody waited for it.
    ended: Option<ExitStatus>,
    disk: Option<Disk>,
    clock: Option<BoardClock>,
    dir: Option<TempDir>,
    dir_path: PathBuf,
}

impl Bench {
    /// Sets everything up and starts it: rig and server, then the agent unless it is to
    /// wait. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where a part can't be had.
    pub async fn start(options: BenchOptions) -> Result<Self, BenchError> {
        let binary = agent::find_binary(Some(&options.agent))?;
        let dir = tempfile::Builder::new()
            .prefix("hil-sim-")
            .tempdir()
            .map_err(|source| BenchError::Dir { source })?;
        let dir_path = dir.path().to_owned();
        let disk = options.disk.then(|| disk_under(&dir_path)).transpose()?;
        let server = Server::start(options.server.clone()).await?;
        let rig = Rig::start(RigSetup {
            link_dir: dir_path.join("ports"),
            meter_port: options.meter_port,
            gps_port: options.gps_port,
            meter: options.meter.clone(),
            gps: options.gps,
            seed: options.seed,
        })?;
        let ports = AgentPorts {
            meter: rig.meter_path(),
            gps: rig.gps_path(),
            base_url: &server.base_url(),
            ca_file: options.server.tls.as_ref().map(|files| files.cert.as_path()),
        };
        let base_config = agent::config(&dir_path, ports, &options.meter, &Table::new());
        let mut config = base_config.clone();
        agent::merge(&mut config, &options.config);
        let Options { email, password, .. } = &options.server;
        let mut agent = Agent::new(binary, &dir_path, &config, (email, password))?;
        for (name, value) in options.env {
            agent.set_env(name, value);
        }
        let clock = board::switch_on(options.clock, &options.agent, &dir_path)?;
        if let Some(clock) = &clock {
            agent.set_env(board_clock::VARIABLE, clock.file());
        }
        let keep = options.keep || std::env::var_os(KEEP).is_some();
        let mut bench = Self {
            agent,
            rig,
            server,
            config,
            base_config,
            shown_seq: None,
            mishaps: Vec::new(),
            ended: None,
            disk,
            clock,
            dir: Some(dir),
            dir_path,
        };
        if keep {
            bench.keep_dir();
        }
        bench.note_agent_down();
        if options.start_agent {
            bench.start_agent()?;
        }
        Ok(bench)
    }

    /// The rig and its knobs.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// The server and its faults.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The agent as a process. To start, stop or kill it use the bench, so that the truth
    /// knows.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The agent, to set its environment.
    pub fn agent_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// The disk under the agent's data, where the options asked for one.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// The power goes and is back: the disk stops, the agent dies, and the disk holds what
    /// had been flushed. Without a disk of its own the agent is only killed.
    ///
    /// # Errors
    /// Where the agent can't be signalled, or the disk not be mounted again.
    pub fn cut_power(&mut self, cut: Cut) -> Result<(), BenchError> {
        if let Some(disk) = &self.disk {
            disk.stop();
        }
        self.kill_agent()?;
        match &mut self.disk {
            Some(disk) => Ok(disk.come_back(cut)?),
            None => Ok(()),
        }
    }

    /// Where configuration, queue and log of the agent are.
    pub fn dir(&self) -> &Path {
        &self.dir_path
    }

    /// Leaves the directory behind when the bench goes, and says where it is.
    pub fn keep_dir(&mut self) {
        if let Some(dir) = self.dir.take() {
            let kept = dir.keep();
            eprintln!("kept {}", kept.display());
        }
    }

    /// The agent's configuration as it was last written.
    pub fn config(&self) -> &Table {
        &self.config
    }

    /// Writes the agent's configuration anew: the bench's own, with `extra` merged in. It
    /// is read at the next start or reload.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn write_config(&mut self, extra: &Table) -> Result<(), BenchError> {
        self.config = self.base_config.clone();
        agent::merge(&mut self.config, extra);
        Ok(self.agent.write_config(&self.config)?)
    }

    /// Liquid flows, in gallons a minute.
    pub fn spray(&self, gpm: f64) {
        self.rig.meter().flow(gpm);
    }

    /// It stops.
    pub fn stop_spraying(&self) {
        self.rig.meter().stop();
    }

    /// Drives straight on, metres a second and degrees from north.
    pub fn drive(&self, speed_mps: f64, heading_deg: f64) {
        self.rig.gps().drive(speed_mps, heading_deg);
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// Where it runs already or can't be started.
    pub fn start_agent(&mut self) -> Result<(), BenchError> {
        self.notice_end();
        self.ended = None;
        self.agent.start()?;
        let now = self.rig.clock().now_ms();
        self.rig.truth_log().lock().end(Trouble::AgentDown, now);
        Ok(())
    }

    /// SIGKILL, at once.
    ///
    /// # Errors
    /// Where it can't be signalled.
    pub fn kill_agent(&mut self) -> Result<(), BenchError> {
        self.note_agent_down();
        Ok(self.agent.kill()?)
    }

    /// SIGTERM; how it ended and how long it took.
    ///
    /// # Errors
    /// Where it doesn't end within 8 s; it is killed then.
    pub async fn stop_agent(&mut self) -> Result<Option<(ExitStatus, Duration)>, BenchError> {
        self.note_agent_down();
        Ok(self.agent.stop(STOP_WITHIN).await?)
    }

    /// Waits until the agent ends without being told to (a failpoint, a configuration that
    /// it can't run with), and how it did. No mishap, since somebody expected it.
    ///
    /// # Errors
    /// Where it still runs after the time given.
    pub async fn wait_for_agents_end(
        &mut self,
        within: Duration,
    ) -> Result<ExitStatus, BenchError> {
        let begun = Instant::now();
        // Noticed in a look at its status meanwhile: now somebody expected it.
        if let Some(status) = self.ended.take() {
            self.mishaps.retain(|mishap| *mishap != ended(status));
            return Ok(status);
        }
        loop {
            if let Some(status) = self.agent.ended_by_itself() {
                self.note_agent_down();
                return Ok(status);
            }
            if begun.elapsed() >= within {
                return Err(BenchError::InVain {
                    what: "the agent's end".to_owned(),
                    waited_s: within.as_secs(),
                    found: "it still runs".to_owned(),
                });
            }
            tokio::time::sleep(LOOK_FOR_END_EVERY).await;
        }
    }

    /// SIGHUP.
    ///
    /// # Errors
    /// Where it can't be signalled.
    pub fn reload_agent(&self) -> Result<(), BenchError> {
        Ok(self.agent.reload()?)
    }

    /// Stops all of it, the agent first. How the agent ended, if it ran.
    ///
    /// # Errors
    /// Where the agent doesn't end in time.
    pub async fn stop(mut self) -> Result<Option<(ExitStatus, Duration)>, BenchError> {
        let ended = self.stop_agent().await;
        self.server.stop().await;
        ended
    }

    fn note_agent_down(&self) {
        let now = self.rig.clock().now_ms();
        self.rig.truth_log().lock().begin(Trouble::AgentDown, now);
    }

    fn notice_end(&mut self) {
        if let Some(status) = self.agent.ended_by_itself() {
            self.note_agent_down();
            self.mishaps.push(ended(status));
            self.ended = Some(status);
        }
    }
}

fn disk_under(dir: &Path) -> Result<Disk, BenchError> {
    let data = dir.join("data");
    std::fs::create_dir(&data).map_err(|source| BenchError::Dir { source })?;
    Ok(Disk::mount(&data)?)
}

fn ended(status: ExitStatus) -> String {
    format!("the agent ended by itself: {status}")
}
