//! Timelines of sentences through the whole decoder: what becomes a fix, when, and what
//! is refused for which cause.

use proptest::prelude::*;

use super::*;
use crate::clock::UtcMs;

/// `$body*hh` and a line end.
fn line(body: &str) -> String {
    let sum = body.bytes().fold(0u8, |sum, byte| sum ^ byte);
    format!("${body}*{sum:02X}\r\n")
}

const PLACE: &str = "4739.71754,N,12219.58177,W";

fn rmc(time: &str) -> String {
    line(&format!("GNRMC,{time},A,{PLACE},1.00,286.35,060826,,,A,V"))
}

fn gga(time: &str) -> String {
    line(&format!("GNGGA,{time},{PLACE},1,17,0.8,77.5,M,-21.6,M,,"))
}

fn gns(time: &str) -> String {
    line(&format!("GNGNS,{time},{PLACE},DAN,17,0.8,77.5,-21.6,,"))
}

/// Plays lines, one a second from 1000 ms on, and says at which line (from 1) each fix
/// was out.
fn play(lines: &[String]) -> (Vec<(usize, Decoded)>, Counters) {
    let mut decoder = Decoder::new(5.0);
    let mut out = Vec::new();
    for (number, line) in (1..).zip(lines) {
        let at = BootInstant(number as i64 * 1000);
        out.extend(decoder.push(line.as_bytes(), at).into_iter().map(|fix| (number, fix)));
    }
    decoder.finish();
    (out, decoder.counters().clone())
}

/// The lines at which fixes were out.
fn out_at(lines: &[String]) -> Vec<usize> {
    play(lines).0.into_iter().map(|(number, _)| number).collect()
}

/// That no fix comes of it, and the one cause that is counted.
fn refused(lines: &[String]) -> Rejected {
    let (out, counters) = play(lines);
    assert!(out.is_empty(), "{out:?}");
    assert_eq!(counters.rejected.total(), 1, "{counters:?}");
    counters.rejected
}

fn causes(count: impl FnOnce(&mut Rejected)) -> Rejected {
    let mut rejected = Rejected::default();
    count(&mut rejected);
    rejected
}

#[test]
fn a_pair_is_a_fix_with_everything_it_bears() {
    let (out, counters) = play(&[gga("071551.000"), rmc("071551.00")]);
    let [(2, decoded)] = out.as_slice() else { panic!("{out:?}") };
    let fix = &decoded.fix;
    assert_eq!(fix.at, BootInstant(1000));
    assert_eq!(fix.utc, Some(UtcMs(1_786_000_551_000)));
    assert_eq!((fix.place.lat_e7, fix.place.lon_e7), (476_619_590, -1_223_263_628));
    assert_eq!((fix.hdop, fix.quality), (0.8, 1));
    assert!((fix.speed_mps.unwrap() - 0.514_444).abs() < 1e-6);
    assert_eq!(decoded.time_of_day_ms, 26_151_000);
    let end = gga("071551.000").len() + rmc("071551.00").trim_end().len();
    assert_eq!(decoded.end_offset, end as u64);
    assert_eq!((counters.sentences, counters.fixes, counters.rejected.total()), (2, 1, 0));
}

#[test]
fn either_may_come_first_and_the_order_may_change() {
    let [a, b] = ["071551.00", "071552.00"];
    assert_eq!(out_at(&[rmc(a), gga(a), gga(b), rmc(b)]), [2, 4]);
}

#[test]
fn a_fix_is_out_once_whatever_follows_of_its_epoch() {
    let t = "071551.00";
    let (out, counters) = play(&[rmc(t), gga(t), gns(t), line(&format!("GNZDA,{t},06,08,2026,,"))]);
    assert_eq!(out.len(), 1);
    assert_eq!(counters.rejected.total(), 0);
}

