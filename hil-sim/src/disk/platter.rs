//! What is on the disk: of every file and directory what programs see, what has been
//! flushed, and what was done in between, in its order. Pure: knows no kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use fuser::Errno;

use super::Cut;
use super::kept::{Change, Kept, Naming, dir_after, file_after};
use crate::dice::Dice;

/// The root directory's number, as FUSE wants it.
pub const ROOT: u64 = 1;

/// All files and directories, by number.
#[derive(Debug, Clone)]
pub struct Platter {
    nodes: BTreeMap<u64, Node>,
    next: u64,
}

/// A file or a directory.
#[derive(Debug, Clone)]
pub struct Node {
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was last changed.
    pub changed: SystemTime,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    File(Kept<Vec<u8>, Change>),
    Dir(Kept<BTreeMap<OsString, u64>, Naming>),
}

impl Node {
    fn new(body: Body, mode: u32) -> Self {
        let mode = (mode & 0o7777) as u16;
        Self { mode, uid: 0, gid: 0, changed: SystemTime::now(), body }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.body, Body::Dir(_))
    }

    /// Bytes of a file; 0 of a directory.
    pub fn size(&self) -> u64 {
        self.bytes().len() as u64
    }

    /// A file's content as programs see it.
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::File(file) => &file.now,
            Body::Dir(_) => &[],
        }
    }

    /// A directory's names as programs see them.
    pub fn names(&self) -> Vec<(OsString, u64)> {
        match &self.body {
            Body::File(_) => Vec::new(),
            Body::Dir(dir) => dir.now.iter().map(|(name, n)| (name.clone(), *n)).collect(),
        }
    }
}

impl Default for Platter {
    fn default() -> Self {
        let root = Node::new(Body::Dir(Kept::settled(Default::default())), 0o755);
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }
}

