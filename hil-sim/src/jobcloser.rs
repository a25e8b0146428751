//! A JobCloser on the bench: the account calls and every `chemicalapplicationlocations`
//! call of `jobcloser-api.txt`, with sessions, checked against the page field by field, and
//! with whatever can go wrong on the way.
//!
//! ```text
//! agent ─HTTP─► accept ─► door ─► routes ─► ledger ─► file of records
//!                          │ ▲
//!        Fault, Behaviour ─┘ └─ Server (tests, scenarios), /_sim/ (shells)
//! ```
//!
//! Written from the page alone; shares no code with the agent, so that a mistake can't
//! cancel itself. Has no idea of what was really metered: that is the judge's.

mod accept;
mod answer;
mod behaviour;
mod call;
mod check;
mod control;
mod door;
mod fault;
mod ledger;
mod page;
mod requests;
mod routes;
mod sessions;
mod state;
mod tls;
mod value;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::routing::any;
use tokio::net::TcpSocket;
use tokio::sync::Mutex;

pub use behaviour::{Behaviour, ExpiredAs, NoteShape, PoisonMode, PoisonRule, ResultShape};
pub use fault::{Fault, FaultOrder, Target, Times};
pub use ledger::{LedgerError, StoredRecord};
pub use requests::RequestLog;
pub use state::StoredPicture;
pub use tls::{TlsError, TlsFiles};

use accept::{Listening, Service};
use ledger::Ledger;
use state::{Account, Change, Shared};

/// What a server is started with.
#[derive(Clone)]
pub struct Options {
    /// Where it listens; port 0 for any that is free.
    pub listen: SocketAddr,
    /// `https` with this certificate, else `http`.
    pub tls: Option<TlsFiles>,
    /// Where accepted records are kept, one JSON object a line; read again at the start.
    /// In memory alone if unset.
    pub store: Option<PathBuf>,
    /// The account that may sign in.
    pub email: String,
    /// Its password.
    pub password: String,
    /// The switches it starts with.
    pub behaviour: Behaviour,
}

