//! The small tables of a damaged database, row by row with their ids. Where a table can't be
//! read through it is read from its other end too, so that what lies around a damaged page
//! comes along. A value of another kind than its column's is a row that can't be read.

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};

use super::super::{Doing, QueueError};
use super::{DOING, damaged};

/// What a column may hold.
#[derive(Clone, Copy)]
enum Kind {
    /// A row's id, and not one of the fresh database's own.
    Id,
    Integer,
    Number,
    Text,
    MaybeInteger,
    MaybeText,
}

use Kind::{Id, Integer, MaybeInteger, MaybeText, Number, Text};

impl Kind {
    fn fits(self, value: &Value, highest: i64) -> bool {
        match (self, value) {
            (Id, Value::Integer(id)) => (0..=highest).contains(id),
            (Integer | Number | MaybeInteger, Value::Integer(_))
            | (Number, Value::Real(_))
            | (Text | MaybeText, Value::Text(_))
            | (MaybeInteger | MaybeText, Value::Null) => true,
            _ => false,
        }
    }
}

struct Table {
    name: &'static str,
    order: &'static str,
    columns: &'static [(&'static str, Kind)],
}

/// In an order in which every row finds what it refers to.
const TABLES: &[Table] = &[
    Table { name: "boot", order: "id", columns: &[("id", Id), ("boot_uuid", Text)] },
    Table { name: "meter", order: "id", columns: &[("id", Id), ("serial", Text)] },
    Table {
        name: "segment",
        order: "id",
        columns: &[
            ("id", Id),
            ("meter", Id),
            ("raw_start", Integer),
            ("unwrapped_start", Integer),
            ("k", Number),
            ("points", Text),
            ("carried_ul", Integer),
            ("reason", Text),
        ],
    },
    Table {
        name: "span",
        order: "id",
        columns: &[
            ("id", Id),
            ("event", Text),
            ("job", Text),
            ("item", MaybeText),
            ("product", MaybeText),
            ("note", Text),
            ("tare_unwrapped", Integer),
            ("opened_seq", Integer),
            ("origin", Text),
            ("details_json", MaybeText),
            ("closed", Integer),
        ],
    },
    Table {
        name: "anchor",
        order: "boot {way}, boottime_ms {way}, source",
        columns: &[
            ("boot", Id),
            ("boottime_ms", Integer),
            ("utc_ms", Integer),
            ("err_ms", Integer),
            ("source", Text),
        ],
    },
    Table {
        name: "stretch",
        order: "span {way}, segment",
        columns: &[
            ("span", Id),
            ("segment", Id),
            ("n", Integer),
            ("zero", Integer),
            ("base_ul", Integer),
        ],
    },
    Table {
        name: "refusal",
        order: "event {way}, job",
        columns: &[("event", Text), ("job", Text), ("message", Text)],
    },
    Table {
        name: "tally",
        order: "span {way}, state",
        columns: &[("span", Id), ("state", Integer), ("readings", Integer), ("total_ul", Integer)],
    },
    Table {
        name: "verification",
        order: "span",
        columns: &[
            ("span", Id),
            ("utc_s", MaybeInteger),
            ("readings", Integer),
            ("share_ul", Integer),
            ("missing", Integer),
            ("extras", Integer),
        ],
    },
];

/// Readings go on in spans of their own. What no program writes would keep this one from
/// starting, or hide the whole balance.
const AFTERWARDS: &str = "
    UPDATE span SET closed = 1;
    UPDATE span SET origin = 'assigned' WHERE origin NOT IN ('pick', 'fixed', 'assigned');
    UPDATE segment SET reason = 'first'
        WHERE reason NOT IN ('first', 'restart', 'calibration', 'meter', 'rebase');
    DELETE FROM anchor WHERE source NOT IN ('system', 'gps', 'operator');
    DELETE FROM tally WHERE state NOT BETWEEN 0 AND 7 OR readings NOT BETWEEN 0 AND 1 << 50
        OR total_ul NOT BETWEEN -(1 << 55) AND 1 << 55;";

/// Copies them; says how many rows were there and couldn't be taken, as far as that can be
/// told. No id above `highest` is taken.
pub(super) fn copy(
    tx: &Transaction<'_>,
    old: &Connection,
    highest: i64,
) -> Result<u64, QueueError> {
    let mut left = 0;
    for table in TABLES {
        for way in ["ASC", "DESC"] {
            let (refused, whole) = copy_one(tx, old, table, way, highest)?;
            left += refused + u64::from(!whole);
            if whole {
                break;
            }
        }
    }
    tx.execute_batch(AFTERWARDS).doing(DOING)?;
    Ok(left)
}

/// One table from one end: rows that were refused, and whether it came to the other end.
fn copy_one(
    tx: &Transaction<'_>,
    old: &Connection,
    table: &Table,
    way: &str,
    highest: i64,
) -> Result<(u64, bool), QueueError> {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let (names, order) = (names.join(", "), table.order.replace("{way}", way));
    let sql = format!("SELECT {names} FROM {} ORDER BY {order} {way}", table.name);
    // A table that an older schema doesn't have is one without rows.
    let Ok(mut from) = old.prepare(&sql) else { return Ok((0, true)) };
    let marks = vec!["?"; table.columns.len()].join(", ");
    let sql = format!("INSERT OR IGNORE INTO {} ({names}) VALUES ({marks})", table.name);
    let mut into = tx.prepare(&sql).doing(DOING)?;
    let mut refused = 0;
    let Ok(mut rows) = from.query([]) else { return Ok((0, false)) };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok((refused, true)),
            Err(_) => return Ok((refused, false)),
        };
        // A column that can't be read must not become one that holds nothing.
        let Ok(values) = damaged::values(row) else {
            refused += 1;
            continue;
        };
        let kinds = table.columns.iter().map(|(_, kind)| *kind);
        if !values.iter().zip(kinds).all(|(value, kind)| kind.fits(value, highest)) {
            refused += 1;
            continue;
        }
        match into.execute(params_from_iter(values)) {
            Ok(_) => {}
            // What it refers to couldn't be read.
            Err(err)
                if err.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
            {
                refused += 1;
            }
            Err(err) => return Err(err).doing(DOING),
        }
    }
}
