//! `spraylog job`: what the liquid is for. Asks the daemon, or writes the pick down
//! itself where that is not running.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::exit::{Exit, Failure};
use super::{ConfigFile, print_json};
use crate::config::valid;
use crate::control::Command;
use crate::control::client::ask_or_act;
use crate::reading::Assignment;

/// Arguments of `spraylog job`.
#[derive(Debug, Args)]
pub struct JobArgs {
    #[command(subcommand)]
    command: JobCommand,
    #[command(flatten)]
    file: ConfigFile,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum JobCommand {
    /// The job in force, and the one that comes next
    Show,
    /// Spray for this job from now on
    Use(Ids),
    /// Forget the job that was picked
    Clear,
}

/// The ids of an assignment, as JobCloser knows them.
#[derive(Debug, Clone, Args)]
pub struct Ids {
    /// Event id
    #[arg(long, value_name = "ID")]
    event: String,
    /// Job id
    #[arg(long, value_name = "ID")]
    job: String,
    /// Job item id
    #[arg(long, value_name = "ID")]
    item: Option<String>,
    /// Product id
    #[arg(long, value_name = "ID")]
    product: Option<String>,
    /// Text at the end of every note
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

impl Ids {
    /// What looks mistyped: said, and done all the same.
    pub fn doubtful(&self) -> Vec<String> {
        let given = [
            ("--event", Some(&self.event)),
            ("--job", Some(&self.job)),
            ("--item", self.item.as_ref()),
            ("--product", self.product.as_ref()),
        ];
        let odd = given.into_iter().filter(|(_, id)| id.is_some_and(|id| !valid::is_usual_id(id)));
        odd.map(|(name, id)| {
            let id = id.map_or("", String::as_str);
            format!(
                "spraylog: warning: {name} {id} doesn't look like an id of JobCloser's, which has \
                 30 hexadecimal digits; if it is mistyped, give the right one before liquid flows"
            )
        })
        .collect()
    }

    /// As the queue knows it.
    pub fn assignment(&self) -> Assignment {
        Assignment {
            event: self.event.clone(),
            job: self.job.clone(),
            item: self.item.clone(),
            product: self.product.clone(),
            note: self.note.clone(),
        }
    }
}

/// Shows or changes the job.
///
/// # Errors
/// Where neither the daemon nor the queue can be reached.
pub fn run(args: &JobArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let command = match &args.command {
        JobCommand::Show => Command::JobShow,
        JobCommand::Use(ids) => Command::JobUse { assignment: ids.assignment() },
        JobCommand::Clear => Command::JobClear,
    };
    let said = ask_or_act(&command, &args.file.load()?.config)?;
    if let JobCommand::Use(ids) = &args.command {
        ids.doubtful().iter().for_each(|warning| eprintln!("{warning}"));
    }
    if args.json {
        print_json(out, &said)?;
        return Ok(Exit::OK);
    }
    for (name, key) in [("in force", "in_force"), ("wanted", "wanted")] {
        writeln!(out, "{name:<10}{}", told(&said[key])).map_err(Failure::output)?;
    }
    if said["takes_effect"] != "now" {
        writeln!(out, "          changes at the meter's next reading").map_err(Failure::output)?;
    }
    Ok(Exit::OK)
}

fn told(job: &Value) -> String {
    let text = |key: &str| job["assignment"][key].as_str().unwrap_or("-").to_owned();
    match job {
        Value::Null => "none: readings are held until a job is given".to_owned(),
        job => format!(
            "job {}, event {} ({})",
            text("job"),
            text("event"),
            job["chosen_by"].as_str().unwrap_or("-")
        ),
    }
}
