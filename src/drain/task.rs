//! The delivery task: asks the machine what to do, does it, tells it what came of it.
//! One request is in flight at a time.

mod by_hand;
mod canary;
mod check;
pub(super) mod connect;
mod written;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{debug, info};

use by_hand::{Askers, ToVerify};
use canary::Asked;

use super::machine::{DrainView, Machine, SignInOutcome, Step, Trouble};
use super::reconcile::{PROOF, Recogniser};
use crate::clock::source::Clock;
use crate::config::Config;
use crate::delivery::{Hint, JobKey, Pick};
use crate::failpoint;
use crate::jobcloser::client::{Client, Login, Now, SignIn};
use crate::jobcloser::verdict::{Exchange, verdict};
use crate::jobcloser::wire;
use crate::learnt::Learnt;
use crate::progress::Pulse;
use crate::queue::{Batch, Queue, QueueError};
use crate::reading::Seq;
use crate::stop::Stop;

/// How long a stop waits for the answer to a request in flight.
const LAST_ANSWER: Duration = Duration::from_secs(3);
/// No wait is longer than this without a look at the credentials and a sign of life.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often a wait for an answer gives a sign of life; the client bounds the wait itself.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Why the task ended unasked.
#[derive(Debug, Error)]
pub enum DrainError {
    /// The queue is gone.
    #[error("delivery lost its queue")]
    Queue(#[source] QueueError),
}

/// What the task is made of.
#[derive(Debug)]
pub struct DrainParts {
    /// The queue.
    pub queue: Queue,
    /// The configuration, as it changes.
    pub config: watch::Receiver<Arc<Config>>,
    /// The last sequence number recorded, as it grows.
    pub recorded: watch::Receiver<Seq>,
    /// News from the control door.
    pub hints: mpsc::Receiver<Hint>,
    /// Test records that an operator asks for.
    pub canaries: mpsc::Receiver<Asked>,
    /// Jobs that an operator wants verified.
    pub verifications: mpsc::Receiver<ToVerify>,
    /// News of the network.
    pub link_up: Arc<Notify>,
    /// For `status`.
    pub view: watch::Sender<DrainView>,
    /// The board's clocks.
    pub clock: Clock,
    /// Proof of life.
    pub pulse: Pulse,
}

/// The delivery task.
pub struct Drain {
    parts: DrainParts,
    now: Now,
    client: Option<Client>,
    login: Option<Login>,
    base_url: String,
    machine: Machine,
    recogniser: Recogniser,
    /// What a test record has shown, of whatever server.
    learnt: Option<Learnt>,
    /// A test record that is asked for.
    asked: Option<Asked>,
    /// Who waits for a verification.
    askers: Askers,
    told: Option<Trouble>,
    /// When the credentials' files are looked at again.
    next_look: Instant,
    /// An operator may have changed what is in doubt.
    recount: bool,
}

impl Drain {
    /// A task that will send what is in `parts.queue`; `now` is the agent's own clock.
    ///
    /// # Errors
    /// Where what was left in doubt can't be read from the queue.
    pub async fn new(parts: DrainParts, now: Now) -> Result<Self, DrainError> {
        let (left, tag, learnt) = parts
            .queue
            .call(|store| Ok((store.open_attempts()?, store.tag().to_owned(), store.learnt()?)))
            .await
            .map_err(DrainError::Queue)?;
        let config = parts.config.borrow().clone();
        let machine = Machine::new(&config, left, Instant::now());
        let recogniser =
            Recogniser { zone: connect::zone(&config), tag, plain_is_utc: false, longest: 0 };
        let mut drain = Self {
            parts,
            now,
            client: None,
            login: None,
            base_url: String::new(),
            machine,
            recogniser,
            learnt: None,
            asked: None,
            askers: Askers::default(),
            told: None,
            next_look: Instant::now() + LOOK_EVERY,
            recount: false,
        };
        drain.learn(learnt);
        drain.connect(&config);
        Ok(drain)
    }

