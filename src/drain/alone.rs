//! A test record, or a verification, without a daemon: takes the data directory's lock, so
//! that no delivery runs meanwhile, and writes by the queue's one writer.

mod verify;

use std::sync::{Arc, OnceLock};

pub use verify::verify_alone;

use thiserror::Error;

use super::canary::Setting;
use super::task::connect::{read_login, zone};
use super::trial::{Trial, not_sent, not_signed_in};
use crate::cause::chain;
use crate::clock::UtcMs;
use crate::clock::resolve::resolve;
use crate::clock::source::{Clock, ClockError};
use crate::config::Config;
use crate::jobcloser::client::Client;
use crate::learnt::{Order, Told};
use crate::queue::{DirLock, LockError, QueueError, Store, file_in, give_to_owner};

/// Why nothing was done.
#[derive(Debug, Error)]
pub enum AloneError {
    /// Another agent has the data directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The clocks can't be read.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The system gave no runtime.
    #[error("the system refused what HTTP needs")]
    System(#[source] std::io::Error),
}

/// Sends one.
///
/// # Errors
/// Where the data directory can't be had. What happened to the record is told, whatever
/// it was.
pub fn test_alone(config: &Config, order: &Order) -> Result<Told, AloneError> {
    let Some(place) = order.at else {
        return Ok(not_sent("no position while the daemon is down: say where with --at LAT,LON"));
    };
    let Ground { _lock, clock, mut store } = Ground::take(config)?;
    let Some(now) = time(config, &clock, &store) else {
        return Ok(not_sent(
            "no time: the system clock isn't synchronised, and a record's time is never made up",
        ));
    };
    let client = match client(config, &clock, Some(now)) {
        Ok(client) => client,
        Err(why) => return Ok(not_sent(why)),
    };
    let runtime = runtime()?;
    let mut told = runtime.block_on(async {
        if let Some(why) = not_signed_in(&client.sign_in().await) {
            return not_sent(why);
        }
        let setting = Setting {
            device_name: config.device.name.clone(),
            zone: zone(config),
            stand_in: config.record.stand_in.clone(),
            place,
            utc_s: now.floor_s(),
        };
        let too_often = OnceLock::new();
        let server = &config.jobcloser;
        Trial { client: &client, server, order, setting, now, too_often }.run().await
    });
    if let Some(learnt) = &told.learnt
        && let Err(err) = store.set_learnt(learnt)
    {
        told.remarks.push(format!("what was learnt is not kept: {}", chain(&err)));
    }
    Ok(told)
}

/// The data directory, for this command alone.
struct Ground {
    _lock: DirLock,
    clock: Clock,
    store: Store,
}

impl Ground {
    fn take(config: &Config) -> Result<Self, AloneError> {
        let lock = DirLock::take(&config.device.data_dir)?;
        let clock = Clock::system()?;
        let file = file_in(&config.device.data_dir);
        let opened = Store::open(&file, clock.boot());
        give_to_owner(&file);
        Ok(Self { _lock: lock, clock, store: opened? })
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, AloneError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AloneError::System)
}

/// A client whose clock goes on from `now`, where that is known.
fn client(config: &Config, clock: &Clock, now: Option<UtcMs>) -> Result<Client, String> {
    let login = read_login(config)?;
    let (begun, clock) = (clock.now(), clock.clone());
    let time = move || now.map(|now| UtcMs(now.0 + clock.now().since_ms(begun)));
    Client::new(&config.jobcloser, login, Arc::new(time)).map_err(|err| chain(&err))
}

/// The agent's own time, where this boot has one; else the system's, where that is
/// trusted. Never one that is made up.
fn time(config: &Config, clock: &Clock, store: &Store) -> Option<UtcMs> {
    resolve(store.anchors(), clock.now()).or_else(|| clock.trusted(config.clock.trust_system))
}
