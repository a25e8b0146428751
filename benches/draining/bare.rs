//! The bare loop: posts batches on one connection, one after the other, and knows how to do
//! nothing else. With a copy of the queue it also makes the same two commits a batch as the
//! agent: the attempt and its frozen records before it sends, with what it was told after.
//! What goes into them it is given; it picks nothing, resolves no time and writes no record.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::Value;

/// A batch as the agent sent it.
pub struct Batch {
    /// The whole body.
    pub body: Vec<u8>,
    /// Its number, span and boot.
    pub attempt: [i64; 3],
    /// Its records.
    pub records: Vec<Record>,
}

/// A frozen record.
pub struct Record {
    /// Number, span, meter, second and offset, as they are in the queue.
    pub columns: [i64; 5],
    /// Its bytes.
    pub wire: Vec<u8>,
}

/// Posts all of them; with `file` it commits before and after each.
pub fn drain(to: SocketAddr, batches: &[Batch], file: Option<&Path>) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let mut db = file.map(open);
    for batch in batches {
        if let Some(db) = &mut db {
            before(db, batch);
        }
        let head = format!(
            "POST /api/chemicalapplicationlocations/createbatch HTTP/1.1\r\nHost: {to}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            batch.body.len()
        );
        stream.write_all(&[head.as_bytes(), &batch.body].concat()).unwrap();
        let answer: Value = serde_json::from_slice(&answer(&mut from)).unwrap();
        assert_eq!(answer["Success"], true);
        if let Some(db) = &mut db {
            after(db, batch, &answer["Result"]);
        }
    }
}

fn answer(from: &mut impl BufRead) -> Vec<u8> {
    let (mut line, mut length) = (String::new(), 0);
    while from.read_line(&mut line).unwrap() > 2 {
        if let Some(value) = line.strip_prefix("Content-Length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).unwrap();
    body
}

fn open(file: &Path) -> Connection {
    let db = Connection::open(file).unwrap();
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    db
}

fn before(db: &mut Connection, batch: &Batch) {
    let tx = db.transaction().unwrap();
    let [attempt, ..] = batch.attempt;
    let insert = "INSERT INTO attempt (id, span, boot, started) VALUES (?1, ?2, ?3, 0)";
    // The agent's own boot isn't in the copy.
    let [_, span, _] = batch.attempt;
    tx.prepare_cached(insert).unwrap().execute([attempt, span, 1]).unwrap();
    for Record { columns: [seq, span, meter, utc_s, offset_min], wire } in &batch.records {
        let insert = "INSERT INTO delivery (seq, attempt, span, meter, utc_s, offset_min, wire)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let row = params![seq, attempt, span, meter, utc_s, offset_min, wire];
        tx.prepare_cached(insert).unwrap().execute(row).unwrap();
        let update = "UPDATE reading SET state = 1 WHERE seq = ?1";
        tx.prepare_cached(update).unwrap().execute([seq]).unwrap();
    }
    tx.commit().unwrap();
}

fn after(db: &mut Connection, batch: &Batch, ids: &Value) {
    let tx = db.transaction().unwrap();
    for (n, Record { columns: [seq, ..], .. }) in batch.records.iter().enumerate() {
        let update = "UPDATE reading SET state = 2 WHERE seq = ?1";
        tx.prepare_cached(update).unwrap().execute([seq]).unwrap();
        let update = "UPDATE delivery SET server_id = ?2 WHERE seq = ?1";
        tx.prepare_cached(update).unwrap().execute(params![seq, ids[n].as_str()]).unwrap();
    }
    let update = "UPDATE attempt SET outcome = 'accepted' WHERE id = ?1";
    tx.prepare_cached(update).unwrap().execute([batch.attempt[0]]).unwrap();
    tx.commit().unwrap();
}
