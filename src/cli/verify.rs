//! `spraylog records verify`: sets what was sent of a job beside JobCloser's list of it. Asks
//! the daemon, or does it alone where that is down.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::print_json;
use super::records::agreed;
use crate::config::Config;
use crate::control::Command;
use crate::control::client::{ClientError, ask};
use crate::drain::alone::{AloneError, verify_alone};
use crate::queue::{View, file_in};
use crate::reading::Seq;
use crate::status::grouped;
use crate::verified::{JobTold, Numbers, Order, Told};

/// Arguments of `spraylog records verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// This job; without it the newest 20 that have records at JobCloser
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Send again what JobCloser's list lacks twice, unless it may be there all the same
    #[arg(long)]
    resend: bool,
    /// Don't ask first
    #[arg(long, requires = "resend")]
    yes: bool,
}

/// Does it, and tells.
///
/// # Errors
/// Where neither the daemon nor the queue can be reached, nothing of such a job was ever
/// sent, or the operator says no.
pub fn run(
    config: &Config,
    args: &VerifyArgs,
    json: bool,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let file = file_in(&config.device.data_dir);
    // A rig that has never recorded has sent nothing.
    let jobs = match file.try_exists() {
        Ok(false) => Vec::new(),
        Ok(true) | Err(_) => {
            View::open(&file)?.jobs_sent(args.event.as_deref(), args.job.as_deref())?
        }
    };
    if jobs.is_empty() {
        return Err(Failure::say(Exit::DATA, "no record of such a job was ever sent"));
    }
    if args.resend && !args.yes && !agreed_to_resend()? {
        return Err(Failure::say(Exit::USAGE, "nothing was sent again; --yes goes on unasked"));
    }
    let told = ask_or_do(config, Order { jobs, resend: args.resend })?;
    if json {
        print_json(out, &json!(told))?;
    } else {
        out.write_all(text(&told, args.resend).as_bytes()).map_err(Failure::output)?;
    }
    if let Some(why) = &told.why {
        return Err(Failure::say(Exit::UNAVAILABLE, format!("not verified: {why}")));
    }
    Ok(exit(&told))
}

/// 0 only where every record is at JobCloser once.
fn exit(told: &Told) -> Exit {
    if told.jobs.iter().any(|job| job.why.is_some()) {
        Exit::UNAVAILABLE
    } else if told.jobs.iter().any(|job| !job.all_there || job.extras > 0) {
        Exit::DATA
    } else {
        Exit::OK
    }
}

/// What is there, and its list doesn't show, would be there twice: a person has looked.
fn agreed_to_resend() -> Result<bool, Failure> {
    eprint!(
        "Look at the job at JobCloser first. Records that its list lacks twice are sent again; if \
         they are there and the list doesn't show them, they are there twice then. Go on? [y/N] "
    );
    let mut answer = String::new();
    // Where nobody answers, that is no.
    Ok(io::stdin().read_line(&mut answer).is_ok() && agreed(&answer))
}

fn ask_or_do(config: &Config, order: Order) -> Result<Told, Failure> {
    let command = Command::RecordsVerify { order: order.clone() };
    match ask(&command, config) {
        Ok(said) => serde_json::from_value(said).map_err(|err| Failure::new(Exit::SOFTWARE, err)),
        Err(ClientError::Down(_)) => verify_alone(config, &order).map_err(Failure::from),
        Err(err) => Err(err.into()),
    }
}

impl From<AloneError> for Failure {
    fn from(err: AloneError) -> Self {
        match err {
            AloneError::Lock(err) => ClientError::Lock(err).into(),
            AloneError::Clock(err) => ClientError::Clock(err).into(),
            AloneError::Queue(err) => err.into(),
            err @ AloneError::System(_) => Self::new(Exit::IO, err),
        }
    }
}

fn text(told: &Told, resend: bool) -> String {
    let mut said = String::new();
    for job in &told.jobs {
        // Writing to a text can't fail.
        let _ = of_job(&mut said, job, resend);
    }
    said
}