/// Why a server can't start, or come back.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The records of an earlier run can't be used.
    #[error("cannot use the records of an earlier run")]
    Store(#[from] LedgerError),
    /// TLS can't be offered.
    #[error("cannot set TLS up")]
    Tls(#[from] TlsError),
}

/// A running server; dropped, it closes its port at once.
pub struct Server {
    addr: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    service: Arc<Service>,
    place: Mutex<Place>,
}

/// Whether the server is at its port.
enum Place {
    Listening(Listening),
    /// With the port bound, where that could be done.
    Away(Option<TcpSocket>),
    Stopped,
}

impl fmt::Debug for Options {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("tls", &self.tls)
            .field("store", &self.store)
            .field("email", &self.email)
            .field("behaviour", &self.behaviour)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            store: None,
            email: "demo@jobcloser.com".to_owned(),
            password: "password".to_owned(),
            behaviour: Behaviour::default(),
        }
    }
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let ledger = match &options.store {
            Some(path) => Ledger::open(path)?,
            None => Ledger::default(),
        };
        let tls = options.tls.as_ref().map(TlsFiles::acceptor).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let account = Account { email: options.email, password: options.password };
        let shared = Arc::new(Shared::new(account, options.behaviour, ledger));
        let router = Router::new()
            .merge(control::routes())
            .fallback(any(door::door))
            .with_state(Arc::clone(&shared));
        let service = Arc::new(Service { router, tls });
        let failed = |source| StartError::Listen { addr: options.listen, source };
        let socket = accept::bind(options.listen).await.map_err(failed)?;
        let addr = socket.local_addr().map_err(failed)?;
        let listening = Listening::on(socket, Arc::clone(&service)).map_err(failed)?;
        let place = Mutex::new(Place::Listening(listening));
        Ok(Self { addr, scheme, shared, service, place })
    }

    /// Where it listens, or did before it went away.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`, what the agent's `base_url` is to be.
    pub fn base_url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Every record that is stored, in the order in which they were.
    pub fn records(&self) -> Vec<StoredRecord> {
        self.shared.inner().ledger.all().cloned().collect()
    }

    /// Every picture that was uploaded since the start.
    pub fn pictures(&self) -> Vec<StoredPicture> {
        self.shared.inner().pictures.clone()
    }

    /// The switches as they are.
    pub fn behaviour(&self) -> Behaviour {
        self.shared.inner().behaviour.clone()
    }

    /// Sets every switch, from the next call on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.shared.inner().behaviour = behaviour;
    }

    /// Arms a fault for calls that store: `createbatch` and POST `create`.
    pub fn fault(&self, fault: Fault, times: Times) {
        self.fault_at(Target::Store, fault, times);
    }

    /// Arms a fault for other calls.
    pub fn fault_at(&self, path: Target, fault: Fault, times: Times) {
        self.order(FaultOrder { fault, path, times });
    }

    /// Arms a fault as a scenario says it.
    pub fn order(&self, order: FaultOrder) {
        self.shared.inner().armed.arm(order);
    }

    /// Disarms all faults.
    pub fn clear_faults(&self) {
        self.shared.inner().armed.clear();
    }

    /// What it was asked since the start, oldest first; the newest 100,000.
    pub fn requests(&self) -> Vec<RequestLog> {
        self.shared.inner().requests.all()
    }

    /// Everything in which what was sent departs from the page.
    pub fn violations(&self) -> Vec<String> {
        self.shared.inner().violations.all()
    }

    /// Loses a record that it has stored and acknowledged. `false` where there is none.
    pub fn lose(&self, id: &str) -> bool {
        let mut inner = self.shared.inner();
        let there = inner.ledger.get(id).is_some();
        there && inner.commit(Change::Delete(id.to_owned())).is_ok()
    }

    /// Ends every session, as a restart of the real server would.
    pub fn end_sessions(&self) {
        self.shared.inner().sessions.end_all();
    }

    /// Cuts every connection and refuses new ones; what is known stays, and records that
    /// were to be stored late still are. Done when this returns. Nothing if it is away
    /// already.
    pub async fn go_away(&self) {
        let mut place = self.place.lock().await;
        if let Place::Listening(_) = *place
            && let Place::Listening(listening) = std::mem::replace(&mut *place, Place::Away(None))
        {
            listening.close().await;
            *place = match accept::bind(self.addr).await {
                Ok(socket) => Place::Away(Some(socket)),
                Err(err) => {
                    tracing::warn!(addr = %self.addr, %err, "port not kept while away");
                    Place::Away(None)
                }
            };
        }
    }

    /// Listens again on the same port. Nothing if it never went away, or has stopped.
    ///
    /// # Errors
    /// [`StartError::Listen`], if somebody else has the port by now.
    pub async fn come_back(&self) -> Result<(), StartError> {
        let failed = |source| StartError::Listen { addr: self.addr, source };
        let mut place = self.place.lock().await;
        let Place::Away(socket) = &mut *place else {
            return Ok(());
        };
        let socket = match socket.take() {
            Some(socket) => socket,
            None => accept::bind(self.addr).await.map_err(failed)?,
        };
        let listening = Listening::on(socket, Arc::clone(&self.service)).map_err(failed)?;
        *place = Place::Listening(listening);
        Ok(())
    }

    /// Closes the port for good and gives up records that were to be stored late.
    pub async fn stop(&self) {
        let mut place = self.place.lock().await;
        if let Place::Listening(listening) = std::mem::replace(&mut *place, Place::Stopped) {
            listening.close().await;
        }
        self.shared.drop_late();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.drop_late();
    }
}

/// A server in the foreground until Ctrl-C; prints one line with its address.
///
/// # Errors
/// If it can't start, or Ctrl-C can't be waited for.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let server = Server::start(options).await?;
    println!("jobcloser simulator at {}", server.base_url());
    tokio::signal::ctrl_c().await.context("cannot wait for ctrl-c")?;
    server.stop().await;
    Ok(())
}
