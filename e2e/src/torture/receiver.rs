//! The merchants' endpoint for events: checks each signature, and sometimes fails as endpoints do.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use http::{StatusCode, request::Parts};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::time::sleep;

use crate::{
    chance::mix,
    endpoint::{self, Answer},
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
        let receiver = Arc::clone(self);
        endpoint::listen(move |head, body| {
            let receiver = Arc::clone(&receiver);
            async move { receiver.take_in(&head, &body).await }
        })
        .await
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

    async fn take_in(&self, head: &Parts, body: &[u8]) -> Result<Answer> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let failure = if self.healthy.load(Ordering::Relaxed) { 99 } else { mix(number) % 100 };
        if let Err(error) = self.note(head, body, failure >= 6) {
            lock(&self.wrong).push(format!("an event that was not understood: {error:#}"));
        }
        let mut answer = Answer::default();
        *answer.status_mut() = match failure {
            0..3 => StatusCode::INTERNAL_SERVER_ERROR,
            3..6 => bail!("received, and the sender does not know"),
            6..9 => {
                sleep(Duration::from_millis(300)).await;
                StatusCode::NO_CONTENT
            }
            _ => StatusCode::NO_CONTENT,
        };
        Ok(answer)
    }

    fn note(&self, head: &Parts, body: &[u8], taken: bool) -> Result<()> {
        let secret = self.secret(head.uri.path())?;
        Webhook::new(&secret)?.verify(body, &head.headers)?;
        let event: Value = serde_json::from_slice(body)?;
        let id = event["id"].as_str().context("an event without an id")?.to_owned();
        let named = head.headers.get("webhook-id").context("no webhook-id")?;
        ensure!(named.to_str()? == id, "webhook-id is not the event's id {id}");
        let payment = event["data"]["payment"]["id"].as_str().map(str::to_owned);
        let sequence = event["sequence"].as_i64().unwrap_or(0);
        lock(&self.received).push(Received { event: id, payment, sequence, taken });
        Ok(())
    }

    fn secret(&self, path: &str) -> Result<String> {
        let number: usize = path.trim_start_matches('/').parse()?;
        lock(&self.secrets).get(number).cloned().context("no such endpoint")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
