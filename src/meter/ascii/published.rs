//! What vendors publish of their meters' lines, read by the shipped profiles.

use super::poll::{Ask, Poll};
use super::*;
use crate::units::UL_PER_GALLON;

fn profile(name: &str) -> Profile {
    Profile::builtin(name).unwrap().unwrap()
}

/// The samples of a whole capture, and what was counted.
fn captured(name: &str, capture: &[u8]) -> (Vec<Sample>, Counters) {
    let mut decoder = Decoder::new(&profile(name));
    let mut samples = decoder.push(capture);
    samples.extend(decoder.finish());
    (samples, *decoder.counters())
}

fn near(a: Option<f64>, b: f64) -> bool {
    a.is_some_and(|a| (a - b).abs() <= 1e-9 * b.abs())
}

const TELEDYNE: &[u8] = b"DE, Theresa Street, ID,0721577657,MO,4250,TI,35317.343715,BV,12.3,\
    LE,0.1000,VE,0.1225,FL,0.001555,VO,2.199325,FV,2.199325,RV,0.000000,SV,2.195539,SS,1,\
    B0,35317.307384,B0,35317.269907,B0,35317.232593,CS,10819\r\n";

#[test]
fn an_adam_4080_counts_in_hexadecimal() {
    let (samples, counters) = captured("adam-4080", b">000002FE\r?12\r>000002ff\r>00000300\r");
    assert_eq!(samples.iter().map(|s| s.raw).collect::<Vec<_>>(), [766, 768]);
    assert_eq!((counters.rejected.not_ours, counters.asked.answers), (2, 2));
}

#[test]
fn a_tuf_2000f_protects_its_total_and_one_changed_digit_fails() {
    let (samples, counters) = captured("tuf-2000f", b"+1234567E+0m3 !F7\r\n");
    assert_eq!(samples.iter().map(|s| s.raw).collect::<Vec<_>>(), [1_234_567_000]);
    assert_eq!(counters.rejected, Rejected::default());
    for at in [1, 7, 9, 10, 16] {
        let mut line = *b"+1234567E+0m3 !F7\r\n";
        line[at] ^= 1;
        let (samples, counters) = captured("tuf-2000f", &line);
        assert_eq!((samples, counters.rejected.bad_checksum), (vec![], 1), "{at}");
    }
    let (samples, counters) = captured("tuf-2000f", b"+1234567E+0m3 \r\n");
    assert_eq!((samples, counters.rejected.no_checksum), (vec![], 1));
}

#[test]
fn a_total_in_another_unit_is_not_taken_for_cubic_metres() {
    let sum =
        |text: &str| format!("{text}!{:02X}\r\n", text.bytes().map(u32::from).sum::<u32>() & 0xFF);
    let (samples, counters) = captured("tuf-2000f", sum("+1234567E+0GAL ").as_bytes());
    assert_eq!((samples, counters.rejected.not_ours), (vec![], 1));
    assert_eq!(captured("tuf-2000f", sum("+1234567E-3m3 ").as_bytes()).0[0].raw, 1_234_567);
}

#[test]
fn a_teledyne_4250_tells_volts_flow_and_volume() {
    let (samples, counters) = captured("teledyne-4250", TELEDYNE);
    let [sample] = samples.as_slice() else { panic!("{counters:?}") };
    assert_eq!(sample.serial.as_deref(), Some("0721577657"));
    assert_eq!((sample.raw, sample.battery_volts), (2_199_325, Some(12.3)));
    assert!(near(sample.rate_gpm, 0.001_555 * 1e9 / UL_PER_GALLON * 60.0), "{sample:?}");
    let read = profile("teledyne-4250");
    let values = line::values(&read, read.lines().unwrap(), 0, TELEDYNE.trim_ascii_end()).unwrap();
    assert_eq!(values[&crate::meter::profile::Role::BatteryVolts], values::Value::Number(12.3, 0));
    assert_eq!(values[&crate::meter::profile::Role::Rate], values::Value::Number(0.001_555, 0));
}

#[test]
fn a_line_of_names_and_values_that_lost_a_part_is_no_sample() {
    let text = std::str::from_utf8(TELEDYNE).unwrap();
    for (old, new) in [("VO,2.199325,", ""), ("VO,", ""), ("FL,", "VO,"), ("VO,2.199325", "VO,x")] {
        let (samples, counters) = captured("teledyne-4250", text.replace(old, new).as_bytes());
        assert_eq!((samples, counters.rejected.malformed), (vec![], 1), "{old} {new}");
    }
    let (samples, counters) = captured("teledyne-4250", b"hello,world\r\n");
    assert_eq!((samples, counters.rejected.not_ours), (vec![], 1));
}

