//! The rig: a meter and a receiver that speak by themselves, each from a task of its own,
//! into pseudoterminals (or real ports), and the knobs to turn while they do. Knows the
//! truth and writes it down; knows no agent and no server.

mod meter_knob;
mod receiver;

pub use meter_knob::{MeterKnob, WhileOut};
pub use receiver::{GpsKnob, GpsSetup, Source};

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::RigClock;
use crate::meter::MeterSetup;
use crate::outlet::{Outlet, OutletError};
use crate::truth::Truth;

/// How often a task looks whether its reader has gone, so that a pseudoterminal that was
/// left is fresh before an agent that starts again opens it.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Bits a second on a real port, where no other is told.
const BAUD: u32 = 9600;

/// Why a rig can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// The directory for the stable names can't be made.
    #[error("can't make the directory {} for the ports' names", dir.display())]
    LinkDir {
        /// Its path.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A port can't be used.
    #[error(transparent)]
    Outlet(#[from] OutletError),
}

/// A rig before it is set up.
#[derive(Debug, Clone)]
pub struct RigSetup {
    /// Where the stable names `meter` and `gps` are made.
    pub link_dir: PathBuf,
    /// A real port for the meter instead.
    pub meter_port: Option<PathBuf>,
    /// A real port for the receiver instead.
    pub gps_port: Option<PathBuf>,
    /// The meter.
    pub meter: MeterSetup,
    /// The receiver.
    pub gps: GpsSetup,
    /// Of everything that is thrown.
    pub seed: u64,
}

/// A rig that runs.
#[derive(Debug)]
pub struct Rig {
    meter: MeterKnob,
    gps: GpsKnob,
    clock: RigClock,
    truth: TruthLog,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    meter_path: PathBuf,
    gps_path: PathBuf,
}

/// The truth as the rig's tasks write it down and others look at it.
#[derive(Debug, Clone)]
pub struct TruthLog(Arc<Mutex<Truth>>);

impl Rig {
    /// Sets the rig up and starts it: meter at rest, standing, sky clear. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// Where a port or a name can't be had.
    pub fn start(setup: RigSetup) -> Result<Self, RigError> {
        std::fs::create_dir_all(&setup.link_dir)
            .map_err(|source| RigError::LinkDir { dir: setup.link_dir.clone(), source })?;
        let clock = RigClock::start();
        let truth = Truth::new(&setup.meter.serial, setup.meter.k);
        let truth = TruthLog::new(Truth { kind: setup.meter.kind, ..truth });
        let outlet = |port: &Option<PathBuf>, name: &str| -> Result<_, OutletError> {
            let link = setup.link_dir.join(name);
            Ok(match port {
                Some(port) => (Outlet::device(port, BAUD)?, port.clone()),
                None => (Outlet::pty(&link)?, link),
            })
        };
        let (meter_outlet, meter_path) = outlet(&setup.meter_port, "meter")?;
        let (gps_outlet, gps_path) = outlet(&setup.gps_port, "gps")?;
        let meter = MeterKnob::new(setup.meter, setup.seed, meter_outlet, clock, truth.clone());
        let gps = GpsKnob::new(setup.gps, gps_outlet, clock, truth.clone());
        let (stop, stopped) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(meter.clone().run(stopped.clone())),
            tokio::spawn(gps.clone().run(stopped)),
        ];
        Ok(Self { meter, gps, clock, truth, stop, tasks, meter_path, gps_path })
    }

    /// The meter's knobs.
    pub fn meter(&self) -> &MeterKnob {
        &self.meter
    }

    /// The receiver's and the wheel.
    pub fn gps(&self) -> &GpsKnob {
        &self.gps
    }

    /// The rig's clock.
    pub fn clock(&self) -> RigClock {
        self.clock
    }

    /// What to open for the meter.
    pub fn meter_path(&self) -> &PathBuf {
        &self.meter_path
    }

    /// What to open for the receiver.
    pub fn gps_path(&self) -> &PathBuf {
        &self.gps_path
    }

    /// The truth as it is written down.
    pub fn truth_log(&self) -> &TruthLog {
        &self.truth
    }

    /// The truth so far.
    pub fn truth(&self) -> Truth {
        self.meter.bring_truth_up_to_date();
        self.truth.lock().clone()
    }

    /// Stops both devices and takes their names away.
    pub async fn stop(mut self) {
        // Nobody left to tell is fine: the tasks have ended then.
        let _ = self.stop.send(true);
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl TruthLog {
    /// Begins a log.
    pub fn new(truth: Truth) -> Self {
        Self(Arc::new(Mutex::new(truth)))
    }

    /// For a look or a line; never held while waiting.
    pub fn lock(&self) -> MutexGuard<'_, Truth> {
        lock(&self.0)
    }
}

/// A lock that a panic elsewhere (a failed assertion in a test) does not take away.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `until_ms`, looking every [`LOOK_EVERY`]; false where it is time to stop.
pub(crate) async fn wait_looking(
    clock: RigClock,
    until_ms: i64,
    stopped: &mut watch::Receiver<bool>,
    mut look: impl FnMut(),
) -> bool {
    loop {
        let left = clock.until(until_ms);
        if left.is_zero() {
            return !*stopped.borrow();
        }
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return false,
            () = tokio::time::sleep(left.min(LOOK_EVERY)) => look(),
        }
    }
}
