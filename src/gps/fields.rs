//! A sentence's fields by their place, and the few forms of value that fixes need: time
//! of day, degrees, plain decimals, dates. Strict about what it takes for a number, so
//! that no garbage becomes a place.
//!
//! Knows no sentence by name.

/// A field that says something which can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// A position in degrees, north and east positive; not yet known to be on the globe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Degrees {
    pub lat: f64,
    pub lon: f64,
}

/// The fields between the address and `*`, counted from 1 as in the standard; 0 is the
/// address. A field that isn't there reads as an empty one.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<&'a str>);

impl<'a> Fields<'a> {
    /// Splits `$…*hh`.
    pub fn split(text: &'a str) -> Self {
        let body = text.strip_prefix('$').unwrap_or(text);
        let body = body.rsplit_once('*').map_or(body, |(body, _)| body);
        Self(body.split(',').map(str::trim).collect())
    }

    /// The field's text.
    pub fn get(&self, index: usize) -> &'a str {
        self.0.get(index).copied().unwrap_or_default()
    }

    /// `hhmmss` or `hhmmss.s…` as milliseconds of the day. Second 60 is taken: receivers
    /// send it in a leap second.
    pub fn time_ms(&self, index: usize) -> Result<Option<u32>, Unreadable> {
        let text = self.get(index);
        if text.is_empty() {
            return Ok(None);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let [hour, minute, second] = pairs(whole).ok_or(Unreadable)?;
        if hour > 23 || minute > 59 || second > 60 {
            return Err(Unreadable);
        }
        let second_ms = match fraction {
            "" => 0,
            digits => (unsigned(&format!("0.{digits}"))? * 1000.0).round() as u32,
        };
        Ok(Some((hour * 3600 + minute * 60 + second) * 1000 + second_ms))
    }

    /// Latitude, N or S, longitude, E or W: four fields from `index` on. `None` where all
    /// four are empty.
    pub fn degrees(&self, index: usize) -> Result<Option<Degrees>, Unreadable> {
        if (index..index + 4).all(|i| self.get(i).is_empty()) {
            return Ok(None);
        }
        let lat = angle(self.get(index))?;
        let lat = signed(lat, self.get(index + 1), "N", "S")?;
        let lon = angle(self.get(index + 2))?;
        let lon = signed(lon, self.get(index + 3), "E", "W")?;
        Ok(Some(Degrees { lat, lon }))
    }

    /// Whether both angles are as wide as the standard wants them, `ddmm` and `dddmm`: a
    /// parser that counts columns misreads any other.
    pub fn in_columns(&self, index: usize) -> bool {
        let whole = |i: usize| self.get(i).split('.').next().map_or(0, str::len);
        whole(index) == 4 && whole(index + 2) == 5
    }

    /// A decimal without sign; `None` where the field is empty.
    pub fn decimal(&self, index: usize) -> Result<Option<f64>, Unreadable> {
        match self.get(index) {
            "" => Ok(None),
            text => unsigned(text).map(Some),
        }
    }

    /// `ddmmyy` as year, month, day. Years from 80 on are the last century's: GPS time
    /// begins in January 1980. `None` for anything else; the calendar is not checked.
    pub fn date(&self, index: usize) -> Option<(u16, u8, u8)> {
        let [day, month, year] = pairs(self.get(index))?;
        let year = year + if year >= 80 { 1900 } else { 2000 };
        Some((year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?))
    }
}

/// Three numbers of two digits each.
fn pairs(text: &str) -> Option<[u32; 3]> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(10)).collect::<Option<_>>()?;
    match digits.as_slice() {
        &[a, b, c, d, e, f] => Some([a * 10 + b, c * 10 + d, e * 10 + f]),
        _ => None,
    }
}

/// Digits with at most one point among them: no sign, exponent, infinity or NaN, all of
/// which `f64::from_str` would take.
fn unsigned(text: &str) -> Result<f64, Unreadable> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten().ok_or(Unreadable)
}

/// `dddmm.mmmm`: the two digits before the point are minutes, what is before them is
/// degrees, so that a receiver which leaves out leading zeros is read by value.
fn angle(text: &str) -> Result<f64, Unreadable> {
    let whole = text.split('.').next().map_or(0, str::len);
    if whole == 0 || whole > 5 {
        return Err(Unreadable);
    }
    let (degrees, minutes) = text.split_at_checked(whole.saturating_sub(2)).ok_or(Unreadable)?;
    let degrees = if degrees.is_empty() { 0.0 } else { unsigned(degrees)? };
    let minutes = unsigned(minutes)?;
    // 60.0000 is what 59.99999 becomes where a receiver rounds late.
    if minutes > 60.0 { Err(Unreadable) } else { Ok(degrees + minutes / 60.0) }
}

