//! The keys that say how a Modbus meter is asked and what its registers hold.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::super::registers::{Bits, Decimals, Function, Holds, Modbus, Order, Register};
use super::{Wrong, duration};

const USUAL_TIMEOUT: Duration = Duration::from_millis(500);
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);
/// As many registers as one request may read (Modbus Application Protocol V1.1b3, 6.3).
const MOST_WORDS: u16 = 125;
/// More decimal places than any display has.
const MOST_DECIMALS: u8 = 15;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileModbus {
    function: Option<Spanned<u8>>,
    addressing: Option<Addressing>,
    pause: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    echo: Option<bool>,
    max_gap: Option<Spanned<u16>>,
}

/// How the registers of a manual are numbered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Addressing {
    /// As on the wire, from 0.
    #[default]
    #[serde(rename = "zero")]
    Zero,
    /// From 1.
    #[serde(rename = "one")]
    One,
    /// From 40001 for holding and 30001 for input registers; six digits as well.
    #[serde(rename = "4xxxx")]
    Documented,
}

/// How the profile's fields name registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbering {
    function: Option<Function>,
    addressing: Addressing,
}

/// Where a register stands and what it holds, as written.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterKeys {
    pub register: Option<u32>,
    pub function: Option<u8>,
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
    pub order: Option<Order>,
    pub length: Option<u16>,
    pub bits: Option<(u8, u8)>,
}

#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    U16,
    I16,
    U32,
    I32,
    U48,
    U64,
    F32,
    F64,
    Bcd,
    String,
}

/// `decimals`, as written.
#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "decimals must be a number or { register = …, type = … }")]
pub(super) enum FileDecimals {
    Fixed(u8),
    Register(RegisterKeys),
}

/// How the meter is asked, and how its fields name registers.
pub(super) fn read(read: Option<Spanned<FileModbus>>) -> Result<(Modbus, Numbering), Wrong> {
    let Some(read) = read.map(Spanned::into_inner) else {
        let modbus =
            Modbus { pause: Duration::ZERO, timeout: USUAL_TIMEOUT, echo: false, max_gap: 0 };
        return Ok((modbus, Numbering { function: None, addressing: Addressing::Zero }));
    };
    let pause = read.pause.map(|time| duration(&time, Duration::ZERO)).transpose()?;
    let timeout = read.timeout.map(|time| duration(&time, LEAST_TIMEOUT)).transpose()?;
    let function = match read.function {
        Some(code) => Some(function(*code.get_ref(), code.span().start)?),
        None => None,
    };
    if let Some(gap) = read.max_gap.as_ref().filter(|gap| *gap.get_ref() >= MOST_WORDS) {
        let problem = format!("max_gap must be below {MOST_WORDS}");
        return Err(Wrong::at(gap.span().start, problem));
    }
    let modbus = Modbus {
        pause: pause.unwrap_or_default(),
        timeout: timeout.unwrap_or(USUAL_TIMEOUT),
        echo: read.echo.unwrap_or(false),
        max_gap: read.max_gap.map_or(0, Spanned::into_inner),
    };
    Ok((modbus, Numbering { function, addressing: read.addressing.unwrap_or_default() }))
}

/// The register that these keys name. `at` is where they stand.
pub(super) fn register(
    keys: &RegisterKeys,
    numbering: Numbering,
    at: usize,
) -> Result<Register, Wrong> {
    let wrong = |problem: String| Wrong::at(at, problem);
    let Some(number) = keys.register else {
        return Err(wrong("register is needed".to_owned()));
    };
    let told = keys.function.map(|code| function(code, at)).transpose()?;
    let (function, address) = on_the_wire(number, told, numbering).map_err(wrong)?;
    let holds = holds(keys).map_err(wrong)?;
    let words = holds.words();
    let Some(address) = address.filter(|a| u32::from(*a) + u32::from(words) <= 65_536) else {
        return Err(wrong(format!("register {number} is not on Modbus")));
    };
    let bits = match keys.bits {
        None => None,
        Some((first, last)) => {
            let width = words * 16;
            if !holds.has_bits() || first > last || u16::from(last) >= width {
                let problem = "bits = [first, last] are of an unsigned type, the lowest is 0";
                return Err(wrong(problem.to_owned()));
            }
            Some(Bits { first, last })
        }
    };
    Ok(Register { function, address, holds, order: keys.order.unwrap_or_default(), bits })
}

