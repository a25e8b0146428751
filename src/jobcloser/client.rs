//! The HTTP client: signs in, posts a batch, asks what is stored. Each call is one
//! request, and says how the exchange ended; what that proves is [`super::verdict`]'s.
//!
//! Sends nothing twice: no retry, no redirect, and a request goes over a connection
//! that was kept only while that still stands. Verifies TLS against the clock that it is
//! given, never the system's (RULES.md, 19).
//!
//! The sign-in URL carries the password and its answer repeats it (RULES.md, 26). So no
//! error of `reqwest`, no URL, header or body of that call leaves this module, nothing
//! here is logged but counts, and the libraries' own targets ([`QUIET_TARGETS`]) are to
//! be off.

mod ask;
mod cookies;
mod failure;
mod frozen;
mod list;
mod session;
mod tls;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Body, Response, Url};

pub use self::ask::Ask;
pub use self::session::{Login, SignIn, SignInFailed};

use self::cookies::Cookies;
use self::frozen::Frozen;
use super::verdict::{Answer, Exchange, Lost, RetryAfter, Unbelievable, no_list};
use super::wire::Stored;
use crate::clock::UtcMs;
use crate::config;

/// The log targets of the HTTP libraries. The program turns them off at every level:
/// what they print of a request is not ours to judge.
pub const QUIET_TARGETS: &[&str] = &[
    "cookie_store",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "reqwest",
    "rustls",
    "rustls_platform_verifier",
    "tokio_rustls",
    "tower",
    "tower_http",
    "webpki",
];

/// Time for the name, the connection and the TLS handshake together, where `timeout`
/// isn't shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. Shorter than servers keep theirs (a minute and
/// more), so that a batch seldom meets one that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Bytes of the answer to a batch or a sign-in. A longer one is lost: ask.
const ANSWER_MAX: usize = 4 << 20;
/// Bytes of an answer that isn't a 2xx. The rest is cut off: its status says enough.
const REFUSAL_MAX: usize = 64 << 10;
/// Bytes of a `getall` answer: 600 000 records. A longer one is lost, so that its job
/// stays in doubt and `status` says why. Memory isn't what bounds it: it is read as it
/// comes, and a server that never ends must end somewhere.
const LIST_MAX: usize = 512 << 20;
/// A `getall` answer that comes in drops for longer than this is lost.
const LIST_CEILING: Duration = Duration::from_secs(30 * 60);

/// The agent's own clock; `None` while no time is known.
pub type Now = Arc<dyn Fn() -> Option<UtcMs> + Send + Sync>;

/// A connection to one JobCloser server, and the session on it.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    login: Option<Login>,
    cookies: Arc<Cookies>,
    signed_in: AtomicBool,
    timeout: Duration,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `base_url` is no URL. Not shown: it may hold a password.
    #[error("jobcloser.base_url is not a URL of the form https://host")]
    BaseUrl,
    /// `base_url` is neither `https://` nor `http://` to loopback.
    #[error("jobcloser.base_url must be https:// (http:// to this machine alone)")]
    Insecure,
    /// `ca_file` can't be read.
    #[error("jobcloser.ca_file {} can't be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// `ca_file` holds no certificate, or one that can't be a root.
    #[error("jobcloser.ca_file {} holds no usable certificate", path.display())]
    CaCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with the certificate, where there is one.
        source: Option<rustls::Error>,
    },
    /// The system has no root certificates and no `ca_file` is set.
    #[error("no root certificates: install ca-certificates, or set jobcloser.ca_file")]
    NoRoots,
    /// TLS can't be set up.
    #[error("TLS can't be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP library can't be set up.
    #[error("the HTTP client can't be set up: {0}")]
    Http(String),
}

