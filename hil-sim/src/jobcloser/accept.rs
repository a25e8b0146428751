//! The port: listening, going away from it and coming back to it, TLS, and cutting a
//! connection without an answer. Knows nothing of what is asked.
//!
//! While the server is away the port stays bound but nobody listens on it. So a client is
//! refused, nobody else gets the port, and a client can't be given the same port for its
//! own end and be connected to itself, as Linux does on loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Connections that wait to be accepted; beyond it the kernel lets clients try again.
const BACKLOG: u32 = 128;

/// How often a port that is still held by its last connections is tried again, and how
/// long between.
const BIND_TRIES: u32 = 100;
const BIND_WAIT: Duration = Duration::from_millis(20);

/// After a failed accept (no descriptors left, say) the next waits.
const ACCEPT_WAIT: Duration = Duration::from_millis(50);

/// Cuts the connection that a request came by.
#[derive(Clone, Default)]
pub struct Cut(Arc<Notify>);

impl Cut {
    /// From the next turn of its connection on, the client sees it closed.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// What is served, and over what.
pub struct Service {
    /// The calls.
    pub router: Router,
    /// Plain TCP if there is none.
    pub tls: Option<TlsAcceptor>,
}

/// A port that is listened on; dropped, it closes and cuts its connections.
pub struct Listening {
    stop: Option<oneshot::Sender<()>>,
    accepting: JoinHandle<()>,
}

/// A socket of that address that doesn't listen yet.
///
/// # Errors
/// What the system said the last time, if the address stays taken for two seconds.
pub async fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let mut tries = 1;
    loop {
        match bind_once(addr) {
            Err(err) if err.kind() == io::ErrorKind::AddrInUse && tries < BIND_TRIES => {
                tries += 1;
                tokio::time::sleep(BIND_WAIT).await;
            }
            done => return done,
        }
    }
}

impl Listening {
    /// Listens on a bound socket.
    ///
    /// # Errors
    /// What the system said.
    pub fn on(socket: TcpSocket, service: Arc<Service>) -> io::Result<Self> {
        let listener = socket.listen(BACKLOG)?;
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, service, stopped));
        Ok(Self { stop: Some(stop), accepting })
    }

    /// Closes the port and cuts every connection; done when this returns.
    pub async fn close(mut self) {
        self.stop.take();
        // It ends by itself, or was aborted with its runtime: closed either way.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn bind_once(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the time before may linger in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, service: Arc<Service>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&service)));
                }
                Err(err) => {
                    tracing::warn!(%err, "connection not accepted");
                    tokio::time::sleep(ACCEPT_WAIT).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, service: Arc<Service>) {
    if let Err(err) = stream.set_nodelay(true) {
        tracing::debug!(%err, "answers may be delayed");
    }
    match &service.tls {
        None => serve(stream, &service.router).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => serve(stream, &service.router).await,
            Err(err) => tracing::debug!(%err, "TLS handshake failed"),
        },
    }
}

async fn serve<S>(stream: S, router: &Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = Cut::default();
    let router = router.clone().layer(axum::Extension(cut.clone()));
    let service = TowerToHyperService::new(router);
    let calls = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = calls => if let Err(err) = served {
            tracing::debug!(%err, "connection ended");
        },
        () = cut.0.notified() => {}
    }
}
