//! One serial port in the hand: held alone, its modem lines left in peace, gone at once
//! when the device goes, and not troubled for being silent.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};
use spraylog::config::{Framing, Parity};
use spraylog::port::{Event, Port, Settings};
use tokio::time::{Instant, timeout};

/// A device that can be plugged in and out under a stable name.
struct Device {
    dir: tempfile::TempDir,
    master: Option<OwnedFd>,
    number: PathBuf,
}

impl Device {
    fn plugged() -> Self {
        let mut device =
            Self { dir: tempfile::tempdir().unwrap(), master: None, number: PathBuf::new() };
        device.plug();
        device
    }

    fn name(&self) -> PathBuf {
        self.dir.path().join("meter")
    }

    fn plug(&mut self) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let number = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        std::os::unix::fs::symlink(&number, self.name()).unwrap();
        (self.master, self.number) = (Some(master), number.into());
    }

    fn unplug(&mut self) {
        std::fs::remove_file(self.name()).unwrap();
        self.master = None;
    }

    /// What the terminal is set to; asked at the far end, which is the same terminal.
    fn modes(&self) -> ControlModes {
        tcgetattr(self.master.as_ref().unwrap()).unwrap().control_modes
    }

    fn says(&self, bytes: &[u8]) {
        let mut file = File::from(self.master.as_ref().unwrap().try_clone().unwrap());
        file.write_all(bytes).unwrap();
    }
}

fn port(name: &Path) -> Port {
    let framing = Framing { data_bits: 8, parity: Parity::None, stop_bits: 1 };
    Port::new(Settings { path: name.to_owned(), baud: 9600, framing })
}

async fn next(port: &mut Port) -> Event {
    port.next(&mut [0; 64]).await
}

/// The next event, with the clock standing still until it comes. A paused clock moves on to
/// the next deadline as soon as nothing is left to do, and a byte that a busy kernel has not
/// handed over yet is nothing to do; it never moves while a blocking task runs.
async fn next_at_once(port: &mut Port) -> Event {
    let (over, until_over) = std::sync::mpsc::channel::<()>();
    let still = tokio::task::spawn_blocking(move || until_over.recv());
    let event = next(port).await;
    drop(over);
    still.await.unwrap().unwrap_err();
    event
}

/// Whether this process has the device open.
fn is_held(number: &Path) -> bool {
    let held = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    held.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|path| path.starts_with(number))
}

#[tokio::test]
async fn a_port_is_held_alone_and_a_second_one_waits_until_it_is_free() {
    let device = Device::plugged();
    let (mut first, mut second) = (port(&device.name()), port(&device.name()));
    assert!(matches!(next(&mut first).await, Event::Opened));
    assert!(timeout(Duration::from_millis(300), next(&mut second)).await.is_err());
    let problem = second.health().problem.clone().unwrap();
    assert!(problem.contains("meter") && problem.contains("does nobody else hold it"), "{problem}");
    drop(first);
    assert!(matches!(next(&mut second).await, Event::Opened));
}

#[tokio::test]
async fn a_port_that_was_shut_is_free_and_keeps_nothing_of_what_came_meanwhile() {
    let device = Device::plugged();
    let mut port = port(&device.name());
    assert!(matches!(next(&mut port).await, Event::Opened));
    port.shut();
    assert!(!is_held(&device.number) && !port.health().open);
    device.says(b"an hour ago");
    assert!(matches!(next(&mut port).await, Event::Opened));
    device.says(b"now");
    assert!(matches!(next(&mut port).await, Event::Bytes(3)));
}

#[tokio::test]
async fn what_came_before_a_question_is_not_its_answer() {
    let device = Device::plugged();
    let mut port = port(&device.name());
    assert!(matches!(next(&mut port).await, Event::Opened));
    device.says(b"late");
    assert!(port.ask(b"how much?").await);
    let mut asked = [0; 9];
    let mut far = File::from(device.master.as_ref().unwrap().try_clone().unwrap());
    far.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"how much?");
    device.says(b"12");
    assert!(matches!(next(&mut port).await, Event::Bytes(2)));
}

