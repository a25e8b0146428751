//! One sentence to what it says of a fix. The `nmea` crate reads time and position;
//! where it refuses what receivers really send, our own [`Fields`] do.
//!
//! Knows one sentence at a time: which ones belong together is the epoch's business.

use nmea::ParseResult;

use super::Cause;
use super::fields::{Degrees, Fields, Unreadable};

/// What a position takes at least, with the height as it was before.
const SATELLITES: u32 = 3;

/// What a sentence says. `time_ms` is its UTC in milliseconds of the day.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Report {
    /// RMC.
    Rmc(Rmc),
    /// GGA.
    Gga(Solution),
    /// GNS.
    Gns(Solution),
    /// Another sentence of the epoch that bears its time.
    Time(Time),
}

/// ```text
///         1         2 3       4 5        6 7   8   9      10  1112 13
///  $--RMC,hhmmss.ss,A,ddmm.mm,N,dddmm.mm,E,x.x,x.x,ddmmyy,x.x,E,A,V*hh
///         time      │ position             knots   date   │     │ └ navigational status (4.1)
///                   └ A or V                course        │     └ mode (2.3)
///                                                         └ magnetic variation
/// ```
/// Source: <https://gpsd.gitlab.io/gpsd/NMEA.html#_rmc_recommended_minimum_navigation_information>
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rmc {
    pub time_ms: Option<u32>,
    /// The receiver's date as UTC milliseconds of its midnight, where it is one.
    pub midnight_ms: Option<i64>,
    pub degrees: Option<Degrees>,
    pub knots: Option<f64>,
    /// Why it says that there is no fix.
    pub denies: Option<Cause>,
}

/// ```text
///         1         2       3 4        5 6 7  8   9   10  11  12 13  14
///  $--GGA,hhmmss.ss,ddmm.mm,N,dddmm.mm,E,1,04,1.4,x.x,M,x.x,M,x.x,xxxx*hh
///  $--GNS,hhmmss.ss,ddmm.mm,N,dddmm.mm,E,AN,04,1.4,x.x,x.x,x.x,xxxx,V*hh
///         time      position             │ │  └ HDOP
///                                        │ └ satellites
///                                        └ quality, or a mode letter a constellation
/// ```
/// Source: <https://gpsd.gitlab.io/gpsd/NMEA.html#_gga_global_positioning_system_fix_data>
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Solution {
    pub time_ms: Option<u32>,
    pub degrees: Option<Degrees>,
    /// 1 to 5, or why it says that there is no fix.
    pub quality: Result<u8, Cause>,
    pub hdop: Option<f64>,
    /// Whether what it says of satellites speaks against its position: GGA that counts fewer
    /// than three, GNS without GPS. gpsd takes neither, unless an RMC or GLL after it says A.
    pub doubtful: bool,
}

/// What the rest says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Time {
    pub time_ms: Option<u32>,
    /// ZDA's date, as RMC's.
    pub midnight_ms: Option<i64>,
    /// Whether it is a GLL that calls the fix valid.
    pub seconds: bool,
}

/// Reads `$…*hh`, whose checksum holds. `None` for a sentence that says nothing of a fix.
pub(super) fn read(text: &str) -> Option<Result<Report, Unreadable>> {
    let fields = Fields::split(text);
    // A talker has two letters. `$P…` is a maker's own: Garmin's PGRMC is no RMC.
    let (talker, kind) = fields.get(0).split_at_checked(2)?;
    if talker.starts_with('P') {
        return None;
    }
    Some(match kind {
        "RMC" => rmc(text, &fields).map(Report::Rmc),
        "GGA" => gga(text, &fields).map(Report::Gga),
        "GNS" => gns(text, &fields),
        "ZDA" => fields.time_ms(1).map(|time_ms| {
            Report::Time(Time { time_ms, midnight_ms: zda(&fields), ..Time::default() })
        }),
        "GST" | "GBS" => time_alone(&fields, 1),
        "GLL" => fields.time_ms(5).map(|time_ms| {
            let seconds = fields.get(6) == "A" && !fields.get(7).starts_with(NO_FIX);
            Report::Time(Time { time_ms, seconds, ..Time::default() })
        }),
        _ => return None,
    })
}

