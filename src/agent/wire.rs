//! The wiring: every channel, and every task at its ends.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tracing::{error, info, warn};

use super::ground::Ground;
use super::log_level::{LogLevel, SetLogLevel};
use super::reload::Reload;
use super::tasks::Tasks;
use super::{AgentError, Running};
use crate::clock::Anchor;
use crate::clock::resolve::resolve;
use crate::clock::source::Clock;
use crate::config::last_good::Start;
use crate::control::server::{Control, ControlParts};
use crate::drain::{Drain, DrainParts, DrainView};
use crate::jobcloser::client::Now;
use crate::link::Links;
use crate::progress::Pulse;
use crate::queue::{Queue, View, file_in};
use crate::reading::Seq;
use crate::record::gps_source::GpsSource;
use crate::record::meter_source::MeterSource;
use crate::record::rig::Rig;
use crate::record::task::{Record, RecordParts};
use crate::record::{GpsView, MeterView, RecordView};
use crate::status::{AgentView, Live};
use crate::stop;
use crate::systemd;
use crate::upkeep::Upkeep;
use crate::upkeep::carry::Carry;
use crate::upkeep::check::FullCheck;
use crate::upkeep::room::RoomView;

/// Samples that may wait for the recorder. When it is full they are dropped and counted: the
/// next count has their volume.
const SAMPLES: usize = 64;
/// Fixes that may wait. When it is full they are dropped and counted: one that came late
/// would look fresh.
const FIXES: usize = 64;
/// Hints to the drain that may wait; a hint that finds it full says what is already said.
const HINTS: usize = 4;
/// Test records that may wait; one more is refused, and its operator told so.
const CANARIES: usize = 1;
/// Verifications that may wait; one more is refused, and its operator told so.
const VERIFICATIONS: usize = 4;

