//! The HTTP client against real sockets: a small server that speaks raw TCP, so that
//! every way an exchange can end is made byte by byte. Nothing here sleeps longer than
//! 300 ms.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it didn't expect"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rstest::rstest;
use spraylog::clock::UtcMs;
use spraylog::config::JobCloser;
use spraylog::jobcloser::client::{
    Client, ClientError, Login, Now, QUIET_TARGETS, SignIn, SignInFailed,
};
use spraylog::jobcloser::verdict::{
    Answer, Exchange, Lost, NotSent, RetryAfter, Unbelievable, Verdict, verdict,
};
use spraylog::jobcloser::wire::Stored;

/// The answer to a batch, and a list of one.
const OK: &str = r#"{"Success":true,"Message":"Success","Result":[{"Id":"id-1"}]}"#;
/// Of clients whose server is to fall silent.
const TIMEOUT: Duration = Duration::from_millis(250);
/// Of all others: never reached, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

// ---- the server ----------------------------------------------------------------------

/// A request as it came over the wire.
#[derive(Debug, Clone, PartialEq)]
struct Request {
    connection: usize,
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// One connection at the server's end.
struct Peer<S> {
    stream: S,
    number: usize,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl<S: Read + Write> Peer<S> {
    /// The request's head alone, as far as its empty line.
    fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if self.stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        Some(String::from_utf8(head).unwrap())
    }

    /// A whole request, and remembers it. `None` once the client has gone.
    fn request(&mut self) -> Option<Request> {
        let head = self.head()?;
        let mut request = Request { connection: self.number, head, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |v| v.parse().unwrap());
        request.body = vec![0; length];
        self.stream.read_exact(&mut request.body).ok()?;
        self.seen.lock().unwrap().push(request.clone());
        Some(request)
    }

    fn send(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.flush());
    }

    fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.send(&format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"));
    }

    fn json(&mut self, body: &str) {
        self.answer("200 OK", "Content-Type: application/json; charset=utf-8\r\n", body);
    }
}

impl Peer<TcpStream> {
    /// Ends the connection with RST.
    fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }
}

struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Gives every connection to `script`, each on its own thread.
    fn start(script: impl Fn(Peer<TcpStream>) + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", script)
    }

    fn listen(address: &str, script: impl Fn(Peer<TcpStream>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, all) = (Arc::new(script), Arc::clone(&seen));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let peer = Peer { stream: stream.unwrap(), number, seen: Arc::clone(&all) };
                let script = Arc::clone(&script);
                thread::spawn(move || script(peer));
            }
        });
        Self { address, seen }
    }

    /// Answers every request on every connection with the same bytes.
    fn always(status: &'static str, headers: &'static str, body: &'static str) -> Self {
        Self::start(move |mut peer| {
            while peer.request().is_some() {
                peer.answer(status, headers, body);
            }
        })
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    fn client(&self) -> Client {
        client(&format!("http://{}", self.address), None)
    }

    fn client_with_login(&self) -> Client {
        client(&format!("http://{}", self.address), Some(login()))
    }

    fn hasty_client(&self) -> Client {
        hasty(&settings(&format!("http://{}", self.address)), None)
    }
}

fn settings(base_url: &str) -> JobCloser {
    JobCloser {
        base_url: base_url.to_owned(),
        email_file: PathBuf::new(),
        password_file: PathBuf::new(),
        company_id: String::new(),
        batch_records: 100,
        batch_bytes: 262_144,
        body_wrapper: String::new(),
        max_count: 2_147_483_647,
        timeout: PATIENCE,
        settle_after: Duration::from_secs(60),
        ca_file: PathBuf::new(),
    }
}

fn at(utc: Option<UtcMs>) -> Now {
    Arc::new(move || utc)
}

fn client(base_url: &str, login: Option<Login>) -> Client {
    watch_the_logs();
    Client::new(&settings(base_url), login, at(None)).unwrap()
}

fn hasty(settings: &JobCloser, login: Option<Login>) -> Client {
    watch_the_logs();
    let settings = JobCloser { timeout: TIMEOUT, ..settings.clone() };
    Client::new(&settings, login, at(TODAY)).unwrap()
}

fn login() -> Login {
    Login { email: "ann+rig@example.com".into(), password: "p&ss w=rd%".into() }
}

fn batch() -> Vec<u8> {
    br#"[{"MeterRawCount": 1.50},{"Note":"\u00e9"}]"#.to_vec()
}

fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[track_caller]
fn answered(exchange: Exchange) -> Answer {
    match exchange {
        Exchange::Answered(answer) => answer,
        other => panic!("{other:?}"),
    }
}

async fn listed(client: &Client, job: &str, event: &str) -> Result<Vec<Stored>, Unbelievable> {
    client.get_all(job, event, Vec::new(), Vec::push).await
}

// ---- what is sent --------------------------------------------------------------------

#[tokio::test]
async fn a_batch_is_posted_byte_for_byte_with_its_length() {
    let server = Server::always("200 OK", "Content-Type: application/json\r\n", OK);
    let exchange = server.client().create_batch(batch()).await;
    assert_eq!(verdict(&exchange, None), Verdict::Accepted { ids: vec![Some("id-1".into())] });
    let [request] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert_eq!(request.line(), "POST /api/chemicalapplicationlocations/createbatch HTTP/1.1");
    assert_eq!(request.body, batch());
    assert_eq!(request.header("content-length"), Some(batch().len().to_string().as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("host"), Some(server.address.to_string().as_str()));
    for unwanted in ["transfer-encoding", "accept-encoding", "referer", "expect", "cookie"] {
        assert_eq!(request.header(unwanted), None, "{unwanted}");
    }
}

#[tokio::test]
async fn a_long_batch_arrives_whole() {
    let server = Server::always("200 OK", "Content-Type: application/json\r\n", OK);
    let long: Vec<u8> = (0..1 << 20).map(|n: u32| b'a' + (n % 23) as u8).collect();
    answered(server.client().create_batch(long.clone()).await);
    assert!(server.seen()[0].body == long);
}

#[tokio::test]
async fn getall_asks_by_job_and_event() {
    let list = r#"{"Success":true,"Result":[{"Id":"a","MeterRawCount":7}]}"#;
    let server = Server::always("200 OK", "Content-Type: application/json\r\n", list);
    let stored = listed(&server.client(), "job&1", "event 2").await.unwrap();
    assert_eq!(stored[0].raw, Some(7));
    let line = server.seen()[0].line().to_owned();
    let asked = "/api/chemicalapplicationlocations/getall?jobId=job%261&eventId=event+2";
    assert_eq!(line, format!("GET {asked} HTTP/1.1"));
}

#[tokio::test]
async fn a_path_in_the_base_url_is_kept() {
    let server = Server::always("200 OK", "Content-Type: application/json\r\n", OK);
    let client = client(&format!("http://{}/site/", server.address), None);
    answered(client.create_batch(batch()).await);
    assert!(server.seen()[0].line().starts_with("POST /site/api/chemicalapplicationlocations/"));
}

// ---- what comes back -----------------------------------------------------------------

#[rstest]
#[case("200 OK", "Content-Type: application/json; charset=utf-8\r\n", 200, true, None)]
#[case("200 OK", "", 200, true, None)]
#[case("200 OK", "Content-Type: text/html\r\n", 200, false, None)]
#[case(
    "429 Busy",
    "Retry-After: 7\r\n",
    429,
    true,
    Some(RetryAfter::After(Duration::from_secs(7)))
)]
#[case(
    "503 Away",
    "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    503,
    true,
    Some(RetryAfter::At(UtcMs(784_111_777_000)))
)]
#[case("302 Found", "Location: /account/login\r\nRetry-After: soon\r\n", 302, true, None)]
#[case("413 Too Large", "", 413, true, None)]
#[case("500 Oops", "Content-Type: text/html\r\n", 500, false, None)]
#[tokio::test]
async fn an_answer_is_handed_on_as_it_came(
    #[case] line: &'static str,
    #[case] headers: &'static str,
    #[case] status: u16,
    #[case] json: bool,
    #[case] retry_after: Option<RetryAfter>,
) {
    let server = Server::always(line, headers, OK);
    let answer = answered(server.client().create_batch(batch()).await);
    assert_eq!(answer, Answer { status, retry_after, json, body: OK.into() });
    assert_eq!(server.seen().len(), 1, "no redirect is followed, nothing is sent again");
}

#[tokio::test]
async fn a_chunked_answer_is_put_together() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for part in [&OK[..10], &OK[10..30], &OK[30..]] {
            peer.send(&format!("{:x}\r\n{part}\r\n", part.len()));
            thread::sleep(Duration::from_millis(20));
        }
        peer.send("0\r\n\r\n");
    });
    assert_eq!(answered(server.client().create_batch(batch()).await).body, OK.as_bytes());
}

