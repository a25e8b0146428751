//! Why a bench does not work. What the agent does wrong is not here: it is a finding.

use crate::agent::AgentError;
use crate::disk::DiskError;
use crate::jobcloser::StartError;
use crate::outlet::OutletError;
use crate::rig::RigError;

/// Why the bench does not work. What the agent does wrong is no error but a finding.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// No directory to work in.
    #[error("can't make a directory for the bench")]
    Dir {
        /// What the system said.
        source: std::io::Error,
    },
    /// The rig.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// A cable.
    #[error(transparent)]
    Cable(#[from] OutletError),
    /// The server.
    #[error(transparent)]
    Server(#[from] StartError),
    /// The agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The disk under its data.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The clocks of the board.
    #[error("can't move the board's clock")]
    Clock {
        /// What the system said.
        source: std::io::Error,
    },
    /// The board's clock is to be moved, and there is none.
    #[error("the board's clock is this machine's: it can't be moved without a [clock] section")]
    NoClock,
    /// The agent doesn't know of clocks that move.
    #[error("{} wasn't built for tests, so that its clock can't be moved: build it with --features testhooks", path.display())]
    NotForTests {
        /// The binary.
        path: std::path::PathBuf,
    },
    /// What a scenario says of the server's switches.
    #[error("can't set the server's switches")]
    Behaviour {
        /// Which and why.
        source: serde_json::Error,
    },
    /// Something awaited did not come.
    #[error("waited {waited_s} s in vain for {what}; {found}")]
    InVain {
        /// What.
        what: String,
        /// How long.
        waited_s: u64,
        /// What there was instead.
        found: String,
    },
}