    /// Delivers until `stop`.
    ///
    /// # Errors
    /// Where the queue's thread is gone.
    pub async fn run(mut self, mut stop: Stop) -> Result<(), DrainError> {
        while !stop.is_asked() {
            self.parts.pulse.beat(self.parts.clock.now());
            self.news();
            let counted = self.count_doubts().await;
            self.tell();
            if let Some(asked) = self.asked.take() {
                // A queue that failed shows itself at the next step; it is told there.
                let _ = self.canary(asked, &mut stop).await;
                continue;
            }
            // Without a client the machine isn't asked: what it hands out would be lost.
            let step = match self.client {
                Some(_) => self.machine.next(Instant::now()),
                None => Step::Wait(Some(Instant::now() + LOOK_EVERY)),
            };
            let done = match step {
                _ if counted.is_err() => counted,
                Step::Wait(until) => {
                    self.wait(until, &mut stop).await;
                    Ok(())
                }
                Step::SignIn => {
                    self.sign_in(&mut stop).await;
                    Ok(())
                }
                Step::Settle(key) => self.settle(key, &mut stop).await,
                Step::Check(key) => self.check(key, &mut stop).await,
                Step::Send(pick, many) => self.send(pick, many, &mut stop).await,
            };
            match done {
                Ok(()) => {}
                Err(QueueError::Closed) => return Err(DrainError::Queue(QueueError::Closed)),
                Err(err) => self.recover(&err, &mut stop).await,
            }
        }
        Ok(())
    }

    /// Waits for the time, for news, or for the word to stop.
    async fn wait(&mut self, until: Option<Instant>, stop: &mut Stop) {
        let now = Instant::now();
        let doing = if until.is_none() { "idle" } else { "waiting" };
        self.parts.view.send_replace(self.machine.view(doing, until, now));
        let look = now + LOOK_EVERY;
        let until = until.map_or(look, |u| u.min(look));
        tokio::select! {
            () = stop.asked() => {}
            () = sleep_until(until.into()) => {}
            Ok(()) = self.parts.recorded.changed() => {}
            Ok(()) = self.parts.config.changed() => self.reconfigure(),
            Some(hint) = self.parts.hints.recv() => self.hear(hint),
            Some(asked) = self.parts.canaries.recv() => self.asked = Some(asked),
            Some(order) = self.parts.verifications.recv() => self.verify(order),
            () = self.parts.link_up.notified() => self.machine.hint(),
        }
    }

    /// What came in while there was no wait: a backlog must not keep a new configuration
    /// from taking effect.
    fn news(&mut self) {
        if self.parts.config.has_changed().unwrap_or(false) {
            self.reconfigure();
        }
        while let Ok(hint) = self.parts.hints.try_recv() {
            self.hear(hint);
        }
        while let Ok(order) = self.parts.verifications.try_recv() {
            self.verify(order);
        }
        if self.asked.is_none() {
            self.asked = self.parts.canaries.try_recv().ok();
        }
        if Instant::now() >= self.next_look {
            self.next_look = Instant::now() + LOOK_EVERY;
            self.look_at_credentials();
        }
    }

    fn hear(&mut self, hint: Hint) {
        match hint {
            Hint::TryAgain => {
                self.machine.operator();
                self.recount = true;
            }
            Hint::Carried => self.recount = true,
        }
    }

    async fn sign_in(&mut self, stop: &mut Stop) {
        self.look_at_credentials();
        let Some(client) = &self.client else { return };
        self.parts.view.send_replace(self.machine.view("signing in", None, Instant::now()));
        // Without credentials a sign-in asks nobody, and proves nothing about the connection.
        let unreached = self.machine.trouble().is_some_and(Trouble::is_no_connection);
        failpoint::pass("sign_in_before");
        let asked = async {
            match client.sign_in().await {
                SignIn::NotNeeded if unreached && !client.reach().await => None,
                outcome => Some(outcome),
            }
        };
        let Some(outcome) = self.unless_stopped(asked, stop).await else { return };
        failpoint::pass("sign_in_after");
        let outcome = match outcome {
            None => SignInOutcome::NotReached,
            Some(outcome) => connect::signed_in(&outcome, (self.now)()),
        };
        let signed_in = outcome == SignInOutcome::In;
        self.machine.signed_in(outcome, Instant::now());
        if !signed_in {
            self.askers
                .give_up(&self.machine.trouble().map_or_else(String::new, Trouble::to_string));
        }
    }

