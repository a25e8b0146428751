//! A flow meter on Modbus RTU that can be made to fail in every way that the line knows:
//! written from the specification, apart from the agent and with a CRC of its own. Knows no
//! agent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// Says nothing.
    Mute,
    /// Its answers lack their last bytes.
    Short,
    /// Another unit answers.
    OtherUnit,
    /// To another function.
    OtherFunction,
    /// With a register too many.
    OtherLength,
    /// With a bit that fell over.
    Damaged,
    /// It refuses: busy.
    Busy,
    /// It answers after this time.
    Late(Duration),
    /// The line gives back what is sent on it.
    Echo,
    /// A second answer follows the first.
    Twice,
}

/// Holding and input registers by function and address, and those that it never answers for.
#[derive(Debug, Default)]
struct State {
    registers: BTreeMap<(u8, u16), u16>,
    mute: Vec<u16>,
    mood: Option<Mood>,
    asked: Vec<[u8; 8]>,
}

/// The meter, at unit 7 on a pseudoterminal.
pub struct Slave {
    link: PathBuf,
    state: Arc<Mutex<State>>,
    gone: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Slave {
    /// Under that name.
    pub fn plugged(link: &Path) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let number = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        std::os::unix::fs::symlink(number, link).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let gone = Arc::new(AtomicBool::new(false));
        let (its_state, is_gone) = (Arc::clone(&state), Arc::clone(&gone));
        rustix::fs::fcntl_setfl(&master, rustix::fs::OFlags::NONBLOCK).unwrap();
        let thread = std::thread::spawn(move || serve(File::from(master), &its_state, &is_gone));
        Self { link: link.to_owned(), state, gone, thread: Some(thread) }
    }

    /// From now on.
    pub fn be(&self, mood: Mood) {
        self.state.lock().unwrap().mood = Some(mood);
    }

    /// Puts words into registers of a function's table.
    pub fn set(&self, function: u8, first: u16, words: &[u16]) {
        let mut state = self.state.lock().unwrap();
        for (address, word) in (first..).zip(words) {
            state.registers.insert((function, address), *word);
        }
    }

    /// Never answers for that register.
    pub fn never_tell(&self, register: u16) {
        self.state.lock().unwrap().mute.push(register);
    }

    /// Function, first register and count of every request so far.
    pub fn asked(&self) -> Vec<(u8, u16, u16)> {
        let two = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
        let state = self.state.lock().unwrap();
        state.asked.iter().map(|r| (r[1], two(&r[2..4]), two(&r[4..6]))).collect()
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        let _ = std::fs::remove_file(&self.link);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut line: File, state: &Mutex<State>, gone: &AtomicBool) {
    let mut heard = Vec::new();
    let mut buffer = [0; 256];
    while !gone.load(Ordering::Relaxed) {
        // Nobody has it open, or nobody says anything.
        let Ok(n) = line.read(&mut buffer) else {
            sleep(Duration::from_millis(2));
            continue;
        };
        heard.extend_from_slice(&buffer[..n]);
        while heard.len() >= 8 {
            let request: [u8; 8] = heard[..8].try_into().unwrap();
            if crc(&request[..6]) != request[6..] {
                heard.remove(0);
                continue;
            }
            heard.drain(..8);
            answer(&mut line, &request, state);
        }
    }
}

fn answer(line: &mut File, request: &[u8; 8], state: &Mutex<State>) {
    let (mood, right) = {
        let mut state = state.lock().unwrap();
        state.asked.push(*request);
        (state.mood.unwrap_or(Mood::Well), right(request, &state))
    };
    let Some(body) = right.filter(|_| mood != Mood::Mute) else { return };
    let mut other = body.clone();
    match mood {
        Mood::OtherUnit => other[0] += 1,
        Mood::OtherFunction => other[1] ^= 7,
        Mood::OtherLength => {
            other[2] += 2;
            other.extend([0, 9]);
        }
        Mood::Busy => other = vec![body[0], body[1] | 0x80, 6],
        _ => {}
    }
    let mut frame = [other.as_slice(), &crc(&other)].concat();
    match mood {
        Mood::Short => frame.truncate(frame.len() - 3),
        Mood::Damaged => frame[4] ^= 0x10,
        Mood::Late(by) => sleep(by),
        Mood::Echo => frame = [request.as_slice(), &frame].concat(),
        Mood::Twice => frame = [frame.clone(), frame].concat(),
        _ => {}
    }
    let _ = line.write_all(&frame);
}

/// What a well meter answers, without its CRC.
fn right(request: &[u8; 8], state: &State) -> Option<Vec<u8>> {
    let (function, first) = (request[1], u16::from_be_bytes([request[2], request[3]]));
    let count = u16::from_be_bytes([request[4], request[5]]);
    let asked = first..first + count;
    if request[0] != 7 || state.mute.iter().any(|mute| asked.contains(mute)) {
        return None;
    }
    let mut body = vec![7, function, 2 * count as u8];
    for address in asked {
        match state.registers.get(&(function, address)) {
            Some(word) => body.extend(word.to_be_bytes()),
            None => return Some(vec![7, function | 0x80, 2]),
        }
    }
    Some(body)
}

/// Low byte first, as on the line.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xFFFF_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            let odd = crc & 1 == 1;
            crc >>= 1;
            if odd {
                crc ^= 0xA001;
            }
        }
    }
    crc.to_le_bytes()
}
