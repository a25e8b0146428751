//! Which database in the data directory is this program's, and which others lie beside
//! it. Knows their names and versions, nothing of what is in them.

use std::path::{Path, PathBuf};

use super::aside::all_aside;
use super::schema;

/// The name of a queue's database.
pub const FILE: &str = "queue.db";

/// The database that this program uses in a data directory: [`FILE`], or the last of those
/// that version 0.1 began beside damaged ones; or where that was written by a newer
/// program one of its own beside it (RULES.md, 28).
pub fn file_in(dir: &Path) -> PathBuf {
    let file = numbered(dir, last_number(dir));
    // Of an empty one SQLite deletes the log.
    let empty = file.metadata().is_ok_and(|file| file.len() == 0);
    match Some(&file).filter(|_| !empty).and_then(|file| schema::version_of(file)) {
        Some(version) if version > schema::KNOWN => {
            dir.join(format!("queue-v{}.db", schema::KNOWN))
        }
        Some(_) | None => file,
    }
}

fn numbered(dir: &Path, number: u32) -> PathBuf {
    match number {
        0 | 1 => dir.join(FILE),
        number => dir.join(format!("queue-{number}.db")),
    }
}

fn last_number(dir: &Path) -> u32 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("queue-")?.strip_suffix(".db")?.parse().ok()
    });
    numbers.max().unwrap_or(1)
}

/// The other databases in the directory of `ours`, by name: what they hold was recorded
/// by an older or newer program, or lies in a damaged file: this one neither sends nor shows
/// it.
pub fn others_beside(ours: &Path) -> Vec<PathBuf> {
    let Some(dir) = ours.parent() else { return Vec::new() };
    let mut others = databases_in(dir);
    others.retain(|path| path.file_name() != ours.file_name());
    others.extend(all_aside(dir).iter().flat_map(|aside| databases_in(aside)));
    others
}

/// How many databases are set aside in a data directory, and the bytes that they take.
pub fn taken_aside(dir: &Path) -> (usize, u64) {
    let all = all_aside(dir);
    let files = all.iter().flat_map(|aside| std::fs::read_dir(aside).into_iter().flatten());
    let sizes = files.filter_map(|file| file.ok()?.metadata().ok());
    (all.len(), sizes.map(|file| file.len()).sum())
}

/// The databases in a directory, by name.
pub(super) fn databases_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let mut databases: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_database(path)).collect();
    databases.sort();
    databases
}

fn is_database(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let number = name.strip_prefix("queue-").and_then(|rest| rest.strip_suffix(".db"));
    name == FILE || number.is_some_and(|n| n.strip_prefix('v').unwrap_or(n).parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootId;
    use crate::queue::Store;

    #[test]
    fn what_is_set_aside_is_told_with_all_that_it_takes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(taken_aside(dir.path()), (0, 0));
        for (n, len) in [(1, 7), (2, 9)] {
            let aside = dir.path().join(format!("damaged-{n}"));
            std::fs::create_dir(&aside).unwrap();
            std::fs::write(aside.join(FILE), vec![0; len]).unwrap();
            std::fs::write(aside.join("queue.db-wal"), [0; 100]).unwrap();
        }
        assert_eq!(taken_aside(dir.path()), (2, 216));
    }

    #[test]
    fn a_database_that_a_downgrade_left_behind_is_not_forgotten_after_the_upgrade() {
        let dir = tempfile::tempdir().unwrap();
        let (main, boot) = (dir.path().join(FILE), BootId("boot-1".to_owned()));
        let set_version = |version: i64| {
            let db = rusqlite::Connection::open(&main).unwrap();
            db.pragma_update(None, "user_version", version).unwrap();
        };
        drop(Store::open(&main, &boot).unwrap());
        assert!(others_beside(&file_in(dir.path())).is_empty());

        set_version(schema::KNOWN + 1);
        let fallback = file_in(dir.path());
        assert_ne!(fallback, main);
        let _store = Store::open(&fallback, &boot).unwrap();
        assert_eq!(others_beside(&fallback), [main.as_path()], "the newer one holds readings");

        set_version(schema::KNOWN);
        assert_eq!(file_in(dir.path()), main);
        std::fs::write(dir.path().join("queue-v1.db.bak"), "").unwrap();
        std::fs::write(dir.path().join("queue-vault.db"), "").unwrap();
        assert_eq!(others_beside(&main), [fallback], "neither its journal nor what isn't one");
    }
}
