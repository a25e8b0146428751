//! The agent under test as a process: its directory, its life, and what it says of itself.
//! Knows it only from outside: a binary, a TOML file, signals and `status --json`.

mod config;
mod status;

pub use config::{AgentPorts, EVENT_ID, JOB_ID, config, merge, rules};
pub use status::{Balance, Daemon, Gallons, HeldFor, Status};

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long `status` may take to answer.
const STATUS_WITHIN: Duration = Duration::from_secs(10);

/// How often a process that is to end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why the agent can't be run or asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No binary.
    #[error("no agent at {}: build it first, or name it with --agent", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file of its directory can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It can't be started.
    #[error("can't start {}", path.display())]
    Start {
        /// The binary.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It runs already.
    #[error("the agent runs already, as process {pid}")]
    Running {
        /// Its process id.
        pid: u32,
    },
    /// It can't be signalled or waited for.
    #[error("can't signal the agent, process {pid}")]
    Signal {
        /// Its process id.
        pid: u32,
        /// What the system said.
        source: std::io::Error,
    },
    /// It did not end when told to.
    #[error("the agent, process {pid}, did not end within {within_s} s of SIGTERM; it was killed")]
    Stuck {
        /// Its process id.
        pid: u32,
        /// How long it was given.
        within_s: u64,
    },
    /// `status --json` gave no answer.
    #[error("no status from the agent: {what}")]
    Status {
        /// How it failed.
        what: String,
    },
    /// `status --json` isn't what the bench can read.
    #[error("the agent's status can't be read")]
    StatusText {
        /// Where it can't.
        source: serde_json::Error,
    },
}

/// An agent with a directory of its own.
#[derive(Debug)]
pub struct Agent {
    binary: PathBuf,
    dir: PathBuf,
    env: Vec<(OsString, OsString)>,
    child: Option<Child>,
}

/// The agent's binary: as told, else `spraylog` beside the running program (or one above
/// it, where tests are), else on the path.
pub fn find_binary(told: Option<&Path>) -> Result<PathBuf, AgentError> {
    if let Some(path) = told {
        return match path.is_file() {
            true => Ok(path.to_owned()),
            false => Err(AgentError::Missing { path: path.to_owned() }),
        };
    }
    let own = std::env::current_exe().unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = own.ancestors().skip(1).take(2).map(Path::to_owned);
    let found = beside
        .chain(std::env::split_paths(&path))
        .map(|dir| dir.join("spraylog"))
        .find(|file| file.is_file());
    found.ok_or(AgentError::Missing { path: "spraylog".into() })
}

impl Agent {
    /// Lays out a directory for an agent: configuration and credentials. Starts nothing.
    ///
    /// # Errors
    /// Where a file can't be written.
    pub fn new(
        binary: PathBuf,
        dir: &Path,
        config: &toml::Table,
        credentials: (&str, &str),
    ) -> Result<Self, AgentError> {
        let agent = Self { binary, dir: dir.to_owned(), env: Vec::new(), child: None };
        let secrets = dir.join("credentials");
        std::fs::create_dir_all(&secrets)
            .map_err(|source| AgentError::Write { path: secrets.clone(), source })?;
        write(&secrets.join("email"), credentials.0)?;
        write(&secrets.join("password"), credentials.1)?;
        agent.write_config(config)?;
        Ok(agent)
    }