#[test]
fn ten_fixes_a_second_are_ten() {
    let times = (0..10).map(|tenth| format!("132819.{tenth}0"));
    let lines: Vec<String> = times.flat_map(|time| [gga(&time), rmc(&time)]).collect();
    assert_eq!(out_at(&lines), [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
}

#[test]
fn interleaved_epochs_pair_by_utc_not_by_order() {
    let [a, b, c] = ["071551.00", "071552.00", "071553.00"];
    assert_eq!(out_at(&[gga(a), gga(b), rmc(a), gga(c), rmc(b), rmc(c)]), [3, 5, 6]);
}

#[test]
fn an_epoch_that_completes_after_a_later_one_is_too_late() {
    let [a, b] = ["071551.00", "071552.00"];
    let (out, counters) = play(&[gga(a), gga(b), rmc(b), rmc(a)]);
    assert_eq!(out.len(), 1);
    assert_eq!(counters.rejected, causes(|no| no.unpaired = 1));
}

#[test]
fn sentences_of_different_utc_never_pair() {
    let (out, counters) = play(&[gga("000343.03"), rmc("000344.03"), gga("000345.03")]);
    assert!(out.is_empty());
    assert_eq!(counters.rejected, causes(|no| no.unpaired = 3));
}

#[test]
fn the_days_turn_belongs_to_the_rmc_that_says_it() {
    let before = "GNRMC,235959.90,A,4739.71754,N,12219.58177,W,1.00,,311226,,,A";
    let after = "GNRMC,000000.00,A,4739.71754,N,12219.58177,W,1.00,,010127,,,A";
    let (out, _) = play(&[gga("235959.90"), line(before), gga("000000.00"), line(after)]);
    let utc: Vec<String> = out.iter().map(|(_, it)| it.fix.utc.unwrap().rfc3339()).collect();
    assert_eq!(utc, ["2026-12-31T23:59:59.900Z", "2027-01-01T00:00:00.000Z"]);
}

#[test]
fn a_leap_second_is_a_fix_of_its_own() {
    let rmc = |time, date| line(&format!("GPRMC,{time},A,{PLACE},1.00,,{date},,,A"));
    let (out, _) = play(&[
        gga("235959.00"),
        rmc("235959.00", "311216"),
        gga("235960.00"),
        rmc("235960.00", "311216"),
        gga("000000.00"),
        rmc("000000.00", "010117"),
    ]);
    let tod: Vec<u32> = out.iter().map(|(_, it)| it.time_of_day_ms).collect();
    assert_eq!(tod, [86_399_000, 86_400_000, 0]);
}

#[test]
fn gns_serves_where_there_is_no_gga() {
    let (out, _) = play(&[rmc("071551.00"), gns("071551.00")]);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].1.fix.quality, 2);
}

#[test]
fn an_epoch_begins_at_its_first_sentence_with_a_time() {
    let t = "071551.00";
    let gll = line(&format!("GNGLL,{PLACE},{t},A,A"));
    let (out, _) = play(&[gll, gga(t), rmc(t)]);
    assert_eq!(out[0].1.fix.at, BootInstant(1000));
}

#[test]
fn a_zda_of_the_epoch_dates_an_rmc_without_a_date() {
    let t = "071551.00";
    let dateless = line(&format!("GNRMC,{t},A,{PLACE},1.00,,,,,A"));
    let zda = line(&format!("GNZDA,{t},06,08,2026,,"));
    let (out, _) = play(&[zda, gga(t), dateless.clone()]);
    assert_eq!(out[0].1.fix.utc, Some(UtcMs(1_786_000_551_000)));
    let (out, _) = play(&[gga(t), dateless]);
    assert_eq!(out[0].1.fix.utc, None);
}

fn dateless(time: &str) -> String {
    line(&format!("GNRMC,{time},A,{PLACE},1.00,,,,,A"))
}

fn zda(time: &str, date: &str) -> String {
    line(&format!("GPZDA,{time},{date},00,00"))
}

/// The dates of the fixes that come of these lines; `-` for none.
fn dates(lines: &[String]) -> Vec<String> {
    let utc = |decoded: Decoded| decoded.fix.utc.map_or("-".to_owned(), UtcMs::rfc3339);
    play(lines).0.into_iter().map(|(_, decoded)| utc(decoded)).collect()
}

#[test]
fn a_zda_after_the_fix_dates_the_next_ones_for_a_minute() {
    let mut lines = Vec::new();
    for time in ["235859.00", "235959.00", "000001.00", "000002.00"] {
        lines.extend([gga(time), dateless(time)]);
        if time == "235859.00" {
            lines.push(zda(time, "31,12,2026"));
        }
        if time == "000001.00" {
            lines.push(zda(time, "01,01,2027"));
        }
    }
    let expected = ["-", "2026-12-31T23:59:59.000Z", "-", "2027-01-01T00:00:02.000Z"];
    assert_eq!(dates(&lines), expected);
}

