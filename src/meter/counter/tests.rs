//! The counter's judgement as timelines: one meter at 126.7 counts a gallon and at most
//! 40 gallons a minute, so that 5 s bring at most 507 counts.

use super::*;

const STEADY: How = How::STEADY;
const GAP: How = How { gap: true, ..STEADY };
const ROLLOVER: How = How { rollover: true, ..STEADY };
const JUMP: How = How { jump: true, ..STEADY };
const CORRECTED: How = How { corrected: true, ..STEADY };

fn rules() -> Rules {
    Rules {
        modulus: 1 << 32,
        max_rate_gpm: 40.0,
        k: KFactor::new(126.7).unwrap(),
        restart_from: RestartFrom::Zero,
        rollover_register: false,
        seq_modulus: Some(65_536),
    }
}

fn seen(raw: u64, seq: Option<u16>, at: Option<BootInstant>) -> Seen {
    Seen { raw, seq, at, registers: Registers::default() }
}

fn advanced(counts: u64, how: How) -> Judged {
    Judged::Advanced { counts, how }
}

fn restarted(counts: u64, gap: bool) -> Judged {
    Judged::Restarted { counts, gap }
}

/// A counter and the clock of the boot it runs in.
struct Rig {
    rules: Rules,
    counter: Counter,
    ms: i64,
}

impl Rig {
    /// In a later boot than the one that saw `last`.
    fn booted(rules: Rules, raw: u64, seq: Option<u16>) -> Self {
        Self { rules, counter: Counter::new(Some(seen(raw, seq, None))), ms: 20_000 }
    }

    /// Two samples in: the second is `raw` and `seq`.
    fn running(rules: Rules, raw: u64, seq: Option<u16>) -> Self {
        let mut rig = Self { rules, counter: Counter::new(None), ms: 0 };
        let before = seq.map(|s| s.wrapping_sub(1));
        assert_eq!(rig.after(0, raw, before), Judged::Suspect);
        assert_eq!(rig.after(1_000, raw, seq), Judged::First);
        rig
    }

    fn after(&mut self, ms: i64, raw: u64, seq: Option<u16>) -> Judged {
        self.ms += ms;
        self.counter.judge(&self.rules, seen(raw, seq, Some(BootInstant(self.ms))))
    }

    /// A sample a second after the last one, from a meter without sequence numbers.
    fn next(&mut self, raw: u64) -> Judged {
        self.after(1_000, raw, None)
    }

    /// A sample a second after the last one.
    fn line(&mut self, raw: u64, seq: u16) -> Judged {
        self.after(1_000, raw, Some(seq))
    }
}

#[test]
fn the_bound_is_that_of_rule_6() {
    assert_eq!(rules().bound(None), 507);
    assert_eq!(rules().bound(Some(1_000)), 507);
    assert_eq!(rules().bound(Some(60_000)), 6_082);
}

#[test]
fn the_first_count_is_a_baseline_once_a_second_line_agrees() {
    let mut rig = Rig { rules: rules(), counter: Counter::new(None), ms: 0 };
    assert_eq!(rig.next(4_000_000), Judged::Suspect);
    assert_eq!(rig.next(1_000), Judged::Suspect);
    assert_eq!(rig.next(1_003), Judged::First);
    assert_eq!(rig.next(1_007), advanced(4, STEADY));
    assert_eq!(rig.counter.dropped(), 1);
}

#[test]
fn counts_advance_steadily_up_to_the_bound_and_not_beyond() {
    let mut rig = Rig::running(rules(), 100, None);
    assert_eq!(rig.next(100), advanced(0, STEADY));
    assert_eq!(rig.next(607), advanced(507, STEADY));
    assert_eq!(rig.next(1_115), Judged::Suspect);
}

#[test]
fn no_missed_sample_loses_volume() {
    let mut rig = Rig::running(rules(), 100, Some(10));
    assert_eq!(rig.after(58_000, 4_900, Some(68)), advanced(4_800, STEADY));
}

#[test]
fn one_damaged_line_upward_is_dropped_and_counted() {
    let mut rig = Rig::running(rules(), 100, Some(10));
    assert_eq!(rig.line(900_100, 11), Judged::Suspect);
    assert_eq!(rig.line(108, 12), advanced(8, STEADY));
    assert_eq!(rig.counter.dropped(), 1);
    assert_eq!(rig.counter.last().unwrap().raw, 108);
}

#[test]
fn one_damaged_line_downward_is_no_restart_though_the_next_is_near_it() {
    for seq in [false, true] {
        let seq = |n| seq.then_some(n);
        let mut rig = Rig::running(rules(), 100_000, seq(10));
        assert_eq!(rig.after(1_000, 99_990, seq(11)), Judged::Suspect);
        assert_eq!(rig.after(1_000, 100_004, seq(12)), advanced(4, STEADY));
    }
}

