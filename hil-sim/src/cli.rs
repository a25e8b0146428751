//! The command line of `hil-sim`: parses, calls, prints, and says by its exit code how it
//! went. Decides nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::agent::find_binary;
use crate::bench::turn_rig;
use crate::jobcloser::{self, TlsFiles};
use crate::replay::{Replay, ReplayError};
use crate::rig::{Rig, RigSetup};
use crate::run::run;
use crate::scenario::{Event, Scenario, ScenarioError};

/// It balances, or nothing had to.
const FINE: u8 = 0;
/// It doesn't balance.
const UNBALANCED: u8 = 1;
/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
/// `EX_DATAERR`: a scenario or a recording is wrong.
const DATA: u8 = 65;
/// `EX_NOINPUT`: a file can't be read.
const NO_INPUT: u8 = 66;
/// `EX_UNAVAILABLE`: no agent, no port, no address.
const UNAVAILABLE: u8 = 69;

/// A sprayer's rig and a JobCloser on the bench.
#[derive(Debug, Parser)]
#[command(name = "hil-sim", version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A meter and a GPS, on ptys under stable names or on real serial ports
    Rig {
        /// The timeline
        #[arg(long)]
        scenario: PathBuf,
        /// A real serial port for the meter
        #[arg(long, value_name = "DEV")]
        meter_port: Option<PathBuf>,
        /// A real serial port for the GPS
        #[arg(long, value_name = "DEV")]
        gps_port: Option<PathBuf>,
        /// Where the names `meter` and `gps` are made
        #[arg(long, value_name = "DIR", default_value = "hil-sim-ports")]
        link_dir: PathBuf,
    },
    /// A JobCloser that checks what it is sent
    Jobcloser {
        /// Address and port
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8400")]
        listen: SocketAddr,
        /// https, with the bench's own certificate
        #[arg(long)]
        tls: bool,
        /// Keep the records in a file
        #[arg(long, value_name = "FILE")]
        store: Option<PathBuf>,
    },
    /// Rig, server and agent together, and the balance at the end
    Run {
        /// The timeline
        #[arg(long)]
        scenario: PathBuf,
        /// The agent's binary; else `spraylog` beside this one or on the path
        #[arg(long, value_name = "PATH")]
        agent: Option<PathBuf>,
        /// Leave the agent's directory behind
        #[arg(long)]
        keep: bool,
    },
    /// Recordings through ptys, with their dates moved to now
    #[command(group = clap::ArgGroup::new("recording").required(true).multiple(true))]
    Replay {
        /// A receiver's log
        #[arg(long, value_name = "FILE", group = "recording")]
        gps: Option<PathBuf>,
        /// A meter's capture, line by line
        #[arg(long, value_name = "FILE", group = "recording")]
        meter: Option<PathBuf>,
        /// So many times as fast
        #[arg(long, default_value_t = 1.0, value_parser = above_nought)]
        speed: f64,
        /// Lines of the meter a second
        #[arg(long, default_value_t = 1.0, value_parser = above_nought)]
        lines_per_s: f64,
        /// Where the names `meter` and `gps` are made
        #[arg(long, value_name = "DIR")]
        link_dir: PathBuf,
    },
}

/// Parses the process's arguments, does what they say and returns its exit code.
pub async fn main() -> u8 {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(err) => {
            // Where even that can't be printed, the code must do.
            let _ = err.print();
            return if err.use_stderr() { USAGE } else { FINE };
        }
    };
    match line.command.run().await {
        Ok(code) => code,
        Err(err) => {
            eprintln!("hil-sim: {err:#}");
            code_of(&err)
        }
    }
}

