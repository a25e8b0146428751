//! What comes to the delivery from outside: another configuration, other credentials, an
//! operator, news of the network. Says what each of them may end, and what none may: the
//! rest of a password that was refused, a wait that the server has asked for.

use std::time::Instant;

use super::super::retry::Pace;
use super::{Machine, Session, Trouble, WaitFor};
use crate::config::Config;
use crate::delivery::OpenAttempt;

impl Machine {
    /// Begins anew from what is written down, after the queue failed. What the server was
    /// promised stays: a password that it refused rests, a wait that it asked for goes on.
    pub fn begin_anew(&mut self, config: &Config, left: Vec<OpenAttempt>, now: Instant) {
        let anew = Self::new(config, left, now);
        let old = std::mem::replace(self, anew);
        self.sent = old.sent;
        if matches!(old.session, Session::PasswordRefused { .. }) {
            self.session = old.session;
            self.trouble = Some(Trouble::Password);
        }
        self.server_rests = old.server_rests;
    }

    /// Takes over a new configuration; what is in flight or in doubt stays as it is. So does
    /// what the server was promised, unless it is another server: ask for
    /// [`Self::credentials_changed`] then.
    pub fn reconfigure(&mut self, config: &Config) {
        self.records = config.jobcloser.batch_records;
        self.settle_after = config.jobcloser.settle_after;
        self.pace = Pace::new(&config.retry);
        self.ceiling = self.records;
        self.limit = self.limit.clamp(1, self.records);
        self.end_session();
        self.wait = None;
    }

    /// There is another login or another server: neither has refused anything yet.
    pub fn credentials_changed(&mut self) {
        self.session = Session::None;
        (self.wait, self.server_rests) = (None, None);
        self.pace.reset();
    }

    /// An operator asked for another try. The password that was refused is still the same
    /// (RULES.md, 25), and the server still wants to be left alone.
    pub fn operator(&mut self) {
        self.end_session();
        self.wait = None;
        self.aside.clear();
        self.passed.clear();
        self.lone.clear();
        // What an operator waits for goes on.
        self.checks.retain(|check| check.by_hand);
        self.ceiling = self.records;
        self.pace.reset();
    }

    pub(super) fn end_session(&mut self) {
        if matches!(self.session, Session::In { .. }) {
            self.session = Session::None;
        }
    }

    /// The network may be back: waits for a server that wasn't reached end now.
    pub fn hint(&mut self) {
        self.wait = self.wait.filter(|(_, why)| *why != WaitFor::Link);
    }

    /// There is no client to send with, and why; or there is one again.
    pub fn cannot(&mut self, why: Option<String>) {
        match why {
            Some(why) => self.trouble = Some(Trouble::NoClient(why)),
            None if matches!(self.trouble, Some(Trouble::NoClient(_))) => self.trouble = None,
            None => {}
        }
    }
}