fn rmc(text: &str, fields: &Fields<'_>) -> Result<Rmc, Unreadable> {
    let denies = match fields.get(2) {
        "A" => denied_by_mode(fields).then_some(Cause::Mode),
        _ => Some(Cause::Void),
    };
    if denies.is_some() {
        // Void sentences come in every shape; their time is all that is needed.
        let time_ms = fields.time_ms(1)?;
        return Ok(Rmc { time_ms, midnight_ms: None, degrees: None, knots: None, denies });
    }
    let Basics { time_ms, degrees } = basics(text, fields, 3)?;
    let midnight_ms = fields.date(9).and_then(|(year, month, day)| midnight(year, month, day));
    // A fix doesn't hang on its speed.
    let knots = fields.decimal(7).unwrap_or_default();
    Ok(Rmc { time_ms, midnight_ms, degrees, knots, denies })
}

/// Mode letters of what is no fix: estimated, by hand, simulated, none.
const NO_FIX: [char; 4] = ['E', 'M', 'S', 'N'];

/// Whether the mode letter is one of E M S N. Receivers differ in what they leave out
/// before it:
///
/// ```text
///  10     11  12  13
///  020.3, E , A , V    standard: field 12; size and direction may be empty
///  020.3, E            before 2.3: a direction, and no mode
///       , A , V        no field for the direction: the mode is in 11, the status in 12
///  0    , A            the same with "0" for no size (Motorola T805)
/// ```
///
/// E is a direction only where there is a size for it or a mode after it; a status right
/// after it shows that it is the mode. What can be read both ways denies: a position
/// that may be estimated is none. (`nmea` drops the letter after a variation without a
/// size, which would let an estimated position pass.)
fn denied_by_mode(fields: &Fields<'_>) -> bool {
    let [size, direction, mode] = [10, 11, 12].map(|index| fields.get(index));
    let no_fix = |field: &str| field.starts_with(NO_FIX);
    let mode_in_11 = match (direction.chars().next(), mode.chars().next()) {
        (None | Some('W'), _) => false,
        (Some('E'), None) => matches!(size, "" | "0"),
        (Some('E'), Some(letter)) => matches!(letter, 'S' | 'C' | 'U' | 'V'),
        (Some(_), _) => true,
    };
    // After a mode, S is the status "safe".
    let mode_in_12 = !(mode_in_11 && mode == "S");
    // A size is a number: a letter there is the mode of a receiver without both fields.
    no_fix(size) || (mode_in_11 && no_fix(direction)) || (mode_in_12 && no_fix(mode))
}

fn gga(text: &str, fields: &Fields<'_>) -> Result<Solution, Unreadable> {
    let quality = match fields.get(6) {
        "" | "0" => Err(Cause::NoQuality),
        "1" => Ok(1),
        "2" => Ok(2),
        "3" => Ok(3),
        "4" => Ok(4),
        "5" => Ok(5),
        "6" | "7" | "8" | "9" => Err(Cause::Estimated),
        _ => return Err(Unreadable),
    };
    let doubtful = fields.get(7).parse::<u32>().is_ok_and(|satellites| satellites < SATELLITES);
    solution(text, fields, quality, doubtful)
}

/// A GNS without mode letters is a supplement to another one (IEC 61162-1: the talkers of
/// the single constellations leave fields 2 to 6 empty), not a statement on the fix.
fn gns(text: &str, fields: &Fields<'_>) -> Result<Report, Unreadable> {
    let letters = fields.get(6);
    if letters.is_empty() {
        return time_alone(fields, 1);
    }
    if !letters.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(Unreadable);
    }
    let quality = if letters.contains(['E', 'M', 'S']) {
        Err(Cause::Mode)
    } else {
        // The best of the constellations, in GGA's numbers. V is one maker's N.
        [('R', 4), ('F', 5), ('P', 3), ('D', 2)]
            .into_iter()
            .find_map(|(letter, quality)| letters.contains(letter).then_some(quality))
            .or_else(|| letters.contains(|c| !matches!(c, 'N' | 'V')).then_some(1))
            .ok_or(Cause::NoQuality)
    };
    // GPS is the first letter.
    solution(text, fields, quality, letters.starts_with('N')).map(Report::Gns)
}