/// Starts every task. What is upstream waits in its channel for what is started later.
pub async fn start(
    start: &Start,
    config_path: Option<PathBuf>,
    set_log_level: SetLogLevel,
    ground: Ground,
) -> Result<Running, AgentError> {
    let Ground { clock, config, profile, store, lock } = ground;
    let pick = store.pick()?;
    let begins = store.position().is_none();
    let (queue, thread) =
        Queue::start(store).map_err(|source| AgentError::System { what: "a thread", source })?;
    let damaged = queue.damage();
    let (rig_tx, rig) = watch::channel(Rig { config: Arc::clone(&config), profile });
    let (config_tx, config_rx) = watch::channel(Arc::clone(&config));
    let (wanted_tx, wanted) = watch::channel(crate::assignment::wanted(pick, &config.job));
    let (agent_tx, agent) = watch::channel(degraded(start));
    let (recorded_tx, recorded) = watch::channel(Seq(0));
    let (anchors_tx, anchors) = watch::channel(Vec::new());
    let (meter_view, meter_seen) = watch::channel(MeterView::default());
    let (gps_view, gps_seen) = watch::channel(GpsView::default());
    let (record_view, record_seen) = watch::channel(RecordView::default());
    let (drain_view, drain_seen) = watch::channel(DrainView::default());
    let (meter_tx, meter) = mpsc::channel(SAMPLES);
    let (fixes_tx, fixes) = mpsc::channel(FIXES);
    let (hints_tx, hints) = mpsc::channel(HINTS);
    let (canaries_tx, canaries) = mpsc::channel(CANARIES);
    let (verifications_tx, verifications) = mpsc::channel(VERIFICATIONS);
    let link_up = Arc::new(Notify::new());
    let pulses = ["meter", "gps", "record", "drain", "control", "upkeep", "check"]
        .map(|t| Pulse::new(t, clock.now()));
    let [
        meter_pulse,
        gps_pulse,
        record_pulse,
        drain_pulse,
        control_pulse,
        upkeep_pulse,
        check_pulse,
    ] = pulses.clone();

    let meter_source =
        MeterSource::new(rig.clone(), meter_tx, meter_view, clock.clone(), meter_pulse);
    let gps_source =
        GpsSource::new(rig.clone(), fixes_tx, begins, gps_view, clock.clone(), gps_pulse);
    let record = Record::new(RecordParts {
        queue: queue.clone(),
        rig,
        wanted: wanted.clone(),
        meter,
        fixes,
        recorded: recorded_tx,
        anchors: anchors_tx.clone(),
        view: record_view,
        clock: clock.clone(),
        pulse: record_pulse,
    })
    .await?;
    let parts = DrainParts {
        queue: queue.clone(),
        config: config_rx.clone(),
        recorded,
        hints,
        canaries,
        verifications,
        link_up: Arc::clone(&link_up),
        view: drain_view,
        clock: clock.clone(),
        pulse: drain_pulse,
    };
    let drain = Drain::new(parts, own_time(anchors.clone(), clock.clone())).await?;
    let (room_view, room) = watch::channel(RoomView::default());
    let file = file_in(&config.device.data_dir);
    let check = FullCheck::new(queue.clone(), file.clone(), clock.clone(), check_pulse);
    let upkeep = Upkeep::new(
        queue.clone(),
        config_tx.subscribe(),
        file,
        room_view,
        clock.clone(),
        upkeep_pulse,
    );
    let carry = Carry::new(queue.clone(), hints_tx.clone());
    let live = Live {
        agent,
        config: config_rx.clone(),
        meter: meter_seen,
        gps: gps_seen,
        record: record_seen,
        drain: drain_seen,
        room: room.clone(),
        anchors,
        wanted,
        pulses: pulses.to_vec(),
        clock: clock.clone(),
    };
    let parts = ControlParts {
        queue: queue.clone(),
        config: config_rx,
        wanted: wanted_tx.clone(),
        anchors: anchors_tx,
        hints: hints_tx,
        canaries: canaries_tx,
        verifications: verifications_tx,
        live,
        clock: clock.clone(),
        pulse: control_pulse,
    };
    let control = Control::new(&config.status.socket, parts);
    let log_level = LogLevel { set: set_log_level, config: config_tx.subscribe(), room };
    let signs = queue.signs();
    let reload = Reload {
        path: config_path,
        config: config_tx,
        rig: rig_tx,
        wanted: wanted_tx,
        agent: agent_tx,
        queue,
    };

    let (sources, sources_stop) = stop::channel();
    let (drain_stopper, drain_stop) = stop::channel();
    let (rest, rest_stop) = stop::channel();
    let mut tasks = Tasks::default();
    tasks.start("meter", ended(meter_source.run(sources_stop.clone())));
    tasks.start("gps", ended(gps_source.run(sources_stop)));
    tasks.start("record", async { Ok(record.run().await?) });
    tasks.start("drain", async { Ok(drain.run(drain_stop).await?) });
    tasks.start("links", ended(Links::listen().run(link_up, rest_stop.clone())));
    tasks.start("control", ended(control.run(rest_stop.clone())));
    tasks.start("upkeep", ended(upkeep.run(rest_stop.clone())));
    tasks.start("check", ended(check.run(rest_stop.clone())));
    tasks.start("carry", ended(carry.run(rest_stop.clone())));
    tasks.start("log level", ended(log_level.run(rest_stop.clone())));
    tasks.start("watchdog", ended(systemd::watchdog(pulses.to_vec(), clock, rest_stop)));
    // It may wait for the disk, and recording doesn't wait for that.
    reload.keep_if_good(start).await;
    audit(file_in(&config.device.data_dir), reload.agent.clone(), signs);
    info!(device = config.device.name, port = %config.meter.port.display(), "recording");
    let (drain, queue) = (drain_stopper, thread);
    Ok(Running { tasks, reload, sources, drain, rest, queue, damaged, _lock: lock })
}

/// Reads every row once, beside the work: the balance that `status` shows is kept along with
/// the rows, and wouldn't miss one that got lost on the disk.
fn audit(file: PathBuf, agent: watch::Sender<AgentView>, signs: Arc<Notify>) {
    tokio::task::spawn_blocking(move || match View::open(&file).and_then(|view| view.audit()) {
        Ok(balance) if balance.balanced() => {}
        Ok(_) => {
            error!(path = %file.display(), "the queue's rows do not add up to what was recorded; keep the data directory as it is and call for support");
            agent.send_modify(|view| view.rows_missing = true);
            signs.notify_one();
        }
        Err(err) => {
            warn!(err = &err as &dyn std::error::Error, "the queue was not audited");
            if err.is_damage() {
                signs.notify_one();
            }
        }
    });
}

/// The agent's own clock: anchors, not the system's idea of the time.
fn own_time(anchors: watch::Receiver<Vec<Anchor>>, clock: Clock) -> Now {
    Arc::new(move || resolve(&anchors.borrow(), clock.now()))
}

/// A task that only ends when it is asked to, in the shape of one that may fail.
async fn ended(task: impl Future<Output = ()>) -> Result<(), AgentError> {
    task.await;
    Ok(())
}

fn degraded(start: &Start) -> AgentView {
    let problems: Vec<String> =
        start.refused.iter().flat_map(|problems| problems.errors()).collect();
    for problem in &problems {
        error!(problem, "configuration refused; running with the last good one");
    }
    for warning in &start.loaded.warnings {
        warn!(%warning, "configuration");
    }
    AgentView { degraded: problems, ..AgentView::default() }
}
