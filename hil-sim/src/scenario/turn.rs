//! What can happen to the rig, the network or the agent. Plain data; knows nothing of when.

use serde::Deserialize;

use crate::gps::Spoil;
use crate::meter::{FaultKind, MeterFault, Part};

/// Something that happens to the rig, the network or the agent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Turn {
    /// Liquid flows from here on.
    StartSpraying {
        /// Gallons a minute.
        gpm: f64,
    },
    /// It stops.
    StopSpraying {},
    /// The rig drives straight on.
    Drive {
        /// Metres a second.
        speed_mps: f64,
        /// Degrees from north.
        heading: f64,
    },
    /// The rig drives from point to point and stops at the last.
    Follow {
        /// Latitude and longitude of each.
        points: Vec<[f64; 2]>,
        /// Metres a second.
        speed_mps: f64,
    },
    /// It stands.
    StopDriving {},
    /// The meter's cable is pulled.
    UnplugMeter {
        /// Whether it has power of its own and goes on counting.
        #[serde(default = "yes")]
        counting: bool,
    },
    /// It is put back.
    PlugMeter {},
    /// The receiver's cable is pulled.
    UnplugGps {},
    /// It is put back.
    PlugGps {},
    /// The next lines come out spoilt.
    Noise {
        /// So many.
        lines: u32,
    },
    /// The next line shows too high a count, with a right checksum.
    Glitch {
        /// By so much.
        counts: u64,
    },
    /// The meter has a fault of its protocol.
    MeterFault {
        /// In which way.
        fault: FaultKind,
        /// For so many answers, lines or openings of its port.
        #[serde(default = "once")]
        times: u32,
        /// Only for answers that tell this.
        of: Option<Part>,
        /// How late, in milliseconds, where it is `late`.
        after_ms: Option<u32>,
        /// With which code it refuses, where it is a Modbus `exception`.
        code: Option<u8>,
    },
    /// The meter starts again from 0.
    RestartMeter {},
    /// The receiver loses the sky.
    LoseFix {
        /// And its time with it.
        #[serde(default)]
        blind: bool,
        /// And hangs: it tells its last epoch over and over.
        #[serde(default)]
        frozen: bool,
    },
    /// The receiver says what isn't so.
    SpoilFix {
        /// In which way.
        how: Spoil,
    },
    /// It finds the fix again, and is honest again.
    RegainFix {},
    /// No connection to the server.
    CutNetwork {},
    /// The connection is back.
    RestoreNetwork {},
    /// The server's faults are over.
    ClearFaults {},
    /// The server forgets all sessions.
    EndSessions {},
    /// SIGKILL.
    KillAgent {},
    /// The agent is started.
    StartAgent {},
    /// SIGTERM, and a wait until it has ended.
    StopAgent {},
    /// SIGHUP.
    ReloadAgent {},
    /// The board's clock is set, or steps.
    SetClock {
        /// To this time (RFC 3339, or `now` for what is so).
        to: Option<String>,
        /// Forward by so many seconds, back where negative.
        by_s: Option<f64>,
        /// Whether the kernel calls it synchronised from here on.
        synchronised: Option<bool>,
    },
    /// The key is turned off and on: the agent dies, and another boot begins.
    TurnKey {
        /// What the board's clock says then, as for `set_clock`; as before where it isn't told.
        clock: Option<String>,
        /// Seconds without power.
        #[serde(default = "half_a_second")]
        off_s: f64,
    },
}

impl Turn {
    /// Whether it needs a board whose clocks can be moved.
    pub fn moves_the_clock(&self) -> bool {
        matches!(self, Self::SetClock { .. } | Self::TurnKey { .. })
    }

    /// Whether it concerns the rig alone, and neither server nor agent.
    pub fn is_the_rigs(&self) -> bool {
        !matches!(
            self,
            Self::CutNetwork {}
                | Self::RestoreNetwork {}
                | Self::ClearFaults {}
                | Self::EndSessions {}
                | Self::KillAgent {}
                | Self::StartAgent {}
                | Self::StopAgent {}
                | Self::ReloadAgent {}
                | Self::SetClock { .. }
                | Self::TurnKey { .. }
        )
    }

    /// The fault that the meter gets, if it does.
    pub fn meter_fault(&self) -> Option<MeterFault> {
        let Self::MeterFault { fault, times, of, after_ms, code } = self else {
            return None;
        };
        let once = MeterFault::once(*fault);
        Some(MeterFault {
            fault: *fault,
            times: *times,
            of: *of,
            after_ms: after_ms.map_or(once.after_ms, i64::from),
            code: code.unwrap_or(once.code),
        })
    }
}

fn once() -> u32 {
    1
}

pub(super) fn half_a_second() -> f64 {
    0.5
}

fn yes() -> bool {
    true
}
