//! Batteries as timelines: what a meter tells of one, and how long it is said to last.

use proptest::prelude::*;

use super::*;

/// Dice that fall the same each time: −1 to 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    }
}

/// A meter that tells its battery every ten seconds.
struct Meter {
    battery: Battery,
    noise: Noise,
    ms: i64,
    percent: f64,
    /// The greatest error of a value, in percent.
    error: f64,
}

impl Meter {
    fn at(percent: f64, error: f64) -> Self {
        Self { battery: Battery::default(), noise: Noise(7), ms: 50_000, percent, error }
    }

    /// So many minutes at so many percent an hour; what was said at the end of each.
    fn run(&mut self, minutes: i64, per_hour: f64) -> Vec<Option<f64>> {
        (0..minutes)
            .map(|_| {
                let mut said = None;
                for _ in 0..6 {
                    self.ms += 10_000;
                    self.percent += per_hour / 360.0;
                    let told = self.percent + self.error * self.noise.next();
                    said = self.battery.saw(BootInstant(self.ms), Some(told));
                }
                said
            })
            .collect()
    }

    /// Minutes until it is empty, if it goes on so.
    fn left(&self, per_hour: f64) -> f64 {
        self.percent / per_hour * 60.0
    }
}

fn none(said: &[Option<f64>]) -> bool {
    said.iter().all(Option::is_none)
}

#[test]
fn a_battery_that_goes_down_lasts_until_the_line_is_at_zero() {
    let mut meter = Meter::at(90.0, 0.5);
    meter.run(60, -10.0);
    let said = meter.run(120, -10.0);
    assert!(said.iter().all(Option::is_some), "{said:?}");
    let (told, left) = (said.last().unwrap().unwrap(), meter.left(10.0));
    assert!((told - left).abs() < left * 0.05, "{told} for {left}");
}

#[test]
fn whole_percents_will_do() {
    let (mut battery, mut said) = (Battery::default(), None);
    for second in 0..7_200 {
        let percent = (80.0 - 12.0 * f64::from(second) / 3_600.0).floor();
        said = battery.saw(BootInstant(i64::from(second) * 1_000), Some(percent));
    }
    let (told, left) = (said.unwrap(), 56.0 / 12.0 * 60.0);
    assert!((told - left).abs() < left * 0.1, "{told} for {left}");
}

#[test]
fn nothing_is_said_before_twenty_minutes() {
    let mut meter = Meter::at(90.0, 0.0);
    let said = meter.run(60, -20.0);
    assert!(none(&said[..19]), "{said:?}");
    assert!(said[30].is_some());
}

#[test]
fn a_battery_that_is_full_and_stays_so_has_no_run_time() {
    assert!(none(&Meter::at(100.0, 0.0).run(300, 0.0)));
}

#[test]
fn noise_is_no_discharge() {
    for seed in 0..6 {
        let mut meter = Meter { noise: Noise(seed), ..Meter::at(60.0, 6.0) };
        assert!(none(&meter.run(240, 0.0)), "seed {seed}");
    }
}

#[test]
fn a_charging_battery_has_no_run_time_until_it_goes_down_again() {
    let mut meter = Meter::at(60.0, 0.3);
    assert!(meter.run(90, -12.0).last().unwrap().is_some());
    let charging = meter.run(120, 15.0);
    assert!(none(&charging[15..]), "{charging:?}");
    let again = meter.run(90, -12.0);
    let (told, left) = (again.last().unwrap().unwrap(), meter.left(12.0));
    assert!((told - left).abs() < left * 0.1, "{told} for {left}");
}

#[test]
fn a_slow_charger_is_noticed_too() {
    let mut meter = Meter::at(60.0, 0.3);
    meter.run(90, -12.0);
    let charging = meter.run(180, 3.0);
    assert!(none(&charging[20..]), "{charging:?}");
}

#[test]
fn a_pump_that_pulls_the_voltage_down_is_no_discharge() {
    for sag in [3.0, 6.0, 9.0, 15.0, 40.0] {
        let mut meter = Meter::at(70.0, 0.3);
        for minutes in [10, 25, 60, 130] {
            let still = meter.run(minutes, 0.0);
            meter.percent -= sag;
            let pumping = meter.run(minutes, 0.0);
            meter.percent += sag;
            assert!(none(&still) && none(&pumping), "{sag} for {minutes} minutes");
        }
    }
}

#[test]
fn a_battery_that_was_changed_begins_anew() {
    let mut meter = Meter::at(60.0, 0.3);
    assert!(meter.run(90, -20.0).last().unwrap().is_some());
    meter.percent = 95.0;
    let said = meter.run(60, -20.0);
    assert!(none(&said[3..15]), "{said:?}");
    let (told, left) = (said.last().unwrap().unwrap(), meter.left(20.0));
    assert!((told - left).abs() < left * 0.1, "{told} for {left}");
}

#[test]
fn what_happened_while_the_meter_was_silent_is_not_known() {
    let mut meter = Meter::at(80.0, 0.3);
    assert!(meter.run(60, -12.0).last().unwrap().is_some());
    meter.ms += 600_001;
    assert!(none(&meter.run(19, -12.0)));
    assert!(meter.run(30, -12.0).last().unwrap().is_some());
}

#[test]
fn without_a_charge_there_is_no_run_time() {
    let mut meter = Meter::at(80.0, 0.3);
    meter.run(60, -12.0);
    let now = BootInstant(meter.ms + 1_000);
    assert_eq!(meter.battery.saw(now, None), None);
    assert_eq!(meter.battery.saw(now, Some(f64::NAN)), None);
    assert!(meter.battery.saw(now, Some(meter.percent)).is_some());
}

#[test]
fn a_meter_that_is_asked_once_a_minute_is_enough() {
    let (mut battery, mut said) = (Battery::default(), None);
    for minute in 0..60 {
        said = battery.saw(BootInstant(minute * 60_000), Some(80.0 - 0.2 * minute as f64));
    }
    let left = (80.0 - 0.2 * 59.0) / 0.2;
    assert!((said.unwrap() - left).abs() < 4.0, "{said:?} for {left}");
}

#[test]
fn a_battery_that_lasts_for_weeks_is_not_said_to() {
    assert!(none(&Meter::at(90.0, 0.1).run(400, -0.3)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_meter_tells_a_run_time_is_one_or_none(
        told in prop::collection::vec((0_i64..200_000, prop::option::of(0.0_f64..100.0)), 0..600),
    ) {
        let (mut battery, mut ms) = (Battery::default(), 0);
        for (later, percent) in told {
            ms += later;
            let said = battery.saw(BootInstant(ms), percent);
            prop_assert!(said.is_none_or(|left| (0.0..=LONGEST_MIN).contains(&left)));
            prop_assert!(said.is_none() || percent.is_some());
            prop_assert!(battery.points.len() <= MOST_POINTS);
        }
    }

    #[test]
    fn any_steady_discharge_that_can_be_seen_is_told_within_a_tenth(
        from in 40.0_f64..100.0,
        per_hour in 6.0_f64..20.0,
        error in 0.0_f64..0.5,
        seed in any::<u64>(),
    ) {
        let mut meter = Meter { noise: Noise(seed), ..Meter::at(from, error) };
        let said = meter.run(80, -per_hour);
        let left = meter.left(per_hour);
        if let Some(told) = said.last().copied().flatten() {
            prop_assert!((told - left).abs() <= left * 0.1 + 5.0, "{told} for {left}");
        } else {
            prop_assert!(false, "nothing said at {per_hour} % an hour");
        }
    }
}
