//! A node that has nothing but logs: answers as a kubelet would when the API server asks for those of a container.

use std::sync::Arc;

use anyhow::{Context, Result};
use e2e::control_plane::ControlPlane;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A node, for as long as it is held.
pub(crate) struct LogNode {
    task: JoinHandle<()>,
}

impl LogNode {
    /// Each container says what it was asked for, once; who follows it hears nothing more, and is kept.
    pub(crate) async fn start(plane: &ControlPlane, client: &Client, name: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let acceptor = acceptor(plane)?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), stream));
            }
        });
        let nodes: Api<Node> = Api::all(client.clone());
        nodes.create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": name}}))?).await?;
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(Self { task })
    }
}

impl Drop for LogNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// With the certificate that the control plane's authority made for a kubelet.
fn acceptor(plane: &ControlPlane) -> Result<TlsAcceptor> {
    let pki = plane.kubeconfig_path.parent().context("no folder")?.join("pki");
    let certificate = CertificateDer::from_pem_file(pki.join("kubelet-serving.crt"))?;
    let key = PrivateKeyDer::from_pem_file(pki.join("kubelet-serving.key"))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What cannot be answered shows in the test, which waits for it.
async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> Option<()> {
    let mut stream = acceptor.accept(stream).await.ok()?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let request = String::from_utf8(request).ok()?;
    let path = request.split(' ').nth(1)?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{head}asked for {path}\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    if path.contains("follow=true") {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await.ok()
}
