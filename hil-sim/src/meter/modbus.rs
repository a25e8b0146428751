//! A Modbus RTU slave: which question it takes, and the bytes of its answer. Knows no meter
//! and no port.
//!
//! ```text
//! question  unit | 03 or 04 | first register | how many | CRC lo hi        8 bytes
//! answer    unit | function | bytes          | registers, high byte first … | CRC lo hi
//! refusal   unit | function + 80h | code     | CRC lo hi                   5 bytes
//! ```
//!
//! MODBUS Application Protocol V1.1b3, 6.3, 6.4 and 7; MODBUS over Serial Line V1.02, 2.5.1.

use super::Part;
use super::registers::{Registers, Table};

/// A question of function 03 or 04 has this many bytes.
pub(super) const QUESTION: usize = 8;

/// The most registers of one question.
const MOST: u16 = 125;

/// Exception codes: function, address, value.
const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;

/// Bytes that go back, and what they tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) tells: Vec<Part>,
}

/// What a slave answers; silence to another's question, and to one that is damaged.
pub(super) fn answer(question: &[u8], unit: u8, registers: &Registers) -> Option<Answer> {
    let [to, function, first_hi, first_lo, many_hi, many_lo, ..] = *question else {
        return None;
    };
    if question.len() != QUESTION || !is_whole(question) || to != unit {
        return None;
    }
    let first = u16::from_be_bytes([first_hi, first_lo]);
    let many = u16::from_be_bytes([many_hi, many_lo]);
    let refusal = |code| Some(Answer { bytes: refusal(unit, function, code), tells: Vec::new() });
    let table = match function {
        3 if registers.has(Table::Holding) => Table::Holding,
        4 if registers.has(Table::Input) => Table::Input,
        _ => return refusal(ILLEGAL_FUNCTION),
    };
    if !(1..=MOST).contains(&many) {
        return refusal(ILLEGAL_VALUE);
    }
    let Some(words) = registers.read(table, first, many) else {
        return refusal(ILLEGAL_ADDRESS);
    };
    let mut bytes = vec![unit, function, (2 * words.len()) as u8];
    bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    Some(Answer { bytes: with_crc(bytes), tells: registers.parts(table, first, many) })
}

/// A refusal.
pub(super) fn refusal(unit: u8, function: u8, code: u8) -> Vec<u8> {
    with_crc(vec![unit, function | 0x80, code])
}

/// The frame with its checksum.
pub(super) fn with_crc(mut frame: Vec<u8>) -> Vec<u8> {
    let crc = crc16(&frame);
    frame.extend(crc.to_le_bytes());
    frame
}

/// Whether a frame ends in its own checksum.
pub(super) fn is_whole(frame: &[u8]) -> bool {
    let Some((body, crc)) = frame.split_last_chunk::<2>() else {
        return false;
    };
    !body.is_empty() && crc16(body) == u16::from_le_bytes(*crc)
}

/// CRC-16/MODBUS: reflected 8005h, from FFFFh.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn registers() -> Registers {
        let mut registers = Registers::default();
        registers.open(Table::Holding, 0..=9);
        registers.put(Table::Holding, 4, &[0x6B80, 0x4212], Some(Part::Rate));
        registers
    }

    fn asked(unit: u8, function: u8, first: u16, many: u16) -> Option<Vec<u8>> {
        let [[a, b], [c, d]] = [first.to_be_bytes(), many.to_be_bytes()];
        let question = with_crc(vec![unit, function, a, b, c, d]);
        answer(&question, 1, &registers()).map(|answer| answer.bytes)
    }

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        // Check value of CRC-16/MODBUS, and the example of the serial line guide, 6.2.2.
        assert_eq!(crc16(b"123456789"), 0x4B37);
        assert_eq!(crc16(&[0x02, 0x07]), 0x1241);
    }

    #[test]
    fn a_question_is_answered_refused_by_its_cause_or_not_for_us() {
        assert_eq!(asked(1, 3, 4, 2).unwrap()[..7], [1, 3, 4, 0x6B, 0x80, 0x42, 0x12]);
        assert_eq!(asked(1, 3, 9, 1).unwrap()[..5], [1, 3, 2, 0, 0]);
        assert_eq!(asked(1, 4, 4, 2).unwrap()[..3], [1, 0x84, 1]);
        assert_eq!(asked(1, 3, 9, 2).unwrap()[..3], [1, 0x83, 2]);
        assert_eq!(asked(1, 3, 0xFFFF, 2).unwrap()[..3], [1, 0x83, 2]);
        assert_eq!(asked(1, 3, 4, 0).unwrap()[..3], [1, 0x83, 3]);
        assert_eq!(asked(1, 3, 4, 126).unwrap()[..3], [1, 0x83, 3]);
        assert_eq!(asked(2, 3, 4, 2), None);
        assert!(is_whole(&asked(1, 3, 4, 2).unwrap()));
    }

    #[test]
    fn an_answer_says_what_it_tells() {
        let tells = |first: u8, many: u8| {
            let question = with_crc(vec![1, 3, 0, first, 0, many]);
            answer(&question, 1, &registers()).unwrap().tells
        };
        assert_eq!(tells(0, 10), [Part::Rate]);
        assert_eq!(tells(4, 1), [], "half a number tells nothing");
    }

    proptest! {
        #[test]
        fn no_damaged_question_is_answered(
            at in 0_usize..8, bit in 0_u8..8, first in 0_u8..9,
        ) {
            let mut question = with_crc(vec![1, 3, 0, first, 0, 1]);
            question[at] ^= 1 << bit;
            prop_assert_eq!(answer(&question, 1, &registers()), None);
        }

        #[test]
        fn any_bytes_are_no_reason_to_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = answer(&bytes, 1, &registers());
        }
    }
}
