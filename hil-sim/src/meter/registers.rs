//! The registers of the meters that speak Modbus: which there are, and what is in them.
//! Addresses are those on the wire, from 0. Knows no frame.
//!
//! | kind | function | register: what |
//! | --- | --- | --- |
//! | tuf-2000m | 03 | 0 rate f32 m³/h; 8 total i32 L; 32 T1 f32 °C; 91 signal; CDAB |
//! | badger-m2000 | 03, 04 | 211 total f32 gal; 231 rollovers; 241 rate f32 gal/min; 245 power-ups |
//! | fluidwell-e112 | 03 | FFh battery; 230h, 236h total u48; 23Ch rate u32; low word first; 20h, 21h unit and decimals of the total, 30h to 32h of the rate |
//! | aw-lake-edge | 04; 03 | 5000 Hz f32, 5002 rate f32 gal/min; 3000 K f32, 4000, 4001 unit codes |
//! | dynasonics-tfx | 03 | 701 rate f32 gal/min; 703 total f32 gal; 719 T1 f32 °F |
//!
//! Between them a meter answers 0, as they do; the sensor with its few registers refuses.
//! Unit and decimals of the Fluidwell: its manual's variables 32, 33 and 48 to 50 (US
//! gallons are 3 for the total and 4 for the rate; 1 is a minute).

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::kind::celsius;
use super::{Kind, LITRES_A_GALLON, Line, MeterSetup, Part};

/// In which order the bytes of a number arrive: `ABCD` is the highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Order {
    /// As the specification has it.
    Abcd,
    /// Bytes swapped in each word.
    Badc,
    /// The low word first.
    Cdab,
    /// The low byte first.
    Dcba,
}

/// Which registers a function reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Function 03.
    Holding,
    /// Function 04.
    Input,
}

/// What can be read of a meter at an instant.
#[derive(Debug, Clone, Default)]
pub(super) struct Registers {
    readable: Vec<(Table, RangeInclusive<u16>)>,
    numbers: Vec<Number>,
}

#[derive(Debug, Clone)]
struct Number {
    table: Table,
    first: u16,
    words: Vec<u16>,
    part: Option<Part>,
}

impl Registers {
    /// What a meter shows in its registers.
    pub(super) fn of(setup: &MeterSetup, line: &Line) -> Self {
        let mut registers = Self::default();
        let order = setup.order.unwrap_or(match setup.kind {
            Kind::Tuf2000m | Kind::FluidwellE112 => Order::Cdab,
            _ => Order::Abcd,
        });
        match setup.kind {
            Kind::Tuf2000m => registers.tuf_2000m(line, order),
            Kind::BadgerM2000 => registers.badger_m2000(setup, line, order),
            Kind::FluidwellE112 => registers.fluidwell_e112(line, order),
            Kind::AwLakeEdge => registers.aw_lake_edge(setup, line, order),
            Kind::DynasonicsTfx => registers.dynasonics_tfx(line, order),
            _ => {}
        }
        registers
    }

    /// Registers that can be read; 0 where nothing is put.
    pub(super) fn open(&mut self, table: Table, range: RangeInclusive<u16>) {
        self.readable.push((table, range));
    }

    /// Puts a number.
    pub(super) fn put(&mut self, table: Table, first: u16, words: &[u16], part: Option<Part>) {
        self.numbers.push(Number { table, first, words: words.to_vec(), part });
    }

    /// Whether the meter knows the function.
    pub(super) fn has(&self, table: Table) -> bool {
        self.readable.iter().any(|(t, _)| *t == table)
    }

    /// So many registers from the first on, if all of them can be read.
    pub(super) fn read(&self, table: Table, first: u16, many: u16) -> Option<Vec<u16>> {
        let last = first.checked_add(many.checked_sub(1)?)?;
        let all = |(t, range): &(Table, RangeInclusive<u16>)| {
            *t == table && range.contains(&first) && range.contains(&last)
        };
        self.readable
            .iter()
            .any(all)
            .then(|| (first..=last).map(|at| self.word(table, at)).collect())
    }

