//! One request for registers and the one answer that is taken for it. Pure; knows neither what
//! the registers mean nor how long an answer may take.
//!
//! ```text
//! request   unit │ 03 or 04 │ first hi lo │ count hi lo │ CRC lo hi
//! answer    unit │ 03 or 04 │ bytes = 2 × count │ registers, each hi lo │ CRC lo hi
//! refusal   unit │ 83 or 84 │ exception │ CRC lo hi
//! ```
//!
//! (MODBUS Application Protocol V1.1b3, 6.3, 6.4 and 7; MODBUS over Serial Line V1.02, 2.5.1.)
//! Nothing in an answer says which registers it tells, so that a late one to an earlier request
//! of the same length looks like this one's: whoever asks waits for silence first.

use rmodbus::ModbusProto;
use rmodbus::client::ModbusRequest;
use thiserror::Error;

use crate::meter::crc::crc16;
use crate::meter::profile::registers::Function;

/// The most registers that one answer carries (V1.1b3, 6.3).
pub const MOST_REGISTERS: u16 = 125;
/// Bytes of a request, and so of its echo.
const REQUEST_BYTES: usize = 8;
/// Bytes before an answer's registers.
const HEAD_BYTES: usize = 3;
/// Bytes of the CRC.
const CRC_BYTES: usize = 2;
/// The function's highest bit marks a refusal.
const REFUSED: u8 = 0x80;

/// Why registers can't be asked for, or why what came is not their answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// No such request.
    #[error("1 to 125 registers below 65536 can be asked for at once, not {count} from {first}")]
    Request {
        /// The first register, zero-based.
        first: u16,
        /// How many.
        count: u16,
    },
    /// Not one byte in time.
    #[error("no answer")]
    NoAnswer,
    /// It broke off.
    #[error("the answer broke off after {got} bytes")]
    Short {
        /// How many came.
        got: usize,
    },
    /// Another unit's.
    #[error("unit {got} answered")]
    WrongUnit {
        /// Which.
        got: u8,
    },
    /// To something else.
    #[error("function {got} was answered")]
    WrongFunction {
        /// Which.
        got: u8,
    },
    /// With another number of registers than were asked for, or with bytes after its end.
    #[error("the answer has another length")]
    WrongLength,
    /// Damaged.
    #[error("the answer's CRC is wrong")]
    BadCrc,
    /// The meter refuses.
    #[error("the meter refuses: {0}")]
    Refused(Exception),
}

/// Why a meter refuses (V1.1b3, 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Exception {
    /// 01.
    #[error("illegal function")]
    IllegalFunction,
    /// 02.
    #[error("illegal data address")]
    IllegalDataAddress,
    /// 03.
    #[error("illegal data value")]
    IllegalDataValue,
    /// 04.
    #[error("server device failure")]
    DeviceFailure,
    /// 05.
    #[error("acknowledge")]
    Acknowledge,
    /// 06.
    #[error("server device busy")]
    DeviceBusy,
    /// 08.
    #[error("memory parity error")]
    MemoryParity,
    /// 0A.
    #[error("gateway path unavailable")]
    GatewayPath,
    /// 0B.
    #[error("gateway target device failed to respond")]
    GatewayTarget,
    /// A code without a name.
    #[error("exception {0}")]
    Other(u8),
}

impl Exception {
    /// By its code.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::IllegalFunction,
            2 => Self::IllegalDataAddress,
            3 => Self::IllegalDataValue,
            4 => Self::DeviceFailure,
            5 => Self::Acknowledge,
            6 => Self::DeviceBusy,
            8 => Self::MemoryParity,
            10 => Self::GatewayPath,
            11 => Self::GatewayTarget,
            other => Self::Other(other),
        }
    }
}

/// Neighbouring registers of one table, asked for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    unit: u8,
    function: Function,
    first: u16,
    count: u16,
}

