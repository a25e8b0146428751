//! The bare loop: posts batches on one connection, one after the other, and knows how to do
//! nothing else. With a file of its own it also makes two commits a batch, as durable as the
//! agent's: one before it sends, with the bytes, one with what the server answered.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::Value;

/// A batch as the agent sent it.
pub struct Batch {
    /// The whole body.
    pub body: Vec<u8>,
    /// Each record's number and bytes.
    pub records: Vec<(i64, Vec<u8>)>,
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
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE sent (seq INTEGER PRIMARY KEY, state INTEGER, wire BLOB, id TEXT)",
    )
    .unwrap();
    db
}

fn before(db: &mut Connection, batch: &Batch) {
    let tx = db.transaction().unwrap();
    for (seq, wire) in &batch.records {
        let mut insert = tx.prepare_cached("INSERT INTO sent VALUES (?1, 1, ?2, NULL)").unwrap();
        insert.execute(params![seq, wire]).unwrap();
    }
    tx.commit().unwrap();
}

fn after(db: &mut Connection, batch: &Batch, ids: &Value) {
    let tx = db.transaction().unwrap();
    for (n, (seq, _)) in batch.records.iter().enumerate() {
        let sql = "UPDATE sent SET state = 2, id = ?2 WHERE seq = ?1";
        tx.prepare_cached(sql).unwrap().execute(params![seq, ids[n].as_str()]).unwrap();
    }
    tx.commit().unwrap();
}
