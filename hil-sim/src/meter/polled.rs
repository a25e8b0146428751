//! Meters that are asked in ASCII. Knows no port, and nothing of when an answer goes out.
//!
//! ```text
//! TUF-2000F   DQM CR ─► +2.542494E-01m3/m CR LF     flow; DQD, DQH, DQS for other times
//!             DI+ CR ─► +1234567E-3m3 CR LF         positive total, a space before CR
//!             AI1 CR ─► +2.488889E+01 CR LF         temperature at T1
//!             P before a command ─► …!hh            hh: sum of the bytes before ! modulo 256
//! ADAM-4080   #120 CR ─► >000002FE CR               counter 0 of address 12, hexadecimal
//!             ?12 CR                                a command that it can't obey
//! ```
//!
//! TUF-2000F manual, 5.2; ADAM-4000 series manual, the 4080's command set. The decimal exponent of
//! the total is what the installer has set: here -3, so that a step is a litre.

use super::kind::celsius;
use super::modbus::Answer;
use super::{Kind, LITRES_A_GALLON, Line, MeterSetup, Part};

/// What is answered to a question without its line end; silence to what is not for this
/// meter.
pub(super) fn answer(question: &[u8], setup: &MeterSetup, line: &Line) -> Option<Answer> {
    let question = std::str::from_utf8(question).ok()?;
    match setup.kind {
        Kind::Tuf2000f => tuf_2000f(question, line),
        Kind::Adam4080 => adam_4080(question, setup.unit, line),
        _ => None,
    }
}

/// What an ADAM says to a command that it can't obey.
pub(super) fn refusal(address: u8) -> Vec<u8> {
    format!("?{address:02X}\r").into_bytes()
}

fn tuf_2000f(question: &str, line: &Line) -> Option<Answer> {
    let (command, summed) = match question.strip_prefix('P') {
        Some(command) => (command, true),
        None => (question, false),
    };
    let m3_a_minute = line.rate_gpm * LITRES_A_GALLON / 1000.0;
    let (text, part) = match command {
        "DQD" => (format!("{}m3/d", scientific(m3_a_minute * 1440.0)), Part::Rate),
        "DQH" => (format!("{}m3/h", scientific(m3_a_minute * 60.0)), Part::Rate),
        "DQM" => (format!("{}m3/m", scientific(m3_a_minute)), Part::Rate),
        "DQS" => (format!("{}m3/s", scientific(m3_a_minute / 60.0)), Part::Rate),
        "DI+" => (format!("+{:07}E-3m3 ", line.raw), Part::Count),
        "AI1" => (scientific(celsius(line.sensors.fluid_f?)), Part::Temperature),
        _ => return None,
    };
    let text = if summed { with_sum(&text) } else { text };
    Some(Answer { bytes: format!("{text}\r\n").into_bytes(), tells: vec![part] })
}

fn adam_4080(question: &str, address: u8, line: &Line) -> Option<Answer> {
    let rest = question.strip_prefix(['#', '$', '@', '%'])?;
    let command = rest.strip_prefix(&format!("{address:02X}"))?;
    let (bytes, tells) = match (question.starts_with('#'), command) {
        (true, "0") => (format!(">{:08X}\r", line.raw).into_bytes(), vec![Part::Count]),
        (true, "1") => (b">00000000\r".to_vec(), Vec::new()),
        _ => (refusal(address), Vec::new()),
    };
    Some(Answer { bytes, tells })
}

fn with_sum(text: &str) -> String {
    let sum = text.bytes().fold(0_u8, u8::wrapping_add);
    format!("{text}!{sum:02X}")
}

/// `±d.ddddddE±dd`.
fn scientific(value: f64) -> String {
    let text = format!("{value:+.6e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}E{exponent:+03}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Meter;

    fn asked(kind: Kind, start_count: u64, gpm: f64, question: &str) -> Option<String> {
        let setup = MeterSetup { kind, start_count, unit: 0x12, ..MeterSetup::default() };
        let mut meter = Meter::new(setup.clone(), 0);
        meter.flow(gpm, 0);
        let answer = answer(question.as_bytes(), &setup, &meter.shown(0))?;
        Some(String::from_utf8(answer.bytes).unwrap())
    }

    #[test]
    fn sums_are_those_that_the_manual_prints() {
        for published in ["+1234567E+0m3 !F7", "+0.000000E+00m3/d!AC", "+0.000000E+00m/s!88"] {
            let (text, _) = published.split_once('!').unwrap();
            assert_eq!(with_sum(text), published);
        }
        assert_ne!(with_sum("+1234568E+0m3 "), "+1234568E+0m3 !F7");
    }

    #[test]
    fn a_tuf_2000f_answers_each_command_in_its_form() {
        let said = |question| asked(Kind::Tuf2000f, 1_234_567, 2.0, question);
        assert_eq!(said("DI+").unwrap(), "+1234567E-3m3 \r\n");
        assert_eq!(said("PDI+").unwrap(), "+1234567E-3m3 !FC\r\n");
        assert_eq!(said("DQM").unwrap(), "+7.570824E-03m3/m\r\n");
        assert_eq!(said("DQH").unwrap(), "+4.542494E-01m3/h\r\n");
        assert_eq!(said("AI1").unwrap(), "+2.488889E+01\r\n");
        assert_eq!(said("MENU"), None);
        let at_rest = asked(Kind::Tuf2000f, 0, 0.0, "PDQD").unwrap();
        assert_eq!(at_rest, "+0.000000E+00m3/d!AC\r\n");
    }

    #[test]
    fn an_adam_answers_in_hexadecimal_refuses_by_its_address_and_leaves_others_alone() {
        let said = |question| asked(Kind::Adam4080, 766, 0.0, question);
        assert_eq!(said("#120").unwrap(), ">000002FE\r");
        assert_eq!(said("#125").unwrap(), "?12\r");
        assert_eq!(said("$12X").unwrap(), "?12\r");
        assert_eq!(said("#130"), None);
        assert_eq!(said("hello"), None);
    }
}
