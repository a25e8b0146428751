//! What each message of SQLite's check means for the queue: a damaged database, an index
//! that lacks entries, or rows that can't be taken. The words are those of
//! `PRAGMA integrity_check` (pragma.c and btree.c of SQLite 3.54); what isn't known among
//! them counts as damage. Reads no database.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// The database is damaged.
    Damage(String),
    /// This index lacks an entry that a row should have.
    Lacks(String),
    /// This index has another number of entries than the table has rows.
    OtherNumber(String),
    /// A row that can't be taken as it is.
    Row(String),
}

/// Reads one row of the check's answer, which may have many lines.
pub(super) fn read(row: &str) -> Vec<Message> {
    let lines = row.lines().map(str::trim);
    lines.filter(|l| !l.is_empty() && *l != "ok" && !l.starts_with("***")).map(one).collect()
}

fn one(line: &str) -> Message {
    const VALUES: [&str; 4] =
        ["NULL value in ", "NUMERIC value in ", "TEXT value in ", "CHECK constraint failed in "];
    let after = |middle: &str| line.split_once(middle).map(|(_, index)| index.to_owned());
    if line.starts_with("row ")
        && let Some(index) = after(" missing from index ")
    {
        return Message::Lacks(index);
    }
    if let Some(index) = line.strip_prefix("wrong # of entries in index ") {
        return Message::OtherNumber(index.to_owned());
    }
    let is_value = VALUES.iter().any(|start| line.starts_with(start))
        || (line.starts_with("non-") && line.contains(" value in "));
    if is_value { Message::Row(line.to_owned()) } else { Message::Damage(line.to_owned()) }
}

/// What all of them together come to, each kind `told` times at most.
///
/// An index that lacks entries is built anew from its table. One that has more of them than
/// the table has rows knows of rows that are lost: that is damage.
pub(super) fn sorted(messages: Vec<Message>, told: usize) -> Finding {
    let mut lacking = BTreeSet::new();
    let mut other = BTreeMap::new();
    let mut finding = Finding::default();
    for message in messages {
        match message {
            Message::Damage(what) => finding.damage.push(what),
            Message::Row(what) => finding.rows.push(what),
            Message::Lacks(index) => {
                lacking.insert(index);
            }
            Message::OtherNumber(index) => {
                let what = format!("{index} has entries of rows that are not there");
                other.insert(index, what);
            }
        }
    }
    other.retain(|index, _| !lacking.contains(index));
    finding.damage.extend(other.into_values());
    finding.indexes.extend(lacking);
    for kind in [&mut finding.damage, &mut finding.indexes, &mut finding.rows] {
        kind.truncate(told);
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_of_sqlite_is_told_for_what_it_is() {
        let row =
            "*** in database main ***\nTree 21 page 7: btreeInitPage() returns error code 11\n";
        let Message::Damage(what) = &read(row)[0] else { panic!("{row}") };
        assert!(what.starts_with("Tree 21"));
        assert_eq!(read("ok"), []);
        assert_eq!(
            read("row 3 missing from index reading_ready"),
            [Message::Lacks("reading_ready".into())]
        );
        for row in
            ["TEXT value in reading.raw", "NULL value in reading.raw", "non-INTEGER value in a.b"]
        {
            assert_eq!(read(row), [Message::Row(row.into())]);
        }
        for row in ["Page 9: never used", "non-unique entry in index delivery_second", "moon"] {
            assert_eq!(read(row), [Message::Damage(row.into())]);
        }
    }

    #[test]
    fn an_index_that_lacks_entries_is_no_damage_and_one_that_has_too_many_is() {
        let lacks = read("row 3 missing from index a\nwrong # of entries in index a");
        let finding = sorted(lacks, 9);
        assert_eq!((finding.indexes, finding.damage.len()), (vec!["a".to_owned()], 0));
        let more = sorted(read("wrong # of entries in index a"), 9);
        assert_eq!((more.indexes.len(), more.damage.len()), (0, 1));
    }
}
