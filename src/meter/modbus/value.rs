//! Registers as the number or text that they stand for. Pure; knows neither where they were
//! read nor what they measure.
//!
//! A number longer than a register has its bytes in one of four orders, named by where A, its
//! highest byte of four, ends up. Here for 0x12345678, and by the same rule for three and four
//! registers:
//!
//! ```text
//! ABCD  1234 5678     high register first
//! CDAB  5678 1234     low register first
//! BADC  3412 7856     high register first, bytes of each swapped
//! DCBA  7856 3412     low register first, bytes of each swapped
//! ```

use crate::meter::profile::registers::{Holds, Order, Register};

/// What registers stand for.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i128),
    /// A number that is finite.
    Real(f64),
    /// Printable ASCII.
    Text(String),
}

impl Value {
    /// As a number; `None` for text.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(*integer as f64),
            Self::Real(real) => Some(*real),
            Self::Text(_) => None,
        }
    }

    /// As an integer, where it is one or is exactly that much.
    pub fn integer(&self) -> Option<i128> {
        /// Up to here every integer is a number of its own (2⁵³).
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Real(real) if real.fract() == 0.0 && real.abs() <= EXACT => Some(*real as i128),
            Self::Real(_) | Self::Text(_) => None,
        }
    }
}

/// What a register, and those that belong to it, stand for as they came; see [`value`]. Of
/// a number of which only some bits are meant, these.
pub fn of_register(register: &Register, words: &[u16]) -> Option<Value> {
    match (value(register.holds, register.order, words)?, register.bits) {
        (Value::Integer(integer), Some(bits)) => {
            let width = u32::from(bits.last.checked_sub(bits.first)?) + 1;
            let mask = 1_i128.checked_shl(width)? - 1;
            Some(Value::Integer(integer.checked_shr(bits.first.into())? & mask))
        }
        (value, _) => Some(value),
    }
}

/// What these registers stand for, as they came; `None` where there are too few or too many,
/// and where they are no number, no digits or no text.
pub fn value(holds: Holds, order: Order, registers: &[u16]) -> Option<Value> {
    if registers.len() != usize::from(holds.words()) {
        return None;
    }
    let swaps_bytes = matches!(order, Order::Badc | Order::Dcba);
    let swapped = registers.iter().map(|r| if swaps_bytes { r.swap_bytes() } else { *r });
    if let Holds::Text(chars) = holds {
        // Characters stand one after the other whatever the order of the registers in a number.
        let bytes = swapped.flat_map(u16::to_be_bytes).take(chars.into()).collect::<Vec<u8>>();
        return text(&bytes);
    }
    if registers.len() > 4 {
        return None;
    }
    let mut words: Vec<u16> = swapped.collect();
    if matches!(order, Order::Cdab | Order::Dcba) {
        words.reverse();
    }
    let bits = words.iter().fold(0_u64, |bits, word| bits << 16 | u64::from(*word));
    let real = |real: f64| real.is_finite().then_some(Value::Real(real));
    match holds {
        Holds::U16 | Holds::U32 | Holds::U48 | Holds::U64 => Some(Value::Integer(bits.into())),
        Holds::I16 => Some(Value::Integer((bits as u16).cast_signed().into())),
        Holds::I32 => Some(Value::Integer((bits as u32).cast_signed().into())),
        Holds::F32 => real(f32::from_bits(bits as u32).into()),
        Holds::F64 => real(f64::from_bits(bits)),
        Holds::Bcd(_) => digits(bits, words.len() * 4).map(Value::Integer),
        Holds::Text(_) => None,
    }
}

fn digits(bits: u64, count: usize) -> Option<i128> {
    (0..count).rev().try_fold(0, |sum: i128, at| {
        let digit = bits >> (4 * at) & 0xF;
        (digit < 10).then_some(sum * 10 + i128::from(digit))
    })
}

