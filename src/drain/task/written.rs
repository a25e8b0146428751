//! What the delivery task has written down by the queue's thread, and reads back from it.
//! A queue that takes its time is no task that hangs: it beats meanwhile.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::error;

use super::Drain;
use crate::config::Config;
use crate::delivery::Pick;
use crate::drain::machine::Effects;
use crate::queue::{Batch, BatchLimits, QueueError, Store, WireSettings};
use crate::stop::Stop;

/// How long to wait after the queue failed.
const QUEUE_REST: Duration = Duration::from_secs(5);

impl Drain {
    pub(super) async fn freeze(
        &self,
        pick: &Pick,
        many: usize,
        config: &Config,
    ) -> Result<Option<Batch>, QueueError> {
        let wrapper = config.jobcloser.body_wrapper.len() as u64 + 8;
        let limits = BatchLimits {
            records: many,
            bytes: config.jobcloser.batch_bytes.saturating_sub(wrapper),
        };
        let wire = WireSettings {
            device_name: config.device.name.clone(),
            zone: self.recogniser.zone.clone(),
            stand_in: config.record.stand_in.clone(),
        };
        let (pick, now) = (pick.clone(), self.parts.clock.now());
        self.ask(move |store| store.freeze(&pick, limits, &wire, now)).await
    }

    pub(super) async fn write_down(&mut self, effects: Effects) -> Result<(), QueueError> {
        if effects == Effects::default() {
            return Ok(());
        }
        self.ask(move |store| {
            let refuse = effects.refuse.as_ref().map(|(key, why)| (key.as_ref(), why.as_str()));
            store.settle(&effects.results, &effects.attempts, refuse)
        })
        .await
    }

    /// Takes over what an operator has made of readings in doubt, if there was a command.
    /// Between two requests all that is in doubt is known to the machine, so that what it
    /// doesn't know was put back.
    pub(super) async fn count_doubts(&mut self) -> Result<(), QueueError> {
        if !std::mem::take(&mut self.recount) {
            return Ok(());
        }
        let known = self.machine.all_doubted();
        let (open, left) =
            self.ask(move |store| Ok((store.frozen(&known)?, store.open_attempts()?))).await?;
        let open = open.into_iter().map(|frozen| frozen.seq).collect();
        let effects = self.machine.doubts_changed(&open, left, Instant::now());
        self.write_down(effects).await
    }

    /// The queue failed, and the machine may know more than is written down: what is
    /// written decides, so it starts anew from there.
    pub(super) async fn recover(&mut self, err: &QueueError, stop: &mut Stop) {
        error!(err = err as &dyn std::error::Error, "delivery cannot use the queue");
        self.askers.give_up("the queue fails; the log says how");
        tokio::select! {
            () = stop.asked() => return,
            () = sleep(QUEUE_REST) => {}
        }
        // Until then nobody would ask about what is in doubt and forgotten here.
        while !stop.is_asked() {
            self.parts.pulse.beat(self.parts.clock.now());
            if let Ok(left) = self.ask(|store| store.open_attempts()).await {
                let config = self.parts.config.borrow().clone();
                self.machine.begin_anew(&config, left, Instant::now());
                return;
            }
            tokio::select! {
                () = stop.asked() => {}
                () = sleep(QUEUE_REST) => {}
            }
        }
    }

    /// Asks the queue.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> Result<R, QueueError> + Send + 'static,
    ) -> Result<R, QueueError> {
        let beat = || self.parts.pulse.beat(self.parts.clock.now());
        self.parts.queue.call_alive(job, beat).await
    }
}
