//! The merchants' endpoint for events: checks each signature, and sometimes fails as endpoints do.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use crate::{
    chance::mix,
    http1::{header, read_message},
};

/// An event that was received, in the order of receipt; also what is answered with an error was received.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) event: String,
    pub(super) payment: Option<String>,
    pub(super) sequence: i64,
    /// Whether it was answered with 2xx.
    pub(super) taken: bool,
}

/// What merchants know.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    received: Mutex<Vec<Received>>,
    wrong: Mutex<Vec<String>>,
    secrets: Mutex<Vec<String>>,
    number: AtomicU64,
    /// From then on it takes everything at once, so that the run comes to an end.
    healthy: AtomicBool,
}

impl Receiver {
    /// Listens: its port. Endpoint `n` is at the path `/n`.
    pub(super) async fn start(self: &Arc<Self>) -> Result<u16> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let receiver = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = Arc::clone(&receiver);
                tokio::spawn(async move {
                    // A sender that was killed hangs up within a message, and sends the event again.
                    let _ = receiver.serve(stream).await;
                });
            }
        });
        Ok(port)
    }

    /// The secret of the next endpoint.
    pub(super) fn expect(&self, secret: String) {
        lock(&self.secrets).push(secret);
    }

    /// No more failures.
    pub(super) fn heal(&self) {
        self.healthy.store(true, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.received).len()
    }

    pub(super) fn take(&self) -> (Vec<Received>, Vec<String>) {
        (std::mem::take(&mut *lock(&self.received)), std::mem::take(&mut *lock(&self.wrong)))
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let mut buffer = Vec::new();
        while let Some((head, end)) = read_message(&mut stream, &mut buffer).await? {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let failure = if self.healthy.load(Ordering::Relaxed) { 99 } else { mix(number) % 100 };
            let taken = failure >= 6;
            if let Err(error) = self.note(&buffer[..head], &buffer[head + 4..end], taken) {
                lock(&self.wrong).push(format!("an event that was not understood: {error:#}"));
            }
            buffer.drain(..end);
            match failure {
                0..3 => stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n").await?,
                // Received, and the sender does not know.
                3..6 => return Ok(()),
                6..9 => {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
                }
                _ => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?,
            }
        }
        Ok(())
    }

    fn note(&self, head: &[u8], body: &[u8], taken: bool) -> Result<()> {
        let secret = self.secret(head)?;
        let mut headers = HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let value = header(head, name.as_bytes()).with_context(|| format!("no {name}"))?;
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        }
        Webhook::new(&secret)?.verify(body, &headers)?;
        let event: Value = serde_json::from_slice(body)?;
        let id = event["id"].as_str().context("an event without an id")?.to_owned();
        anyhow::ensure!(headers["webhook-id"].to_str()? == id, "webhook-id is not the event's id {id}");
        let payment = event["data"]["payment"]["id"].as_str().map(str::to_owned);
        let sequence = event["sequence"].as_i64().unwrap_or(0);
        lock(&self.received).push(Received { event: id, payment, sequence, taken });
        Ok(())
    }

    fn secret(&self, head: &[u8]) -> Result<String> {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let path = std::str::from_utf8(line)?.split(' ').nth(1).context("no path")?;
        let number: usize = path.trim_start_matches('/').parse()?;
        lock(&self.secrets).get(number).cloned().context("no such endpoint")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
