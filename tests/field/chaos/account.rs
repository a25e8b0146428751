//! Reading by reading, what the meter told between two of them and what the second one
//! brought. Nothing is ever recorded that wasn't metered; and what is missing may be so only
//! where the meter itself no longer told it, by a restart or by a rollover that nobody
//! heard, and no more than what flowed since the last durable reading. Knows no server.

use std::fmt;

use hil_sim::meter::{Meter, MeterSetup};
use hil_sim::truth::{Emitted, FlowChange, Period, Trouble, Truth};
use rusqlite::Connection;

use super::clock::Clock;

const UL_PER_GALLON: f64 = 3_785_411.784;

/// Volume is kept in whole microlitres, which are far less than a count.
const ROUNDING_COUNTS: f64 = 0.01;

/// A line waits in the port no longer than this before its bytes are read, however busy the
/// machine; and a clock may be read a moment before the other.
const READ_WITHIN_MS: i64 = 10_000;
const CLOCKS_MS: i64 = 250;

/// A meter's first line after a start or a cable is heard within two seconds, and so much
/// longer may the first reading wait for a place (`gps.stale_after`), or less for a disk
/// that takes writes again.
const BACK_WITHIN_MS: i64 = 2_000 + 3_000;

/// `record.every`, and the way to the disk of the sample that makes the reading: while a
/// flush takes a third of a second it may wait for those of the reading before it, of the
/// delivery and of a checkpoint, and then for its own.
const WINDOW_MS: i64 = 1_000 + 2_500;

/// After a spoilt line the next may be glued to it.
const NOISE_MS: i64 = 2_000;

/// What an agent's queue says of one reading.
struct Row {
    seq: i64,
    at_ms: i64,
    raw: u64,
    counts: f64,
}

/// Less was recorded than the meter told between two readings.
pub struct Loss {
    /// The reading after it; one more than the last at the end.
    seq: i64,
    counts: f64,
    /// From the last reading to the last line that the meter told before it forgot, as far as
    /// the agent could have recorded what flowed.
    unrecorded_ms: i64,
    what: &'static str,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, counts, unrecorded_ms, what } = self;
        let s = *unrecorded_ms as f64 / 1000.0;
        write!(f, "{counts:.2} counts before reading {seq}, {s:.2} s unrecorded: {what}")
    }
}

/// All of it.
#[derive(Default)]
pub struct Account {
    pub recorded_gal: f64,
    pub known_gal: f64,
    pub losses: Vec<Loss>,
    /// What should not be.
    pub findings: Vec<String>,
}

impl Account {
    pub fn lost_gal(&self, truth: &Truth) -> f64 {
        self.losses.iter().fold(0.0, |sum, loss| sum + loss.counts) / truth.k
    }
}

/// Holds every reading of the queue against the lines that the meter told.
pub fn drawn_up(db: &Connection, clock: &Clock, truth: &Truth) -> rusqlite::Result<Account> {
    Ok(of(&rows(db, clock, truth.k)?, truth))
}

fn of(rows: &[Row], truth: &Truth) -> Account {
    let told: Vec<&Emitted> = truth.lines.iter().filter(|l| l.heard && l.honest).collect();
    let mut account =
        Account { known_gal: truth.knowable_counts() as f64 / truth.k, ..Account::default() };
    let mut at = 0;
    let mut counts = 0.0;
    for row in rows {
        account.recorded_gal += row.counts / truth.k;
        counts += row.counts;
        match line_of(row, &told) {
            Some(line) if line >= at => {
                account.hold(row.seq, (&told[at..=line], counts), truth);
                (at, counts) = (line, 0.0);
            }
            _ => account.findings.push(format!("{}: the meter told no {}", row.seq, row.raw)),
        }
    }
    let end = rows.last().map_or(0, |row| row.seq) + 1;
    account.hold(end, (&told[at..], counts), truth);
    account
}

