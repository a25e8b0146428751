//! What a test record has shown of the server, kept as one value: it is of the server, not
//! of a reading, and takes no part in the balance.

use rusqlite::Connection;

use super::{QueueError, Store, meta};
use crate::learnt::Learnt;

impl Store {
    /// What was learnt last, of whatever server.
    ///
    /// # Errors
    /// Where the row can't be read; what isn't readable any more counts as nothing.
    pub fn learnt(&self) -> Result<Option<Learnt>, QueueError> {
        learnt(&self.db)
    }

    /// Keeps it, in place of what was learnt before. It is used only after that: a power
    /// cut in between leaves what was known before, and the test can be made again.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn set_learnt(&mut self, learnt: &Learnt) -> Result<(), QueueError> {
        match serde_json::to_string(learnt) {
            Ok(text) => meta::set(&self.db, meta::key::LEARNT, &text),
            Err(err) => Err(QueueError::Refused(format!("cannot be kept: {err}"))),
        }
    }
}

/// The same from any connection.
pub(super) fn learnt(db: &Connection) -> Result<Option<Learnt>, QueueError> {
    let kept = meta::get(db, meta::key::LEARNT)?;
    Ok(kept.and_then(|text| serde_json::from_str(&text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learnt::{Dates, Decimals, Nulls};
    use crate::queue::append::tests::store;

    #[test]
    fn what_was_learnt_last_is_kept_and_what_cannot_be_read_is_nothing() {
        let mut store = store();
        assert_eq!(store.learnt().unwrap(), None);
        let first = Learnt {
            at: "2026-11-25T12:00:00Z".to_owned(),
            base_url: "https://jobcloser.com".to_owned(),
            ids: true,
            notes: false,
            device_name: false,
            calibration_factor: false,
            dates: Dates::Shifted(-60),
            decimals: Decimals::Cut,
            nulls: Nulls::Kept,
            numbers_as_text: false,
            event_filter: Some(true),
            by_job_alone: None,
            deletes: true,
        };
        store.set_learnt(&first).unwrap();
        assert_eq!(store.learnt().unwrap(), Some(first.clone()));
        let then = Learnt { notes: true, ..first };
        store.set_learnt(&then).unwrap();
        assert_eq!(store.learnt().unwrap(), Some(then));
        meta::set(&store.db, meta::key::LEARNT, "{}").unwrap();
        assert_eq!(store.learnt().unwrap(), None);
    }
}
