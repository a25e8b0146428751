//! A disk with a volatile cache, for the agent's data: what a program has written and not
//! flushed is gone after a power cut, or survives in part. A file system in memory, mounted
//! by FUSE, so that it stands under a program that knows nothing of it. Knows no agent.
//!
//! The process that serves a disk must not map its files into memory: unmapping waits for
//! threads that wait for it. SQLite in it needs `locking_mode = EXCLUSIVE`; a program of its
//! own, as the agent is, may map what it likes.
//!
//! With a bench: its option puts the agent's `data_dir` there.
//!
//! ```no_run
//! # async fn field_test() -> Result<(), Box<dyn std::error::Error>> {
//! use hil_sim::bench::{Bench, BenchOptions};
//! use hil_sim::disk::{self, Cut, Refusal};
//! use std::time::Duration;
//!
//! if let Some(why) = disk::impossible() {
//!     eprintln!("skipped: field_test ({why})");
//!     return Ok(());
//! }
//! let mut options = BenchOptions::new("target/debug/spraylog");
//! options.disk = true;
//! let mut bench = Bench::start(options).await?;
//! bench.spray(2.0);
//! if let Some(disk) = bench.disk() {
//!     disk.delay_fsync(Duration::from_millis(300));
//!     disk.refuse(Some(Refusal::ReadOnly));
//!     disk.refuse(None);
//!     disk.set_limit(Some(1 << 20));
//! }
//! bench.cut_power(Cut::Torn { seed: 7 })?;
//! bench.start_agent()?;
//! # Ok(()) }
//! ```

mod decided;
mod kept;
mod mounted;
mod platter;
mod powered;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption};
use rustix::mount::{UnmountFlags, unmount};

use decided::Mounted;
use platter::Platter;
use powered::Powered;

/// Threads that answer the kernel, so that a slow flush holds up nothing else.
const THREADS: usize = 3;

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It can't be mounted: no `/dev/fuse`, or no right to mount.
    #[error("can't mount a FUSE disk at {}", at.display())]
    Mount {
        /// Where.
        at: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What a power cut does to what was written and not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All of it is gone.
    Lost,
    /// Of each write each sector of 512 bytes survives or not, of a directory's changes the
    /// first so many, as the seed says.
    Torn {
        /// The same seed tears the same writes alike.
        seed: u64,
    },
}

/// What a disk refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Every change, with EROFS, as after a file system's error.
    ReadOnly,
    /// Every write and every new file, with ENOSPC. See [`Disk::set_limit`] for one that
    /// only can't grow.
    Full,
    /// Every write and flush, with EIO.
    Broken,
}

/// What a disk is set to, and what it has counted.
#[derive(Debug, Default)]
pub struct Knobs {
    refusal: Option<Refusal>,
    limit: Option<u64>,
    fsync_delay: Duration,
    writes: u64,
    fsyncs: u64,
}

/// A mounted disk; it is unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
    powered: Arc<Powered>,
    knobs: Arc<Mutex<Knobs>>,
    // `None` between a cut and the next mount.
    session: Option<BackgroundSession>,
}

/// Why no disk can be mounted on this machine, if none can; for tests that say aloud that
/// they are skipped.
pub fn impossible() -> Option<String> {
    let tried = tempfile::tempdir()
        .map_err(|err| err.to_string())
        .and_then(|dir| Disk::mount(dir.path()).map_err(|err| described(&err)));
    tried.err()
}

fn described(err: &DiskError) -> String {
    let DiskError::Mount { source, .. } = err;
    format!("{err}: {source}")
}

impl Disk {
    /// Mounts an empty disk on a directory that exists.
    ///
    /// # Errors
    /// Where the system has no FUSE, or this process no right to mount.
    pub fn mount(at: &Path) -> Result<Self, DiskError> {
        let (powered, knobs) = (Arc::default(), Arc::default());
        let mut disk = Self { at: at.to_owned(), powered, knobs, session: None };
        disk.spin_up(Platter::default())?;
        Ok(disk)
    }

    fn spin_up(&mut self, platter: Platter) -> Result<(), DiskError> {
        self.powered = Arc::new(Powered::with(platter));
        let mounted = Mounted { powered: self.powered.clone(), knobs: self.knobs.clone() };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("hil-sim".to_owned())];
        config.n_threads = Some(THREADS);
        let session = fuser::spawn_mount(mounted, &self.at, &config);
        let at = self.at.clone();
        self.session = Some(session.map_err(|source| DiskError::Mount { at, source })?);
        Ok(())
    }

    /// The power goes. Whoever still runs on the disk gets EIO from now on; kill it, then
    /// [`Disk::come_back`].
    pub fn stop(&self) {
        self.powered.stop();
    }

    /// The power is back: the same place shows what survived the cut that [`Disk::stop`]
    /// was, or is now. It is mounted anew, so that nothing comes from the kernel's caches.
    ///
    /// # Errors
    /// Where it can't be mounted again.
    pub fn come_back(&mut self, cut: Cut) -> Result<(), DiskError> {
        let left = self.powered.stop().after(cut);
        self.unmount();
        self.spin_up(left)
    }

    /// What it refuses from now on.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.knobs().refusal = refusal;
    }

    /// Bytes that fit on it, all files together; what would grow beyond gets ENOSPC.
    pub fn set_limit(&self, bytes: Option<u64>) {
        self.knobs().limit = bytes;
    }

    /// How long every flush takes from now on.
    pub fn delay_fsync(&self, by: Duration) {
        self.knobs().fsync_delay = by;
    }

    /// Writes that it took or refused so far, all lives together.
    pub fn writes(&self) -> u64 {
        self.knobs().writes
    }

    /// Flushes, of files and directories.
    pub fn fsyncs(&self) -> u64 {
        self.knobs().fsyncs
    }

    fn knobs(&self) -> MutexGuard<'_, Knobs> {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unmount(&mut self) {
        if let Some(session) = self.session.take() {
            // Detached, since a program that looks in may still hold a file: what it holds
            // answers EIO.
            let _ = unmount(&self.at, UnmountFlags::DETACH);
            drop(session);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.stop();
        self.unmount();
    }
}
