//! Who may know whom: the one table, with its exceptions. Pure data.

use Layer::{Agent, Door, Edge, Flow, Outside, Pure, Words};

/// Where a module stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Holds nothing but `mod` and re-exports of its own rooms, so that whoever comes
    /// through it is charged with the room it comes to.
    Door,
    /// Plain data that everybody may speak.
    Words,
    /// Decisions: `now` is an argument; no file, clock, socket.
    Pure,
    /// Touches the world. Edges of one name are one edge, and no edge knows another.
    Edge(&'static str),
    /// A task or a door to it, and the modules beyond words and pure that it joins.
    Flow(&'static str, &'static [&'static str]),
    /// Starts and stops everything.
    Agent,
    /// The command line, and what it may know beyond words and pure.
    Outside(&'static [&'static str]),
}

/// Every module, by its path below `src`. `x::*` is `x` and all below it; the longest
/// entry that fits decides.
pub const TABLE: &[(&str, Layer)] = &[
    ("crate", Door),
    // Words.
    ("cause", Words),
    ("clock", Words),
    ("config", Words),
    ("config::annotate", Words),
    ("config::check", Words),
    ("config::defaults", Words),
    ("config::key", Words),
    ("config::keys::*", Words),
    ("config::layers", Words),
    ("config::not_yet", Words),
    ("config::problem", Words),
    ("config::reference", Words),
    ("config::shape::*", Words),
    ("config::spans", Words),
    ("config::suggest", Words),
    ("config::valid", Words),
    ("delivery", Words),
    ("failpoint", Words),
    ("health", Words),
    ("learnt", Words),
    ("progress", Words),
    ("reading::*", Words),
    ("stop", Words),
    ("units", Words),
    ("verified", Words),
    // Pure.
    ("assignment", Pure),
    ("clock::anchors", Pure),
    ("clock::resolve", Pure),
    ("clock::weeks", Pure),
    ("drain", Door),
    ("drain::canary::*", Pure),
    ("drain::isolate", Pure),
    ("drain::machine::*", Pure),
    ("drain::reconcile::*", Pure),
    ("drain::retry", Pure),
    ("gps::*", Pure),
    ("jobcloser", Door),
    ("jobcloser::note", Pure),
    ("jobcloser::verdict", Pure),
    ("jobcloser::wire::*", Pure),
    ("meter", Door),
    ("meter::ascii::*", Pure),
    ("meter::battery::*", Pure),
    ("meter::calibration", Pure),
    ("meter::counter::*", Pure),
    ("meter::crc", Pure),
    ("meter::frequency", Pure),
    ("meter::integral", Pure),
    ("meter::lines", Pure),
    ("meter::modbus", Door),
    ("meter::modbus::frame", Pure),
    ("meter::modbus::plan", Pure),
    ("meter::modbus::poll", Pure),
    ("meter::modbus::value", Pure),
    ("meter::polling", Pure),
    ("meter::profile::*", Pure),
    ("meter::values", Pure),
    ("record", Door),
    ("record::agreement", Pure),
    ("record::flow", Pure),
    ("record::ledger", Pure),
    ("record::metering", Pure),
    ("record::movement", Pure),
    ("record::place", Pure),
    ("record::reach", Pure),
    ("record::recorder", Pure),
    ("record::rules", Pure),
    ("record::sampling", Pure),
    ("record::span", Pure),
    ("record::track", Pure),
    ("record::unsaved", Pure),
    ("record::view", Pure),
    // Edges. Those of `config` are the files that it is read from and kept in.
    ("clock::source::*", Edge("clock source")),
    ("config::credentials", Edge("config::credentials")),
    ("config::last_good", Edge("config files")),
    ("config::load", Edge("config files")),
    ("gps::gpsd::client::*", Edge("gpsd")),
    ("jobcloser::client::*", Edge("jobcloser client")),
    ("link", Edge("link")),
    ("meter::load", Edge("meter::load")),
    ("port::*", Edge("port")),
    ("queue::*", Edge("queue")),
    // Flows.
    ("control", Flow("control", &[])),
    ("control::apply", Flow("control", CONTROL)),
    ("control::client", Flow("control", CONTROL)),
    ("control::command", Flow("control", CONTROL)),
    ("control::server", Flow("control", CONTROL)),
    ("drain::alone::*", Flow("drain", DRAIN)),
    ("drain::task::*", Flow("drain", DRAIN)),
    ("drain::trial", Flow("drain", DRAIN)),
    ("drain::verify", Flow("drain", DRAIN)),
    ("record::gps_source", Flow("record", RECORD)),
    ("record::gpsd_source", Flow("record", RECORD)),
    ("record::keep", Flow("record", RECORD)),
    ("record::meter_source::*", Flow("record", RECORD)),
    ("record::rig", Flow("record", RECORD)),
    ("record::task", Flow("record", RECORD)),
    ("status", Flow("status", STATUS)),
    ("status::live", Flow("status", STATUS)),
    ("status::text::*", Flow("status", STATUS)),
    ("upkeep", Flow("upkeep", UPKEEP)),
    ("upkeep::carry", Flow("upkeep", UPKEEP)),
    ("upkeep::check", Flow("upkeep", UPKEEP)),
    ("upkeep::room", Pure),
    // Agent.
    ("agent::*", Agent),
    ("systemd", Agent),
    // Outside. Only `cli::run` knows the agent.
    ("cli", Outside(CLI)),
    ("cli::check", Outside(CLI)),
    ("cli::config", Outside(CLI)),
    ("cli::doctor::*", Outside(CLI)),
    ("cli::exit", Outside(CLI)),
    ("cli::gps", Outside(CLI)),
    ("cli::job", Outside(CLI)),
    ("cli::meter", Outside(CLI)),
    ("cli::records::*", Outside(CLI)),
    ("cli::run", Outside(CLI_RUN)),
    ("cli::status", Outside(CLI)),
    ("cli::verify", Outside(CLI)),
    ("main", Outside(&["cli"])),
];

/// What each flow joins.
const UPKEEP: &[&str] = &["queue::*", "clock::source"];
const CONTROL: &[&str] = &["queue::*", "clock::source"];
const DRAIN: &[&str] =
    &["queue::*", "jobcloser::client::*", "clock::source", "config::credentials"];
const RECORD: &[&str] = &["port", "gps::gpsd::client", "queue::*", "clock::source"];
/// Looks in, through the queue's read-only connection alone.
const STATUS: &[&str] =
    &["queue", "queue::view", "queue::balance", "queue::checked", "clock::source"];

/// The rooms of the command line itself; the configuration's files and a profile's; gpsd; the
/// queue but for what writes in it; the client of the control socket; the one test record
/// that delivery sends for a command while no daemon runs; JobCloser; and
/// `status`, whose text and JSON are shown without a daemon too.
const CLI: &[&str] = &[
    "cli",
    "cli::check",
    "cli::config",
    "cli::doctor::*",
    "cli::exit",
    "cli::gps",
    "cli::job",
    "cli::meter",
    "cli::records::*",
    "cli::run",
    "cli::status",
    "cli::verify",
    "config::credentials",
    "config::last_good",
    "config::load",
    "gps::gpsd::client",
    "meter::load",
    "queue",
    "queue::file",
    "queue::view",
    "queue::balance",
    "queue::lock",
    "queue::assign::Selector",
    "control",
    "control::client",
    "control::command",
    "drain::alone::*",
    "jobcloser::client",
    "status",
    "status::text::*",
];
const CLI_RUN: &[&str] =
    &["agent::*", "cli", "cli::exit", "config::last_good", "config::load", "jobcloser::client"];

/// Crates of one place: which, and the modules (with all below them) that may name it.
pub const OWNED: &[(&str, &[&str])] = &[
    ("tokio_serial", &["port"]),
    ("rusqlite", &["queue"]),
    ("reqwest", &["jobcloser"]),
    ("backoff", &["drain"]),
    ("if_watch", &["link"]),
    ("anyhow", &["cli", "main"]),
    // The rig on the bench is for tests.
    ("hil_sim", &[]),
];

/// What words and pure modules may not name: the world, and its clocks. `core` and
/// `alloc` count as `std`.
pub const WORLD: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant::now",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "jiff::tz::TimeZone::system",
    "if_watch",
    "libc",
    "rustix",
    "sd_notify",
    "tokio",
];

/// Of that world, what is plain data after all: an address is no socket.
pub const PLAIN: &[&str] = &[
    "std::net::AddrParseError",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
];

/// Methods by which a path or an instant reaches for the world without naming it.
pub const REACHING: &[&str] = &[
    "canonicalize",
    "elapsed",
    "exists",
    "is_dir",
    "is_file",
    "is_symlink",
    "metadata",
    "read_dir",
    "read_link",
    "symlink_metadata",
    "try_exists",
];

/// Imports against the table that stand, and why: importer, imported, reason. One that is
/// no longer needed fails.
pub const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("failpoint", "std::env", "only with `testhooks`, which a release build has not"),
    ("failpoint", "std::thread", "only with `testhooks`, which a release build has not"),
    ("failpoint", "rustix::process", "only with `testhooks`, which a release build has not"),
    ("stop", "tokio::sync::watch", "the word travels by a channel: neither clock nor socket"),
    // DESIGN.md gives the daemon one door, and `status` asks there for what only the
    // daemon knows; the snapshot itself is made in `status`.
    ("control::server", "status::live::Live", "the socket answers `status` too"),
];