impl Client {
    /// A client for the server in `settings`. Connects to nothing yet. `now` is asked at
    /// every TLS handshake.
    ///
    /// # Errors
    ///
    /// Where `base_url` or `ca_file` won't do, or there are no root certificates.
    pub fn new(
        settings: &config::JobCloser,
        login: Option<Login>,
        now: Now,
    ) -> Result<Self, ClientError> {
        let base = base_url(&settings.base_url)?;
        let roots = match base.scheme() {
            "https" => tls::roots(&settings.ca_file)?,
            _ => rustls::RootCertStore::empty(),
        };
        let cookies = Arc::new(Cookies::new(base.host_str().unwrap_or_default()));
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(roots, now).map_err(ClientError::Tls)?)
            .https_only(base.scheme() == "https")
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .cookie_provider(Arc::clone(&cookies))
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .tcp_user_timeout(settings.timeout)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("spraylog/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|err| ClientError::Http(failure::detail(&err)))?;
        let (signed_in, timeout) = (AtomicBool::new(false), settings.timeout);
        Ok(Self { http, base, login, cookies, signed_in, timeout })
    }

    /// Signs in anew; the old session is forgotten first.
    pub async fn sign_in(&self) -> SignIn {
        let Some(login) = &self.login else { return SignIn::NotNeeded };
        self.forget_session();
        let mut url = self.endpoint("/api/account/signin");
        url.query_pairs_mut()
            .append_pair("email", &login.email)
            .append_pair("password", &login.password);
        let request = self.http.get(url).header(ACCEPT, "application/json").timeout(self.timeout);
        let exchange = match request.send().await {
            Ok(response) => read(response, ANSWER_MAX, None).await,
            Err(err) => failure::exchange(err, None),
        };
        let outcome = session::outcome(exchange);
        self.signed_in.store(matches!(outcome, SignIn::Done { .. }), Ordering::Relaxed);
        outcome
    }

    /// Whether the server is reached: asks for nothing but an answer, whatever it is. For
    /// calls without credentials, where no sign-in shows it.
    pub async fn reach(&self) -> bool {
        let request = self.http.head(self.endpoint("/")).timeout(self.timeout);
        match request.send().await {
            Ok(_answer) => true,
            Err(err) => !matches!(failure::exchange(err, None), Exchange::NotSent(..)),
        }
    }

    /// Whether calls can be made as they are: signed in, or without credentials. The
    /// server may have ended the session since.
    pub fn signed_in(&self) -> bool {
        self.login.is_none() || self.signed_in.load(Ordering::Relaxed)
    }

    /// Drops the session's cookies.
    pub fn forget_session(&self) {
        self.signed_in.store(false, Ordering::Relaxed);
        self.cookies.clear();
    }

    /// Posts `body` to `createbatch`, once, within `timeout` in all. Should the caller
    /// drop the call, the batch is in doubt.
    pub async fn create_batch(&self, body: Vec<u8>) -> Exchange {
        let (frozen, gate) = Frozen::new(body);
        let request = self
            .http
            .post(self.endpoint("/api/chemicalapplicationlocations/createbatch"))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .timeout(self.timeout)
            .body(Body::wrap(frozen));
        match request.send().await {
            Ok(response) => read(response, ANSWER_MAX, None).await,
            Err(err) => failure::exchange(err, Some(&gate)),
        }
    }

