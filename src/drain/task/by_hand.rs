//! Verification that an operator asks for: by the same two lists as the one that comes by
//! itself, with sending going on between them; who asked waits, and is told what came of it.
//!
//! Nothing of an order is kept: a power cut leaves what was written down of each job, and the
//! operator asks again.

use std::time::Instant;

use tokio::sync::oneshot;

use super::Drain;
use crate::clock::UtcMs;
use crate::delivery::JobKey;
use crate::drain::machine::{Mend, Trouble};
use crate::drain::verify::{not_verified, told};
use crate::jobcloser::verdict::Unbelievable;
use crate::queue::QueueError;
use crate::verified::{JobTold, Order, Told};

/// Jobs to be verified, and where to tell what became of them.
pub type ToVerify = (Order, oneshot::Sender<Told>);

/// Operators who wait. At most as many as the control door serves at once.
#[derive(Debug, Default)]
pub(super) struct Askers(Vec<Asker>);

#[derive(Debug)]
struct Asker {
    left: Vec<JobKey>,
    told: Told,
    reply: oneshot::Sender<Told>,
}

impl Askers {
    fn ask_for(&self, key: &JobKey) -> bool {
        self.0.iter().any(|asker| asker.left.contains(key))
    }

    /// A job's turn has come; who waits for no other is told.
    fn tell(&mut self, job: &JobTold) {
        for mut asker in std::mem::take(&mut self.0) {
            let before = asker.left.len();
            asker.left.retain(|key| *key != job.key);
            if asker.left.len() < before {
                asker.told.jobs.push(job.clone());
            }
            if asker.left.is_empty() {
                // Who has gone meanwhile finds it in `status`.
                let _ = asker.reply.send(asker.told);
            } else {
                self.0.push(asker);
            }
        }
    }

    /// Nothing more can be asked of the server now.
    pub(super) fn give_up(&mut self, why: &str) {
        for mut asker in self.0.drain(..) {
            asker.told.why = Some(why.to_owned());
            let _ = asker.reply.send(asker.told);
        }
    }
}

impl Drain {
    /// Takes an order up.
    pub(super) fn verify(&mut self, (order, reply): ToVerify) {
        self.look_at_credentials();
        let now = Instant::now();
        let why = match (&self.client, self.machine.at_rest(now), self.machine.trouble()) {
            (None, _, Some(trouble @ Trouble::NoClient(_))) => Some(trouble.to_string()),
            (None, ..) => Some("nothing can be sent".to_owned()),
            (_, Some(rests), _) => Some(rests.to_string()),
            (Some(_), None, _) => None,
        };
        if why.is_some() || order.jobs.is_empty() {
            let _ = reply.send(Told { jobs: Vec::new(), why });
            return;
        }
        for key in &order.jobs {
            self.machine.check_by_hand(key.clone(), order.resend, now);
        }
        self.askers.0.push(Asker { left: order.jobs, told: Told::default(), reply });
    }

    pub(super) async fn answer_verified(
        &mut self,
        key: &JobKey,
        mend: &Mend,
        wall: Option<UtcMs>,
    ) -> Result<(), QueueError> {
        if self.askers.ask_for(key) {
            let of = key.clone();
            let account = self.ask(move |store| store.account(&of)).await?;
            self.askers.tell(&told(key, account, mend, &self.recogniser.zone, wall));
        }
        Ok(())
    }

    pub(super) async fn answer_not_verified(
        &mut self,
        key: &JobKey,
        why: &Unbelievable,
    ) -> Result<(), QueueError> {
        if self.askers.ask_for(key) {
            let of = key.clone();
            let account = self.ask(move |store| store.account(&of)).await?;
            self.askers.tell(&not_verified(key, account, why));
        }
        Ok(())
    }
}
