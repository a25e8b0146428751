//! One end of a serial cable, as a pseudoterminal under a stable name. The rig writes to
//! the master; the agent opens the name. Knows nothing of meters or receivers.
//!
//! ```text
//! link_dir/meter ─► /dev/pts/N (slave, the agent's)  ◄──  master (ours)
//! ```
//!
//! Three habits of a pty differ from a serial port, and are made good here (tried on
//! Linux 6.18):
//! - what is written while nobody has the slave open is kept for whoever opens it next,
//!   where a serial port's receiver would be off. So nothing is written then;
//! - what a reader left unread outlives it, and so does its exclusive mode, which refuses
//!   the next one. So a pty whose reader has gone is replaced under the same name;
//! - `/dev/pts/N` numbers are reused at once. So the stable name is a link of our own.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};

/// Why a cable could not be laid.
#[derive(Debug, thiserror::Error)]
pub enum PtyError {
    /// No pseudoterminal to be had.
    #[error("can't open a pseudoterminal for {}", link.display())]
    Open {
        /// The stable name it was for.
        link: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The stable name can't be made or removed.
    #[error("can't point the name {} at the pseudoterminal", link.display())]
    Link {
        /// The stable name.
        link: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of it is on its way to a reader.
    All,
    /// The reader does not drain the line: this many bytes at the end were dropped.
    Cut(usize),
    /// Nobody has the port open: all of it was dropped.
    Nobody,
    /// The cable is out: all of it was dropped.
    Unplugged,
}

impl Written {
    /// Whether a reader can have heard all of it.
    pub fn heard(self) -> bool {
        self == Self::All
    }
}

/// Bytes that never reached a reader, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The reader did not drain the line.
    pub undrained: u64,
    /// Nobody had the port open, or the cable was out.
    pub unheard: u64,
}

/// A pseudoterminal under a stable name.
#[derive(Debug)]
pub struct Pty {
    link: PathBuf,
    master: Option<OwnedFd>,
    /// Whether someone has had this very pseudoterminal open.
    was_open: bool,
    dropped: Dropped,
    /// What the reader has said, where anybody listens.
    heard: Option<Vec<u8>>,
    dtr: Dtr,
}

/// The line that tells a device of an opened port, as a real port would drive it: up at the
/// first open; down at the last close if the reader has left HUPCL set, and with the cable.
#[derive(Debug, Default)]
struct Dtr {
    is_up: bool,
    has_risen: bool,
    hangs_up: bool,
}

impl Pty {
    /// Makes a pseudoterminal and points `link` at it, in place of whatever was there.
    ///
    /// # Errors
    /// Where the system has no pseudoterminal, or the name can't be made.
    pub fn plug_new(link: &Path) -> Result<Self, PtyError> {
        let mut pty = Self {
            link: link.to_owned(),
            master: None,
            was_open: false,
            dropped: Dropped::default(),
            heard: None,
            dtr: Dtr::default(),
        };
        pty.plug()?;
        Ok(pty)
    }

    /// The stable name.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// Whether the cable is in.
    pub fn plugged(&self) -> bool {
        self.master.is_some()
    }

