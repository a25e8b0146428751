//! A sprayer's rig and a JobCloser server on the bench, for testing spraylog from outside.
//! Shares no code with it: both are written from the vendor's page and the meters'
//! documents, so that a mistake can't cancel itself.
//!
//! ```text
//! scenario ─► bench ─┬─► rig ──ptys──► the agent ──HTTP──► jobcloser
//!                    │    │ meter, gps    (a process)          │
//!                    │    ▼                                    ▼
//!                    │  truth ───────────► judge ◄────────── records
//!                    │                       ▲
//!                    └──── status --json ────┘
//! ```
//!
//! | module | is |
//! | --- | --- |
//! | [`meter`], [`gps`], [`recording`], [`nmea`], [`dice`] | pure: what devices say, `now` is an argument |
//! | [`pty`], [`outlet`], [`rig`], [`clock`] | how and when they say it |
//! | [`truth`] | what they really did |
//! | [`jobcloser`] | the server |
//! | [`agent`], [`board_clock`] | the agent as a process, and the clocks of its board |
//! | [`disk`] | a disk that loses what was not flushed |
//! | [`bench`] | all three together: what field tests are written with |
//! | [`judge`] | whether the server holds what the rig did |
//! | [`scenario`], [`run`], [`replay`], [`cli`] | timelines, and the commands of the binary |

pub mod agent;
pub mod bench;
pub mod board_clock;
pub mod cli;
pub mod clock;
pub mod dice;
pub mod disk;
pub mod gps;
pub mod jobcloser;
pub mod judge;
pub mod meter;
pub mod nmea;
pub mod outlet;
pub mod pty;
pub mod recording;
pub mod replay;
pub mod rig;
pub mod run;
pub mod scenario;
pub mod truth;
