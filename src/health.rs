//! How a port, or a connection that comes back by itself, is: in plain words for `status`.
//! Opens none.

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

impl Health {
    /// Of one that isn't open yet.
    pub fn of(path: String) -> Self {
        Self { path, ..Self::default() }
    }

    /// Of another in its place: the counts go on.
    #[must_use]
    pub fn counting_on_from(self, before: &Self) -> Self {
        let Self { bytes, opened, lost, .. } = *before;
        Self { bytes, opened, lost, ..self }
    }

    /// It was opened.
    pub fn opened(&mut self) {
        self.open = true;
        self.opened += 1;
        self.problem = None;
    }

    /// So many bytes came.
    pub fn heard(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.problem = None;
    }

    /// It was lost.
    pub fn lost(&mut self) {
        self.open = false;
        self.lost += 1;
    }

    /// It was closed on purpose.
    pub fn shut(&mut self) {
        self.open = false;
        self.problem = None;
    }

    /// What goes wrong with it; whether that is new.
    pub fn complains_anew(&mut self, problem: &str) -> bool {
        let anew = self.problem.as_deref() != Some(problem);
        if anew {
            self.problem = Some(problem.to_owned());
        }
        anew
    }
}
