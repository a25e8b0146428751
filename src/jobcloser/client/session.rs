//! What to sign in with, and what an exchange at sign-in came to. The answer repeats the
//! password (RULES.md, 26), so it is taken in here and nothing of it but two ids goes out.
//!
//! Doesn't decide when to sign in, nor how long to wait after a refusal.

use std::fmt;

use crate::jobcloser::verdict::{Answer, Exchange, Lost, NotSent, RetryAfter};
use crate::jobcloser::wire::{SignedIn, parse_sign_in};

/// What to sign in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's e-mail address.
    pub email: String,
    /// The password.
    pub password: String,
}

/// How a sign-in ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// There is a session.
    Done {
        /// The user's `CompanyId`.
        company_id: Option<String>,
        /// The user's `Id`.
        user_id: Option<String>,
    },
    /// No credentials are configured; calls are made without a session.
    NotNeeded,
    /// The server refuses the password. Not to be tried again until the file changes or
    /// an hour has passed (RULES.md, 25): more tries may lock the account.
    Refused,
    /// Nothing is known about the password.
    Failed(SignInFailed),
}

/// Why a sign-in came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInFailed {
    /// The server wasn't reached, with what the libraries say.
    #[error("{0}: {1}")]
    NotSent(NotSent, String),
    /// No whole answer came.
    #[error("{0}")]
    Lost(Lost),
    /// The answer was neither yes nor no: an error, a redirect, a portal's page.
    #[error("HTTP {status}, and no answer to a sign-in")]
    Answered {
        /// HTTP status.
        status: u16,
        /// What the server asks for.
        retry_after: Option<RetryAfter>,
    },
}

/// Takes the exchange, so that its body, which repeats the password, ends here.
pub(super) fn outcome(exchange: Exchange) -> SignIn {
    let Answer { status, retry_after, json, body } = match exchange {
        Exchange::NotSent(why, detail) => {
            return SignIn::Failed(SignInFailed::NotSent(why, detail));
        }
        Exchange::Lost(how) => return SignIn::Failed(SignInFailed::Lost(how)),
        Exchange::Answered(answer) => answer,
    };
    let says = if json { parse_sign_in(&body) } else { SignedIn::Unclear };
    match (status, says) {
        (200..=299, SignedIn::Yes { company_id, user_id }) => SignIn::Done { company_id, user_id },
        (200..=299 | 400 | 401 | 403 | 404 | 422, SignedIn::No) => SignIn::Refused,
        // Without a word, but not a portal's page: as good as a no, and dear if repeated.
        (401, _) if json => SignIn::Refused,
        (_, SignedIn::Yes { .. } | SignedIn::No | SignedIn::Unclear) => {
            SignIn::Failed(SignInFailed::Answered { status, retry_after })
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login { email: ***, password: *** }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(200, r#"{"Success":false,"Message":"unknown"}"#, true)]
    #[case(401, r#"{"Success":false}"#, true)]
    #[case(401, "", true)]
    #[case(500, r#"{"Success":false}"#, false)]
    #[case(429, r#"{"Success":false}"#, false)]
    #[case(503, r#"{"Success":false}"#, false)]
    #[case(403, "", false)]
    #[case(302, r#"{"Success":false}"#, false)]
    #[case(200, "", false)]
    #[case(500, r#"{"Success":true,"Result":{"Id":"u"}}"#, false)]
    fn only_a_servers_own_no_means_a_wrong_password(
        #[case] status: u16,
        #[case] body: &str,
        #[case] refused: bool,
    ) {
        let answer = Answer { status, retry_after: None, json: true, body: body.into() };
        let failed = SignIn::Failed(SignInFailed::Answered { status, retry_after: None });
        let expected = if refused { SignIn::Refused } else { failed };
        assert_eq!(outcome(Exchange::Answered(answer)), expected);
    }
}
