//! What the tasks say of themselves, each through a channel of its own that always holds
//! the latest. Asking costs the tasks nothing.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::assignment::Wanted;
use crate::clock::resolve::{best_source, disagreements, resolve};
use crate::clock::source::Clock;
use crate::clock::{Anchor, UtcMs};
use crate::config::Config;
use crate::drain::DrainView;
use crate::progress::Pulse;
use crate::record::{GpsView, MeterView, RecordView};
use crate::upkeep::room::RoomView;

/// The agent's own part of `status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AgentView {
    /// Why it runs with the last good configuration; empty when it doesn't.
    pub degraded: Vec<String>,
    /// What the last reload refused; empty when nothing.
    pub reload_refused: Vec<String>,
    /// Whether the rows of the queue didn't add up when all were read at the start.
    pub rows_missing: bool,
}

/// Receivers of everything there is to show.
#[derive(Debug, Clone)]
pub struct Live {
    /// The agent.
    pub agent: watch::Receiver<AgentView>,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// The meter's source.
    pub meter: watch::Receiver<MeterView>,
    /// The receiver's source.
    pub gps: watch::Receiver<GpsView>,
    /// Recording.
    pub record: watch::Receiver<RecordView>,
    /// Delivery.
    pub drain: watch::Receiver<DrainView>,
    /// The disk.
    pub room: watch::Receiver<RoomView>,
    /// The anchors of this boot.
    pub anchors: watch::Receiver<Vec<Anchor>>,
    /// The wanted assignment.
    pub wanted: watch::Receiver<Wanted>,
    /// Every task's pulse.
    pub pulses: Vec<Pulse>,
    /// The board's clocks.
    pub clock: Clock,
}

impl Live {
    /// The live part of `status --json`.
    pub fn snapshot(&self) -> Value {
        let config = self.config.borrow().clone();
        let now = self.clock.now();
        let agent = self.agent.borrow().clone();
        let oldest = self.pulses.iter().map(|p| p.age_ms(now)).max().unwrap_or(0);
        json!({
            "daemon": {
                "running": true,
                "pid": std::process::id(),
                "version": env!("CARGO_PKG_VERSION"),
                "device": config.device.name,
                "degraded": agent.degraded,
                "reload_refused": agent.reload_refused,
                "rows_missing": agent.rows_missing,
                "oldest_pulse_ms": oldest,
            },
            "meter": self.meter(&config),
            "gps": self.gps(&config),
            "clock": self.clock_view(),
            "server": self.server(&config),
            "disk": self.room.borrow().clone(),
            "job": self.wanted.borrow().as_ref().map(|(assignment, origin)| {
                json!({ "assignment": assignment, "chosen_by": origin })
            }),
        })
    }

    fn meter(&self, config: &Config) -> Value {
        let (meter, record) = (self.meter.borrow().clone(), self.record.borrow().clone());
        let age = record.recorder.as_ref().and_then(|r| r.sample_age_ms);
        let stale_ms = config.meter.stale_after.as_millis() as i64;
        json!({
            "port": meter.port.path,
            "port_open": meter.port.open,
            "problem": meter.port.problem,
            "stale": age.is_none_or(|age| age > stale_ms),
            "state": record.recorder.as_ref().map(|r| r.flow),
            "health": meter.port,
            "decoded": meter.decoded,
            "polled": meter.polled,
            "dropped": meter.dropped,
            "recorder": record,
        })
    }

    fn gps(&self, config: &Config) -> Value {
        let (gps, record) = (self.gps.borrow().clone(), self.record.borrow().clone());
        let way = gps.port.as_ref().or(gps.gpsd.as_ref().map(|gpsd| &gpsd.connection));
        json!({
            "source": config.gps.source,
            "port": gps.port.as_ref().map(|p| p.path.clone()),
            "port_open": gps.port.as_ref().map(|p| p.open),
            "problem": way.and_then(|way| way.problem.clone()),
            "gpsd": gps.gpsd,
            "fix": record.recorder.as_ref().map(|r| r.fix),
            "fix_age_ms": record.recorder.as_ref().and_then(|r| r.fix_age_ms),
            "health": gps.port,
            "decoded": gps.decoded,
            "dropped": gps.dropped,
            "jumps": record.recorder.as_ref().map(|r| r.tally.place_jumps),
            "fixed": config.gps.fixed,
        })
    }

    fn clock_view(&self) -> Value {
        let anchors = self.anchors.borrow();
        let time = resolve(&anchors, self.clock.now());
        json!({
            "time": time.map(UtcMs::rfc3339),
            "source": best_source(&anchors),
            "anchors": anchors.len(),
            "system_synchronised": self.clock.synchronised(),
            "disagreeing": disagreements(&anchors).iter().map(|d| {
                json!({ "source": d.source, "ahead_s": d.ahead_ms as f64 / 1000.0 })
            }).collect::<Vec<_>>(),
        })
    }

    fn server(&self, config: &Config) -> Value {
        json!({ "url": config.jobcloser.base_url, "delivery": self.drain.borrow().clone() })
    }
}