fn signed(angle: f64, side: &str, plus: &str, minus: &str) -> Result<f64, Unreadable> {
    match side {
        side if side == plus => Ok(angle),
        side if side == minus => Ok(-angle),
        _ => Err(Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Fields<'_> {
        Fields(vec!["", text])
    }

    #[test]
    fn time_of_day_takes_any_number_of_decimals_and_second_60() {
        assert_eq!(one("030719.000").time_ms(1), Ok(Some(11_239_000)));
        assert_eq!(one("132819.7").time_ms(1), Ok(Some(48_499_700)));
        assert_eq!(one("000345.03").time_ms(1), Ok(Some(225_030)));
        assert_eq!(one("123519").time_ms(1), Ok(Some(45_319_000)));
        assert_eq!(one("235960.5").time_ms(1), Ok(Some(86_400_500)));
        assert_eq!(one("").time_ms(1), Ok(None));
        assert_eq!(Fields(vec![]).time_ms(1), Ok(None));
    }

    #[test]
    fn what_is_no_time_of_day_is_unreadable() {
        for bad in ["240000", "126000", "120061", "1234", "12345a", "1234567", "+12345"] {
            assert_eq!(one(bad).time_ms(1), Err(Unreadable), "{bad}");
        }
        for bad in ["-23456", "123456.-5", "123456.1e9", "123456.1.2", "now"] {
            assert_eq!(one(bad).time_ms(1), Err(Unreadable), "{bad}");
        }
    }

    fn place<'a>(lat: &'a str, ns: &'a str, lon: &'a str, ew: &'a str) -> Fields<'a> {
        Fields(vec!["", lat, ns, lon, ew])
    }

    #[test]
    fn degrees_are_read_by_value_with_or_without_leading_zeros() {
        let close = |fields: Fields<'_>, lat: f64, lon: f64| {
            let read = fields.degrees(1).unwrap().unwrap();
            assert!((read.lat - lat).abs() < 1e-9 && (read.lon - lon).abs() < 1e-9, "{read:?}");
        };
        close(place("4807.038", "N", "01131.324", "E"), 48.1173, 11.522_066_666_7);
        close(place("807.038", "S", "1131.324", "W"), -8.1173, -11.522_066_666_7);
        close(place("7.5", "N", "0", "E"), 0.125, 0.0);
        close(place("4760.0000", "N", "01100.0", "E"), 48.0, 11.0);
        assert_eq!(place("", "", "", "").degrees(1), Ok(None));
    }

    #[test]
    fn half_a_position_or_a_malformed_one_is_unreadable() {
        for bad in [
            ("4807.038", "N", "", ""),
            ("4807.038", "", "01131.324", "E"),
            ("4807.038", "N", "01131.324", "N"),
            ("4861.0", "N", "01131.324", "E"),
            ("nan", "N", "01131.324", "E"),
            ("4807.0.38", "N", "01131.324", "E"),
            ("48+7.038", "N", "01131.324", "E"),
            ("4807.038", "N", "123456.7", "E"),
            (".038", "N", "01131.324", "E"),
        ] {
            assert_eq!(place(bad.0, bad.1, bad.2, bad.3).degrees(1), Err(Unreadable), "{bad:?}");
        }
    }

    #[test]
    fn decimals_are_plain() {
        assert_eq!(one("0.91").decimal(1), Ok(Some(0.91)));
        assert_eq!(one(".9").decimal(1), Ok(Some(0.9)));
        assert_eq!(one("").decimal(1), Ok(None));
        for bad in ["-1", "+1", "1e3", "inf", "NaN", ".", "1,2", "0x1"] {
            assert_eq!(one(bad).decimal(1), Err(Unreadable), "{bad}");
        }
    }

    #[test]
    fn a_date_is_of_the_century_in_which_gps_was_there() {
        assert_eq!(one("060180").date(1), Some((1980, 1, 6)));
        assert_eq!(one("311282").date(1), Some((1982, 12, 31)));
        assert_eq!(one("220899").date(1), Some((1999, 8, 22)));
        assert_eq!(one("311279").date(1), Some((2079, 12, 31)));
        for none in ["", "0101100", "01012", "0x0115"] {
            assert_eq!(one(none).date(1), None, "{none}");
        }
    }
}
