//! gpsd's reports as lines come in: what becomes a fix, when, and what never does.

use proptest::prelude::*;

use super::*;
use crate::clock::UtcMs;
use crate::reading::Place;

/// What gpsd 3.22 said over a u-blox recording (neo-m8n), its satellites left out.
const CAPTURED: &str = concat!(
    r#"{"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}"#,
    "\r\n",
    r#"{"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/pts/1","activated":"2026-11-25T14:20:10.566Z","native":0,"bps":4800,"parity":"N","stopbits":1,"cycle":1.00}]}"#,
    "\r\n",
    r#"{"class":"WATCH","enable":true,"json":true,"nmea":false,"raw":0,"scaled":false,"timing":true,"split24":false,"pps":false}"#,
    "\r\n",
    r#"{"class":"DEVICE","path":"/dev/pts/1","driver":"NMEA0183","activated":"2026-11-25T14:20:10.570Z","native":0,"bps":4800,"parity":"N","stopbits":1,"cycle":1.00}"#,
    "\r\n",
    r#"{"class":"SKY","device":"/dev/pts/1","nSat":13,"uSat":0,"satellites":[{"PRN":1,"el":53.0,"az":279.0,"ss":35.0,"used":false,"gnssid":0,"svid":1}]}"#,
    "\r\n",
    r#"{"class":"TPV","device":"/dev/pts/1","mode":2,"lat":44.069001333,"lon":-121.314238167,"magvar":14.4,"rtime": 1795616635.483535666,"sor": 0.000000000,"chars":0,"sats": 0,"week":0,"tow":0.000,"rollovers":2}"#,
    "\r\n",
    r#"{"class":"SKY","device":"/dev/pts/1","xdop":0.52,"ydop":0.84,"vdop":1.31,"tdop":0.84,"hdop":0.98,"gdop":1.84,"pdop":1.64,"nSat":12,"uSat":10}"#,
    "\r\n",
    r#"{"class":"TPV","device":"/dev/pts/1","mode":3,"time":"2034-11-01T17:19:36.000Z","ept":0.005,"lat":44.069000500,"lon":-121.314236167,"altHAE":1122.4000,"altMSL":1143.7000,"alt":1143.7000,"epx":6.725,"epy":12.156,"epv":31.050,"magvar":14.4,"speed":0.016,"geoidSep":-21.300,"rtime": 1795616635.630835173,"sor": 0.000000000,"chars":807,"sats":13,"week":0,"tow":0.000,"rollovers":2,"eph":19.190,"sep":32.1}"#,
    "\r\n",
);

fn ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

const SKY: &str = r#"{"class":"SKY","device":"/dev/a","hdop":0.9}"#;
const NOON: &str = "2027-05-02T12:00:00.000Z";

/// A receiver with a clear sky, a report a second.
struct Bench {
    decoder: Decoder,
}

impl Bench {
    fn new() -> Self {
        Self { decoder: Decoder::new(5.0) }
    }

    /// One whose HDOP is known from second 0.
    fn with_sky() -> Self {
        let mut bench = Self::new();
        bench.say(0, SKY);
        bench
    }

    fn say(&mut self, at_ms: i64, line: &str) -> Vec<Fix> {
        self.decoder.push(format!("{line}\n").as_bytes(), BootInstant(at_ms))
    }

    fn tpv(&mut self, at_ms: i64, time_ms: i64, more: &str) -> Vec<Fix> {
        self.say(at_ms, &tpv("/dev/a", time_ms, more))
    }

    fn rejected(&self) -> Rejected {
        self.decoder.counters().rejected.clone()
    }
}

fn tpv(device: &str, time_ms: i64, more: &str) -> String {
    let time = UtcMs(ms(NOON) + time_ms).rfc3339();
    format!(
        r#"{{"class":"TPV","device":"{device}","mode":3,"time":"{time}","lat":40.5,"lon":-90.25{more}}}"#
    )
}