fn solution(
    text: &str,
    fields: &Fields<'_>,
    quality: Result<u8, Cause>,
    doubtful: bool,
) -> Result<Solution, Unreadable> {
    if quality.is_err() {
        let time_ms = fields.time_ms(1)?;
        return Ok(Solution { time_ms, degrees: None, quality, hdop: None, doubtful: false });
    }
    let Basics { time_ms, degrees } = basics(text, fields, 2)?;
    // Field 8 is read here, not by `nmea`: its 32 bits make 1.1 greater than a bound of 1.1.
    let hdop = fields.decimal(8)?;
    match degrees {
        Some(_) => Ok(Solution { time_ms, degrees, quality, hdop, doubtful }),
        None => Err(Unreadable),
    }
}

fn zda(fields: &Fields<'_>) -> Option<i64> {
    let number = |index| fields.get(index).parse::<u16>().ok();
    let (day, month) = (number(2)?, number(3)?);
    midnight(number(4)?, month.try_into().ok()?, day.try_into().ok()?)
}

fn time_alone(fields: &Fields<'_>, index: usize) -> Result<Report, Unreadable> {
    fields.time_ms(index).map(|time_ms| Report::Time(Time { time_ms, ..Time::default() }))
}

/// UTC milliseconds at which a date begins; `None` where the calendar has no such day.
fn midnight(year: u16, month: u8, day: u8) -> Option<i64> {
    let [year, month, day] = [i16::try_from(year).ok()?, month.into(), day.into()];
    let date = jiff::civil::Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let start = date.to_datetime(jiff::civil::Time::midnight());
    Some(jiff::tz::TimeZone::UTC.to_timestamp(start).ok()?.as_millisecond())
}

/// What the two readers read alike.
#[derive(Debug, PartialEq)]
struct Basics {
    time_ms: Option<u32>,
    degrees: Option<Degrees>,
}

/// Time and position, the latter from field `position` on.
fn basics(text: &str, fields: &Fields<'_>, position: usize) -> Result<Basics, Unreadable> {
    // Ours reads first because `nmea` doesn't mind 99 minutes of arc or a NaN.
    let ours = basics_by_fields(fields, position)?;
    let by_crate = fields.in_columns(position).then(|| basics_by_crate(text)).flatten();
    Ok(by_crate.unwrap_or(ours))
}

fn basics_by_fields(fields: &Fields<'_>, position: usize) -> Result<Basics, Unreadable> {
    Ok(Basics { time_ms: fields.time_ms(1)?, degrees: fields.degrees(position)? })
}

