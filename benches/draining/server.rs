//! The least of a server that an agent can drain to, and settle with: it signs anybody in,
//! keeps every record under an id, answers with the ids, and lists what it has of a job. One
//! thread a connection. It may wait before it answers a batch, as a server far away does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running server; it ends with the bench.
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

/// What came in.
#[derive(Default)]
struct Kept {
    records: Vec<Value>,
    bodies: Vec<Vec<u8>>,
    /// When the first batch had come, and when the last was answered.
    span: Option<(Instant, Instant)>,
}

impl Server {
    /// Starts one that waits so long before it answers a batch.
    pub fn start(latency: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let all = Arc::clone(&kept);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&all);
                thread::spawn(move || serve(stream, latency, &kept));
            }
        });
        Self { addr, kept }
    }

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.kept.lock().unwrap().records.len()
    }

    /// From the first batch to the answer to the last, in seconds.
    pub fn took(&self) -> f64 {
        let (first, last) = self.kept.lock().unwrap().span.unwrap();
        (last - first).as_secs_f64()
    }

    /// Every batch as it came.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().bodies.clone()
    }
}

fn serve(stream: TcpStream, latency: Duration, kept: &Mutex<Kept>) {
    stream.set_nodelay(true).unwrap();
    let mut from = BufReader::with_capacity(128 << 10, stream.try_clone().unwrap());
    let mut to = stream;
    while let Some((line, length)) = head(&mut from) {
        let mut body = vec![0; length];
        from.read_exact(&mut body).unwrap();
        let target = line.split(' ').nth(1).unwrap_or_default();
        let answer = match target.split('?').next().unwrap_or_default() {
            "/api/account/signin" => success(&json!({ "Id": "1", "CompanyId": "1" })),
            "/api/chemicalapplicationlocations/createbatch" => {
                let come = Instant::now();
                thread::sleep(latency);
                success(&store(body, come, &mut kept.lock().unwrap()))
            }
            "/api/chemicalapplicationlocations/getall" => {
                success(&list(target, &kept.lock().unwrap()))
            }
            _ => success(&Value::Null),
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        if to.write_all(format!("{head} {}\r\n\r\n{answer}", answer.len()).as_bytes()).is_err() {
            return;
        }
        if target.ends_with("/createbatch") {
            let mut kept = kept.lock().unwrap();
            kept.span = kept.span.map(|(first, _)| (first, Instant::now()));
        }
    }
}

/// The request's line, and how many bytes of body follow.
fn head(from: &mut impl BufRead) -> Option<(String, usize)> {
    let (mut first, mut length, mut line) = (String::new(), 0, String::new());
    from.read_line(&mut first).ok().filter(|read| *read > 0)?;
    while from.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    Some((first, length))
}

fn success(result: &Value) -> String {
    format!("{{\"Success\":true,\"Message\":\"Success\",\"Result\":{result}}}")
}

fn store(body: Vec<u8>, come: Instant, kept: &mut Kept) -> Value {
    let rows: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let mut ids = Vec::with_capacity(rows.len());
    for mut row in rows {
        let id = json!(format!("{:030x}", kept.records.len() + 1));
        row["Id"] = id.clone();
        ids.push(id);
        kept.records.push(row);
    }
    kept.bodies.push(body);
    let (first, _) = *kept.span.get_or_insert((come, come));
    kept.span = Some((first, Instant::now()));
    Value::Array(ids)
}

fn list(target: &str, kept: &Kept) -> Value {
    let of = |row: &&Value| target.contains(row["JobId"].as_str().unwrap_or("?"));
    kept.records.iter().filter(of).cloned().collect()
}