#[tokio::test]
async fn a_server_that_refuses_before_it_has_read_is_heard() {
    let server = Server::start(|mut peer| {
        peer.head();
        peer.answer("413 Too Large", "Connection: close\r\n", "");
        peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = peer.stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(answered(server.client().create_batch(vec![b' '; 8 << 20]).await).status, 413);
}

#[tokio::test]
async fn a_refusal_counts_even_if_its_page_is_cut_off() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 9000\r\n\r\n<html>");
    });
    let answer = answered(server.client().create_batch(batch()).await);
    assert_eq!((answer.status, answer.body), (413, b"<html>".to_vec()));
}

// ---- what is lost --------------------------------------------------------------------

#[derive(Debug, Clone, Copy)]
enum Cut {
    Close,
    Reset,
    Stall,
}

impl Cut {
    /// A client with the patience that this takes.
    fn client(self, server: &Server) -> Client {
        match self {
            Self::Close | Self::Reset => server.client(),
            Self::Stall => server.hasty_client(),
        }
    }

    fn end(self, peer: Peer<TcpStream>) {
        match self {
            Self::Close => drop(peer),
            Self::Reset => peer.reset(),
            Self::Stall => thread::sleep(TIMEOUT + Duration::from_millis(50)),
        }
    }
}

#[rstest]
#[tokio::test]
async fn an_answer_that_is_cut_anywhere_is_in_doubt_and_nothing_is_sent_again(
    #[values(
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 54\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 54\r\n\r\n{\"Success\":true",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{\"Success\":true\r\n"
    )]
    so_far: &'static str,
    #[values(Cut::Close, Cut::Reset, Cut::Stall)] cut: Cut,
) {
    let server = Server::start(move |mut peer| {
        if peer.request().is_some() {
            peer.send(so_far);
            cut.end(peer);
        }
    });
    let exchange = cut.client(&server).create_batch(batch()).await;
    let as_expected = matches!(
        (&exchange, cut),
        (Exchange::Lost(Lost::Timeout), Cut::Stall)
            | (Exchange::Lost(Lost::Broken(_)), Cut::Close)
            | (Exchange::Lost(Lost::Reset | Lost::Broken(_)), Cut::Reset)
    );
    assert!(as_expected, "{exchange:?}");
    assert!(matches!(verdict(&exchange, None), Verdict::Unclear(u) if u.from_gateway_or_silence));
    assert_eq!(server.seen().len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_connection_that_ends_before_the_body_was_read_is_in_doubt(
    #[values(Cut::Close, Cut::Reset, Cut::Stall)] cut: Cut,
) {
    let server = Server::start(move |mut peer| {
        if peer.head().is_some() {
            cut.end(peer);
        }
    });
    let exchange = cut.client(&server).create_batch(vec![b' '; 4 << 20]).await;
    assert!(matches!(exchange, Exchange::Lost(_)), "{exchange:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_in_doubt() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    });
    let exchange = server.client().create_batch(batch()).await;
    assert!(matches!(exchange, Exchange::Lost(Lost::Broken(_))), "{exchange:?}");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
        let blank = vec![b' '; 1 << 20];
        while peer.stream.write_all(&blank).is_ok() {}
    });
    let client = server.client();
    let exchange = client.create_batch(batch()).await;
    assert!(matches!(exchange, Exchange::Lost(Lost::TooLong { .. })), "{exchange:?}");
    let listed = listed(&client, "j", "e").await;
    assert!(matches!(listed, Err(Unbelievable::NotAList(_))), "{listed:?}");
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_list_however_whole_it_looks() {
    let server = Server::start(|mut peer| {
        peer.request();
        let length = OK.len() + 1;
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{OK}"));
    });
    let listed = listed(&server.client(), "j", "e").await;
    assert!(matches!(listed, Err(Unbelievable::Lost(_))), "{listed:?}");
}

#[tokio::test]
async fn a_portals_page_is_no_list() {
    let server = Server::always("200 OK", "Content-Type: text/html\r\n", OK);
    let listed = listed(&server.client(), "j", "e").await;
    assert!(matches!(listed, Err(Unbelievable::NotJson)), "{listed:?}");
}

#[tokio::test]
async fn a_batch_has_one_time_limit_and_a_list_one_between_two_reads() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", OK.len()));
        for part in OK.as_bytes().chunks(OK.len().div_ceil(6)) {
            thread::sleep(Duration::from_millis(80));
            if peer.stream.write_all(part).is_err() {
                return;
            }
        }
    });
    let client = server.hasty_client();
    assert_eq!(client.create_batch(batch()).await, Exchange::Lost(Lost::Timeout));
    assert_eq!(listed(&client, "j", "e").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_that_stops_coming_is_lost() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{");
        thread::sleep(TIMEOUT + Duration::from_millis(50));
    });
    let listed = listed(&server.hasty_client(), "j", "e").await;
    assert!(matches!(listed, Err(Unbelievable::Lost(Lost::Timeout))), "{listed:?}");
}