    /// What is told whole by so many registers from the first on.
    pub(super) fn parts(&self, table: Table, first: u16, many: u16) -> Vec<Part> {
        let end = u32::from(first) + u32::from(many);
        let whole = |number: &&Number| {
            number.table == table
                && number.first >= first
                && u32::from(number.first) + number.words.len() as u32 <= end
        };
        let mut parts: Vec<Part> = Vec::new();
        for part in self.numbers.iter().filter(whole).filter_map(|number| number.part) {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        parts
    }

    fn word(&self, table: Table, at: u16) -> u16 {
        let of = |number: &Number| {
            let nth = at.checked_sub(number.first).filter(|_| number.table == table)?;
            number.words.get(usize::from(nth)).copied()
        };
        self.numbers.iter().find_map(of).unwrap_or(0)
    }

    fn tuf_2000m(&mut self, line: &Line, order: Order) {
        let mut put = |first, words: &[u16], part| self.put(Table::Holding, first, words, part);
        let m3_an_hour = line.rate_gpm * LITRES_A_GALLON * 60.0 / 1000.0;
        put(0, &f32_words(m3_an_hour, order), Some(Part::Rate));
        put(8, &whole_words(line.raw, 2, order), Some(Part::Count));
        let t1 = line.sensors.fluid_f.map_or(0.0, celsius);
        put(32, &f32_words(t1, order), Some(Part::Temperature));
        put(91, &[0x0255], None);
        self.open(Table::Holding, 0..=199);
    }

    fn badger_m2000(&mut self, setup: &MeterSetup, line: &Line, order: Order) {
        let begun = setup.start_count.checked_rem(setup.modulus).unwrap_or(0);
        let rollovers = (begun + line.counted).checked_div(setup.modulus).unwrap_or(0);
        for table in [Table::Holding, Table::Input] {
            let total = line.raw as f64 / 100.0;
            self.put(table, 211, &f32_words(total, order), Some(Part::Count));
            self.put(table, 231, &[rollovers as u16], None);
            self.put(table, 241, &f32_words(line.rate_gpm, order), Some(Part::Rate));
            self.put(table, 245, &[line.segment as u16 + 1], None);
            self.open(table, 200..=260);
        }
    }

    fn fluidwell_e112(&mut self, line: &Line, order: Order) {
        let (gallons, gallons_of_rate, a_minute, decimals) = (3, 4, 1, 2);
        let mut put = |first, words: &[u16], part| self.put(Table::Holding, first, words, part);
        put(0x20, &[gallons, decimals], None);
        put(0x30, &[gallons_of_rate, a_minute, decimals], None);
        put(0xFF, &[1], None);
        put(0x230, &whole_words(line.raw, 3, order), Some(Part::Count));
        put(0x236, &whole_words(line.raw, 3, order), Some(Part::Count));
        let rate = (line.rate_gpm * 100.0).round() as u64;
        put(0x23C, &whole_words(rate, 2, order), Some(Part::Rate));
        self.open(Table::Holding, 0..=0x2FF);
    }

    fn aw_lake_edge(&mut self, setup: &MeterSetup, line: &Line, order: Order) {
        let hz = line.rate_gpm / 60.0 * setup.k;
        self.put(Table::Input, 5000, &f32_words(hz, order), Some(Part::Rate));
        self.put(Table::Input, 5002, &f32_words(line.rate_gpm, order), Some(Part::Rate));
        self.put(Table::Holding, 3000, &f32_words(setup.k, order), None);
        self.open(Table::Input, 5000..=5003);
        self.open(Table::Holding, 3000..=3001);
        self.open(Table::Holding, 4000..=4001);
    }

    fn dynasonics_tfx(&mut self, line: &Line, order: Order) {
        let mut put = |first, words: &[u16], part| self.put(Table::Holding, first, words, part);
        put(701, &f32_words(line.rate_gpm, order), Some(Part::Rate));
        put(703, &f32_words(line.raw as f64 / 100.0, order), Some(Part::Count));
        let t1 = line.sensors.fluid_f.unwrap_or(0.0);
        put(719, &f32_words(t1, order), Some(Part::Temperature));
        self.open(Table::Holding, 700..=739);
    }
}

fn f32_words(value: f64, order: Order) -> Vec<u16> {
    whole_words(u64::from((value as f32).to_bits()), 2, order)
}

/// A whole number in so many registers.
fn whole_words(value: u64, registers: usize, order: Order) -> Vec<u16> {
    let highest_first = [value >> 48, value >> 32, value >> 16, value].map(|word| word as u16);
    let mut words: Vec<u16> = highest_first.into_iter().skip(4 - registers.min(4)).collect();
    if matches!(order, Order::Cdab | Order::Dcba) {
        words.reverse();
    }
    if matches!(order, Order::Badc | Order::Dcba) {
        words.iter_mut().for_each(|word| *word = word.swap_bytes());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Meter;

    fn shown(kind: Kind, start_count: u64, gpm: f64) -> Registers {
        let k = kind.steps_a_gallon().unwrap_or(126.7);
        let modulus = kind.modulus();
        let setup = MeterSetup { kind, k, modulus, start_count, ..MeterSetup::default() };
        let mut meter = Meter::new(setup.clone(), 0);
        meter.flow(gpm, 0);
        Registers::of(&setup, &meter.shown(0))
    }

    fn bytes(registers: &Registers, table: Table, first: u16, many: u16) -> Vec<u8> {
        let words = registers.read(table, first, many).unwrap();
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn f32_at(registers: &Registers, table: Table, first: u16) -> f32 {
        f32::from_be_bytes(bytes(registers, table, first, 2).try_into().unwrap())
    }

    #[test]
    fn numbers_stand_in_the_four_orders() {
        let stands = |order| {
            f32_words(36.625, order).iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>()
        };
        // 36.625 is 42 12 80 00, so what is published is a little more.
        assert_eq!(stands(Order::Abcd), [0x42, 0x12, 0x80, 0x00]);
        assert_eq!(stands(Order::Badc), [0x12, 0x42, 0x00, 0x80]);
        assert_eq!(stands(Order::Cdab), [0x80, 0x00, 0x42, 0x12]);
        assert_eq!(stands(Order::Dcba), [0x00, 0x80, 0x12, 0x42]);
    }

    #[test]
    fn a_tuf_2000m_shows_the_published_rate_low_word_first() {
        let m3_an_hour = f64::from(f32::from_bits(0x4212_806B));
        assert!((m3_an_hour - 36.625).abs() < 0.001);
        let registers = shown(Kind::Tuf2000m, 70_000, m3_an_hour * 1000.0 / 60.0 / LITRES_A_GALLON);
        assert_eq!(bytes(&registers, Table::Holding, 0, 2), [0x80, 0x6B, 0x42, 0x12]);
        assert_eq!(registers.read(Table::Holding, 8, 2).unwrap(), [4464, 1]);
        let t1 = registers.read(Table::Holding, 32, 2).unwrap();
        let t1 = f32::from_bits(u32::from(t1[1]) << 16 | u32::from(t1[0]));
        assert!((t1 - 24.888_89).abs() < 1e-4, "{t1}");
        assert!(!registers.has(Table::Input));
    }

    #[test]
    fn a_fluidwell_shows_the_published_total_low_word_first() {
        let registers = shown(Kind::FluidwellE112, 158_928, 2.0);
        for first in [0x230, 0x236] {
            assert_eq!(registers.read(Table::Holding, first, 3).unwrap(), [0x6CD0, 2, 0]);
        }
        assert_eq!(registers.read(Table::Holding, 0x23C, 2).unwrap(), [200, 0]);
        assert_eq!(registers.read(Table::Holding, 0x20, 2).unwrap(), [3, 2]);
        assert_eq!(registers.read(Table::Holding, 0xFF, 1).unwrap(), [1]);
    }

    #[test]
    fn a_badger_tells_rollovers_and_power_ups_to_both_functions() {
        let setup = MeterSetup {
            kind: Kind::BadgerM2000,
            k: 100.0,
            modulus: 1000,
            start_count: 990,
            ..MeterSetup::default()
        };
        let mut meter = Meter::new(setup.clone(), 0);
        meter.flow(10.0, 0);
        let registers = Registers::of(&setup, &meter.shown(6000));
        for table in [Table::Holding, Table::Input] {
            assert_eq!(f32_at(&registers, table, 211), 0.9);
            assert_eq!(f32_at(&registers, table, 241), 10.0);
            assert_eq!(registers.read(table, 231, 1).unwrap(), [1]);
            assert_eq!(registers.read(table, 245, 1).unwrap(), [1]);
        }
        meter.restart(6000);
        let registers = Registers::of(&setup, &meter.shown(6000));
        assert_eq!(registers.read(Table::Holding, 245, 1).unwrap(), [2]);
        assert_eq!(registers.read(Table::Holding, 231, 1).unwrap(), [1]);
        assert_eq!(f32_at(&registers, Table::Holding, 211), 0.9);
    }

    #[test]
    fn an_edge_tells_a_frequency_and_a_rate_and_refuses_what_it_has_not() {
        let registers = shown(Kind::AwLakeEdge, 0, 6.0);
        assert!((f32_at(&registers, Table::Input, 5000) - 12.67).abs() < 1e-5);
        assert_eq!(f32_at(&registers, Table::Input, 5002), 6.0);
        assert_eq!(f32_at(&registers, Table::Holding, 3000), 126.7);
        assert_eq!(registers.read(Table::Input, 5002, 3), None);
        assert_eq!(registers.read(Table::Holding, 3000, 3), None);
    }

    #[test]
    fn a_tfx_stands_one_below_its_documented_numbers() {
        let registers = shown(Kind::DynasonicsTfx, 12_345, 2.5);
        assert_eq!(f32_at(&registers, Table::Holding, 40_702 - 40_001), 2.5);
        assert_eq!(f32_at(&registers, Table::Holding, 40_704 - 40_001), 123.45);
        assert_eq!(f32_at(&registers, Table::Holding, 40_720 - 40_001), 76.8);
    }
}