    async fn send(&mut self, pick: Pick, many: usize, stop: &mut Stop) -> Result<(), QueueError> {
        // Seen before the look into the queue: what is recorded after it wakes the wait.
        self.parts.recorded.borrow_and_update();
        let config = self.parts.config.borrow().clone();
        let Some(client) = &self.client else { return Ok(()) };
        let Some(batch) = self.freeze(&pick, many, &config).await? else {
            return self.nothing_ready(&pick, stop).await;
        };
        if batch.asks {
            self.machine.asks(batch.attempt, batch.key, batch.seqs, Instant::now());
            return Ok(());
        }
        self.parts.view.send_replace(self.machine.view("sending", None, Instant::now()));
        let body = wire::body(&batch.records, &config.jobcloser.body_wrapper);
        let posted = client.create_batch(body);
        // Without an answer in time the batch stays in doubt, and the next start asks.
        let Some(exchange) = self.unless_stopped(posted, stop).await else { return Ok(()) };
        failpoint::pass("answered_before_settle");
        self.verdict(&batch, &exchange).await
    }

    async fn verdict(&mut self, batch: &Batch, exchange: &Exchange) -> Result<(), QueueError> {
        let verdict = verdict(exchange, (self.now)());
        debug!(attempt = batch.attempt, records = batch.seqs.len(), ?verdict, "batch answered");
        let now = Instant::now();
        let effects = self.machine.sent(batch.attempt, &batch.key, &batch.seqs, &verdict, now);
        self.write_down(effects).await
    }

    /// Asks the server what it holds of a job.
    async fn settle(&mut self, key: JobKey, stop: &mut Stop) -> Result<(), QueueError> {
        let Some(client) = &self.client else { return Ok(()) };
        self.parts.view.send_replace(self.machine.view("asking", None, Instant::now()));
        let (doubted, of) = (self.machine.doubted(&key), key.clone());
        let many = doubted.len();
        let (doubted, sent) = self
            .ask(move |store| Ok((store.frozen(&doubted)?, store.newest_sent(&of, PROOF)?)))
            .await?;
        // What was set aside on the way is in doubt no longer.
        self.recount |= doubted.len() < many;
        let look = self.recogniser.look_for(doubted, sent);
        let asked_at = Instant::now();
        failpoint::pass("ask_before");
        let asked = client.get_all(&key.job, &key.event, look, |look, row| {
            failpoint::pass("ask_in_the_list");
            look.take(row);
        });
        let Some(listed) = self.unless_stopped(asked, stop).await else { return Ok(()) };
        failpoint::pass("ask_answered");
        let findings = match listed {
            Ok(look) => look.findings(),
            Err(why) => {
                debug!(job = key.job, %why, "not settled");
                self.machine.not_settled(&key, &why, (self.now)(), Instant::now());
                return Ok(());
            }
        };
        self.recogniser.longest = self.recogniser.longest.max(findings.rows);
        info!(
            job = key.job,
            present = findings.present.len(),
            absent = findings.absent.len(),
            flaw = ?findings.flaw,
            "asked what the server stored"
        );
        let effects = self.machine.settled(&key, &findings, asked_at, Instant::now());
        failpoint::pass("asked_before_settle");
        self.write_down(effects).await
    }

    /// Waits for an answer, giving signs of life; after the word to stop for three
    /// seconds more.
    async fn unless_stopped<T>(
        &self,
        answer: impl Future<Output = T>,
        stop: &mut Stop,
    ) -> Option<T> {
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return Some(answer),
                () = sleep(BEAT_EVERY) => self.parts.pulse.beat(self.parts.clock.now()),
                () = stop.asked() => return timeout(LAST_ANSWER, answer).await.ok(),
            }
        }
    }
}
