//! Anchors: where a boot's time is known. Storing one frees every reading of its boot
//! without touching a row.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{Doing, QueueError, Store};
use crate::clock::resolve::resolve;
use crate::clock::{Anchor, BootInstant, UtcMs};
use crate::failpoint;

impl Store {
    /// Stores an anchor of the running boot. A moment that has one of the same source keeps
    /// that: what was frozen by it must not be dated otherwise.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn add_anchor(&mut self, anchor: Anchor) -> Result<(), QueueError> {
        failpoint::pass("anchor_before_commit");
        let stored = self
            .db
            .execute(
                "INSERT INTO anchor VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                params![self.boot, anchor.at, anchor.utc, anchor.err_ms, anchor.source],
            )
            .doing("store an anchor")?;
        failpoint::pass("anchor_after_commit");
        // After the commit: a reading must not be frozen by an anchor that a power cut
        // could take away again. One that wasn't stored would be gone at the next start.
        if stored > 0 {
            self.anchors.entry(self.boot).or_default().push(anchor);
        }
        Ok(())
    }

    /// The anchors of the running boot.
    pub fn anchors(&self) -> &[Anchor] {
        self.anchors.get(&self.boot).map_or(&[], Vec::as_slice)
    }

    /// Wall time of a moment in a boot (by row id), where the boot is anchored.
    pub(super) fn time_of(&self, boot: i64, at: BootInstant) -> Option<UtcMs> {
        resolve(self.anchors.get(&boot)?, at)
    }

    pub(super) fn load_anchors(&mut self) -> Result<(), QueueError> {
        self.anchors = by_boot(&self.db)?;
        Ok(())
    }
}

/// Anchors by the row id of their boot: a row costs no more than those of its own.
pub(super) type Anchors = HashMap<i64, Vec<Anchor>>;

/// Every anchor there is.
pub(super) fn by_boot(db: &Connection) -> Result<Anchors, QueueError> {
    let doing = "read the anchors";
    let mut statement =
        db.prepare("SELECT boot, boottime_ms, utc_ms, err_ms, source FROM anchor").doing(doing)?;
    let rows = statement
        .query_map([], |r| {
            let anchor =
                Anchor { at: r.get(1)?, utc: r.get(2)?, err_ms: r.get(3)?, source: r.get(4)? };
            Ok((r.get::<_, i64>(0)?, anchor))
        })
        .doing(doing)?;
    let mut anchors = Anchors::new();
    for row in rows {
        let (boot, anchor) = row.doing(doing)?;
        anchors.entry(boot).or_default().push(anchor);
    }
    Ok(anchors)
}
