//! A store that speaks S3, which others wrote.

use std::fs;
use std::path::Path;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) const BUCKET: &str = "bucket";

/// A server with one bucket and one key: its folder, and its URL.
pub(crate) async fn serve() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
    builder.set_auth(SimpleAuth::from_single("test-id", "test-secret"));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                // A client that goes away has what it wanted.
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (folder, url)
}

/// Gives those who read this folder of secrets a key.
pub(crate) fn credentials(secrets: &Path, secret: &str) {
    let folder = secrets.join("backup-store");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("access-key-id"), "test-id\n").unwrap();
    fs::write(folder.join("secret-access-key"), secret).unwrap();
}