#[test]
fn a_damaged_line_within_the_bound_is_paid_back_and_never_a_restart() {
    for seq in [false, true] {
        let seq = |n| seq.then_some(n);
        let mut rig = Rig::running(rules(), 100_000, seq(10));
        assert_eq!(rig.after(1_000, 100_300, seq(11)), advanced(300, STEADY));
        assert_eq!(rig.after(1_000, 100_008, seq(12)), Judged::Suspect);
        assert_eq!(rig.after(1_000, 100_012, seq(13)), advanced(0, CORRECTED));
        assert_eq!((rig.counter.ahead(), rig.counter.moved()), (288, 4));
        assert_eq!(rig.after(1_000, 100_310, seq(14)), advanced(10, STEADY));
        assert_eq!(rig.counter.ahead(), 0);
    }
}

#[test]
fn a_jump_that_stays_is_used_and_flagged() {
    let mut rig = Rig::running(rules(), 100, Some(10));
    assert_eq!(rig.line(50_100, 11), Judged::Suspect);
    assert_eq!(rig.line(50_104, 12), advanced(50_004, JUMP));
    assert_eq!(rig.counter.dropped(), 0);
}

#[test]
fn two_damaged_lines_that_disagree_are_both_dropped() {
    let mut rig = Rig::running(rules(), 100, Some(10));
    assert_eq!(rig.line(900_100, 11), Judged::Suspect);
    assert_eq!(rig.line(5, 12), Judged::Suspect);
    assert_eq!(rig.line(112, 13), advanced(12, STEADY));
    assert_eq!(rig.counter.dropped(), 2);
}

#[test]
fn a_rollover_loses_nothing_at_any_modulus() {
    for modulus in [20_000, 999_983, 1 << 32, u64::MAX] {
        let mut rig = Rig::running(Rules { modulus, ..rules() }, modulus - 3, Some(10));
        assert_eq!(rig.line(4, 11), Judged::Suspect);
        assert_eq!(rig.line(9, 12), advanced(12, ROLLOVER));
    }
}

#[test]
fn a_restart_from_zero_brings_what_the_meter_shows() {
    let mut rig = Rig::running(rules(), 5_000, None);
    assert_eq!(rig.next(2), Judged::Suspect);
    assert_eq!(rig.next(6), restarted(6, false));
    assert_eq!(rig.next(10), advanced(4, STEADY));
}

#[test]
fn a_restart_from_an_unknown_count_brings_only_what_was_seen() {
    let rules = Rules { restart_from: RestartFrom::Unknown, ..rules() };
    let mut rig = Rig::running(rules, 5_000, None);
    assert_eq!(rig.next(700), Judged::Suspect);
    assert_eq!(rig.next(706), restarted(6, false));
}

#[test]
fn a_drop_of_the_sequence_is_a_restart_though_the_count_is_higher() {
    let mut rig = Rig::running(rules(), 50, Some(400));
    assert_eq!(rig.after(30_000, 90, Some(12)), Judged::Suspect);
    assert_eq!(rig.line(94, 13), restarted(94, false));
}

#[test]
fn a_wrap_of_the_sequence_is_no_restart() {
    let mut rig = Rig::running(rules(), 70_000, Some(65_534));
    assert_eq!(rig.line(70_004, 65_535), advanced(4, STEADY));
    assert_eq!(rig.line(70_008, 0), advanced(4, STEADY));
}

#[test]
fn a_damaged_sequence_number_neither_loses_nor_invents() {
    for damaged in [0, 5, 9_999, 60_000, 10_030] {
        let mut rig = Rig::running(rules(), 70_000, Some(10_000));
        let mut counts = 0;
        for (raw, seq) in [(70_004, damaged), (70_008, 10_002), (70_012, 10_003), (70_016, 10_004)]
        {
            match rig.line(raw, seq) {
                Judged::Advanced { counts: more, how: STEADY } => counts += more,
                Judged::Suspect => {}
                other => panic!("{damaged}: {other:?}"),
            }
        }
        assert_eq!((counts, rig.counter.ahead()), (16, 0), "{damaged}");
    }
}

#[test]
fn a_repeated_line_is_no_volume() {
    let mut rig = Rig::running(rules(), 500, Some(10));
    assert_eq!(rig.after(0, 500, Some(10)), advanced(0, STEADY));
}

#[test]
fn volume_found_after_a_minute_of_silence_is_a_gap() {
    let mut rig = Rig::running(rules(), 500, Some(10));
    assert_eq!(rig.after(60_000, 900, Some(70)), advanced(400, STEADY));
    assert_eq!(rig.after(60_001, 1_300, Some(130)), advanced(400, GAP));
    assert_eq!(rig.after(60_001, 1_300, Some(190)), advanced(0, STEADY));
}

