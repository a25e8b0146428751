//! One reading of a damaged database as a row of the fresh one. What is known of it stays:
//! its number, its bytes where it was frozen, and what became of it. What it refers to and
//! can't be read is told by its frozen record, or left open; and what may have been sent
//! without a trace of it is asked about before it is sent.

use std::collections::HashSet;

use rusqlite::types::{FromSql, Value, ValueRef};
use rusqlite::{Connection, params, params_from_iter};
use serde_json::Value as Json;

use super::super::{Doing, QueueError};
use super::damaged::{READING, Raw};
use crate::reading::{Flag, Flags, State};

const DOING: &str = "carry a reading over";

/// Where a column is in [`READING`].
mod at {
    pub const BOOT: usize = 1;
    pub const BOOTTIME: usize = 2;
    pub const METER: usize = 3;
    pub const SEGMENT: usize = 4;
    pub const SPAN: usize = 5;
    pub const RAW: usize = 6;
    pub const UNWRAPPED: usize = 8;
    pub const SHARE: usize = 9;
    pub const TOTAL: usize = 10;
    pub const ODOMETER: usize = 11;
    pub const FLAGS: usize = 21;
    pub const STATE: usize = 22;
}

/// More than any rig sprays, as the balance has it.
const VOLUME_AT_MOST: i64 = 1 << 55;

/// What a reading was frozen as.
struct Frozen {
    /// As in the row.
    values: Vec<Value>,
    record: Json,
}

/// Puts readings into the fresh database, in its transaction.
pub(super) struct Put<'a> {
    db: &'a Connection,
    /// The directory that they come from.
    file: &'a str,
    /// The highest id that a damaged database may have given out.
    highest: i64,
    /// Rows that are there, by table and id.
    known: HashSet<(&'static str, i64)>,
    /// Whether any of them is in doubt.
    pub doubtful: bool,
}

impl<'a> Put<'a> {
    pub fn new(db: &'a Connection, file: &'a str, highest: i64) -> Self {
        Self { db, file, highest, known: HashSet::new(), doubtful: false }
    }

    /// Puts one; its volume, or `None` where its number is taken: by itself, carried over
    /// before.
    pub fn reading(&mut self, raw: &Raw) -> Result<Option<i64>, QueueError> {
        if !(1..=self.highest).contains(&raw.seq) || self.is_there("reading", "seq", raw.seq)? {
            return Ok(None);
        }
        let mut row = raw.reading.clone();
        let mut frozen = raw.delivery.as_deref().and_then(Frozen::of);
        self.refer(raw.seq, &mut row, frozen.as_ref())?;
        let whole = make_whole(&mut row);
        let mut state = state_of(&row);
        if let Some(known) = &mut frozen {
            self.refer_frozen(&row, known)?;
            if self.second_is_taken(known)? {
                frozen = None;
                if state == State::InDoubt {
                    state = State::TimeConflict;
                }
            }
        }
        // Without its record nobody can ask for it, nor without its job.
        if state == State::InDoubt && (frozen.is_none() || row[at::SPAN] == Value::Null) {
            state = State::Open;
        }
        if !whole && matches!(state, State::Open | State::InDoubt | State::TimeConflict) {
            state = State::Unreadable;
        }
        let flags = Flags::column_result(ValueRef::from(&row[at::FLAGS])).unwrap_or_default();
        let proven = matches!(state, State::Sent | State::Deleted | State::InDoubt);
        let flags = if proven { flags } else { flags.with(Flag::Carried) };
        row[at::FLAGS] = Value::Integer(i64::from(flags.bits()));
        row[at::STATE] = code_of(state);
        self.doubtful |= state == State::InDoubt;
        let share = integer(&row, at::SHARE).unwrap_or(0);
        self.insert(&row)?;
        self.insert_rest(raw, frozen.as_ref())?;
        Ok(Some(share))
    }

    fn insert(&self, row: &[Value]) -> Result<(), QueueError> {
        let marks = vec!["?"; row.len()].join(", ");
        self.db
            .prepare_cached(&format!("INSERT INTO reading ({READING}) VALUES ({marks})"))
            .and_then(|mut s| s.execute(params_from_iter(row)))
            .map(drop)
            .doing(DOING)
    }

