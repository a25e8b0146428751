//! A test record in the running delivery's turn: between two batches, with its client,
//! its clock and its session.

use std::sync::OnceLock;
use std::time::Instant;

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{Drain, connect};
use crate::drain::canary::Setting;
use crate::drain::machine::Trouble;
use crate::drain::trial::{Trial, not_sent, not_signed_in};
use crate::learnt::{Here, Learnt, Order, Told};
use crate::queue::QueueError;
use crate::stop::Stop;

/// An order for a test record, where the rig is, and where to tell what became of it.
pub type Asked = (Order, Here, oneshot::Sender<Told>);

impl Drain {
    /// Does it and tells; nothing where nobody waits for it any more.
    pub(super) async fn canary(
        &mut self,
        (order, here, reply): Asked,
        stop: &mut Stop,
    ) -> Result<(), QueueError> {
        if reply.is_closed() {
            return Ok(());
        }
        let mut told = self.try_canary(&order, &here, stop).await;
        info!(ended = ?told.ended, left = told.left, job = order.job, "test record");
        let mut kept = Ok(());
        if let Some(learnt) = told.learnt.clone() {
            let facts = learnt.clone();
            kept = self.ask(move |store| store.set_learnt(&facts)).await;
            match &kept {
                // Used only once it is kept: after a power cut the same holds.
                Ok(()) => self.learn(Some(learnt)),
                Err(_) => told.remarks.push("what was learnt could not be kept".to_owned()),
            }
        }
        let _ = reply.send(told);
        kept
    }

    async fn try_canary(&mut self, order: &Order, here: &Here, stop: &mut Stop) -> Told {
        self.look_at_credentials();
        // What the server was promised holds for a test record too.
        if let Some(trouble @ (Trouble::Password | Trouble::TooOften | Trouble::NoClient(_))) =
            self.machine.trouble()
        {
            return not_sent(trouble.to_string());
        }
        let Some(place) = order.at.or_else(here) else {
            return not_sent("the receiver has no fix now: wait for one, or say --at LAT,LON");
        };
        let Some(now) = (self.now)() else {
            return not_sent("no time is known yet, and a record's time is never made up");
        };
        let config = self.parts.config.borrow().clone();
        let Some(client) = &self.client else {
            return not_sent("nothing can be sent: `spraylog status` says why");
        };
        let view = self.machine.view("trying a test record", None, Instant::now());
        self.parts.view.send_replace(view);
        let Some(signed_in) = self.unless_stopped(client.sign_in(), stop).await else {
            return not_sent("the daemon is stopping");
        };
        let setting = Setting {
            device_name: config.device.name.clone(),
            zone: self.recogniser.zone.clone(),
            stand_in: config.record.stand_in.clone(),
            place,
            utc_s: now.floor_s(),
        };
        let too_often = OnceLock::new();
        let trial = Trial { client, server: &config.jobcloser, order, setting, now, too_often };
        let told = match not_signed_in(&signed_in) {
            Some(why) => Some(not_sent(why)),
            None => self.unless_stopped(trial.run(), stop).await,
        };
        let rests = trial.too_often.get().copied();
        self.machine.signed_in(connect::signed_in(&signed_in, Some(now)), Instant::now());
        if let Some(asked) = rests {
            self.machine.too_often(asked, Instant::now());
        }
        told.unwrap_or_else(|| {
            warn!(job = order.job, "stopped in the middle of a test record");
            let mut told = not_sent(
                "the daemon stopped in the middle of it: the record may be at JobCloser; the log \
                 has its note",
            );
            (told.ended, told.left) = (crate::learnt::Ended::Unclear, true);
            told
        })
    }

    /// Takes over what a test record has shown, as far as it was of this server.
    pub(super) fn learn(&mut self, learnt: Option<Learnt>) {
        self.learnt = learnt;
        let base_url = &self.parts.config.borrow().jobcloser.base_url;
        let ours = self.learnt.as_ref().filter(|learnt| learnt.base_url == *base_url);
        self.recogniser.plain_is_utc = ours.is_some_and(Learnt::plain_dates_are_utc);
    }
}
