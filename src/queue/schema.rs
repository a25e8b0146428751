//! The schema, as migrations by index: each is run once, in order, in one transaction,
//! and never changed afterwards. Later ones only add.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Doing, QueueError};

/// Every migration; `user_version` is how many have been run.
const MIGRATIONS: &[&str] = &[FIRST, SECOND, THIRD];

/// A reading, as it is now, counts where it stands.
macro_rules! stands {
    () => {
        "INSERT INTO standing
             VALUES (coalesce(new.span, 0), new.state, new.boot * (new.state = 0),
                 new.state = 0 AND new.lat_e7 IS NOT NULL, new.state = 0 AND new.meter <> 0,
                 1, new.share_ul)
             ON CONFLICT DO UPDATE
             SET readings = readings + 1, share_ul = share_ul + excluded.share_ul;
        "
    };
}

/// A reading, as it was, counts there no longer; where none is left no row stays.
macro_rules! left {
    () => {
        "UPDATE standing SET readings = readings - 1, share_ul = share_ul - old.share_ul
             WHERE span = coalesce(old.span, 0) AND state = old.state
                 AND boot = old.boot * (old.state = 0)
                 AND placed = (old.state = 0 AND old.lat_e7 IS NOT NULL)
                 AND named = (old.state = 0 AND old.meter <> 0);
         DELETE FROM standing
             WHERE span = coalesce(old.span, 0) AND state = old.state
                 AND boot = old.boot * (old.state = 0)
                 AND readings = 0 AND share_ul = 0;
        "
    };
}