    /// What it was frozen as, the attempt that did, and what an operator said of it.
    fn insert_rest(&mut self, raw: &Raw, frozen: Option<&Frozen>) -> Result<(), QueueError> {
        if let Some(frozen) = frozen {
            self.db
                .prepare_cached("INSERT OR IGNORE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .and_then(|mut s| s.execute(params_from_iter(&frozen.values)))
                .doing(DOING)?;
        }
        if let Some(
            [Value::Integer(id), Value::Integer(span), Value::Integer(boot), started, outcome],
        ) = raw.attempt.as_deref()
            && (1..=self.highest).contains(id)
            && matches!(started, Value::Integer(_))
            && matches!(outcome, Value::Text(_) | Value::Null)
            && self.is_there("span", "id", *span)?
            && self.is_there("boot", "id", *boot)?
        {
            self.db
                .prepare_cached("INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, ?, ?)")
                .and_then(|mut s| s.execute(params![id, span, boot, started, outcome]))
                .doing(DOING)?;
        }
        if let Some([_, was, Value::Text(reason)]) = raw.ruling.as_deref() {
            let was = State::column_result(ValueRef::from(was)).unwrap_or(State::Open);
            // Taken back, it would be in doubt, and there is nothing to ask for.
            let was = if frozen.is_none() && was == State::InDoubt { State::Open } else { was };
            self.db
                .prepare_cached("INSERT OR IGNORE INTO ruling VALUES (?, ?, ?)")
                .and_then(|mut s| s.execute(params![raw.seq, was, reason]))
                .doing(DOING)?;
        }
        Ok(())
    }

    /// Sees that all that a reading refers to is there. A boot or a segment that isn't gets a
    /// row that says no more than that: no time is known in such a boot, and with such a
    /// segment's K nothing is ever sent.
    fn refer(
        &mut self,
        seq: i64,
        row: &mut [Value],
        frozen: Option<&Frozen>,
    ) -> Result<(), QueueError> {
        let boot = self.in_range(row, at::BOOT).unwrap_or(0);
        if !self.is_there("boot", "id", boot)? {
            let uuid = format!("{}, boot {boot}, which cannot be read", self.file);
            self.add("boot", boot, "INSERT INTO boot VALUES (?1, ?2)", params![boot, uuid])?;
        }
        row[at::BOOT] = Value::Integer(boot);
        let meter = self.meter(row, frozen)?;
        row[at::METER] = Value::Integer(meter);
        let segment = self.in_range(row, at::SEGMENT).unwrap_or(0);
        if !self.is_there("segment", "id", segment)? {
            let sql =
                "INSERT INTO segment (id, meter, raw_start, unwrapped_start, k, carried_ul, reason)
                VALUES (?1, ?2, 0, 0, 0, 0, 'first')";
            self.add("segment", segment, sql, params![segment, meter])?;
        }
        row[at::SEGMENT] = Value::Integer(segment);
        if row[at::SPAN] != Value::Null {
            let span = self.span(seq, row, frozen)?;
            row[at::SPAN] = span.map_or(Value::Null, Value::Integer);
        }
        Ok(())
    }

    /// Its meter, by the frozen record where its row can't be read; else the one without a
    /// serial number.
    fn meter(&mut self, row: &[Value], frozen: Option<&Frozen>) -> Result<i64, QueueError> {
        let id = self.in_range(row, at::METER);
        if let Some(id) = id
            && self.is_there("meter", "id", id)?
        {
            return Ok(id);
        }
        let serial = frozen.and_then(|f| f.record["MeterSerialNumber"].as_str());
        let (Some(id), Some(serial)) = (id, serial.filter(|s| !s.trim().is_empty())) else {
            return Ok(0);
        };
        self.db
            .execute("INSERT OR IGNORE INTO meter VALUES (?1, ?2)", params![id, serial])
            .doing(DOING)?;
        self.db
            .query_row("SELECT id FROM meter WHERE serial = ?1", [serial], |r| r.get(0))
            .doing(DOING)
    }

    /// Its span, by the frozen record where its row can't be read; else none.
    fn span(
        &mut self,
        seq: i64,
        row: &[Value],
        frozen: Option<&Frozen>,
    ) -> Result<Option<i64>, QueueError> {
        let Some(id) = self.in_range(row, at::SPAN) else { return Ok(None) };
        if self.is_there("span", "id", id)? {
            return Ok(Some(id));
        }
        let Some(record) = frozen.map(|f| &f.record) else { return Ok(None) };
        let (Some(event), Some(job)) = (record["EventId"].as_str(), record["JobId"].as_str())
        else {
            return Ok(None);
        };
        let (item, product) = (record["JobItemId"].as_str(), record["ProductId"].as_str());
        let sql = "INSERT INTO span (id, event, job, item, product, tare_unwrapped, opened_seq, origin, closed)
            VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, 'assigned', 1)";
        self.add("span", id, sql, params![id, event, job, item, product, seq])?;
        Ok(Some(id))
    }

