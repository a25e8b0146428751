//! How a Modbus meter is asked and what its registers hold. Checked data; knows no TOML,
//! builds no request and reads no answer.
//!
//! ```text
//!   bytes on the wire   80 6B 42 12           order CDAB: low word first
//!   as A B C D           C  D  A  B   ─►  42 12 80 6B  =  36.625 as f32
//! ```

use std::time::Duration;

use serde::Deserialize;

/// How the meter is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modbus {
    /// What is waited between two requests.
    pub pause: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether the line gives back what is sent on it (RS-485 adapters that hear themselves).
    pub echo: bool,
    /// So many registers that nobody wants may stand between two that are read in one
    /// request.
    pub max_gap: u16,
}

/// What a register is read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// 03, read holding registers.
    Holding,
    /// 04, read input registers.
    Input,
}

impl Function {
    /// The function code.
    pub fn code(self) -> u8 {
        match self {
            Self::Holding => 3,
            Self::Input => 4,
        }
    }

    /// Of that code; `None` for one that reads no registers.
    pub fn of_code(code: u8) -> Option<Self> {
        match code {
            3 => Some(Self::Holding),
            4 => Some(Self::Input),
            _ => None,
        }
    }
}

/// A value in one or more registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// What it is read with.
    pub function: Function,
    /// Address of the first register on the wire, from 0. The last one is at most 65535.
    pub address: u16,
    /// What it holds.
    pub holds: Holds,
    /// In which order its bytes come.
    pub order: Order,
    /// Only these bits of an unsigned integer, the lowest at 0.
    pub bits: Option<Bits>,
}

impl Register {
    /// How many registers it takes.
    pub fn words(&self) -> u16 {
        self.holds.words()
    }
}

/// What one or more registers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// 16 bits, unsigned.
    U16,
    /// 16 bits, two's complement.
    I16,
    /// 32 bits, unsigned.
    U32,
    /// 32 bits, two's complement.
    I32,
    /// 48 bits, unsigned.
    U48,
    /// 64 bits, unsigned.
    U64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// Binary-coded decimals, four to a register, in so many registers (1 to 4).
    Bcd(u16),
    /// So many ASCII characters, two to a register, padded with spaces or zeros.
    Text(u16),
}

impl Holds {
    /// How many registers it takes.
    pub fn words(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U48 => 3,
            Self::U64 | Self::F64 => 4,
            Self::Bcd(words) => words,
            Self::Text(chars) => chars.div_ceil(2),
        }
    }

    /// Whether it is always a whole number.
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F64 | Self::Text(_))
    }

    /// Whether single bits of it mean something.
    pub fn has_bits(self) -> bool {
        matches!(self, Self::U16 | Self::U32 | Self::U48 | Self::U64)
    }
}

/// In which order the bytes of a value come, A being the most significant of the first four.
/// For longer values the same holds of all their words and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Order {
    /// High word first, high byte first: as Modbus itself has it.
    #[default]
    Abcd,
    /// High word first, low byte first.
    Badc,
    /// Low word first, high byte first.
    Cdab,
    /// Low word first, low byte first.
    Dcba,
}

/// Bits `first` to `last` of an integer, both counted in; the lowest is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// The lowest.
    pub first: u8,
    /// The highest; not below `first`.
    pub last: u8,
}

/// Where the decimal point of a number stands: it is divided by ten to that power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimals {
    /// Always there; 0 to 15.
    Fixed(u8),
    /// As another register says, of an integer type.
    Register(Register),
}
