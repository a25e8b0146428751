//! Verifying a job, when there is nothing to send or an operator wants it: reads what was
//! sent of it page by page, asks for its list, and has written down what came of it.

use std::time::Instant;

use tracing::{debug, info};

use super::Drain;
use crate::delivery::{JobKey, Pick, Placed};
use crate::drain::machine::Step;
use crate::drain::verify;
use crate::queue::QueueError;
use crate::reading::Seq;
use crate::stop::Stop;

/// Readings that are read from the queue at once: an append never waits for more.
const PAGE: usize = 1000;

impl Drain {
    /// Nothing of `pick` is ready: what there is to do instead.
    pub(super) async fn nothing_ready(
        &mut self,
        pick: &Pick,
        stop: &mut Stop,
    ) -> Result<(), QueueError> {
        if matches!(pick, Pick::Oldest { .. }) {
            let known = self.machine.checking();
            if let Some(key) = self.ask(move |store| store.unverified(&known)).await? {
                self.machine.check(key, false, Instant::now());
            }
        }
        match self.machine.nothing_ready(pick, Instant::now()) {
            Step::Wait(until) => self.wait(until, stop).await,
            Step::SignIn => self.sign_in(stop).await,
            Step::Check(key) => return self.check(key, stop).await,
            // Not handed out here.
            Step::Settle(_) | Step::Send(..) => {}
        }
        Ok(())
    }

    /// Asks the server whether it holds the whole of a job.
    pub(super) async fn check(&mut self, key: JobKey, stop: &mut Stop) -> Result<(), QueueError> {
        self.parts.view.send_replace(self.machine.view("verifying", None, Instant::now()));
        let placed = self.placed(&key).await?;
        let Some(client) = &self.client else { return Ok(()) };
        let asked_at = Instant::now();
        let asked = verify::beside_list(client, &self.recogniser, &key, placed);
        let Some(listed) = self.unless_stopped(asked, stop).await else { return Ok(()) };
        let (wall, now) = ((self.now)(), Instant::now());
        let list = match listed {
            Ok(list) => list,
            Err(why) => {
                debug!(job = key.job, %why, "not verified");
                self.machine.not_checked(&key, &why, wall, now);
                return self.answer_not_verified(&key, &why).await;
            }
        };
        self.recogniser.longest = self.recogniser.longest.max(list.rows);
        let Some(mend) = self.machine.checked(&key, list, asked_at, now) else {
            info!(
                job = key.job,
                "the server's list lacks records; asked again under a new session"
            );
            return Ok(());
        };
        verify::log(&key, &mend);
        let (of, found) = (key.clone(), mend.clone());
        self.ask(move |store| store.verified(&of, &found.lost, &found.missing, found.extras, wall))
            .await?;
        self.answer_verified(&key, &mend, wall).await
    }

    /// All that was sent of a job, in the order of sending.
    async fn placed(&self, key: &JobKey) -> Result<Vec<Placed>, QueueError> {
        let of = key.clone();
        let mut placed = Vec::new();
        for span in self.ask(move |store| store.spans_of(&of)).await? {
            let mut after = (i64::MIN, Seq(i64::MIN));
            loop {
                let page = self.ask(move |store| store.placed(span, after, PAGE)).await?;
                let Some(last) = page.last() else { break };
                after = (last.frozen.attempt, last.frozen.seq);
                placed.extend(page);
            }
        }
        // Whichever span they are of.
        placed.sort_by_key(|p| (p.frozen.attempt, p.frozen.seq));
        Ok(placed)
    }
}
