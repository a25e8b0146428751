//! What the server was asked and what it found wrong with it, for those who judge a run.
//!
//! Never holds a header, a body, or a query that could carry a password: only `getall` and
//! `get` keep theirs.

use std::collections::VecDeque;

use serde::Serialize;

use super::call::Call;

/// Requests kept; beyond it the oldest are forgotten, and counted.
const REQUESTS: usize = 100_000;

/// Violations kept; those beyond are only counted, since the first ones tell the cause.
const VIOLATIONS: usize = 10_000;

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestLog {
    /// `GET`, `POST`, …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Of `getall` and `get`; empty for all others.
    pub query: String,
    /// When its head had arrived, in milliseconds since 1970.
    pub at_ms: i64,
    /// When its answer was ready, or its connection closed; none while it is in hand.
    pub ended_ms: Option<i64>,
    /// HTTP status of the answer; none if the connection was closed without one.
    pub status: Option<u16>,
    /// What became of it, in words: `stored 12`, `refused: …`, `fault: …`, `client gone`.
    pub outcome: String,
    /// Records that were sent, good or not; none where a call has no records.
    pub record_count: Option<usize>,
}

/// The requests, newest last.
#[derive(Debug, Default)]
pub struct Requests {
    kept: VecDeque<RequestLog>,
    forgotten: u64,
}

/// The violations, oldest first.
#[derive(Debug, Default)]
pub struct Violations {
    kept: Vec<String>,
    more: u64,
}

impl Requests {
    /// Notes a request that has arrived; its number.
    pub fn arrived(&mut self, call: Option<Call>, method: &str, uri: &axum::http::Uri) -> u64 {
        if self.kept.len() >= REQUESTS {
            self.kept.pop_front();
            self.forgotten += 1;
        }
        let query = match call {
            Some(Call::GetAll | Call::Get) => uri.query().unwrap_or_default(),
            _ => "",
        };
        self.kept.push_back(RequestLog {
            method: method.to_owned(),
            path: uri.path().to_owned(),
            query: query.to_owned(),
            at_ms: now_ms(),
            ended_ms: None,
            status: None,
            outcome: "in hand".to_owned(),
            record_count: None,
        });
        self.forgotten + self.kept.len() as u64 - 1
    }

    /// The request of that number, unless it is forgotten.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut RequestLog> {
        let place = usize::try_from(number.checked_sub(self.forgotten)?).ok()?;
        self.kept.get_mut(place)
    }

    /// All that are kept, oldest first.
    pub fn all(&self) -> Vec<RequestLog> {
        self.kept.iter().cloned().collect()
    }
}

impl Violations {
    /// Notes what a call departed in.
    pub fn found(&mut self, call: &str, departures: &[String]) {
        for departure in departures {
            if self.kept.len() < VIOLATIONS {
                self.kept.push(format!("{call}: {departure}"));
            } else {
                self.more += 1;
            }
        }
    }

    /// All of them; the last says how many more there were, if any.
    pub fn all(&self) -> Vec<String> {
        let mut all = self.kept.clone();
        if self.more > 0 {
            all.push(format!("and {} more", self.more));
        }
        all
    }
}

/// Milliseconds since 1970, by the system clock.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_sign_in_is_not_kept() {
        let mut requests = Requests::default();
        let uri = "/api/account/signin?email=a&password=hunter2".parse().unwrap();
        requests.arrived(Some(Call::SignIn), "GET", &uri);
        let uri = "/api/account/SignIn?email=a&password=hunter2".parse().unwrap();
        requests.arrived(None, "GET", &uri);
        assert!(!format!("{requests:?}").contains("hunter2"));
    }

    #[test]
    fn the_oldest_requests_are_forgotten_and_the_numbers_hold() {
        let mut requests = Requests::default();
        let uri = "/x".parse().unwrap();
        let first = requests.arrived(None, "GET", &uri);
        let second = requests.arrived(None, "PUT", &uri);
        for _ in 0..REQUESTS - 1 {
            requests.arrived(None, "GET", &uri);
        }
        assert_eq!(requests.all().len(), REQUESTS);
        assert!(requests.get_mut(first).is_none());
        assert_eq!(requests.get_mut(second).unwrap().method, "PUT");
    }

    #[test]
    fn the_first_violations_are_kept_and_the_others_counted() {
        let mut violations = Violations::default();
        for number in 0..VIOLATIONS + 3 {
            violations.found("get", &[number.to_string()]);
        }
        let all = violations.all();
        assert_eq!(all.first().unwrap(), "get: 0");
        assert_eq!(all.last().unwrap(), "and 3 more");
    }
}
