//! Whether a believed sample becomes a reading (fields.md, "When a sample becomes a
//! reading"; RULES.md, 17). Plain numbers in, yes or no out; knows no meter and no GPS.

use std::time::Duration;

use super::flow::FlowState;
use crate::config;

/// Two readings of one meter are never closer than this: they would share a second.
pub const APART_MS: i64 = 1_000;

/// How much too early a sample may come for `every`: meters speak once a second with
/// some jitter, and one at 4.99 s must not make the interval 6 s.
const EVERY_SLACK_MS: i64 = 100;

/// How much less than `every_gal` will do, in gallons: what rounding left over from the
/// last reading is less than this, and must not put the next one off.
const GALLONS_SLACK: f64 = 1e-6;

/// What is known when a sample has been believed.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Since the meter's last reading of this boot; `None` if there is none.
    pub since_reading_ms: Option<i64>,
    /// Since that reading, or where there is none since the first sample.
    pub waited_ms: i64,
    /// What the liquid does.
    pub flow: FlowState,
    /// Gallons since the last reading.
    pub gallons: f64,
    /// Net metres since the last reading, where known.
    pub moved_m: Option<f64>,
    /// Something happened that always makes a reading.
    pub event: bool,
}

/// What becomes of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing: its volume goes into the next reading.
    Not,
    /// A reading.
    Reading,
    /// A heartbeat at rest.
    Heartbeat,
}

/// What becomes of the sample of this moment.
pub fn due(rules: &config::Record, m: &Moment) -> Due {
    if m.since_reading_ms.is_some_and(|ms| ms < APART_MS) {
        return Due::Not;
    }
    let every = m.waited_ms >= ms(rules.every) - EVERY_SLACK_MS;
    let moved = above_zero(rules.every_m) && m.moved_m.is_some_and(|d| d >= rules.every_m);
    let poured = above_zero(rules.every_gal) && m.gallons >= rules.every_gal - GALLONS_SLACK;
    let wanted = match m.flow {
        FlowState::Flowing => every || moved,
        // Volume, and no word on whether it flows: as if it did, so that none waits long.
        FlowState::Unknown => every && m.gallons > 0.0,
        FlowState::Seeping | FlowState::Stopped => false,
    };
    if m.event || poured || wanted {
        return Due::Reading;
    }
    let heartbeat = !rules.idle_every.is_zero()
        && m.flow != FlowState::Flowing
        && m.waited_ms >= ms(rules.idle_every) - EVERY_SLACK_MS;
    if heartbeat { Due::Heartbeat } else { Due::Not }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Zero, or anything that is no number above it, turns a distance or a volume off.
fn above_zero(limit: f64) -> bool {
    limit.is_finite() && limit > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> config::Record {
        config::Record {
            every: Duration::from_secs(5),
            every_m: 2.0,
            every_gal: 0.5,
            idle_every: Duration::ZERO,
            stand_in: config::StandIn::default(),
        }
    }

    fn flowing() -> Moment {
        Moment {
            since_reading_ms: Some(3_000),
            waited_ms: 3_000,
            flow: FlowState::Flowing,
            gallons: 0.1,
            moved_m: Some(0.5),
            event: false,
        }
    }

    fn after(ms: i64, m: Moment) -> Moment {
        Moment { since_reading_ms: Some(ms), waited_ms: ms, ..m }
    }

    #[test]
    fn while_flowing_whichever_comes_first_makes_a_reading() {
        let r = rules();
        assert_eq!(due(&r, &flowing()), Due::Not);
        assert_eq!(due(&r, &after(5_000, flowing())), Due::Reading);
        assert_eq!(due(&r, &Moment { moved_m: Some(2.0), ..flowing() }), Due::Reading);
        assert_eq!(due(&r, &Moment { gallons: 0.5, ..flowing() }), Due::Reading);
    }

    #[test]
    fn every_forgives_the_jitter_of_a_second_but_no_more() {
        let r = rules();
        assert_eq!(due(&r, &after(4_900, flowing())), Due::Reading);
        assert_eq!(due(&r, &after(4_899, flowing())), Due::Not);
    }

    #[test]
    fn nothing_makes_two_readings_within_a_second() {
        let mut r = rules();
        r.every = Duration::from_millis(500);
        let all = Moment { gallons: 9.0, moved_m: Some(9.0), event: true, ..flowing() };
        assert_eq!(due(&r, &after(999, all)), Due::Not);
        assert_eq!(due(&r, &after(1_000, all)), Due::Reading);
        assert_eq!(due(&r, &Moment { since_reading_ms: None, ..all }), Due::Reading);
    }

    #[test]
    fn at_rest_only_volume_events_and_a_configured_heartbeat_do() {
        let mut r = rules();
        for flow in [FlowState::Stopped, FlowState::Seeping] {
            let m = Moment { flow, moved_m: Some(50.0), ..after(3_600_000, flowing()) };
            assert_eq!(due(&r, &m), Due::Not);
            assert_eq!(due(&r, &Moment { gallons: 0.5, ..m }), Due::Reading);
            assert_eq!(due(&r, &Moment { event: true, ..m }), Due::Reading);
        }
        r.idle_every = Duration::from_secs(60);
        let rest = Moment { flow: FlowState::Stopped, gallons: 0.0, ..flowing() };
        assert_eq!(due(&r, &after(59_000, rest)), Due::Not);
        assert_eq!(due(&r, &after(60_000, rest)), Due::Heartbeat);
    }

    #[test]
    fn volume_of_which_it_is_unknown_whether_it_flows_waits_no_longer_than_every() {
        let m = Moment { flow: FlowState::Unknown, ..flowing() };
        assert_eq!(due(&rules(), &m), Due::Not);
        assert_eq!(due(&rules(), &after(5_000, m)), Due::Reading);
        let none = Moment { gallons: 0.0, ..m };
        assert_eq!(due(&rules(), &after(5_000, none)), Due::Not);
    }

    #[test]
    fn a_limit_of_zero_is_off() {
        let r = config::Record { every_m: 0.0, every_gal: 0.0, ..rules() };
        let m = Moment { gallons: 0.0, moved_m: Some(0.0), ..flowing() };
        assert_eq!(due(&r, &m), Due::Not);
    }
}
