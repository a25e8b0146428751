//! Which values each key takes, one at a time. What depends on two keys, and what is only
//! warned of, is in [`super::check`].

use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;

use super::key::Refusal;
use super::shape::{size_text, time_text};
use super::suggest::nearest;

/// A value is taken, or why not.
pub type Valid = Result<(), Refusal>;

/// What `log.level` takes.
pub(super) const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// One path in `sockaddr_un`, without its closing zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// As `humantime` counts it.
pub(super) const YEAR: Duration = Duration::from_secs(31_557_600);

pub(super) fn anything<T>(_: &T) -> Valid {
    Ok(())
}

pub(super) fn within<T: PartialOrd + Display>(value: &T, least: T, most: T) -> Valid {
    if *value >= least && *value <= most {
        return Ok(());
    }
    Err(format!("{value} is out of range: it must be from {least} to {most}").into())
}

/// `least` itself is out of range.
pub(super) fn above(value: &f64, least: f64, most: f64) -> Valid {
    if *value > least && *value <= most {
        return Ok(());
    }
    Err(format!("{value} is out of range: it must be above {least}, and {most} at most").into())
}

pub(super) fn time(value: &Duration, least: Duration, most: Duration) -> Valid {
    if (least..=most).contains(value) {
        return Ok(());
    }
    let (value, least, most) = (time_text(*value), time_text(least), time_text(most));
    Err(format!("{value} is out of range: it must be from {least} to {most}").into())
}

pub(super) fn zero_or_time(value: &Duration, least: Duration, most: Duration) -> Valid {
    if value.is_zero() {
        return Ok(());
    }
    time(value, least, most)
        .map_err(|refusal| format!("{}, or \"0s\" for none", refusal.message).into())
}

pub(super) fn size(value: &u64, least: u64, most: u64) -> Valid {
    if (least..=most).contains(value) {
        return Ok(());
    }
    let (value, least, most) = (size_text(*value), size_text(least), size_text(most));
    Err(format!("{value} is out of range: it must be from {least} to {most}").into())
}

/// At most so many characters.
pub(super) fn text(value: &str, most: usize) -> Valid {
    match value.chars().count() {
        n if n > most => Err(format!("has {n} characters: {most} at most").into()),
        _ => Ok(()),
    }
}

/// An id of the server's: opaque, so that only what can't be an id is refused.
pub fn id(value: &str) -> Valid {
    if value.chars().any(char::is_whitespace) {
        return Err("has a space in it: copy the id alone".into());
    }
    text(value, 64)
}

/// Whether an id has the shape that the server's page shows. Another one is told of, not
/// refused: ids are the server's business.
pub fn is_usual_id(value: &str) -> bool {
    value.len() == 30 && value.chars().all(|c| c.is_ascii_hexdigit())
}

/// Up to 40 ASCII characters without comma, star or dollar: what a meter's line can carry.
pub(super) fn serial_number(value: &str) -> Valid {
    if !value.chars().all(|c| c.is_ascii_graphic() || c == ' ') || value.trim() != value {
        return Err("write it as on the meter's plate: plain letters, digits and signs".into());
    }
    text(value, 40)
}

/// Absolute, and not repeated in the message.
pub(super) fn absolute(path: &Path) -> Valid {
    match path.is_absolute() {
        true => Ok(()),
        false => Err("must be an absolute path: begin with /".into()),
    }
}

pub(super) fn absolute_or_empty(path: &Path) -> Valid {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    absolute(path)
}

pub(super) fn data_dir(path: &Path) -> Valid {
    absolute(path)?;
    match path.parent() {
        Some(_) => Ok(()),
        None => Err("must be a directory of its own, not /".into()),
    }
}

pub(super) fn socket(path: &Path) -> Valid {
    absolute(path)?;
    match path.as_os_str().len() {
        n if n > SOCKET_PATH_MAX => {
            Err(format!("a socket's path is {SOCKET_PATH_MAX} bytes at most, this one is {n}")
                .into())
        }
        _ => Ok(()),
    }
}

