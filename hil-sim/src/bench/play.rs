//! What a scenario's events do to the bench.

use std::time::Duration;

use serde_json::Map;

use super::{Bench, BenchError};
use crate::board_clock;
use crate::gps::{Sky, Spot};
use crate::rig::{Rig, WhileOut};
use crate::scenario::{Event, Turn};

impl Bench {
    /// Lets an event happen.
    ///
    /// # Errors
    /// Where the bench can't do it.
    pub async fn apply(&mut self, event: &Event) -> Result<(), BenchError> {
        match event {
            Event::Fault(order) => self.server().order(order.clone()),
            Event::Behaviour(changes) => self.turn_switches(changes)?,
            Event::Turn(turn) => match turn {
                Turn::CutNetwork {} => self.server().go_away().await,
                Turn::RestoreNetwork {} => self.server().come_back().await?,
                Turn::ClearFaults {} => self.server().clear_faults(),
                Turn::EndSessions {} => self.server().end_sessions(),
                Turn::KillAgent {} => self.kill_agent()?,
                Turn::StartAgent {} => self.start_agent()?,
                Turn::StopAgent {} => self.stop_agent().await.map(|_| ())?,
                Turn::ReloadAgent {} => self.reload_agent()?,
                Turn::SetClock { to, by_s, synchronised } => {
                    let by_ms = by_s.map(|seconds| (seconds * 1000.0) as i64);
                    let set = self.board_clock()?.set(time(to.as_deref()), by_ms, *synchronised);
                    set.map_err(|source| BenchError::Clock { source })?;
                }
                Turn::TurnKey { clock, off_s } => {
                    let off = Duration::from_secs_f64(*off_s);
                    self.turn_key(off, time(clock.as_deref())).await?;
                }
                other => turn_rig(self.rig(), other)?,
            },
        }
        Ok(())
    }

    fn turn_switches(&self, changes: &Map<String, serde_json::Value>) -> Result<(), BenchError> {
        let behaviour = self.server().behaviour().with(changes);
        self.server().set_behaviour(behaviour.map_err(|source| BenchError::Behaviour { source })?);
        Ok(())
    }
}

/// A scenario's times were looked at when it was read.
fn time(text: Option<&str>) -> Option<i64> {
    board_clock::instant(text?).ok()
}

/// Lets happen what happens to the rig alone; nothing for what concerns server or agent.
///
/// # Errors
/// Where a cable can't be pulled or put back.
pub fn turn_rig(rig: &Rig, turn: &Turn) -> Result<(), BenchError> {
    let (meter, gps) = (rig.meter(), rig.gps());
    match turn {
        Turn::StartSpraying { gpm } => meter.flow(*gpm),
        Turn::StopSpraying {} => meter.stop(),
        Turn::Drive { speed_mps, heading } => gps.drive(*speed_mps, *heading),
        Turn::Follow { points, speed_mps } => {
            let spots = points.iter().map(|[lat, lon]| Spot { lat: *lat, lon: *lon });
            gps.follow(spots, *speed_mps);
        }
        Turn::StopDriving {} => gps.stop(),
        Turn::UnplugMeter { counting: true } => meter.unplug(WhileOut::Counts)?,
        Turn::UnplugMeter { counting: false } => meter.unplug(WhileOut::Sleeps)?,
        Turn::PlugMeter {} => meter.plug()?,
        Turn::UnplugGps {} => gps.unplug()?,
        Turn::PlugGps {} => gps.plug()?,
        Turn::Noise { lines } => meter.noise(*lines),
        Turn::Glitch { counts } => meter.glitch(*counts),
        Turn::RestartMeter {} => meter.restart(),
        Turn::MeterFault { .. } => turn.meter_fault().into_iter().for_each(|f| meter.fault(f)),
        Turn::LoseFix { frozen: true, .. } => gps.lose_fix(Sky::Frozen),
        Turn::LoseFix { blind: true, .. } => gps.lose_fix(Sky::Blind),
        Turn::LoseFix { .. } => gps.lose_fix(Sky::NoFix),
        Turn::SpoilFix { how } => gps.spoil_fix(*how),
        Turn::RegainFix {} => gps.regain_fix(),
        Turn::CutNetwork {}
        | Turn::RestoreNetwork {}
        | Turn::ClearFaults {}
        | Turn::EndSessions {}
        | Turn::KillAgent {}
        | Turn::StartAgent {}
        | Turn::StopAgent {}
        | Turn::ReloadAgent {}
        | Turn::SetClock { .. }
        | Turn::TurnKey { .. } => {}
    }
    Ok(())
}