/// `None` where the crate refuses: over 102 bytes, second 60, an RMC without the E or W of
/// field 11, a day that the calendar hasn't, more than two mode letters in a GNS. Of what
/// it accepts, dates are not taken (years 80 to 82 become 2080 to 2082), nor letters.
fn basics_by_crate(text: &str) -> Option<Basics> {
    let (time, lat, lon) = match nmea::parse_str(text).ok()? {
        ParseResult::RMC(rmc) => (rmc.fix_time, rmc.lat, rmc.lon),
        ParseResult::GGA(gga) => (gga.fix_time, gga.latitude, gga.longitude),
        ParseResult::GNS(gns) => (gns.fix_time, gns.lat, gns.lon),
        _ => return None,
    };
    let time_ms = time.and_then(|time| {
        let micros = time.signed_duration_since(Default::default()).num_microseconds()?;
        u32::try_from((micros + 500).div_euclid(1000)).ok()
    });
    let degrees = lat.zip(lon).map(|(lat, lon)| Degrees { lat, lon });
    Some(Basics { time_ms, degrees })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `$body*hh`.
    fn sealed(body: &str) -> String {
        let sum = body.bytes().fold(0u8, |sum, byte| sum ^ byte);
        format!("${body}*{sum:02X}")
    }

    fn rmc_of(body: &str) -> Rmc {
        match read(&sealed(body)) {
            Some(Ok(Report::Rmc(rmc))) => rmc,
            other => panic!("{body}: {other:?}"),
        }
    }

    fn gga_of(body: &str) -> Solution {
        match read(&sealed(body)) {
            Some(Ok(Report::Gga(gga))) => gga,
            other => panic!("{body}: {other:?}"),
        }
    }

    fn gns_of(letters: &str) -> Solution {
        let body = format!("GNGNS,112257.00,3844.24011,N,00908.43828,W,{letters},03,10.5,,,,");
        match read(&sealed(&body)) {
            Some(Ok(Report::Gns(gns))) => gns,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn a_modern_rmc_is_read_whole() {
        let rmc = rmc_of("GNRMC,071551.000,A,4739.71754,N,12219.58177,W,1.00,286.35,060826,,,A,V");
        assert_eq!(rmc.time_ms, Some(26_151_000));
        assert_eq!(rmc.midnight_ms, Some(1_785_974_400_000));
        assert_eq!(rmc.knots, Some(1.0));
        assert_eq!(rmc.denies, None);
        let degrees = rmc.degrees.unwrap();
        assert!((degrees.lat - 47.661_959).abs() < 1e-9);
        assert!((degrees.lon + 122.326_362_833).abs() < 1e-9);
    }

    #[test]
    fn an_older_rmc_needs_no_mode_letter_and_no_variation() {
        for tail in ["311214,020.3,E", "311214,,", "311214", "311214,0,A", "311214,0", "311214,,,A"]
        {
            let rmc =
                rmc_of(&format!("GPRMC,030719,A,3747.0873,S,17518.8938,E,0.69,181.39,{tail}"));
            assert_eq!((rmc.denies, rmc.midnight_ms), (None, Some(1_419_984_000_000)), "{tail}");
        }
    }

    #[test]
    fn a_mode_letter_of_no_fix_denies_wherever_it_stands() {
        let head = "GPRMC,030719,A,3747.0873,S,17518.8938,E,0.69,181.39,311214";
        for letter in ["E", "M", "S", "N"] {
            for between in [",,,", ",020.3,W,", ",,W,"] {
                let rmc = rmc_of(&format!("{head}{between}{letter}"));
                assert_eq!(rmc.denies, Some(Cause::Mode), "{between}{letter}");
            }
        }
        for letter in ["M", "S", "N"] {
            assert_eq!(rmc_of(&format!("{head},0,{letter}")).denies, Some(Cause::Mode));
        }
        for tail in [",,,A,V", ",,,D,U", ",,,R,N", ",,,F,S", ",020.3,E", ",020.3,E,P,E"] {
            assert_eq!(rmc_of(&format!("{head}{tail}")).denies, None, "{tail}");
        }
    }

    #[test]
    fn without_a_direction_the_mode_is_before_the_status_and_an_e_is_estimated() {
        let head = "GPRMC,030719,A,3747.0873,S,17518.8938,E,0.69,181.39,311224";
        for size in ["", "0"] {
            for tail in ["E", "E,", "E,S", "E,C", "E,U", "E,V", "E,E", "N", "N,V", "M,S", "S,S"] {
                let body = format!("{head},{size},{tail}");
                assert_eq!(rmc_of(&body).denies, Some(Cause::Mode), "{body}");
            }
            for tail in ["A", "A,", "A,S", "A,V", "D,S", "D,C", "R,U", "F,S", "W", "E,A", "W,D"] {
                let body = format!("{head},{size},{tail}");
                assert_eq!(rmc_of(&body).denies, None, "{body}");
            }
        }
        for tail in ["020.3,E,V", "020.3,N,V", "020.3,A,E", "E", "N,V", ",,E"] {
            assert_eq!(rmc_of(&format!("{head},{tail}")).denies, Some(Cause::Mode), "{tail}");
        }
        for tail in ["020.3,E", "000.0,E", "000.0,W", "020.3,A,S", "-20.3,A"] {
            assert_eq!(rmc_of(&format!("{head},{tail}")).denies, None, "{tail}");
        }
    }

    #[test]
    fn in_its_own_field_the_mode_counts_whatever_direction_and_status_say() {
        let head = "GPRMC,030719,A,3747.0873,S,17518.8938,E,0.69,181.39,311224";
        for before in [",", ",E", ",W", "0,E", "0,W", "020.3,", "020.3,E", "020.3,W"] {
            for after in ["", ",", ",S", ",C", ",U", ",V"] {
                for mode in ["A", "D", "F", "P", "R", "E", "M", "N", "S"] {
                    let body = format!("{head},{before},{mode}{after}");
                    let denies = "EMNS".contains(mode).then_some(Cause::Mode);
                    assert_eq!(rmc_of(&body).denies, denies, "{body}");
                }
            }
        }
    }

    #[test]
    fn a_void_rmc_of_any_shape_is_void() {
        for body in [
            "GPRMC,235948.00,V,0000.0000,N,00000.0000,E,,,161206,,,N",
            "GPRMC,235948.00,V,0000.0000,,,N",
            "GPRMC,235948.00,V",
            "GPRMC,235948.00,,,,,,,,,,",
        ] {
            let rmc = rmc_of(body);
            assert_eq!((rmc.denies, rmc.time_ms), (Some(Cause::Void), Some(86_388_000)), "{body}");
        }
        assert_eq!(rmc_of("GPRMC,,V,,,,,,,,,,N").time_ms, None);
    }

    #[test]
    fn a_date_that_is_none_leaves_the_position() {
        for date in ["", "000000", "310215", "0101100"] {
            let rmc =
                rmc_of(&format!("GPRMC,030719,A,3747.0873,S,17518.8938,E,0.69,181.39,{date},,,A"));
            assert_eq!((rmc.midnight_ms, rmc.degrees.is_some()), (None, true), "{date}");
        }
    }

    #[test]
    fn a_speed_that_is_none_leaves_the_position() {
        for speed in ["", "-0.1", "0.6.9", "nan"] {
            let rmc =
                rmc_of(&format!("GPRMC,030719,A,3747.0873,S,17518.8938,E,{speed},,311214,,,A"));
            assert_eq!((rmc.knots, rmc.degrees.is_some()), (None, true), "{speed}");
        }
    }

    #[test]
    fn gga_quality_is_1_to_5_or_says_why_not() {
        let quality = |digit: &str| {
            gga_of(&format!("GPGGA,030719.000,3747.0873,S,17518.8938,E,{digit},08,1.1,59.9,M,,M,,"))
                .quality
        };
        for (digit, expected) in ["1", "2", "3", "4", "5"].into_iter().zip(1..) {
            assert_eq!(quality(digit), Ok(expected));
        }
        assert_eq!(quality(""), Err(Cause::NoQuality));
        assert_eq!(quality("0"), Err(Cause::NoQuality));
        for digit in ["6", "7", "8", "9"] {
            assert_eq!(quality(digit), Err(Cause::Estimated));
        }
    }

    #[test]
    fn a_gga_of_no_quality_is_read_without_a_position() {
        let gga = gga_of("GPGGA,212607.891,,,,,0,00,,,M,0.0,M,,0000");
        assert_eq!((gga.quality, gga.time_ms), (Err(Cause::NoQuality), Some(77_167_891)));
    }

    #[test]
    fn a_gga_that_claims_a_fix_without_a_position_is_unreadable() {
        let body = "GPGGA,212607.891,,,,,1,04,2.2,,M,0.0,M,,0000";
        assert_eq!(read(&sealed(body)), Some(Err(Unreadable)));
    }

    #[test]
    fn a_position_out_of_its_columns_is_read_by_value() {
        let gga = gga_of("GPGGA,212607.891,839.5,N,214.5,E,1,04,2.2,1.0,M,0.0,M,,0000");
        let degrees = gga.degrees.unwrap();
        assert!((degrees.lat - 8.658_333_333).abs() < 1e-6, "{degrees:?}");
        assert!((degrees.lon - 2.241_666_667).abs() < 1e-6, "{degrees:?}");
        let gga = gga_of("GPGGA,212607.891,0839.5,N,1131.324,E,1,04,2.2,1.0,M,0.0,M,,0000");
        assert!((gga.degrees.unwrap().lon - 11.522_066_667).abs() < 1e-6);
    }

    #[test]
    fn gns_letters_count_one_by_one() {
        assert_eq!(gns_of("AN").quality, Ok(1));
        assert_eq!(gns_of("NA").quality, Ok(1));
        assert_eq!(gns_of("NNAN").quality, Ok(1));
        assert_eq!(gns_of("DAAN").quality, Ok(2));
        assert_eq!(gns_of("PAAN").quality, Ok(3));
        assert_eq!(gns_of("RRNN").quality, Ok(4));
        assert_eq!(gns_of("FNNNNN").quality, Ok(5));
        assert_eq!(gns_of("N").quality, Err(Cause::NoQuality));
        assert_eq!(gns_of("NNNN").quality, Err(Cause::NoQuality));
        for refused in ["E", "AE", "NE", "M", "NS", "AAAS"] {
            assert_eq!(gns_of(refused).quality, Err(Cause::Mode), "{refused}");
        }
        assert_eq!(gns_of("AN").hdop, Some(10.5));
    }

    #[test]
    fn a_gns_supplement_says_nothing_of_the_fix() {
        let read = read(&sealed("GPGNS,122310.2,,,,,,07,,,,5.2,23"));
        let expected = Report::Time(Time { time_ms: Some(44_590_200), ..Time::default() });
        assert_eq!(read, Some(Ok(expected)));
    }

    #[test]
    fn second_60_and_140_bytes_are_read_though_the_crate_refuses_them() {
        let zeros = "0".repeat(55);
        let body =
            format!("GNGGA,235960.00,4552.65403{zeros},S,17030.00668,E,1,12,0.64,14.2,M,1.8,M,,");
        assert!(body.len() > 102);
        assert_eq!(basics_by_crate(&sealed(&body)), None);
        let gga = gga_of(&body);
        assert_eq!(gga.time_ms, Some(86_400_000));
        assert!((gga.degrees.unwrap().lat + 45.877_567_166).abs() < 1e-6);
    }

    #[test]
    fn garbage_in_a_field_that_a_fix_needs_makes_the_sentence_unreadable() {
        for body in [
            "GPRMC,03071x,A,3747.0873,S,17518.8938,E,0.69,181.39,311214,,,A",
            "GPRMC,030719,A,3747.0873,S,17518.8938,Q,0.69,181.39,311214,,,A",
            "GPGGA,030719.000,3799.0873,S,17518.8938,E,1,08,1.1,59.9,M,23.7,M,,",
            "GPGGA,030719.000,3747.0873,S,17518.8938,E,1,08,nan,59.9,M,23.7,M,,",
            "GPGGA,030719.000,3747.0873,S,17518.8938,E,x,08,1.1,59.9,M,23.7,M,,",
            "GPGNS,030719.000,3747.0873,S,17518.8938,E,a?,08,1.1,59.9,23.7,,",
        ] {
            assert_eq!(read(&sealed(body)), Some(Err(Unreadable)), "{body}");
        }
    }

    #[test]
    fn any_talker_is_heard_but_a_makers_own_sentence_is_not() {
        for talker in ["GP", "GN", "GL", "GA", "GB", "BD", "QZ", "II", "IN", "SN"] {
            assert!(read(&sealed(&format!("{talker}RMC,030719,V"))).is_some());
        }
        for body in
            ["PGRMC,A,218.8,100", "PSRF103,00,01,00,01", "GPGSV,1,1,00", "GPRMCX,1", "RMC,030719,V"]
        {
            assert_eq!(read(&sealed(body)), None, "{body}");
        }
    }

    #[test]
    fn zda_brings_a_date_of_four_digits() {
        let read = read(&sealed("GPZDA,202640.000,13,04,2015,,"));
        let expected = Time {
            time_ms: Some(73_600_000),
            midnight_ms: Some(1_428_883_200_000),
            seconds: false,
        };
        assert_eq!(read, Some(Ok(Report::Time(expected))));
    }

    proptest! {
        #[test]
        fn where_the_crate_accepts_our_reading_is_the_same(
            (hour, minute, second, ms) in (0u32..24, 0u32..60, 0u32..60, 0u32..1000),
            (lat, lat_min) in (0u32..90, 0u32..600_000),
            (lon, lon_min) in (0u32..180, 0u32..600_000),
            ns in "[NS]",
            ew in "[EW]",
            kind in 0..3,
        ) {
            let time = format!("{hour:02}{minute:02}{second:02}.{ms:03}");
            let place = format!(
                "{lat:02}{:02}.{:04},{ns},{lon:03}{:02}.{:04},{ew}",
                lat_min / 10_000, lat_min % 10_000, lon_min / 10_000, lon_min % 10_000,
            );
            let (body, position) = match kind {
                0 => (format!("GNRMC,{time},A,{place},0.1,9.9,180320,11.5,E,D"), 3),
                1 => (format!("GPGGA,{time},{place},1,08,1.1,59.9,M,23.7,M,,0000"), 2),
                _ => (format!("GNGNS,{time},{place},AN,08,1.1,59.9,23.7,,"), 2),
            };
            let text = sealed(&body);
            let ours = basics_by_fields(&Fields::split(&text), position).unwrap();
            let theirs = basics_by_crate(&text).unwrap();
            prop_assert_eq!(ours.time_ms, theirs.time_ms);
            let (ours, theirs) = (ours.degrees.unwrap(), theirs.degrees.unwrap());
            prop_assert!((ours.lat - theirs.lat).abs() < 1e-9);
            prop_assert!((ours.lon - theirs.lon).abs() < 1e-9);
        }

        #[test]
        fn no_sentence_with_a_good_checksum_panics(
            kind in "(GPRMC|GNGGA|GNGNS|GPZDA|GPGLL|GPGSA|[A-Z]{1,6})",
            fields in "(,([0-9.]{0,11}|[ADEMNSVWFPR]{0,4}|[ -)+-~]{0,9})){0,20}",
        ) {
            let _ = read(&sealed(&format!("{kind}{fields}")));
        }

        #[test]
        fn a_crate_that_accepts_never_contradicts_our_fields(
            time in "[0-9]{4,7}(\\.[0-9]{0,4})?",
            lat in "[0-9+-]{1,5}(\\.[0-9e]{0,5})?",
            lon in "[0-9+-]{1,6}(\\.[0-9e]{0,5})?",
        ) {
            let text = sealed(&format!("GPGGA,{time},{lat},N,{lon},E,1,08,1.1,59.9,M,23.7,M,,"));
            if let (Some(Ok(Report::Gga(read))), Ok(ours)) =
                (read(&text), basics_by_fields(&Fields::split(&text), 2))
            {
                prop_assert_eq!(read.time_ms, ours.time_ms);
                let (read, ours) = (read.degrees.unwrap(), ours.degrees.unwrap());
                prop_assert!((read.lat - ours.lat).abs() < 1e-9, "{}", text);
                prop_assert!((read.lon - ours.lon).abs() < 1e-9, "{}", text);
            }
        }
    }
}