    /// Asks what is stored for a job and an event, and hands each record to `take` as it
    /// comes. `timeout` is the time between two reads: a season's list over a poor
    /// connection takes long.
    ///
    /// # Errors
    ///
    /// Says why the answer is no list, or not a whole one; what was taken of it counts for
    /// nothing then.
    pub async fn get_all<S: Send + 'static>(
        &self,
        job: &str,
        event: &str,
        taken: S,
        take: fn(&mut S, Stored),
    ) -> Result<S, Unbelievable> {
        let mut url = self.endpoint("/api/chemicalapplicationlocations/getall");
        url.query_pairs_mut().append_pair("jobId", job).append_pair("eventId", event);
        let request = self.http.get(url).header(ACCEPT, "application/json").send();
        let lost = || Unbelievable::Lost(Lost::Timeout);
        let listed = async {
            match tokio::time::timeout(self.timeout, request).await {
                Ok(Ok(response)) => list::read(response, self.timeout, taken, take).await,
                Ok(Err(err)) => Err(no_list(&failure::exchange(err, None)).unwrap_or_else(lost)),
                Err(_elapsed) => Err(lost()),
            }
        };
        let ended = tokio::time::timeout(LIST_CEILING, listed).await;
        ended.unwrap_or_else(|_elapsed| Err(lost()))
    }

    fn endpoint(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

/// `https://` to anywhere, `http://` to loopback; neither with a user, query or fragment.
fn base_url(text: &str) -> Result<Url, ClientError> {
    let url = Url::parse(text).map_err(|_| ClientError::BaseUrl)?;
    let host = url.host_str().ok_or(ClientError::BaseUrl)?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !bare {
        return Err(ClientError::BaseUrl);
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    let loopback =
        host == "localhost" || address.is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        _ => Err(ClientError::Insecure),
    }
}

/// Reads an answer of at most `limit` bytes; `idle` bounds the time between two reads.
/// A 2xx that doesn't come whole is lost; of another answer the status is enough.
async fn read(mut response: Response, limit: usize, idle: Option<Duration>) -> Exchange {
    let success = response.status().is_success();
    let limit = if success { limit } else { limit.min(REFUSAL_MAX) };
    let mut body = Vec::new();
    let lost = loop {
        let chunk = match idle {
            Some(idle) => tokio::time::timeout(idle, response.chunk()).await,
            None => Ok(response.chunk().await),
        };
        match chunk {
            Ok(Ok(Some(bytes))) if body.len() + bytes.len() > limit => {
                break Some(Lost::TooLong { max: limit });
            }
            Ok(Ok(Some(bytes))) => body.extend_from_slice(&bytes),
            Ok(Ok(None)) => break None,
            Ok(Err(err)) => break Some(failure::lost(&err)),
            Err(_elapsed) => break Some(Lost::Timeout),
        }
    };
    match lost {
        Some(lost) if success => Exchange::Lost(lost),
        Some(_) | None => Exchange::Answered(Answer {
            status: response.status().as_u16(),
            retry_after: header(response.headers(), &RETRY_AFTER).and_then(RetryAfter::parse),
            json: header(response.headers(), &CONTENT_TYPE).is_none_or(is_json),
            body,
        }),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .field("login", &self.login)
            .field("signed_in", &self.signed_in)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://jobcloser.com", true)]
    #[case("https://jobcloser.com:8443/", true)]
    #[case("https://10.0.0.7/site", true)]
    #[case("http://127.0.0.1:8080", true)]
    #[case("http://127.9.9.9", true)]
    #[case("http://[::1]:8080", true)]
    #[case("http://localhost:8080", true)]
    #[case("http://jobcloser.com", false)]
    #[case("http://localhost.jobcloser.com", false)]
    #[case("http://10.0.0.7", false)]
    #[case("http://[::2]", false)]
    #[case("ftp://127.0.0.1", false)]
    #[case("unix:/run/x", false)]
    #[case("https://", false)]
    #[case("jobcloser.com", false)]
    #[case("", false)]
    #[case("https://me:secret@jobcloser.com", false)]
    #[case("https://me@jobcloser.com", false)]
    #[case("https://jobcloser.com/?key=secret", false)]
    #[case("https://jobcloser.com/#x", false)]
    fn a_password_never_travels_in_the_clear(#[case] url: &str, #[case] fits: bool) {
        let said = base_url(url).map(|_| ()).map_err(|err| format!("{err:?} {err}"));
        assert_eq!(said.is_ok(), fits, "{url}");
        assert!(!said.is_err_and(|text| text.contains("secret")));
    }

    #[rstest]
    #[case("application/json", true)]
    #[case("Application/JSON; charset=utf-8", true)]
    #[case("text/json", true)]
    #[case("application/problem+json", true)]
    #[case("text/html; charset=utf-8", false)]
    #[case("text/plain", false)]
    #[case("", false)]
    #[case("application/jsonp", false)]
    fn json_is_what_its_content_type_says(#[case] content_type: &str, #[case] json: bool) {
        assert_eq!(is_json(content_type), json);
    }
}