pub(super) fn serial_port(path: &Path) -> Valid {
    if path.as_os_str().is_empty() {
        return Err("is empty: set the port's stable name, from `ls /dev/serial/by-id`".into());
    }
    absolute(path)
}

pub(super) fn profile(name: &str) -> Valid {
    match name {
        "" => Err("is empty: set the name of a profile, or the path of one".into()),
        _ => text(name, 255),
    }
}

pub(super) fn timezone(name: &str) -> Valid {
    let zones = TimeZoneDatabase::bundled();
    if zones.get(name).is_ok() {
        return Ok(());
    }
    let known: Vec<String> = zones.available().map(|zone| zone.as_str().to_string()).collect();
    Err(Refusal {
        message: "isn't a time zone: write an IANA name, as in \"America/Chicago\"".into(),
        suggestion: nearest(name, known.iter().map(String::as_str)).map(str::to_string),
    })
}

pub(super) fn level(word: &str) -> Valid {
    if LEVELS.contains(&word) {
        return Ok(());
    }
    Err(Refusal {
        message: format!("isn't a level: write {}", LEVELS.join(", ")),
        suggestion: nearest(word, LEVELS).map(str::to_string),
    })
}

/// `host:port`.
pub(super) fn host_port(text: &str) -> Valid {
    match text.rsplit_once(':') {
        Some((host, port)) if known_host(host) && port.parse::<u16>().is_ok_and(|p| p > 0) => {
            Ok(())
        }
        _ => Err("write a host and a port, as in \"127.0.0.1:2947\"".into()),
    }
}

/// Pairs that ascend in their first number, none or at least two, each within bounds.
pub(super) fn ascending(
    pairs: &[(f64, f64)],
    pair: impl Fn(f64, f64) -> bool,
    rule: &str,
) -> Valid {
    if pairs.len() == 1 {
        return Err("has one pair: two at least, or none".into());
    }
    if pairs.len() > 64 {
        return Err(format!("has {} pairs: 64 at most", pairs.len()).into());
    }
    if let Some((a, b)) = pairs.iter().find(|(a, b)| !pair(*a, *b)) {
        return Err(format!("[{a}, {b}]: {rule}").into());
    }
    let falls = pairs.iter().zip(pairs.iter().skip(1)).find(|(one, next)| next.0 <= one.0);
    match falls {
        Some((one, next)) => {
            Err(format!("must ascend: {} is followed by {}", one.0, next.0).into())
        }
        None => Ok(()),
    }
}

/// Pairs whose second numbers don't fall from one to the next.
pub(super) fn never_falling(pairs: &[(f64, f64)]) -> Valid {
    let falls = pairs.iter().zip(pairs.iter().skip(1)).find(|(one, next)| next.1 < one.1);
    match falls {
        Some((one, next)) => {
            Err(format!("must not fall: {} is followed by {}", one.1, next.1).into())
        }
        None => Ok(()),
    }
}

/// A place on earth, and not the 0,0 of a receiver that knows none.
pub(super) fn place(place: &Option<(f64, f64)>) -> Valid {
    match place {
        Some((lat, lon)) if lat.abs() > 90.0 || lon.abs() > 180.0 => Err(format!(
            "[{lat}, {lon}] is no place: latitude -90 to 90 first, then longitude -180 to 180"
        )
        .into()),
        Some((lat, lon)) if *lat == 0.0 && *lon == 0.0 => {
            Err("[0, 0] is no place: set the rig's own, or []".into())
        }
        Some(_) | None => Ok(()),
    }
}

