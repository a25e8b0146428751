//! Recordings through the ptys: a receiver's log with its dates moved to now, a meter's
//! capture line by line, at their own pace or faster. Each begins when its port is first
//! opened, so that a reader that comes late misses nothing. Knows no truth and no judge.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::RigClock;
use crate::pty::{Pty, PtyError, Written};
use crate::recording::{Recording, RecordingError};

/// How often a port without a reader, or a reader that does not drain, is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a port stays after its last byte, so that the reader gets it.
const STAY: Duration = Duration::from_millis(500);

/// Why recordings can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A recording can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The recording.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no receiver's log.
    #[error("can't replay {}", path.display())]
    Recording {
        /// The recording.
        path: PathBuf,
        /// Why.
        source: RecordingError,
    },
    /// The directory for the names can't be made.
    #[error("can't make the directory {} for the ports' names", dir.display())]
    LinkDir {
        /// Its path.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No port.
    #[error(transparent)]
    Pty(#[from] PtyError),
}

/// What is replayed, and how fast.
#[derive(Debug, Clone)]
pub struct Replay {
    /// A receiver's log.
    pub gps: Option<PathBuf>,
    /// A meter's capture.
    pub meter: Option<PathBuf>,
    /// Where the stable names `meter` and `gps` are made.
    pub link_dir: PathBuf,
    /// How many times as fast as it was; above 0.
    pub speed: f64,
    /// Lines of the meter a second, at its own pace: a capture has no times.
    pub lines_per_s: f64,
}

/// A piece of a recording and when it is due, in milliseconds from the beginning.
type Due = (i64, Vec<u8>);

impl Replay {
    /// Replays until both are through.
    ///
    /// # Errors
    /// Where a recording or a port can't be had.
    pub async fn run(self) -> Result<(), ReplayError> {
        std::fs::create_dir_all(&self.link_dir)
            .map_err(|source| ReplayError::LinkDir { dir: self.link_dir.clone(), source })?;
        let gps = self.gps.as_deref().map(read_gps).transpose()?;
        let meter = self.meter.as_deref().map(read).transpose()?;
        let gps_port = gps.as_ref().map(|_| Pty::plug_new(&self.link_dir.join("gps")));
        let meter_port = meter.as_ref().map(|_| Pty::plug_new(&self.link_dir.join("meter")));
        let speed = self.speed;
        let gps = async {
            if let (Some(recording), Some(port)) = (gps, gps_port.transpose()?) {
                play(port, speed, || gps_pieces(&recording, RigClock::start().now_ms())).await?;
            }
            Ok::<(), ReplayError>(())
        };
        let meter = async {
            if let (Some(bytes), Some(port)) = (meter, meter_port.transpose()?) {
                play(port, speed, || meter_pieces(&bytes, self.lines_per_s)).await?;
            }
            Ok(())
        };
        tokio::try_join!(gps, meter).map(|_| ())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ReplayError> {
    std::fs::read(path).map_err(|source| ReplayError::Read { path: path.to_owned(), source })
}

fn read_gps(path: &Path) -> Result<Recording, ReplayError> {
    Recording::read(&read(path)?)
        .map_err(|source| ReplayError::Recording { path: path.to_owned(), source })
}

fn gps_pieces(recording: &Recording, now_ms: i64) -> Vec<Due> {
    let start = recording.start_from(now_ms);
    (0..recording.bursts())
        .filter_map(|nth| recording.moved(nth, start))
        .map(|moved| (moved.epoch_ms - now_ms, moved.bytes))
        .collect()
}

fn meter_pieces(bytes: &[u8], lines_per_s: f64) -> Vec<Due> {
    let period_ms = 1000.0 / lines_per_s;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.map(|(nth, line)| ((nth as f64 * period_ms) as i64, line.to_vec())).collect()
}

/// Waits for a reader, then says each piece when it is due.
async fn play(
    mut port: Pty,
    speed: f64,
    pieces: impl FnOnce() -> Vec<Due>,
) -> Result<(), ReplayError> {
    while !port.look()? {
        sleep(LOOK_EVERY * 10).await;
    }
    let begun = Instant::now();
    for (due_ms, bytes) in pieces() {
        let after = due_ms.max(0) as f64 / 1000.0 / speed;
        sleep_until(begun + Duration::from_secs_f64(after)).await;
        say_all(&mut port, &bytes).await?;
    }
    sleep(STAY).await;
    Ok(())
}

/// A recording waits for a slow reader: none of it is to be lost on our side. Without a
/// reader it goes on, as a receiver would.
async fn say_all(port: &mut Pty, mut bytes: &[u8]) -> Result<(), ReplayError> {
    while let Written::Cut(left) = port.write(bytes)? {
        bytes = bytes.get(bytes.len() - left..).unwrap_or_default();
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmea::sentence;
    use std::io::Read;

    fn read_to_end(link: PathBuf) -> Vec<u8> {
        let begun = std::time::Instant::now();
        let mut port = loop {
            match std::fs::File::open(&link) {
                Ok(port) => break port,
                Err(err) if begun.elapsed() > Duration::from_secs(5) => panic!("{err}"),
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        };
        let mut got = Vec::new();
        // Ends with EIO or 0 once the replay is over.
        let _ = port.read_to_end(&mut got);
        got
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_late_reader_gets_all_of_both_recordings() {
        let dir = tempfile::tempdir().unwrap();
        let gga = |s: u32| sentence(&format!("GPGGA,0000{s:02}.000,,,,,0,00,,,M,0.0,M,,0000"));
        let (gps, meter) = (dir.path().join("gps.log"), dir.path().join("meter.log"));
        let log: String = (0..40).map(gga).collect();
        std::fs::write(&gps, format!("# head\n{log}")).unwrap();
        let capture = "$FLOW,A,0,1,,,,,*00\r\n".repeat(900) + "torn";
        std::fs::write(&meter, &capture).unwrap();
        let replay = Replay {
            gps: Some(gps),
            meter: Some(meter),
            link_dir: dir.path().join("ports"),
            speed: 1000.0,
            lines_per_s: 1.0,
        };
        let ports = replay.link_dir.clone();
        let reader = |name: &str| {
            let link = ports.join(name);
            tokio::task::spawn_blocking(move || read_to_end(link))
        };
        let (heard_gps, heard_meter) = (reader("gps"), reader("meter"));
        replay.run().await.unwrap();
        assert_eq!(heard_gps.await.unwrap().len(), log.len());
        assert_eq!(heard_meter.await.unwrap(), capture.as_bytes());
    }

    #[tokio::test]
    async fn a_missing_recording_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let replay = Replay {
            gps: Some("/nowhere/gps.log".into()),
            meter: None,
            link_dir: dir.path().to_owned(),
            speed: 1.0,
            lines_per_s: 1.0,
        };
        let err = replay.run().await.unwrap_err();
        assert!(err.to_string().contains("/nowhere/gps.log"), "{err}");
    }
}