#[test]
fn a_date_across_midnight_is_the_next_days() {
    let [a, b] = ["235959.90", "000000.00"];
    let before = [gga(a), dateless(a), zda(a, "31,12,2026"), gga(b), dateless(b)];
    assert_eq!(dates(&before), ["-", "2027-01-01T00:00:00.000Z"]);
}

#[test]
fn a_date_told_without_a_fix_or_before_a_cut_dates_none() {
    let [a, b] = ["071551.00", "071552.00"];
    let void = line(&format!("GNRMC,{a},V,,,,,,,060180,,,N"));
    let cold = [void, zda(a, "06,01,1980"), gga(b), dateless(b)];
    assert_eq!(dates(&cold), ["-"]);
    let mut decoder = Decoder::new(5.0);
    let pair = gga(a) + &rmc(a);
    assert!(decoder.push(pair.as_bytes(), BootInstant(0))[0].fix.utc.is_some());
    decoder.finish();
    let pair = gga(b) + &dateless(b);
    assert_eq!(decoder.push(pair.as_bytes(), BootInstant(0))[0].fix.utc, None);
}

#[test]
fn an_rmc_after_the_ten_gga_of_its_second_is_its_pair() {
    let mut lines: Vec<String> = (0..10).map(|tenth| gga(&format!("071551.{tenth}0"))).collect();
    lines.push(rmc("071551.00"));
    assert_eq!(out_at(&lines), [11]);
}

#[test]
fn a_receiver_that_repeats_its_last_fix_gives_it_once() {
    let t = "071551.00";
    let (out, counters) = play(&[gga(t), rmc(t), gga(t), rmc(t), rmc(t), gga(t)]);
    assert_eq!(out.len(), 1);
    assert_eq!(counters.rejected, causes(|no| no.repeated = 2));
}

#[test]
fn an_rmc_that_comes_twice_is_counted_as_repeated_not_as_unpaired() {
    let [a, b] = ["071551.00", "071552.00"];
    let (out, counters) = play(&[rmc(a), gga(a), rmc(a), rmc(b), gga(b), rmc(b)]);
    assert_eq!(out.len(), 2);
    assert_eq!(counters.rejected, causes(|no| no.repeated = 2));
}

#[test]
fn a_repeated_fix_stays_refused_while_the_receivers_clock_runs_on() {
    let t = "071551.00";
    let mut lines = vec![gga(t), rmc(t)];
    for second in 0..40 {
        lines.push(line(&format!("GNZDA,0715{second:02}.50,06,08,2026,,")));
        if second % 10 == 9 {
            lines.extend([gga(t), rmc(t)]);
        }
    }
    assert_eq!(out_at(&lines), [2]);
}

#[test]
fn the_same_time_of_another_day_is_another_fix() {
    let t = "071551.00";
    let tomorrow = line(&format!("GNRMC,{t},A,{PLACE},1.00,,070826,,,A"));
    assert_eq!(out_at(&[gga(t), rmc(t), gga(t), tomorrow]), [2, 4]);
}

#[test]
fn a_void_said_after_the_fix_is_counted_and_the_fix_not_said_again() {
    let t = "071551.00";
    let void = line(&format!("GNRMC,{t},V,,,,,,,060826,,,N"));
    let (out, counters) = play(&[rmc(t), gga(t), void, gga(t)]);
    assert_eq!(out.len(), 1);
    assert_eq!(counters.rejected.void, 1);
}

#[test]
fn a_void_rmc_is_no_fix_whatever_gga_says() {
    let void = line(&format!("GNRMC,071551.00,V,{PLACE},1.00,,060826,,,A"));
    for lines in [[gga("071551.00"), void.clone()], [void, gga("071551.00")]] {
        assert_eq!(refused(&lines), causes(|no| no.void = 1));
    }
}

