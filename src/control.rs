//! The one door for commands that change something: a unix socket, JSON lines.
//!
//! ```text
//! > {"cmd":"job_use","event":"…","job":"…"}
//! < {"ok":{"job":"…"}}            or   < {"error":"what happened, and what to do"}
//! ```
//!
//! The daemon answers at [`server`]; where it is down, [`client`] takes the data
//! directory's lock and does the same through the same [`apply`]. There is one writer.

mod apply;
pub mod client;
mod command;
pub mod server;

pub use apply::{apply, look};
pub use command::{Answer, Command};

/// Longest line in either direction; a longer one ends the connection.
pub const LINE_MAX: usize = 1 << 20;
