//! How a port is, in plain words for `status`. Opens none.

use serde::Serialize;

/// A port's state for `status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Health {
    /// Its stable name.
    pub path: String,
    /// Whether it is open now.
    pub open: bool,
    /// Bytes read.
    pub bytes: u64,
    /// How often it was opened.
    pub opened: u64,
    /// How often it was lost.
    pub lost: u64,
    /// The last thing that went wrong, while it still matters.
    pub problem: Option<String>,
}
