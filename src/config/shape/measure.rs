//! Values that are text with a meaning: times, sizes, a serial line's framing, an address
//! to listen at.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use config::ValueKind;

use super::super::key::Refusal;
use super::super::{Framing, Parity};
use super::{Shape, excerpt, quoted, text};

/// A length of time with its unit.
#[derive(Debug)]
pub struct Time;
/// A number of bytes with its unit.
#[derive(Debug)]
pub struct Size;
/// `8N1` and the like.
#[derive(Debug)]
pub struct Line;
/// Address and port, or empty text.
#[derive(Debug)]
pub struct Listen;

impl Shape for Time {
    type Of = Duration;
    const KIND: &'static str = "a time with its unit, as in \"5s\"";
    fn read(value: &ValueKind) -> Result<Duration, Refusal> {
        let text = text(Self::KIND, value)?;
        humantime::parse_duration(text).map_err(|_| {
            format!(
                "\"{}\" isn't a time: write \"1500ms\", \"5s\", \"5m\", \"2h\" or \"3y\"",
                excerpt(text)
            )
            .into()
        })
    }
    fn write(value: &Duration) -> Option<String> {
        Some(quoted(&time_text(*value)))
    }
}

impl Shape for Size {
    type Of = u64;
    const KIND: &'static str = "a size with its unit, as in \"256 KiB\"";
    fn read(value: &ValueKind) -> Result<u64, Refusal> {
        let text = text(Self::KIND, value)?;
        text.parse::<bytesize::ByteSize>().map(|size| size.as_u64()).map_err(|_| {
            format!(
                "\"{}\" isn't a size: write \"256 KiB\", \"64 MiB\" or \"8 GiB\"",
                excerpt(text)
            )
            .into()
        })
    }
    fn write(value: &u64) -> Option<String> {
        Some(quoted(&size_text(*value)))
    }
}

impl Shape for Line {
    type Of = Framing;
    const KIND: &'static str = "data bits, parity and stop bits, as in \"8N1\"";
    fn read(value: &ValueKind) -> Result<Framing, Refusal> {
        let text = text(Self::KIND, value)?;
        let wrong = || {
            format!(
                "\"{}\" isn't a framing: write 7 or 8, then N, E or O, then 1 or 2, as in \"8N1\"",
                excerpt(text)
            )
        };
        let (data_bits, parity, stop_bits) = match text.as_bytes() {
            [d @ (b'7' | b'8'), p, s @ (b'1' | b'2')] => {
                (d - b'0', p.to_ascii_uppercase(), s - b'0')
            }
            _ => return Err(wrong().into()),
        };
        let parity = match parity {
            b'N' => Parity::None,
            b'E' => Parity::Even,
            b'O' => Parity::Odd,
            _ => return Err(wrong().into()),
        };
        Ok(Framing { data_bits, parity, stop_bits })
    }
    fn write(value: &Framing) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}

impl Shape for Listen {
    type Of = Option<SocketAddr>;
    const KIND: &'static str = "an address with its port, or empty";
    fn read(value: &ValueKind) -> Result<Self::Of, Refusal> {
        let text = text(Self::KIND, value)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| format!("\"{}\" isn't an address with a port: write \"127.0.0.1:8377\", or \"\" to turn it off", excerpt(text)).into())
    }
    fn write(value: &Self::Of) -> Option<String> {
        Some(quoted(&value.map(|address| address.to_string()).unwrap_or_default()))
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{}{parity}{}", self.data_bits, self.stop_bits)
    }
}

/// A time in the largest unit that divides it: `5s`, `1500ms`, `3y`. A year is 365.25
/// days, as `humantime` has it.
pub fn time_text(time: Duration) -> String {
    const UNITS: [(u128, &str); 8] = [
        (31_557_600_000_000_000, "y"),
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let ns = time.as_nanos();
    UNITS
        .iter()
        .find(|(unit, _)| ns > 0 && ns.is_multiple_of(*unit))
        .map_or_else(|| "0s".to_string(), |(unit, name)| format!("{}{name}", ns / unit))
}

/// A size in the largest binary unit that divides it: `256 KiB`.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    UNITS
        .iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn given(text: &str) -> ValueKind {
        ValueKind::String(text.into())
    }

    #[test]
    fn times_and_sizes_need_a_unit_and_mean_what_they_say() {
        assert_eq!(Time::read(&given("1500ms")).unwrap(), Duration::from_millis(1500));
        assert_eq!(Time::read(&given("0s")).unwrap(), Duration::ZERO);
        assert_eq!(Time::read(&given("3y")).unwrap().as_secs(), 3 * 31_557_600);
        assert_eq!(Size::read(&given("256 KiB")).unwrap(), 262_144);
        for bad in ["5", "", "5 parsecs", "-5s", "inf", "nan"] {
            assert!(Time::read(&given(bad)).is_err(), "{bad}");
        }
        for bad in ["", "KiB", "-1 KiB", "inf", "nan MiB", "3 acres"] {
            assert!(Size::read(&given(bad)).is_err(), "{bad}");
        }
        assert!(Time::read(&ValueKind::I64(5)).is_err());
    }

    #[test]
    fn framing_is_three_characters_of_a_real_line() {
        assert_eq!(Line::read(&given("7e2")).unwrap().to_string(), "7E2");
        for bad in ["", "8N", "9N1", "8X1", "8N3", "8N1 ", "8Ñ1"] {
            assert!(Line::read(&given(bad)).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_written_time_reads_back(ns in 0u64..4_000_000_000_000_000_000) {
            let time = Duration::from_nanos(ns);
            prop_assert_eq!(Time::read(&given(&time_text(time))).unwrap(), time);
        }

        #[test]
        fn a_written_size_reads_back(bytes in any::<u64>(), shift in 0u32..64) {
            let bytes = bytes >> shift;
            prop_assert_eq!(Size::read(&given(&size_text(bytes))).unwrap(), bytes);
        }

        #[test]
        fn no_text_makes_a_shape_panic(text in ".{0,20}") {
            let value = given(&text);
            let _ = (Time::read(&value), Size::read(&value), Line::read(&value), Listen::read(&value));
        }
    }
}
