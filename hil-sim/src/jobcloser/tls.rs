//! The server's certificate: read from PEM files, or the bench's own.
//!
//! The bench certificate is self-signed for `localhost`, `127.0.0.1` and `::1`, and its key
//! is public: it proves nothing but that TLS works.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

const BENCH_CERT: &str = include_str!("tls/bench-cert.pem");
const BENCH_KEY: &str = include_str!("tls/bench-key.pem");

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why TLS can't be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The certificate and the key don't make a server.
    #[error("cannot offer TLS with {}", path.display())]
    Offer {
        /// The certificate.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

impl TlsFiles {
    /// Writes the bench certificate (`bench-cert.pem`, which a client is to trust) and its
    /// key into a directory.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn bench(dir: &Path) -> io::Result<Self> {
        let files = Self { cert: dir.join("bench-cert.pem"), key: dir.join("bench-key.pem") };
        std::fs::write(&files.cert, BENCH_CERT)?;
        std::fs::write(&files.key, BENCH_KEY)?;
        Ok(files)
    }

    /// What accepts TLS with them.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let read = |path: &Path, source| TlsError::Read { path: path.to_owned(), source };
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|err| read(&self.cert, err))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|err| read(&self.key, err))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|source| TlsError::Offer { path: self.cert.clone(), source })?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