fn text(bytes: &[u8]) -> Option<Value> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?.trim_matches(' ');
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    printable.then(|| Value::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::meter::profile::registers::{Bits, Function};

    fn number(kind: Holds, order: Order, registers: &[u16]) -> f64 {
        value(kind, order, registers).unwrap().number().unwrap()
    }

    #[test]
    fn the_tuf_2000m_tells_its_rate_low_register_first() {
        let rate = number(Holds::F32, Order::Cdab, &[0x806B, 0x4212]);
        assert!((rate - 36.625).abs() < 0.001, "{rate}");
        assert_eq!(rate, f64::from(f32::from_bits(0x4212_806B)));
    }

    #[test]
    fn the_fluidwell_tells_its_total_in_48_bits_low_register_first() {
        let total = value(Holds::U48, Order::Cdab, &[0x6CD0, 0x0002, 0x0000]);
        assert_eq!(total, Some(Value::Integer(158_928)));
    }

    #[test]
    fn each_order_reads_what_stands_in_it() {
        let orders = [
            (Order::Abcd, [0x1234, 0x5678]),
            (Order::Cdab, [0x5678, 0x1234]),
            (Order::Badc, [0x3412, 0x7856]),
            (Order::Dcba, [0x7856, 0x3412]),
        ];
        for (order, registers) in orders {
            let read = value(Holds::U32, order, &registers);
            assert_eq!(read, Some(Value::Integer(0x1234_5678)), "{order:?}");
        }
        assert_eq!(value(Holds::U16, Order::Dcba, &[0x3412]), Some(Value::Integer(0x1234)));
        let little = value(Holds::U64, Order::Dcba, &[0x0807, 0x0605, 0x0403, 0x0201]);
        assert_eq!(little, Some(Value::Integer(0x0102_0304_0506_0708)));
    }

    #[test]
    fn signs_are_kept_and_the_greatest_counts_are_whole() {
        let integer = |kind, registers: &[u16]| value(kind, Order::Abcd, registers).unwrap();
        assert_eq!(integer(Holds::I16, &[0xFFFE]), Value::Integer(-2));
        assert_eq!(integer(Holds::I32, &[0xFFFF, 0xFFFE]), Value::Integer(-2));
        assert_eq!(integer(Holds::U16, &[0xFFFE]), Value::Integer(65_534));
        assert_eq!(integer(Holds::U64, &[0xFFFF; 4]), Value::Integer(u64::MAX.into()));
        assert_eq!(integer(Holds::U48, &[0xFFFF; 3]), Value::Integer((1 << 48) - 1));
    }

    #[test]
    fn decimal_digits_are_read_and_others_are_no_value() {
        let bcd =
            |registers: &[u16]| value(Holds::Bcd(registers.len() as u16), Order::Abcd, registers);
        assert_eq!(bcd(&[0x1234, 0x5678]), Some(Value::Integer(12_345_678)));
        assert_eq!(bcd(&[0x9999; 4]), Some(Value::Integer(9_999_999_999_999_999)));
        assert_eq!(bcd(&[0x12A4]), None);
    }

    #[test]
    fn what_is_no_number_and_no_text_is_no_value() {
        assert_eq!(value(Holds::F32, Order::Abcd, &[0x7FC0, 0]), None, "NaN");
        assert_eq!(value(Holds::F32, Order::Abcd, &[0x7F80, 0]), None, "infinite");
        assert_eq!(value(Holds::F64, Order::Abcd, &[0xFFF0, 0, 0, 0]), None, "infinite");
        assert_eq!(value(Holds::U32, Order::Abcd, &[1]), None, "too few");
        assert_eq!(value(Holds::U16, Order::Abcd, &[1, 2]), None, "too many");
        assert_eq!(value(Holds::Text(2), Order::Abcd, &[0x0741]), None, "a bell");
    }

    #[test]
    fn text_ends_at_its_padding_and_may_have_its_bytes_swapped() {
        let text = |order, registers: &[u16]| value(Holds::Text(6), order, registers);
        let expected = Some(Value::Text("AB12".to_owned()));
        assert_eq!(text(Order::Abcd, &[0x4142, 0x3132, 0]), expected);
        assert_eq!(text(Order::Abcd, &[0x4142, 0x3132, 0x2020]), expected);
        assert_eq!(text(Order::Cdab, &[0x4142, 0x3132, 0]), expected);
        assert_eq!(text(Order::Badc, &[0x4241, 0x3231, 0]), expected);
    }

    #[test]
    fn some_bits_of_a_register_are_a_number_of_their_own() {
        let register = |bits| Register {
            function: Function::Holding,
            address: 0,
            holds: Holds::U16,
            order: Order::Abcd,
            bits,
        };
        let of = |first, last| of_register(&register(Some(Bits { first, last })), &[0xA5F0]);
        assert_eq!(of(4, 7), Some(Value::Integer(0xF)));
        assert_eq!(of(8, 11), Some(Value::Integer(5)));
        assert_eq!(of(15, 15), Some(Value::Integer(1)));
        assert_eq!(of(0, 15), Some(Value::Integer(0xA5F0)));
        assert_eq!(of_register(&register(None), &[7]), Some(Value::Integer(7)));
    }

    #[test]
    fn a_number_with_a_fraction_is_no_count() {
        assert_eq!(Value::Real(7.0).integer(), Some(7));
        assert_eq!(Value::Real(7.5).integer(), None);
        assert_eq!(Value::Real(1e17).integer(), None);
    }

    proptest! {
        #[test]
        fn any_registers_of_any_type_are_read_without_harm(
            registers in proptest::collection::vec(any::<u16>(), 0..9),
            kind in 0..10,
            long in 0_u16..9,
            order in 0_usize..4,
        ) {
            let kind = match kind {
                0 => Holds::U16,
                1 => Holds::I16,
                2 => Holds::U32,
                3 => Holds::I32,
                4 => Holds::U48,
                5 => Holds::U64,
                6 => Holds::F32,
                7 => Holds::F64,
                8 => Holds::Bcd(long),
                _ => Holds::Text(long),
            };
            let order = [Order::Abcd, Order::Badc, Order::Cdab, Order::Dcba][order];
            if let Some(read) = value(kind, order, &registers) {
                prop_assert!(read.number().is_none_or(f64::is_finite));
                prop_assert_eq!(registers.len(), usize::from(kind.words()));
            }
        }
    }
}
