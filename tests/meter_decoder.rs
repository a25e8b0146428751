//! Properties of the line decoder: no bytes make it panic or lose its way, and how they
//! are cut into pieces changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may")]

use proptest::prelude::*;
use spraylog::meter::ascii::poll::Poll;
use spraylog::meter::ascii::{Counters, Decoder, Rejected};
use spraylog::meter::profile::Profile;
use spraylog::reading::Sample;

fn rig_line() -> Decoder {
    Decoder::new(&Profile::builtin("rig-line").unwrap().unwrap())
}

fn line(body: &str) -> Vec<u8> {
    let sum = body.bytes().fold(0_u8, |sum, byte| sum ^ byte);
    format!("${body}*{sum:02x}\n").into_bytes()
}

fn rejected(r: &Rejected) -> u64 {
    let Rejected { too_long, cut, no_checksum, bad_checksum, not_ours, malformed, out_of_range } =
        *r;
    too_long + cut + no_checksum + bad_checksum + not_ours + malformed + out_of_range
}

/// Bytes that a line is made of, and any others: torn lines, binary, endless noise.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(prop::sample::select(b"$FLOW,*\r\n0123456789.-".as_slice()), 0..60),
        Just(line("FLOW,FM-1,1,2,3,4,5,6,7")),
        Just(b"$FLOW,FM-1,1,2,".to_vec()),
        Just(vec![b'x'; 400]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn optional(number: impl Strategy<Value = f64>) -> impl Strategy<Value = Option<f64>> {
    prop::option::of(number.prop_map(|n| (n * 100.0).round() / 100.0))
}

fn sample() -> impl Strategy<Value = Sample> {
    (
        prop::option::of("[!-#%-)+-~&&[^,]]{1,32}"),
        any::<Option<u16>>(),
        any::<u64>(),
        optional(0.0..500.0),
        optional(-100.0..300.0),
        optional(-100.0..300.0),
        optional(0.0..100.0),
        optional(0.0..10_000.0),
    )
        .prop_map(
            |(serial, seq, raw, rate_gpm, fluid_f, ambient_f, battery_percent, runtime_min)| {
                Sample {
                    serial,
                    seq,
                    raw,
                    rate_gpm,
                    fluid_f,
                    ambient_f,
                    battery_percent,
                    runtime_min,
                    ..Sample::default()
                }
            },
        )
}

/// What a meter's firmware would send.
fn sent(sample: &Sample) -> Vec<u8> {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|v| v.to_string()).unwrap_or_default()
    }
    line(&format!(
        "FLOW,{},{},{},{},{},{},{},{}",
        text(sample.serial.as_ref()),
        text(sample.seq),
        sample.raw,
        text(sample.rate_gpm),
        text(sample.fluid_f),
        text(sample.ambient_f),
        text(sample.battery_percent),
        text(sample.runtime_min),
    ))
}