    /// What never reached a reader.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Puts the cable in again: a new pseudoterminal under the same name. Nothing happens
    /// where it is in.
    ///
    /// # Errors
    /// As [`Pty::plug_new`].
    pub fn plug(&mut self) -> Result<(), PtyError> {
        if self.master.is_some() {
            return Ok(());
        }
        let (master, slave) = raw_pair()
            .map_err(|errno| PtyError::Open { link: self.link.clone(), source: errno.into() })?;
        point(&self.link, &slave)
            .map_err(|source| PtyError::Link { link: self.link.clone(), source })?;
        self.master = Some(master);
        self.was_open = false;
        self.heard.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    /// Pulls the cable: the name goes first, then the reader's descriptor ends.
    ///
    /// # Errors
    /// Where the name can't be removed; the cable is out all the same.
    pub fn unplug(&mut self) -> Result<(), PtyError> {
        let removed = fs::remove_file(&self.link);
        let was_plugged = self.master.take().is_some();
        self.dtr.is_up = false;
        match removed {
            Err(source) if was_plugged => Err(PtyError::Link { link: self.link.clone(), source }),
            _ => Ok(()),
        }
    }

    /// Looks whether the reader has gone, and lays a fresh pseudoterminal if so. Says
    /// whether someone has the port open now.
    ///
    /// # Errors
    /// As [`Pty::plug_new`].
    pub fn look(&mut self) -> Result<bool, PtyError> {
        let Some(master) = &self.master else {
            return Ok(false);
        };
        if is_open(master) {
            self.was_open = true;
            self.dtr.has_risen |= !std::mem::replace(&mut self.dtr.is_up, true);
            self.dtr.hangs_up = hangs_up(master);
            take_input(master, self.heard.as_mut());
            return Ok(true);
        }
        if self.was_open {
            self.dtr.is_up &= !self.dtr.hangs_up;
            self.master = None;
            self.plug()?;
        }
        Ok(false)
    }

    /// Looks (see [`Pty::look`]) and gives what the reader has said since the last time.
    ///
    /// # Errors
    /// As [`Pty::look`].
    pub fn listen(&mut self) -> Result<Vec<u8>, PtyError> {
        self.heard.get_or_insert_default();
        self.look()?;
        Ok(self.heard.as_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Whether DTR has risen since this was asked the last time.
    pub fn dtr_rose(&mut self) -> bool {
        std::mem::take(&mut self.dtr.has_risen)
    }

    /// Writes without waiting. What can't go out is dropped and counted, as on a wire.
    ///
    /// # Errors
    /// As [`Pty::plug_new`], where the reader had gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Written, PtyError> {
        let listening = self.look()?;
        let Some(master) = &self.master else {
            self.dropped.unheard += bytes.len() as u64;
            return Ok(Written::Unplugged);
        };
        if !listening {
            self.dropped.unheard += bytes.len() as u64;
            return Ok(Written::Nobody);
        }
        let left = write_what_fits(master, bytes);
        self.dropped.undrained += left as u64;
        Ok(if left == 0 { Written::All } else { Written::Cut(left) })
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // The name must not outlive the pseudoterminal whose number will be reused.
        if self.master.is_some() {
            let _ = fs::remove_file(&self.link);
        }
    }
}

/// Writes until done or the descriptor would block; returns how many bytes are left.
pub(crate) fn write_what_fits(fd: &OwnedFd, mut bytes: &[u8]) -> usize {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    bytes.len()
}

/// A raw, non-blocking master and its slave's path, as if a reader had just closed it:
/// until the first open and close, Linux reports a slave nobody holds as open.
fn raw_pair() -> Result<(OwnedFd, PathBuf), Errno> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = open(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut modes = tcgetattr(&slave)?;
    modes.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &modes)?;
    drop(slave);
    let path = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
    Ok((master, path))
}

/// Points a name at a path in one step, so that whoever looks finds the old or the new.
fn point(link: &Path, target: &Path) -> std::io::Result<()> {
    let mut beside = link.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    symlink(target, &beside)?;
    fs::rename(&beside, link)
}

/// A master whose slave nobody holds is hung up (`POLLHUP`).
fn is_open(master: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(master, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = poll(&mut fds, Some(&at_once));
    polled.is_ok() && fds.iter().all(|fd| !fd.revents().contains(PollFlags::HUP))
}

/// Whether the reader wants DTR to fall when it closes; a pty keeps the flag and has no line.
fn hangs_up(master: &OwnedFd) -> bool {
    tcgetattr(master).is_ok_and(|modes| modes.control_modes.contains(ControlModes::HUPCL))
}

/// Takes what the reader has said to us (a receiver's set-up, say), so that its writes
/// never block, and keeps it where there is a place for it. At most 64 KiB at a time.
pub(crate) fn take_input(fd: &OwnedFd, mut into: Option<&mut Vec<u8>>) {
    let mut buffer = [0_u8; 1024];
    for _ in 0..64 {
        match rustix::io::read(fd, &mut buffer) {
            Ok(count) if count > 0 => {
                if let Some(into) = &mut into {
                    into.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;

    fn open_port(link: &Path) -> File {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlags::NOCTTY | OFlags::NONBLOCK).bits() as i32)
            .open(link)
            .unwrap()
    }

    /// A pty hands bytes over through a work queue, so they may take a moment.
    fn read_soon(port: &mut File, want: usize) -> Vec<u8> {
        let mut got = Vec::new();
        let mut buffer = [0; 256];
        for _ in 0..200 {
            match port.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => got.extend_from_slice(&buffer[..count]),
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
            }
            if got.len() >= want {
                break;
            }
        }
        got
    }

    #[test]
    fn bytes_pass_untouched_and_only_to_a_reader_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("meter");
        let mut pty = Pty::plug_new(&link).unwrap();
        assert_eq!(pty.write(b"lost\r\n").unwrap(), Written::Nobody);

        let mut port = open_port(&link);
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(pty.write(&bytes).unwrap(), Written::All);
        assert_eq!(read_soon(&mut port, 256), bytes);
        assert_eq!(pty.dropped(), Dropped { undrained: 0, unheard: 6 });
    }

    #[test]
    fn an_undrained_line_drops_and_counts_and_never_waits() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("meter");
        let mut pty = Pty::plug_new(&link).unwrap();
        let port = open_port(&link);
        let mut dropped = 0;
        for _ in 0..1000 {
            if let Written::Cut(left) = pty.write(&[b'x'; 64]).unwrap() {
                dropped += left as u64;
            }
        }
        assert!(dropped > 30_000, "a pty takes about 18 KB, {dropped} dropped");
        assert_eq!(pty.dropped().undrained, dropped);
        drop(port);
    }

    #[test]
    fn unplugging_ends_the_reader_and_the_name_and_plugging_brings_both_back() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("meter");
        let mut pty = Pty::plug_new(&link).unwrap();
        let mut port = open_port(&link);
        pty.unplug().unwrap();
        assert!(!link.exists() && fs::symlink_metadata(&link).is_err());
        let ended = port.read(&mut [0; 8]);
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        assert_eq!(pty.write(b"x").unwrap(), Written::Unplugged);

        pty.plug().unwrap();
        let mut port = open_port(&link);
        assert!(pty.write(b"back\n").unwrap().heard());
        assert_eq!(read_soon(&mut port, 5), b"back\n");
    }

