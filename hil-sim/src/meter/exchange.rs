//! Questions in, answers out: what a meter that is asked does with the bytes that reach it,
//! and what its faults make of the answers; what they make of a line that it says by itself
//! too. Pure: `now` is an argument, and bytes go nowhere by themselves. Knows no port.

use std::collections::VecDeque;

use super::modbus::{self, Answer};
use super::registers::Registers;
use super::{FaultKind, Kind, Line, Meter, MeterFault, polled};
use crate::dice::Dice;

/// A meter thinks this long before it answers.
const ANSWERS_AFTER_MS: i64 = 10;

/// Bytes that make no question are forgotten after this silence. The pause that ends a
/// frame at 9600 baud is 4 ms, but bytes pass a pseudoterminal less evenly.
const FORGETS_AFTER_MS: i64 = 50;

/// No question is longer; of more than this the newest bytes are kept.
const LONGEST_QUESTION: usize = 256;

/// One meter's conversation.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    heard: Vec<u8>,
    heard_ms: i64,
    /// What was asked last.
    asked: Vec<u8>,
    faults: VecDeque<MeterFault>,
    waiting: Vec<Waiting>,
}

/// An answer that is not out yet.
#[derive(Debug, Clone)]
struct Waiting {
    due_ms: i64,
    question: Vec<u8>,
    said: Said,
}

/// What goes out, and what is true behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What the meter shows, where they tell its count (or its rate, if that is all it has).
    pub line: Option<Line>,
    /// Whether they are what the meter says, in answer to what was asked last. The same
    /// question put again can't be told from the first: nothing on the wire numbers them.
    pub honest: bool,
}

impl Exchange {
    /// Adds a fault.
    pub fn order(&mut self, fault: MeterFault) {
        self.faults.push_back(fault);
    }

    /// Whether a fault is still to strike, or its answer to come.
    pub fn is_troubled(&self) -> bool {
        !self.faults.is_empty() || !self.waiting.is_empty()
    }

    /// Hears bytes and thinks of answers to what they ask.
    pub fn hear(&mut self, bytes: &[u8], meter: &mut Meter, now_ms: i64, dice: &mut Dice) {
        if now_ms - self.heard_ms > FORGETS_AFTER_MS {
            self.heard.clear();
        }
        if !bytes.is_empty() {
            self.heard_ms = now_ms;
            self.heard.extend_from_slice(bytes);
            let over = self.heard.len().saturating_sub(LONGEST_QUESTION);
            self.heard.drain(..over);
        }
        while let Some(question) = self.question(meter.setup().kind) {
            self.asked.clone_from(&question);
            self.answer(&question, meter, now_ms, dice);
        }
    }

    /// The next answer that is due.
    pub fn due(&mut self, now_ms: i64) -> Option<Said> {
        let at = self.waiting.iter().position(|waiting| waiting.due_ms <= now_ms)?;
        let Waiting { question, mut said, .. } = self.waiting.remove(at);
        // Another question has been put meanwhile: taken for its answer, this one lies.
        said.honest &= question == self.asked;
        Some(said)
    }

    /// What comes out of the cable of a line that the meter says by itself, and whether that
    /// is the line.
    pub fn line(&mut self, kind: Kind, text: &str, dice: &mut Dice) -> (Vec<u8>, bool) {
        match self.strike(&[]) {
            Some(fault) => {
                (fault.spoilt(kind, &[], text.as_bytes().to_vec(), dice), fault.is_honest())
            }
            None => (text.as_bytes().to_vec(), true),
        }
    }

    /// Takes the next whole question off what was heard, its line end with it.
    fn question(&mut self, kind: Kind) -> Option<Vec<u8>> {
        let length = match kind.is_modbus() {
            true => {
                // A damaged start must not keep the meter from the frame that follows it.
                let starts = self.heard.windows(modbus::QUESTION);
                starts.enumerate().find(|(_, frame)| modbus::is_whole(frame))?.0 + modbus::QUESTION
            }
            false => self.heard.iter().position(|byte| *byte == b'\r')? + 1,
        };
        let mut question: Vec<u8> = self.heard.drain(..length).collect();
        if kind.is_modbus() {
            question.drain(..length - modbus::QUESTION);
        }
        question.retain(|byte| kind.is_modbus() || *byte != b'\n');
        Some(question)
    }