impl Request {
    /// `count` registers from `first` (zero-based, as on the wire).
    ///
    /// # Errors
    /// For none, for more than one answer carries, and for those beyond the last.
    pub fn new(unit: u8, function: Function, first: u16, count: u16) -> Result<Self, Fault> {
        let beyond = u32::from(first) + u32::from(count) > 65_536;
        if count == 0 || count > MOST_REGISTERS || beyond {
            return Err(Fault::Request { first, count });
        }
        Ok(Self { unit, function, first, count })
    }

    /// The table.
    pub fn function(&self) -> Function {
        self.function
    }

    /// The first register, zero-based.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// How many registers.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// What is sent.
    ///
    /// # Errors
    /// Never for a request that [`Request::new`] made.
    pub fn bytes(&self) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::with_capacity(REQUEST_BYTES);
        let mut codec = ModbusRequest::new(self.unit, ModbusProto::Rtu);
        match self.function {
            Function::Holding => codec.generate_get_holdings(self.first, self.count, &mut bytes),
            Function::Input => codec.generate_get_inputs(self.first, self.count, &mut bytes),
        }
        .map_err(|_| Fault::Request { first: self.first, count: self.count })?;
        Ok(bytes)
    }

    /// Bytes of a whole answer.
    pub fn answer_bytes(&self) -> usize {
        HEAD_BYTES + 2 * usize::from(self.count) + CRC_BYTES
    }
}

/// An answer as it comes.
#[derive(Debug, Clone)]
pub struct Answer {
    request: Request,
    /// What the adapter may give back of our own words before the answer.
    echo: Option<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Answer {
    /// To that request. With `echo` our own request may come back first, as it does on a
    /// two-wire RS-485 adapter that listens to itself.
    ///
    /// # Errors
    /// Never for a request that [`Request::new`] made.
    pub fn to(request: Request, echo: bool) -> Result<Self, Fault> {
        let echo = if echo { Some(request.bytes()?) } else { None };
        Ok(Self { request, echo, bytes: Vec::new() })
    }

    /// Takes bytes as they come; returns the registers once there are all of them, `None`
    /// while more are to come. Whatever isn't exactly the answer is a fault at once, and the
    /// rest of it is nobody's.
    ///
    /// # Errors
    /// Where what came is not the answer.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Vec<u16>>, Fault> {
        self.bytes.extend_from_slice(bytes);
        if let Some(echo) = &self.echo {
            if self.bytes.len() < echo.len() && echo.starts_with(&self.bytes) {
                return Ok(None);
            }
            if self.bytes.starts_with(echo) {
                self.bytes.drain(..echo.len());
            }
            self.echo = None;
        }
        self.judge()
    }

    /// No more bytes came in time: what that means.
    pub fn timed_out(&self) -> Fault {
        match self.bytes.len() {
            0 => Fault::NoAnswer,
            // Our own words are no answer.
            _ if self.echo.is_some() => Fault::NoAnswer,
            got => Fault::Short { got },
        }
    }

    fn judge(&self) -> Result<Option<Vec<u16>>, Fault> {
        let (request, got) = (&self.request, &self.bytes);
        let asked = request.function.code();
        if let Some(unit) = got.first().filter(|unit| **unit != request.unit) {
            return Err(Fault::WrongUnit { got: *unit });
        }
        let refused = match got.get(1) {
            Some(function) if *function == asked => false,
            Some(function) if *function == asked | REFUSED => true,
            Some(function) => return Err(Fault::WrongFunction { got: *function }),
            None => return Ok(None),
        };
        let length = if refused { HEAD_BYTES + CRC_BYTES } else { request.answer_bytes() };
        let told = got.get(2).map(|bytes| usize::from(*bytes));
        if got.len() > length
            || (!refused && told.is_some_and(|told| told != 2 * usize::from(request.count)))
        {
            return Err(Fault::WrongLength);
        }
        if got.len() < length {
            return Ok(None);
        }
        let (body, crc) = got.split_at(length - CRC_BYTES);
        if crc16(body).to_le_bytes() != crc {
            return Err(Fault::BadCrc);
        }
        if refused {
            return Err(Fault::Refused(Exception::from_code(got.get(2).copied().unwrap_or(0))));
        }
        self.registers().map(Some)
    }

