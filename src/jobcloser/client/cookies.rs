//! The session: the server's cookies, in memory. They don't expire by themselves, since
//! the board's clock may be in 1970 and the server says soon enough that a session is
//! over; what the server takes back is dropped (an empty value, `Max-Age` of 0 or less).
//!
//! One host, and none of its cookies goes anywhere else. The path isn't looked at: there
//! is one API on that host.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use reqwest::cookie::CookieStore;
use reqwest::header::HeaderValue;

/// Cookies that are kept; a further one is dropped with a log line. Browsers take 50 and
/// more, a session needs one or two.
const COOKIES_MAX: usize = 32;
/// Bytes of one cookie, as browsers allow (RFC 6265, 6.1); a longer one is dropped with a
/// log line.
const COOKIE_BYTES_MAX: usize = 4096;

/// The cookies of one host.
pub(super) struct Cookies {
    host: String,
    jar: Mutex<Vec<(String, String)>>,
}

impl Cookies {
    pub(super) fn new(host: &str) -> Self {
        Self { host: host.to_owned(), jar: Mutex::new(Vec::new()) }
    }

    pub(super) fn clear(&self) {
        self.jar().clear();
    }

    fn jar(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ours(&self, url: &Url) -> bool {
        url.host_str() == Some(self.host.as_str())
    }

    fn take(&self, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim_end(), value.trim_start());
        let (mut gone, mut elsewhere) = (value.is_empty(), name.is_empty());
        for (attribute, setting) in parts.filter_map(|part| part.split_once('=')) {
            match attribute.trim_end().to_ascii_lowercase().as_str() {
                "max-age" => gone |= setting.trim().parse::<i64>().is_ok_and(|s| s <= 0),
                "domain" => elsewhere |= !self.is_under(setting.trim()),
                _ => {}
            }
        }
        if elsewhere {
            return;
        }
        let mut jar = self.jar();
        jar.retain(|(kept, _)| kept != name);
        if gone {
            return;
        }
        if jar.len() >= COOKIES_MAX || name.len() + value.len() > COOKIE_BYTES_MAX {
            tracing::warn!(kept = jar.len(), "a cookie is too many or too long; dropped");
            return;
        }
        jar.push((name.to_owned(), value.to_owned()));
    }

    /// Whether our host is `domain` or below it; an empty one is ours (RFC 6265, 5.2.3).
    fn is_under(&self, domain: &str) -> bool {
        let domain = domain.trim_start_matches('.').to_ascii_lowercase();
        let above = self.host.strip_suffix(&domain);
        domain.is_empty() || above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl CookieStore for Cookies {
    fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        if self.is_ours(url) {
            for header in headers {
                if let Ok(text) = header.to_str() {
                    self.take(text);
                }
            }
        }
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        let jar = self.jar();
        if jar.is_empty() || !self.is_ours(url) {
            return None;
        }
        let pairs: Vec<String> =
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut header = HeaderValue::from_str(&pairs.join("; ")).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn jar(headers: &[&str]) -> Cookies {
        let cookies = Cookies::new("api.jobcloser.com");
        let headers: Vec<_> = headers.iter().map(|h| HeaderValue::from_str(h).unwrap()).collect();
        cookies.set_cookies(&mut headers.iter(), &url("https://api.jobcloser.com/api?p=x"));
        cookies
    }

    fn sent(cookies: &Cookies) -> Option<String> {
        let header = cookies.cookies(&url("https://api.jobcloser.com/other"))?;
        assert!(header.is_sensitive());
        Some(header.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_session_is_kept_whatever_its_date_of_expiry() {
        let past = "ASP.NET_SessionId=abc; Expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/; HttpOnly";
        let cookies = jar(&[past, "auth=x=y==; Max-Age=1200; Secure; SameSite=Lax"]);
        assert_eq!(sent(&cookies).unwrap(), "ASP.NET_SessionId=abc; auth=x=y==");
        cookies.clear();
        assert_eq!(sent(&cookies), None);
    }

    #[test]
    fn a_newer_value_takes_the_place_of_the_older() {
        assert_eq!(sent(&jar(&["a=1", "b=2", "a=3"])).unwrap(), "b=2; a=3");
    }

    #[test]
    fn what_the_server_takes_back_is_gone() {
        for back in ["a=; path=/", "a=1; Max-Age=0", "a=1; max-age=-1; path=/"] {
            assert_eq!(sent(&jar(&["a=1", back])), None, "{back}");
        }
    }

    #[test]
    fn cookies_of_other_hosts_are_neither_taken_nor_told() {
        let cookies = jar(&[
            "a=1; Domain=evil.com",
            "b=2; Domain=.jobcloser.com",
            "c=3; domain=api.jobcloser.com",
            "d=4; Domain=closer.com",
            "e=5; Domain=",
        ]);
        assert_eq!(sent(&cookies).unwrap(), "b=2; c=3; e=5");
        assert_eq!(cookies.cookies(&url("https://jobcloser.com/")), None);
        let header = HeaderValue::from_static("f=6");
        cookies.set_cookies(&mut [&header].into_iter(), &url("https://evil.com/"));
        assert_eq!(sent(&cookies).unwrap(), "b=2; c=3; e=5");
    }

    #[test]
    fn nonsense_and_floods_are_dropped() {
        assert_eq!(sent(&jar(&["", ";", "=x", "novalue", ";;a=1"])), None);
        let many: Vec<String> = (0..100).map(|n| format!("c{n}={n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(sent(&jar(&many)).unwrap().split("; ").count(), COOKIES_MAX);
        assert_eq!(sent(&jar(&[&format!("a={}", "x".repeat(COOKIE_BYTES_MAX))])), None);
    }
}
