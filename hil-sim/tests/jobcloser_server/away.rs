//! Going away and coming back, and what a server that is started again still knows.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hil_sim::jobcloser::{Behaviour, Options, Server, StartError, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::client::{Client, Seen, bench, counts, record, records, until};

#[tokio::test]
async fn a_server_comes_back_to_its_port_with_what_it_knew() {
    let (server, client) = bench(Behaviour::default()).await;
    client.batch(&records(1..3)).await.answer().result();
    let addr = server.addr();
    for _ in 0..3 {
        server.go_away().await;
        server.go_away().await;
        for _ in 0..50 {
            assert_eq!(client.batch(&[record(9)]).await, Seen::Refused);
        }
        server.come_back().await.unwrap();
        server.come_back().await.unwrap();
        assert_eq!(server.addr(), addr);
    }
    client.batch(&records(3..5)).await.answer().result();
    assert_eq!(counts(&server), [1, 2, 3, 4]);
}

#[tokio::test]
async fn going_away_cuts_open_connections_and_what_was_in_hand() {
    let (server, client) = bench(Behaviour::default()).await;
    let mut idle = TcpStream::connect(server.addr()).await.unwrap();
    server.set_behaviour(Behaviour { latency_ms: 60_000, ..Behaviour::default() });
    let sent = records(1..3);
    let busy = client.batch(&sent);
    let leave = async {
        until(|| server.requests().len() == 2).await;
        server.go_away().await;
    };
    let (seen, ()) = tokio::join!(busy, leave);
    assert_eq!(seen, Seen::NoAnswer);
    let mut byte = [0];
    assert_eq!(idle.read(&mut byte).await.unwrap_or(0), 0);
    assert_eq!(server.requests().last().unwrap().status, None);
    server.set_behaviour(Behaviour::default());
    server.come_back().await.unwrap();
    assert_eq!(counts(&server), [0; 0]);
    assert_eq!(client.all().await.status, 200, "the session outlived the absence");
}

#[tokio::test]
async fn a_client_never_gets_the_port_of_a_server_that_is_away_for_its_own_end() {
    let (server, _) = bench(Behaviour::default()).await;
    server.go_away().await;
    let client = TcpSocket::new_v4().unwrap();
    assert_eq!(client.bind(server.addr()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    server.stop().await;
    std::net::TcpListener::bind(server.addr()).unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let (server, _) = bench(Behaviour::default()).await;
    let taken = Options { listen: server.addr(), ..Options::default() };
    let Err(err) = Server::start(taken).await else { panic!("two servers on one port") };
    assert!(matches!(err, StartError::Listen { addr, .. } if addr == server.addr()));
}

#[tokio::test]
async fn a_stopped_server_refuses_and_does_not_come_back() {
    let (server, client) = bench(Behaviour::default()).await;
    server.stop().await;
    server.come_back().await.unwrap();
    assert_eq!(client.batch(&[record(1)]).await, Seen::Refused);
}

#[tokio::test]
async fn records_outlive_the_server_where_they_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Some(dir.path().join("records.jsonl"));
    let options = Options { store, ..Options::default() };
    let first = Server::start(options.clone()).await.unwrap();
    let client = Client::signed_in(&first).await;
    client.batch(&records(1..4)).await.answer().result();
    let kept = first.records();
    let path = format!("/api/chemicalapplicationlocations/delete?id={}", kept[1].id);
    client.get(&path).await.answer().result();
    drop(first);

    let then = Server::start(options).await.unwrap();
    assert_eq!(then.records(), [kept[0].clone(), kept[2].clone()]);
    let client = Client::signed_in(&then).await;
    client.batch(&[record(4)]).await.answer().result();
    assert_eq!(client.all().await.result().as_array().unwrap().len(), 3);
    assert_eq!(counts(&then), [1, 3, 4]);
}

#[tokio::test]
async fn a_connection_serves_one_call_after_another() {
    let (server, client) = bench(Behaviour::default()).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    for _ in 0..3 {
        let cookies = client.cookies.join("; ");
        let head =
            format!("GET /api/account/get?id=0 HTTP/1.1\r\nHost: x\r\nCookie: {cookies}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = vec![0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(bytes[..count].starts_with(b"HTTP/1.1 400"));
    }
}

#[tokio::test]
async fn the_bench_certificate_is_good_for_loopback() {
    let dir = tempfile::tempdir().unwrap();
    let files = TlsFiles::bench(dir.path()).unwrap();
    let options = Options { tls: Some(files.clone()), ..Options::default() };
    let server = Server::start(options).await.unwrap();
    assert!(server.base_url().starts_with("https://127.0.0.1:"));
    let answer = over_tls(server.addr(), &files).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

async fn over_tls(addr: SocketAddr, files: &TlsFiles) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.cert).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::IpAddress(addr.ip().into());
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let request = "GET /api/account/get?id=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}