    /// The registers of an answer that has been judged whole.
    fn registers(&self) -> Result<Vec<u16>, Fault> {
        let mut codec = ModbusRequest::new(self.request.unit, ModbusProto::Rtu);
        codec.func = match self.request.function {
            Function::Holding => rmodbus::consts::ModbusFunction::GetHoldings,
            Function::Input => rmodbus::consts::ModbusFunction::GetInputs,
        };
        codec.count = self.request.count;
        let mut registers = Vec::with_capacity(usize::from(self.request.count));
        codec.parse_u16(&self.bytes, &mut registers).map_err(|_| Fault::BadCrc)?;
        if registers.len() != usize::from(self.request.count) {
            return Err(Fault::WrongLength);
        }
        Ok(registers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(count: u16) -> Request {
        Request::new(17, Function::Holding, 0x006B, count).unwrap()
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        [body, &crc16(body).to_le_bytes()].concat()
    }

    fn answered(unit: u8, function: u8, registers: &[u16]) -> Vec<u8> {
        let mut body = vec![unit, function, 2 * registers.len() as u8];
        body.extend(registers.iter().flat_map(|r| r.to_be_bytes()));
        framed(&body)
    }

    fn heard(request: Request, bytes: &[u8]) -> Result<Option<Vec<u16>>, Fault> {
        Answer::to(request, false).unwrap().push(bytes)
    }

    #[test]
    fn the_example_of_the_specification_is_sent_and_read() {
        assert_eq!(request(3).bytes().unwrap(), [0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87]);
        let answer = [0x11, 0x03, 0x06, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64, 0xC8, 0xBA];
        assert_eq!(heard(request(3), &answer), Ok(Some(vec![0x022B, 0, 0x64])));
    }

    #[test]
    fn input_registers_are_asked_for_by_function_4() {
        let input = Request::new(1, Function::Input, 5000, 4).unwrap();
        assert_eq!(input.bytes().unwrap()[..6], [1, 4, 0x13, 0x88, 0, 4]);
        assert_eq!(heard(input, &answered(1, 4, &[1, 2, 3, 4])), Ok(Some(vec![1, 2, 3, 4])));
    }

    #[test]
    fn what_no_answer_can_carry_is_not_asked_for() {
        let ask = |first, count| Request::new(1, Function::Holding, first, count).is_ok();
        assert!(ask(0, 125) && ask(65_535, 1) && ask(65_411, 125));
        assert!(!ask(0, 0) && !ask(0, 126) && !ask(65_535, 2) && !ask(65_412, 125));
    }

    #[test]
    fn an_answer_may_come_byte_by_byte() {
        let mut answer = Answer::to(request(2), false).unwrap();
        let bytes = answered(17, 3, &[0x1234, 0xFFFF]);
        let (last, before) = bytes.split_last().unwrap();
        for byte in before {
            assert_eq!(answer.push(&[*byte]), Ok(None));
        }
        assert_eq!(answer.push(&[*last]), Ok(Some(vec![0x1234, 0xFFFF])));
    }

    #[test]
    fn an_answer_that_is_not_exactly_this_ones_is_never_taken() {
        let right = answered(17, 3, &[1, 2]);
        let mut damaged = right.clone();
        damaged[4] ^= 1;
        let cases = [
            (answered(18, 3, &[1, 2]), Fault::WrongUnit { got: 18 }),
            (answered(17, 4, &[1, 2]), Fault::WrongFunction { got: 4 }),
            (answered(17, 3, &[1]), Fault::WrongLength),
            (answered(17, 3, &[1, 2, 3]), Fault::WrongLength),
            ([right.as_slice(), &[0]].concat(), Fault::WrongLength),
            ([right.clone(), right.clone()].concat(), Fault::WrongLength),
            (damaged, Fault::BadCrc),
            // Its own echo, where none is configured.
            (request(2).bytes().unwrap(), Fault::WrongLength),
        ];
        for (bytes, fault) in cases {
            assert_eq!(heard(request(2), &bytes), Err(fault), "{bytes:02X?}");
        }
    }

    #[test]
    fn an_answer_that_breaks_off_is_told_from_none() {
        let mut answer = Answer::to(request(2), false).unwrap();
        assert_eq!(answer.timed_out(), Fault::NoAnswer);
        assert_eq!(answer.push(&answered(17, 3, &[1, 2])[..6]), Ok(None));
        assert_eq!(answer.timed_out(), Fault::Short { got: 6 });
    }

    #[test]
    fn a_refusal_is_told_by_its_name() {
        let refusal = |code| heard(request(1), &framed(&[17, 0x83, code])).unwrap_err();
        assert_eq!(refusal(2), Fault::Refused(Exception::IllegalDataAddress));
        assert_eq!(refusal(2).to_string(), "the meter refuses: illegal data address");
        assert_eq!(refusal(6).to_string(), "the meter refuses: server device busy");
        assert_eq!(refusal(99).to_string(), "the meter refuses: exception 99");
        assert_eq!(heard(request(1), &[17, 0x83, 2, 0, 0]), Err(Fault::BadCrc));
        assert_eq!(heard(request(1), &[17, 0x84]), Err(Fault::WrongFunction { got: 0x84 }));
    }

    #[test]
    fn an_echo_is_passed_over_where_it_is_configured_and_needs_not_come() {
        let echo = request(2).bytes().unwrap();
        let right = answered(17, 3, &[7, 8]);
        let with_echo = [echo.clone(), right.clone()].concat();
        for whole in [&with_echo, &right] {
            for cut in 0..whole.len() {
                let mut answer = Answer::to(request(2), true).unwrap();
                assert_eq!(answer.push(&whole[..cut]), Ok(None), "{cut}");
                assert_eq!(answer.push(&whole[cut..]), Ok(Some(vec![7, 8])), "{cut}");
            }
        }
        let mut alone = Answer::to(request(2), true).unwrap();
        assert_eq!(alone.push(&echo), Ok(None));
        assert_eq!(alone.timed_out(), Fault::NoAnswer);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_and_held_within_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            count in 1_u16..=125,
            echo: bool,
            size in 1_usize..300,
        ) {
            let mut answer = Answer::to(request(count), echo).unwrap();
            for chunk in bytes.chunks(size) {
                match answer.push(chunk) {
                    Ok(Some(registers)) => prop_assert_eq!(registers.len(), usize::from(count)),
                    Ok(None) => {}
                    Err(_) => break,
                }
                prop_assert!(answer.bytes.len() <= request(count).answer_bytes() + REQUEST_BYTES);
            }
        }

        #[test]
        fn what_was_sent_is_what_is_read(
            registers in proptest::collection::vec(any::<u16>(), 1..=125),
            size in 1_usize..40,
        ) {
            let request = request(registers.len() as u16);
            let mut answer = Answer::to(request, false).unwrap();
            let mut last = Ok(None);
            for chunk in answered(17, 3, &registers).chunks(size) {
                prop_assert_eq!(last, Ok(None));
                last = answer.push(chunk);
            }
            prop_assert_eq!(last, Ok(Some(registers)));
        }

        #[test]
        fn one_changed_bit_is_never_taken(
            registers in proptest::collection::vec(any::<u16>(), 1..=125),
            at: prop::sample::Index,
            bit in 0_u32..8,
        ) {
            let mut bytes = answered(17, 3, &registers);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let heard = heard(request(registers.len() as u16), &bytes);
            prop_assert!(!matches!(heard, Ok(Some(_))), "{:?}", heard);
        }
    }
}
