//! The outer form of a sentence, as NMEA 0183 and the rig's own meter line share it,
//! and the civil date and time that sentences carry. Knows no kind of sentence.
//!
//! ```text
//! $ payload * hh CR LF       hh = xor of the payload's bytes, two upper-case hex digits
//! ```

/// The xor of all bytes between `$` and `*`.
pub fn xor8(payload: &[u8]) -> u8 {
    payload.iter().fold(0, |sum, byte| sum ^ byte)
}

/// A whole sentence around a payload.
pub fn sentence(payload: &str) -> String {
    format!("${payload}*{:02X}\r\n", xor8(payload.as_bytes()))
}

/// `ddmmyy` and `hhmmss.fff…` of an instant, with as many decimals as asked (at most 3
/// are more than zeros).
pub fn date_and_time(unix_ms: i64, decimals: usize) -> (String, String) {
    let at = jiff::Timestamp::from_millisecond(unix_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let civil = jiff::tz::TimeZone::UTC.to_datetime(at);
    let date = format!("{:02}{:02}{:02}", civil.day(), civil.month(), civil.year().rem_euclid(100));
    let mut time = format!("{:02}{:02}{:02}", civil.hour(), civil.minute(), civil.second());
    if decimals > 0 {
        let digits = format!("{:09}", civil.subsec_nanosecond());
        let part: String = digits.chars().chain(std::iter::repeat('0')).take(decimals).collect();
        time.push('.');
        time.push_str(&part);
    }
    (date, time)
}

/// Degrees as `ddmm.mmmmm` (or `dddmm.mmmmm`) and the letter of the half of the globe.
/// Five decimals of a minute are 1.9 cm, as u-blox receivers print them.
pub fn degrees(value: f64, width: usize, letters: [&'static str; 2]) -> (String, &'static str) {
    const STEPS_A_DEGREE: u64 = 60 * 100_000;
    let steps = (value.abs() * STEPS_A_DEGREE as f64).round() as u64;
    let (whole, rest) = (steps / STEPS_A_DEGREE, steps % STEPS_A_DEGREE);
    let text = format!("{whole:0width$}{:02}.{:05}", rest / 100_000, rest % 100_000);
    let [positive, negative] = letters;
    (text, if value < 0.0 { negative } else { positive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_agree_with_recorded_sentences() {
        // From ../shared/nmea/bu353s4.log.
        assert_eq!(
            sentence("GPGGA,030719.000,3747.0873,S,17518.8938,E,1,08,1.1,59.9,M,23.7,M,,0000"),
            "$GPGGA,030719.000,3747.0873,S,17518.8938,E,1,08,1.1,59.9,M,23.7,M,,0000*7D\r\n"
        );
    }

    #[test]
    fn minutes_never_round_up_to_sixty() {
        assert_eq!(degrees(33.999_999_999, 2, ["N", "S"]).0, "3400.00000");
        assert_eq!(degrees(-86.896_534_4, 3, ["E", "W"]), ("08653.79206".into(), "W"));
    }

    #[test]
    fn an_instant_is_written_with_the_decimals_asked_for() {
        // 2026-11-23T23:59:59.250Z
        let ms = 1_795_478_399_250;
        assert_eq!(date_and_time(ms, 0), ("231126".into(), "235959".into()));
        assert_eq!(date_and_time(ms, 2).1, "235959.25");
        assert_eq!(date_and_time(ms, 3).1, "235959.250");
    }
}
