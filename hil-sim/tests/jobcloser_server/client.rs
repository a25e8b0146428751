//! A raw HTTP/1.1 client: one connection a request, cookies kept, the bytes as they came.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hil_sim::jobcloser::{Behaviour, Options, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const EVENT: &str = "5739034294cb31984da90d447dae11";
pub const JOB: &str = "49992697792b29c083a546475c8478";
pub const LOCATIONS: &str = "/api/chemicalapplicationlocations";

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Answer(Answer),
    /// Connected, and closed without a byte.
    NoAnswer,
    /// Nobody listens.
    Refused,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

pub struct Client {
    addr: SocketAddr,
    pub cookies: Vec<String>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn result(&self) -> Value {
        let json = self.json();
        assert_eq!((self.status, &json["Success"]), (200, &json!(true)), "{self:?}");
        json["Result"].clone()
    }

    pub fn refusal(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!((&json["Success"], &json["Result"]), (&json!(false), &Value::Null));
        (self.status, json["Message"].as_str().unwrap().to_owned())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Seen {
    pub fn answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }
}

impl Client {
    pub fn new(server: &Server) -> Self {
        Self { addr: server.addr(), cookies: Vec::new() }
    }

    pub async fn signed_in(server: &Server) -> Self {
        let mut client = Self::new(server);
        client.sign_in("demo@jobcloser.com", "password").await.result();
        client
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        let path = format!("/api/account/signin?email={email}&password={password}");
        let answer = self.get(&path).await.answer();
        let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        let cookies = cookies.map(|(_, value)| value.split(';').next().unwrap().to_owned());
        self.cookies = cookies.collect();
        answer
    }

    pub async fn get(&self, path: &str) -> Seen {
        self.send("GET", path, None).await
    }

    pub async fn batch(&self, records: &[Value]) -> Seen {
        self.post("/createbatch", &json!(records)).await
    }

    pub async fn post(&self, call: &str, body: &Value) -> Seen {
        self.send("POST", &format!("{LOCATIONS}{call}"), Some(&body.to_string())).await
    }

    pub async fn all(&self) -> Answer {
        self.get(&format!("{LOCATIONS}/getall?jobId={JOB}&eventId={EVENT}")).await.answer()
    }

    pub async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Seen {
        self.send_as("application/json", method, path, body).await
    }

    /// The head of a batch and half of its body; then the client is gone.
    pub async fn send_half(&self, body: &str) {
        let cookies = self.cookies.join("; ");
        let half = &body[..body.len() / 2];
        let request = format!(
            "POST {LOCATIONS}/createbatch HTTP/1.1\r\nHost: bench\r\nCookie: {cookies}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{half}",
            body.len(),
        );
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }

    pub async fn send_as(&self, media: &str, method: &str, path: &str, body: Option<&str>) -> Seen {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n");
        if !self.cookies.is_empty() {
            head += &format!("Cookie: {}\r\n", self.cookies.join("; "));
        }
        if let Some(body) = body {
            head += &format!("Content-Type: {media}\r\nContent-Length: {}\r\n", body.len());
        }
        let Ok(mut stream) = TcpStream::connect(self.addr).await else {
            return Seen::Refused;
        };
        let request = format!("{head}\r\n{}", body.unwrap_or_default());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A connection that is cut may end in a reset; what had come by then counts.
        let _ = stream.read_to_end(&mut bytes).await;
        if bytes.is_empty() { Seen::NoAnswer } else { Seen::Answer(parse(&bytes)) }
    }
}

/// A server with that behaviour, and a client that is signed in to it.
pub async fn bench(behaviour: Behaviour) -> (Server, Client) {
    let server = Server::start(Options { behaviour, ..Options::default() }).await.unwrap();
    let client = Client::signed_in(&server).await;
    (server, client)
}

/// Waits for something the server is about to do.
pub async fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A record as on the page; count and second are its key.
pub fn record(count: u32) -> Value {
    json!({
        "EventId": EVENT,
        "JobId": JOB,
        "ApplicationDate": format!("2026-11-02T10:16:{:02}-05:00", count % 60),
        "Latitude": "33.5116331",
        "Longitude": "-86.8965344",
        "MeterSerialNumber": "AF23265",
        "MeterRawCount": count,
        "MeterCurrentRate": 4.25,
        "MeterCalculatedFlowTotal": 5.5,
        "MeterRawCountsToZero": 0,
        "TemperatureOfFluid": 76.8,
        "AmbientTemperature": 71.55,
        "BatteryStatusInPercent": 86,
        "BatteryStatusInEstimatedRunTime": 1350,
        "Note": format!("#AAAAA-{count}"),
        "DeviceName": "rig-7",
        "CalibrationFactor": 126.7,
    })
}

pub fn records(counts: std::ops::Range<u32>) -> Vec<Value> {
    counts.map(record).collect()
}

/// The raw counts at the server, in its order.
pub fn counts(server: &Server) -> Vec<i64> {
    let count = |stored: &hil_sim::jobcloser::StoredRecord| {
        stored.fields["MeterRawCount"].as_i64().unwrap()
    };
    server.records().iter().map(count).collect()
}

fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let answer = Answer { status, headers, body: body.to_owned() };
    let length = answer.header("content-length").unwrap().parse::<usize>().unwrap();
    assert_eq!(body.len(), length, "a torn answer");
    answer
}
