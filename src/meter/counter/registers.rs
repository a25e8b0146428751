//! What a meter's own registers say of its count: how often it has passed its modulus, and how
//! often the meter got power. Knows no time and no count; whether what they say can be is
//! asked in `change`.

/// A meter's registers; `None` where it has no such one, or where it wasn't read this time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Registers {
    /// How often the count has passed its modulus.
    pub rollover: Option<u64>,
    /// How often the meter got power.
    pub power_up: Option<u64>,
}

/// What the rollover register did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    /// It advanced by so many, mostly none.
    By(u64),
    /// It is lower: it was set back together with the count.
    Fell,
}

impl Registers {
    /// Whether one of them is known to have another value than before.
    pub(super) fn differ(self, before: Self) -> bool {
        let differs = |now: Option<u64>, then: Option<u64>| {
            now.zip(then).is_some_and(|(now, then)| now != then)
        };
        differs(self.rollover, before.rollover) || differs(self.power_up, before.power_up)
    }

    /// Whether the meter got power in between.
    pub(super) fn powered_up_since(self, before: Self) -> bool {
        self.power_up.zip(before.power_up).is_some_and(|(now, then)| now != then)
    }

    /// How often the count passed its modulus in between; `None` where that isn't known.
    pub(super) fn turns_since(self, before: Self) -> Option<Turns> {
        let (now, then) = self.rollover.zip(before.rollover)?;
        Some(now.checked_sub(then).map_or(Turns::Fell, Turns::By))
    }

    /// With what was known before of those that weren't read this time.
    pub(super) fn or(self, before: Self) -> Self {
        Self {
            rollover: self.rollover.or(before.rollover),
            power_up: self.power_up.or(before.power_up),
        }
    }

