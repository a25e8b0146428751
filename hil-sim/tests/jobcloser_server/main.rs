//! The simulated JobCloser as a raw client sees it: bytes on a socket, no HTTP library
//! between, so that "no answer" means that not one byte came.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod client;

mod away;
mod calls;
mod control;
mod faults;
mod sessions;
mod switches;