    /// Sets a variable of its environment from the next start on.
    pub fn set_env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        let name = name.into();
        self.env.retain(|(other, _)| *other != name);
        self.env.push((name, value.into()));
    }

    /// Takes a variable away again.
    pub fn unset_env(&mut self, name: &str) {
        self.env.retain(|(other, _)| other != name);
    }

    /// Writes its configuration anew; it reads it at its next start or reload.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn write_config(&self, config: &toml::Table) -> Result<(), AgentError> {
        write(&self.config_path(), &config.to_string())
    }

    /// Its configuration.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("spraylog.toml")
    }

    /// What it prints, of all its lives.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its process id, while it has one.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it runs; an end by itself is noticed here, and told once by
    /// [`Agent::ended_by_itself`].
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// How it ended, where nobody told it to; it can be started again then.
    pub fn ended_by_itself(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
    }

    /// Starts it.
    ///
    /// # Errors
    /// Where it runs already, or can't be started.
    pub fn start(&mut self) -> Result<(), AgentError> {
        if let Some(child) = &self.child {
            return Err(AgentError::Running { pid: child.id() });
        }
        let path = self.log_path();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let logs = log.and_then(|log| Ok((log.try_clone()?, log)));
        let (out, err) = logs.map_err(|source| AgentError::Write { path, source })?;
        let mut command = self.command(&["run"]);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn();
        let path = self.binary.clone();
        self.child = Some(child.map_err(|source| AgentError::Start { path, source })?);
        Ok(())
    }

    /// SIGKILL, and waits for its end; nothing where it doesn't run.
    ///
    /// # Errors
    /// Where it can't be signalled or waited for.
    pub fn kill(&mut self) -> Result<(), AgentError> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let pid = child.id();
        let ended = child.kill().and_then(|()| child.wait());
        ended.map(|_| ()).map_err(|source| AgentError::Signal { pid, source })
    }

    /// SIGTERM, and waits for its end; how it ended and how long it took. `None` where it
    /// doesn't run.
    ///
    /// # Errors
    /// Where it doesn't end within the time given; it is killed then.
    pub async fn stop(
        &mut self,
        within: Duration,
    ) -> Result<Option<(ExitStatus, Duration)>, AgentError> {
        let Some(mut child) = self.child.take() else {
            return Ok(None);
        };
        let (pid, begun) = (child.id(), Instant::now());
        signal(pid, Signal::TERM)?;
        while begun.elapsed() < within {
            let look = child.try_wait();
            if let Some(status) = look.map_err(|source| AgentError::Signal { pid, source })? {
                return Ok(Some((status, begun.elapsed())));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.child = Some(child);
        self.kill()?;
        Err(AgentError::Stuck { pid, within_s: within.as_secs() })
    }

    /// SIGHUP.
    ///
    /// # Errors
    /// Where it can't be signalled.
    pub fn reload(&self) -> Result<(), AgentError> {
        self.pid().map_or(Ok(()), |pid| signal(pid, Signal::HUP))
    }

    /// Any signal.
    ///
    /// # Errors
    /// Where it can't be signalled.
    pub fn signal(&self, which: Signal) -> Result<(), AgentError> {
        self.pid().map_or(Ok(()), |pid| signal(pid, which))
    }

    /// A command of its binary, with its configuration and environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("SPRAYLOG_") || text == "CREDENTIALS_DIRECTORY" {
                command.env_remove(&name);
            }
        }
        command.envs(self.env.iter().cloned());
        command.args(args).arg("--config").arg(self.config_path());
        command
    }

    /// Asks `status --json`.
    ///
    /// # Errors
    /// Where there is no answer within 10 s, or none that can be read.
    pub async fn status(&self) -> Result<Status, AgentError> {
        let mut command = self.command(&["status", "--json"]);
        command.stdin(Stdio::null());
        let said = |what: String| AgentError::Status { what };
        let asked = tokio::task::spawn_blocking(move || answer_within(command, STATUS_WITHIN));
        let answer = asked.await.map_err(|err| said(err.to_string()))?;
        let text = answer.map_err(said)?;
        Status::read(&text).map_err(|source| AgentError::StatusText { source })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // A bench that is gone leaves no agent behind.
        let _ = self.kill();
    }
}

/// What a command prints, if it ends in time; else it is killed.
fn answer_within(mut command: Command, within: Duration) -> Result<String, String> {
    use std::io::{Read, Seek};
    let file = || tempfile::tempfile().map_err(|err| err.to_string());
    let (mut out, mut err) = (file()?, file()?);
    let hand = |file: &File| file.try_clone().map_err(|err| err.to_string());
    command.stdout(hand(&out)?).stderr(hand(&err)?);
    let mut child = command.spawn().map_err(|err| err.to_string())?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|err| err.to_string())? {
            Some(status) => break status,
            None if begun.elapsed() > within => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer within {} s", within.as_secs()));
            }
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    let text = |file: &mut File| -> String {
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    let (said, complaint) = (text(&mut out), text(&mut err));
    if said.trim().is_empty() {
        let first = complaint.lines().next().unwrap_or_default();
        return Err(format!("{status}: {first}"));
    }
    Ok(said)
}

fn signal(pid: u32, which: Signal) -> Result<(), AgentError> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = process.map_or(Ok(()), |process| kill_process(process, which));
    sent.map_err(|errno| AgentError::Signal { pid, source: errno.into() })
}

fn write(path: &Path, text: &str) -> Result<(), AgentError> {
    std::fs::write(path, text).map_err(|source| AgentError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(dir: &Path, kind: &str) -> Agent {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-agent");
        let mut agent = Agent::new(binary, dir, &toml::Table::new(), ("a@b.c", "secret")).unwrap();
        agent.set_env("FAKE", kind);
        agent
    }

    #[tokio::test]
    async fn a_process_is_started_stopped_killed_and_asked() {
        let dir = tempfile::tempdir().unwrap();
        let mut agent = fake(dir.path(), "sleeper");
        agent.start().unwrap();
        assert!(agent.is_running() && agent.ended_by_itself().is_none());
        assert!(matches!(agent.start(), Err(AgentError::Running { .. })));
        assert_eq!(agent.status().await.unwrap().last_seq, Some(3));
        let (status, _) = agent.stop(Duration::from_secs(5)).await.unwrap().unwrap();
        assert!(!status.success() && !agent.is_running());
        agent.start().unwrap();
        agent.kill().unwrap();
        assert_eq!(agent.pid(), None);
        assert!(agent.stop(Duration::from_secs(1)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_end_by_itself_and_a_refused_answer_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut agent = fake(dir.path(), "refuser");
        agent.start().unwrap();
        let ended = loop {
            if let Some(status) = agent.ended_by_itself() {
                break status;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        assert_eq!(ended.code(), Some(78));
        assert!(agent.log().contains("no such meter"));
        let err = agent.status().await.unwrap_err();
        assert!(err.to_string().contains("no such meter"), "{err}");
    }

    #[test]
    fn a_missing_binary_is_named() {
        let err = find_binary(Some(Path::new("/nowhere/spraylog"))).unwrap_err();
        assert!(err.to_string().contains("/nowhere/spraylog"));
    }
}
