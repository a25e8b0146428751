//! `spraylog status`: what the daemon says of itself and what the queue holds; the queue
//! alone where the daemon is down.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::exit::{Exit, Failure};
use super::{ConfigFile, print_json};
use crate::cause::chain;
use crate::config::Config;
use crate::control::Command;
use crate::control::client::{ClientError, ask};
use crate::queue::{View, file_in, holder, others_beside, taken_aside};
use crate::status::{not_answering, nothing_yet, snapshot, text, without_queue};

/// Between two looks with `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `spraylog status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// Prints the status.
///
/// # Errors
/// Where the queue can't be read.
pub fn run(args: &StatusArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let config = args.file.load()?.config;
    loop {
        let now = look(&config)?;
        if args.watch && !args.json {
            // Home, then clear what is below: no flicker.
            write!(out, "\x1b[H\x1b[J").map_err(Failure::output)?;
        }
        if args.json && args.watch {
            // One look a line, for whoever reads along.
            writeln!(out, "{now}").map_err(Failure::output)?;
        } else if args.json {
            print_json(out, &now)?;
        } else {
            write!(out, "{}", text(&now)).map_err(Failure::output)?;
        }
        out.flush().map_err(Failure::output)?;
        if !args.watch {
            return Ok(Exit::OK);
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

fn look(config: &Config) -> Result<Value, Failure> {
    let dir = &config.device.data_dir;
    let live = match ask(&Command::Status, config) {
        Ok(live) => Some(live),
        Err(ClientError::Down(socket)) => holder(dir).map(|pid| {
            let why =
                format!("pid {pid} records, and nobody answers at {socket}; its log says why");
            not_answering(Some(pid), &why)
        }),
        Err(err @ (ClientError::Broken(_) | ClientError::Late(_))) => {
            let socket = config.status.socket.display();
            let why = match &err {
                ClientError::Late(_) => "the daemon has not answered in time".to_owned(),
                err => chain(err),
            };
            Some(not_answering(holder(dir), &format!("{why}, at {socket}")))
        }
        Err(err) => return Err(err.into()),
    };
    let file = file_in(dir);
    // An empty file is what a power cut leaves of a first start.
    let exists = file.try_exists().map(|is| is && file.metadata().is_ok_and(|m| m.len() > 0));
    match (exists, live) {
        (Err(err), _) if err.kind() == ErrorKind::PermissionDenied => Err(Failure::forbidden(dir)),
        (Ok(true) | Err(_), live) => Ok(snapshot(live, &View::open(&file)?)?),
        (Ok(false), None) => Ok(nothing_yet(&others_beside(&file), taken_aside(dir))),
        (Ok(false), Some(live)) => {
            let why = format!(
                "there is no {}; the daemon has another device.data_dir than this configuration",
                file.display()
            );
            Ok(without_queue(live, &why))
        }
    }
}
