//! Verification without a daemon: the machine decides as it does for the running delivery,
//! which sign-in and which list come next, and what both have shown. Nothing is sent, and
//! nothing in doubt is asked about: what is ready again goes out when the daemon runs.

use std::time::Instant;

use tokio::time::sleep_until;

use super::{AloneError, Ground, client, runtime, time};
use crate::clock::UtcMs;
use crate::config::Config;
use crate::delivery::JobKey;
use crate::drain::machine::{Machine, SignInOutcome, Step, Trouble};
use crate::drain::reconcile::{Check, Recogniser};
use crate::drain::task::connect::{signed_in, zone};
use crate::drain::verify::{PAGE, PAGES_BEGIN, beside_list, log, not_verified, told};
use crate::jobcloser::client::Client;
use crate::learnt::Learnt;
use crate::queue::{QueueError, Store};
use crate::verified::{JobTold, Order, Told};

/// Verifies jobs.
///
/// # Errors
/// Where the data directory can't be had, or the queue fails. What can't be had of the
/// server is told.
pub fn verify_alone(config: &Config, order: &Order) -> Result<Told, AloneError> {
    let Ground { _lock, clock, store } = Ground::take(config)?;
    let now = time(config, &clock, &store);
    let client = match client(config, &clock, now) {
        Ok(client) => client,
        Err(why) => {
            let why = Trouble::NoClient(why).to_string();
            return Ok(Told { jobs: Vec::new(), why: Some(why) });
        }
    };
    let learnt = store.learnt()?.filter(|of| of.base_url == config.jobcloser.base_url);
    let recogniser = Recogniser {
        zone: zone(config),
        tag: store.tag().to_owned(),
        plain_is_utc: learnt.as_ref().is_some_and(Learnt::plain_dates_are_utc),
        longest: 0,
    };
    // What is in doubt is left to the daemon.
    let machine = Machine::new(config, Vec::new(), Instant::now());
    let begun = (clock.now(), now);
    let wall = move || begun.1.map(|now| UtcMs(now.0 + clock.now().since_ms(begun.0)));
    let alone = Alone { client, recogniser, machine, store, wall };
    Ok(runtime()?.block_on(alone.run(order))?)
}

struct Alone<W> {
    client: Client,
    recogniser: Recogniser,
    machine: Machine,
    store: Store,
    wall: W,
}

impl<W: Fn() -> Option<UtcMs>> Alone<W> {
    async fn run(mut self, order: &Order) -> Result<Told, QueueError> {
        let mut said = Told::default();
        for key in &order.jobs {
            self.machine.check_by_hand(key.clone(), order.resend, Instant::now());
        }
        while said.jobs.len() < order.jobs.len() {
            match self.machine.next(Instant::now()) {
                Step::Wait(Some(until)) => sleep_until(until.into()).await,
                Step::SignIn => {
                    let outcome = signed_in(&self.client.sign_in().await, (self.wall)());
                    let signed_in = outcome == SignInOutcome::In;
                    self.machine.signed_in(outcome, Instant::now());
                    if !signed_in {
                        said.why = self.machine.trouble().map(Trouble::to_string);
                        break;
                    }
                }
                Step::Check(key) => said.jobs.extend(self.check(&key).await?),
                // There is nothing to verify now; a list that is asked for again later is.
                Step::Settle(_) | Step::Send(..) | Step::Wait(None) => {
                    match self.machine.next_check() {
                        Some(at) => sleep_until(at.into()).await,
                        None => break,
                    }
                }
            }
        }
        Ok(said)
    }

    /// What there is to tell of a job, if its list was the last that is needed.
    async fn check(&mut self, key: &JobKey) -> Result<Option<JobTold>, QueueError> {
        let check = self.placed(key)?;
        let asked_at = Instant::now();
        let listed = beside_list(&self.client, key, check).await;
        let (wall, now) = ((self.wall)(), Instant::now());
        let list = match listed {
            Ok(list) => list,
            Err(why) => {
                self.machine.not_checked(key, &why, wall, now);
                return Ok(Some(not_verified(key, self.store.account(key)?, &why)));
            }
        };
        let Some(mend) = self.machine.checked(key, list, asked_at, now) else { return Ok(None) };
        log(key, &mend);
        self.store.verified(key, &mend.lost, &mend.missing, mend.extras, wall)?;
        let account = self.store.account(key)?;
        Ok(Some(told(key, account, &mend, &self.recogniser.zone, wall)))
    }

    /// What looks for all that was sent of a job.
    fn placed(&self, key: &JobKey) -> Result<Check, QueueError> {
        let mut check = self.recogniser.check(key.clone());
        for span in self.store.spans_of(key)? {
            let mut page = self.store.placed(span, PAGES_BEGIN, PAGE)?;
            while let Some(last) = page.last() {
                let after = (last.frozen.attempt, last.frozen.seq);
                check.add(&page);
                page = self.store.placed(span, after, PAGE)?;
            }
        }
        Ok(check.added())
    }
}
