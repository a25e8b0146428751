//! JobCloser as the agent sees it: what a record looks like on the wire ([`wire`]), how
//! one is recognised when it comes back ([`note`]), what an exchange with the server
//! proves ([`verdict`]), and the HTTP client that has the exchange ([`client`]).
//!
//! All but [`client`] is pure. Nothing here knows the queue, decides when to send, or
//! sends anything twice: that is the drain's.

pub mod client;
pub mod note;
pub mod verdict;
pub mod wire;
