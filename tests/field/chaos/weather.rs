//! Bench, clock and dice in one: does what a plan throws, keeps the agent alive as systemd
//! would, and sees to it that it doesn't end by itself. Decides nothing.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use hil_sim::bench::Bench;
use hil_sim::gps::Sky;
use hil_sim::rig::WhileOut;
use hil_sim::truth::Trouble;
use serde_json::Value;
use toml::Table;

use super::clock::Clock;
use super::plan::Throw;
use crate::bench::options;

/// How long after the disk is well an agent may still end for its sake.
const DISK_AFTER: Duration = Duration::from_secs(5);
/// How long systemd waits before it starts a service that ended.
const RESTART_AFTER: Duration = Duration::from_millis(800);
/// No command takes longer, whatever the disk does.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
/// Room on a disk that is full, beyond nothing: what is there can be written over.
const FULL_AT: u64 = 256 << 10;

const USE: [&str; 6] = [
    "job",
    "use",
    "--event",
    "8076482548429038c9b4b34fa296a4",
    "--job",
    "0160366349ff2c5b8967a54178a716",
];

/// What may be in a configuration: nothing of it changes what a reading is.
const VARIANTS: [&str; 3] = [
    "",
    "[jobcloser]\nbatch_records = 7\n[retry]\nmax = \"3s\"\n[gps]\nmax_hdop = 4.0",
    "[log]\nlevel = \"debug\"\n[jobcloser]\nbatch_records = 3\n[queue]\nmin_free = \"1 MiB\"",
];

pub struct Weather {
    pub bench: Bench,
    pub clock: Clock,
    /// How often each thing was thrown.
    pub thrown: BTreeMap<String, u32>,
    /// The greatest number that any status showed.
    pub shown: i64,
    /// What should not have been.
    pub findings: Vec<String>,
    start_at: Option<Instant>,
    disk_trouble: bool,
    disk_well_since: Option<Instant>,
}

impl Weather {
    pub fn new(bench: Bench, clock: Clock) -> Self {
        Self {
            bench,
            clock,
            thrown: BTreeMap::new(),
            shown: 0,
            findings: Vec::new(),
            start_at: None,
            disk_trouble: false,
            disk_well_since: None,
        }
    }

    /// Does one thing.
    pub async fn throw(&mut self, throw: Throw) {
        *self.thrown.entry(throw.name()).or_default() += 1;
        match throw {
            Throw::Spray(_)
            | Throw::Drive(..)
            | Throw::UnplugMeter { .. }
            | Throw::PlugMeter
            | Throw::Noise(_)
            | Throw::Glitch(_)
            | Throw::RestartMeter
            | Throw::Sky(_)
            | Throw::UnplugGps
            | Throw::PlugGps => self.turn_rig(&throw),
            Throw::NetworkDown => self.bench.server().go_away().await,
            Throw::NetworkUp => self.bench.server().come_back().await.unwrap(),
            Throw::Fault(order) => self.bench.server().order(order),
            Throw::Server(switches) => {
                let switches: Value = serde_json::from_str(switches).unwrap();
                let behaviour = hil_sim::jobcloser::Behaviour::default();
                let behaviour = behaviour.with(switches.as_object().unwrap()).unwrap();
                self.bench.server().set_behaviour(behaviour);
            }
            Throw::Kill(down_ms) => {
                self.bench.kill_agent().unwrap();
                self.start_in(down_ms);
            }
            Throw::Stop(down_ms) => {
                if let Err(err) = self.bench.stop_agent().await {
                    self.findings.push(format!("at a stop: {err}"));
                }
                self.start_in(down_ms);
            }
            Throw::Reload(variant) => self.reload(variant),
            Throw::PowerCut { cut, down_ms, boots } => self.cut(cut, down_ms, boots),
            Throw::Key { cut, down_ms } => {
                self.bench.rig().meter().restart();
                self.cut(cut, down_ms, true);
            }
            Throw::Refuse(_) | Throw::Fill | Throw::SlowFlush(_) | Throw::DiskWell => {
                self.turn_disk(&throw);
            }
            Throw::ClockOff(ms) => self.clock.off_by(ms),
            Throw::ClockSet => self.clock.set(),
            Throw::JobUse => self.command(&USE).await,
            Throw::JobClear => self.command(&["job", "clear"]).await,
            Throw::Discard(many) => self.take_out("discard", many).await,
            Throw::Reject(many) => self.take_out("reject", many).await,
            Throw::Retry => self.command(&["records", "retry"]).await,
            Throw::Records => self.command(&["records", "list", "--json", "--limit", "20"]).await,
            Throw::Status => self.look().await,
        }
    }

    fn turn_rig(&mut self, throw: &Throw) {
        let (meter, gps) = (self.bench.rig().meter(), self.bench.rig().gps());
        match throw {
            Throw::Spray(gpm) => meter.flow(*gpm),
            Throw::Drive(mps, heading) => gps.drive(*mps, *heading),
            Throw::UnplugMeter { counting: true } => meter.unplug(WhileOut::Counts).unwrap(),
            Throw::UnplugMeter { counting: false } => meter.unplug(WhileOut::Sleeps).unwrap(),
            Throw::PlugMeter => meter.plug().unwrap(),
            Throw::Noise(lines) => meter.noise(*lines),
            Throw::Glitch(counts) => meter.glitch(*counts),
            Throw::RestartMeter => meter.restart(),
            Throw::Sky(Sky::Clear) => gps.regain_fix(),
            Throw::Sky(sky) => gps.lose_fix(*sky),
            Throw::UnplugGps => gps.unplug().unwrap(),
            Throw::PlugGps => gps.plug().unwrap(),
            other => unreachable!("{other:?}"),
        }
    }

