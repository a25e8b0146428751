//! An error and everything behind it, on one line.

use std::error::Error;

/// The error, then its causes, each after a colon.
pub fn chain(err: &dyn Error) -> String {
    let mut said = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        said = format!("{said}: {err}");
        cause = err.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the queue failed")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn every_cause_is_said_in_turn() {
        let err = Outer(std::io::Error::other("disk full"));
        assert_eq!(chain(&err), "the queue failed: disk full");
        assert_eq!(chain(&std::io::Error::other("alone")), "alone");
    }
}
