//! A place for readings that were recorded in a short hole of the fixes: on the straight line
//! between the fixes before and after it, by their times (`gps.backfill`). The readings on
//! either side carry those fixes with their ages, so that nothing else needs to be kept, and
//! it comes in the transaction of the reading that ends the hole: a power cut leaves all of
//! it or none. Knows neither receiver nor configuration.

use rusqlite::{Connection, Row, params};

use super::{Doing, QueueError};
use crate::clock::BootInstant;
use crate::reading::{Flag, Flags, Place, Seq, State};

/// Two fixes further apart than this tell nothing of the way between them.
const HOLE_MAX_MS: i64 = 60_000;

/// No rig sprays faster than this: what is further apart was no way that was driven.
const FASTEST_MPS: f64 = 25.0;

/// Readings are at least a second apart, so that a hole has no more of them; and the two
/// around it.
const LOOK_BACK: i64 = HOLE_MAX_MS / 1_000 + 8;

/// A fix, as a reading tells it.
#[derive(Debug, Clone, Copy)]
struct Known {
    at: BootInstant,
    place: Place,
}

/// A reading, so far as it matters here.
struct Around {
    seq: Seq,
    at: BootInstant,
    state: State,
    flags: Flags,
    place: Option<Place>,
    age_ms: Option<i64>,
}

impl Around {
    /// Only what a receiver told has an age that counts.
    fn fix(&self) -> Option<Known> {
        if self.flags.has(Flag::FixedPlace) {
            return None;
        }
        Some(Known { at: self.at.plus_ms(-self.age_ms?), place: self.place? })
    }
}

/// Fills the hole that this reading ends, if it does; says how many readings have a place
/// then.
pub(super) fn fill(tx: &Connection, boot: i64, ends: Seq) -> Result<u64, QueueError> {
    let doing = "place what was recorded in a hole of the fixes";
    let mut statement = tx
        .prepare_cached(
            "SELECT seq, boottime_ms, state, flags, lat_e7, lon_e7, fix_age_ms FROM reading
             WHERE seq <= ?1 AND seq > ?1 - ?3 AND boot = ?2 ORDER BY seq DESC",
        )
        .doing(doing)?;
    let rows = statement.query_map(params![ends, boot, LOOK_BACK], around).doing(doing)?;
    // Behind a row that can't be decoded nothing is known.
    let mut rows = rows.map_while(Result::ok);
    let Some(after) = rows.next().filter(|r| !r.flags.has(Flag::ReusedFix)) else { return Ok(0) };
    let Some(after) = after.fix() else { return Ok(0) };
    let mut hole = Vec::new();
    let before = loop {
        match rows.next() {
            Some(row) if row.place.is_none() => hole.push(row),
            Some(row) => break row.fix(),
            None => break None,
        }
    };
    let Some(before) = before.filter(|before| drivable(*before, after)) else { return Ok(0) };
    let mut filled = 0;
    for row in hole {
        if !matches!(row.state, State::Open | State::TimeConflict) {
            continue;
        }
        let Some(place) = between(before, after, row.at) else { continue };
        tx.prepare_cached("UPDATE reading SET lat_e7 = ?2, lon_e7 = ?3, flags = ?4 WHERE seq = ?1")
            .and_then(|mut s| {
                let flags = row.flags.with(Flag::Backfill);
                s.execute(params![row.seq, place.lat_e7, place.lon_e7, flags])
            })
            .doing(doing)?;
        filled += 1;
    }
    Ok(filled)
}

fn around(r: &Row<'_>) -> rusqlite::Result<Around> {
    let place = match (r.get(4)?, r.get(5)?) {
        (Some(lat_e7), Some(lon_e7)) => Some(Place { lat_e7, lon_e7 }),
        _ => None,
    };
    Ok(Around {
        seq: r.get(0)?,
        at: r.get(1)?,
        state: r.get(2)?,
        flags: r.get(3)?,
        place,
        age_ms: r.get(6)?,
    })
}

fn drivable(before: Known, after: Known) -> bool {
    let ms = after.at.since_ms(before.at);
    let metres = before.place.metres_to(after.place);
    (1..=HOLE_MAX_MS).contains(&ms) && metres <= FASTEST_MPS * ms as f64 / 1_000.0
}