impl Account {
    /// Of the lines from one reading to the next, and what that one brought.
    fn hold(&mut self, seq: i64, (lines, counts): (&[&Emitted], f64), truth: &Truth) {
        let told: u64 = lines.windows(2).map(|two| between(two[0], two[1])).sum();
        let missing = told as f64 - counts;
        if missing < -ROUNDING_COUNTS {
            self.findings.push(format!("{seq}: {counts:.2} counts, of {told} that were told"));
        }
        if missing <= ROUNDING_COUNTS {
            return;
        }
        let forgets = lines.windows(2).rposition(|two| forgot(two[0], two[1], truth));
        let (before, after) = lines.split_at(forgets.map_or(0, |at| at + 1));
        let since: u64 = after.windows(2).map(|two| between(two[0], two[1])).sum();
        let since = since + after.first().filter(|_| forgets.is_some()).map_or(0, |l| l.raw);
        let (first, last) = (lines[0], before.last().unwrap_or(&lines[0]));
        let unrecorded_ms = well_ms(truth, first.at_ms, last.at_ms);
        let (excused, what) = match after.first().filter(|_| forgets.is_some()) {
            None => (false, "the meter forgot nothing"),
            Some(_) if counts + ROUNDING_COUNTS < since as f64 => (false, "it was told since"),
            Some(_) if unrecorded_ms > WINDOW_MS => (false, "too long without a reading"),
            Some(line) if line.segment != last.segment => (true, "the meter started again"),
            Some(_) => (true, "the count came to its modulus unheard"),
        };
        let loss = Loss { seq, counts: missing, unrecorded_ms, what };
        if !excused {
            self.findings.push(format!("{loss}, of {told} from {} on", first.at_ms));
        }
        self.losses.push(loss);
    }
}

/// Counts that a line tells after another.
fn between(before: &Emitted, line: &Emitted) -> u64 {
    match before.segment == line.segment {
        true => line.unwrapped.saturating_sub(before.unwrapped),
        false => line.unwrapped,
    }
}

/// Whether the meter no longer tells after a line what it told before, to an agent that died
/// or listened again about then.
fn forgot(before: &Emitted, line: &Emitted, truth: &Truth) -> bool {
    let passed = |line: &Emitted| line.unwrapped - line.raw;
    let restarts = before.segment != line.segment;
    if !restarts && passed(before) == passed(line) {
        return false;
    }
    let about = |period: &Period| {
        // What was in memory then is lost with an agent that dies before its next reading.
        let margin = match period.trouble {
            Trouble::AgentDown | Trouble::MeterUnplugged => BACK_WITHIN_MS + WINDOW_MS,
            Trouble::MeterNoise => NOISE_MS,
            _ => return false,
        } + stalled_ms(truth, line.at_ms);
        let to = period.to_ms.unwrap_or(i64::MAX / 2);
        period.from_ms <= line.at_ms + margin && before.at_ms <= to + margin
    };
    truth.periods.iter().any(about)
}

/// How long the disk goes on to take nothing.
fn stalled_ms(truth: &Truth, at_ms: i64) -> i64 {
    let stalls = truth.periods.iter().filter(|p| p.trouble == Trouble::DiskStalls);
    let covers = stalls.filter(|p| p.from_ms <= at_ms && p.to_ms.is_none_or(|to| at_ms <= to));
    covers.filter_map(|period| Some(period.to_ms? - at_ms)).max().unwrap_or(0)
}

/// Milliseconds in which liquid flowed and nothing kept the agent from recording it.
fn well_ms(truth: &Truth, from_ms: i64, to_ms: i64) -> i64 {
    let hinders = |p: &&Period| {
        matches!(p.trouble, Trouble::AgentDown | Trouble::MeterUnplugged | Trouble::DiskStalls)
    };
    let hindered = |at: i64| {
        let lasts =
            |p: &Period| p.from_ms <= at && p.to_ms.is_none_or(|to| at <= to + BACK_WITHIN_MS);
        truth.periods.iter().filter(hinders).any(lasts)
    };
    const STEP_MS: usize = 50;
    let well = |at: &i64| truth.flow_at(*at) > 0.0 && !hindered(*at);
    (from_ms..to_ms).step_by(STEP_MS).filter(well).count() as i64 * STEP_MS as i64
}