// ---- what was never sent -------------------------------------------------------------

#[track_caller]
fn not_sent(exchange: &Exchange) -> NotSent {
    assert_eq!(verdict(exchange, None), Verdict::NotSent);
    match exchange {
        Exchange::NotSent(why, detail) => {
            assert!(!detail.is_empty() && !detail.contains("://"), "{detail}");
            *why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_closed_port_is_not_sent() {
    let client = client(&format!("http://{}", closed_port()), None);
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Refused);
    let listed = listed(&client, "j", "e").await;
    assert!(matches!(listed, Err(Unbelievable::NotAsked(NotSent::Refused))), "{listed:?}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_not_sent() {
    let name = "https://jobcloser.invalid";
    let settings = JobCloser { timeout: Duration::from_secs(2), ..tls_settings(name) };
    let client = Client::new(&settings, None, at(None)).unwrap();
    // Where no name server answers at all, time runs out first.
    let why = not_sent(&client.create_batch(batch()).await);
    assert!(matches!(why, NotSent::Dns | NotSent::Timeout), "{why:?}");
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_not_sent() {
    // A listener that accepts nobody, with its queue full, leaves the next one waiting.
    use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, listen, socket};
    let open = || socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let listener = open();
    bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&listener, 0).unwrap();
    let address: SocketAddr = getsockname(&listener).unwrap().try_into().unwrap();
    let queued = open();
    connect(&queued, &address).unwrap();
    let client = hasty(&settings(&format!("http://{address}")), None);
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Timeout);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_not_sent() {
    let server = Server::start(|peer| {
        thread::sleep(TIMEOUT + Duration::from_millis(50));
        drop(peer);
    });
    let client = hasty(&tls_settings(&format!("https://{}", server.address)), None);
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Timeout);
}

#[tokio::test]
async fn a_handshake_that_breaks_off_is_not_sent() {
    let server = Server::start(drop);
    let client = tls_client(server.address, at(TODAY));
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Unreachable);
}

#[tokio::test]
async fn a_server_without_tls_is_not_sent_anything() {
    let server = Server::start(|mut peer| peer.send("HTTP/1.1 200 OK\r\n\r\n"));
    let client = tls_client(server.address, at(TODAY));
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Tls);
}

// ---- connections that are kept -------------------------------------------------------

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::always("200 OK", "Content-Type: application/json\r\n", OK);
    let client = server.client();
    for _ in 0..3 {
        answered(client.create_batch(batch()).await);
    }
    listed(&client, "j", "e").await.unwrap();
    let connections: Vec<_> = server.seen().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_connection_that_died_while_idle_costs_no_batch_and_doubles_none() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.json(OK);
    });
    let client = server.client();
    answered(client.create_batch(b"[1]".to_vec()).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    answered(client.create_batch(b"[2]".to_vec()).await);
    let seen: Vec<_> = server.seen().into_iter().map(|r| (r.connection, r.body)).collect();
    assert_eq!(seen, [(0, b"[1]".to_vec()), (1, b"[2]".to_vec())]);
}

