//! Field scenarios: the real agent binary between ptys and HTTP, a rig and a server that
//! share no code with it, and a judge who knows what was really metered (`hil-sim`).
//!
//! Each reads as a timeline and ends with the judge's verdict. They know the agent only
//! from outside, but for `ports`, which holds one serial port in its hands. Mostly they
//! wait, so they run well side by side: `make test` runs ten at a time.
//!
//! What needs another boot or clock, or cuts the power at a place inside the agent, needs
//! `--features testhooks` and says aloud that it is skipped without it. `HIL_SIM_KEEP=1`
//! leaves each agent's directory and log behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod bench;
mod canary;
mod chaos;
mod check;
mod cli;
mod counts;
mod crash;
mod damage;
mod delivery;
mod delivery_answers;
mod delivery_refused;
mod delivery_stop;
mod disk;
mod doors;
mod failing_disk;
mod files;
mod gps;
mod gpsd;
mod jobs;
mod load;
mod look;
mod modbus;
mod ports;
mod power;
mod road;
mod scenarios;
mod settling;
mod stop;
mod taken_out;
mod time;
mod unplug;
mod verify;
mod verify_by_hand;
mod waking;
