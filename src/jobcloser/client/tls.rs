//! TLS by the agent's own clock (RULES.md, 19): a board that woke in 1970 connects once
//! the GPS has told the time, and not before. An expired certificate never passes, so
//! sessions aren't resumed: a resumed one would not look at the certificate again.
//!
//! Doesn't know where the time comes from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};

use super::{ClientError, Now};

/// The system's root certificates, and those in `ca_file` unless that is empty.
pub(super) fn roots(ca_file: &Path) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(system.certs);
    if !system.errors.is_empty() || unusable > 0 {
        let unreadable = system.errors.len();
        tracing::warn!(unreadable, unusable, "some of the system's root certificates are not used");
    }
    if !ca_file.as_os_str().is_empty() {
        add_file(&mut roots, ca_file)?;
    }
    if roots.is_empty() { Err(ClientError::NoRoots) } else { Ok(roots) }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ClientError> {
    let unreadable = |source| ClientError::CaFile { path: path.to_owned(), source };
    let unusable = |source| ClientError::CaCertificate { path: path.to_owned(), source };
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?).map_err(|err| unusable(Some(err)))?;
    }
    if roots.len() == before { Err(unusable(None)) } else { Ok(()) }
}

/// TLS 1.2 and 1.3 with ring, HTTP/1.1 alone.
pub(super) fn config(roots: RootCertStore, now: Now) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(AgentClock(now)))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Where no time is known, there is none for rustls either, and the handshake fails.
struct AgentClock(Now);

impl TimeProvider for AgentClock {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from((self.0)()?.0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

impl fmt::Debug for AgentClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentClock")
    }
}
