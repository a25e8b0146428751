//! A meter on Modbus, round by round: which request is next, what an answer brings, and what
//! the roles are worth at a round's end. Pure; the time is an argument, and nobody here sends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::frame::{Answer, Fault, Request};
use super::plan::{Stretch, join};
use super::value::{Value, of_register};
use crate::clock::BootInstant;
use crate::meter::polling::{Ask, Counters, Heard, Turns};
use crate::meter::profile::registers::{Decimals, Function, Modbus, Register};
use crate::meter::profile::{CountsFrom, Field, Profile, Role, Source};
use crate::meter::values::{self, Values};
use crate::reading::Sample;

/// The state of asking one meter.
#[derive(Debug, Clone)]
pub struct Poll {
    profile: Profile,
    speech: Modbus,
    requests: Vec<Request>,
    turns: Turns,
    /// The question under way, and its answer so far.
    waiting: Option<(usize, Answer)>,
    /// The question whose answer was the last thing heard.
    last: Option<usize>,
    registers: BTreeMap<(Function, u16), u16>,
    /// When the count was heard in this round.
    counted_at: Option<BootInstant>,
    counters: Counters,
    /// What last went wrong with each question.
    faults: Vec<Option<Fault>>,
}

impl Poll {
    /// For the meter at that unit, which speaks as this profile says.
    pub fn new(profile: &Profile, speech: &Modbus, unit: u8) -> Self {
        let wanted: Vec<Stretch> = profile.fields.values().flat_map(stretches).collect();
        let requests: Vec<Request> = join(&wanted, speech.max_gap)
            .into_iter()
            .filter_map(|s| Request::new(unit, s.function, s.first, s.count).ok())
            .collect();
        let counts = profile.fields.get(&counting_role(profile)).and_then(register);
        let always = requests
            .iter()
            .position(|request| counts.is_some_and(|counts| asks_for(request, counts)))
            .unwrap_or(0);
        Self {
            profile: profile.clone(),
            speech: speech.clone(),
            turns: Turns::new(requests.len(), always),
            faults: vec![None; requests.len()],
            requests,
            waiting: None,
            last: None,
            registers: BTreeMap::new(),
            counted_at: None,
            counters: Counters::default(),
        }
    }

    /// A round begins; what the one before brought is forgotten.
    pub fn begin(&mut self) {
        self.break_off();
        self.registers.clear();
        self.counted_at = None;
        self.counters.rounds += 1;
        self.turns.begin();
    }

    /// The next question of this round.
    pub fn ask(&mut self) -> Option<Ask> {
        self.break_off();
        self.last = None;
        let question = self.turns.next_due()?;
        let request = *self.requests.get(question)?;
        let (send, answer) = (request.bytes().ok()?, Answer::to(request, self.speech.echo).ok()?);
        self.waiting = Some((question, answer));
        self.counters.asked += 1;
        let echoed = if self.speech.echo { send.len() } else { 0 };
        // The pause comes after an answer: what is heard in it casts doubt on that.
        Some(Ask {
            pause: Duration::ZERO,
            timeout: self.speech.timeout,
            answer_bytes: request.answer_bytes() + echoed,
            send,
        })
    }

    /// Bytes that came while an answer was due, with the boot time at which they were read.
    pub fn hear(&mut self, bytes: &[u8], at: BootInstant) -> Heard {
        let Some((question, mut answer)) = self.waiting.take() else {
            self.hear_unasked(bytes.len());
            return Heard::Wrong;
        };
        match answer.push(bytes) {
            Ok(None) => {
                self.waiting = Some((question, answer));
                Heard::More
            }
            Ok(Some(registers)) => {
                self.take(question, &registers, at);
                Heard::Over
            }
            Err(fault) => {
                self.fail(question, fault);
                if matches!(fault, Fault::Refused(_)) { Heard::Over } else { Heard::Wrong }
            }
        }
    }

    /// The answer, or the rest of it, didn't come in time.
    pub fn time_out(&mut self) {
        if let Some((question, answer)) = self.waiting.take() {
            self.fail(question, answer.timed_out());
        }
    }

