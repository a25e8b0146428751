//! What the full check finds of each kind of damage, and how it ends.

use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::append::tests::{reading, segment, to_job};
use super::super::{FILE, Store};
use super::*;
use crate::clock::BootId;
use crate::reading::{Reading, SegmentReason};

const PAGE: u64 = 4096;

/// A queue of many readings, its log in the database.
fn many(dir: &Path) -> (Store, PathBuf) {
    let file = dir.join(FILE);
    let mut store = Store::open(&file, &BootId("boot-1".to_owned())).unwrap();
    store.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let opens = segment(0, 0, SegmentReason::First);
    let first = Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) };
    store.append(&first).unwrap();
    for n in 1..1000 {
        store.append(&reading(1 + n as i64, 100 * n, 100)).unwrap();
    }
    store.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    (store, file)
}

async fn finding(file: &Path) -> Finding {
    match Examination::begin(file).unwrap().ended(|| {}).await.unwrap() {
        Ended::Done(finding, _) => finding,
        Ended::GivenUp => panic!("given up"),
    }
}

#[tokio::test]
async fn a_queue_that_is_written_to_meanwhile_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, file) = many(dir.path());
    let mut under_way = Examination::begin(&file).unwrap();
    store.append(&reading(9000, 100_000, 100)).unwrap();
    assert!(
        matches!(under_way.ended(|| {}).await, Ok(Ended::Done(found, _)) if found == Finding::default())
    );
    assert_eq!(finding(&file).await, Finding::default());
}

#[tokio::test]
async fn a_page_that_nothing_reads_is_found_whichever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (store, file) = many(dir.path());
    drop(store);
    let whole = std::fs::read(&file).unwrap();
    let pages = whole.len() as u64 / PAGE;
    assert!(pages > 40);
    for page in 0..pages {
        std::fs::write(&file, &whole).unwrap();
        let damaged = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
        damaged.write_all_at(&[0x5a; PAGE as usize], page * PAGE).unwrap();
        assert!(!finding(&file).await.damage.is_empty(), "page {page}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_taken_or_refers_to_nothing_is_no_damaged_database() {
    let dir = tempfile::tempdir().unwrap();
    let (store, file) = many(dir.path());
    store.db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let damage = "UPDATE reading SET runtime_min = x'ff', state = 7 WHERE seq = 3;
        UPDATE reading SET segment = 99 WHERE seq = 5";
    store.db.execute_batch(damage).unwrap();
    let found = finding(&file).await;
    assert_eq!((found.damage.len(), found.indexes.len()), (0, 0), "{found:?}");
    assert_eq!(found.rows, ["row 5 of reading refers to no segment"]);
}

#[tokio::test]
async fn an_index_that_lacks_entries_is_built_anew_and_one_that_has_too_many_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, file) = many(dir.path());
    store.db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let deliver = "INSERT INTO delivery (seq, attempt, span, meter, utc_s, offset_min, wire)
        VALUES (7, 1, 1, 1, 7, 0, x'7b7d'), (8, 1, 1, 1, 8, 0, x'7b7d')";
    store.db.execute_batch(deliver).unwrap();
    // While the schema says that there is no such index, it misses what becomes of rows.
    let without_index = |db: &Connection, work: &str| {
        let hide = "PRAGMA writable_schema = ON;
            CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'delivery_sent';
            DELETE FROM sqlite_schema WHERE name = 'delivery_sent';
            PRAGMA writable_schema = RESET;";
        let show = "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM kept;
            PRAGMA writable_schema = RESET; DROP TABLE kept;";
        db.execute_batch(&format!("{hide}{work};{show}")).unwrap();
    };
    without_index(&store.db, "DELETE FROM delivery WHERE seq = 7");
    let found = finding(&file).await;
    assert_eq!((found.indexes.len(), found.damage.len()), (0, 1), "{found:?}");
    store.mend_index("delivery_sent").unwrap();
    assert_eq!(finding(&file).await, Finding::default());

    store.db.execute_batch("DELETE FROM delivery").unwrap();
    without_index(&store.db, deliver);
    let found = finding(&file).await;
    assert_eq!((found.indexes, found.damage.len()), (vec!["delivery_sent".to_owned()], 0));
    store.mend_index("delivery_sent").unwrap();
    assert_eq!(finding(&file).await, Finding::default());
}

#[tokio::test]
async fn where_the_log_grows_too_large_it_goes_table_by_table_and_then_gives_up() {
    let dir = tempfile::tempdir().unwrap();
    let (store, file) = many(dir.path());
    let db = Connection::open(&file).unwrap();
    let names = tables(&db).unwrap();
    assert!(names.iter().any(|name| name == "reading") && names.len() > 10);
    for name in names {
        let mut messages = Vec::new();
        integrity(&db, &format!("\"{name}\""), &mut messages).unwrap();
        assert_eq!(messages, [], "{name}");
    }
    assert_eq!(examine(&db, &AtomicU8::new(END)).unwrap(), Ended::GivenUp);
    // The interrupt comes in the middle of the first statement, sooner or later.
    let ended = loop {
        let told = AtomicU8::new(GIVE_WAY);
        let interrupt = db.get_interrupt_handle();
        let over = std::sync::atomic::AtomicBool::new(false);
        let ended = std::thread::scope(|scope| {
            let (told, over) = (&told, &over);
            scope.spawn(move || {
                while told.load(Ordering::SeqCst) == GIVE_WAY && !over.load(Ordering::SeqCst) {
                    interrupt.interrupt();
                }
            });
            let ended = examine(&db, told);
            over.store(true, Ordering::SeqCst);
            ended
        });
        if told.load(Ordering::SeqCst) == GO_ON {
            break ended;
        }
    };
    drop(store);
    // One more may have come while the tables were read.
    let ended = ended.unwrap();
    assert!(
        ended == Ended::GivenUp || matches!(&ended, Ended::Done(f, _) if *f == Finding::default())
    );
}

#[tokio::test]
async fn one_that_is_told_to_end_does_so_and_lets_go_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (store, file) = many(dir.path());
    let under_way = Examination::begin(&file).unwrap();
    timeout(Duration::from_secs(20), under_way.end()).await.unwrap();
    // The last connection to close takes the log along.
    drop(store);
    assert!(!dir.path().join(format!("{FILE}-wal")).exists());
}
