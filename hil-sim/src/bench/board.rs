//! The board that the agent runs on, as far as its clocks go: switched on with the bench, and
//! off and on again by the key.

use std::path::Path;
use std::time::Duration;

use super::{Bench, BenchError};
use crate::board_clock::{self, BoardClock};
use crate::scenario::BoardSetup;

impl Bench {
    /// The clocks of the board.
    ///
    /// # Errors
    /// Where the options asked for none.
    pub fn board_clock(&mut self) -> Result<&mut BoardClock, BenchError> {
        self.clock.as_mut().ok_or(BenchError::NoClock)
    }

    /// The key is turned off and on: the agent dies, and another boot begins, whose clock
    /// says `wall_ms` or goes on.
    ///
    /// # Errors
    /// Where there is no board's clock, or the agent can't be killed and started.
    pub async fn turn_key(
        &mut self,
        off: Duration,
        wall_ms: Option<i64>,
    ) -> Result<(), BenchError> {
        self.kill_agent()?;
        tokio::time::sleep(off).await;
        self.board_clock()?.boot(wall_ms).map_err(|source| BenchError::Clock { source })?;
        self.start_agent()
    }
}

/// Switches on a board in `dir` whose clocks the agent will go by, where that is wanted.
pub(super) fn switch_on(
    setup: Option<BoardSetup>,
    agent: &Path,
    dir: &Path,
) -> Result<Option<BoardClock>, BenchError> {
    let Some(setup) = setup else { return Ok(None) };
    knows_its_clock_moves(agent)?;
    let clock = BoardClock::switch_on(dir.join("clock.toml"), setup.wall_ms, setup.synchronised);
    clock.map(Some).map_err(|source| BenchError::Clock { source })
}

/// An agent that wasn't built for tests would run by this machine's clock, and every
/// judgement would be about something else.
fn knows_its_clock_moves(binary: &Path) -> Result<(), BenchError> {
    let bytes = std::fs::read(binary).unwrap_or_default();
    let name = board_clock::VARIABLE.as_bytes();
    match bytes.windows(name.len()).any(|part| part == name) {
        true => Ok(()),
        false => Err(BenchError::NotForTests { path: binary.to_owned() }),
    }
}