#[test]
fn much_volume_after_a_gap_waits_for_a_second_line() {
    let mut rig = Rig::running(rules(), 500, Some(10));
    assert_eq!(rig.after(600_000, 20_500, Some(610)), Judged::Suspect);
    assert_eq!(rig.line(20_504, 611), advanced(20_004, GAP));
    assert_eq!(rig.after(600_000, 99_000, Some(1_211)), Judged::Suspect);
    assert_eq!(rig.line(99_004, 1_212), advanced(78_500, How { jump: true, ..GAP }));
}

#[test]
fn a_meter_asked_every_two_minutes_loses_nothing() {
    let mut rig = Rig::running(rules(), 0, None);
    let total: u64 = (1..=10)
        .map(|n| match rig.after(120_000, n * 9_000, None) {
            Judged::Advanced { counts, how: GAP } => counts,
            Judged::Suspect => 0,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(total, 90_000);
}

#[test]
fn volume_found_after_the_port_was_reopened_is_a_gap() {
    let mut rig = Rig::running(rules(), 500, Some(10));
    rig.counter.reopened();
    assert_eq!(rig.line(500, 11), advanced(0, STEADY));
    rig.counter.reopened();
    assert_eq!(rig.line(504, 12), advanced(4, GAP));
    assert_eq!(rig.line(508, 13), advanced(4, STEADY));
}

#[test]
fn after_a_reopened_port_a_lower_count_is_a_restart_and_no_rollover() {
    let last = (1 << 32) - 3;
    let mut rig = Rig::running(rules(), last, None);
    rig.counter.reopened();
    assert_eq!(rig.next(4), Judged::Suspect);
    assert_eq!(rig.next(5), restarted(5, true));

    let mut rig = Rig::running(Rules { rollover_register: true, ..rules() }, last, None);
    rig.counter.reopened();
    assert_eq!(rig.next(4), Judged::Suspect);
    assert_eq!(rig.next(5), advanced(8, How { gap: true, ..ROLLOVER }));
}

#[test]
fn after_a_minute_of_silence_a_lower_count_is_a_restart_and_no_rollover() {
    let mut rig = Rig::running(rules(), (1 << 32) - 3, None);
    assert_eq!(rig.after(61_000, 0, None), Judged::Suspect);
    assert_eq!(rig.next(0), restarted(0, false));
}

#[test]
fn across_a_boot_the_count_goes_on() {
    let mut rig = Rig::booted(rules(), 5_000, Some(100));
    assert_eq!(rig.line(5_000, 160), advanced(0, STEADY));
    let mut rig = Rig::booted(rules(), 5_000, Some(100));
    assert_eq!(rig.line(5_100, 160), advanced(100, GAP));
    let mut rig = Rig::booted(rules(), 5_000, Some(100));
    assert_eq!(rig.line(95_000, 4_000), Judged::Suspect);
    assert_eq!(rig.line(95_001, 4_001), advanced(90_001, GAP));
}

#[test]
fn across_a_boot_a_meter_that_lost_power_too_is_a_restart() {
    let mut rig = Rig::booted(rules(), 5_000, Some(9_000));
    assert_eq!(rig.line(6_000, 70), Judged::Suspect);
    assert_eq!(rig.line(6_004, 71), restarted(6_004, true));
    let mut rig = Rig::booted(rules(), 5_000, Some(9_000));
    assert_eq!(rig.line(0, 20), Judged::Suspect);
    assert_eq!(rig.line(0, 21), restarted(0, false));
}

#[test]
fn a_sequence_that_wrapped_over_night_brings_no_gallons_that_never_flowed() {
    let mut rig = Rig::booted(rules(), 500_000, Some(60_000));
    assert_eq!(rig.line(500_010, 500), Judged::Suspect);
    assert_eq!(rig.line(500_010, 501), advanced(10, GAP));
}

#[test]
fn a_damaged_first_line_after_a_boot_changes_nothing() {
    for damaged in
        [(7, 160), (900_000, 160), (5_300, 160), (5_000, 3), (5_000, 101), (5_300, 60_000)]
    {
        let mut rig = Rig::booted(rules(), 5_000, Some(100));
        let mut counts = 0;
        for (raw, seq) in [damaged, (5_004, 2_161), (5_008, 2_162), (5_400, 2_163)] {
            match rig.line(raw, seq) {
                Judged::Advanced { counts: more, .. } => counts += more,
                Judged::Suspect => {}
                other => panic!("{damaged:?}: {other:?}"),
            }
        }
        assert_eq!((counts, rig.counter.ahead()), (400, 0), "{damaged:?}");
    }
}

#[test]
fn a_count_that_the_modulus_does_not_allow_is_dropped_and_counted() {
    let mut rig = Rig::running(Rules { modulus: 100_000, ..rules() }, 99_990, None);
    assert_eq!(rig.next(100_000), Judged::Suspect);
    assert_eq!(rig.next(100_004), Judged::Suspect);
    assert_eq!((rig.counter.out_of_range(), rig.counter.dropped()), (2, 0));
    rig.rules.modulus = 1 << 32;
    assert_eq!(rig.next(100_008), advanced(18, STEADY));
}

#[test]
fn flow_above_the_configured_rate_is_counted_when_it_slows_down() {
    let mut rig = Rig::running(rules(), 0, None);
    assert_eq!(rig.next(600), Judged::Suspect);
    assert_eq!(rig.next(1_200), Judged::Suspect);
    assert_eq!(rig.next(1_800), Judged::Suspect);
    assert_eq!(rig.next(1_801), advanced(1_801, JUMP));
}

#[test]
fn a_narrow_modulus_is_called_so() {
    assert!(!rules().modulus_is_narrow());
    assert!(Rules { modulus: 12_000, ..rules() }.modulus_is_narrow());
}

#[test]
fn a_damaged_sequence_after_a_night_brings_no_gallons_that_never_flowed() {
    let mut rig = Rig::booted(rules(), 500_000, Some(1_000));
    assert_eq!(rig.line(500_000, 1_100), advanced(0, STEADY));
    assert_eq!(rig.line(500_004, 900), Judged::Suspect);
    assert_eq!(rig.line(500_008, 901), advanced(8, STEADY));
}

#[test]
fn a_damaged_line_that_is_too_low_does_not_hide_the_rollover_after_it() {
    let modulus = 32_768;
    let mut rig = Rig::running(Rules { modulus, ..rules() }, modulus - 1_000, None);
    assert_eq!(rig.after(10_000, modulus - 600, None), advanced(400, STEADY));
    assert_eq!(rig.after(3_000, 60, None), Judged::Suspect);
    assert_eq!(rig.next(64), advanced(664, ROLLOVER));
}

#[test]
fn a_damaged_sequence_before_a_rollover_is_no_restart() {
    let last = (1 << 32) - 3;
    let mut rig = Rig::running(rules(), last, Some(10));
    assert_eq!(rig.line(last, 40), advanced(0, STEADY));
    assert_eq!(rig.line(1, 12), Judged::Suspect);
    assert_eq!(rig.line(5, 13), advanced(8, ROLLOVER));
}

#[test]
fn a_restart_soon_after_a_long_silence_is_no_rollover() {
    let mut rig = Rig::running(Rules { modulus: 100_000, ..rules() }, 50_000, None);
    assert_eq!(rig.after(7_200_000, 50_000, None), advanced(0, STEADY));
    assert_eq!(rig.next(3), Judged::Suspect);
    assert_eq!(rig.next(4), restarted(4, false));
}

#[test]
fn a_restart_during_a_silence_is_seen_though_the_count_is_nearly_the_same() {
    let mut rig = Rig::running(rules(), 100, None);
    assert_eq!(rig.next(103), advanced(3, STEADY));
    assert_eq!(rig.after(120_000, 101, None), Judged::Suspect);
    assert_eq!(rig.next(102), restarted(102, true));
}

#[test]
fn a_damaged_line_after_a_gap_is_no_restart_unless_the_next_says_so_too() {
    let mut rig = Rig::running(rules(), 100_000, None);
    assert_eq!(rig.after(600_000, 99_990, None), Judged::Suspect);
    assert_eq!(rig.after(20_000, 101_500, None), Judged::Suspect);
    assert_eq!(rig.next(101_504), advanced(1_504, GAP));
    assert_eq!(rig.counter.dropped(), 1);
}

#[test]
fn a_restart_owes_nothing_to_what_was_counted_before_it() {
    let mut rig = Rig::running(rules(), 100_000, Some(10));
    assert_eq!(rig.line(100_300, 11), advanced(300, STEADY));
    assert_eq!(rig.line(100_004, 12), Judged::Suspect);
    assert_eq!(rig.line(100_008, 13), advanced(0, CORRECTED));
    assert_eq!(rig.line(4, 0), Judged::Suspect);
    assert_eq!(rig.line(8, 1), restarted(8, false));
    assert_eq!((rig.line(12, 2), rig.counter.ahead()), (advanced(4, STEADY), 0));
}

#[test]
fn a_gap_before_the_line_that_confirms_counts_too() {
    let gap_and_jump = advanced(50_004, How { jump: true, ..GAP });
    let mut rig = Rig::running(rules(), 100, None);
    assert_eq!(rig.next(50_100), Judged::Suspect);
    assert_eq!(rig.after(61_000, 50_104, None), gap_and_jump);
    let mut rig = Rig::running(rules(), 100, None);
    assert_eq!(rig.next(50_100), Judged::Suspect);
    rig.counter.reopened();
    assert_eq!(rig.next(50_104), gap_and_jump);
}
