//! `spraylog records`: the queue's readings. Looking goes through a read-only connection,
//! changing through the daemon's door.

mod release;

use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::exit::{Exit, Failure};
use super::job::Ids;
use super::verify::{self, VerifyArgs};
use super::{ConfigFile, print_json};
use crate::clock::UtcMs;
use crate::config::Config;
use crate::control::Command;
use crate::control::client::ask_or_act;
use crate::queue::{Filter, Listed, Selector, View, file_in};
use crate::reading::{Seq, State};
use crate::status::undated_boot;
use release::Release;

/// Arguments of `spraylog records`.
#[derive(Debug, Args)]
pub struct RecordsArgs {
    #[command(subcommand)]
    command: RecordsCommand,
    #[command(flatten)]
    file: ConfigFile,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum RecordsCommand {
    /// Readings, the newest last
    List {
        /// In this state
        #[arg(long)]
        state: Option<Shown>,
        /// Of this job
        #[arg(long, value_name = "ID")]
        job: Option<String>,
        #[command(flatten)]
        which: Which,
        /// At most so many, the newest
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One reading, with its record as sent
    Show {
        /// Its number
        seq: i64,
    },
    /// Give readings without a job this one
    Assign {
        #[command(flatten)]
        ids: Ids,
        #[command(flatten)]
        which: Which,
        /// All that have no job
        #[arg(long, conflicts_with_all = ["from", "to", "boot", "seq"])]
        all: bool,
    },
    /// Make rejected and unreadable readings ready again, and lift holds on refused jobs
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Tell when a boot without a time began, or where readings without a place were
    Release(Release),
    /// Never send these: what is ready or held, or in doubt for a job that is gone
    Reject(TakeOut),
    /// Mark as water that isn't chemical: counted, never sent
    Discard(TakeOut),
    /// Set what was sent of a job beside JobCloser's list of it, now
    Verify(VerifyArgs),
}

/// Readings to be taken out of delivery.
#[derive(Debug, Args)]
struct TakeOut {
    #[command(flatten)]
    which: Which,
    /// Why; shown with each of them
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Don't ask first
    #[arg(long)]
    yes: bool,
}

/// Which readings are meant.
#[derive(Debug, Clone, Args)]
struct Which {
    /// Recorded at or after this time (2026-11-23T16:00:00-06:00)
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<UtcMs>,
    /// Recorded at or before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<UtcMs>,
    /// In this boot, as lists number them
    #[arg(long, value_name = "N")]
    boot: Option<i64>,
    /// A number, or first..last
    #[arg(long, value_name = "N..M", value_parser = seq_range)]
    seq: Option<(Seq, Seq)>,
}

/// A state, as lists name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// Can be sent now
    Ready,
    /// Can't be sent yet
    Held,
    InDoubt,
    Sent,
    Rejected,
    Discarded,
    Deleted,
    TimeConflict,
    Unreadable,
}

/// Lists, shows or changes readings.
///
/// # Errors
/// Where the queue can't be read, or the change is refused.
pub fn run(args: &RecordsArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    args.command.check()?;
    let config = args.file.load()?.config;
    match &args.command {
        RecordsCommand::List { state, job, which, limit } => {
            let filter = filter(*state, job.clone(), which, *limit);
            list(&config, &filter, args.json, out)?;
        }
        RecordsCommand::Show { seq } => {
            let detail = view(&config)?.show(Seq(*seq))?;
            print_json(out, &json!(detail))?;
        }
        RecordsCommand::Assign { ids, which, .. } => {
            let command =
                Command::RecordsAssign { which: which.selector(), assignment: ids.assignment() };
            let said = ask_or_act(&command, &config)?;
            ids.doubtful().iter().for_each(|warning| eprintln!("{warning}"));
            if args.json {
                print_json(out, &said)?;
            } else {
                let gallons = said["gallons"].as_f64().unwrap_or(0.0);
                writeln!(out, "{} readings, {gallons:.3} gallons assigned", said["readings"])
                    .map_err(Failure::output)?;
            }
        }
        RecordsCommand::Retry { which } => {
            let said = ask_or_act(&Command::RecordsRetry { which: which.selector() }, &config)?;
            if args.json {
                print_json(out, &said)?;
            } else {
                writeln!(out, "{} readings ready again", said["readings"])
                    .map_err(Failure::output)?;
            }
        }
        RecordsCommand::Release(asked) => return release::run(asked, &config, args.json, out),
        RecordsCommand::Verify(asked) => return verify::run(&config, asked, args.json, out),
        RecordsCommand::Reject(out_of) => {
            let (which, reason) = (out_of.which.selector(), out_of.reason.clone());
            let command = Command::RecordsReject { which, reason };
            return take_out(&config, out_of, "rejected", &command, args.json, out);
        }
        RecordsCommand::Discard(out_of) => {
            let (which, reason) = (out_of.which.selector(), out_of.reason.clone());
            let command = Command::RecordsDiscard { which, reason };
            return take_out(&config, out_of, "discarded", &command, args.json, out);
        }
    }
    Ok(Exit::OK)
}

/// Asks, unless it was told not to, and takes readings out of delivery.
fn take_out(
    config: &Config,
    asked: &TakeOut,
    become_what: &str,
    command: &Command,
    json: bool,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    if !asked.yes {
        let named = view(config)?.list(&filter(None, None, &asked.which, usize::MAX))?;
        let gallons: f64 = named.iter().map(|reading| reading.gallons).sum();
        eprint!(
            "{} readings, {gallons:.3} gallons are named. What of them isn't settled yet is {become_what} \
             and never sent. Go on? [y/N] ",
            named.len()
        );
        let mut answer = String::new();
        // Where nobody answers, that is no.
        if io::stdin().read_line(&mut answer).is_err() || !agreed(&answer) {
            return Err(Failure::say(Exit::USAGE, "nothing was changed; --yes goes on unasked"));
        }
    }
    let said = ask_or_act(command, config)?;
    if json {
        print_json(out, &said)?;
        return Ok(Exit::OK);
    }
    let gallons = said["gallons"].as_f64().unwrap_or(0.0);
    let left = match said["left"].as_u64() {
        Some(left @ 1..) => format!("; {left} others stay as they are"),
        _ => String::new(),
    };
    let readings = &said["readings"];
    writeln!(out, "{readings} readings, {gallons:.3} gallons {become_what}{left}")
        .map_err(Failure::output)?;
    Ok(Exit::OK)
}

pub(super) fn agreed(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

impl RecordsCommand {
    /// What the parser can't tell. A job given to all readings by a slip can't be taken back.
    fn check(&self) -> Result<(), Failure> {
        let said = match self {
            Self::Assign { which, all: false, .. } if which.is_all() => {
                "say which: --from, --to, --boot or --seq; or --all that have no job"
            }
            Self::Retry { which } if which.from.is_some() || which.to.is_some() => {
                "retry takes --boot and --seq"
            }
            Self::Reject(out) | Self::Discard(out) if out.which.is_all() => {
                "say which: --from, --to, --boot or --seq"
            }
            Self::Release(asked) => match asked.problem() {
                Some(said) => said,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        Err(Failure::say(Exit::USAGE, said))
    }
}

impl Which {
    fn is_all(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.boot.is_none() && self.seq.is_none()
    }

    fn selector(&self) -> Selector {
        Selector { from: self.from, to: self.to, boot: self.boot, seq: self.seq }
    }
}

fn filter(state: Option<Shown>, job: Option<String>, which: &Which, limit: usize) -> Filter {
    let (stored, held) = match state {
        None => (None, None),
        Some(Shown::Ready) => (Some(State::Open), Some(false)),
        Some(Shown::Held) => (None, Some(true)),
        Some(Shown::InDoubt) => (Some(State::InDoubt), None),
        Some(Shown::Sent) => (Some(State::Sent), None),
        Some(Shown::Rejected) => (Some(State::Rejected), None),
        Some(Shown::Discarded) => (Some(State::Discarded), None),
        Some(Shown::Deleted) => (Some(State::Deleted), None),
        Some(Shown::TimeConflict) => (Some(State::TimeConflict), None),
        Some(Shown::Unreadable) => (Some(State::Unreadable), None),
    };
    Filter {
        state: stored,
        held,
        job,
        boot: which.boot,
        seq: which.seq,
        from: which.from,
        to: which.to,
        limit,
    }
}

fn list(config: &Config, filter: &Filter, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    // A rig that has never recorded has nothing to list.
    let nothing = matches!(file_in(&config.device.data_dir).try_exists(), Ok(false));
    let (readings, undated) = match nothing {
        true => (Vec::new(), Vec::new()),
        false => view(config).and_then(|view| Ok((view.list(filter)?, view.undated()?)))?,
    };
    if json {
        return print_json(out, &json!(readings));
    }
    let head = format!(
        "{:>8} {:>4} {:<24} {:>12} {:>9} {:>9}  {:<14} job",
        "seq", "boot", "time", "count", "gallons", "total", "state"
    );
    writeln!(out, "{head}").map_err(Failure::output)?;
    for reading in &readings {
        writeln!(out, "{}", line(reading)).map_err(Failure::output)?;
    }
    for boot in undated {
        if readings.iter().any(|r| r.boot == boot.boot && r.time.is_none()) {
            writeln!(out, "{}", undated_boot(&json!(boot))).map_err(Failure::output)?;
        }
    }
    Ok(())
}

fn line(r: &Listed) -> String {
    let time =
        r.time.clone().unwrap_or_else(|| format!("boot +{:.1} s", r.boottime_ms as f64 / 1000.0));
    let state = match json!(r.held_for) {
        serde_json::Value::Array(why) if !why.is_empty() => {
            format!("held:{}", why.iter().filter_map(|w| w.as_str()).collect::<Vec<_>>().join(","))
        }
        _ => json!(r.state).as_str().unwrap_or("-").to_owned(),
    };
    let job = r.job.as_deref().unwrap_or("-");
    let (seq, boot, count) = (r.seq.0, r.boot, r.unwrapped);
    format!(
        "{seq:>8} {boot:>4} {time:<24} {count:>12} {:>9.3} {:>9.3}  {state:<14} {job}",
        r.gallons, r.total_gallons
    )
}

fn view(config: &Config) -> Result<View, Failure> {
    Ok(View::open(&file_in(&config.device.data_dir))?)
}

fn time(text: &str) -> Result<UtcMs, String> {
    let said = text.parse::<jiff::Timestamp>();
    said.map(|t| UtcMs(t.as_millisecond()))
        .map_err(|_| "write the time with its offset, as 2026-11-23T16:00:00-06:00".to_owned())
}

fn seq_range(text: &str) -> Result<(Seq, Seq), String> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    match (low.trim().parse(), high.trim().parse()) {
        (Ok(low), Ok(high)) if low <= high => Ok((Seq(low), Seq(high))),
        _ => Err("write a number, or first..last".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_number_or_two() {
        assert_eq!(seq_range("7"), Ok((Seq(7), Seq(7))));
        assert_eq!(seq_range("7..12"), Ok((Seq(7), Seq(12))));
        assert!(seq_range("12..7").is_err());
        assert!(seq_range("all").is_err());
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(agreed("y\n") && agreed(" YES\n"));
        assert!(!agreed("") && !agreed("\n") && !agreed("n\n") && !agreed("yesterday\n"));
    }

    #[test]
    fn a_time_needs_its_offset() {
        assert_eq!(time("2027-05-02T05:16:42-05:00"), Ok(UtcMs(1_809_253_002_000)));
        assert!(time("2027-05-02T05:16:42").is_err());
    }
}