#[rstest]
#[tokio::test]
async fn a_batch_on_a_kept_connection_that_breaks_is_not_sent_again(
    #[values(Cut::Close, Cut::Reset)] cut: Cut,
) {
    let server = Server::start(move |mut peer| {
        peer.request();
        peer.json(OK);
        if peer.request().is_some() {
            cut.end(peer);
        }
    });
    let client = server.client();
    answered(client.create_batch(b"[1]".to_vec()).await);
    let exchange = client.create_batch(b"[2]".to_vec()).await;
    assert!(matches!(exchange, Exchange::Lost(_)), "{exchange:?}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let seen: Vec<_> = server.seen().into_iter().map(|r| (r.connection, r.body)).collect();
    assert_eq!(seen, [(0, b"[1]".to_vec()), (0, b"[2]".to_vec())]);
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_the_next_batchs() {
    let server = Server::start(|mut peer| {
        while let Some(request) = peer.request() {
            if request.body == b"[1]" {
                thread::sleep(TIMEOUT + Duration::from_millis(30));
                peer.json(OK);
            } else {
                peer.json(r#"{"Success":false,"Message":"no"}"#);
            }
        }
    });
    let client = server.hasty_client();
    assert_eq!(client.create_batch(b"[1]".to_vec()).await, Exchange::Lost(Lost::Timeout));
    let exchange = client.create_batch(b"[2]".to_vec()).await;
    assert!(matches!(verdict(&exchange, None), Verdict::Unclear(u) if u.refusal.is_some()));
}

// ---- the session ---------------------------------------------------------------------

const USER: &str =
    r#"{"Success":true,"Message":"Sucess","Result":{"Id":"user","CompanyId":"company"}}"#;

#[tokio::test]
async fn a_session_is_signed_into_kept_renewed_and_forgotten() {
    let server = Server::start(|mut peer| {
        while let Some(request) = peer.request() {
            let session = match request.line() {
                line if line.contains("/account/signin") => {
                    "Set-Cookie: s=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly\r\n"
                }
                line if line.contains("createbatch") => "Set-Cookie: s=2; Path=/\r\n",
                _ => "",
            };
            peer.answer("200 OK", session, USER);
        }
    });
    let client = server.client_with_login();
    assert!(!client.signed_in());
    let (company_id, user_id) = (Some("company".to_owned()), Some("user".to_owned()));
    assert_eq!(client.sign_in().await, SignIn::Done { company_id, user_id });
    assert!(client.signed_in());
    answered(client.create_batch(batch()).await);
    let _no_list = listed(&client, "j", "e").await;
    client.forget_session();
    assert!(!client.signed_in());
    let _no_list = listed(&client, "j", "e").await;

    let seen = server.seen();
    let query = "email=ann%2Brig%40example.com&password=p%26ss+w%3Drd%25";
    assert_eq!(seen[0].line(), format!("GET /api/account/signin?{query} HTTP/1.1"));
    let cookies: Vec<_> = seen.iter().map(|r| r.header("cookie")).collect();
    assert_eq!(cookies, [None, Some("s=1"), Some("s=2"), None]);
}

#[tokio::test]
async fn without_credentials_there_is_no_sign_in() {
    let server = Server::always("200 OK", "", USER);
    let client = server.client();
    assert!(client.signed_in());
    assert_eq!(client.sign_in().await, SignIn::NotNeeded);
    assert_eq!(server.seen(), []);
}

#[tokio::test]
async fn a_server_is_reached_whatever_it_answers() {
    let server = Server::always("404 Not Found", "", "");
    assert!(server.client().reach().await);
    assert_eq!(server.seen()[0].line(), "HEAD / HTTP/1.1");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(!client(&format!("http://{nobody}"), None).reach().await);
}

#[rstest]
#[case::wrong_password("200 OK", "", r#"{"Success":false,"Result":null}"#, SignIn::Refused)]
#[case::portal("200 OK", "Content-Type: text/html\r\n", USER, failed(200))]
#[case::redirect("302 Found", "Location: https://example.com/\r\n", USER, failed(302))]
#[case::error("500 Oops", "", USER, failed(500))]
#[case::away("503 Away", "Content-Type: text/html\r\n", "<html>", failed(503))]
#[tokio::test]
async fn only_a_user_makes_a_session(
    #[case] status: &'static str,
    #[case] headers: &'static str,
    #[case] body: &'static str,
    #[case] outcome: SignIn,
) {
    let server = Server::always(status, headers, body);
    let client = server.client_with_login();
    assert_eq!(client.sign_in().await, outcome);
    assert!(!client.signed_in());
    assert_eq!(server.seen().len(), 1);
}

fn failed(status: u16) -> SignIn {
    SignIn::Failed(SignInFailed::Answered { status, retry_after: None })
}

// ---- TLS and the clock ---------------------------------------------------------------

/// 2026-06-15, inside the test certificate's year.
const TODAY: Option<UtcMs> = Some(UtcMs(1_781_481_600_000));
/// A board without a clock that believes it is 1970.
const YEAR_1970: Option<UtcMs> = Some(UtcMs(12_345_000));
/// 2028-01-01: the certificate has expired.
const TOO_LATE: Option<UtcMs> = Some(UtcMs(1_830_297_600_000));

/// The certificate's last second, and one soon after it, in milliseconds.
const LAST_SECOND: i64 = 1_798_761_599_000;
const JUST_EXPIRED: i64 = LAST_SECOND + 10_000;

/// A root of our own, and a server certificate of 2026 for 127.0.0.1 and localhost.
struct Authority {
    _files: tempfile::TempDir,
    root_pem: PathBuf,
    server: Arc<rustls::ServerConfig>,
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let year = |params: &mut rcgen::CertificateParams| {
            params.not_before = rcgen::date_time_ymd(2026, 1, 1);
            params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        };
        let mut root = rcgen::CertificateParams::new([]).unwrap();
        year(&mut root);
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root_key = rcgen::KeyPair::generate().unwrap();
        let files = tempfile::tempdir().unwrap();
        let root_pem = files.path().join("root.pem");
        std::fs::write(&root_pem, root.self_signed(&root_key).unwrap().pem()).unwrap();

        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut leaf = rcgen::CertificateParams::new(names).unwrap();
        year(&mut leaf);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &rcgen::Issuer::new(root, root_key)).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        Authority { _files: files, root_pem, server: Arc::new(server) }
    })
}

