//! Sending the queue to JobCloser, oldest first, and finding out what became of it.
//!
//! [`machine`] decides (pure), [`task`] does. Knows nothing of meters or of how a reading
//! came about.

pub mod alone;
pub mod canary;
mod isolate;
pub mod machine;
pub mod reconcile;
mod retry;
mod task;
mod trial;
mod verify;

pub use machine::DrainView;
pub use task::{Drain, DrainError, DrainParts};