#[test]
fn a_gga_without_quality_is_no_fix_whatever_rmc_and_gns_say() {
    let t = "071551.00";
    let none = line(&format!("GNGGA,{t},{PLACE},0,17,0.8,77.5,M,-21.6,M,,"));
    assert_eq!(refused(&[none.clone(), rmc(t)]), causes(|no| no.no_quality = 1));
    assert_eq!(refused(&[rmc(t), none.clone()]), causes(|no| no.no_quality = 1));
    assert_eq!(refused(&[none, gns(t), rmc(t)]), causes(|no| no.no_quality = 1));
    let nobody = line(&format!("GNGNS,{t},{PLACE},NNN,17,0.8,77.5,-21.6,,"));
    assert_eq!(refused(&[nobody, rmc(t)]), causes(|no| no.no_quality = 1));
}

#[test]
fn a_gga_of_two_satellites_needs_a_sentence_after_it_that_says_that_there_is_a_fix() {
    let t = "071551.00";
    let few = line(&format!("GNGGA,{t},{PLACE},1,02,0.8,77.5,M,-21.6,M,,"));
    let gll = |says: &str| line(&format!("GNGLL,{PLACE},{t},{says}"));
    assert_eq!(refused(&[rmc(t), few.clone()]), causes(|no| no.unconfirmed = 1));
    assert_eq!(out_at(&[few.clone(), rmc(t)]), [2]);
    assert_eq!(out_at(&[rmc(t), few.clone(), gll("A,A")]), [3]);
    for says in ["V,N", "A,E", "A,N", ",", ""] {
        let lines = [gll("A,A"), rmc(t), few.clone(), gll(says)];
        assert_eq!(refused(&lines), causes(|no| no.unconfirmed = 1), "{says}");
    }
    let unsaid = line(&format!("GNGGA,{t},{PLACE},1,,0.8,77.5,M,-21.6,M,,"));
    assert_eq!(out_at(&[rmc(t), unsaid]), [2]);
}

#[test]
fn a_gns_without_gps_needs_the_same_and_hinders_no_gga() {
    let t = "071551.00";
    let without = line(&format!("GNGNS,{t},{PLACE},NNNA,17,0.8,77.5,-21.6,,"));
    assert_eq!(refused(&[rmc(t), without.clone()]), causes(|no| no.unconfirmed = 1));
    assert_eq!(out_at(&[without.clone(), rmc(t)]), [2]);
    assert_eq!(out_at(&[rmc(t), without, gga(t)]), [3]);
}

#[test]
fn an_estimated_manual_or_simulated_position_is_no_fix() {
    let t = "071551.00";
    for quality in 6..=9 {
        let bad = line(&format!("GNGGA,{t},{PLACE},{quality},17,0.8,77.5,M,-21.6,M,,"));
        assert_eq!(refused(&[bad, rmc(t)]), causes(|no| no.estimated = 1));
    }
    for letter in ["E", "M", "S", "N"] {
        let bad = line(&format!("GNRMC,{t},A,{PLACE},1.00,,060826,,,{letter},V"));
        assert_eq!(refused(&[bad, gga(t)]), causes(|no| no.mode = 1));
    }
    let bad = line(&format!("GNGNS,{t},{PLACE},AE,17,0.8,77.5,-21.6,,"));
    assert_eq!(refused(&[bad, rmc(t)]), causes(|no| no.mode = 1));
}

#[test]
fn hdop_must_be_there_and_within_the_bound() {
    let t = "071551.00";
    let with = |hdop: &str| line(&format!("GNGGA,{t},{PLACE},1,17,{hdop},77.5,M,-21.6,M,,"));
    assert_eq!(refused(&[with(""), rmc(t)]), causes(|no| no.no_hdop = 1));
    assert_eq!(refused(&[with("5.01"), rmc(t)]), causes(|no| no.hdop = 1));
    assert_eq!(refused(&[with("99.99"), rmc(t)]), causes(|no| no.hdop = 1));
    assert_eq!(out_at(&[with("5.0"), rmc(t)]), [2]);
    assert_eq!(out_at(&[with(""), rmc(t), gns(t)]), [3]);
}