    /// A frozen record is of the reading's meter and span, where its own can't be read.
    fn refer_frozen(&mut self, row: &[Value], frozen: &mut Frozen) -> Result<(), QueueError> {
        for (table, nth, own) in [("span", 2, at::SPAN), ("meter", 3, at::METER)] {
            let id = integer(&frozen.values, nth).unwrap_or(0);
            if !self.is_there(table, "id", id)?
                && let Some(own) = integer(row, own)
            {
                frozen.values[nth] = Value::Integer(own);
            }
        }
        Ok(())
    }

    fn second_is_taken(&self, frozen: &Frozen) -> Result<bool, QueueError> {
        self.db
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM delivery WHERE meter = ?1 AND utc_s = ?2)",
            )
            .and_then(|mut s| {
                s.query_row(params![frozen.values[3], frozen.values[4]], |r| r.get(0))
            })
            .doing(DOING)
    }

    fn in_range(&self, row: &[Value], nth: usize) -> Option<i64> {
        integer(row, nth).filter(|id| (1..=self.highest).contains(id))
    }

    fn is_there(&mut self, table: &'static str, key: &str, id: i64) -> Result<bool, QueueError> {
        if self.known.contains(&(table, id)) {
            return Ok(true);
        }
        let there = self
            .db
            .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {key} = ?1)"))
            .and_then(|mut s| s.query_row([id], |r| r.get(0)))
            .doing(DOING)?;
        if there {
            self.known.insert((table, id));
        }
        Ok(there)
    }

    fn add(
        &mut self,
        table: &'static str,
        id: i64,
        sql: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<(), QueueError> {
        self.db.execute(sql, params).doing(DOING)?;
        self.known.insert((table, id));
        Ok(())
    }
}

impl Frozen {
    /// Of a row that this program may have written.
    fn of(row: &[Value]) -> Option<Self> {
        let [seq, attempt, span, meter, utc_s, offset, Value::Blob(wire), id, message] = row else {
            return None;
        };
        let numbers = [seq, attempt, span, meter, utc_s, offset];
        let record: Json = serde_json::from_slice(wire).ok().filter(Json::is_object)?;
        if !numbers.iter().all(|v| matches!(v, Value::Integer(_))) {
            return None;
        }
        // What the server said can't be told any more; what it was sent can.
        let [id, message] = [id, message].map(|text| match text {
            Value::Text(_) => text.clone(),
            _ => Value::Null,
        });
        Some(Self { values: [&row[..7], &[id, message]].concat(), record })
    }
}

/// What must be a number and isn't becomes none; whether there was nothing of the kind.
fn make_whole(row: &mut [Value]) -> bool {
    let mut whole = true;
    for nth in [at::BOOTTIME, at::RAW, at::UNWRAPPED, at::SHARE, at::TOTAL, at::ODOMETER] {
        let fits = match row[nth] {
            Value::Integer(volume) if nth == at::SHARE => volume.abs() <= VOLUME_AT_MOST,
            Value::Integer(_) => true,
            _ => false,
        };
        if !fits {
            (row[nth], whole) = (Value::Integer(0), false);
        }
    }
    whole && Flags::column_result(ValueRef::from(&row[at::FLAGS])).is_ok()
}

/// A code that no state has is a row that can't be decoded.
fn state_of(row: &[Value]) -> State {
    State::column_result(ValueRef::from(&row[at::STATE])).unwrap_or(State::Unreadable)
}

fn code_of(state: State) -> Value {
    use rusqlite::ToSql;
    use rusqlite::types::ToSqlOutput;
    match state.to_sql() {
        Ok(ToSqlOutput::Owned(code)) => code,
        _ => Value::Integer(7),
    }
}

fn integer(row: &[Value], nth: usize) -> Option<i64> {
    match row.get(nth) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    }
}
