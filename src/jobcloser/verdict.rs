//! What an exchange with JobCloser proves about the records that were in it (RULES.md,
//! 22 and 23). Pure, and one match: every way that an exchange can end has its verdict
//! here and nowhere else.
//!
//! Doesn't decide when to try again, nor what is done about a verdict.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;

use super::wire::{ListError, Said, parse_answer};
use crate::clock::UtcMs;

/// The longest wait that a server is granted: one that asks for a year has a bug, and
/// asking once an hour is a burden to none.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How an exchange ended. Carries no URL and no header: they hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// Nothing of the body left this board, with what the libraries say about it.
    NotSent(NotSent, String),
    /// Something was sent, and no whole answer came.
    Lost(Lost),
    /// The server, or something before it, answered.
    Answered(Answer),
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The name couldn't be resolved.
    #[error("the server's name can't be resolved")]
    Dns,
    /// Nobody listens.
    #[error("the connection was refused")]
    Refused,
    /// The TLS handshake failed, or can't be checked because no time is known.
    #[error("no trusted TLS connection")]
    Tls,
    /// No way to the server, or the connection broke while it was made.
    #[error("the server can't be reached")]
    Unreachable,
    /// Time ran out before there was a connection.
    #[error("the server can't be reached in time")]
    Timeout,
    /// There was a connection, and it ended before any of the body was written.
    #[error("the connection ended before anything was sent")]
    NothingWritten,
}

/// How an answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// None came in time, or it stopped coming.
    #[error("no answer in time")]
    Timeout,
    /// The connection was reset.
    #[error("the connection was reset before the answer")]
    Reset,
    /// The connection ended early, or what came isn't HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// The answer is longer than this board takes.
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// Bytes that would have been taken.
        max: usize,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, where it can be read.
    pub retry_after: Option<RetryAfter>,
    /// Whether the content type is a JSON one, or not given.
    pub json: bool,
    /// The body. Whole with a 2xx; with another status perhaps cut.
    pub body: Vec<u8>,
}

/// `Retry-After` (RFC 9110, 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long from the answer on.
    After(Duration),
    /// Not before that time.
    At(UtcMs),
}

/// What is to be done about the records of a `createbatch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The server has seen none of them: wait and send the same again.
    NotSent,
    /// The server has looked at none of them.
    Refused(Refusal),
    /// All of them are stored. The ids, in the order of the batch where the server gave
    /// as many; it may give fewer, or none.
    Accepted {
        /// `Id` of each.
        ids: Vec<Option<String>>,
    },
    /// Any of them may be stored: ask.
    Unclear(Unclear),
}

/// Why a batch was refused without a look at its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 429: too often.
    Wait {
        /// What the server asks for, [`RETRY_AFTER_MAX`] at most; `None` where it doesn't
        /// say, or gives a date while no time is known.
        after: Option<Duration>,
    },
    /// 413: the batch is too long.
    Smaller,
    /// 401, 403 or a redirect: there is no session.
    SignIn,
    /// 404, 405, 415: the API isn't where it was.
    Moved,
}

/// What is known about an exchange that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    /// No answer, or a gateway's: the server may still be at work, and is asked only
    /// after `settle_after`. Otherwise it answered itself and is asked at once.
    pub from_gateway_or_silence: bool,
    /// The server's message, where it said no: 400, 422, another 4xx, or `Success` false.
    pub refusal: Option<String>,
}

impl Unclear {
    const SILENCE: Self = Self { from_gateway_or_silence: true, refusal: None };
    const ANSWERED: Self = Self { from_gateway_or_silence: false, refusal: None };

    fn refused(message: String) -> Self {
        Self { from_gateway_or_silence: false, refusal: Some(message) }
    }
}