#[test]
fn another_bound_applies_at_once_and_exactly() {
    let mut decoder = Decoder::new(5.0);
    let gga = line(&format!("GNGGA,071551.00,{PLACE},1,17,1.1,77.5,M,-21.6,M,,"));
    decoder.set_max_hdop(1.1);
    let pair = gga + &rmc("071551.00");
    assert_eq!(decoder.push(pair.as_bytes(), BootInstant(0)).len(), 1);
    let gga = line(&format!("GNGGA,071553.00,{PLACE},1,17,1.1,77.5,M,-21.6,M,,"));
    assert!(decoder.push(gga.as_bytes(), BootInstant(0)).is_empty());
    decoder.set_max_hdop(1.0);
    assert!(decoder.push(rmc("071553.00").as_bytes(), BootInstant(0)).is_empty());
    assert_eq!(decoder.counters().rejected.hdop, 1);
}

#[test]
fn a_position_off_the_globe_or_at_nought_is_no_fix() {
    let t = "071551.00";
    let gga_at = |place: &str| line(&format!("GNGGA,{t},{place},1,17,0.8,77.5,M,-21.6,M,,"));
    assert_eq!(refused(&[gga_at("9100.0,N,12219.5,W"), rmc(t)]), causes(|no| no.range = 1));
    assert_eq!(refused(&[gga_at("4739.7,N,18100.0,E"), rmc(t)]), causes(|no| no.range = 1));
    let nought = "0000.0000,N,00000.0000,E";
    assert_eq!(refused(&[gga_at(nought), rmc(t)]), causes(|no| no.null_island = 1));
    let rmc_at = line(&format!("GNRMC,{t},A,{nought},1.00,,060826,,,A"));
    assert_eq!(refused(&[rmc_at, gga(t)]), causes(|no| no.null_island = 1));
}

#[test]
fn rmc_and_gga_in_different_places_are_no_fix() {
    let t = "071551.00";
    let elsewhere = "4749.71754,N,12219.58177,W";
    let rmc_at = line(&format!("GNRMC,{t},A,{elsewhere},1.00,,060826,,,A"));
    assert_eq!(refused(&[rmc_at, gga(t)]), causes(|no| no.disagreement = 1));
    let across = |kind: &str, place: &str| line(&format!("GN{kind},{t},{place}"));
    let rmc_at = across("RMC", "A,1700.0,S,17959.9999,E,1.00,,060826,,,A");
    let gga_at = across("GGA", "1700.0,S,17959.9999,W,1,17,0.8,77.5,M,-21.6,M,,");
    assert_eq!(out_at(&[rmc_at, gga_at]), [2]);
}

#[test]
fn a_sentence_with_a_wrong_checksum_or_none_is_no_half_of_a_fix() {
    let t = "071551.00";
    let (out, counters) = play(&[gga(t).replace("47", "48"), rmc(t)]);
    assert!(out.is_empty());
    assert_eq!((counters.bad_checksums, counters.sentences), (1, 2));
    let bare = format!("{}\r\n", gga(t).split('*').next().unwrap());
    let (out, counters) = play(&[bare, rmc(t)]);
    assert!(out.is_empty());
    assert_eq!((counters.no_checksum, counters.sentences), (1, 2));
}

#[test]
fn an_unreadable_sentence_extends_no_fix() {
    let t = "071551.00";
    let garbled = line(&format!("GNGGA,{t},47x9.71754,N,12219.58177,W,1,17,0.8,77.5,M,,M,,"));
    let (out, counters) = play(&[rmc("071550.00"), gga("071550.00"), garbled, rmc(t)]);
    assert_eq!(out.len(), 1);
    assert_eq!((counters.unreadable, counters.rejected.unpaired), (1, 1));
}

#[test]
fn a_receiver_without_a_time_is_counted_by_what_it_says() {
    let void = line("GPRMC,,V,,,,,,,,,,N");
    let none = line("GPGGA,,,,,,0,00,99.99,,,,,,");
    let (out, counters) = play(&[void, none]);
    assert!(out.is_empty());
    assert_eq!(counters.rejected, causes(|no| (no.void, no.no_quality) = (1, 1)));
}

#[test]
fn torn_glued_and_binary_surroundings_leave_the_pair_whole() {
    let t = "071551.00";
    let mut bytes = b"\xba\xce\x8c\0$GNGGA,07155\xb5\x62$\0\0".to_vec();
    bytes.extend(gga(t).trim_end().bytes());
    bytes.extend(b"$GPGSV,3,1,11,23,87,270,,13,68");
    bytes.extend(rmc(t).trim_end().bytes());
    bytes.extend(b"\0\0\xff");
    let mut decoder = Decoder::new(5.0);
    let fixes = decoder.push(&bytes, BootInstant(0));
    assert_eq!(fixes.len(), 1);
    assert_eq!(fixes[0].end_offset, bytes.len() as u64 - 3);
    assert_eq!(decoder.counters().torn, 2);
}