impl Platter {
    /// A file or directory by its number.
    pub fn node(&self, number: u64) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::ENOENT)
    }

    /// The same, to change its mode or owner: those are never lost.
    pub fn node_mut(&mut self, number: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    /// The number behind a name.
    pub fn find(&self, dir: u64, name: &OsStr) -> Result<u64, Errno> {
        match &self.node(dir)?.body {
            Body::Dir(dir) => dir.now.get(name).copied().ok_or(Errno::ENOENT),
            Body::File(_) => Err(Errno::ENOTDIR),
        }
    }

    /// A new file or directory under a new name.
    pub fn make(&mut self, dir: u64, name: &OsStr, mode: u32, is_dir: bool) -> Result<u64, Errno> {
        let body = match is_dir {
            true => Body::Dir(Kept::settled(Default::default())),
            false => Body::File(Kept::settled(Default::default())),
        };
        let number = self.next;
        self.link(dir, name, number)?;
        self.next += 1;
        self.nodes.insert(number, Node::new(body, mode));
        Ok(number)
    }

    /// One more name for a file.
    pub fn link(&mut self, dir: u64, name: &OsStr, number: u64) -> Result<(), Errno> {
        if self.find(dir, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.rename_in(dir, Naming::Link(name.to_owned(), number))
    }

    /// Takes a name away; what is open stays readable.
    pub fn unlink(&mut self, dir: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(dir, name)?;
        if !self.node(number)?.names().is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.rename_in(dir, Naming::Unlink(name.to_owned()))
    }

    /// Another name in the same directory, at once in place of what had it.
    pub fn rename(&mut self, dir: u64, old: &OsStr, new: &OsStr) -> Result<(), Errno> {
        self.find(dir, old)?;
        match old == new {
            true => Ok(()),
            false => self.rename_in(dir, Naming::Rename(old.to_owned(), new.to_owned())),
        }
    }

    fn rename_in(&mut self, dir: u64, naming: Naming) -> Result<(), Errno> {
        match &mut self.node_mut(dir)?.body {
            Body::Dir(dir) => dir.change(naming),
            Body::File(_) => return Err(Errno::ENOTDIR),
        }
        Ok(())
    }

    /// Writes into a file; what lies between its end and the place becomes zeros.
    pub fn write(&mut self, number: u64, at: u64, data: &[u8]) -> Result<(), Errno> {
        self.change(number, Change::Write(at, data.to_vec()))
    }

    /// Cuts a file off, or lengthens it with zeros.
    pub fn set_length(&mut self, number: u64, length: u64) -> Result<(), Errno> {
        self.change(number, Change::Length(length))
    }

    fn change(&mut self, number: u64, change: Change) -> Result<(), Errno> {
        let node = self.node_mut(number)?;
        node.changed = SystemTime::now();
        match &mut node.body {
            Body::File(file) => file.change(change),
            Body::Dir(_) => return Err(Errno::EISDIR),
        }
        Ok(())
    }

    /// How much has been done to a file or directory so far: what a flush that begins now
    /// covers.
    pub fn mark(&self, number: u64) -> u64 {
        match self.nodes.get(&number).map(|node| &node.body) {
            Some(Body::File(file)) => file.mark(),
            Some(Body::Dir(dir)) => dir.mark(),
            None => 0,
        }
    }

    /// What was done up to a mark outlives a cut. A new file's flush keeps its first name,
    /// too: ext4, XFS, btrfs and F2FS all do so. A rename or unlink takes a flush of the
    /// directory.
    pub fn flush(&mut self, number: u64, up_to: u64) {
        match self.nodes.get_mut(&number).map(|node| &mut node.body) {
            Some(Body::Dir(dir)) => return dir.flush(up_to),
            Some(Body::File(file)) => file.flush(up_to),
            None => return,
        }
        for node in self.nodes.values_mut() {
            let Body::Dir(dir) = &mut node.body else { continue };
            let made = |naming: &Naming| matches!(naming, Naming::Link(_, n) if *n == number);
            if let Some(place) = dir.since.iter().position(made) {
                let through = dir.done + place as u64 + 1;
                dir.flush(through);
            }
        }
    }

    /// Bytes of all files that have a name.
    pub fn used(&self) -> u64 {
        let named: BTreeSet<u64> =
            self.nodes.values().flat_map(|node| node.names()).map(|(_, number)| number).collect();
        named.iter().filter_map(|number| self.nodes.get(number)).map(Node::size).sum()
    }

    /// What a power cut leaves.
    pub fn after(&self, cut: Cut) -> Self {
        let mut dice = match cut {
            Cut::Lost => None,
            Cut::Torn { seed } => Some(Dice::for_purpose(seed, "torn")),
        };
        let nodes = self.nodes.iter().map(|(number, node)| {
            let body = match &node.body {
                Body::File(file) => Body::File(Kept::settled(file_after(file, dice.as_mut()))),
                Body::Dir(dir) => Body::Dir(Kept::settled(dir_after(dir, dice.as_mut()))),
            };
            (*number, Node { body, ..node.clone() })
        });
        let mut left = Self { nodes: nodes.collect(), next: self.next };
        left.forget_unnamed();
        left
    }

    fn forget_unnamed(&mut self) {
        let (mut named, mut look) = (BTreeSet::new(), vec![ROOT]);
        while let Some(number) = look.pop() {
            if named.insert(number) {
                let names = self.nodes.get(&number).map(Node::names).unwrap_or_default();
                look.extend(names.into_iter().map(|(_, below)| below));
            }
        }
        self.nodes.retain(|number, _| named.contains(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn what_was_not_flushed_is_gone_and_what_was_stays() {
        let mut disk = Platter::default();
        let file = disk.make(ROOT, name("a"), 0o644, false).unwrap();
        disk.write(file, 0, b"kept").unwrap();
        let mark = disk.mark(file);
        disk.write(file, 0, b"lost").unwrap();
        disk.flush(file, mark);
        disk.make(ROOT, name("b"), 0o644, false).unwrap();
        assert_eq!(disk.node(file).unwrap().bytes(), b"lost");
        let left = disk.after(Cut::Lost);
        assert_eq!(left.node(file).unwrap().bytes(), b"kept");
        assert!(left.find(ROOT, name("a")).is_ok() && left.find(ROOT, name("b")).is_err());
    }

    #[test]
    fn a_rename_is_lost_until_its_directory_is_flushed() {
        let mut disk = Platter::default();
        let old = disk.make(ROOT, name("a"), 0o644, false).unwrap();
        let new = disk.make(ROOT, name("a.new"), 0o644, false).unwrap();
        disk.flush(new, disk.mark(new));
        disk.rename(ROOT, name("a.new"), name("a")).unwrap();
        assert_eq!(disk.find(ROOT, name("a")).unwrap(), new);
        assert_eq!(disk.after(Cut::Lost).find(ROOT, name("a")).unwrap(), old);
        disk.flush(ROOT, disk.mark(ROOT));
        assert_eq!(disk.after(Cut::Lost).find(ROOT, name("a")).unwrap(), new);
        assert!(disk.after(Cut::Lost).node(old).is_err(), "nothing names it");
    }

    #[test]
    fn a_torn_write_survives_in_whole_sectors_as_the_seed_says() {
        let mut disk = Platter::default();
        let file = disk.make(ROOT, name("a"), 0o644, false).unwrap();
        disk.write(file, 0, &[1; 8192]).unwrap();
        disk.flush(file, disk.mark(file));
        disk.write(file, 0, &[2; 8192]).unwrap();
        let left = |seed| disk.after(Cut::Torn { seed }).node(file).unwrap().bytes().to_vec();
        let torn = left(7);
        assert!(torn.contains(&1) && torn.contains(&2));
        assert!(torn.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        assert_eq!(torn, left(7));
        assert_ne!(torn, left(8));
    }
}
