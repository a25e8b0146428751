//! What must be there before any task: clocks, the data directory and its lock, the
//! meter's profile, the queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use super::{AgentError, damage, reload};
use crate::cause::chain;
use crate::clock::source::Clock;
use crate::config::Config;
use crate::config::last_good::Start;
use crate::meter::profile::Profile;
use crate::queue::{DirLock, Store, file_in, give_to_owner};

/// The ground that the tasks stand on.
pub struct Ground {
    /// The board's clocks.
    pub clock: Clock,
    /// The configuration to begin with.
    pub config: Arc<Config>,
    /// How the meter speaks.
    pub profile: Arc<Profile>,
    /// The queue, not yet in its thread.
    pub store: Store,
    /// The data directory is ours.
    pub lock: DirLock,
}

/// Lays it.
pub fn lay(start: &Start) -> Result<Ground, AgentError> {
    let clock = Clock::system()?;
    let config = Arc::new(start.loaded.config.clone());
    let dir = &config.device.data_dir;
    std::fs::create_dir_all(dir)
        .map_err(|source| AgentError::DataDir { path: dir.clone(), source })?;
    let lock = DirLock::take(dir)?;
    let profile = Arc::new(reload::profile(&start.loaded)?);
    let (file, store) = open_queue(dir, &clock)?;
    for other in store.others() {
        warn!(path = %other.display(), "another queue holds readings that are not sent; call for support");
    }
    give_to_owner(&file);
    Ok(Ground { clock, config, profile, store, lock })
}

/// So many damaged databases are set aside at a start: the one in use, and those that
/// version 0.1 left beside it. More can't be old: then the disk damages what is written.
const ASIDE_AT_MOST: usize = 8;

/// The queue; where it is damaged it is set aside and a fresh one begun, since the rig
/// never goes silent (RULES.md, 28). The counting goes on where the damaged one was.
fn open_queue(dir: &Path, clock: &Clock) -> Result<(PathBuf, Store), AgentError> {
    for _ in 0..ASIDE_AT_MOST {
        let file = file_in(dir);
        let err = match Store::open(&file, clock.boot()) {
            Err(err) if err.is_damage() => err,
            opened => return Ok((file, opened?)),
        };
        damage::set_file_aside(&file, &chain(&err), clock)?;
    }
    let file = file_in(dir);
    let store = Store::open(&file, clock.boot())?;
    Ok((file, store))
}