#[test]
fn a_hobby_sketch_tells_millilitres() {
    let line = b"Flow rate: 3L/min\tOutput Liquid Quantity: 53mL / 0L\r\n";
    let (samples, _) = captured("pulse-text", line);
    assert_eq!(samples.len(), 1);
    assert_eq!((samples[0].raw, &samples[0].serial), (53, &None));
    assert!(near(samples[0].rate_gpm, 3e6 / UL_PER_GALLON));
    let k = profile("pulse-text").counts_per_gallon();
    assert!(near(k, UL_PER_GALLON / 1e3), "{k:?}");
}

#[test]
fn a_stream_that_is_joined_in_the_middle_of_a_line_gives_that_line_up() {
    let mut decoder = Decoder::new(&profile("teledyne-4250"));
    decoder.reset();
    let half = TELEDYNE.split_at(100).1;
    assert_eq!(decoder.push(half), []);
    assert_eq!(decoder.push(TELEDYNE).len(), 1);
    assert_eq!(decoder.counters().rejected, Rejected { cut: 1, ..Rejected::default() });
}

/// `text!hh` and a line end, as a TUF-2000F answers to a P.
fn tuf(text: &str) -> Vec<u8> {
    let sum = text.bytes().fold(0_u8, |sum, byte| sum.wrapping_add(byte));
    format!("{text}!{sum:02X}\r\n").into_bytes()
}

fn asked(poll: &mut Poll) -> Ask {
    poll.next_ask().unwrap()
}

#[test]
fn a_round_of_questions_is_one_sample() {
    let mut poll = Poll::new(&profile("tuf-2000f")).unwrap();
    poll.begin();
    assert_eq!(asked(&mut poll).send, b"PDI+\r");
    assert!(!poll.hear(b"+1234567E"));
    let answer = tuf("+1234567E+0m3 ");
    assert!(poll.hear(answer.split_at(9).1));
    assert_eq!(asked(&mut poll).send, b"PDQM\r");
    assert!(poll.hear(&tuf("+2.500000E-01m3/m")));
    assert_eq!(asked(&mut poll).send, b"PAI1\r");
    assert!(poll.hear(&tuf("+2.488889E+01")));
    assert_eq!(poll.next_ask(), None);
    let sample = poll.end().unwrap();
    assert_eq!(sample.raw, 1_234_567_000);
    assert!(near(sample.rate_gpm, 0.25e9 / UL_PER_GALLON), "{sample:?}");
    assert!(near(sample.fluid_f, 24.888_89 * 1.8 + 32.0));
    assert_eq!(poll.counters().asked, Asked { answers: 3, ..Asked::default() });
}

#[test]
fn a_question_that_is_not_answered_costs_its_own_value_alone() {
    let mut poll = Poll::new(&profile("tuf-2000f")).unwrap();
    poll.begin();
    asked(&mut poll);
    assert!(poll.hear(&tuf("+1234567E+0m3 ")));
    asked(&mut poll);
    poll.unanswered();
    asked(&mut poll);
    // The rate comes late and is no temperature.
    assert!(!poll.hear(&tuf("+2.500000E-01m3/m")));
    assert!(poll.hear(&tuf("+2.488889E+01")));
    let sample = poll.end().unwrap();
    assert_eq!((sample.raw, sample.rate_gpm), (1_234_567_000, None));
    assert!(sample.fluid_f.is_some());
    let counters = poll.counters();
    assert_eq!((counters.asked.unanswered, counters.rejected.not_ours), (1, 1));

    // Without the total there is no sample, and the next round begins afresh.
    poll.begin();
    asked(&mut poll);
    asked(&mut poll);
    assert!(poll.hear(&tuf("+2.500000E-01m3/m")));
    assert_eq!(poll.end(), None);
    assert_eq!(poll.counters().asked.rounds_without_count, 1);
    poll.begin();
    assert_eq!(asked(&mut poll).send, b"PDI+\r");
}

#[test]
fn an_echo_garbage_and_what_nobody_asked_for_are_counted_and_waited_past() {
    let mut poll = Poll::new(&profile("adam-4080")).unwrap();
    poll.begin();
    assert!(!poll.hear(b">00000001\r"));
    asked(&mut poll);
    assert!(!poll.hear(b"#120\r\xff\xfe\r>0000\r"));
    assert!(poll.hear(b">000002FE\r>00000001\r"));
    assert_eq!(poll.end().map(|sample| sample.raw), Some(766));
    assert_eq!(poll.counters().rejected.not_ours, 5);
}

#[test]
fn half_an_answer_to_one_question_is_not_glued_to_the_next() {
    let mut poll = Poll::new(&profile("adam-4080")).unwrap();
    poll.begin();
    asked(&mut poll);
    assert!(!poll.hear(b">00000"));
    assert_eq!(poll.end(), None);
    poll.begin();
    asked(&mut poll);
    assert!(poll.hear(b">000002FE\r"));
    assert_eq!(poll.end().map(|sample| sample.raw), Some(766));
}