/// Where the decimal point of a number stands.
pub(super) fn decimals(
    read: Option<FileDecimals>,
    numbering: Option<Numbering>,
    at: usize,
) -> Result<Decimals, Wrong> {
    let places = match (read, numbering) {
        (None, _) => 0,
        (Some(FileDecimals::Fixed(places)), _) => places,
        (Some(FileDecimals::Register(keys)), Some(numbering)) => {
            let register = register(&keys, numbering, at)?;
            if !register.holds.is_integer() {
                return Err(Wrong::at(at, "decimals are in a register of an integer type"));
            }
            return Ok(Decimals::Register(register));
        }
        (Some(FileDecimals::Register(_)), None) => {
            return Err(Wrong::at(at, "decimals in a register are for kind = \"modbus-rtu\""));
        }
    };
    if places > MOST_DECIMALS {
        return Err(Wrong::at(at, format!("decimals must be 0 to {MOST_DECIMALS}")));
    }
    Ok(Decimals::Fixed(places))
}

fn function(code: u8, at: usize) -> Result<Function, Wrong> {
    Function::of_code(code).ok_or_else(|| Wrong::at(at, "function must be 3 or 4"))
}

/// Function and address of a register's number; no address where there is no such register.
fn on_the_wire(
    number: u32,
    told: Option<Function>,
    numbering: Numbering,
) -> Result<(Function, Option<u16>), String> {
    let usual = told.or(numbering.function).unwrap_or(Function::Holding);
    let address = |from: u32| number.checked_sub(from).and_then(|n| u16::try_from(n).ok());
    match numbering.addressing {
        Addressing::Zero => Ok((usual, address(0))),
        Addressing::One => Ok((usual, address(1))),
        Addressing::Documented => {
            let (function, from) = match number {
                40_001..=49_999 => (Function::Holding, 40_001),
                400_001..=465_536 => (Function::Holding, 400_001),
                30_001..=39_999 => (Function::Input, 30_001),
                300_001..=365_536 => (Function::Input, 300_001),
                _ => return Err("register must be 40001 to 49999 or 30001 to 39999".to_owned()),
            };
            if told.is_some_and(|told| told != function) {
                return Err(format!("register {number} is read with {:02}", function.code()));
            }
            Ok((function, address(from)))
        }
    }
}

fn holds(keys: &RegisterKeys) -> Result<Holds, String> {
    let length = |most: u16, what: &str| match keys.length {
        Some(length) if (1..=most).contains(&length) => Ok(length),
        _ => Err(format!("length must be 1 to {most} {what}")),
    };
    let Some(kind) = keys.kind else {
        return Err("type is needed: u16, i16, u32, i32, u48, u64, f32, f64, bcd or string".into());
    };
    if keys.length.is_some() && !matches!(kind, Kind::Bcd | Kind::String) {
        return Err("length is for bcd and string".to_owned());
    }
    Ok(match kind {
        Kind::U16 => Holds::U16,
        Kind::I16 => Holds::I16,
        Kind::U32 => Holds::U32,
        Kind::I32 => Holds::I32,
        Kind::U48 => Holds::U48,
        Kind::U64 => Holds::U64,
        Kind::F32 => Holds::F32,
        Kind::F64 => Holds::F64,
        Kind::Bcd => Holds::Bcd(length(4, "registers")?),
        Kind::String => Holds::Text(length(32, "characters")?),
    })
}
