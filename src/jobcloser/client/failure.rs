//! What a failure of the HTTP library means for the request. An error of `reqwest` holds
//! the URL and with it, at sign-in, the password: it goes in here, and only a kind and a
//! text without URLs come out.
//!
//! Decides nothing but whether something may have been sent.

use std::error::Error;
use std::io;
use std::iter::successors;

use rustls::pki_types::UnixTime;

use super::frozen::Gate;
use crate::clock::UtcMs;
use crate::jobcloser::verdict::{Exchange, Lost, NotSent};

/// Characters of a detail that are kept.
const DETAIL_MAX: usize = 300;

/// How an exchange ended that failed before an answer's head. With a gate the body was
/// sent unless the gate shuts on it; a request without a body was sent unless there was
/// no connection.
pub(super) fn exchange(err: reqwest::Error, gate: Option<&Gate>) -> Exchange {
    let err = err.without_url();
    if gate.map_or(err.is_connect(), Gate::shut) {
        Exchange::NotSent(not_sent(&err), detail(&err))
    } else {
        Exchange::Lost(lost(&err))
    }
}

/// How an answer was lost on the way.
pub(super) fn lost(err: &reqwest::Error) -> Lost {
    let reset = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    if err.is_timeout() {
        Lost::Timeout
    } else if io_kind(err).is_some_and(|kind| reset.contains(&kind)) {
        Lost::Reset
    } else {
        Lost::Broken(detail(err))
    }
}

fn not_sent(err: &reqwest::Error) -> NotSent {
    if err.is_dns() {
        NotSent::Dns
    } else if tls(err).is_some() {
        NotSent::Tls
    } else if err.is_timeout() {
        NotSent::Timeout
    } else if !err.is_connect() {
        NotSent::NothingWritten
    } else if io_kind(err) == Some(io::ErrorKind::ConnectionRefused) {
        NotSent::Refused
    } else {
        NotSent::Unreachable
    }
}

/// What the libraries below say about it, on one line. The HTTP library's own words are
/// left out: they may hold a URL.
pub(super) fn detail(err: &reqwest::Error) -> String {
    if let Some(why) = tls(err).and_then(untimely) {
        return why;
    }
    let mut words = Vec::new();
    for cause in causes(err).filter(|cause| !cause.is::<reqwest::Error>()) {
        let text = cause.to_string();
        if words.last() != Some(&text) {
            words.push(text);
        }
    }
    let line = words.join(": ");
    line.chars().take(DETAIL_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What the time has to do with it, in words that stay the same from one try to the next.
fn untimely(err: &rustls::Error) -> Option<String> {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let day = |time: &UnixTime| {
        let ms = i64::try_from(time.as_secs().saturating_mul(1_000)).unwrap_or(i64::MAX);
        UtcMs(ms).rfc3339()
    };
    Some(match err {
        rustls::Error::FailedToGetCurrentTime => {
            "no time yet, so no certificate can be checked".to_owned()
        }
        rustls::Error::InvalidCertificate(ExpiredContext { not_after, .. }) => {
            format!("its certificate expired at {}", day(not_after))
        }
        rustls::Error::InvalidCertificate(NotValidYetContext { not_before, .. }) => {
            format!("its certificate isn't valid before {}", day(not_before))
        }
        rustls::Error::InvalidCertificate(Expired) => "its certificate has expired".to_owned(),
        rustls::Error::InvalidCertificate(NotValidYet) => {
            "its certificate isn't valid yet".to_owned()
        }
        _ => return None,
    })
}

fn tls(err: &reqwest::Error) -> Option<&rustls::Error> {
    causes(err).find_map(|cause| cause.downcast_ref())
}

fn io_kind(err: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(err).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// The chain below an error, without the error. `io::Error` skips what it wraps when it
/// is asked for its source, and TLS errors are wrapped so.
fn causes(err: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(err.source(), |cause| below(*cause))
}

fn below<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}