    fn answer(&mut self, question: &[u8], meter: &mut Meter, now_ms: i64, dice: &mut Dice) {
        let setup = meter.setup().clone();
        let line = meter.shown(now_ms);
        let answer = match setup.kind.is_modbus() {
            true => modbus::answer(question, setup.unit, &Registers::of(&setup, &line)),
            false => polled::answer(question.trim_ascii_end(), &setup, &line),
        };
        let Some(Answer { mut bytes, tells }) = answer else {
            return;
        };
        let (mut due_ms, mut honest) = (now_ms + ANSWERS_AFTER_MS, true);
        if let Some(fault) = self.strike(&tells) {
            bytes = fault.spoilt(setup.kind, question, bytes, dice);
            honest = fault.is_honest();
            if fault.fault == FaultKind::Late {
                due_ms = now_ms + fault.after_ms;
            }
        }
        let tells = tells.contains(&setup.kind.essential());
        if tells {
            meter.has_told();
        }
        if bytes.is_empty() {
            return;
        }
        let said = Said { bytes, line: tells.then_some(line), honest };
        self.waiting.push(Waiting { due_ms, question: question.to_vec(), said });
    }

    /// The fault that strikes an answer, if one does, and one time less of it.
    fn strike(&mut self, tells: &[super::Part]) -> Option<MeterFault> {
        let at = self.faults.iter().position(|fault| fault.strikes(tells))?;
        let fault = self.faults.get_mut(at)?;
        fault.times = fault.times.saturating_sub(1);
        let struck = *fault;
        if fault.times == 0 {
            self.faults.remove(at);
        }
        Some(struck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{MeterSetup, Part};
    use proptest::prelude::*;

    struct Bench {
        exchange: Exchange,
        meter: Meter,
        dice: Dice,
    }

    impl Bench {
        fn new(kind: Kind) -> Self {
            let k = kind.steps_a_gallon().unwrap_or(126.7);
            let modulus = kind.modulus();
            let unit = if kind == Kind::Adam4080 { 0x12 } else { 1 };
            let setup = MeterSetup { kind, k, modulus, unit, ..MeterSetup::default() };
            let meter = Meter::new(setup, 0);
            Self { exchange: Exchange::default(), meter, dice: Dice::new(1) }
        }

        fn ask(&mut self, bytes: &[u8], now_ms: i64) {
            self.exchange.hear(bytes, &mut self.meter, now_ms, &mut self.dice);
        }

        fn said(&mut self, now_ms: i64) -> Option<Said> {
            self.ask(&[], now_ms);
            self.exchange.due(now_ms)
        }

        fn order(&mut self, fault: FaultKind, times: u32, of: Option<Part>) {
            self.exchange.order(MeterFault { times, of, ..MeterFault::once(fault) });
        }
    }

    fn question(first: u8, many: u8) -> Vec<u8> {
        modbus::with_crc(vec![1, 3, 0, first, 0, many])
    }

    #[test]
    fn a_question_in_pieces_is_answered_once_and_after_a_moment() {
        let mut bench = Bench::new(Kind::Tuf2000m);
        let asked = question(8, 2);
        bench.ask(&asked[..3], 1000);
        bench.ask(&asked[3..], 1010);
        assert_eq!(bench.said(1015), None);
        let said = bench.said(1020).unwrap();
        assert_eq!(said.bytes[..7], [1, 3, 4, 0x03, 0xE8, 0, 0]);
        assert!(said.honest && said.line.unwrap().raw == 1000);
        assert_eq!(bench.said(5000), None);
    }

    #[test]
    fn rubbish_on_the_line_does_not_keep_a_meter_from_the_next_question() {
        let mut bench = Bench::new(Kind::Tuf2000m);
        bench.ask(&[0xFF, 1, 3], 1000);
        bench.ask(&question(0, 2), 1005);
        assert!(bench.said(1100).unwrap().line.is_none(), "the rate is not the count");
        bench.ask(&question(0, 2)[..5], 2000);
        bench.ask(&question(0, 2)[5..], 2100);
        assert_eq!(bench.said(3000), None, "two halves with a pause between are no question");
    }

    #[test]
    fn a_late_answer_lies_if_another_question_was_put_meanwhile() {
        let mut bench = Bench::new(Kind::Tuf2000m);
        bench.order(FaultKind::Late, 1, None);
        bench.ask(&question(8, 2), 0);
        assert_eq!(bench.said(1400), None);
        assert!(bench.exchange.is_troubled());
        bench.ask(&question(0, 2), 1450);
        assert!(bench.said(1460).unwrap().honest);
        let late = bench.said(1500).unwrap();
        assert!(!late.honest && late.line.is_some());
        assert!(!bench.exchange.is_troubled());

        bench.order(FaultKind::Late, 1, None);
        bench.ask(&question(8, 2), 10_000);
        bench.ask(&question(8, 2), 11_000);
        assert!(bench.said(11_500).unwrap().honest, "the same was asked again");
    }

    #[test]
    fn one_silent_register_leaves_the_others_alone() {
        let mut bench = Bench::new(Kind::Tuf2000m);
        bench.order(FaultKind::Silent, 2, Some(Part::Rate));
        for second in 0..3 {
            let now = second * 1000;
            bench.ask(&question(8, 2), now);
            assert!(bench.said(now + 10).is_some());
            bench.ask(&question(0, 2), now + 20);
            assert_eq!(bench.said(now + 30).is_some(), second == 2);
        }
    }

    #[test]
    fn a_count_that_is_frozen_is_told_as_it_was_and_the_rate_as_it_is() {
        let mut bench = Bench::new(Kind::Tuf2000f);
        bench.meter.flow(60.0, 0);
        bench.meter.freeze(2, 0);
        for (second, raw) in [(1, 1000), (2, 1000), (3, 1011)] {
            let now = second * 1000;
            bench.ask(b"DQM\rDI+\r", now);
            assert!(bench.said(now + 10).unwrap().line.is_none());
            let line = bench.said(now + 10).unwrap().line.unwrap();
            assert_eq!((line.raw, line.unwrapped), (raw, raw));
            assert!(line.rate_gpm == 60.0);
        }
    }

    #[test]
    fn an_adam_is_asked_with_carriage_returns_and_silent_to_another_address() {
        let mut bench = Bench::new(Kind::Adam4080);
        bench.ask(b"#130\r#120\r\n", 0);
        let said = bench.said(10).unwrap();
        assert_eq!(said.bytes, b">000003E8\r");
        assert_eq!(bench.said(1000), None);
    }

    #[test]
    fn a_sensor_without_a_total_is_heard_by_its_rate() {
        let mut bench = Bench::new(Kind::AwLakeEdge);
        bench.ask(&modbus::with_crc(vec![1, 4, 0x13, 0x88, 0, 4]), 0);
        assert!(bench.said(10).unwrap().line.is_some());
        bench.ask(&modbus::with_crc(vec![1, 3, 0x0B, 0xB8, 0, 2]), 1000);
        assert!(bench.said(1010).unwrap().line.is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_leave_a_meter_that_answers_the_next_question(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            asked in any::<bool>(),
        ) {
            let kind = if asked { Kind::Tuf2000m } else { Kind::Tuf2000f };
            let mut bench = Bench::new(kind);
            bench.ask(&bytes, 0);
            while bench.exchange.due(1000).is_some() {}
            let next: &[u8] = if asked { &question(8, 2) } else { b"DI+\r" };
            bench.ask(next, 2000);
            prop_assert!(bench.said(2010).unwrap().line.is_some());
        }
    }
}
