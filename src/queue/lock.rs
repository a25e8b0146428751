//! One agent to a data directory: an advisory lock on a file that also says who holds it.
//! The kernel drops it with the process, however that ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock, major, minor};
use rustix::process::geteuid;
use thiserror::Error;

/// Why the lock wasn't taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{path} is in use by {holder}; stop that one first")]
    Held {
        /// The data directory.
        path: PathBuf,
        /// `pid 123`, or what is known.
        holder: String,
    },
    /// The lock file can't be made.
    #[error("cannot lock {path}; check that the directory exists and is writable")]
    File {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The lock on a data directory, until it is dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock on `dir` without waiting.
    ///
    /// # Errors
    /// Where another process has it (named by its pid), or the file can't be made.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("lock");
        let fail = |source| LockError::File { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // The directory may be somebody else's, and this be run by root.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(fail)?;
        give(dir, &path);
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let holder = match pid.trim() {
                "" => "another process".to_owned(),
                pid => format!("pid {pid}"),
            };
            return Err(LockError::Held { path: dir.to_owned(), holder });
        }
        file.set_len(0).map_err(fail)?;
        file.rewind().map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self { _file: file })
    }
}

/// Who holds the lock on `dir`, as far as can be told without trying for it: a try would
/// turn a daemon away that starts at that moment.
pub fn holder(dir: &Path) -> Option<u32> {
    let path = dir.join("lock");
    let file = path.metadata().ok()?;
    let pid: u32 = std::fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().any(|line| is_lock(line, file.dev(), file.ino(), pid)).then_some(pid)
}

/// Whether a line of `/proc/locks` is our lock: on that inode, of that device or by that
/// process. The number of an inode alone is another file's on another disk; some file
/// systems show another device there, and a process in a container has another number.
///
/// `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF` (proc_locks(5), the device in hex)
fn is_lock(line: &str, device: u64, inode: u64, pid: u32) -> bool {
    let fields: Vec<&str> = line.split_whitespace().skip(1).collect();
    let [kind, _, _, holder, place, ..] = fields[..] else { return false };
    let Some((on, number)) = place.rsplit_once(':') else { return false };
    let ours = format!("{:02x}:{:02x}", major(device), minor(device));
    kind == "FLOCK" && number.parse() == Ok(inode) && (on == ours || holder.parse() == Ok(pid))
}

/// Gives what root has made for a queue, or left of one, to the owner of its directory: a
/// command with sudo before the daemon's first start must not lock the daemon out.
pub fn give_to_owner(database: &Path) {
    let Some(dir) = database.parent() else { return };
    for end in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(end);
        give(dir, Path::new(&path));
    }
}

fn give(dir: &Path, path: &Path) {
    if !geteuid().is_root() {
        return;
    }
    let (Ok(owner), Ok(made)) = (dir.metadata(), path.symlink_metadata()) else { return };
    // A link's target is no part of the queue, by whatever name.
    let ours = made.is_file() && made.nlink() == 1 && made.uid() == 0;
    if ours && owner.uid() != 0 {
        // Where it fails the daemon says that it may not open the file.
        let _ = lchown(path, Some(owner.uid()), Some(owner.gid()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_has_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path()).unwrap();
        let refused = DirLock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        assert_eq!(holder(dir.path()), Some(std::process::id()));
        drop(first);
        assert_eq!(holder(dir.path()), None);
        DirLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_on_another_disk_with_the_same_inode_is_not_ours() {
        let line = "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF";
        let (ours, other) = (rustix::fs::makedev(8, 1), rustix::fs::makedev(8, 2));
        assert!(is_lock(line, ours, 5678, 1234));
        assert!(is_lock(line, ours, 5678, 7), "seen from outside its container");
        assert!(is_lock(line, other, 5678, 1234), "on a file system of many devices");
        assert!(!is_lock(line, other, 5678, 7));
        assert!(!is_lock(line, ours, 567, 1234));
        assert!(!is_lock(&line.replace("FLOCK", "POSIX"), ours, 5678, 1234));
        assert!(!is_lock("1: FLOCK", ours, 5678, 1234));
    }

    #[test]
    fn what_root_makes_is_the_directory_owners_and_what_a_link_means_is_not() {
        const DAEMON: u32 = 4711;
        if !geteuid().is_root() {
            eprintln!("skipped: only root can give files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let queue = dir.path().join("queue.db");
        let alien = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&queue, "").unwrap();
        std::os::unix::fs::symlink(alien.path(), dir.path().join("queue.db-wal")).unwrap();
        std::fs::hard_link(alien.path(), dir.path().join("queue.db-shm")).unwrap();
        lchown(dir.path(), Some(DAEMON), Some(DAEMON)).unwrap();
        drop(DirLock::take(dir.path()).unwrap());
        give_to_owner(&queue);
        let owner = |path: &Path| (path.metadata().unwrap().uid(), path.metadata().unwrap().gid());
        assert_eq!(owner(&dir.path().join("lock")), (DAEMON, DAEMON));
        assert_eq!(owner(&queue), (DAEMON, DAEMON));
        assert_eq!(owner(alien.path()).0, 0);
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        std::os::unix::fs::symlink(alien.path(), dir.path().join("lock")).unwrap();
        assert!(matches!(DirLock::take(dir.path()), Err(LockError::File { .. })));
    }
}