/// On the line between two fixes, by the time; `None` outside them, or where that would be
/// 0,0.
fn between(before: Known, after: Known, at: BootInstant) -> Option<Place> {
    const TURN_E7: i64 = 3_600_000_000;
    let (gone, whole) = (at.since_ms(before.at), after.at.since_ms(before.at));
    if !(0..=whole).contains(&gone) {
        return None;
    }
    let part = |way: i64| way * gone / whole;
    let lat = i64::from(after.place.lat_e7) - i64::from(before.place.lat_e7);
    let east = i64::from(after.place.lon_e7) - i64::from(before.place.lon_e7);
    // The short way round, also across ±180°.
    let east = (east + TURN_E7 / 2).rem_euclid(TURN_E7) - TURN_E7 / 2;
    let lon = i64::from(before.place.lon_e7) + part(east);
    let lon = (lon + TURN_E7 / 2).rem_euclid(TURN_E7) - TURN_E7 / 2;
    let place = Place {
        lat_e7: i32::try_from(i64::from(before.place.lat_e7) + part(lat)).ok()?,
        lon_e7: i32::try_from(lon).ok()?,
    };
    (place.lat_e7 != 0 || place.lon_e7 != 0).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::super::append::tests::{reading, segment, store, to_job};
    use super::super::{Filter, Selector, Store};
    use super::*;
    use crate::reading::{Reading, SegmentReason};

    const LAT: i32 = 335_000_000;
    const LON: i32 = -868_000_000;

    /// 90 units of 1.1 cm northwards a second.
    fn north(second: i64) -> Place {
        Place { lat_e7: LAT + 90 * second as i32, lon_e7: LON }
    }

    /// A reading with a fix of 400 ms before.
    fn placed(second: i64) -> Reading {
        let place = Place { lat_e7: north(second).lat_e7 - 36, lon_e7: LON };
        Reading { place: Some((place, 400, 0.9)), ..nowhere(second) }
    }

    fn nowhere(second: i64) -> Reading {
        let n = second.cast_unsigned();
        Reading { place: None, ..reading(second, 100 * n, 100) }
    }

    /// The first reading, at 1 s.
    fn begun() -> Store {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        let first = Reading { segment: opens, span: to_job("a", true), ..placed(1) };
        store.append_and_fill(&[first], true).unwrap();
        store
    }

    fn record(store: &mut Store, readings: &[Reading]) {
        for reading in readings {
            store.append_and_fill(std::slice::from_ref(reading), true).unwrap();
        }
    }

    fn latitudes(store: &Store) -> Vec<Option<i32>> {
        let mut s = store.db.prepare("SELECT lat_e7 FROM reading ORDER BY seq").unwrap();
        s.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn flagged(store: &Store) -> Vec<bool> {
        let mut s = store.db.prepare("SELECT flags FROM reading ORDER BY seq").unwrap();
        let flags = s.query_map([], |r| r.get::<_, Flags>(0)).unwrap();
        flags.map(|flags| flags.unwrap().has(Flag::Backfill)).collect()
    }

    fn held(store: &Store) -> usize {
        latitudes(store).iter().filter(|lat| lat.is_none()).count()
    }

    #[test]
    fn a_reading_in_a_hole_lies_on_the_line_between_the_fixes_around_it_and_says_so() {
        let mut store = begun();
        record(&mut store, &[nowhere(11), nowhere(31)]);
        assert_eq!(held(&store), 2);
        record(&mut store, &[placed(51)]);
        let expected = [1, 11, 31, 51].map(|second| north(second).lat_e7);
        let found = latitudes(&store);
        assert_eq!(found[1..3], [Some(expected[1]), Some(expected[2])]);
        assert_eq!(flagged(&store), [false, true, true, false]);
        assert!(super::super::balance::audit(&store.db).unwrap().no_place == 0);
        assert_eq!(
            super::super::balance::draw(&store.db).unwrap(),
            super::super::balance::audit(&store.db).unwrap()
        );
    }

    #[test]
    fn all_of_a_hole_that_waited_for_the_disk_is_filled_in_one_transaction() {
        let mut store = begun();
        let hole = [nowhere(11), nowhere(12), placed(20), nowhere(24), placed(30)];
        store.append_and_fill(&hole, true).unwrap();
        assert_eq!(held(&store), 0);
        assert_eq!(flagged(&store), [false, true, true, false, true, false]);
    }

    #[test]
    fn a_hole_of_more_than_a_minute_stays_one() {
        for (end, left) in [(61, 0), (62, 1)] {
            let mut store = begun();
            record(&mut store, &[nowhere(30), placed(end)]);
            assert_eq!(held(&store), left, "{end}");
        }
    }

    #[test]
    fn what_no_rig_can_have_driven_fills_nothing() {
        for (metres, left) in [(400, 0), (520, 1)] {
            let mut store = begun();
            let mut far = placed(21);
            let place = Place { lat_e7: LAT + metres * 90, lon_e7: LON };
            far.place = Some((place, 400, 0.9));
            record(&mut store, &[nowhere(10), far]);
            assert_eq!(held(&store), left, "{metres} m in 20 s");
        }
    }

    #[test]
    fn an_old_fix_a_person_and_another_boot_are_no_end_of_a_hole() {
        let mut reused = placed(20);
        reused.flags.set(Flag::ReusedFix);
        let mut store = begun();
        record(&mut store, &[nowhere(10), reused]);
        assert_eq!(held(&store), 1, "where it stood before the hole says nothing of its end");

        let mut store = begun();
        record(&mut store, &[nowhere(10), nowhere(12)]);
        let which = Selector { seq: Some((Seq(2), Seq(2))), ..Selector::default() };
        store.place(&which, north(10)).unwrap();
        record(&mut store, &[placed(20)]);
        assert_eq!(held(&store), 1, "a person's word is no fix");

        let configured = |second| {
            let here = placed(second);
            Reading { flags: Flags::NONE.with(Flag::FixedPlace), ..here }
        };
        let mut store = begun();
        record(&mut store, &[configured(10), nowhere(15), placed(20), nowhere(25), configured(30)]);
        assert_eq!(held(&store), 2, "nor is the place that is configured");

        let mut store = begun();
        store.db.execute("INSERT INTO boot (boot_uuid) VALUES ('boot-2')", []).unwrap();
        store.boot = store.db.last_insert_rowid();
        record(&mut store, &[nowhere(10), placed(20)]);
        assert_eq!(held(&store), 1, "their times can't be compared");
    }

    #[test]
    fn what_was_taken_out_stays_as_it_is_and_off_is_off() {
        let mut store = begun();
        record(&mut store, &[nowhere(10), nowhere(12)]);
        let which = Selector { seq: Some((Seq(2), Seq(2))), ..Selector::default() };
        store.discard(&which, "rinse").unwrap();
        record(&mut store, &[placed(20)]);
        assert_eq!(flagged(&store), [false, false, true, false]);

        let mut store = begun();
        store.append_all(&[nowhere(10), placed(20)]).unwrap();
        assert_eq!(held(&store), 1);
    }

    #[test]
    fn the_line_goes_the_short_way_across_the_date_line() {
        let known = |ms, lon_e7| Known { at: BootInstant(ms), place: Place { lat_e7: 0, lon_e7 } };
        let (before, after) = (known(0, 1_799_999_000), known(10_000, -1_799_999_000));
        let middle = between(before, after, BootInstant(7_500)).unwrap();
        assert_eq!(middle.lon_e7, -1_799_999_500);
        assert_eq!(between(known(0, -500), known(10_000, 500), BootInstant(5_000)), None, "0,0");
        assert_eq!(between(before, after, BootInstant(10_001)), None);
    }

    #[test]
    fn a_filled_reading_is_listed_with_its_place() {
        let path = tempfile::tempdir().unwrap();
        let path = path.path().join(super::super::FILE);
        let boot = crate::clock::BootId("boot-1".to_owned());
        let mut store = Store::open(&path, &boot).unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        let first = Reading { segment: opens, span: to_job("a", true), ..placed(1) };
        record(&mut store, &[first, nowhere(11), placed(21)]);
        let view = super::super::View::open(&path).unwrap();
        let rows = view.list(&Filter { limit: 9, ..Filter::default() }).unwrap();
        assert_eq!(rows[1].lat, Some(north(11).lat()));
        assert!(rows[1].flags.has(Flag::Backfill));
    }
}