#[test]
fn what_gpsd_said_over_a_recording_is_one_fix_with_its_hdop_and_date() {
    let mut decoder = Decoder::new(5.0);
    let fixes = decoder.push(CAPTURED.as_bytes(), BootInstant(7_000));
    let expected = Fix {
        at: BootInstant(7_000),
        utc: Some(UtcMs(ms("2034-11-01T17:19:36Z"))),
        place: Place::from_degrees(44.069000500, -121.314236167).unwrap(),
        hdop: 0.98,
        quality: 1,
        speed_mps: Some(0.016),
    };
    assert_eq!(fixes, [expected]);
    let counted = decoder.counters();
    assert_eq!((counted.lines, counted.reports, counted.unreadable), (8, 2, 0));
    assert_eq!(counted.rejected, Rejected { no_time: 1, ..Rejected::default() });
    let told = decoder.told();
    assert_eq!(told.release.as_deref(), Some("3.22"));
    let driver = Some("NMEA0183".to_owned());
    assert_eq!(told.devices, [Device { path: "/dev/pts/1".into(), active: true, driver }]);
}

#[test]
fn no_report_without_a_fix_is_one() {
    for (line, cause) in [
        (r#""mode":1"#, "no_fix"),
        (r#""mode":0"#, "no_fix"),
        (r#""mode":3,"status":5"#, "estimated"),
        (r#""mode":3,"status":6"#, "estimated"),
        (r#""mode":3,"status":7"#, "estimated"),
        (r#""mode":3,"status":8"#, "estimated"),
        (r#""mode":3,"time":"2027-05-02T12:00:00Z""#, "no_place"),
        (r#""mode":3,"time":"2027-05-02T12:00:00Z","lat":1.0"#, "no_place"),
        (r#""mode":3,"time":"2027-05-02T12:00:00Z","lat":91.0,"lon":1.0"#, "range"),
        (r#""mode":3,"time":"2027-05-02T12:00:00Z","lat":0.0,"lon":-0.0"#, "null_island"),
        (r#""mode":2,"lat":40.0,"lon":1.0"#, "no_time"),
        (r#""mode":2,"time":"yesterday","lat":40.0,"lon":1.0"#, "no_time"),
    ] {
        let mut bench = Bench::with_sky();
        let line = format!(r#"{{"class":"TPV","device":"/dev/a",{line}}}"#);
        assert_eq!(bench.say(1_000, &line), [], "{line}");
        let counted = serde_json::to_value(bench.rejected()).unwrap();
        assert_eq!(counted[cause], 1, "{line}: {counted}");
    }
}

#[test]
fn an_hdop_serves_for_ten_seconds_and_its_own_receiver_alone() {
    let mut bench = Bench::new();
    assert_eq!(bench.tpv(0, 0, ""), []);
    bench.say(100, r#"{"class":"SKY","device":"/dev/b","hdop":0.7}"#);
    assert_eq!(bench.tpv(1_000, 1_000, ""), []);
    assert_eq!(bench.rejected().no_hdop, 2);
    bench.say(1_100, r#"{"class":"SKY","device":"/dev/a","hdop":0.9}"#);
    assert_eq!(bench.tpv(2_000, 2_000, "")[0].hdop, 0.9);
    bench.say(2_100, r#"{"class":"SKY","device":"/dev/a","nSat":9}"#);
    assert_eq!(bench.tpv(11_100, 11_100, "").len(), 1);
    assert_eq!(bench.tpv(11_101, 11_101, ""), []);
    assert_eq!(bench.rejected().no_hdop, 3);
}

#[test]
fn an_hdop_over_the_bound_or_of_no_meaning_lets_no_fix_pass() {
    let mut bench = Bench::new();
    for (hdop, s) in [("99.99", 1), ("5.01", 2)] {
        bench.say(0, &format!(r#"{{"class":"SKY","device":"/dev/a","hdop":{hdop}}}"#));
        assert_eq!(bench.tpv(s, s, ""), []);
    }
    assert_eq!(bench.rejected().hdop, 2);
    let mut bench = Bench::new();
    bench.say(0, r#"{"class":"SKY","device":"/dev/a","hdop":0.0}"#);
    assert_eq!(bench.tpv(1, 1, ""), []);
    assert_eq!(bench.rejected().no_hdop, 1);
}

#[test]
fn a_receiver_that_repeats_its_last_fix_has_had_only_one() {
    let mut bench = Bench::with_sky();
    assert_eq!(bench.tpv(1_000, 0, "").len(), 1);
    for s in 2..9 {
        assert_eq!(bench.tpv(s * 1_000, 0, ""), []);
    }
    assert_eq!(bench.rejected().repeated, 7);
    // Nor is it news on another connection.
    bench.decoder.cut();
    bench.say(8_500, SKY);
    assert_eq!(bench.tpv(9_000, 0, ""), []);
    assert_eq!(bench.rejected().repeated, 8);
}

#[test]
fn a_gpsd_that_begins_anew_has_no_fix_before_it_has_told_an_hdop_again() {
    let mut bench = Bench::with_sky();
    assert_eq!(bench.tpv(1_000, 1_000, "").len(), 1);
    bench.decoder.cut();
    // Of a simulator, before its GGA was read.
    assert_eq!(bench.tpv(3_000, 3_000, ""), []);
    assert_eq!(bench.rejected().no_hdop, 1);
    bench.say(3_100, SKY);
    assert_eq!(bench.tpv(4_000, 4_000, r#","status":8"#), []);
    assert_eq!(bench.rejected().estimated, 1);
}

#[test]
fn one_receiver_is_followed_until_it_has_been_silent_or_is_lost() {
    let mut bench = Bench::with_sky();
    bench.say(0, r#"{"class":"SKY","device":"/dev/b","hdop":0.9}"#);
    assert_eq!(bench.tpv(1_000, 1_000, "").len(), 1);
    assert_eq!(bench.say(1_500, &tpv("/dev/b", 1_500, "")), []);
    assert_eq!(bench.rejected().other_device, 1);
    assert_eq!(bench.say(4_000, &tpv("/dev/b", 4_000, "")).len(), 1);
    bench.say(4_100, r#"{"class":"DEVICE","path":"/dev/b","activated":0}"#);
    assert_eq!(bench.tpv(5_000, 5_000, "").len(), 1);
}

#[test]
fn a_receiver_that_is_gone_is_told_and_its_hdop_with_it() {
    let mut bench = Bench::with_sky();
    bench.say(0, r#"{"class":"DEVICE","path":"/dev/a","activated":"2027-05-02T12:00:00Z"}"#);
    assert!(bench.decoder.told().has_device());
    bench.say(1_000, r#"{"class":"DEVICE","path":"/dev/a","activated":0}"#);
    assert!(!bench.decoder.told().has_device());
    assert_eq!(bench.tpv(2_000, 2_000, ""), []);
    bench.say(3_000, r#"{"class":"DEVICES","devices":[]}"#);
    assert!(bench.decoder.told().devices.is_empty());
}

#[test]
fn reports_that_waited_are_no_fixes_until_those_that_did_not() {
    let mut bench = Bench::with_sky();
    assert_eq!(bench.tpv(1_000, 1_000, "").len(), 1);
    // The reader stood still for eight seconds; all that waited comes at once.
    let mut fixes = Vec::new();
    for s in 2..=9 {
        fixes.extend(bench.tpv(9_000 - 10 + s, s * 1_000, ""));
    }
    let ats: Vec<i64> = fixes.iter().map(|fix| fix.at.0).collect();
    // The last but one waited for almost a second: it is shown as that old.
    assert_eq!(ats, [8_000, 8_999]);
    assert_eq!(bench.rejected().late, 6);
    assert_eq!(bench.tpv(10_000, 10_000, "").len(), 1);
}

#[test]
fn a_receiver_whose_clock_is_put_back_is_believed_after_three_seconds() {
    let mut bench = Bench::with_sky();
    assert_eq!(bench.tpv(1_000, 86_400_000, "").len(), 1);
    let first = (2..9).find(|s| !bench.tpv(s * 1_000, s * 1_000, "").is_empty());
    assert_eq!(first, Some(5));
    assert_eq!(bench.tpv(6_000, 6_000, "").len(), 1);
    // Forward it is believed at once.
    assert_eq!(bench.tpv(7_000, 90_000_000, "").len(), 1);
}

#[test]
fn a_report_bears_the_time_at_which_its_epoch_came_in_where_gpsd_saw_it_begin() {
    let mut bench = Bench::with_sky();
    let timing = |s: i64, took: f64| {
        format!(r#","sor":{}.25,"rtime":{}"#, 1000 + s, 1000.25 + s as f64 + took)
    };
    // What began before the first report isn't known.
    assert_eq!(bench.tpv(1_800, 1_000, &timing(1, 0.7))[0].at, BootInstant(1_800));
    assert_eq!(bench.tpv(2_800, 2_000, &timing(2, 0.7))[0].at, BootInstant(2_100));
    assert_eq!(bench.tpv(3_900, 3_000, &timing(3, 0.8))[0].at, BootInstant(3_100));
}

#[test]
fn a_receiver_that_never_pauses_is_not_dated_back_to_its_first_byte() {
    let mut bench = Bench::with_sky();
    for tenths in 1..40 {
        let made = 1000.0 + tenths as f64 / 10.0;
        let more = format!(r#","sor":1000.0,"rtime":{made}"#);
        let fix = &bench.tpv(tenths * 100, tenths * 100, &more)[0];
        assert_eq!(fix.at, BootInstant(tenths * 100));
    }
}

#[test]
fn damaged_lines_are_counted_and_the_next_one_is_read() {
    let mut bench = Bench::with_sky();
    for line in ["", "$GPGGA,1", "{", "[]", "{}", r#"{"class":1}"#, r#"{"class":"TPV"}"#] {
        bench.say(0, line);
    }
    bench.say(0, r#"{"class":"TPV","mode":3,"lat":nan,"lon":1}"#);
    bench.say(0, &"[".repeat(5_000));
    bench.decoder.push(&[0xff, 0, b'\n'], BootInstant(0));
    assert_eq!(bench.decoder.counters().unreadable, 9);
    let mut long = vec![b'{'; 200_000];
    long.push(b'\n');
    bench.decoder.push(&long, BootInstant(0));
    assert_eq!(bench.decoder.counters().overlong, 1);
    assert_eq!(bench.tpv(1_000, 1_000, "").len(), 1);
    bench.decoder.push(b"{\"class\":\"TPV", BootInstant(0));
    bench.decoder.cut();
    assert_eq!(bench.decoder.counters().torn, 1);
    bench.say(1_500, SKY);
    assert_eq!(bench.tpv(2_000, 2_000, "").len(), 1);
}

#[test]
fn what_gpsd_complains_of_is_kept_short_and_printable() {
    let mut bench = Bench::new();
    bench.say(0, &format!(r#"{{"class":"ERROR","message":"no\u001b[2J {}"}}"#, "x".repeat(999)));
    let told = bench.decoder.told().complaint.clone().unwrap();
    assert!(told.starts_with("no[2J x") && told.chars().count() == TEXT, "{told}");
    for i in 0..100 {
        bench.say(0, &format!(r#"{{"class":"DEVICE","path":"/dev/{i}","activated":1}}"#));
    }
    assert_eq!(bench.decoder.told().devices.len(), DEVICES);
}

/// Lines as they may come, whole and damaged.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let degrees = prop_oneof![Just(0.0), -200.0..200.0f64, Just(1e308)];
    let report = (0..5i64, 0..12i64, degrees.clone(), degrees, 0..5_000i64, any::<bool>());
    let line = prop_oneof![
        4 => report.prop_map(|(mode, status, lat, lon, after_ms, dated)| {
            let time = UtcMs(ms(NOON) + after_ms).rfc3339();
            let time = if dated { format!(r#","time":"{time}""#) } else { String::new() };
            format!(r#"{{"class":"TPV","mode":{mode},"status":{status},"lat":{lat:e},"lon":{lon:e}{time}}}"#)
                .into_bytes()
        }),
        2 => (-1.0..9.0f64).prop_map(|h| format!(r#"{{"class":"SKY","hdop":{h}}}"#).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..50),
    ];
    prop::collection::vec(line, 0..60).prop_map(|lines| lines.join(&b'\n'))
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut decoder = Decoder::new(5.0);
        prop_assert_eq!(decoder.push(&bytes, BootInstant(0)), []);
        prop_assert_eq!(decoder.counters().bytes, bytes.len() as u64);
    }

    #[test]
    fn no_fix_breaks_the_rule_whatever_the_stream(bytes in stream()) {
        let mut decoder = Decoder::new(5.0);
        let mut times = Vec::new();
        for fix in decoder.push(&bytes, BootInstant(0)) {
            prop_assert!(fix.hdop > 0.0 && fix.hdop <= 5.0 && (1..=5).contains(&fix.quality));
            prop_assert!((fix.place.lat_e7, fix.place.lon_e7) != (0, 0));
            prop_assert!(fix.utc.is_some() && times.last() != Some(&fix.utc));
            times.push(fix.utc);
        }
    }

    #[test]
    fn however_the_bytes_are_cut_the_fixes_are_the_same(
        bytes in stream(),
        cuts in prop::collection::vec(1..200usize, 1..20),
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
        prop_assert_eq!(found, expected);
        prop_assert_eq!(cut.counters(), whole.counters());
    }
}