    /// What they will say once they are read: the count has passed its modulus meanwhile.
    pub(super) fn rolled_over(self) -> Self {
        Self { rollover: self.rollover.map(|turns| turns.saturating_add(1)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::*;

    const STEADY: How = How::STEADY;
    const GAP: How = How { gap: true, ..STEADY };
    const ROLLOVER: How = How { rollover: true, ..STEADY };
    const MODULUS: u64 = 100_000;

    /// A meter with a rollover register, at 126.7 counts a gallon and at most 507 in 5 s, whose
    /// count is not kept when it loses power.
    struct Meter {
        rules: Rules,
        counter: Counter,
        ms: i64,
        registers: Registers,
    }

    fn registers(rollover: u64, power_up: u64) -> Registers {
        Registers { rollover: Some(rollover), power_up: Some(power_up) }
    }

    impl Meter {
        /// Two samples in.
        fn at(raw: u64) -> Self {
            let rules = Rules {
                modulus: MODULUS,
                max_rate_gpm: 40.0,
                k: KFactor::new(126.7).unwrap(),
                restart_from: RestartFrom::Zero,
                rollover_register: true,
                seq_modulus: None,
            };
            let registers = registers(7, 3);
            let mut meter = Self { rules, counter: Counter::new(None), ms: 0, registers };
            assert_eq!(meter.next(raw), Judged::Suspect);
            assert_eq!(meter.next(raw), Judged::First);
            meter
        }

        fn after(&mut self, ms: i64, raw: u64) -> Judged {
            self.ms += ms;
            let at = Some(BootInstant(self.ms));
            let now = Seen { raw, seq: None, at, registers: self.registers };
            self.counter.judge(&self.rules, now)
        }

        fn next(&mut self, raw: u64) -> Judged {
            self.after(1_000, raw)
        }
    }

    fn advanced(counts: u64, how: How) -> Judged {
        Judged::Advanced { counts, how }
    }

    #[test]
    fn a_rollover_that_the_register_tells_is_exact() {
        let mut meter = Meter::at(99_990);
        meter.registers = registers(8, 3);
        assert_eq!(meter.next(5), Judged::Suspect);
        assert_eq!(meter.next(9), advanced(19, ROLLOVER));
        assert_eq!(meter.next(12), advanced(3, STEADY));
    }

    #[test]
    fn several_rollovers_within_a_silence_are_all_counted() {
        let mut meter = Meter::at(50_000);
        meter.registers = registers(10, 3);
        // Two hours bring at most 729 792 counts.
        assert_eq!(meter.after(7_200_000, 60_000), Judged::Suspect);
        assert_eq!(meter.next(60_004), advanced(310_004, How { gap: true, ..ROLLOVER }));
    }

    #[test]
    fn a_rollover_while_the_port_was_closed_is_no_restart() {
        let mut meter = Meter::at(99_990);
        meter.counter.reopened();
        meter.registers = registers(8, 3);
        assert_eq!(meter.next(5), Judged::Suspect);
        assert_eq!(meter.next(5), advanced(15, How { gap: true, ..ROLLOVER }));
    }

    #[test]
    fn a_lower_count_that_the_register_knows_nothing_of_is_a_restart() {
        let mut meter = Meter::at(99_990);
        assert_eq!(meter.next(5), Judged::Suspect);
        assert_eq!(meter.next(9), Judged::Restarted { counts: 9, gap: false });
    }

    #[test]
    fn a_power_up_is_a_restart_though_the_count_is_higher() {
        let mut meter = Meter::at(100);
        meter.registers = registers(7, 4);
        assert_eq!(meter.after(30_000, 160), Judged::Suspect);
        assert_eq!(meter.next(164), Judged::Restarted { counts: 164, gap: false });
        assert_eq!(meter.next(168), advanced(4, STEADY));
    }

    #[test]
    fn a_power_up_is_a_restart_though_the_count_is_the_same() {
        let mut meter = Meter::at(0);
        meter.rules.restart_from = RestartFrom::Unknown;
        meter.registers = registers(7, 4);
        assert_eq!(meter.next(0), Judged::Suspect);
        assert_eq!(meter.next(0), Judged::Restarted { counts: 0, gap: false });
    }

    #[test]
    fn a_meter_that_keeps_its_count_through_a_power_up_brings_no_gallons_that_never_flowed() {
        let mut meter = Meter::at(50_000);
        meter.registers = registers(7, 4);
        assert_eq!(meter.after(30_000, 50_060), Judged::Suspect);
        assert_eq!(meter.next(50_064), advanced(64, STEADY));
        meter.rules.restart_from = RestartFrom::Unknown;
        meter.registers = registers(7, 5);
        assert_eq!(meter.next(50_068), Judged::Suspect);
        assert_eq!(meter.next(50_072), Judged::Restarted { counts: 4, gap: false });
    }

    #[test]
    fn registers_that_were_set_back_with_the_count_are_a_restart() {
        let mut meter = Meter::at(50_000);
        meter.registers.rollover = Some(0);
        assert_eq!(meter.next(2), Judged::Suspect);
        assert_eq!(meter.next(4), Judged::Restarted { counts: 4, gap: false });
    }

    #[test]
    fn one_damaged_register_is_dropped_and_changes_nothing() {
        for damaged in [registers(8, 3), registers(7, 900), registers(0, 0)] {
            let mut meter = Meter::at(50_000);
            let right = std::mem::replace(&mut meter.registers, damaged);
            assert_eq!(meter.next(50_004), Judged::Suspect);
            meter.registers = right;
            assert_eq!(meter.next(50_008), advanced(8, STEADY));
            assert_eq!(meter.counter.dropped(), 1);
        }
    }

    #[test]
    fn a_rollover_that_can_not_be_brings_no_gallons_that_never_flowed() {
        let mut meter = Meter::at(50_000);
        meter.registers = registers(9, 3);
        assert_eq!(meter.next(50_004), Judged::Suspect);
        assert_eq!(meter.next(50_008), advanced(8, STEADY));
    }

    #[test]
    fn a_register_that_was_read_before_the_count_passed_its_modulus_costs_a_line() {
        let mut meter = Meter::at(99_990);
        assert_eq!(meter.next(2), Judged::Suspect);
        meter.registers = registers(8, 3);
        assert_eq!(meter.next(6), Judged::Suspect);
        assert_eq!(meter.next(10), advanced(20, ROLLOVER));
        // And the other way round.
        let mut meter = Meter::at(99_990);
        meter.registers = registers(8, 3);
        assert_eq!(meter.next(99_994), Judged::Suspect);
        assert_eq!(meter.next(2), Judged::Suspect);
        assert_eq!(meter.next(6), advanced(16, ROLLOVER));
    }

    #[test]
    fn registers_that_are_not_read_for_a_while_go_on_from_where_they_were() {
        let mut meter = Meter::at(99_980);
        meter.registers = Registers::default();
        assert_eq!(meter.next(99_990), advanced(10, STEADY));
        assert_eq!(meter.next(5), Judged::Suspect);
        assert_eq!(meter.next(9), advanced(19, ROLLOVER));
        meter.registers = registers(8, 3);
        assert_eq!(meter.next(12), advanced(3, STEADY));
        meter.registers = registers(9, 3);
        assert_eq!(meter.after(600_000, 11), Judged::Suspect);
        assert_eq!(meter.next(11), advanced(99_999, How { jump: true, gap: true, ..ROLLOVER }));
    }

    #[test]
    fn registers_that_appear_for_the_first_time_say_nothing() {
        let mut meter = Meter::at(400);
        meter.counter = Counter::new(Some(Seen {
            raw: 400,
            seq: None,
            at: None,
            registers: Registers::default(),
        }));
        assert_eq!(meter.next(410), advanced(10, GAP));
        meter.registers = registers(7, 4);
        assert_eq!(meter.next(412), Judged::Suspect);
        assert_eq!(meter.next(414), Judged::Restarted { counts: 414, gap: false });
    }

    /// What happens to a meter, and to what is heard of it.
    #[derive(Debug, Clone)]
    enum Event {
        /// So many samples with so many counts each.
        Run(u8, u64),
        /// So many seconds unheard, with so many counts in each.
        Silence(u32, u64),
        /// The port comes back.
        Reopened,
        /// So many samples without the registers.
        Unread(u8, u64),
        /// One sample with another count and other registers.
        Damaged(u64, u64, u64),
        /// The meter loses power and counts from 0; that many seconds of it are unheard.
        PowerUp(u32, u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        // 40 gallons a minute.
        let counts = || prop_oneof![Just(0_u64), 0_u64..84];
        prop_oneof![
            4 => (1_u8..40, counts()).prop_map(|(samples, each)| Event::Run(samples, each)),
            2 => (1_u32..20_000, counts()).prop_map(|(s, each)| Event::Silence(s, each)),
            1 => Just(Event::Reopened),
            2 => (1_u8..20, counts()).prop_map(|(samples, each)| Event::Unread(samples, each)),
            1 => (any::<u64>(), 0_u64..50, 0_u64..50).prop_map(|(c, r, p)| Event::Damaged(c, r, p)),
            2 => (0_u32..2_000, counts()).prop_map(|(s, each)| Event::PowerUp(s, each)),
        ]
    }

    /// A meter that knows how much it has counted since it got power.
    struct Truth {
        meter: Meter,
        /// Since the last power-up.
        counted: u64,
        turns_before: u64,
        made: u64,
        found: u64,
        restarts: (u32, u32),
    }

    impl Truth {
        fn count(&mut self, counts: u64) {
            self.counted += counts;
            self.made += counts;
            let turns = self.turns_before + self.counted / self.meter.rules.modulus;
            self.meter.registers.rollover = Some(turns);
        }

        fn say(&mut self) {
            let raw = self.counted % self.meter.rules.modulus;
            match self.meter.next(raw) {
                Judged::Advanced { counts, .. } => self.found += counts,
                Judged::Restarted { counts, .. } => {
                    self.found += counts;
                    self.restarts.1 += 1;
                }
                Judged::First | Judged::Suspect => {}
            }
        }

        fn settle(&mut self) {
            for _ in 0..3 {
                self.say();
            }
        }

        fn happen(&mut self, event: &Event) {
            match *event {
                Event::Run(samples, each) => (0..samples).for_each(|_| {
                    self.count(each);
                    self.say();
                }),
                Event::Silence(seconds, each) => {
                    self.count(u64::from(seconds) * each);
                    self.meter.ms += i64::from(seconds) * 1_000;
                }
                Event::Reopened => self.meter.counter.reopened(),
                Event::Unread(samples, each) => {
                    for _ in 0..samples {
                        self.count(each);
                        let read = std::mem::take(&mut self.meter.registers);
                        self.say();
                        self.meter.registers = read;
                    }
                }
                Event::Damaged(raw, rollover, power_up) => {
                    let right = self.meter.registers;
                    // A damaged count alone is the counter's own business; see its tests.
                    if rollover != right.rollover.unwrap() {
                        self.meter.registers = registers(rollover, power_up);
                        self.meter.next(raw % self.meter.rules.modulus);
                        self.meter.registers = right;
                    }
                }
                Event::PowerUp(seconds, each) => {
                    self.turns_before = self.meter.registers.rollover.unwrap();
                    self.counted = 0;
                    let power_up = self.meter.registers.power_up.map(|times| times + 1);
                    self.meter.registers.power_up = power_up;
                    self.restarts.0 += 1;
                    // As far as it shows it: nothing of a modulus that it passed unheard.
                    let most = self.meter.rules.modulus - 1;
                    self.count((u64::from(seconds) * each).min(most));
                    self.meter.ms += i64::from(seconds) * 1_000;
                }
            }
            self.settle();
        }
    }

    proptest! {
        #[test]
        fn with_registers_nothing_is_lost_and_nothing_invented(
            modulus in prop_oneof![Just(16_000_u64), Just(100_000), Just(1 << 32)],
            from in 0_u64..16_000,
            events in prop::collection::vec(event(), 1..30),
        ) {
            let mut meter = Meter::at(0);
            meter.rules.modulus = modulus;
            meter.counter = Counter::new(None);
            let mut truth = Truth {
                meter, counted: from, turns_before: 7, made: 0, found: 0, restarts: (0, 0),
            };
            truth.settle();
            for event in &events {
                truth.happen(event);
                prop_assert_eq!(truth.found, truth.made, "{:?}", event);
            }
            prop_assert_eq!(truth.restarts.0, truth.restarts.1);
        }
    }
}