    fn turn_disk(&mut self, throw: &Throw) {
        let Some(disk) = self.bench.disk() else { return };
        match throw {
            Throw::Refuse(refusal) => disk.refuse(Some(*refusal)),
            Throw::Fill => disk.set_limit(Some(FULL_AT)),
            Throw::SlowFlush(ms) => disk.delay_fsync(Duration::from_millis(*ms)),
            _ => {
                disk.refuse(None);
                disk.set_limit(None);
                disk.delay_fsync(Duration::ZERO);
            }
        }
        // A flush that is slow holds up what would be recorded by less than an interval.
        self.disk_trouble = matches!(throw, Throw::Refuse(_) | Throw::Fill);
        let now = self.bench.rig().clock().now_ms();
        let mut truth = self.bench.rig().truth_log().lock();
        if self.disk_trouble {
            truth.begin(Trouble::DiskStalls, now);
        } else if matches!(throw, Throw::DiskWell) {
            truth.end(Trouble::DiskStalls, now);
            self.disk_well_since = Some(Instant::now());
        }
    }

    fn cut(&mut self, cut: hil_sim::disk::Cut, down_ms: u64, boots: bool) {
        self.bench.cut_power(cut).unwrap();
        if boots {
            self.clock.boot();
        }
        self.start_in(down_ms);
    }

    fn reload(&mut self, variant: u64) {
        let mut config = options().config;
        hil_sim::agent::merge(&mut config, &super::config());
        match VARIANTS.get((variant as usize).wrapping_sub(1)) {
            Some(more) => {
                let more: Table = more.parse().unwrap();
                hil_sim::agent::merge(&mut config, &more);
                self.bench.write_config(&config).unwrap();
            }
            // Beside the bench's own, so that the judge goes by the one in force.
            None => {
                let path = self.bench.agent().config_path();
                let good = std::fs::read_to_string(&path).unwrap();
                std::fs::write(&path, format!("{good}\n[recrod]\nevery = \"1s\"\n")).unwrap();
            }
        }
        self.bench.reload_agent().unwrap();
    }

    async fn take_out(&mut self, how: &'static str, many: i64) {
        let (from, to) = ((self.shown - many).max(1), self.shown.max(1));
        let seqs = format!("{from}..{to}");
        self.command(&["records", how, "--seq", &seqs, "--reason", "flush", "--yes"]).await;
    }

    /// A command may fail, where the disk or the daemon does; it may not hang or crash.
    async fn command(&mut self, args: &[&str]) {
        let mut command = self.bench.agent().command(args);
        let run = tokio::task::spawn_blocking(move || command.output());
        let words = args.join(" ");
        match tokio::time::timeout(COMMAND_WITHIN, run).await {
            Err(_) => self.findings.push(format!("`{words}` hangs")),
            Ok(output) => self.hold_against(&words, &output.unwrap().unwrap()),
        }
    }

    fn hold_against(&mut self, words: &str, output: &Output) {
        let complaint = String::from_utf8_lossy(&output.stderr);
        if output.status.code().is_none() || complaint.contains("panicked") {
            self.findings.push(format!("`{words}`: {}: {complaint}", output.status));
        }
        if !output.status.success() {
            *self.thrown.entry("  commands refused".to_owned()).or_default() += 1;
        }
    }

    /// A look at its status: what that shows is held against it.
    pub async fn look(&mut self) {
        let Ok(status) = self.bench.status().await else { return };
        let last = status.last_seq.unwrap_or(0);
        if last < self.shown {
            // At once: a number that is lost is soon another's.
            self.findings.push(format!("{} was shown, and now the last is {last}", self.shown));
        }
        self.shown = self.shown.max(last);
        if !status.balance.adds_up() {
            self.findings.push(format!("does not add up: {:?}", status.balance));
        }
    }

    fn start_in(&mut self, ms: u64) {
        self.start_at = Some(Instant::now() + Duration::from_millis(ms));
    }

    /// Starts what is to run, as systemd would; an end that nothing explains is a finding.
    pub async fn supervise(&mut self) {
        if let Ok(ended) = self.bench.wait_for_agents_end(Duration::ZERO).await {
            let excused = self.disk_trouble
                || self.disk_well_since.is_some_and(|since| since.elapsed() < DISK_AFTER);
            *self.thrown.entry("  ends by itself".to_owned()).or_default() += 1;
            if !excused || ended.code().is_none() {
                self.findings.push(format!("the agent ended by itself: {ended}"));
            }
            self.start_at = Some(Instant::now() + RESTART_AFTER);
        }
        if self.start_at.is_some_and(|at| at <= Instant::now()) {
            self.start_at = None;
            *self.thrown.entry("  starts".to_owned()).or_default() += 1;
            self.bench.start_agent().unwrap();
        }
    }

    /// Everything outside the agent is well, from now on. The agent is told nothing, but
    /// for what only a person can know to be over: refusals of the server.
    pub async fn calm(&mut self) {
        for throw in [
            Throw::PlugMeter,
            Throw::PlugGps,
            Throw::Sky(Sky::Clear),
            Throw::NetworkUp,
            Throw::Server("{}"),
            Throw::DiskWell,
        ] {
            self.throw(throw).await;
        }
        self.bench.server().clear_faults();
        self.bench.rig().meter().flow(4.0);
        self.bench.rig().gps().drive(1.4, 130.0);
    }
}