fn in_pieces(bytes: &[u8], piece: usize) -> (Vec<Sample>, Counters) {
    let mut decoder = rig_line();
    let samples = bytes.chunks(piece).flat_map(|chunk| decoder.push(chunk)).collect();
    (samples, *decoder.counters())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_a_sample_or_a_rejection_with_its_cause(bytes in noise()) {
        let mut decoder = rig_line();
        let mut samples = decoder.push(&bytes).len() as u64;
        samples += decoder.finish().len() as u64;
        let counters = decoder.counters();
        prop_assert_eq!(counters.bytes, bytes.len() as u64);
        prop_assert_eq!(counters.samples, samples);
        prop_assert_eq!(counters.lines, counters.samples + rejected(&counters.rejected));
    }

    #[test]
    fn how_the_bytes_are_cut_changes_nothing(bytes in noise(), piece in 1_usize..50) {
        prop_assert_eq!(in_pieces(&bytes, piece), in_pieces(&bytes, usize::MAX));
    }

    #[test]
    fn a_sample_arrives_as_it_was_sent_after_any_noise(
        bytes in noise(),
        new_line in any::<bool>(),
        sample in sample(),
    ) {
        let mut decoder = rig_line();
        decoder.push(&bytes);
        if new_line {
            decoder.push(b"\n");
        }
        prop_assert_eq!(decoder.push(&sent(&sample)), [sample]);
    }

    #[test]
    fn one_changed_bit_never_makes_another_sample(
        sample in sample(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut bytes = sent(&sample);
        // The line's end is not protected; nor need it be.
        let at = at.index(bytes.len() - 1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        bytes.push(b'\n');
        let mut decoder = rig_line();
        let samples = decoder.push(&bytes);
        prop_assert!(samples.is_empty() || samples == [sample], "{:?}", samples);
    }

    #[test]
    fn no_text_makes_the_profile_reader_panic(text in "[a-z_]{0,8}( = [0-9\"a-z{}.-]{0,8})?\n?", cut in 0_usize..2_000) {
        let rig_line = include_str!("../config/meters/rig-line.toml");
        let cut: String = rig_line.chars().take(cut).collect();
        let _ = Profile::parse("any", &format!("{cut}{text}"));
    }

    #[test]
    fn whatever_a_profile_is_fed_nothing_is_invented_and_everything_is_counted(
        name in prop::sample::select(&["rig-line", "tuf-2000f", "adam-4080", "teledyne-4250", "pulse-text"][..]),
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..30),
            Just(b">000002FE\r".to_vec()),
            Just(b"+1234567E+0m3 !F7\r\n".to_vec()),
            Just(b"DE,x,BV,12.3,FL,0.001555,VO,2.199325\r\n".to_vec()),
            Just(b"Flow rate: 3L/min\tOutput Liquid Quantity: 53mL / 0L\r\n".to_vec()),
            Just(b"Flow rate: 3L/min\tOutput Liq".to_vec()),
        ], 0..10),
        piece in 1_usize..40,
        late in any::<bool>(),
    ) {
        let bytes = pieces.concat();
        let profile = Profile::builtin(name).unwrap().unwrap();
        let read = |piece: usize| {
            let mut decoder = Decoder::new(&profile);
            if late {
                decoder.reset();
            }
            let mut samples: Vec<Sample> =
                bytes.chunks(piece).flat_map(|chunk| decoder.push(chunk)).collect();
            samples.extend(decoder.finish());
            (samples, *decoder.counters())
        };
        let (samples, counters) = read(piece);
        prop_assert_eq!(&(samples.clone(), counters), &read(usize::MAX));
        let heard = if profile.requests().is_empty() { counters.samples } else { counters.asked.answers };
        prop_assert_eq!(counters.lines, heard + rejected(&counters.rejected));
        prop_assert_eq!(counters.samples, samples.len() as u64);
    }

    #[test]
    fn a_meter_that_is_asked_gives_at_most_a_sample_a_round_whatever_it_says(
        said in prop::collection::vec((prop_oneof![
            prop::collection::vec(any::<u8>(), 0..30),
            Just(b"+1234567E+0m3 !F7\r\n".to_vec()),
        ], any::<bool>()), 0..12),
    ) {
        let profile = Profile::builtin("tuf-2000f").unwrap().unwrap();
        let mut poll = Poll::new(&profile).unwrap();
        poll.begin();
        let mut asks = 0;
        for (bytes, next) in &said {
            if *next {
                asks += u64::from(poll.next_ask().is_some());
            }
            poll.hear(bytes);
        }
        let sample = poll.end();
        let counters = poll.counters();
        prop_assert_eq!(counters.samples, u64::from(sample.is_some()));
        prop_assert_eq!(counters.asked.answers + counters.asked.unanswered, asks);
        prop_assert_eq!(counters.lines, counters.asked.answers + rejected(&counters.rejected));
        prop_assert!(sample.is_none_or(|sample| sample.raw == 1_234_567_000));
    }
}
