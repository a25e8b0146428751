//! Who is signed in. Two cookies make a session, as with ASP.NET: one for the session, one
//! for the sign-in; a client that keeps only one of them isn't signed in.
//!
//! `now` is an argument. Knows nothing of accounts.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header::COOKIE};

/// Sessions that are valid at once; the oldest ends when one more begins.
const SESSIONS: usize = 64;

const SESSION_COOKIE: &str = "ASP.NET_SessionId";
const SIGN_IN_COOKIE: &str = ".ASPXAUTH";

/// The sessions that have begun and weren't ended.
#[derive(Debug, Default)]
pub struct Sessions {
    begun: VecDeque<Session>,
}

#[derive(Debug)]
struct Session {
    session: String,
    sign_in: String,
    since: Instant,
}

impl Sessions {
    /// Begins a session; the values of its `Set-Cookie` headers.
    pub fn begin(&mut self, now: Instant) -> [String; 2] {
        let session = Session { session: hex_30(), sign_in: hex_30(), since: now };
        let cookies = [
            format!("{SESSION_COOKIE}={}; path=/; HttpOnly; SameSite=Lax", session.session),
            format!("{SIGN_IN_COOKIE}={}; path=/; HttpOnly", session.sign_in),
        ];
        if self.begun.len() >= SESSIONS {
            self.begun.pop_front();
        }
        self.begun.push_back(session);
        cookies
    }

    /// Ends them all.
    pub fn end_all(&mut self) {
        self.begun.clear();
    }

    /// Whether a request comes from a session that is younger than `lifetime_s`.
    pub fn has(&self, headers: &HeaderMap, lifetime_s: Option<u64>, now: Instant) -> bool {
        let (Some(session), Some(sign_in)) =
            (cookie(headers, SESSION_COOKIE), cookie(headers, SIGN_IN_COOKIE))
        else {
            return false;
        };
        self.begun.iter().any(|begun| {
            let age = now.saturating_duration_since(begun.since);
            begun.session == session
                && begun.sign_in == sign_in
                && lifetime_s.is_none_or(|lifetime_s| age < Duration::from_secs(lifetime_s))
        })
    }
}

/// 30 random hexadecimal digits: the shape of JobCloser's ids.
pub fn hex_30() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let mut digits = format!("{:016x}{:016x}", random(), random());
    digits.truncate(30);
    digits
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let pairs: Vec<_> = cookies.iter().filter_map(|c| c.split(';').next()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, pairs.join("; ").parse().unwrap());
        headers
    }

    #[test]
    fn a_session_needs_both_cookies_and_ends_with_its_lifetime() {
        let mut sessions = Sessions::default();
        let then = Instant::now();
        let [one, other] = sessions.begin(then);
        let both = headers(&[&one, &other]);
        assert!(sessions.has(&both, None, then));
        assert!(!sessions.has(&headers(&[&one]), None, then));
        assert!(!sessions.has(&headers(&[&other]), None, then));
        assert!(!sessions.has(&HeaderMap::new(), None, then));
        assert!(sessions.has(&both, Some(60), then + Duration::from_millis(59_999)));
        assert!(!sessions.has(&both, Some(60), then + Duration::from_secs(60)));
        sessions.end_all();
        assert!(!sessions.has(&both, None, then));
    }

    #[test]
    fn cookies_of_two_sessions_make_none() {
        let mut sessions = Sessions::default();
        let now = Instant::now();
        let [one, _] = sessions.begin(now);
        let [_, other] = sessions.begin(now);
        assert!(!sessions.has(&headers(&[&one, &other]), None, now));
    }

    #[test]
    fn ids_have_the_pages_shape_and_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| hex_30()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| super::super::value::is_id(id)));
    }
}
