//! The kernel's questions about a disk, answered from its platter. Decides nothing of
//! what outlives a cut.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::Refusal;
use super::decided::{BLOCK, Mounted};
use super::platter::ROOT;

/// How long the kernel may remember names and sizes: every change comes through it.
const TTL: Duration = Duration::from_secs(1);
/// Told as the size of a disk without a limit, bytes.
const UNLIMITED: u64 = 8 << 30;

fn done(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(err) => reply.error(err),
    }
}

fn entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(err) => reply.error(err),
    }
}

fn attributes(reply: ReplyAttr, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.attr(&TTL, &attr),
        Err(err) => reply.error(err),
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, dir: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.powered.running().and_then(|platter| {
            let ino = platter.find(dir.0, name)?;
            Self::attr(&platter, ino)
        });
        entry(reply, found);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attributes(reply, self.powered.running().and_then(|platter| Self::attr(&platter, ino.0)));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            self.may_change(false)?;
            if let Some(length) = size {
                self.set_length(ino.0, length)?;
            }
            let mut platter = self.powered.running()?;
            let node = platter.node_mut(ino.0)?;
            node.mode = mode.map_or(node.mode, |mode| (mode & 0o7777) as u16);
            node.uid = uid.unwrap_or(node.uid);
            node.gid = gid.unwrap_or(node.gid);
            Self::attr(&platter, ino.0)
        };
        attributes(reply, set());
    }

    fn mkdir(
        &self,
        req: &Request,
        dir: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        entry(reply, self.make(req, dir, name, mode, true));
    }

    fn create(
        &self,
        req: &Request,
        dir: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.make(req, dir, name, mode, false) {
            Ok(attr) => {
                let keep = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&TTL, &attr, Generation(0), FileHandle(0), keep);
            }
            Err(err) => reply.error(err),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.opened(flags) {
            // All changes come through the kernel, so its pages stay right.
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(err) => reply.error(err),
        }
    }

    fn unlink(&self, _: &Request, dir: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let gone = || {
            self.may_change(false)?;
            self.powered.running()?.unlink(dir.0, name)
        };
        done(reply, gone());
    }

    fn rmdir(&self, req: &Request, dir: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.unlink(req, dir, name, reply);
    }

    fn rename(
        &self,
        _: &Request,
        dir: INodeNo,
        old: &OsStr,
        new_dir: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = || {
            self.may_change(false)?;
            let mut platter = self.powered.running()?;
            if flags.contains(RenameFlags::RENAME_NOREPLACE) && platter.find(dir.0, new).is_ok() {
                return Err(Errno::EEXIST);
            }
            // Nothing here moves between directories.
            if dir == new_dir { platter.rename(dir.0, old, new) } else { Err(Errno::EXDEV) }
        };
        done(reply, renamed());
    }

    fn link(&self, _: &Request, ino: INodeNo, dir: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = || {
            self.may_change(true)?;
            let mut platter = self.powered.running()?;
            platter.link(dir.0, name, ino.0)?;
            Self::attr(&platter, ino.0)
        };
        entry(reply, linked());
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let platter = self.powered.running();
        match platter.as_ref().map_err(|err| *err).and_then(|platter| platter.node(ino.0)) {
            Ok(node) => {
                let bytes = node.bytes();
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let to = from.saturating_add(size as usize).min(bytes.len());
                reply.data(&bytes[from..to]);
            }
            Err(err) => reply.error(err),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write_in(ino.0, offset, data, write_flags) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(err) => reply.error(err),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let end = offset + length;
        let size = self.powered.running().and_then(|platter| Ok(platter.node(ino.0)?.size()));
        let allocated = match size {
            _ if mode != 0 => Err(Errno::EOPNOTSUPP),
            Ok(size) if end > size => self.set_length(ino.0, end),
            Ok(_) => Ok(()),
            Err(err) => Err(err),
        };
        done(reply, allocated);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(reply, self.flush_to_platter(ino.0));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(reply, self.flush_to_platter(ino.0));
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.powered.running().and_then(|platter| {
            let dots = [".", ".."].map(|name| (name.into(), ROOT));
            let all = dots.into_iter().chain(platter.node(ino.0)?.names());
            for (place, (name, number)) in (1..).zip(all).skip(offset as usize) {
                let is_dir = platter.node(number)?.is_dir();
                let kind = if is_dir { FileType::Directory } else { FileType::RegularFile };
                if reply.add(INodeNo(number), place, kind, name) {
                    break;
                }
            }
            Ok(())
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(err) => reply.error(err),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let size = self.knobs().limit.unwrap_or(UNLIMITED);
        let full = self.knobs().refusal == Some(Refusal::Full);
        match self.powered.running() {
            Ok(platter) => {
                let left = if full { 0 } else { size.saturating_sub(platter.used()) };
                let blocks = |bytes: u64| bytes / u64::from(BLOCK);
                reply.statfs(
                    blocks(size),
                    blocks(left),
                    blocks(left),
                    1000,
                    900,
                    BLOCK,
                    255,
                    BLOCK,
                );
            }
            Err(err) => reply.error(err),
        }
    }
}