/// Scheme, host and port: `https`, or `http` to this machine alone, since the sign-in
/// carries the password in its URL. The message never repeats the text for the same reason.
pub(super) fn base_url(url: &str) -> Valid {
    let (scheme, rest) =
        url.split_once("://").ok_or("isn't an address: write \"https://jobcloser.com\"")?;
    if rest.contains('@') {
        return Err("has a user or password in it: those belong in the files of email_file and password_file".into());
    }
    if rest.contains(['?', '#']) {
        return Err("has a query or fragment in it: write scheme and host alone".into());
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('/') {
        return Err(
            "has a path in it: write scheme and host alone, the program adds /api/… itself".into(),
        );
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    if !known_host(host) || port.is_some_and(|port| port.parse::<u16>().map_or(true, |p| p == 0)) {
        return Err("has no readable host and port: write \"https://jobcloser.com\" or \"https://host:8443\"".into());
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(host) => Ok(()),
        "http" => {
            Err("sends the password in clear: http is for this machine alone, write https".into())
        }
        _ => Err("must begin with https://".into()),
    }
}

/// A name of letters, digits, dots and hyphens, an IPv4 address, or an IPv6 one in brackets.
fn known_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://jobcloser.com")]
    #[case("https://jobcloser.com/")]
    #[case("https://test.example:8443")]
    #[case("https://[2001:db8::1]:8443")]
    #[case("http://localhost:8080")]
    #[case("http://127.0.0.1:8080")]
    #[case("http://127.9.9.9")]
    #[case("http://[::1]:80")]
    fn a_server_that_keeps_the_password_is_taken(#[case] url: &str) {
        assert_eq!(base_url(url), Ok(()), "{url}");
    }

    #[rstest]
    #[case("jobcloser.com")]
    #[case("http://jobcloser.com")]
    #[case("http://127.0.0.1@evil.example")]
    #[case("http://localhost.evil.example")]
    #[case("http://127.1")]
    #[case("http://[::2]")]
    #[case("HTTP://localhost")]
    #[case("ftp://localhost")]
    #[case("https://rig:MARKER@jobcloser.com")]
    #[case("https://jobcloser.com?password=MARKER")]
    #[case("https://jobcloser.com#MARKER")]
    #[case("https://jobcloser.com/api")]
    #[case("https://jobcloser.com:0")]
    #[case("https://jobcloser.com:MARKER")]
    #[case("https://evil.example\\.jobcloser.com")]
    #[case("https://")]
    #[case("")]
    fn a_server_that_could_leak_the_password_is_refused_without_repeating_it(#[case] url: &str) {
        let refusal = base_url(url).unwrap_err();
        assert!(!refusal.message.contains("MARKER"), "{refusal:?}");
    }

    #[test]
    fn a_zone_is_an_iana_name() {
        assert_eq!(timezone("America/Chicago"), Ok(()));
        assert_eq!(timezone("UTC"), Ok(()));
        assert_eq!(
            timezone("America/Chicgo").unwrap_err().suggestion.as_deref(),
            Some("America/Chicago")
        );
        assert!(timezone("").is_err());
    }

    #[test]
    fn a_place_is_on_earth_and_not_zero_zero() {
        assert_eq!(place(&Some((32.6, -85.4))), Ok(()));
        assert_eq!(place(&None), Ok(()));
        for bad in [(0.0, 0.0), (90.1, 0.0), (0.0, -180.1)] {
            assert!(place(&Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn points_ascend() {
        let any = |_: f64, _: f64| true;
        assert_eq!(ascending(&[], any, ""), Ok(()));
        assert_eq!(ascending(&[(1.0, 5.0), (2.0, 4.0)], any, ""), Ok(()));
        for bad in [vec![(1.0, 1.0)], vec![(2.0, 1.0), (1.0, 1.0)], vec![(1.0, 1.0), (1.0, 2.0)]] {
            assert!(ascending(&bad, any, "").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_socket_path_fits_the_kernels_field() {
        assert_eq!(socket(Path::new("/run/spraylog/control.sock")), Ok(()));
        assert!(socket(Path::new(&format!("/{}", "x".repeat(107)))).is_err());
        assert!(socket(Path::new("control.sock")).is_err());
    }
}
