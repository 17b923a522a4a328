//! The gateway with a certificate, and HTTP/2 with and without one.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use support::TestApp;
use support::gateway::start;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const REQUEST: &[u8] = b"GET /v1/openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame: no payload, type 4, no flags, stream 0.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Writes a new certificate for localhost into the secrets.
fn renew(secrets: &Path) -> CertificateDer<'static> {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::create_dir_all(secrets.join("tls")).unwrap();
    std::fs::write(secrets.join("tls/tls.crt"), identity.cert.pem()).unwrap();
    std::fs::write(secrets.join("tls/tls.key"), identity.signing_key.serialize_pem()).unwrap();
    identity.cert.der().clone()
}

/// A gateway with a certificate: where it is, and whom to trust.
async fn gateway() -> (TestApp, SocketAddr, CertificateDer<'static>) {
    let app = TestApp::new().await;
    let certificate = renew(app.secrets.path());
    let url = start(app.app.clone()).await;
    (app, url.trim_start_matches("http://").parse().unwrap(), certificate)
}

async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Asks for the API's document: the whole answer.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    // A server may close without TLS's own farewell.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Begins HTTP/2: the type of the server's first frame, which must be SETTINGS.
async fn first_frame(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> u8 {
    // In pieces, as a slow client would.
    for piece in PREFACE.chunks(7) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.write_all(SETTINGS).await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    head[3]
}

#[tokio::test]
async fn with_a_certificate_the_gateway_speaks_tls_and_nothing_else() {
    let (_app, address, certificate) = gateway().await;
    let mut secured = connect(address, &certificate, &[]).await.unwrap();
    assert!(ask(&mut secured).await.starts_with("HTTP/1.1 200 OK"));
    let mut plain = TcpStream::connect(address).await.unwrap();
    let answer = ask(&mut plain).await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
}

#[tokio::test]
async fn a_client_chooses_its_version_of_http() {
    let (_app, address, certificate) = gateway().await;
    let mut second = connect(address, &certificate, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(second.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    assert_eq!(first_frame(&mut second).await, 4);
    let mut first = connect(address, &certificate, &[b"http/1.1"]).await.unwrap();
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn without_a_certificate_both_versions_are_spoken_in_the_clear() {
    let app = TestApp::new().await;
    let url = start(app.app.clone()).await;
    let address: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
    let mut first = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200 OK"));
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(first_frame(&mut second).await, 4);
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let (app, address, before) = gateway().await;
    let secrets = app.secrets.path();
    connect(address, &before, &[]).await.expect("it has begun");
    std::fs::write(secrets.join("tls/tls.crt"), "no certificate").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    connect(address, &before, &[]).await.expect("the one before stays");
    let after = renew(secrets);
    let begin = std::time::Instant::now();
    while connect(address, &after, &[]).await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(20), "the new one is not taken");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(connect(address, &before, &[]).await.is_err(), "the one before is gone");
}

#[tokio::test]
async fn a_gateway_whose_certificate_cannot_be_used_does_not_start() {
    let app = TestApp::new().await;
    renew(app.secrets.path());
    std::fs::remove_file(app.secrets.path().join("tls/tls.key")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = runtime::gateway::serve_on(app.app.clone(), listener).await.unwrap_err().to_string();
    assert!(error.contains("tls/tls.key"), "{error}");
}
