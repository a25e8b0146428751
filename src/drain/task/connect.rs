//! What the delivery task sends with: credentials, client and zone, taken up anew when
//! the configuration or the credentials' files change; and the word on what stands in the way.

use std::sync::Arc;

use tracing::{debug, info, warn};

use super::Drain;
use crate::cause::chain;
use crate::clock::UtcMs;
use crate::config::Config;
use crate::config::credentials::{Credentials, CredentialsError};
use crate::drain::machine::SignInOutcome;
use crate::jobcloser::client::{Client, Login, SignIn, SignInFailed};
use crate::jobcloser::verdict::NotSent;
use crate::jobcloser::wire;

impl Drain {
    /// Logs what stands in the way when it changes.
    pub(super) fn tell(&mut self) {
        if self.client.is_none() {
            self.askers.give_up("nothing can be sent; `spraylog status` says why");
        }
        if self.machine.trouble() != self.told.as_ref() {
            self.told = self.machine.trouble().cloned();
            match &self.told {
                Some(trouble) => warn!(%trouble, "delivery held up"),
                None => info!("delivery goes on"),
            }
        }
    }

    pub(super) fn reconfigure(&mut self) {
        let config = self.parts.config.borrow_and_update().clone();
        self.recogniser.zone = zone(&config);
        self.learn(self.learnt.clone());
        self.machine.reconfigure(&config);
        self.connect_anew(&config);
    }

    /// Takes up credentials that have been put in place or corrected.
    pub(super) fn look_at_credentials(&mut self) {
        let config = self.parts.config.borrow().clone();
        if self.client.is_none() || read_login(&config).is_ok_and(|login| login != self.login) {
            self.connect_anew(&config);
        }
    }

    /// What was refused to one login, or by one server, says nothing of another.
    fn connect_anew(&mut self, config: &Config) {
        let (login, base_url) = (self.login.clone(), self.base_url.clone());
        self.connect(config);
        if self.base_url != base_url {
            self.recogniser.longest = 0;
        }
        if self.login != login || self.base_url != base_url {
            self.machine.credentials_changed();
        }
    }

    /// Makes a client. Credentials that can't be read leave the last ones known: they are
    /// no others when they come back as they were.
    pub(super) fn connect(&mut self, config: &Config) {
        self.base_url.clone_from(&config.jobcloser.base_url);
        let made = read_login(config).and_then(|login| {
            self.login.clone_from(&login);
            Client::new(&config.jobcloser, login, Arc::clone(&self.now)).map_err(|err| chain(&err))
        });
        match made {
            Ok(client) => {
                self.client = Some(client);
                self.machine.cannot(None);
            }
            Err(why) => {
                self.client = None;
                self.machine.cannot(Some(why));
            }
        }
    }
}

/// What a sign-in came to, in the machine's words. `now` serves a `Retry-After` date.
pub(in crate::drain) fn signed_in(outcome: &SignIn, now: Option<UtcMs>) -> SignInOutcome {
    match outcome {
        SignIn::Done { .. } | SignIn::NotNeeded => SignInOutcome::In,
        SignIn::Refused => SignInOutcome::Refused,
        SignIn::Failed(err) => {
            debug!(%err, "sign-in failed");
            match err {
                SignInFailed::NotSent(NotSent::Tls, why) => SignInOutcome::Untrusted(why.clone()),
                SignInFailed::NotSent(..) => SignInOutcome::NotReached,
                SignInFailed::Answered { status, retry_after }
                    if *status == 429 || retry_after.is_some() =>
                {
                    SignInOutcome::Later(retry_after.and_then(|after| after.wait(now)))
                }
                SignInFailed::Lost(_) | SignInFailed::Answered { .. } => SignInOutcome::Unclear,
            }
        }
    }
}

pub(in crate::drain) fn read_login(config: &Config) -> Result<Option<Login>, String> {
    let systemd = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from);
    let server = &config.jobcloser;
    // systemd's are copies, made when the service starts.
    let then = match systemd {
        Some(_) => ", then `systemctl restart spraylog`",
        None => "",
    };
    let mend = |err: CredentialsError| match systemd {
        Some(_) => format!("{}; mend it where LoadCredential= has it from{then}", chain(&err)),
        None => chain(&err),
    };
    match Credentials::read(systemd.as_deref(), server).map_err(mend)? {
        Some(found) => {
            Ok(Some(Login { email: found.email, password: found.password.expose().to_owned() }))
        }
        // Only who says so in the configuration sends without signing in: what an
        // anonymous question is answered proves nothing about what is stored.
        None if server.email_file.as_os_str().is_empty() => Ok(None),
        None => Err(format!(
            "no credentials yet: put the e-mail address into {} and the password into {}{then}",
            server.email_file.display(),
            server.password_file.display()
        )),
    }
}

pub(in crate::drain) fn zone(config: &Config) -> jiff::tz::TimeZone {
    // `check` has refused a zone that the bundled database doesn't know.
    wire::zone(&config.device.timezone).unwrap_or(jiff::tz::TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jobcloser::verdict::RetryAfter;

    #[test]
    fn a_sign_in_that_came_too_often_waits_as_long_as_the_server_asks() {
        let now = UtcMs(1_809_253_002_000);
        let said = |status, retry_after| {
            let failed = SignIn::Failed(SignInFailed::Answered { status, retry_after });
            signed_in(&failed, Some(now))
        };
        let minute = Duration::from_secs(60);
        let later = SignInOutcome::Later(Some(minute));
        assert_eq!(said(429, Some(RetryAfter::After(minute))), later);
        assert_eq!(said(429, Some(RetryAfter::At(UtcMs(now.0 + 60_000)))), later);
        assert_eq!(said(503, Some(RetryAfter::After(minute))), later);
        assert_eq!(said(429, None), SignInOutcome::Later(None));
        assert_eq!(said(503, None), SignInOutcome::Unclear);
    }
}