fn of_job(said: &mut String, job: &JobTold, resend: bool) -> std::fmt::Result {
    let (gallons, records) = (job.closed.gallons, grouped(job.closed.records));
    write!(said, "job {}, event {}: ", job.key.job, job.key.event)?;
    write!(said, "{gallons:.1} gal, {records} records")?;
    if job.open.records > 0 {
        let (gallons, records) = (job.open.gallons, grouped(job.open.records));
        write!(said, "; being sprayed, so far {gallons:.1} gal, {records} records")?;
    }
    let when = job.verified.as_deref().unwrap_or("without a clock");
    match &job.why {
        Some(why) => writeln!(said, "; NOT VERIFIED: {why}")?,
        None if job.all_there => writeln!(said, ", all at JobCloser, verified {when}")?,
        None => writeln!(said, ", NOT all at JobCloser, verified {when}")?,
    }
    if job.waiting > 0 {
        writeln!(said, "  {} more to be sent", grouped(job.waiting))?;
    }
    if job.sent_again.readings > 0 {
        writeln!(said, "  lost there, and sent again: {}", numbers(&job.sent_again))?;
    }
    if job.missing.readings > 0 {
        let what = match resend {
            false => "look at the job there, then `spraylog records verify --resend`",
            true => "not sent again, since its list may be cut, or has records that may be these",
        };
        writeln!(said, "  MISSING there: {}; {what}", numbers(&job.missing))?;
    }
    if job.extras > 0 {
        let named = job.named.iter().map(|extra| match (extra.seq, &extra.id) {
            (Some(Seq(seq)), _) => format!("reading {seq} again"),
            (None, Some(id)) => format!("id {id}"),
            (None, None) => "one without an id".to_owned(),
        });
        let named: Vec<String> = named.collect();
        let many = grouped(job.extras);
        writeln!(
            said,
            "  {many} records TOO MANY there, not this rig's or there twice: {}",
            named.join(", ")
        )?;
    }
    Ok(())
}

fn numbers(of: &Numbers) -> String {
    let mut told = 0;
    let stretches: Vec<String> = of
        .seq
        .iter()
        .map(|(first, last)| {
            told += (last.0 - first.0 + 1).cast_unsigned();
            if first == last { first.0.to_string() } else { format!("{}..{}", first.0, last.0) }
        })
        .collect();
    let more = if told < of.readings { ", and more" } else { "" };
    format!("{} (seq {}{more})", grouped(of.readings), stretches.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::JobKey;
    use crate::verified::{Extra, Part};

    fn job() -> JobTold {
        JobTold {
            key: JobKey { event: "e".to_owned(), job: "j".to_owned() },
            closed: Part { gallons: 412.34, records: 2391 },
            open: Part::default(),
            waiting: 0,
            verified: Some("2027-05-02 17:42".to_owned()),
            all_there: true,
            sent_again: Numbers::default(),
            missing: Numbers::default(),
            extras: 0,
            named: Vec::new(),
            why: None,
        }
    }

    fn one(job: JobTold) -> Told {
        Told { jobs: vec![job], why: None }
    }

    #[test]
    fn the_owner_reads_that_all_is_there() {
        let told = one(job());
        let line = "job j, event e: 412.3 gal, 2,391 records, all at JobCloser, verified 2027-05-02 17:42\n";
        assert_eq!((text(&told, false).as_str(), exit(&told)), (line, Exit::OK));
    }

    #[test]
    fn what_is_missing_or_too_many_is_named_and_no_success() {
        let missing = Numbers::of(&[Seq(3), Seq(4), Seq(5), Seq(9)]);
        let told = one(JobTold { all_there: false, missing, ..job() });
        let said = text(&told, false);
        assert!(said.contains("MISSING there: 4 (seq 3..5, 9)") && said.contains("--resend"));
        assert_eq!(exit(&told), Exit::DATA);
        let extra = |seq, id| Extra { seq, id };
        let named = vec![extra(Some(Seq(7)), None), extra(None, Some("x1".to_owned()))];
        let told = one(JobTold { extras: 2, named, ..job() });
        assert!(text(&told, false).contains("reading 7 again, id x1"), "{}", text(&told, false));
        assert_eq!(exit(&told), Exit::DATA);
        let told = one(JobTold { why: Some("HTTP 500".to_owned()), all_there: false, ..job() });
        assert!(text(&told, false).contains("NOT VERIFIED: HTTP 500"));
        assert_eq!(exit(&told), Exit::UNAVAILABLE);
    }
}
