//! What must be there before any task: clocks, the data directory and its lock, the
//! meter's profile, the queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{error, warn};

use super::{AgentError, reload};
use crate::clock::source::Clock;
use crate::config::Config;
use crate::config::last_good::Start;
use crate::meter::profile::Profile;
use crate::queue::{DirLock, Store, after_damage, file_in, give_to_owner, others_beside};

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
    for other in others_beside(&file) {
        warn!(path = %other.display(), "another queue holds readings that are not sent; call for support");
    }
    give_to_owner(&file);
    Ok(Ground { clock, config, profile, store, lock })
}

/// The queue; where it is damaged a fresh one beside it, since the rig never goes silent
/// (RULES.md, 28). Where the counting was is lost with it: the meter's count is a new
/// baseline.
fn open_queue(dir: &Path, clock: &Clock) -> Result<(PathBuf, Store), AgentError> {
    let file = file_in(dir);
    match Store::open(&file, clock.boot()) {
        Err(err) if err.is_damage() => {
            let fresh = after_damage(dir);
            let err = &err as &dyn std::error::Error;
            error!(err, damaged = %file.display(), fresh = %fresh.display(), "the queue is damaged; keep its file and call for support; recording goes on in a fresh one");
            let store = Store::open(&fresh, clock.boot())?;
            Ok((fresh, store))
        }
        opened => Ok((file, opened?)),
    }
}
