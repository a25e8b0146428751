//! What the server knows: the account, the sessions, the records, the faults that are
//! armed, and what it was asked. It lives as long as the server, listening or not.
//!
//! One lock, never held over a wait, so that a call happens whole or not at all.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::behaviour::Behaviour;
use super::fault::Armed;
use super::ledger::{Ledger, StoredRecord};
use super::requests::{Requests, Violations, now_ms};
use super::sessions::Sessions;

/// The account that may sign in.
#[derive(Clone)]
pub struct Account {
    /// `email` of the sign-in.
    pub email: String,
    /// `password` of the sign-in.
    pub password: String,
}

/// A picture that was uploaded; its bytes aren't kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredPicture {
    /// `eventId` as sent.
    pub event_id: String,
    /// `fileName`, or the `url` it is to be fetched from.
    pub name: String,
    /// Size of what was sent; none for one by URL.
    pub bytes: Option<usize>,
}

/// What a call changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// New records.
    Create(Vec<StoredRecord>),
    /// A record's new version.
    Replace(StoredRecord),
    /// A record is gone.
    Delete(String),
    /// A picture.
    Picture(StoredPicture),
}

/// Behind the lock.
#[derive(Default)]
pub struct Inner {
    /// The switches.
    pub behaviour: Behaviour,
    /// The faults to come.
    pub armed: Armed,
    /// Who is signed in.
    pub sessions: Sessions,
    /// The records.
    pub ledger: Ledger,
    /// The pictures.
    pub pictures: Vec<StoredPicture>,
    /// What was asked.
    pub requests: Requests,
    /// What departed from the page.
    pub violations: Violations,
}

/// The server's knowledge, shared by its connections.
pub struct Shared {
    /// Who may sign in.
    pub account: Account,
    inner: Mutex<Inner>,
    late: Mutex<JoinSet<()>>,
}

impl Shared {
    /// With the records of an earlier run.
    pub fn new(account: Account, behaviour: Behaviour, ledger: Ledger) -> Self {
        let inner = Inner { behaviour, ledger, ..Inner::default() };
        Self { account, inner: Mutex::new(inner), late: Mutex::default() }
    }

    /// Everything behind the lock. A thread that died while holding it left nothing
    /// half done that a test could be misled by: its test has failed.
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change later, whatever becomes of the connection that asked for it.
    pub fn commit_later(self: &std::sync::Arc<Self>, change: Change, wait: Duration) {
        let shared = std::sync::Arc::clone(self);
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        while late.try_join_next().is_some() {}
        late.spawn(async move {
            tokio::time::sleep(wait).await;
            if let Err(err) = shared.inner().commit(change) {
                tracing::error!(%err, "late records not stored");
            }
        });
    }

    /// Gives up the changes that are still to come.
    pub fn drop_late(&self) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Inner {
    /// Makes a change; it is on disk when this returns.
    ///
    /// # Errors
    /// If the file of records can't be written; nothing has changed then.
    pub fn commit(&mut self, change: Change) -> io::Result<()> {
        match change {
            Change::Nothing => {}
            Change::Create(mut records) => {
                let received_ms = now_ms();
                records.iter_mut().for_each(|record| record.received_ms = received_ms);
                self.ledger.store(records)?;
            }
            Change::Replace(record) => self.ledger.store(vec![record])?,
            Change::Delete(id) => self.ledger.delete(&id)?,
            Change::Picture(picture) => self.pictures.push(picture),
        }
        Ok(())
    }
}
