//! Lines that a meter says by itself. Knows no port; what is spoilt on the way is
//! [`noise`](super::damaged)'s and [`MeterFault`](super::MeterFault)'s.
//!
//! ```text
//! $FLOW,AF23265,17,1289,2.00,76.8,71.55,86,1350*0B CR LF                    rig-line
//! DE,Rig,ID,AF23265,MO,4250,TI,…,BV,12.3,…,FL,0.001555,VO,2.199325,CS,n CR LF   teledyne-4250
//! Flow rate: 3L/min HT Output Liquid Quantity: 53mL / 0L CR LF               pulse-text
//! ```
//!
//! Teledyne Isco 4250, "Serial Output", table 2-1: FL in m³/s, VO in m³, BV in V, TI in days
//! since 1900; CS is a checksum that doesn't include itself. The manual doesn't say of what
//! kind, and its example was edited for print: here it is the sum of all bytes before `CS,`,
//! modulo 65536, which no test may take for the vendor's word.

use super::{Kind, LITRES_A_GALLON, Line, MeterSetup, Sensors};
use crate::nmea::sentence;

/// What a 4250's clock says in its vendor's example: in no test does it matter.
const DAYS_SINCE_1900: &str = "35317.343715";

/// The line of a kind; empty for one that is asked.
pub(super) fn text(setup: &MeterSetup, line: &Line) -> String {
    match setup.kind {
        Kind::RigLine => rig_line(&setup.serial, line),
        Kind::Teledyne4250 => teledyne(&setup.serial, line),
        Kind::PulseText => pulse_text(line),
        _ => String::new(),
    }
}

fn rig_line(serial: &str, line: &Line) -> String {
    let field = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
    let Line { seq, raw, rate_gpm, .. } = line;
    let Sensors { fluid_f, ambient_f, battery_percent, runtime_min, .. } = line.sensors;
    sentence(&format!(
        "FLOW,{serial},{seq},{raw},{rate_gpm:.2},{},{},{},{}",
        field(fluid_f),
        field(ambient_f),
        field(battery_percent),
        field(runtime_min),
    ))
}

fn teledyne(serial: &str, line: &Line) -> String {
    let volts = line.sensors.battery_volts.map(|volts| format!("BV,{volts:.1},"));
    let flow = line.rate_gpm * LITRES_A_GALLON / 60.0 / 1000.0;
    let (whole, millionths) = (line.raw / 1_000_000, line.raw % 1_000_000);
    let text = format!(
        "DE,Rig,ID,{serial},MO,4250,TI,{DAYS_SINCE_1900},{}LE,0.1000,VE,0.1225,\
         FL,{flow:.6},VO,{whole}.{millionths:06},RV,0.000000,SS,1,",
        volts.unwrap_or_default(),
    );
    let sum = text.bytes().fold(0_u16, |sum, byte| sum.wrapping_add(byte.into()));
    format!("{text}CS,{sum}\r\n")
}

fn pulse_text(line: &Line) -> String {
    // The sketches hold the flow in a float and print it cut to an integer.
    let litres_a_minute = (line.rate_gpm * LITRES_A_GALLON + 1e-6).floor();
    let (ml, litres) = (line.raw, line.raw / 1000);
    format!("Flow rate: {litres_a_minute}L/min\tOutput Liquid Quantity: {ml}mL / {litres}L\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Meter;

    fn meter(kind: Kind, start_count: u64) -> Meter {
        let k = kind.steps_a_gallon().unwrap();
        Meter::new(
            MeterSetup { kind, k, start_count, modulus: kind.modulus(), ..MeterSetup::default() },
            0,
        )
    }

    fn value<'a>(line: &'a str, name: &str) -> &'a str {
        let mut words = line.trim_end().split(',');
        words.find(|word| *word == name).unwrap();
        words.next().unwrap()
    }

    #[test]
    fn a_4250_tells_names_and_values_as_its_manual_prints_them() {
        let mut meter = meter(Kind::Teledyne4250, 2_199_325);
        // 0.001555 m³/s are 24.65 gallons a minute.
        meter.flow(0.001_555 * 60_000.0 / LITRES_A_GALLON, 0);
        let line = meter.line(0);
        assert!(line.text.starts_with("DE,") && line.text.ends_with("\r\n"), "{}", line.text);
        for (name, expected) in
            [("MO", "4250"), ("BV", "12.3"), ("FL", "0.001555"), ("VO", "2.199325")]
        {
            assert_eq!(value(&line.text, name), expected);
        }
        let (before, sum) = line.text.trim_end().split_once("CS,").unwrap();
        let bytes: u32 = before.bytes().map(u32::from).sum();
        assert_eq!(bytes.to_string(), sum);
        // A second later 1.555 L more have passed.
        let volume: f64 = value(&meter.line(1000).text, "VO").parse().unwrap();
        assert!((volume - 2.200_880).abs() < 1.5e-6, "{volume}");
    }

    #[test]
    fn the_hobby_line_is_that_of_the_sketches() {
        let mut meter = meter(Kind::PulseText, 0);
        meter.flow(3.2 / LITRES_A_GALLON, 0);
        let text = meter.line(1000).text;
        assert_eq!(text, "Flow rate: 3L/min\tOutput Liquid Quantity: 53mL / 0L\r\n");
        assert!(meter.line(20_000).text.ends_with("Quantity: 1066mL / 1L\r\n"));
        meter.restart(20_000);
        assert!(meter.line(20_000).text.ends_with("Quantity: 0mL / 0L\r\n"));
    }
}
