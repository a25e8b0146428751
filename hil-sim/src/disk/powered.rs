//! A platter while it has power: nothing is answered once it is gone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fuser::Errno;

use super::platter::Platter;

/// A platter while it has power.
#[derive(Debug, Default)]
pub struct Powered {
    /// What is on it; the second is true once the power is gone.
    state: Mutex<(Platter, bool)>,
}

impl Powered {
    /// Spins up with what a cut left.
    pub fn with(platter: Platter) -> Self {
        Self { state: Mutex::new((platter, false)) }
    }

    /// The power goes: nothing is answered from now on. What programs saw last.
    pub fn stop(&self) -> Platter {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = true;
        state.0.clone()
    }

    /// The platter, while it has power.
    ///
    /// # Errors
    /// EIO without.
    pub fn running(&self) -> Result<Running<'_>, Errno> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.1 { Err(Errno::EIO) } else { Ok(Running(state)) }
    }
}

/// A platter that has power.
pub struct Running<'a>(MutexGuard<'a, (Platter, bool)>);

impl std::ops::Deref for Running<'_> {
    type Target = Platter;
    fn deref(&self) -> &Platter {
        &self.0.0
    }
}

impl std::ops::DerefMut for Running<'_> {
    fn deref_mut(&mut self) -> &mut Platter {
        &mut self.0.0
    }
}