    /// Bytes that came when no answer was due. Straight after an answer they say that it may
    /// have been a late one to an earlier question, and this is the true one: then neither is
    /// taken. True where that happened.
    pub fn hear_unasked(&mut self, bytes: usize) -> bool {
        self.counters.unasked_bytes += bytes as u64;
        let Some(question) = self.last.take() else { return false };
        let Some(request) = self.requests.get(question) else { return false };
        let counts = self.profile.fields.get(&counting_role(&self.profile)).and_then(register);
        if counts.is_some_and(|counts| asks_for(request, counts)) {
            self.counted_at = None;
        }
        for register in addresses(request) {
            self.registers.remove(&(request.function(), register));
        }
        self.counters.answered = self.counters.answered.saturating_sub(1);
        self.fail(question, Fault::WrongLength);
        true
    }

    /// The port was lost or the settings changed in mid-question.
    pub fn break_off(&mut self) {
        if self.waiting.take().is_some() {
            self.counters.broken_off += 1;
        }
        self.last = None;
    }

    /// What the round brought, with the time at which the count was heard.
    pub fn sample(&mut self) -> Option<(Sample, BootInstant)> {
        self.last = None;
        let at = self.counted_at.take()?;
        match values::sample(&self.profile, &self.values()) {
            Ok((sample, bad_values)) => {
                self.counters.samples += 1;
                self.counters.bad_values += bad_values;
                Some((sample, at))
            }
            Err(_) => {
                self.counters.malformed += 1;
                self.counters.answered = self.counters.answered.saturating_sub(1);
                None
            }
        }
    }

    /// What was asked so far and what became of it.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The first question that has gone wrong several times in a row, and how at last.
    pub fn problem(&self) -> Option<String> {
        let failing = self.faults.iter().zip(&self.requests).enumerate();
        failing.into_iter().find_map(|(question, (fault, request))| {
            let fault = fault.filter(|_| self.turns.is_failing(question))?;
            let (first, function) = (request.first(), request.function().code());
            let last = u32::from(first) + u32::from(request.count()) - 1;
            Some(format!("registers {first} to {last} (function {function:02}, from 0): {fault}"))
        })
    }

    fn take(&mut self, question: usize, registers: &[u16], at: BootInstant) {
        let Some(request) = self.requests.get(question) else { return };
        for (register, value) in addresses(request).zip(registers) {
            self.registers.insert((request.function(), register), *value);
        }
        let counts = self.profile.fields.get(&counting_role(&self.profile)).and_then(register);
        if counts.is_some_and(|counts| asks_for(request, counts)) {
            self.counted_at = Some(at);
        }
        self.counters.answered += 1;
        if let Some(told) = self.faults.get_mut(question) {
            *told = None;
        }
        self.last = Some(question);
        self.turns.ended(question, true);
    }

    fn fail(&mut self, question: usize, fault: Fault) {
        let counters = &mut self.counters;
        *match fault {
            Fault::NoAnswer | Fault::Request { .. } => &mut counters.no_answer,
            Fault::Short { .. } => &mut counters.short,
            Fault::WrongUnit { .. } => &mut counters.wrong_unit,
            Fault::WrongFunction { .. } => &mut counters.wrong_function,
            Fault::WrongLength => &mut counters.wrong_length,
            Fault::BadCrc => &mut counters.bad_checksum,
            Fault::Refused(_) => &mut counters.refused,
        } += 1;
        if let Some(told) = self.faults.get_mut(question) {
            *told = Some(fault);
        }
        self.turns.ended(question, false);
    }

    fn values(&self) -> Values {
        let fields = self.profile.fields.iter();
        fields.filter_map(|(role, field)| Some((*role, self.value(field)?))).collect()
    }

    /// A field's value; `None` where its question was not answered.
    fn value(&self, field: &Field) -> Option<values::Value> {
        let read = self.read(register(field)?)?;
        let decimals = match &field.decimals {
            Decimals::Fixed(_) => 0,
            // A number whose decimal point nobody knows is none.
            Decimals::Register(register) => {
                match self.read(register)?.and_then(|read| u8::try_from(read.integer()?).ok()) {
                    Some(decimals) => decimals,
                    None => return Some(values::Value::Unreadable),
                }
            }
        };
        let has_decimals = matches!(field.decimals, Decimals::Register(_));
        Some(match read {
            None => values::Value::Unreadable,
            Some(Value::Text(text)) => values::Value::Text(text),
            Some(number) => {
                let whole = number.integer().and_then(|whole| u64::try_from(whole).ok());
                match whole.filter(|_| !has_decimals) {
                    Some(whole) => values::Value::Integer(whole),
                    None => values::Value::Number(number.number().unwrap_or(f64::NAN), decimals),
                }
            }
        })
    }

