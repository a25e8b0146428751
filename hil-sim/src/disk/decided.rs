//! What a mounted disk does and refuses, by its knobs. Knows nothing of how the kernel asks.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{Errno, FileAttr, FileType, INodeNo, OpenAccMode, OpenFlags, Request, WriteFlags};

use super::platter::Platter;
use super::powered::Powered;
use super::{Knobs, Refusal};

/// What sizes are told in, bytes.
pub const BLOCK: u32 = 4096;

/// A disk as the kernel sees it.
#[derive(Debug)]
pub struct Mounted {
    /// What is on it.
    pub powered: Arc<Powered>,
    /// What it refuses, and what it has counted.
    pub knobs: Arc<Mutex<Knobs>>,
}

impl Mounted {
    pub(super) fn knobs(&self) -> MutexGuard<'_, Knobs> {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything may be changed now; `grows` tells a full disk.
    pub(super) fn may_change(&self, grows: bool) -> Result<(), Errno> {
        match self.knobs().refusal {
            Some(Refusal::ReadOnly) => Err(Errno::EROFS),
            Some(Refusal::Broken) => Err(Errno::EIO),
            Some(Refusal::Full) if grows => Err(Errno::ENOSPC),
            Some(Refusal::Full) | None => Ok(()),
        }
    }

    fn room_for(&self, platter: &Platter, ino: u64, end: u64) -> Result<(), Errno> {
        let more = end.saturating_sub(platter.node(ino)?.size());
        match self.knobs().limit {
            Some(limit) if more > 0 && platter.used() + more > limit => Err(Errno::ENOSPC),
            _ => Ok(()),
        }
    }

    pub(super) fn attr(platter: &Platter, ino: u64) -> Result<FileAttr, Errno> {
        let node = platter.node(ino)?;
        let kind = if node.is_dir() { FileType::Directory } else { FileType::RegularFile };
        Ok(FileAttr {
            ino: INodeNo(ino),
            size: node.size(),
            blocks: node.size().div_ceil(512),
            atime: node.changed,
            mtime: node.changed,
            ctime: node.changed,
            crtime: node.changed,
            kind,
            perm: node.mode,
            nlink: 1,
            uid: node.uid,
            gid: node.gid,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        })
    }

    pub(super) fn make(
        &self,
        req: &Request,
        dir: INodeNo,
        name: &OsStr,
        mode: u32,
        is_dir: bool,
    ) -> Result<FileAttr, Errno> {
        self.may_change(true)?;
        let mut platter = self.powered.running()?;
        let ino = platter.make(dir.0, name, mode, is_dir)?;
        let node = platter.node_mut(ino)?;
        (node.uid, node.gid) = (req.uid(), req.gid());
        Self::attr(&platter, ino)
    }

    pub(super) fn write_in(
        &self,
        ino: u64,
        at: u64,
        data: &[u8],
        flags: WriteFlags,
    ) -> Result<(), Errno> {
        // The kernel writes pages of mapped memory back when it likes to; nobody waits for
        // them, and nobody flushes SQLite's shared memory.
        if !flags.contains(WriteFlags::FUSE_WRITE_CACHE) {
            self.may_change(true)?;
            self.knobs().writes += 1;
        }
        let mut platter = self.powered.running()?;
        self.room_for(&platter, ino, at + data.len() as u64)?;
        platter.write(ino, at, data)
    }

    pub(super) fn set_length(&self, ino: u64, length: u64) -> Result<(), Errno> {
        let mut platter = self.powered.running()?;
        self.may_change(length > platter.node(ino)?.size())?;
        self.room_for(&platter, ino, length)?;
        platter.set_length(ino, length)
    }

    pub(super) fn flush_to_platter(&self, ino: u64) -> Result<(), Errno> {
        let mark = self.powered.running()?.mark(ino);
        let delay = {
            let mut knobs = self.knobs();
            knobs.fsyncs += 1;
            knobs.fsync_delay
        };
        std::thread::sleep(delay);
        if self.knobs().refusal == Some(Refusal::Broken) {
            return Err(Errno::EIO);
        }
        // The power may have gone meanwhile; then nothing of it was flushed.
        self.powered.running()?.flush(ino, mark);
        Ok(())
    }

    pub(super) fn opened(&self, flags: OpenFlags) -> Result<(), Errno> {
        let reads = flags.acc_mode() == OpenAccMode::O_RDONLY;
        match self.knobs().refusal {
            Some(Refusal::ReadOnly) if !reads => Err(Errno::EROFS),
            _ => Ok(()),
        }
    }
}