/// What a `createbatch` exchange proves. `now` serves a `Retry-After` date.
pub fn verdict(exchange: &Exchange, now: Option<UtcMs>) -> Verdict {
    use Verdict::{Accepted, Refused, Unclear as Ask};
    let answer = match exchange {
        Exchange::NotSent(
            NotSent::Dns
            | NotSent::Refused
            | NotSent::Tls
            | NotSent::Unreachable
            | NotSent::Timeout
            | NotSent::NothingWritten,
            _,
        ) => return Verdict::NotSent,
        Exchange::Lost(
            Lost::Timeout | Lost::Reset | Lost::Broken(_) | Lost::TooLong { max: _ },
        ) => {
            return Ask(Unclear::SILENCE);
        }
        Exchange::Answered(answer) => answer,
    };
    match answer.status {
        200..=299 => match answer.said() {
            Some(Said { success: Some(true), message: _, ids }) => Accepted { ids },
            Some(Said { success: Some(false), message, ids: _ }) => Ask(Unclear::refused(
                message.unwrap_or_else(|| "Success false, without a message".to_owned()),
            )),
            Some(Said { success: None, message: _, ids: _ }) | None => Ask(Unclear::ANSWERED),
        },
        429 => Refused(Refusal::Wait { after: answer.retry_after.and_then(|r| r.wait(now)) }),
        413 => Refused(Refusal::Smaller),
        401 | 403 | 301..=303 | 307 | 308 => Refused(Refusal::SignIn),
        404 | 405 | 415 => Refused(Refusal::Moved),
        // RULES.md, 23: a gateway's answer says nothing of the server, which may be at work
        // yet. 520 to 527 are Cloudflare's own for what went wrong behind it.
        408 | 502..=504 | 520..=527 => Ask(Unclear::SILENCE),
        400 | 402 | 406 | 407 | 409..=412 | 414 | 416..=428 | 430..=499 => {
            Ask(Unclear::refused(answer.message()))
        }
        0..=199 | 300 | 304..=306 | 309..=399 | 500 | 501 | 505..=519 | 528..=u16::MAX => {
            Ask(Unclear::ANSWERED)
        }
    }
}

/// Why a `getall` exchange says nothing about what the server holds.
#[derive(Debug, thiserror::Error)]
pub enum Unbelievable {
    /// It was never asked.
    #[error("not asked: {0}")]
    NotAsked(NotSent),
    /// Its answer didn't come.
    #[error("asked, and {0}")]
    Lost(Lost),
    /// 401, 403 or a redirect.
    #[error("asked without a session")]
    NeedsSignIn,
    /// Another status than 2xx; with 429 and 503 perhaps a time to wait.
    #[error("HTTP {status}")]
    Status {
        /// The status.
        status: u16,
        /// What the server asks for.
        retry_after: Option<RetryAfter>,
    },
    /// 2xx, and not JSON: a portal's page, say.
    #[error("the answer is not JSON")]
    NotJson,
    /// 2xx, JSON, and no list of records.
    #[error("no list of records")]
    NotAList(#[source] ListError),
}

/// Why a `getall` exchange can't be believed whatever its body says; `None` for 2xx and
/// JSON, of which the list is read. Whether it is complete and authenticated is for the
/// caller to see from the records that it must contain (RULES.md, 23).
pub fn no_list(exchange: &Exchange) -> Option<Unbelievable> {
    match exchange {
        Exchange::NotSent(why, _) => Some(Unbelievable::NotAsked(*why)),
        Exchange::Lost(how) => Some(Unbelievable::Lost(how.clone())),
        Exchange::Answered(answer) => match answer.status {
            200..=299 => (!answer.json).then_some(Unbelievable::NotJson),
            401 | 403 | 301..=303 | 307 | 308 => Some(Unbelievable::NeedsSignIn),
            status => Some(Unbelievable::Status { status, retry_after: answer.retry_after }),
        },
    }
}

impl Answer {
    fn said(&self) -> Option<Said> {
        self.json.then(|| parse_answer(&self.body)).flatten()
    }

