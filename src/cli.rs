//! The command line: one file a subcommand. Reads the configuration and the queue, asks
//! the daemon through its door; only [`run`] knows the agent.

pub mod check;
pub mod config;
pub mod doctor;
pub mod exit;
pub mod gps;
pub mod job;
pub mod meter;
pub mod records;
pub mod run;
pub mod status;
pub mod verify;

use std::ffi::OsString;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::load::environment;
use crate::config::{Config, Loaded, MeterProfile, last_good};
use exit::{Exit, Failure, Input};

/// Turns a sprayer's meter and GPS into records at JobCloser.
#[derive(Debug, Parser)]
#[command(name = "spraylog", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Which configuration is meant.
#[derive(Debug, Clone, Args)]
pub struct ConfigFile {
    /// Configuration file
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The daemon, in the foreground
    Run(ConfigFile),
    /// Every problem in the configuration, or what it comes to
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The effective configuration, annotated
    Config(ConfigFile),
    /// What the daemon is doing and what the queue holds
    Status(status::StatusArgs),
    /// What gpsd tells, and what the server does with what it is sent, by a test record
    Doctor(doctor::DoctorArgs),
    /// The meter's bytes
    #[command(subcommand)]
    Meter(MeterCommand),
    /// The receiver's bytes
    #[command(subcommand)]
    Gps(GpsCommand),
    /// What the liquid is for
    Job(job::JobArgs),
    /// The queue's readings
    Records(records::RecordsArgs),
}

#[derive(Debug, Subcommand)]
enum MeterCommand {
    /// One JSON object for each sample of a capture, and a summary
    Decode {
        /// Profile: a name, or a path to its TOML file
        #[arg(long, value_name = "P")]
        profile: String,
        /// The capture; - is standard input
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum GpsCommand {
    /// One JSON object for each accepted fix of a recording, and a summary
    Decode {
        /// Move dates of a wrapped week counter up, as the agent does
        #[arg(long)]
        snap: bool,
        /// Greatest HDOP that counts as a fix
        #[arg(long, value_name = "HDOP", value_parser = gps::max_hdop,
              default_value_t = Config::default().gps.max_hdop)]
        max_hdop: f64,
        /// The recording; - is standard input
        file: PathBuf,
    },
}

/// Parses the arguments, does what they ask, and says with which code to end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(err) => {
            // Help and version go to standard output and are no failure.
            let _ = err.print();
            return if err.use_stderr() { Exit::USAGE } else { Exit::OK };
        }
    };
    match dispatch(cli.command) {
        Ok(exit) => exit,
        Err(failure) => failure.report(),
    }
}

fn dispatch(command: Command) -> Result<Exit, Failure> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    match command {
        Command::Run(file) => {
            drop((out, err));
            run::run(file.config)
        }
        Command::Check { file, json } => {
            let code = check::run(file.path(), environment(), &meter_profile, json, &mut out);
            Ok(Exit(code.map_err(Failure::output)?))
        }
        Command::Config(file) => {
            let code = config::run(file.path(), environment(), &meter_profile, &mut out, &mut err);
            Ok(Exit(code.map_err(Failure::output)?))
        }
        Command::Status(args) => status::run(&args, &mut out),
        Command::Doctor(args) => doctor::run(&args, &mut out),
        Command::Meter(MeterCommand::Decode { profile, file }) => {
            let profile = crate::meter::load::installed(&profile).map_err(Failure::config)?;
            meter::decode(&profile, open(&file)?, out).map_err(Failure::decoding)?;
            Ok(Exit::OK)
        }
        Command::Gps(GpsCommand::Decode { snap, max_hdop, file }) => {
            let snap: Option<gps::Snap<'_>> =
                if snap { Some(&crate::clock::weeks::snap) } else { None };
            gps::decode(open(&file)?, out, max_hdop, snap).map_err(Failure::decoding)?;
            Ok(Exit::OK)
        }
        Command::Job(args) => job::run(&args, &mut out),
        Command::Records(args) => records::run(&args, &mut out),
    }
}

impl ConfigFile {
    fn path(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The configuration that a daemon has: where the file's is wrong the last good one,
    /// since a rig that runs on with that must still answer.
    fn load(&self) -> Result<Loaded, Failure> {
        let start = last_good::start(self.path(), environment(), &meter_profile)
            .map_err(Failure::config)?;
        if start.refused.is_some() {
            eprintln!(
                "spraylog: the configuration is wrong, going by the last good one; \
                 `spraylog check` says what to mend"
            );
        }
        Ok(start.loaded)
    }
}

/// A meter's profile, as the configuration is checked against it.
fn meter_profile(name: &str) -> Result<Option<MeterProfile>, String> {
    crate::meter::load::for_config(name).map(Some)
}

fn open(file: &Path) -> Result<Box<dyn Read>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(Input::new(Path::new("standard input"), io::stdin().lock())));
    }
    match std::fs::File::open(file) {
        Ok(opened) => Ok(Box::new(Input::new(file, BufReader::new(opened)))),
        Err(err) => Err(Failure::input(file, &err)),
    }
}

fn print_json(out: &mut impl Write, value: &serde_json::Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
    text.and_then(|text| writeln!(out, "{text}")).map_err(Failure::output)
}
