//! Verifying a job, when there is nothing to send or an operator wants it: reads what was
//! sent of it page by page, asks for its list, and has written down what came of it.

use std::time::Instant;

use tracing::{debug, info};

use super::Drain;
use crate::delivery::{JobKey, Pick};
use crate::drain::machine::Step;
use crate::drain::reconcile::Check;
use crate::drain::verify::{self, PAGE, PAGES_BEGIN};
use crate::queue::QueueError;
use crate::stop::Stop;

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
        let check = self.placed(&key).await?;
        let Some(client) = &self.client else { return Ok(()) };
        let asked_at = Instant::now();
        let asked = verify::beside_list(client, &key, check);
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

    /// What looks for all that was sent of a job.
    async fn placed(&self, key: &JobKey) -> Result<Check, QueueError> {
        let of = key.clone();
        let mut check = self.recogniser.check(key.clone());
        for span in self.ask(move |store| store.spans_of(&of)).await? {
            let mut after = PAGES_BEGIN;
            loop {
                let page = self.ask(move |store| store.placed(span, after, PAGE)).await?;
                let Some(last) = page.last() else { break };
                after = (last.frozen.attempt, last.frozen.seq);
                check.add(&page);
            }
        }
        Ok(check.added())
    }
}
