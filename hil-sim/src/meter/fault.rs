//! What goes wrong between a question and its answer, or with a line. Pure: takes what the
//! meter would have said and gives what comes out of the cable. Knows no port.

use serde::Deserialize;

use super::{Kind, Part, modbus, polled};
use crate::dice::Dice;

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The answer comes late, perhaps after the next question.
    Late,
    /// It ends before its end.
    Short,
    /// Another unit answers, with a right checksum.
    WrongUnit,
    /// The meter refuses.
    Exception,
    /// The question comes back before its answer, as on an RS-485 adapter.
    Echo,
    /// Other bytes in its place.
    Garbage,
    /// The count stays while liquid flows.
    Frozen,
    /// A digit or bit is another one, and the checksum as it was.
    WrongChecksum,
    /// Nothing is said.
    Silent,
    /// Opening the port starts the meter again, where the line DTR rises by it.
    ResetOnOpening,
}

/// A fault, for some answers (or lines, or openings) to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeterFault {
    /// In which way.
    pub fault: FaultKind,
    /// For so many.
    pub times: u32,
    /// How late, in milliseconds.
    pub after_ms: i64,
    /// With which code it refuses (Modbus: 4 is a failed device, 6 one that is busy).
    pub code: u8,
    /// Only what tells this.
    pub of: Option<Part>,
}

impl MeterFault {
    /// A fault of a kind, once, of any answer: a second and a half late, or busy.
    pub fn once(fault: FaultKind) -> Self {
        Self { fault, times: 1, after_ms: 1500, code: 6, of: None }
    }

    /// Whether such a meter can have it.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn fits(&self, kind: Kind) -> Result<(), String> {
        use FaultKind as F;
        let fits = match self.fault {
            F::Late | F::Echo => kind.is_asked(),
            F::WrongUnit => kind.is_modbus(),
            F::Exception => kind.is_modbus() || kind == Kind::Adam4080,
            F::WrongChecksum => kind.has_checksum(),
            F::Frozen => kind.tells_count(),
            F::Short | F::Garbage | F::Silent | F::ResetOnOpening => true,
        };
        if !fits {
            return Err(format!("a {} can't have the fault {:?}", kind.name(), self.fault));
        }
        if self.of.is_some() && !kind.is_asked() {
            return Err(format!("a {} tells all of it in one line", kind.name()));
        }
        Ok(())
    }

    /// Whether it strikes an answer that tells these.
    pub(super) fn strikes(&self, tells: &[Part]) -> bool {
        self.of.is_none_or(|part| tells.contains(&part))
    }

    /// What comes out instead of what was said to a question; nothing where it is silent.
    pub(super) fn spoilt(
        &self,
        kind: Kind,
        question: &[u8],
        said: Vec<u8>,
        dice: &mut Dice,
    ) -> Vec<u8> {
        let mut bytes = said;
        match self.fault {
            FaultKind::Late | FaultKind::Frozen | FaultKind::ResetOnOpening => {}
            FaultKind::Silent => bytes.clear(),
            // At most half of it: no number that matters is whole.
            FaultKind::Short => {
                let most = bytes.len() as u64 / 2;
                bytes.truncate(1 + dice.below(most) as usize);
            }
            FaultKind::WrongUnit => bytes = of_another_unit(bytes),
            FaultKind::Exception => bytes = refusal(kind, question, self.code),
            FaultKind::Echo => bytes.splice(0..0, question.iter().copied()).for_each(drop),
            FaultKind::Garbage => {
                bytes = (0..8 + dice.below(40)).map(|_| (dice.throw() & 0xFF) as u8).collect();
                // Without its mark, no garbage is ever a line; a frame has its CRC.
                bytes.retain(|byte| kind.is_modbus() || !b"*!>=:".contains(byte));
            }
            FaultKind::WrongChecksum => with_another_digit(kind, &mut bytes),
        }
        bytes
    }

    /// Whether what comes out is still what the meter says.
    pub(super) fn is_honest(&self) -> bool {
        matches!(
            self.fault,
            FaultKind::Late | FaultKind::Echo | FaultKind::Frozen | FaultKind::ResetOnOpening
        )
    }
}

fn of_another_unit(mut frame: Vec<u8>) -> Vec<u8> {
    frame.truncate(frame.len().saturating_sub(2));
    if let Some(unit) = frame.first_mut() {
        *unit = unit.wrapping_add(1);
    }
    modbus::with_crc(frame)
}

fn refusal(kind: Kind, question: &[u8], code: u8) -> Vec<u8> {
    if kind.is_modbus() {
        let at = |nth: usize| question.get(nth).copied().unwrap_or_default();
        return modbus::refusal(at(0), at(1), code);
    }
    let address = question.get(1..3).and_then(|hex| std::str::from_utf8(hex).ok());
    polled::refusal(address.and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or_default())
}

