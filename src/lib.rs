//! spraylog: from a sprayer's meter and GPS to records at JobCloser, and the queue that
//! keeps every one of them in between.
//!
//! ```text
//! meter port ─► decode ─► counter ─┐
//!                                  ├─► record ─► queue ─► drain ─► JobCloser
//! GPS port ───► decode ─► fix ─────┤               ▲  ◄─ verdict ─┘
//!                       anchors ───┘               │
//!                                    control ──────┘   (job, release, calibrate, page)
//! ```
//!
//! Data flows left to right; only the verdict comes back. Control enters at one door.
//!
//! | layer | modules | may import |
//! | --- | --- | --- |
//! | words | [`units`], [`reading`], [`clock`]'s types, [`config`] | each other |
//! | pure | decoders ([`meter`], [`gps`]), record rules, assignment, retry policy, verdicts, time resolution | words |
//! | edges | [`port`], [`gps::gpsd::client`], [`queue`], [`jobcloser`], clock source | words, pure |
//! | flows | [`record`], [`drain`], [`status`], [`control`], [`upkeep`] | words, pure, edges |
//! | agent | [`agent`], [`systemd`] | all of the above |
//! | outside | [`cli`] | config, queue (read-only), control client, jobcloser |

pub mod agent;
pub mod assignment;
pub mod cause;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod delivery;
pub mod drain;
pub mod failpoint;
pub mod gps;
pub mod health;
pub mod jobcloser;
pub mod learnt;
pub mod link;
pub mod meter;
pub mod port;
pub mod progress;
pub mod queue;
pub mod reading;
pub mod record;
pub mod status;
pub mod stop;
pub mod systemd;
pub mod units;
pub mod upkeep;
pub mod verified;