    /// What a register holds: `None` where it was not told in this round, `Some(None)` where
    /// that is no value.
    fn read(&self, register: &Register) -> Option<Option<Value>> {
        let words: Option<Vec<u16>> = (0..register.words())
            .map(|n| {
                let address = register.address.checked_add(n)?;
                self.registers.get(&(register.function, address)).copied()
            })
            .collect();
        Some(of_register(register, &words?))
    }
}

/// The role that counts come from.
fn counting_role(profile: &Profile) -> Role {
    match profile.counts_from() {
        CountsFrom::RawCount => Role::RawCount,
        CountsFrom::Total => Role::Total,
        CountsFrom::Rate => Role::Rate,
    }
}

fn register(field: &Field) -> Option<&Register> {
    match &field.source {
        Source::Register(register) => Some(register),
        Source::Position(_) | Source::Key(_) | Source::Group(_) => None,
    }
}

/// The registers of a field and of its decimals.
fn stretches(field: &Field) -> impl Iterator<Item = Stretch> {
    let decimals = match &field.decimals {
        Decimals::Register(register) => Some(register),
        Decimals::Fixed(_) => None,
    };
    let both = register(field).into_iter().chain(decimals);
    both.map(|r| Stretch { function: r.function, first: r.address, count: r.words() })
}

fn asks_for(request: &Request, register: &Register) -> bool {
    request.function() == register.function && addresses(request).any(|a| a == register.address)
}

