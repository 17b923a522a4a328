//! The gateway's certificate: read from the secrets, and again whenever it changes there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::{CertificateFiles, Secrets};

/// How soon a new certificate is taken. A Secret that changed reaches the files of a pod within a minute.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What connections are secured with, as of now.
#[derive(Clone)]
pub(super) struct Tls {
    current: watch::Receiver<Arc<ServerConfig>>,
}

impl Tls {
    /// With the certificate in the secrets, followed until `stop`. None when there is no certificate: then nothing is secured.
    ///
    /// # Errors
    /// When there is one that cannot be used: better no gateway than one that says in the clear what was to be secured.
    pub(super) fn start(secrets: &Secrets, stop: CancellationToken) -> io::Result<Option<Self>> {
        let Some(files) = secrets.certificate()? else { return Ok(None) };
        let (sender, current) = watch::channel(Arc::new(config(&files)?));
        tokio::spawn(follow(secrets.clone(), files, sender, stop));
        Ok(Some(Self { current }))
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.borrow().clone())
    }
}

async fn follow(
    secrets: Secrets,
    mut files: CertificateFiles,
    sender: watch::Sender<Arc<ServerConfig>>,
    stop: CancellationToken,
) {
    // What was refused once is not complained about every two seconds.
    let mut refused = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        // Between two files of a Secret that is being written nothing is complete; the next look sees it.
        let Ok(Some(seen)) = secrets.certificate() else { continue };
        if seen == files || refused.as_ref() == Some(&seen) {
            continue;
        }
        match config(&seen) {
            Ok(config) => {
                sender.send_replace(Arc::new(config));
                tracing::info!("the gateway's certificate was replaced");
                (files, refused) = (seen, None);
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate cannot be used; the one before stays");
                refused = Some(seen);
            }
        }
    }
}

fn config(files: &CertificateFiles) -> io::Result<ServerConfig> {
    let wrong = |what: &str, error: String| io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {error}"));
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&files.certificate).collect();
    let chain = chain.map_err(|error| wrong("tls.crt", error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("tls.crt", "no certificate is in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|error| wrong("tls.key", error.to_string()))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|error| wrong("tls.crt and tls.key", error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
