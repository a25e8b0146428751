//! SIGHUP: the configuration is read again. What is valid takes effect in the running
//! tasks, without losing a reading; what is not is reported, and the old one stays.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::assignment::Wanted;
use crate::assignment::wanted;
use crate::cause::chain;
use crate::config::key::Reload as When;
use crate::config::last_good::{self, Start};
use crate::config::{Config, Loaded, keys, load};
use crate::meter;
use crate::meter::profile::{Profile, ProfileError};
use crate::queue::{Queue, QueueError};
use crate::record::rig::Rig;
use crate::status::AgentView;

/// Everything that a reload may change.
pub struct Reload {
    /// The file that was named on the command line.
    pub path: Option<PathBuf>,
    /// The configuration in force.
    pub config: watch::Sender<Arc<Config>>,
    /// The same with its profile.
    pub rig: watch::Sender<Rig>,
    /// The wanted assignment.
    pub wanted: watch::Sender<Wanted>,
    /// What `status` says of it.
    pub agent: watch::Sender<AgentView>,
    /// Where the technician's pick is kept.
    pub queue: Queue,
}

impl Reload {
    /// Reads the configuration and puts it in force, or says why not.
    pub async fn run(&mut self) {
        let loaded = match self.load().await {
            Ok(loaded) => loaded,
            Err(problems) => return self.refuse(problems),
        };
        let profile = match profile(&loaded) {
            Ok(profile) => Arc::new(profile),
            Err(err) => return self.refuse([chain(&err)]),
        };
        // Before anything changes: with half of a configuration in force nobody would know
        // which job it is.
        if let Err(err) = self.queue.call(|store| store.pick()).await {
            return self.refuse([format!("which job was picked: {}", chain(&err))]);
        }
        let old = self.config.borrow().clone();
        let config = Arc::new(restrained(&old, &loaded));
        let changed: Vec<_> = keys::changed(&old, &config).iter().map(|k| k.path).collect();
        for warning in &loaded.warnings {
            warn!(%warning, "configuration");
        }
        self.rig.send_replace(Rig { config: Arc::clone(&config), profile });
        self.config.send_replace(Arc::clone(&config));
        let told = self.tell_wanted().await;
        self.agent.send_modify(|view| {
            *view = AgentView { rows_missing: view.rows_missing, ..AgentView::default() };
        });
        self.keep(&loaded).await;
        match told {
            Ok(()) => info!(changed = changed.join(" "), "configuration reloaded"),
            Err(err) => {
                self.refuse([format!("the job of before stays in force: {}", chain(&err))]);
            }
        }
    }

    /// Tells the recorder what is wanted under the new configuration. In a turn of the queue,
    /// as a command does it: of the two the later one is told last. The configuration was
    /// replaced before, so that a command in between tells the new one too.
    async fn tell_wanted(&self) -> Result<(), QueueError> {
        let (config, told) = (self.config.subscribe(), self.wanted.clone());
        let turn = self.queue.call(move |store| {
            let next = wanted(store.pick()?, &config.borrow().job);
            told.send_if_modified(|now| std::mem::replace(now, next.clone()) != next);
            Ok(())
        });
        turn.await
    }

    /// Reads the configuration, in a thread of its own: a disk may take its time, and
    /// signals are heard meanwhile.
    async fn load(&self) -> Result<Loaded, Vec<String>> {
        let path = self.path.clone();
        let found = spawn_blocking(move || {
            load::load_with(path.as_deref(), load::environment(), &|name| {
                meter::load::for_config(name).map(Some)
            })
        });
        match found.await {
            Ok(found) => found.map_err(|problems| problems.errors()),
            Err(err) => Err(vec![format!("the configuration was not read: {err}")]),
        }
    }

    /// Keeps the configuration of a good start as the last good one.
    pub async fn keep_if_good(&self, start: &Start) {
        if start.refused.is_none() {
            self.keep(&start.loaded).await;
        }
    }

    /// In a thread of its own, since it waits for the disk.
    async fn keep(&self, loaded: &Loaded) {
        let dir = self.config.borrow().device.data_dir.clone();
        let loaded = loaded.clone();
        match spawn_blocking(move || last_good::keep(&dir, &loaded)).await {
            Ok(Ok(())) => {}
            Ok(Err(err)) => {
                warn!(err = &err as &dyn std::error::Error, "last good configuration not kept");
            }
            Err(err) => warn!(%err, "last good configuration not kept"),
        }
    }

    fn refuse(&self, problems: impl IntoIterator<Item = String>) {
        let problems: Vec<String> = problems.into_iter().collect();
        for problem in &problems {
            error!(problem, "reload refused; the old configuration stays in force");
        }
        self.agent.send_modify(|view| view.reload_refused = problems);
    }
}

/// The new configuration, but for what only a restart can change: said aloud.
fn restrained(old: &Config, loaded: &Loaded) -> Config {
    let mut config = loaded.config.clone();
    for key in keys::changed(old, &config) {
        if key.reload == When::Restart {
            warn!(key = key.path, "takes effect at the next start");
        }
    }
    config.device.data_dir.clone_from(&old.device.data_dir);
    config.status.clone_from(&old.status);
    config
}

/// The profile that a configuration was found good with. A kept one that this version
/// doesn't take gives way to the installed one of its name.
pub fn profile(loaded: &Loaded) -> Result<Profile, ProfileError> {
    let name = &loaded.config.meter.profile;
    match loaded.profile.as_deref().map(|text| meter::load::parse(name, text)) {
        Some(Ok(profile)) => Ok(profile),
        Some(Err(err)) => {
            warn!(err = &err as &dyn std::error::Error, "kept meter profile not used");
            meter::load::installed(name)
        }
        None => meter::load::installed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::source::Clock;
    use crate::queue::{Store, file_in};

    #[tokio::test]
    async fn a_reload_that_cannot_tell_the_picked_job_is_refused_aloud_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spraylog.toml");
        let configure = |event: &str| {
            let ids = format!("job.event_id = '{event}'\njob.job_id = 'j'\n");
            let text = format!("device.data_dir = {:?}\n{ids}", dir.path());
            std::fs::write(&path, text).unwrap();
            load::load(Some(&path), []).unwrap()
        };
        let old = configure("old");
        let config = Arc::new(old.config.clone());
        let profile = Arc::new(profile(&old).unwrap());
        let clock = Clock::system().unwrap();
        let store = Store::open(&file_in(dir.path()), clock.boot()).unwrap();
        let (queue, _thread) = Queue::start(store).unwrap();
        // It takes the queue's thread with it.
        assert!(queue.call::<(), _>(|_| panic!("a disk that is gone")).await.is_err());
        let (agent, seen) = watch::channel(AgentView::default());
        let mut reload = Reload {
            path: Some(path.clone()),
            config: watch::channel(Arc::clone(&config)).0,
            rig: watch::channel(Rig { config: Arc::clone(&config), profile }).0,
            wanted: watch::channel(wanted(None, &config.job)).0,
            agent,
            queue,
        };
        configure("new");
        reload.run().await;
        assert_eq!(*reload.config.borrow(), config);
        assert_eq!(reload.wanted.borrow().as_ref().unwrap().0.event, "old");
        let refused = seen.borrow().reload_refused.join("\n");
        assert!(refused.contains("which job was picked"), "{refused}");
    }
}