fn addresses(request: &Request) -> impl Iterator<Item = u16> + use<> {
    let first = request.first();
    (0..request.count()).filter_map(move |n| first.checked_add(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::crc::crc16;
    use crate::meter::profile::Speaks;

    const PROFILE: &str = r#"
        kind = "modbus-rtu"
        [modbus]
        timeout = "100ms"
        pause = "20ms"
        [fields]
        total = { register = 0x236, type = "u48", order = "CDAB", decimals = { register = 0x239, type = "u16" }, unit = "L", resolution = 0.01 }
        rate = { register = 8, type = "f32", order = "CDAB", unit = "L/min" }
        battery_percent = { register = 0xFF, type = "u16" }
        [counter]
        restart_from = "unknown"
    "#;

    fn poll() -> Poll {
        let profile = Profile::parse("test", PROFILE).unwrap();
        let Speaks::ModbusRtu(speech) = profile.speaks.clone() else { panic!("{profile:?}") };
        Poll::new(&profile, &speech, 1)
    }

    fn answered(registers: &[u16]) -> Vec<u8> {
        let mut body = vec![1, 3, 2 * registers.len() as u8];
        body.extend(registers.iter().flat_map(|r| r.to_be_bytes()));
        [body.as_slice(), &crc16(&body).to_le_bytes()].concat()
    }

    /// First register and count of the next request.
    fn asked(poll: &mut Poll) -> Option<(u16, u16)> {
        let sent = poll.ask()?.send;
        Some((u16::from_be_bytes([sent[2], sent[3]]), u16::from_be_bytes([sent[4], sent[5]])))
    }

    const TOTAL: [u16; 4] = [0x6CD0, 2, 0, 2];

    #[test]
    fn a_round_asks_for_the_count_first_and_ends_with_a_sample_of_that_moment() {
        let mut poll = poll();
        poll.begin();
        let ask = poll.ask().unwrap();
        assert_eq!(ask.send[..6], [1, 3, 0x02, 0x36, 0, 4], "the total and its decimals at once");
        assert_eq!((ask.timeout.as_millis(), ask.answer_bytes), (100, 13));
        let total = answered(&TOTAL);
        assert_eq!(poll.hear(&total[..5], BootInstant(900)), Heard::More);
        assert_eq!(poll.hear(&total[5..], BootInstant(1000)), Heard::Over);
        assert_eq!(asked(&mut poll), Some((8, 2)));
        assert_eq!(poll.hear(&answered(&[0x806B, 0x4212]), BootInstant(1100)), Heard::Over);
        assert_eq!(asked(&mut poll), Some((0xFF, 1)));
        assert_eq!(poll.hear(&answered(&[77]), BootInstant(1200)), Heard::Over);
        assert_eq!(asked(&mut poll), None);
        let (sample, at) = poll.sample().unwrap();
        // 1589.28 L in hundredths; 36.625 L/min.
        assert_eq!((sample.raw, at), (158_928, BootInstant(1000)));
        assert!((sample.rate_gpm.unwrap() - 36.625 / 3.785_411_784).abs() < 0.001);
        assert_eq!(sample.battery_percent, Some(77.0));
        assert_eq!(poll.sample(), None, "once");
        let counters = poll.counters();
        assert_eq!((counters.asked, counters.answered, counters.samples), (3, 3, 1));
    }

    #[test]
    fn what_is_not_answered_is_missing_and_holds_nothing_else_back() {
        let mut poll = poll();
        poll.begin();
        poll.ask();
        assert_eq!(poll.hear(&answered(&TOTAL), BootInstant(0)), Heard::Over);
        poll.ask();
        poll.time_out();
        poll.ask();
        let refusal = [1, 0x83, 2];
        let refusal = [refusal.as_slice(), &crc16(&refusal).to_le_bytes()].concat();
        assert_eq!(poll.hear(&refusal, BootInstant(0)), Heard::Over, "it needs no silence");
        let (sample, _) = poll.sample().unwrap();
        assert_eq!((sample.raw, sample.rate_gpm, sample.battery_percent), (158_928, None, None));
        let counters = poll.counters();
        assert_eq!((counters.no_answer, counters.refused, counters.bad_values), (1, 1, 0));
    }

    #[test]
    fn without_a_count_there_is_no_sample_and_an_old_one_is_never_told_again() {
        let mut poll = poll();
        poll.begin();
        poll.ask();
        poll.hear(&answered(&TOTAL), BootInstant(0));
        assert!(poll.sample().is_some());
        poll.begin();
        poll.ask();
        assert_eq!(poll.hear(&answered(&TOTAL[..3]), BootInstant(1)), Heard::Wrong);
        poll.ask();
        poll.hear(&answered(&[0x806B, 0x4212]), BootInstant(2));
        assert_eq!(poll.sample(), None);
        assert_eq!(poll.counters().wrong_length, 1);
    }

    #[test]
    fn a_second_answer_straight_after_the_first_makes_both_doubtful() {
        let mut poll = poll();
        poll.begin();
        poll.ask();
        poll.hear(&answered(&TOTAL), BootInstant(0));
        assert!(poll.hear_unasked(13));
        assert_eq!(poll.sample(), None);
        let counters = poll.counters();
        assert_eq!((counters.answered, counters.wrong_length, counters.unasked_bytes), (0, 1, 13));
        assert!(!poll.hear_unasked(1), "what comes later is nobody's");
    }

    #[test]
    fn a_number_whose_decimal_point_can_not_be_is_none() {
        let mut poll = poll();
        poll.begin();
        poll.ask();
        poll.hear(&answered(&[0x6CD0, 2, 0, 0xFFFF]), BootInstant(0));
        assert_eq!(poll.sample(), None);
        assert_eq!(poll.counters().malformed, 1);
    }

    #[test]
    fn only_what_fails_time_and_again_is_a_problem() {
        let mut poll = poll();
        for _ in 0..3 {
            assert_eq!(poll.problem(), None);
            poll.begin();
            poll.ask();
            poll.time_out();
        }
        assert_eq!(
            poll.problem().unwrap(),
            "registers 566 to 569 (function 03, from 0): no answer"
        );
        poll.begin();
        poll.ask();
        poll.hear(&answered(&TOTAL), BootInstant(0));
        assert_eq!(poll.problem(), None);
    }

    #[test]
    fn a_question_that_was_broken_off_is_counted() {
        let mut poll = poll();
        poll.begin();
        poll.ask();
        poll.break_off();
        assert_eq!(poll.hear(&answered(&TOTAL), BootInstant(0)), Heard::Wrong);
        assert_eq!(poll.sample(), None);
        let counters = poll.counters();
        assert_eq!((counters.asked, counters.broken_off, counters.unasked_bytes), (1, 1, 13));
    }
}
