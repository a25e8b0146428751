//! How a command ends: a code of sysexits(3), and an error in a line or two.

use std::error;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use thiserror::Error;

use crate::control::client::ClientError;
use crate::queue::{LockError, QueueError};

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Done.
    pub const OK: Self = Self(0);
    /// EX_USAGE: the arguments make no sense.
    pub const USAGE: Self = Self(64);
    /// EX_DATAERR: what was named isn't there in the queue, or can't be done to it.
    pub const DATA: Self = Self(65);
    /// EX_NOINPUT: a file can't be read.
    pub const NO_INPUT: Self = Self(66);
    /// EX_UNAVAILABLE: the daemon isn't there, or another one is.
    pub const UNAVAILABLE: Self = Self(69);
    /// EX_SOFTWARE: a task of the agent failed.
    pub const SOFTWARE: Self = Self(70);
    /// EX_IOERR: a file, the disk or the output failed.
    pub const IO: Self = Self(74);
    /// EX_NOPERM: not allowed.
    pub const NO_PERMISSION: Self = Self(77);
    /// EX_CONFIG: the configuration is wrong.
    pub const CONFIG: Self = Self(78);
}

/// Why a command failed, and the code that says so.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    /// With a code and what there is to say.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        // The alternate form is the whole chain on one line.
        Self { exit, text: format!("{:#}", error.into()) }
    }

    /// With a code and a sentence.
    pub fn say(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }

    /// The configuration is wrong.
    pub fn config(error: impl error::Error + Send + Sync + 'static) -> Self {
        Self::new(Exit::CONFIG, error)
    }

    /// A file can't be read.
    pub fn input(file: &Path, err: &io::Error) -> Self {
        Self::say(Exit::NO_INPUT, format!("cannot read {}: {err}", file.display()))
    }

    /// This user may not read it.
    pub fn forbidden(path: &Path) -> Self {
        let path = path.display();
        Self::say(
            Exit::NO_PERMISSION,
            format!("no permission for {path}; use sudo, or join the group spraylog"),
        )
    }

    /// The output failed. A reader that has gone (`| head`) is no failure.
    pub fn output(err: io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::BrokenPipe => Self { exit: Exit::OK, text: String::new() },
            _ => Self::say(Exit::IO, format!("cannot write the output: {err}")),
        }
    }

    /// What turns an input into an output failed: one of the two.
    pub fn decoding(err: io::Error) -> Self {
        match err.get_ref().and_then(|inner| inner.downcast_ref::<InputError>()) {
            Some(InputError { file, source }) => Self::input(file, source),
            None => Self::output(err),
        }
    }

    /// Says it on standard error.
    pub fn report(self) -> Exit {
        if !self.text.is_empty() {
            eprintln!("spraylog: {}", self.text);
        }
        self.exit
    }
}

/// A file that is read while output is written, so that an error tells which of the two
/// it is of.
#[derive(Debug)]
pub struct Input<R> {
    file: PathBuf,
    reader: R,
}

#[derive(Debug, Error)]
#[error("cannot read {}", .file.display())]
struct InputError {
    file: PathBuf,
    source: io::Error,
}

impl<R> Input<R> {
    /// Of this name.
    pub fn new(file: &Path, reader: R) -> Self {
        Self { file: file.to_owned(), reader }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf).map_err(|source| match source.kind() {
            io::ErrorKind::Interrupted => source,
            _ => io::Error::other(InputError { file: self.file.clone(), source }),
        })
    }
}

/// Whether it is for want of rights that a file, or what goes with it, can't be opened.
/// SQLite doesn't tell.
fn denied(file: &Path) -> bool {
    let closed = File::open(file).is_err_and(|err| err.kind() == io::ErrorKind::PermissionDenied);
    let dir = file.parent().unwrap_or(Path::new("."));
    closed || access(dir, Access::WRITE_OK) == Err(Errno::ACCESS)
}

impl From<QueueError> for Failure {
    fn from(err: QueueError) -> Self {
        if let QueueError::Open { path, .. } = &err
            && denied(path)
        {
            return Self::forbidden(path);
        }
        let exit = match &err {
            QueueError::NoSuchReading(_) | QueueError::Refused(_) | QueueError::Range { .. } => {
                Exit::DATA
            }
            QueueError::Open { .. }
            | QueueError::Newer { .. }
            | QueueError::Log { .. }
            | QueueError::Unsound { .. }
            | QueueError::SetAside { .. }
            | QueueError::Sql { .. }
            | QueueError::Closed => Exit::IO,
        };
        Self::new(exit, err)
    }
}

impl From<ClientError> for Failure {
    fn from(err: ClientError) -> Self {
        let err = match err {
            ClientError::Queue(err) => return err.into(),
            err => err,
        };
        let exit = match &err {
            ClientError::Down(_) | ClientError::Broken(_) | ClientError::Late(_) => {
                Exit::UNAVAILABLE
            }
            ClientError::Forbidden(_) => Exit::NO_PERMISSION,
            ClientError::Refused(_) => Exit::DATA,
            ClientError::Lock(LockError::File { path, source })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                return Self::forbidden(path);
            }
            ClientError::Lock(LockError::Held { .. }) => Exit::UNAVAILABLE,
            ClientError::Lock(LockError::File { .. })
            | ClientError::Clock(_)
            | ClientError::Queue(_) => Exit::IO,
        };
        Self::new(exit, err)
    }
}