impl Command {
    async fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::Rig { scenario, meter_port, gps_port, link_dir } => {
                let scenario = Scenario::load(&scenario)?;
                tokio::select! {
                    played = play_rig(&scenario, meter_port, gps_port, &link_dir) => played?,
                    stopped = tokio::signal::ctrl_c() => stopped.context("can't wait for ctrl-c")?,
                }
                Ok(FINE)
            }
            Self::Jobcloser { listen, tls, store } => {
                let tls = tls.then(bench_certificate).transpose()?;
                let options = jobcloser::Options { listen, tls, store, ..Default::default() };
                jobcloser::serve(options).await.map(|()| FINE)
            }
            Self::Run { scenario, agent, keep } => {
                let scenario = Scenario::load(&scenario)?;
                let agent = find_binary(agent.as_deref())?;
                let verdict = run(&scenario, &agent, keep, &mut |line| println!("{line}")).await?;
                println!("\n{verdict}");
                Ok(if verdict.is_clean() { FINE } else { UNBALANCED })
            }
            Self::Replay { gps, meter, speed, lines_per_s, link_dir } => {
                println!("a reader at {} begins it", link_dir.display());
                let replay = Replay { gps, meter, link_dir, speed, lines_per_s };
                tokio::select! {
                    played = replay.run() => played?,
                    stopped = tokio::signal::ctrl_c() => stopped.context("can't wait for ctrl-c")?,
                }
                Ok(FINE)
            }
        }
    }
}

/// The rig alone; what concerns server and agent is left out, aloud.
async fn play_rig(
    scenario: &Scenario,
    meter_port: Option<PathBuf>,
    gps_port: Option<PathBuf>,
    link_dir: &Path,
) -> anyhow::Result<()> {
    let rig = Rig::start(RigSetup {
        link_dir: link_dir.to_owned(),
        meter_port,
        gps_port,
        meter: scenario.meter.clone(),
        gps: scenario.gps.clone(),
        seed: scenario.seed,
    })?;
    println!("meter at {}, gps at {}", rig.meter_path().display(), rig.gps_path().display());
    let begun = tokio::time::Instant::now();
    let at = |t: f64| begun + std::time::Duration::from_secs_f64(t);
    for (t, event) in &scenario.events {
        tokio::time::sleep_until(at(*t)).await;
        match event {
            Event::Turn(turn) if turn.is_the_rigs() => {
                println!("{t:>6.1} s  {event}");
                turn_rig(&rig, turn)?;
            }
            _ => println!("{t:>6.1} s  left out, there is no server or agent here: {event}"),
        }
    }
    tokio::time::sleep_until(at(scenario.duration_s)).await;
    let truth = rig.truth();
    println!("{} counts, {:.3} gal", truth.counted, truth.counted as f64 / truth.k);
    rig.stop().await;
    Ok(())
}

fn bench_certificate() -> anyhow::Result<TlsFiles> {
    let dir = std::env::temp_dir().join("hil-sim-tls");
    std::fs::create_dir_all(&dir)
        .and_then(|()| TlsFiles::bench(&dir))
        .inspect(|files| println!("clients are to trust {}", files.cert.display()))
        .with_context(|| format!("can't write the bench's certificate to {}", dir.display()))
}

fn above_nought(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("not a number above 0".to_owned()),
    }
}

fn code_of(err: &anyhow::Error) -> u8 {
    if let Some(err) = err.downcast_ref::<ScenarioError>() {
        return match err {
            ScenarioError::Read { .. } => NO_INPUT,
            ScenarioError::Value { .. } | ScenarioError::Recording { .. } => DATA,
        };
    }
    match err.downcast_ref::<ReplayError>() {
        Some(ReplayError::Read { .. }) => NO_INPUT,
        Some(ReplayError::Recording { .. }) => DATA,
        _ => UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_lines_are_understood() {
        for line in [
            "rig --scenario a --meter-port b --gps-port c --link-dir d",
            "jobcloser --listen 127.0.0.1:0 --tls --store f",
            "run --scenario a --agent b",
            "replay --gps a --meter b --speed 5 --link-dir d",
        ] {
            let words = std::iter::once("hil-sim").chain(line.split(' '));
            Line::try_parse_from(words).unwrap_or_else(|err| panic!("{line}: {err}"));
        }
        for line in ["replay --link-dir d", "replay --gps a --speed 0 --link-dir d", "run"] {
            let words = std::iter::once("hil-sim").chain(line.split(' '));
            assert!(Line::try_parse_from(words).is_err(), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_scenario_is_the_code() {
        let missing = Scenario::load(Path::new("/nowhere.toml")).unwrap_err();
        assert_eq!(code_of(&missing.into()), NO_INPUT);
        let wrong = Scenario::read("name = 5", Path::new("x")).unwrap_err();
        assert_eq!(code_of(&wrong.into()), DATA);
        let agent = find_binary(Some(Path::new("/nowhere"))).unwrap_err();
        assert_eq!(code_of(&agent.into()), UNAVAILABLE);
    }
}