fn tls_settings(base_url: &str) -> JobCloser {
    JobCloser { ca_file: authority().root_pem.clone(), ..settings(base_url) }
}

fn tls_client(address: SocketAddr, now: Now) -> Client {
    watch_the_logs();
    Client::new(&tls_settings(&format!("https://{address}")), Some(login()), now).unwrap()
}

/// A TLS server that answers one request a connection.
fn tls_server(address: &str) -> Server {
    let config = Arc::clone(&authority().server);
    Server::listen(address, move |peer| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let stream = rustls::StreamOwned::new(connection, peer.stream);
        let mut peer = Peer { stream, number: peer.number, seen: peer.seen };
        if peer.request().is_some() {
            peer.answer("200 OK", "Connection: close\r\n", USER);
            peer.stream.conn.send_close_notify();
            let _ = peer.stream.flush();
        }
    })
}

#[tokio::test]
async fn a_board_of_1970_connects_once_the_time_is_known() {
    let server = tls_server("127.0.0.1:0");
    let clock = Arc::new(Mutex::new(None));
    let told = Arc::clone(&clock);
    let client = tls_client(server.address, Arc::new(move || *told.lock().unwrap()));

    let exchange = client.create_batch(batch()).await;
    assert_eq!(not_sent(&exchange), NotSent::Tls);
    assert!(matches!(exchange, Exchange::NotSent(_, detail) if detail.starts_with("no time yet")));
    assert!(matches!(
        client.sign_in().await,
        SignIn::Failed(SignInFailed::NotSent(NotSent::Tls, _))
    ));

    *clock.lock().unwrap() = YEAR_1970;
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Tls);
    assert_eq!(server.seen(), []);

    *clock.lock().unwrap() = TODAY;
    assert!(matches!(client.sign_in().await, SignIn::Done { .. }));
    answered(client.create_batch(batch()).await);
    assert_eq!(server.seen().len(), 2);

    *clock.lock().unwrap() = TOO_LATE;
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Tls);
    *clock.lock().unwrap() = Some(UtcMs(-1));
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Tls);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_expired_certificate_never_passes() {
    let server = tls_server("127.0.0.1:0");
    let client = tls_client(server.address, at(TOO_LATE));
    let exchange = client.create_batch(batch()).await;
    assert_eq!(not_sent(&exchange), NotSent::Tls);
    assert!(matches!(exchange, Exchange::NotSent(_, detail) if detail.contains("expired")));
    assert_eq!(server.seen(), []);
}

