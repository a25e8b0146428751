//! The records the server has accepted, in the order it accepted them, and the file that
//! keeps them over a restart.
//!
//! The file has one JSON object a line, only ever appended to and synced before anyone is
//! answered. A later line with the same id replaces an earlier one:
//!
//! ```json
//! {"id":"5f…","received_ms":1762000000000,"fields":{"EventId":"57…", …}}
//! {"id":"5f…","deleted":true}
//! ```
//!
//! Knows nothing of what a record means: one accepted twice is kept twice.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A record as the server holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// The server's id: 30 hexadecimal digits.
    pub id: String,
    /// When it was accepted, in milliseconds since 1970, by the server's clock.
    pub received_ms: i64,
    /// Exactly as sent; after an edit, with what the edit replaced.
    pub fields: Map<String, Value>,
}

impl StoredRecord {
    /// A field's text; `None` if it is absent or no text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }
}

/// Why the file of records can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It can't be opened or read.
    #[error("cannot open the records in {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line in it isn't one of ours.
    #[error("line {line} of {} is no record", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The accepted records, and their file if there is one.
#[derive(Debug, Default)]
pub struct Ledger {
    by_place: BTreeMap<u64, StoredRecord>,
    place_of: HashMap<String, u64>,
    next_place: u64,
    file: Option<File>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Deleted { id: String, deleted: bool },
    Stored(StoredRecord),
}

impl Ledger {
    /// Reads the file, if there is one yet, and keeps it open for appending. A last line
    /// without its end was never answered, and is cut off.
    ///
    /// # Errors
    /// [`LedgerError`], if it can't be read or isn't such a file.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Open { path: path.to_owned(), source };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => String::new(),
            Err(err) => return Err(failed(err)),
        };
        let whole = text.rfind('\n').map_or("", |end| text.get(..=end).unwrap_or_default());
        let mut ledger = Self::default();
        for (number, line) in whole.lines().enumerate() {
            match serde_json::from_str(line) {
                Ok(Line::Stored(record)) => ledger.put(record),
                Ok(Line::Deleted { id, deleted }) => {
                    if deleted {
                        ledger.remove(&id);
                    }
                }
                Err(source) => {
                    let path = path.to_owned();
                    return Err(LedgerError::Line { path, line: number + 1, source });
                }
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        file.set_len(whole.len() as u64).map_err(failed)?;
        ledger.file = Some(file);
        Ok(ledger)
    }

    /// Keeps records; those with a known id replace the old ones in their place.
    ///
    /// # Errors
    /// If the file can't be written; nothing is kept then.
    pub fn store(&mut self, records: Vec<StoredRecord>) -> io::Result<()> {
        let mut lines = Vec::new();
        for record in &records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        self.write(&lines)?;
        records.into_iter().for_each(|record| self.put(record));
        Ok(())
    }

    /// Forgets a record; an unknown id changes nothing.
    ///
    /// # Errors
    /// If the file can't be written; the record stays then.
    pub fn delete(&mut self, id: &str) -> io::Result<()> {
        let line = serde_json::json!({"id": id, "deleted": true});
        self.write(format!("{line}\n").as_bytes())?;
        self.remove(id);
        Ok(())
    }

    /// A record by its id.
    pub fn get(&self, id: &str) -> Option<&StoredRecord> {
        self.by_place.get(self.place_of.get(id)?)
    }

    /// All records, in the order they were accepted.
    pub fn all(&self) -> impl Iterator<Item = &StoredRecord> {
        self.by_place.values()
    }

    fn put(&mut self, record: StoredRecord) {
        let place = *self.place_of.entry(record.id.clone()).or_insert(self.next_place);
        self.next_place = self.next_place.max(place + 1);
        self.by_place.insert(place, record);
    }

    fn remove(&mut self, id: &str) {
        if let Some(place) = self.place_of.remove(id) {
            self.by_place.remove(&place);
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) if !lines.is_empty() => {
                file.write_all(lines)?;
                file.sync_data()
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(id: &str, count: u32) -> StoredRecord {
        let fields = json!({"MeterRawCount": count}).as_object().unwrap().clone();
        StoredRecord { id: id.into(), received_ms: 7, fields }
    }

    fn ids(ledger: &Ledger) -> Vec<&str> {
        ledger.all().map(|record| record.id.as_str()).collect()
    }

    #[test]
    fn records_come_back_in_their_order_with_edits_and_without_the_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let mut first = Ledger::open(&path).unwrap();
        first.store(vec![record("a", 1), record("b", 2), record("c", 3)]).unwrap();
        first.store(vec![record("a", 9)]).unwrap();
        first.delete("b").unwrap();
        drop(first);
        let mut then = Ledger::open(&path).unwrap();
        assert_eq!(ids(&then), ["a", "c"]);
        assert_eq!(then.get("a"), Some(&record("a", 9)));
        then.store(vec![record("d", 4)]).unwrap();
        assert_eq!(ids(&Ledger::open(&path).unwrap()), ["a", "c", "d"]);
    }

    #[test]
    fn a_line_torn_by_a_power_cut_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.store(vec![record("a", 1)]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut torn = whole.clone();
        torn.extend_from_slice(br#"{"id":"b","rec"#);
        std::fs::write(&path, torn).unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ids(&ledger), ["a"]);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        ledger.store(vec![record("c", 3)]).unwrap();
        assert_eq!(ids(&Ledger::open(&path).unwrap()), ["a", "c"]);
    }

    #[test]
    fn a_file_of_something_else_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        std::fs::write(&path, "{\"id\":\"a\",\"deleted\":true}\nhello\n").unwrap();
        let err = Ledger::open(&path).unwrap_err();
        assert!(matches!(err, LedgerError::Line { line: 2, .. }), "{err}");
    }
}
