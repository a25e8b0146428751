//! A gpsd that can be made to fail in ways that the real one seldom does. Reads the rig's
//! receiver at its pty and says what it hears in gpsd's words: written from gpsd_json(5),
//! apart from the agent. Knows no agent.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

const DEVICE: &str = "/dev/ttyFAKE";

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As gpsd does.
    Well,
    /// Takes connections, and neither says nor answers anything.
    Hung,
    /// Takes connections and breaks off in mid-line.
    Torn,
    /// Its receiver is gone: it answers, and has nothing to report.
    NoDevice,
    /// Reports the same fix for ever.
    Frozen,
    /// Puts garbage and endless lines between its reports.
    Noisy,
}

/// The server. Its port stays its own while it is away.
pub struct Fake {
    pub address: String,
    mood: watch::Sender<Mood>,
    reports: broadcast::Sender<String>,
    serving: Option<JoinHandle<()>>,
}

impl Fake {
    /// One whose address is known before there is a receiver to read.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (mood, _) = watch::channel(Mood::Well);
        let (reports, _) = broadcast::channel(64);
        let mut fake = Self { address, mood, reports, serving: None };
        fake.serve(listener);
        fake
    }

    /// Reads a receiver until it is unplugged.
    pub fn read(&self, port: &Path) {
        let options = File::options().read(true).custom_flags(no_terminal()).open(port);
        let (file, reports) = (options.unwrap(), self.reports.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                if let Some(tpv) = tpv(&line) {
                    let _ = reports.send(tpv);
                }
            }
        });
    }

    /// Another mood, from now on.
    pub fn be(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Nobody listens any more.
    pub async fn leave(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// It is there again.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(&self.address).await.unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (mood, reports) = (self.mood.subscribe(), self.reports.clone());
        self.serving = Some(tokio::spawn(async move {
            // Dropped, and with it every connection, where this task is aborted.
            let mut clients = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                clients.spawn(client(stream, mood.clone(), reports.subscribe()));
            }
        }));
    }
}

/// The receiver isn't to become this process's terminal.
fn no_terminal() -> i32 {
    rustix::fs::OFlags::NOCTTY.bits().cast_signed()
}

async fn client(
    mut stream: TcpStream,
    mood: watch::Receiver<Mood>,
    mut reports: broadcast::Receiver<String>,
) -> std::io::Result<()> {
    let now = || *mood.borrow();
    if now() != Mood::Hung {
        stream
            .write_all(b"{\"class\":\"VERSION\",\"release\":\"fake\",\"proto_major\":3}\r\n")
            .await?;
    }
    let (mut last, mut buffer) = (String::new(), [0; 256]);
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => {
                if read? == 0 {
                    return Ok(());
                }
                if now() != Mood::Hung {
                    stream.write_all(devices(now()).as_bytes()).await?;
                }
            }
            Ok(tpv) = reports.recv() => match now() {
                Mood::Hung => {}
                Mood::NoDevice => {
                    let gone = format!("{{\"class\":\"DEVICE\",\"path\":\"{DEVICE}\",\"activated\":0}}\r\n");
                    if !last.is_empty() {
                        stream.write_all(gone.as_bytes()).await?;
                    }
                    last.clear();
                }
                Mood::Torn => {
                    stream.write_all(tpv.as_bytes().split_at(tpv.len() / 2).0).await?;
                    return Ok(());
                }
                Mood::Frozen if !last.is_empty() => stream.write_all(last.as_bytes()).await?,
                mood @ (Mood::Well | Mood::Frozen | Mood::Noisy) => {
                    if mood == Mood::Noisy {
                        let endless = vec![b'['; 100_000];
                        stream.write_all(b"\xff\0{\"class\":\"TPV\",\"mode\":9e999}\n").await?;
                        stream.write_all(&endless).await?;
                        stream.write_all(b"\n").await?;
                    }
                    if last.is_empty() {
                        stream.write_all(devices(mood).as_bytes()).await?;
                    }
                    stream.write_all(sky().as_bytes()).await?;
                    stream.write_all(tpv.as_bytes()).await?;
                    last = tpv;
                }
            },
            () = tokio::time::sleep(Duration::from_secs(60)) => return Ok(()),
        }
    }
}

fn devices(mood: Mood) -> String {
    let known = match mood {
        Mood::NoDevice => String::new(),
        _ => format!(
            "{{\"class\":\"DEVICE\",\"path\":\"{DEVICE}\",\"driver\":\"NMEA0183\",\"activated\":\"2026-11-25T14:19:10.414Z\"}}"
        ),
    };
    format!("{{\"class\":\"DEVICES\",\"devices\":[{known}]}}\r\n")
}

fn sky() -> String {
    format!(
        "{{\"class\":\"SKY\",\"device\":\"{DEVICE}\",\"hdop\":0.8,\"nSat\":12,\"uSat\":12}}\r\n"
    )
}

/// What gpsd says of an RMC.
fn tpv(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.strip_prefix("$GNRMC,")?.split(',').collect();
    let [time, valid, lat, ns, lon, ew, _, _, date, ..] = fields.as_slice() else { return None };
    if *valid != "A" {
        return Some(format!("{{\"class\":\"TPV\",\"device\":\"{DEVICE}\",\"mode\":1}}\r\n"));
    }
    let degrees = |text: &str, digits: usize, minus: bool| {
        let (whole, minutes) = text.split_at_checked(digits)?;
        let value = whole.parse::<f64>().ok()? + minutes.parse::<f64>().ok()? / 60.0;
        Some(if minus { -value } else { value })
    };
    let (lat, lon) = (degrees(lat, 2, *ns == "S")?, degrees(lon, 3, *ew == "W")?);
    let two = |text: &str, at: usize| text.get(at..at + 2).map(str::to_owned);
    let date = format!("20{}-{}-{}", two(date, 4)?, two(date, 2)?, two(date, 0)?);
    let time = format!("{}:{}:{}", two(time, 0)?, two(time, 2)?, time.get(4..)?);
    Some(format!(
        "{{\"class\":\"TPV\",\"device\":\"{DEVICE}\",\"mode\":3,\"time\":\"{date}T{time}Z\",\
         \"ept\":0.005,\"lat\":{lat:.9},\"lon\":{lon:.9}}}\r\n"
    ))
}
