//! Verifying a job, when there is nothing to send: reads what was sent of it page by page,
//! asks for its list, and has written down what came of it.

use std::time::Instant;

use tracing::{debug, info, warn};

use super::Drain;
use crate::delivery::{JobKey, Pick};
use crate::drain::machine::Step;
use crate::failpoint;
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
        let of = key.clone();
        let mut placed = Vec::new();
        for span in self.ask(move |store| store.spans_of(&of)).await? {
            let mut after = (i64::MIN, Seq(i64::MIN));
            loop {
                let page = self.ask(move |store| store.placed(span, after, PAGE)).await?;
                let Some(last) = page.last() else { break };
                after = (last.attempt, last.frozen.seq);
                placed.extend(page);
            }
        }
        // In the order of sending, whichever span they are of.
        placed.sort_by_key(|p| (p.attempt, p.frozen.seq));
        let check = self.recogniser.check(key.clone(), placed);
        let Some(client) = &self.client else { return Ok(()) };
        failpoint::pass("verify_before_asking");
        let asked_at = Instant::now();
        let asked = client.get_all(&key.job, &key.event, check, |check, row| check.take(row));
        let Some(listed) = self.unless_stopped(asked, stop).await else { return Ok(()) };
        let list = match listed {
            Ok(check) => check.checked(),
            Err(why) => {
                debug!(job = key.job, %why, "not verified");
                self.machine.not_checked(&key, &why, Instant::now());
                return Ok(());
            }
        };
        let Some(mend) = self.machine.checked(&key, list, asked_at, Instant::now()) else {
            info!(
                job = key.job,
                "the server's list lacks records; asked again under a new session"
            );
            return Ok(());
        };
        if !mend.lost.is_empty() {
            warn!(job = key.job, records = mend.lost.len(), "lost at the server; sent again");
        }
        if !mend.missing.is_empty() {
            warn!(
                job = key.job,
                records = mend.missing.len(),
                "missing from the server's list, which may be cut; look at the job there"
            );
        }
        if mend.extras > 0 {
            warn!(
                job = key.job,
                records = mend.extras,
                "records at the server are not this rig's, or are there twice"
            );
        }
        if mend == crate::drain::machine::Mend::default() {
            info!(job = key.job, "all there, verified");
        }
        let now = (self.now)();
        self.ask(move |store| store.verified(&key, &mend.lost, &mend.missing, mend.extras, now))
            .await
    }
}