    #[test]
    fn what_a_reader_left_unread_is_not_given_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("gps");
        let mut pty = Pty::plug_new(&link).unwrap();
        let port = open_port(&link);
        let first = fs::read_link(&link).unwrap();
        assert!(pty.write(b"stale\n").unwrap().heard());
        drop(port);
        assert!(!pty.look().unwrap());
        let mut port = open_port(&link);
        assert!(pty.write(b"fresh\n").unwrap().heard());
        assert_eq!(read_soon(&mut port, 6), b"fresh\n", "was {first:?}");
    }

    #[test]
    fn questions_are_heard_once_and_those_of_a_reader_that_has_gone_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("meter");
        let mut pty = Pty::plug_new(&link).unwrap();
        assert!(pty.listen().unwrap().is_empty());
        let mut port = open_port(&link);
        port.write_all(b"DQM\r").unwrap();
        // A write looks too, and loses nothing of what was asked.
        assert!(pty.write(b"+0\r\n").unwrap().heard());
        let soon =
            |pty: &mut Pty| (0..200).map(|_| pty.listen().unwrap()).find(|heard| !heard.is_empty());
        assert_eq!(soon(&mut pty).unwrap(), b"DQM\r");
        assert!(pty.listen().unwrap().is_empty());
        port.write_all(b"DI+\r").unwrap();
        drop(port);
        pty.look().unwrap();
        let _again = open_port(&link);
        assert!(pty.listen().unwrap().is_empty());
    }

    #[test]
    fn dtr_rises_at_the_first_open_and_again_only_if_it_was_let_fall() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("meter");
        let mut pty = Pty::plug_new(&link).unwrap();
        let opened = |pty: &mut Pty, keeps_dtr: bool| {
            let port = open_port(&link);
            let mut modes = tcgetattr(&port).unwrap();
            modes.control_modes.set(ControlModes::HUPCL, !keeps_dtr);
            tcsetattr(&port, OptionalActions::Now, &modes).unwrap();
            pty.look().unwrap();
            let rose = pty.dtr_rose();
            drop(port);
            pty.look().unwrap();
            rose
        };
        assert!(opened(&mut pty, false), "the first open");
        assert!(opened(&mut pty, true), "it had fallen at the close");
        assert!(!opened(&mut pty, true), "it was kept up");
        pty.unplug().unwrap();
        pty.plug().unwrap();
        assert!(opened(&mut pty, true), "the cable was out");
    }

    #[test]
    fn the_name_goes_with_the_pty() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("meter");
        drop(Pty::plug_new(&link).unwrap());
        assert!(fs::symlink_metadata(&link).is_err());
    }
}
