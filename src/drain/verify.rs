//! A job set beside its list: the one way it is asked for, logged and told, whether by the
//! running delivery or by a command that has the data directory to itself. What the answer
//! means is the machine's.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::{info, warn};

use super::machine::Mend;
use super::reconcile::{Check, Checked};
use crate::clock::UtcMs;
use crate::delivery::JobKey;
use crate::failpoint;
use crate::jobcloser::client::Client;
use crate::jobcloser::verdict::Unbelievable;
use crate::queue::Account;
use crate::reading::Seq;
use crate::verified::{JobTold, Numbers};

/// Readings that are read from the queue at once: an append never waits for more.
pub(super) const PAGE: usize = 1000;
/// Before the first of them.
pub(super) const PAGES_BEGIN: (i64, Seq) = (i64::MIN, Seq(i64::MIN));

/// Asks for the list of a job, and sets it beside all that was sent of it, which `check` knows.
pub(super) async fn beside_list(
    client: &Client,
    key: &JobKey,
    check: Check,
) -> Result<Checked, Unbelievable> {
    failpoint::pass("verify_before_asking");
    let asked = client.get_all(&key.job, &key.event, check, |check, row| check.take(row));
    Ok(asked.await?.checked())
}

/// Says in the log what came of it.
pub(super) fn log(key: &JobKey, mend: &Mend) {
    if !mend.lost.is_empty() {
        warn!(job = key.job, records = mend.lost.len(), "lost at the server; sent again");
    }
    if !mend.missing.is_empty() {
        warn!(
            job = key.job,
            records = mend.missing.len(),
            "missing from the server's list, which may be cut; look at the job there"
        );
    }
    if mend.extras > 0 {
        warn!(
            job = key.job,
            records = mend.extras,
            "records at the server are not this rig's, or are there twice"
        );
    }
    if *mend == Mend::default() {
        info!(job = key.job, "all there, verified");
    }
}

/// What an operator is told of a job that was verified.
pub(super) fn told(
    key: &JobKey,
    account: Account,
    mend: &Mend,
    zone: &TimeZone,
    now: Option<UtcMs>,
) -> JobTold {
    let at = now.and_then(|now| Timestamp::from_millisecond(now.0).ok());
    JobTold {
        key: key.clone(),
        closed: account.closed,
        open: account.open,
        waiting: account.waiting,
        verified: at.map(|at| zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()),
        all_there: mend.lost.is_empty() && mend.missing.is_empty(),
        sent_again: Numbers::of(&mend.lost),
        missing: Numbers::of(&mend.missing),
        extras: mend.extras,
        named: mend.named.clone(),
        why: None,
    }
}

/// What an operator is told of a job of which no list came.
pub(super) fn not_verified(key: &JobKey, account: Account, why: &Unbelievable) -> JobTold {
    let mend = Mend::default();
    JobTold {
        verified: None,
        all_there: false,
        why: Some(format!("JobCloser's list can't be had: {why}")),
        ..told(key, account, &mend, &TimeZone::UTC, None)
    }
}