#[tokio::test]
async fn a_certificate_that_expires_between_two_connections_is_noticed() {
    let server = tls_server("127.0.0.1:0");
    let clock = Arc::new(std::sync::atomic::AtomicI64::new(LAST_SECOND));
    let told = Arc::clone(&clock);
    let now = move || Some(UtcMs(told.load(std::sync::atomic::Ordering::Relaxed)));
    let client = tls_client(server.address, Arc::new(now));
    answered(client.create_batch(batch()).await);
    clock.store(JUST_EXPIRED, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(not_sent(&client.create_batch(batch()).await), NotSent::Tls);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_root_or_another_name_never_passes() {
    let server = tls_server("127.0.0.1:0");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let ca_file = files.path().join("other.pem");
    std::fs::write(&ca_file, other.cert.pem()).unwrap();
    let base_url = format!("https://{}", server.address);
    let client = Client::new(&JobCloser { ca_file, ..settings(&base_url) }, None, at(TODAY));
    assert_eq!(not_sent(&client.unwrap().create_batch(batch()).await), NotSent::Tls);

    let elsewhere = tls_server("127.0.0.2:0");
    let client = tls_client(elsewhere.address, at(TODAY));
    let exchange = client.create_batch(batch()).await;
    assert_eq!(not_sent(&exchange), NotSent::Tls);
    assert!(
        matches!(exchange, Exchange::NotSent(_, detail) if detail.contains("not valid for name"))
    );
    assert_eq!(elsewhere.seen(), []);
    assert_eq!(server.seen(), []);
}

#[test]
fn a_ca_file_that_will_not_do_is_named() {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let with = |path: &Path| {
        let settings =
            JobCloser { ca_file: path.to_owned(), ..settings("https://jobcloser.invalid") };
        Client::new(&settings, None, at(None)).map(|_| ()).unwrap_err()
    };
    let missing = files.path().join("missing.pem");
    assert!(matches!(with(&missing), ClientError::CaFile { path, .. } if path == missing));
    let empty = file("empty.pem", "not a certificate\n");
    assert!(matches!(with(&empty), ClientError::CaCertificate { source: None, .. }));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = file("broken.pem", broken);
    assert!(matches!(with(&broken), ClientError::CaCertificate { source: Some(_), .. }));
}

// ---- secrets -------------------------------------------------------------------------

/// The same in every encoding, and part of no other test's data.
const MARKER: &str = "Xq7markerZ9";

#[derive(Default)]
struct Watched {
    text: Mutex<String>,
    targets: Mutex<std::collections::BTreeSet<String>>,
}

impl Watched {
    fn take(&self, target: &str, text: &str) {
        self.targets.lock().unwrap().insert(target.to_owned());
        let mut all = self.text.lock().unwrap();
        all.push_str(text);
        all.push('\n');
    }
}

struct Watch;

fn watched() -> &'static Watched {
    static WATCHED: OnceLock<Watched> = OnceLock::new();
    WATCHED.get_or_init(Watched::default)
}

/// Everything that any library logs in this program, through `tracing` or `log`, at every
/// level.
fn watch_the_logs() {
    static WATCHING: OnceLock<()> = OnceLock::new();
    WATCHING.get_or_init(|| {
        tracing::subscriber::set_global_default(Watch).unwrap();
        log::set_logger(&Watch).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

struct Fields<'a>(&'a mut String);

impl tracing::field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl tracing::Subscriber for Watch {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut text = span.metadata().name().to_owned();
        span.record(&mut Fields(&mut text));
        watched().take(span.metadata().target(), &text);
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        let mut text = String::new();
        values.record(&mut Fields(&mut text));
        watched().take("span", &text);
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = String::new();
        event.record(&mut Fields(&mut text));
        watched().take(event.metadata().target(), &text);
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

impl log::Log for Watch {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        watched().take(record.target(), &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Servers that fail a sign-in in every way, each repeating what it was sent.
fn tellers() -> Vec<Server> {
    let echoing = |status: &'static str, headers: &'static str| {
        Server::start(move |mut peer| {
            while let Some(request) = peer.request() {
                let sent = request.line().to_owned();
                let headers = headers.replace("{sent}", &sent.replace(' ', "+"));
                let body = format!(r#"{{"Success":false,"Message":"{sent}","Result":"{sent}"}}"#);
                peer.answer(status, &headers, &body);
            }
        })
    };
    let ending = |head: &'static str, cut: Cut| {
        Server::start(move |mut peer| {
            if let Some(request) = peer.request() {
                peer.send(&head.replace("{sent}", request.line()));
                cut.end(peer);
            }
        })
    };
    let success = Server::start(|mut peer| {
        while peer.request().is_some() {
            let user = format!(r#""Id":"u","Email":"{MARKER}","Password":"{MARKER}""#);
            peer.json(&format!(r#"{{"Success":true,"Message":"{MARKER}","Result":{{{user}}}}}"#));
        }
    });
    let yes_but = |result: &'static str| {
        Server::start(move |mut peer| {
            while peer.request().is_some() {
                let result = result.replace("{sent}", MARKER);
                peer.json(&format!(r#"{{"Success":true,"Result":{result}}}"#));
            }
        })
    };
    vec![
        success,
        yes_but(r#"{"Id":{"a":"{sent}"}}"#),
        yes_but(r#"["{sent}"]"#),
        yes_but(r#"{"Id":"{sent}"#),
        echoing("200 OK", ""),
        echoing("200 OK", "Content-Type: text/html\r\n"),
        echoing("302 Found", "Location: /login?back={sent}\r\n"),
        echoing("307 Elsewhere", "Location: http://{sent}/\r\n"),
        echoing("401 No", "WWW-Authenticate: {sent}\r\nRetry-After: {sent}\r\n"),
        echoing("500 Oops", "Set-Cookie: last={sent}; Max-Age=9\r\n"),
        ending("", Cut::Close),
        ending("", Cut::Reset),
        ending("", Cut::Stall),
        ending("{sent}\r\n\r\n", Cut::Close),
        ending("HTTP/1.1 200 {sent}\r\n{sent}\r\n\r\n", Cut::Close),
        ending("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{sent}", Cut::Reset),
        ending("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{sent}", Cut::Stall),
        Server::start(drop),
    ]
}

#[tokio::test]
async fn no_failure_of_a_sign_in_tells_the_password() {
    let secret = || Login { email: format!("{MARKER}@x.com"), password: format!("{MARKER}& %") };
    let mut told = format!("{:?}", secret());
    let servers = tellers();
    let tls = tls_server("127.0.0.1:0");
    let clients = servers
        .iter()
        .map(|s| hasty(&settings(&format!("http://{}", s.address)), Some(secret())))
        .chain([
            client(&format!("http://{}", closed_port()), Some(secret())),
            client(&format!("http://{}/a b", closed_port()), Some(secret())),
        ])
        .chain([at(None), at(YEAR_1970), at(TOO_LATE), at(TODAY)].map(|now| {
            let settings = tls_settings(&format!("https://{}", tls.address));
            Client::new(&settings, Some(secret()), now).unwrap()
        }))
        .chain(servers.iter().step_by(6).map(|s| {
            let settings = tls_settings(&format!("https://{}", s.address));
            hasty(&settings, Some(secret()))
        }));
    let mut outcomes = std::collections::BTreeMap::new();
    for client in clients {
        let outcome = client.sign_in().await;
        let kind = match &outcome {
            SignIn::Done { .. } => "done",
            SignIn::NotNeeded => "not needed",
            SignIn::Refused => "refused",
            SignIn::Failed(SignInFailed::NotSent(..)) => "not sent",
            SignIn::Failed(SignInFailed::Lost(_)) => "lost",
            SignIn::Failed(SignInFailed::Answered { .. }) => "answered",
        };
        *outcomes.entry(kind).or_insert(0) += 1;
        told.push_str(&format!("{client:?} {outcome:?} {outcome:#?}\n"));
        if let SignIn::Failed(why) = &outcome {
            told.push_str(&format!("{why} {:?}\n", std::error::Error::source(why)));
        }
    }
    for kind in ["done", "refused", "not sent", "lost", "answered"] {
        assert!(outcomes.contains_key(kind), "no sign-in was {kind}: {outcomes:?}");
    }
    let asked = servers.iter().flat_map(Server::seen).filter(|r| r.head.contains(MARKER)).count();
    assert!(asked >= 17, "the password was sent only {asked} times");
    assert!(!told.contains(MARKER), "{told}");

    let logged = watched().text.lock().unwrap().clone();
    let targets = watched().targets.lock().unwrap().clone();
    assert!(targets.iter().any(|t| t.starts_with("hyper_util")), "the logs aren't watched");
    assert!(targets.iter().any(|t| t.starts_with("reqwest")), "the logs aren't watched");
    let leak = logged.lines().find(|line| line.contains(MARKER));
    assert_eq!(leak, None);
    let loud: Vec<_> = targets
        .iter()
        .filter(|target| {
            let top = target.split("::").next().unwrap();
            // The runtime's poller sees no bytes.
            !["spraylog", "mio"].contains(&top) && !QUIET_TARGETS.contains(&top)
        })
        .collect();
    assert!(loud.is_empty(), "not among the quiet targets: {loud:?}");
}