/// Changes a bit of a frame's data, or the last digit before the mark of a line's checksum;
/// the checksum stays.
fn with_another_digit(kind: Kind, bytes: &mut [u8]) {
    if kind.is_modbus() {
        // Neither unit, function nor length, so that only the checksum tells.
        let at = if bytes.len() > 5 { 3 } else { 2 };
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        return;
    }
    let mark: &[u8] = match kind {
        Kind::Teledyne4250 => b"RV,",
        Kind::Tuf2000f => b"E",
        _ => b"*",
    };
    let end = bytes.windows(mark.len()).rposition(|window| window == mark).unwrap_or(0);
    let digit = bytes.iter_mut().take(end).rev().find(|byte| byte.is_ascii_digit());
    if let Some(digit) = digit {
        *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: [u8; 8] = [1, 3, 0, 0, 0, 2, 0xC4, 0x0B];

    fn frame() -> Vec<u8> {
        modbus::with_crc(vec![1, 3, 4, 0x80, 0x6B, 0x42, 0x12])
    }

    fn spoilt(fault: FaultKind, kind: Kind, question: &[u8], said: &[u8]) -> Vec<u8> {
        MeterFault::once(fault).spoilt(kind, question, said.to_vec(), &mut Dice::new(5))
    }

    #[test]
    fn no_spoilt_frame_is_an_answer_to_the_question() {
        let is_answer =
            |bytes: &[u8]| bytes.len() == 9 && bytes[..3] == [1, 3, 4] && modbus::is_whole(bytes);
        assert!(is_answer(&frame()));
        for fault in [
            FaultKind::Short,
            FaultKind::WrongUnit,
            FaultKind::Exception,
            FaultKind::Garbage,
            FaultKind::WrongChecksum,
            FaultKind::Silent,
        ] {
            let fault = MeterFault::once(fault);
            for seed in 0..500 {
                let mut dice = Dice::new(seed);
                let out = fault.spoilt(Kind::Tuf2000m, &QUESTION, frame(), &mut dice);
                assert!(!is_answer(&out), "{fault:?} with seed {seed}: {out:02X?}");
                assert!(!fault.is_honest());
            }
        }
    }

    #[test]
    fn another_unit_and_a_refusal_have_right_checksums() {
        let other = spoilt(FaultKind::WrongUnit, Kind::Tuf2000m, &QUESTION, &frame());
        assert!(modbus::is_whole(&other) && other[0] == 2 && other.len() == 9);
        let refused = spoilt(FaultKind::Exception, Kind::Tuf2000m, &QUESTION, &frame());
        assert!(modbus::is_whole(&refused));
        assert_eq!(refused[..3], [1, 0x83, 6]);
        let adam = spoilt(FaultKind::Exception, Kind::Adam4080, b"#120\r", b">000002FE\r");
        assert_eq!(adam, b"?12\r");
    }

    #[test]
    fn an_echo_is_the_question_and_then_the_answer() {
        let out = spoilt(FaultKind::Echo, Kind::Tuf2000m, &QUESTION, &frame());
        assert_eq!(out, [&QUESTION[..], &frame()].concat());
    }

    #[test]
    fn a_changed_digit_keeps_the_sum_of_the_right_one() {
        let out =
            spoilt(FaultKind::WrongChecksum, Kind::Tuf2000f, b"PDI+\r", b"+1234567E+0m3 !F7\r\n");
        assert_eq!(out, b"+1234568E+0m3 !F7\r\n");
    }

    #[test]
    fn a_short_line_has_lost_half_of_it_or_more() {
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let fault = MeterFault::once(FaultKind::Short);
            let out = fault.spoilt(Kind::Adam4080, b"#120\r", b">000002FE\r".to_vec(), &mut dice);
            assert!(!out.is_empty() && out.len() <= 5, "{out:?}");
        }
    }

    #[test]
    fn a_fault_that_a_meter_can_not_have_is_refused_by_name() {
        let refused = |fault, kind| MeterFault::once(fault).fits(kind).is_err();
        assert!(refused(FaultKind::WrongUnit, Kind::Tuf2000f));
        assert!(refused(FaultKind::WrongChecksum, Kind::Adam4080));
        assert!(refused(FaultKind::Late, Kind::RigLine));
        assert!(refused(FaultKind::Frozen, Kind::AwLakeEdge));
        assert!(!refused(FaultKind::Exception, Kind::Adam4080));
        let of_rate = MeterFault { of: Some(Part::Rate), ..MeterFault::once(FaultKind::Silent) };
        assert!(of_rate.fits(Kind::PulseText).is_err() && of_rate.fits(Kind::Tuf2000m).is_ok());
    }
}
