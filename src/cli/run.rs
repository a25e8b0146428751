//! `spraylog run`: the daemon, in the foreground. The one command that knows the agent.

use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

use super::exit::{Exit, Failure};
use crate::agent::{self, AgentError, SetLogLevel};
use crate::config::last_good;
use crate::config::load::environment;
use crate::jobcloser::client::QUIET_TARGETS;

/// How long threads that block may delay the end.
const LAST_THREADS: Duration = Duration::from_millis(200);

/// Runs until it is told to stop.
///
/// # Errors
/// With EX_CONFIG where there is no configuration to run with, not even a last good one.
pub fn run(config: Option<PathBuf>) -> Result<Exit, Failure> {
    let start = last_good::start(config.as_deref(), environment(), &super::meter_profile)
        .map_err(Failure::config)?;
    let set_log_level = log_to_stderr(&start.loaded.config.log.level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("spraylog")
        .enable_all()
        .build()
        .map_err(|err| Failure::new(Exit::IO, err))?;
    let (path, reread) = (config.clone(), || {
        last_good::start(config.as_deref(), environment(), &super::meter_profile).ok()
    });
    let ended = runtime.block_on(agent::run(start, reread, path, set_log_level));
    // A name that is still being looked up blocks a thread for longer than a stop may take.
    runtime.shutdown_timeout(LAST_THREADS);
    ended.map(|()| Exit::OK).map_err(failed)
}

fn failed(err: AgentError) -> Failure {
    let exit = match &err {
        err if err.is_taken() => Exit::UNAVAILABLE,
        err if err.is_forbidden() => Exit::NO_PERMISSION,
        AgentError::Profile(_) => Exit::CONFIG,
        AgentError::Lock(_)
        | AgentError::DataDir { .. }
        | AgentError::Clock(_)
        | AgentError::Queue(_)
        | AgentError::System { .. } => Exit::IO,
        AgentError::Record(_)
        | AgentError::Drain(_)
        | AgentError::Damaged(_)
        | AgentError::Ended(_) => Exit::SOFTWARE,
    };
    Failure::new(exit, err)
}

/// Everything to standard error, where the journal listens; the journal has the time
/// already. Returns what sets another level while the daemon runs.
fn log_to_stderr(level: &str) -> SetLogLevel {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let colours = !journal && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours);
    let lines = if journal { lines.without_time().boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Box::new(move |level| {
        // It fails only where the subscriber is gone, and then there is no log to filter.
        let _ = handle.reload(self::filter(level));
    })
}

/// The HTTP libraries are silent at every level: their lines may hold the password
/// (RULES.md, 26).
fn filter(level: &str) -> EnvFilter {
    let quiet =
        QUIET_TARGETS.iter().filter_map(|target| format!("{target}=off").parse::<Directive>().ok());
    quiet.fold(EnvFilter::new(level), EnvFilter::add_directive)
}