    /// The server's message, or the status where it gave none.
    fn message(&self) -> String {
        self.said().and_then(|said| said.message).unwrap_or_else(|| format!("HTTP {}", self.status))
    }
}

impl RetryAfter {
    /// Reads the header's value: seconds, or a date in any of HTTP's three forms
    /// (RFC 9110, 5.6.7). `None` for anything else.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
            return Some(Self::After(value.parse().map_or(Duration::MAX, Duration::from_secs)));
        }
        let obsolete = || {
            ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
                .iter()
                .find_map(|form| DateTime::strptime(form, value).ok())
                .and_then(|civil| TimeZone::UTC.to_timestamp(civil).ok())
        };
        let date: Timestamp =
            DateTimeParser::new().parse_timestamp(value).ok().or_else(obsolete)?;
        Some(Self::At(UtcMs(date.as_millisecond())))
    }

    /// How long to wait from `now` on, [`RETRY_AFTER_MAX`] at most; zero for a date that
    /// has passed, `None` for a date while no time is known.
    pub fn wait(self, now: Option<UtcMs>) -> Option<Duration> {
        let wait = match self {
            Self::After(wait) => wait,
            Self::At(date) => {
                let ms = date.0.saturating_sub(now?.0);
                Duration::from_millis(u64::try_from(ms).unwrap_or(0))
            }
        };
        Some(wait.min(RETRY_AFTER_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const YES: &str = r#"{"Success":true,"Message":"Sucess","Result":null}"#;
    const NO: &str = r#"{"Success":false,"Message":"Latitude is required","Result":null}"#;

    fn answered(status: u16, body: &str) -> Exchange {
        Exchange::Answered(Answer { status, retry_after: None, json: true, body: body.into() })
    }

    fn page(status: u16) -> Exchange {
        let body = format!("<html>{YES}</html>").into_bytes();
        Exchange::Answered(Answer { status, retry_after: None, json: false, body })
    }

    #[rstest]
    fn what_never_left_the_board_is_not_in_doubt(
        #[values(
            NotSent::Dns,
            NotSent::Refused,
            NotSent::Tls,
            NotSent::Unreachable,
            NotSent::Timeout,
            NotSent::NothingWritten
        )]
        why: NotSent,
    ) {
        assert_eq!(verdict(&Exchange::NotSent(why, String::new()), None), Verdict::NotSent);
    }

    #[rstest]
    fn an_answer_that_never_came_is_asked_about_later(
        #[values(Lost::Timeout, Lost::Reset, Lost::Broken("closed".into()), Lost::TooLong { max: 1 })]
        how: Lost,
    ) {
        assert_eq!(verdict(&Exchange::Lost(how), None), Verdict::Unclear(Unclear::SILENCE));
    }

    #[rstest]
    fn a_gateways_answer_is_asked_about_later(
        #[values(408, 502, 503, 504, 520, 522, 524, 527)] status: u16,
    ) {
        for exchange in [answered(status, NO), answered(status, YES), page(status)] {
            assert_eq!(verdict(&exchange, None), Verdict::Unclear(Unclear::SILENCE));
        }
    }

    #[rstest]
    #[case(401, Refusal::SignIn)]
    #[case(403, Refusal::SignIn)]
    #[case(301, Refusal::SignIn)]
    #[case(302, Refusal::SignIn)]
    #[case(303, Refusal::SignIn)]
    #[case(307, Refusal::SignIn)]
    #[case(308, Refusal::SignIn)]
    #[case(404, Refusal::Moved)]
    #[case(405, Refusal::Moved)]
    #[case(415, Refusal::Moved)]
    #[case(413, Refusal::Smaller)]
    #[case(429, Refusal::Wait { after: None })]
    fn a_refusal_unprocessed_is_one_whatever_the_body_says(
        #[case] status: u16,
        #[case] refusal: Refusal,
    ) {
        for exchange in
            [answered(status, YES), answered(status, NO), page(status), answered(status, "")]
        {
            assert_eq!(verdict(&exchange, None), Verdict::Refused(refusal));
        }
    }

    #[rstest]
    fn accepted_is_2xx_json_and_success(#[values(200, 201, 202, 299)] status: u16) {
        let body = r#"{"Success":true,"Result":["a",null]}"#;
        let accepted = Verdict::Accepted { ids: vec![Some("a".into()), None] };
        assert_eq!(verdict(&answered(status, body), None), accepted);
        assert_eq!(verdict(&answered(status, YES), None), Verdict::Accepted { ids: vec![] });
    }

    #[rstest]
    #[case::portal(page(200))]
    #[case::json_with_a_pages_type(Exchange::Answered(Answer {
        status: 200, retry_after: None, json: false, body: YES.into() }))]
    #[case::empty(answered(204, ""))]
    #[case::cut(answered(200, r#"{"Success":true"#))]
    #[case::no_envelope(answered(200, "[]"))]
    #[case::success_missing(answered(200, r#"{"Result":[]}"#))]
    #[case::success_as_text(answered(200, r#"{"Success":"true"}"#))]
    #[case::success_in_an_error(answered(500, YES))]
    #[case::server_error(answered(500, NO))]
    #[case::not_implemented(page(501))]
    #[case::informational(answered(100, YES))]
    #[case::not_modified(answered(304, YES))]
    #[case::next_to_cloudflares(page(519))]
    #[case::after_cloudflares(page(528))]
    #[case::beyond_http(answered(999, YES))]
    fn what_is_neither_yes_nor_no_is_asked_about_at_once(#[case] exchange: Exchange) {
        assert_eq!(verdict(&exchange, None), Verdict::Unclear(Unclear::ANSWERED));
    }

    #[rstest]
    #[case(200, NO, "Latitude is required")]
    #[case(400, NO, "Latitude is required")]
    #[case(422, NO, "Latitude is required")]
    #[case(409, NO, "Latitude is required")]
    #[case(400, "Bad Request", "HTTP 400")]
    #[case(422, r#"{"Message":""}"#, "HTTP 422")]
    #[case(200, r#"{"Success":false}"#, "Success false, without a message")]
    fn a_no_is_still_unclear_and_carries_the_servers_words(
        #[case] status: u16,
        #[case] body: &str,
        #[case] message: &str,
    ) {
        let asked_at_once =
            Unclear { from_gateway_or_silence: false, refusal: Some(message.into()) };
        assert_eq!(verdict(&answered(status, body), None), Verdict::Unclear(asked_at_once));
    }

    /// 1994-11-06 08:49:37 UTC, the date in RFC 9110.
    const RFC_DATE: UtcMs = UtcMs(784_111_777_000);

    #[rstest]
    #[case("120", Some(RetryAfter::After(Duration::from_secs(120))))]
    #[case(" 0 ", Some(RetryAfter::After(Duration::ZERO)))]
    #[case("99999999999999999999999", Some(RetryAfter::After(Duration::MAX)))]
    #[case("Sun, 06 Nov 1994 08:49:37 GMT", Some(RetryAfter::At(RFC_DATE)))]
    #[case("Sunday, 06-Nov-94 08:49:37 GMT", Some(RetryAfter::At(RFC_DATE)))]
    #[case("Sun Nov  6 08:49:37 1994", Some(RetryAfter::At(RFC_DATE)))]
    #[case("-1", None)]
    #[case("", None)]
    #[case("soon", None)]
    #[case("1.5", None)]
    fn retry_after_is_seconds_or_a_date(#[case] value: &str, #[case] read: Option<RetryAfter>) {
        assert_eq!(RetryAfter::parse(value), read);
    }

    #[test]
    fn a_wait_is_counted_from_now_and_never_longer_than_an_hour() {
        let at = RetryAfter::At(RFC_DATE);
        assert_eq!(at.wait(Some(UtcMs(RFC_DATE.0 - 90_500))), Some(Duration::from_millis(90_500)));
        assert_eq!(at.wait(Some(UtcMs(RFC_DATE.0 + 1))), Some(Duration::ZERO));
        assert_eq!(at.wait(Some(UtcMs(0))), Some(RETRY_AFTER_MAX));
        assert_eq!(at.wait(None), None);
        assert_eq!(RetryAfter::After(Duration::MAX).wait(None), Some(RETRY_AFTER_MAX));
    }

    #[test]
    fn a_429_waits_as_long_as_it_says() {
        let busy = |retry_after| {
            Exchange::Answered(Answer { status: 429, retry_after, json: false, body: vec![] })
        };
        let after = Some(Duration::from_secs(7));
        let wait = Verdict::Refused(Refusal::Wait { after });
        assert_eq!(verdict(&busy(after.map(RetryAfter::After)), None), wait);
        let date = Some(RetryAfter::At(RFC_DATE));
        assert_eq!(verdict(&busy(date), Some(UtcMs(RFC_DATE.0 - 7000))), wait);
        assert_eq!(verdict(&busy(date), None), Verdict::Refused(Refusal::Wait { after: None }));
    }

    #[test]
    fn a_list_is_believed_only_from_a_whole_and_well_formed_answer() {
        let list = r#"{"Success":true,"Result":[{"Id":"a"}]}"#;
        assert!(no_list(&answered(200, list)).is_none());
        let why = |exchange: &Exchange| no_list(exchange).unwrap();
        assert!(matches!(why(&page(200)), Unbelievable::NotJson));
        for status in [401, 403, 302, 307] {
            assert!(matches!(why(&answered(status, list)), Unbelievable::NeedsSignIn));
        }
        for status in [400, 404, 429, 500, 503, 304] {
            assert!(
                matches!(why(&answered(status, list)), Unbelievable::Status { status: s, .. } if s == status)
            );
        }
        assert!(matches!(why(&Exchange::Lost(Lost::Timeout)), Unbelievable::Lost(Lost::Timeout)));
        let dns = Exchange::NotSent(NotSent::Dns, String::new());
        assert!(matches!(why(&dns), Unbelievable::NotAsked(NotSent::Dns)));
    }

    proptest! {
        #[test]
        fn only_a_2xx_that_says_success_is_ever_accepted(status: u16, json: bool, yes: bool) {
            let body = if yes { YES } else { NO }.into();
            let answer = Exchange::Answered(Answer { status, retry_after: None, json, body });
            let accepted = matches!(verdict(&answer, None), Verdict::Accepted { .. });
            prop_assert_eq!(accepted, (200..300).contains(&status) && json && yes);
        }

        #[test]
        fn no_answer_panics(status: u16, body: Vec<u8>, header in "\\PC*", now: i64) {
            let retry_after = RetryAfter::parse(&header);
            let answer = Exchange::Answered(Answer { status, retry_after, json: true, body });
            let _ = verdict(&answer, Some(UtcMs(now)));
            let _ = no_list(&answer);
        }
    }
}
