//! The ballast: a file in the data directory that takes room, so that there is some to give
//! up when others have filled the disk. Knows no configuration and not when to do so.
//!
//! A power cut at any moment leaves it whole, gone, or short; short counts as gone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// Its size in bytes: 8 MiB. A reading costs up to three pages of the log (12 KiB) until the
/// log is begun anew, and an hour of them that waited in memory less than a third of it.
pub const BALLAST: u64 = 8 << 20;
const NAME: &str = "ballast";
const CHUNK: usize = 64 << 10;

/// The ballast of one data directory.
#[derive(Debug, Clone)]
pub struct Ballast {
    directory: PathBuf,
}

impl Ballast {
    /// That of the directory which this database is in.
    pub fn beside(database: &Path) -> Self {
        Self { directory: database.parent().map(PathBuf::from).unwrap_or_default() }
    }

    /// That of a data directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Bytes that are free on its disk for this user.
    ///
    /// # Errors
    /// Where the disk doesn't say.
    pub fn free(&self) -> io::Result<u64> {
        let disk = statvfs(&self.directory)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Whether it is there, whole, and takes its room.
    pub fn is_there(&self) -> bool {
        // In units of 512 bytes (stat(2)).
        std::fs::symlink_metadata(self.file())
            .is_ok_and(|file| file.is_file() && file.blocks() * 512 >= BALLAST)
    }

    /// Builds it, anew if it was short.
    ///
    /// # Errors
    /// Where it can't be written; what there is of it is taken away again.
    pub fn build(&self) -> io::Result<()> {
        self.give_up()?;
        let built = self.allocate();
        if built.is_err() {
            self.give_up()?;
        }
        built
    }

    /// Gives it up: its room is free.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub fn give_up(&self) -> io::Result<()> {
        match std::fs::remove_file(self.file()) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        }
    }

    fn allocate(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(self.file())?;
        match fallocate(&file, FallocateFlags::empty(), 0, BALLAST) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_out(&file)?,
            other => other?,
        }
        file.sync_all()
    }

    fn file(&self) -> PathBuf {
        self.directory.join(NAME)
    }
}

/// For a file system that can't be asked for room: fill it.
fn write_out(mut file: &File) -> io::Result<()> {
    let chunk = vec![0x5a; CHUNK];
    for _ in 0..BALLAST / CHUNK as u64 {
        file.write_all(&chunk)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_its_room_is_given_up_and_built_again_also_after_a_cut_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::beside(&dir.path().join("queue.db"));
        assert!(!ballast.is_there());
        ballast.give_up().unwrap();
        ballast.build().unwrap();
        assert!(ballast.is_there());
        ballast.give_up().unwrap();
        assert!(!ballast.is_there());
        // Its length without its room is what a cut may leave.
        File::create(dir.path().join(NAME)).unwrap().set_len(BALLAST).unwrap();
        assert!(!ballast.is_there());
        ballast.build().unwrap();
        assert!(ballast.is_there());
        assert!(ballast.free().unwrap() > 0);
    }
}