#[tokio::test]
async fn a_question_to_a_device_that_is_gone_loses_the_port_and_nothing_else() {
    let mut device = Device::plugged();
    let mut port = port(&device.name());
    assert!(!port.ask(b"?").await, "not open yet");
    assert!(matches!(next(&mut port).await, Event::Opened));
    device.unplug();
    assert!(!port.ask(b"?").await || matches!(next(&mut port).await, Event::Lost));
    assert!(!port.health().open && port.health().lost == 1);
    device.plug();
    assert!(matches!(next(&mut port).await, Event::Opened));
}

#[tokio::test]
async fn closing_a_port_leaves_dtr_up_so_that_a_meter_is_not_reset() {
    let device = Device::plugged();
    let master = device.master.as_ref().unwrap();
    let mut terminal = tcgetattr(master).unwrap();
    terminal.control_modes |= ControlModes::HUPCL;
    tcsetattr(master, OptionalActions::Now, &terminal).unwrap();
    assert!(device.modes().contains(ControlModes::HUPCL));
    let mut port = port(&device.name());
    assert!(matches!(next(&mut port).await, Event::Opened));
    assert!(!device.modes().contains(ControlModes::HUPCL));
}

#[tokio::test]
async fn a_device_that_goes_is_let_go_at_once_told_once_and_taken_up_within_2_s() {
    let mut device = Device::plugged();
    let mut port = port(&device.name());
    assert!(matches!(next(&mut port).await, Event::Opened));
    device.says(b"12");
    assert!(matches!(next(&mut port).await, Event::Bytes(2)));
    let gone = device.number.clone();
    assert!(is_held(&gone));

    device.unplug();
    assert!(matches!(next(&mut port).await, Event::Lost));
    assert!(!is_held(&gone), "while it is held, the device can't have its name back");
    assert!(!port.health().open);
    // Nothing to do but wait: no further event.
    assert!(timeout(Duration::from_millis(2500), next(&mut port)).await.is_err());
    assert!(port.health().problem.as_ref().unwrap().contains("is it plugged in"));
    assert_eq!((port.health().opened, port.health().lost), (1, 1));

    device.plug();
    let back = Instant::now();
    assert!(matches!(next(&mut port).await, Event::Opened));
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    device.says(b"345");
    assert!(matches!(next(&mut port).await, Event::Bytes(3)));
    assert_eq!((port.health().opened, port.health().problem.clone()), (2, None));
}

#[tokio::test(start_paused = true)]
async fn silence_alone_opens_a_port_anew_only_after_30_s_and_then_ever_more_rarely() {
    let device = Device::plugged();
    let mut port = port(&device.name());
    let mut waited = Vec::new();
    for _ in 0..7 {
        assert!(matches!(next(&mut port).await, Event::Opened));
        let opened = Instant::now();
        assert!(matches!(next(&mut port).await, Event::Lost));
        waited.push(opened.elapsed().as_secs());
    }
    assert_eq!(waited, [30, 60, 120, 240, 480, 600, 600]);
    let problem = port.health().problem.clone().unwrap();
    assert!(problem.contains("silent for 600 s"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_a_sign_of_life_readable_or_not() {
    let device = Device::plugged();
    let mut port = port(&device.name());
    assert!(matches!(next(&mut port).await, Event::Opened));
    for byte in [b"\xff", b"\x00", b"\n"] {
        tokio::time::advance(Duration::from_secs(29)).await;
        device.says(byte);
        assert!(matches!(next_at_once(&mut port).await, Event::Bytes(1)));
    }
    let heard = Instant::now();
    assert!(matches!(next(&mut port).await, Event::Lost));
    assert_eq!(heard.elapsed().as_secs(), 30);
}