/// The line that a reading was made of.
fn line_of(row: &Row, told: &[&Emitted]) -> Option<usize> {
    let first = told.partition_point(|line| line.at_ms < row.at_ms - READ_WITHIN_MS);
    let end = told.partition_point(|line| line.at_ms <= row.at_ms + CLOCKS_MS);
    (first..end).rev().find(|line| told[*line].raw == row.raw)
}

fn rows(db: &Connection, clock: &Clock, k: f64) -> rusqlite::Result<Vec<Row>> {
    let mut asked = db.prepare(
        "SELECT seq, boot_uuid, boottime_ms, raw, share_ul \
         FROM reading JOIN boot ON boot.id = reading.boot ORDER BY seq",
    )?;
    let read = asked.query_map([], |r| {
        let began_ms = clock.began_ms(&r.get::<_, String>(1)?);
        Ok(Row {
            seq: r.get(0)?,
            at_ms: began_ms.unwrap_or(0) + r.get::<_, i64>(2)?,
            raw: r.get::<_, i64>(3)?.unsigned_abs(),
            counts: r.get::<_, i64>(4)? as f64 / UL_PER_GALLON * k,
        })
    })?;
    read.collect()
}

/// A minute and a half at 6 gal/min and 10 counts a gallon, one line a second; the meter
/// starts again at 60 s, and the agent, which recorded every second, dies at 58 s.
fn minute_and_a_half() -> (Truth, Vec<Row>) {
    let mut truth = Truth::new("A", 10.0);
    let setup = MeterSetup { k: 10.0, start_count: 100, ..MeterSetup::default() };
    let mut meter = Meter::new(setup, 0);
    meter.flow(6.0, 0);
    truth.flow.push(FlowChange { at_ms: 0, gpm: 6.0 });
    let mut rows: Vec<Row> = Vec::new();
    for at_ms in (0..90_000).step_by(1000) {
        if at_ms == 60_000 {
            meter.restart(at_ms);
        }
        let line = meter.line(at_ms);
        truth.line(at_ms, &line, true, true);
        let counts = if at_ms == 0 { 0.0 } else { 1.0 };
        rows.push(Row { seq: 0, at_ms, raw: line.raw, counts });
    }
    // The line at 60 s shows 0: what was counted up to it is in no line.
    rows[60].counts = 0.0;
    truth.begin(Trouble::AgentDown, 58_000);
    truth.end(Trouble::AgentDown, 62_000);
    rows.retain(|row| !(57_500..62_000).contains(&row.at_ms));
    rows[58].counts = 2.0;
    (truth, rows)
}

#[test]
fn what_a_meter_forgot_about_the_agents_end_may_be_missing_and_nothing_else() {
    let (truth, rows) = minute_and_a_half();
    let whole = of(&rows, &truth);
    assert_eq!(whole.findings, [""; 0]);
    // 58 and 59 s.
    assert_eq!(whole.losses.iter().map(|loss| loss.counts).collect::<Vec<_>>(), [2.0]);
    let found = |spoil: fn(&mut Vec<Row>, &mut Truth)| {
        let (mut truth, mut rows) = minute_and_a_half();
        spoil(&mut rows, &mut truth);
        of(&rows, &truth).findings.join("\n")
    };
    assert!(found(|rows, _| rows[30].counts = 0.0).contains("forgot nothing"));
    assert!(found(|rows, _| rows[30].counts = 2.0).contains("2.00 counts, of 1 that were told"));
    assert!(found(|rows, _| rows[58].counts = 1.0).contains("it was told since"));
    assert!(found(|rows, _| drop(rows.drain(50..58))).contains("too long without a reading"));
    assert!(found(|_, truth| truth.periods.clear()).contains("forgot nothing"));
    assert!(found(|rows, _| rows[30].raw = 7).contains("the meter told no 7"));
    assert!(found(|rows, _| drop(rows.split_off(70))).contains("forgot nothing"), "at the end");
}
