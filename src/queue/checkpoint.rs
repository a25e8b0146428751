//! Checkpoints in a thread and on a connection of their own: pages go from the log to the
//! database while the writer goes on appending. Knows no row.
//!
//! A power cut in the middle of one leaves the log, which is whole, and pages in the
//! database that it overrides.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle, OpenFlags};
use tracing::warn;

use super::{Doing, QueueError, Store};
use crate::cause::chain;

const DOING: &str = "bring the log into the database";

/// How often the log is looked at; looking writes nothing.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pages in the log that are worth it while there is work: 4 MiB, as SQLite itself has it. At
/// rest any are.
const GROWN: i64 = 1_000;
/// So many looks without another page are a rest: a minute. A pause between two readings is
/// none, or each of them would be written to the card twice.
const REST: u32 = 30;
/// Pages in the log at which the writer helps after all, 64 MiB: where readers or a slow disk
/// have kept this thread from catching up, the log must not fill the disk.
const BOUND: i64 = 16_384;

/// The thread that checkpoints.
pub(super) struct Checkpoints {
    stop: Sender<()>,
    interrupt: InterruptHandle,
    thread: JoinHandle<()>,
}

impl Checkpoints {
    /// Takes them over from a store. Without a connection or a thread the writer goes on
    /// doing them itself.
    pub(super) fn beside(store: &Store) -> Option<Self> {
        let log = Log::open(&store.path).ok()?;
        let interrupt = log.db.get_interrupt_handle();
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("checkpoint".to_owned());
        let thread = thread.spawn(move || log.keep_short(&stopped)).ok()?;
        // Where this fails both do them, which is slow and right.
        let _ = store.leave_checkpoints();
        Some(Self { stop, interrupt, thread })
    }

    /// Ends the thread, in the middle of one if need be: the writer's closing does the rest.
    pub(super) fn end(self) {
        drop(self.stop);
        // It may be between two looks, where an interrupt is lost; then it hears the stop.
        self.interrupt.interrupt();
        let _ = self.thread.join();
    }
}

impl Store {
    /// The writer itself checkpoints only beyond the bound.
    fn leave_checkpoints(&self) -> Result<(), QueueError> {
        let sql = format!("PRAGMA wal_autocheckpoint = {BOUND}");
        self.db.query_row(&sql, [], |_| Ok(())).doing(DOING)
    }
}

/// The log, from a connection that does nothing else.
struct Log {
    db: Connection,
    /// Pages in it when it was last looked at, and for how many looks it has had no other.
    seen: (i64, u32),
}

impl Log {
    fn open(path: &Path) -> Result<Self, QueueError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).doing(DOING)?;
        db.execute_batch("PRAGMA synchronous = FULL").doing(DOING)?;
        Ok(Self { db, seen: (0, 0) })
    }

    fn keep_short(mut self, stopped: &Receiver<()>) {
        let mut told = String::new();
        while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            let problem = self.look().err().map(|err| chain(&err)).unwrap_or_default();
            if !problem.is_empty() && problem != told {
                warn!(problem, "the queue's log grows; trying again");
            }
            told = problem;
        }
    }

    /// Checkpoints if it is worth it.
    fn look(&mut self) -> Result<(), QueueError> {
        let (pages, done) = self.pass("NOOP")?;
        let still = if pages == self.seen.0 { self.seen.1.saturating_add(1) } else { 0 };
        self.seen = (pages, still);
        if pages - done >= GROWN || still >= REST && done < pages {
            // PASSIVE waits for nobody and makes nobody wait.
            self.pass("PASSIVE")?;
        }
        Ok(())
    }

    /// Pages in the log, and those of them that are in the database.
    fn pass(&self, mode: &str) -> Result<(i64, i64), QueueError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        self.db.query_row(&sql, [], |r| Ok((r.get(1)?, r.get(2)?))).doing(DOING)
    }
}

#[cfg(test)]
mod tests {
    use super::super::append::tests::{reading, segment};
    use super::super::{FILE, View};
    use super::*;
    use crate::clock::BootId;
    use crate::reading::{Reading, SegmentReason, Seq};

    fn store(dir: &Path) -> Store {
        let mut store = Store::open(&dir.join(FILE), &BootId("boot-1".to_owned())).unwrap();
        store.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
        store
    }

    fn append(store: &mut Store, many: i64) {
        for _ in 0..many {
            let n = store.last_seq().0 + 1;
            store.append(&reading(5 * n, 100 * n as u64, 100)).unwrap();
        }
    }

    #[test]
    fn the_writer_never_checkpoints_and_the_thread_beside_it_brings_all_of_it_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        store.leave_checkpoints().unwrap();
        let mut log = Log::open(&store.path).unwrap();
        append(&mut store, 1_000);
        let (pages, done) = log.pass("NOOP").unwrap();
        assert!(pages > 2 * GROWN && done == 0, "{done} of {pages}");
        log.look().unwrap();
        assert_eq!(log.pass("NOOP").unwrap(), (pages, pages));
        append(&mut store, 1);
        let (pages, _) = log.pass("NOOP").unwrap();
        assert!(pages < 10, "begun anew: {pages}");
        // Little: not between two readings, but once nothing more comes.
        for _ in 0..REST {
            log.look().unwrap();
        }
        assert_eq!(log.pass("NOOP").unwrap(), (pages, 0));
        log.look().unwrap();
        assert_eq!(log.pass("NOOP").unwrap(), (pages, pages));
    }

    #[test]
    fn the_log_stays_short_while_readers_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        store.leave_checkpoints().unwrap();
        let mut log = Log::open(&store.path).unwrap();
        let mut longest = 0;
        for _ in 0..20 {
            let view = View::open(&store.path).unwrap();
            view.balance().unwrap();
            append(&mut store, 400);
            longest = longest.max(log.pass("NOOP").unwrap().0);
            log.look().unwrap();
            view.balance().unwrap();
        }
        assert!(longest < 4 * GROWN, "{longest}");
    }

    #[test]
    fn where_the_thread_does_not_come_to_it_the_writer_helps_at_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        store.leave_checkpoints().unwrap();
        let log = Log::open(&store.path).unwrap();
        append(&mut store, 8_000);
        let size = std::fs::metadata(dir.path().join(format!("{FILE}-wal"))).unwrap().len();
        assert!(size < (BOUND as u64 + 100) * 4_200, "{size}");
        assert!(log.pass("NOOP").unwrap().0 < BOUND);
    }

    #[test]
    fn a_queue_that_closes_leaves_no_log_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        append(&mut store, 10);
        let path = store.path.clone();
        let (queue, thread) = super::super::Queue::start(store).unwrap();
        drop(queue);
        thread.join().unwrap();
        assert!(!dir.path().join(format!("{FILE}-wal")).exists());
        assert_eq!(Store::open(&path, &BootId("boot-2".into())).unwrap().last_seq(), Seq(11));
    }
}
