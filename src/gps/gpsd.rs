//! gpsd as a source: its JSON lines to accepted fixes, pure. `lines` finds them, `report`
//! reads one, `judge` decides by rule 13 whether it is a fix; only [`client`] knows a socket.
//!
//! Gives the date that gpsd gives. gpsd itself moves one that is before its own start, by the
//! system's clock, up by 1024 weeks; the clock judges what comes of that.

pub mod client;
mod judge;
mod lines;
mod report;

use serde::Serialize;

use crate::clock::BootInstant;
use crate::reading::Fix;
use judge::Judge;
use lines::Lines;
use report::Report;

/// Receivers that are remembered for `status`.
const DEVICES: usize = 8;
/// Characters kept of a name or a complaint of gpsd's.
const TEXT: usize = 200;

/// Bytes in, accepted fixes out. Holds one line, whatever comes.
#[derive(Debug)]
pub struct Decoder {
    lines: Lines,
    judge: Judge,
    told: Told,
    reported: Option<BootInstant>,
    counters: Counters,
}

/// What gpsd says of itself, in this connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its release; `None` before it has said so, which it does at once.
    pub release: Option<String>,
    /// The receivers that it knows.
    pub devices: Vec<Device>,
    /// What it complained of last.
    pub complaint: Option<String>,
}

impl Told {
    /// Whether it reads any receiver.
    pub fn has_device(&self) -> bool {
        self.devices.iter().any(|device| device.active)
    }
}

/// A receiver that gpsd knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its name there.
    pub path: String,
    /// Whether gpsd reads it now.
    pub active: bool,
    /// What it speaks, once gpsd has found out.
    pub driver: Option<String>,
}

/// What has been read, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Bytes of every kind.
    pub bytes: u64,
    /// Lines that came to their end.
    pub lines: u64,
    /// Of these: no JSON, or none of a form that gpsd's has.
    pub unreadable: u64,
    /// Given up for their length.
    pub overlong: u64,
    /// Broken off by the end of a connection.
    pub torn: u64,
    /// Complaints of gpsd's.
    pub complaints: u64,
    /// Reports of a position, of whatever worth.
    pub reports: u64,
    /// Accepted.
    pub fixes: u64,
    /// Not accepted.
    pub rejected: Rejected,
}

/// Reports that are no fix, each under the first cause that ruled it out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Mode 0 or 1.
    pub no_fix: u64,
    /// By status estimated, entered by hand, simulated, or of a kind not known.
    pub estimated: u64,
    /// No place in it.
    pub no_place: u64,
    /// Not on the globe.
    pub range: u64,
    /// At 0,0.
    pub null_island: u64,
    /// No date and time: it can't be told from an old one.
    pub no_time: u64,
    /// Of another receiver than the one that is followed.
    pub other_device: u64,
    /// The same time again.
    pub repeated: u64,
    /// No HDOP in the 10 s before.
    pub no_hdop: u64,
    /// HDOP over the bound.
    pub hdop: u64,
    /// It has waited for a second or more on its way.
    pub late: u64,
}

/// Why a report is no fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    NoFix,
    Estimated,
    NoPlace,
    Range,
    NullIsland,
    NoTime,
    OtherDevice,
    Repeated,
    NoHdop,
    Hdop,
    Late,
}

impl Decoder {
    /// A decoder that takes fixes with an HDOP of at most `max_hdop`.
    pub fn new(max_hdop: f64) -> Self {
        Self {
            lines: Lines::new(),
            judge: Judge::new(max_hdop),
            told: Told::default(),
            reported: None,
            counters: Counters::default(),
        }
    }

    /// Another bound, from the next report on.
    pub fn set_max_hdop(&mut self, max_hdop: f64) {
        self.judge.max_hdop = max_hdop;
    }

    /// Takes a chunk that was read `at` in boot time, and gives the fixes in it.
    pub fn push(&mut self, bytes: &[u8], at: BootInstant) -> Vec<Fix> {
        let mut fixes = Vec::new();
        for &byte in bytes {
            self.counters.bytes += 1;
            let (line, at) = match self.lines.byte(byte, at) {
                None => continue,
                Some(Ok(found)) => found,
                Some(Err(lines::Overlong)) => {
                    self.counters.overlong += 1;
                    continue;
                }
            };
            self.counters.lines += 1;
            let Ok(report) = serde_json::from_slice(line) else {
                self.counters.unreadable += 1;
                continue;
            };
            fixes.extend(self.take(report, at));
        }
        fixes
    }

    /// The connection has ended: what comes next is said anew.
    pub fn cut(&mut self) {
        self.counters.torn += u64::from(self.lines.cut());
        self.judge.cut();
        self.told = Told::default();
    }

    /// When it last reported a position, of whatever worth. A receiver that gpsd has lost
    /// unawares stays among its devices, and is only known by its silence.
    pub fn reported(&self) -> Option<BootInstant> {
        self.reported
    }

    /// What gpsd says of itself.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn take(&mut self, report: Report, at: BootInstant) -> Option<Fix> {
        match report {
            Report::Version { release } => {
                self.told.release = Some(short(release.as_deref().unwrap_or("unnamed")));
            }
            Report::Devices { devices } => {
                self.told.devices.clear();
                devices.into_iter().for_each(|device| self.device(device));
            }
            Report::Device(device) => self.device(device),
            Report::Sky(sky) => self.judge.sky(sky, at),
            Report::Error { message } => {
                self.counters.complaints += 1;
                self.told.complaint = Some(short(message.as_deref().unwrap_or("no words")));
            }
            Report::Tpv(tpv) => {
                self.counters.reports += 1;
                self.reported = Some(at);
                match self.judge.tpv(tpv, at) {
                    Ok(fix) => {
                        self.counters.fixes += 1;
                        return Some(fix);
                    }
                    Err(cause) => self.counters.rejected.count(cause),
                }
            }
            Report::Other => {}
        }
        None
    }

    fn device(&mut self, told: report::Device) {
        let active = told.active();
        let Some(path) = told.path else { return };
        if !active {
            self.judge.lost(&path);
        }
        let path = short(&path);
        let driver = told.driver.as_deref().map(short);
        let devices = &mut self.told.devices;
        devices.retain(|device| device.path != path);
        if devices.len() < DEVICES {
            devices.push(Device { path, active, driver });
        }
    }
}

impl Rejected {
    fn count(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::NoFix => &mut self.no_fix,
            Cause::Estimated => &mut self.estimated,
            Cause::NoPlace => &mut self.no_place,
            Cause::Range => &mut self.range,
            Cause::NullIsland => &mut self.null_island,
            Cause::NoTime => &mut self.no_time,
            Cause::OtherDevice => &mut self.other_device,
            Cause::Repeated => &mut self.repeated,
            Cause::NoHdop => &mut self.no_hdop,
            Cause::Hdop => &mut self.hdop,
            Cause::Late => &mut self.late,
        };
        *counter += 1;
    }
}

/// What others say, fit to be shown.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT).collect()
}

#[cfg(test)]
mod tests;
