//! Merchants that pay: each sends its next payment when the one before is answered.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::Result;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use tokio::task::JoinSet;

use super::{
    connection::{Connection, Whole},
    track::Tracker,
};
use crate::{chance::mix, processes::Seeds};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What all clients of a run share.
#[derive(Debug)]
pub(super) struct Load {
    seeds: Seeds,
    /// What every request of a merchant carries, by merchant.
    headers: Vec<HeaderMap>,
    path: Uri,
    ports: Vec<u16>,
    tracker: Arc<Tracker>,
    sent: AtomicU64,
    /// Keys never come twice, also not in two runs on one database.
    run: u128,
    pub(super) problems: Problems,
}

/// What was not answered as it should be.
#[derive(Debug, Default)]
pub(super) struct Problems {
    noted: Mutex<Noted>,
    pub(super) accepted_only: AtomicU64,
    /// The database was restarted: whoever is told to send the same again is told right.
    pub(super) may_retry: AtomicBool,
}

/// How many, and the first of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    pub(super) count: u64,
    pub(super) first: Option<String>,
}

impl Problems {
    fn note(&self, what: impl FnOnce() -> String) {
        let mut noted = self.lock();
        noted.count += 1;
        noted.first.get_or_insert_with(what);
    }

    pub(super) fn noted(&self) -> Noted {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    pub(super) fn new(seeds: Seeds, ports: Vec<u16>, tracker: Arc<Tracker>) -> Result<Self> {
        let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let headers = seeds.keys.iter().map(|key| headers(key)).collect::<Result<_>>()?;
        let (path, sent, problems) = (Uri::from_static("/v1/payments"), AtomicU64::new(0), Problems::default());
        Ok(Self { seeds, headers, path, ports, tracker, sent, run, problems })
    }

    /// How many cards there are in all.
    fn cards(&self) -> u64 {
        self.seeds.methods.iter().map(|methods| methods.len() as u64).sum()
    }

    /// Whether every card was paid with once.
    pub(super) fn all_came(&self) -> bool {
        self.sent.load(Ordering::Relaxed) >= self.cards()
    }

    /// The gateway for the `n`th client.
    pub(super) fn port(&self, n: usize) -> u16 {
        self.ports[n % self.ports.len()]
    }

    /// Pays once, and says whether the connection is still good.
    pub(super) async fn pay(&self, connection: &mut Connection) -> bool {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        match connection.call(self.request(number)).await {
            Ok(answer) => {
                match (answer.status, answer.payment()) {
                    (201, Some(payment)) if answer.succeeded() => self.tracker.answered(payment),
                    (202, Some(payment)) => {
                        self.problems.accepted_only.fetch_add(1, Ordering::Relaxed);
                        self.tracker.answered(payment);
                    }
                    (503, _) if self.problems.may_retry.load(Ordering::Relaxed) => {}
                    _ => self.problems.note(|| format!("status {}: {}", answer.status, answer.shown())),
                }
                true
            }
            Err(error) => {
                self.problems.note(|| format!("{error:#}"));
                false
            }
        }
    }

    fn request(&self, number: u64) -> Whole {
        let random = mix(number + 1);
        // First each card once, as over the hours before; then whoever comes.
        let place = if number < self.cards() { number } else { mix(random) };
        let merchant = usize::try_from(place).unwrap_or(0) % self.seeds.keys.len();
        let methods = &self.seeds.methods[merchant];
        let method = &methods[usize::try_from(place).unwrap_or(0) / self.seeds.keys.len() % methods.len()];
        let (whole, hundredths) = (random % 200 + 1, random % 100);
        let body = format!(
            r#"{{"amount":"{whole}.{hundredths:02}","currency":"USD","payment_method_id":"{method}","description":"order {number}"}}"#
        );
        let key = HeaderValue::try_from(format!("{:x}-{number}", self.run));
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers[merchant].clone();
        request.headers_mut().insert(IDEMPOTENCY_KEY, key.unwrap_or_else(|_| unreachable!("digits")));
        request
    }
}

fn headers(api_key: &str) -> Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(HOST, HeaderValue::from_static("gateway"));
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {api_key}"))?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// `clients` pay one payment after the other until `stop`. Returns the times of the answers.
pub(super) async fn closed_loop(load: Arc<Load>, clients: usize, stop: Arc<AtomicBool>) -> Result<Vec<u64>> {
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let (load, stop) = (Arc::clone(&load), Arc::clone(&stop));
        tasks.spawn(async move {
            let mut times = Vec::new();
            let mut connection = Connection::open(load.port(number)).await?;
            while !stop.load(Ordering::Relaxed) {
                let begin = Instant::now();
                if !load.pay(&mut connection).await {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    connection = Connection::open(load.port(number)).await?;
                }
                times.push(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            Ok::<_, anyhow::Error>(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times??);
    }
    Ok(all)
}