#[test]
fn what_is_no_whole_sentence_is_counted_by_its_cause() {
    let mut decoder = Decoder::new(5.0);
    let endless = format!("$GPTXT,{}\r\n$GPTXT,\0$", "x".repeat(200));
    decoder.push(endless.as_bytes(), BootInstant(0));
    let counters = decoder.counters();
    assert_eq!((counters.overlong, counters.torn, counters.sentences), (1, 1, 0));
    assert_eq!(counters.bytes, endless.len() as u64);
}

#[test]
fn endless_new_times_keep_sixteen_epochs() {
    let mut decoder = Decoder::new(5.0);
    for second in 0..5000 {
        let time = format!("{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60);
        decoder.push(gga(&time).as_bytes(), BootInstant(0));
    }
    assert_eq!(decoder.counters().rejected.unpaired, 4984);
    decoder.finish();
    assert_eq!(decoder.counters().rejected.unpaired, 5000);
}

/// Pieces of a stream: sentences good and bad, noise, and what both break on.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let second = 0..20u32;
    let piece = prop_oneof![
        second.clone().prop_map(|s| rmc(&format!("0715{s:02}.00")).into_bytes()),
        second.clone().prop_map(|s| gga(&format!("0715{s:02}.00")).into_bytes()),
        second.clone().prop_map(|s| gns(&format!("0715{s:02}.00")).into_bytes()),
        second.prop_map(|s| line(&format!("GNRMC,0715{s:02}.00,V,,,,,,,,,,N")).into_bytes()),
        "\\$G[NP](RMC|GGA|GNS)(,[0-9ANEW.]{0,9}){0,15}(\\*[0-9A-F]{0,2})?"
            .prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(prop::sample::select(b"$*,\r\n\0A".to_vec()), 0..20),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_changes_nothing(
        bytes in stream(),
        cuts in prop::collection::vec(1usize..60, 1..50),
    ) {
        let mut whole = Decoder::new(5.0);
        let expected = whole.push(&bytes, BootInstant(7));
        let mut cut = Decoder::new(5.0);
        let mut found = Vec::new();
        let mut rest = bytes.as_slice();
        for size in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, tail) = rest.split_at((*size).min(rest.len()));
            found.extend(cut.push(chunk, BootInstant(7)));
            rest = tail;
        }
        whole.finish();
        cut.finish();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(cut.counters(), whole.counters());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut decoder = Decoder::new(5.0);
        decoder.push(&bytes, BootInstant(0));
        prop_assert_eq!(decoder.counters().bytes, bytes.len() as u64);
    }

    #[test]
    fn a_pair_among_random_bytes_is_found(
        before in prop::collection::vec(any::<u8>(), 0..500),
        between in prop::collection::vec(any::<u8>(), 0..500),
        after in prop::collection::vec(any::<u8>(), 0..100),
        rmc_first in any::<bool>(),
    ) {
        let t = "071551.00";
        let (first, second) = if rmc_first { (rmc(t), gga(t)) } else { (gga(t), rmc(t)) };
        let bytes = [&before, first.as_bytes(), &between, second.as_bytes(), &after].concat();
        let end = before.len() + first.len() + between.len() + second.trim_end().len();
        let fixes = Decoder::new(5.0).push(&bytes, BootInstant(0));
        prop_assert_eq!(fixes.len(), 1);
        prop_assert_eq!(fixes[0].end_offset, end as u64);
    }

    #[test]
    fn no_fix_breaks_the_rule_whatever_the_stream(bytes in stream()) {
        let mut decoder = Decoder::new(5.0);
        for decoded in decoder.push(&bytes, BootInstant(0)) {
            let fix = decoded.fix;
            prop_assert!(fix.hdop <= 5.0 && (1..=5).contains(&fix.quality));
            prop_assert!((fix.place.lat_e7, fix.place.lon_e7) != (0, 0));
        }
    }
}
