//! A record of a list, as far as it is looked at. Doesn't know what it proves.

use crate::delivery::JobKey;
use crate::drain::reconcile::sought::meter_of;
use crate::jobcloser::note;
use crate::jobcloser::wire::{Stored, When};
use crate::reading::Seq;

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub id: Option<String>,
    /// Whose note it has.
    pub note: Option<Seq>,
    /// Its serial number, as it is compared.
    pub meter: Option<String>,
    pub raw: Option<i64>,
    pub when: Option<When>,
    /// Whether it is of the job whose list it is, or doesn't say.
    pub here: bool,
}

impl Row {
    pub fn of(stored: Stored, tag: &str, job: Option<&JobKey>) -> Self {
        let names = |named: &Option<String>, ours: &str| named.as_ref().is_none_or(|n| n == ours);
        let here = |of: &JobKey| names(&stored.job, &of.job) && names(&stored.event, &of.event);
        Self {
            note: stored.note.as_deref().and_then(|n| note::id_in(n, tag)),
            meter: stored.serial.as_deref().map(meter_of),
            raw: stored.raw,
            when: stored.when,
            here: job.is_none_or(here),
            id: stored.id,
        }
    }
}