/// The first schema. Column by column:
///
/// - `reading.share_ul` is the volume since the meter's reading before; `total_ul` that
///   of the span so far; `odometer_ul` that of the database so far, so that what was
///   recorded and what the states add up to are two independent sums.
/// - `reading.state`: 0 open, 1 in doubt, 2 sent, 3 rejected, 4 discarded, 5 deleted,
///   6 time conflict, 7 unreadable. *Ready* and the reasons for a hold are derived.
/// - `meter` 0 is the one without a serial number, half of a record's identity: its
///   readings are held for good.
/// - `stretch` is where a span and a segment meet: the zero and the gallons before it
///   that its records are told in.
/// - `delivery` is what was frozen: second, offset and exact bytes. Its unique index is
///   what makes two records of one meter in one second impossible.
/// - `refusal` is a job that the server refuses as a whole; ('','') is all of them.
///
/// No AUTOINCREMENT (it writes a page at every insert): sequence numbers are handed out
/// by the one writer, from the last row and from `meta.last_seq`, which pruning raises.
///
/// `reading_ready` is what the drain walks, a leaf page more at each append; without it
/// a million held rows are read for every batch. `reading_doubt` is nearly always
/// empty; without it a start reads every row to find what was in flight.
///
/// `delivery_sent` finds what was sent last of a job, whose presence proves a list whole,
/// without walking everything recorded since: a page at each freeze, shared by its batch,
/// none at an append or at a settling. For it `delivery` repeats the span, which a reading
/// that has one never changes. The order is that of attempts: what was assigned late is
/// sent last and recorded first.
///
/// `standing` is the balance as it goes along, kept by triggers so that no change of a
/// row can pass it by: how many readings stand where, in as few rows as tell the reasons
/// for a hold (span 0 is none; once a reading is no longer open only its span is told).
/// Reading every row instead took `status` a second for a million of them here, and ten on
/// a board. It costs one page at each append, freeze and settling. `tally` is something
/// else: what pruning has taken out.
///
/// Pages written to the log, measured by a test below: an append 3 (the row, its place in
/// `reading_ready`, `standing`), ten that waited for the disk together 4 to 5 and not 30,
/// a batch of one 8 to freeze and 5 to settle.
const FIRST: &str = concat!(
    "
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE boot (
    id INTEGER PRIMARY KEY,
    boot_uuid TEXT NOT NULL UNIQUE
);

CREATE TABLE anchor (
    boot INTEGER NOT NULL REFERENCES boot (id),
    boottime_ms INTEGER NOT NULL,
    utc_ms INTEGER NOT NULL,
    err_ms INTEGER NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (boot, boottime_ms, source)
) WITHOUT ROWID;

CREATE TABLE meter (
    id INTEGER PRIMARY KEY,
    serial TEXT NOT NULL UNIQUE
);

INSERT INTO meter VALUES (0, '');

CREATE TABLE segment (
    id INTEGER PRIMARY KEY,
    meter INTEGER NOT NULL REFERENCES meter (id),
    raw_start INTEGER NOT NULL,
    unwrapped_start INTEGER NOT NULL,
    k REAL NOT NULL,
    points TEXT NOT NULL DEFAULT '',
    carried_ul INTEGER NOT NULL,
    reason TEXT NOT NULL
);

CREATE TABLE span (
    id INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    job TEXT NOT NULL,
    item TEXT,
    product TEXT,
    note TEXT NOT NULL DEFAULT '',
    tare_unwrapped INTEGER NOT NULL,
    opened_seq INTEGER NOT NULL,
    origin TEXT NOT NULL,
    details_json TEXT,
    closed INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE stretch (
    span INTEGER NOT NULL REFERENCES span (id),
    segment INTEGER NOT NULL REFERENCES segment (id),
    n INTEGER NOT NULL,
    zero INTEGER NOT NULL,
    base_ul INTEGER NOT NULL,
    PRIMARY KEY (span, segment)
) WITHOUT ROWID;

CREATE TABLE reading (
    seq INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL REFERENCES boot (id),
    boottime_ms INTEGER NOT NULL,
    meter INTEGER NOT NULL REFERENCES meter (id),
    segment INTEGER NOT NULL REFERENCES segment (id),
    span INTEGER REFERENCES span (id),
    raw INTEGER NOT NULL,
    meter_seq INTEGER,
    unwrapped INTEGER NOT NULL,
    share_ul INTEGER NOT NULL,
    total_ul INTEGER NOT NULL,
    odometer_ul INTEGER NOT NULL,
    rate REAL,
    temp_fluid REAL,
    temp_ambient REAL,
    battery_pct REAL,
    runtime_min REAL,
    lat_e7 INTEGER,
    lon_e7 INTEGER,
    fix_age_ms INTEGER,
    hdop REAL,
    flags INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX reading_ready ON reading (span, boot, seq)
    WHERE state = 0 AND span IS NOT NULL AND lat_e7 IS NOT NULL AND meter <> 0;

CREATE INDEX reading_doubt ON reading (seq) WHERE state = 1;

CREATE TABLE delivery (
    seq INTEGER PRIMARY KEY REFERENCES reading (seq),
    attempt INTEGER NOT NULL,
    span INTEGER NOT NULL,
    meter INTEGER NOT NULL,
    utc_s INTEGER NOT NULL,
    offset_min INTEGER NOT NULL,
    wire BLOB NOT NULL,
    server_id TEXT,
    message TEXT
);

CREATE UNIQUE INDEX delivery_second ON delivery (meter, utc_s);

CREATE INDEX delivery_sent ON delivery (span, attempt);

CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    span INTEGER NOT NULL REFERENCES span (id),
    boot INTEGER NOT NULL REFERENCES boot (id),
    started INTEGER NOT NULL,
    outcome TEXT
);

CREATE TABLE refusal (
    event TEXT NOT NULL,
    job TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (event, job)
) WITHOUT ROWID;

CREATE TABLE tally (
    span INTEGER NOT NULL,
    state INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    total_ul INTEGER NOT NULL,
    PRIMARY KEY (span, state)
) WITHOUT ROWID;

CREATE TABLE standing (
    span INTEGER NOT NULL,
    state INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    placed INTEGER NOT NULL,
    named INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    share_ul INTEGER NOT NULL,
    PRIMARY KEY (span, state, boot, placed, named)
) WITHOUT ROWID;

CREATE TRIGGER reading_recorded AFTER INSERT ON reading BEGIN
",
    stands!(),
    "
END;

CREATE TRIGGER reading_changed
AFTER UPDATE OF span, state, boot, lat_e7, meter, share_ul ON reading BEGIN
",
    stands!(),
    left!(),
    "
END;

CREATE TRIGGER reading_gone AFTER DELETE ON reading BEGIN
",
    left!(),
    "
END;
"
);

/// What was found out about whole stretches of the queue:
///
/// - `verification` is what `getall` said of a closed span (RULES.md, 24): when, in UTC
///   seconds, how many of its readings and microlitres are at JobCloser, how many were
///   missing and made ready again, how many records there are nobody's.
/// - `carried` is a damaged database that was set aside: its tag and numbers, how far
///   carrying its rows over has come (`next_seq`), what was carried and what was lost.
///
/// Neither is touched by an append.
const SECOND: &str = "
CREATE TABLE verification (
    span INTEGER PRIMARY KEY REFERENCES span (id),
    utc_s INTEGER,
    readings INTEGER NOT NULL,
    share_ul INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    extras INTEGER NOT NULL
);
CREATE TABLE carried (
    file TEXT PRIMARY KEY,
    tag TEXT,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    share_ul INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    done INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Readings that an operator took out of delivery, what they were before, and why. What is
/// rejected is not made ready by a settling; it is by `retry`, which asks about what was in
/// doubt first. An append doesn't touch it, and what is pruned takes its row along.
const THIRD: &str = "
CREATE TABLE ruling (
    seq INTEGER PRIMARY KEY REFERENCES reading (seq) ON DELETE CASCADE,
    was INTEGER NOT NULL,
    reason TEXT NOT NULL
);
";

/// The schema this program writes.
pub const KNOWN: i64 = MIGRATIONS.len() as i64;

/// The schema of an open database.
pub fn version(db: &Connection) -> Result<i64, QueueError> {
    db.pragma_query_value(None, "user_version", |row| row.get(0)).doing("read its schema version")
}

/// The schema of the database in a file, looked up without writing to it; `None` where
/// there is none, or it can't be read.
pub fn version_of(file: &Path) -> Option<i64> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    version(&db).ok()
}

/// Brings a database up to [`KNOWN`]. A power cut leaves it at the version it had: the
/// migrations and the new version are one transaction.
pub fn migrate(db: &mut Connection) -> Result<(), QueueError> {
    let doing = "bring its schema up to date";
    let tx = db.transaction_with_behavior(TransactionBehavior::Exclusive).doing(doing)?;
    let done = usize::try_from(version(&tx)?).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        tx.execute_batch(migration).doing(doing)?;
    }
    tx.pragma_update(None, "user_version", KNOWN).doing(doing)?;
    tx.commit().doing(doing)
}

#[cfg(test)]
mod tests {
    use super::super::append::tests::{reading, segment, to_job};
    use super::super::{BatchLimits, Store, WireSettings};
    use super::*;
    use crate::clock::{Anchor, AnchorSource, BootId, BootInstant, UtcMs};
    use crate::config::StandIn;
    use crate::delivery::{Outcome, Pick};
    use crate::reading::{Reading, SegmentReason, Seq};

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        db.execute("INSERT INTO meta VALUES ('a', 'b')", []).unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(version(&db).unwrap(), KNOWN);
        let kept: String = db.query_row("SELECT value FROM meta", [], |r| r.get(0)).unwrap();
        assert_eq!(kept, "b");
    }

    /// Pages that `work` writes to the log.
    fn pages(store: &mut Store, work: impl FnOnce(&mut Store)) -> i64 {
        let frames = |store: &Store, sql: &str| -> i64 {
            store.db.query_row(sql, [], |r| r.get(1)).unwrap()
        };
        frames(store, "PRAGMA wal_checkpoint(TRUNCATE)");
        work(store);
        frames(store, "PRAGMA wal_checkpoint(PASSIVE)")
    }

    #[test]
    fn the_pages_written_for_a_reading_are_those_that_the_schema_says() {
        const MANY: i64 = 100;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(crate::queue::FILE);
        let mut store = Store::open(&path, &BootId("boot-1".to_owned())).unwrap();
        // Every commit is in the log until the count is taken.
        store.db.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF").unwrap();
        let noon = UtcMs(1_809_253_002_000);
        let source = AnchorSource::Gps;
        store.add_anchor(Anchor { at: BootInstant(0), utc: noon, err_ms: 0, source }).unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        let first = Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) };
        store.append(&first).unwrap();
        let wire = WireSettings {
            device_name: "rig-7".to_owned(),
            zone: jiff::tz::TimeZone::UTC,
            stand_in: StandIn::default(),
        };
        let append = |store: &mut Store, n: i64| {
            store.append(&reading(1 + 5 * n, 100 * n as u64, 100)).unwrap();
        };
        for n in 1..=1000 {
            append(&mut store, n);
        }
        let appends = pages(&mut store, |store| {
            for n in 1001..=1000 + MANY {
                append(store, n);
            }
        });
        // Ten that waited for the disk together: the pages of one, and room for the rest.
        let together = pages(&mut store, |store| {
            for n in 0..MANY / 10 {
                let ten: Vec<_> = (1 + 10 * n..=10 + 10 * n)
                    .map(|n| 1000 + MANY + n)
                    .map(|n| reading(1 + 5 * n, 100 * n as u64, 100))
                    .collect();
                store.append_all(&ten).unwrap();
            }
        });
        let each_ten = together as f64 / (MANY / 10) as f64;
        assert!((3.0..6.0).contains(&each_ten), "{each_ten}");
        let limits = BatchLimits { records: 1, bytes: 1 << 20 };
        let oldest = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
        let (mut freezes, mut settles) = (0, 0);
        for n in 0..MANY {
            freezes += pages(&mut store, |store| {
                store.freeze(&oldest, limits, &wire, BootInstant(0)).unwrap().unwrap();
            });
            settles += pages(&mut store, |store| {
                let sent = [(Seq(n + 1), Outcome::Sent(Some(format!("id-{n}"))))];
                store.settle(&sent, &[(n + 1, "accepted")], None).unwrap();
            });
        }
        let each = [appends, freezes, settles].map(|pages| pages as f64 / MANY as f64);
        // A leaf that is full is split now and then.
        let whole = each.map(|pages| pages.floor() as i64);
        assert_eq!(whole, [3, 8, 5], "{each:?}");
    }
}
