//! Whether anybody answers at a provider's endpoint.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An endpoint that does not answer in this time counts as gone.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What became of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Somebody answered; with what status does not matter, for the probe carries no credential.
    Answered,
    /// Nobody did, for this reason, in words.
    Silent {
        /// One word.
        reason: &'static str,
        /// A sentence.
        message: String,
    },
}

/// Asks endpoints, each of them once per interval however often it is looked at: an answer that changes is a status
/// that changes, which is a reason to look again.
#[derive(Debug)]
pub struct Prober {
    http: reqwest::Client,
    interval: Duration,
    /// When each endpoint was asked last, and what came of it. Whoever starts anew merely asks once more.
    asked: Mutex<HashMap<String, (Instant, Probe)>>,
}

impl Prober {
    /// Asks by this client, at most once per interval.
    #[must_use]
    pub fn new(http: reqwest::Client, interval: Duration) -> Self {
        Self { http, interval, asked: Mutex::default() }
    }

    /// What became of the last probe, and how soon the next one is due.
    pub async fn ask(&self, endpoint: &str) -> (Probe, Duration) {
        if let Some(known) = self.known(endpoint) {
            return known;
        }
        let probe = probe(&self.http, endpoint).await;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, (at, _)| at.elapsed() < self.interval);
        asked.insert(endpoint.to_owned(), (Instant::now(), probe.clone()));
        (probe, self.interval)
    }

    fn known(&self, endpoint: &str) -> Option<(Probe, Duration)> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, probe) = asked.get(endpoint)?;
        let due = self.interval.checked_sub(at.elapsed()).filter(|due| !due.is_zero())?;
        Some((probe.clone(), due))
    }
}

/// Asks once. No credential travels with it, and no redirect is followed.
async fn probe(http: &reqwest::Client, endpoint: &str) -> Probe {
    match http.get(endpoint).timeout(TIMEOUT).send().await {
        Ok(_) => Probe::Answered,
        Err(error) => {
            let causes = causes(&error);
            judge(endpoint, error.is_timeout(), &causes)
        }
    }
}

fn causes(error: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push(cause.to_string());
        source = cause.source();
    }
    words.join(": ")
}

/// From an error's words to a reason. The words differ between systems; the sentence a person reads does not.
fn judge(endpoint: &str, is_timeout: bool, causes: &str) -> Probe {
    let lower = causes.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let (reason, what) = if is_timeout || has(&["timed out"]) {
        ("Timeout", format!("does not answer within {} s", TIMEOUT.as_secs()))
    } else if has(&["dns", "lookup", "resolve", "name or service"]) {
        ("NameNotFound", "has a host name that does not resolve from the operator".to_owned())
    } else if has(&["refused"]) {
        ("Refused", "refuses the connection".to_owned())
    } else if has(&["certificate", "tls", "handshake"]) {
        ("TlsFailed", format!("has no TLS certificate that the operator trusts ({causes})"))
    } else {
        ("Unreachable", format!("cannot be reached ({causes})"))
    };
    Probe::Silent { reason, message: format!("{endpoint} {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_not_answering_has_a_name() {
        let cases = [
            (true, "", "Timeout"),
            (false, "client error (Connect): dns error: failed to lookup address information", "NameNotFound"),
            (false, "tcp connect error: Connection refused (os error 111)", "Refused"),
            (false, "invalid peer certificate: UnknownIssuer", "TlsFailed"),
            (false, "connection closed before message completed", "Unreachable"),
        ];
        for (is_timeout, causes, expected) in cases {
            let Probe::Silent { reason, message } = judge("https://x", is_timeout, causes) else {
                panic!("it answered")
            };
            assert_eq!(reason, expected);
            assert!(message.starts_with("https://x "), "{message}");
        }
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_refuses_and_any_answer_counts() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = format!("http://{address}");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
        });
        assert_eq!(probe(&http, &endpoint).await, Probe::Answered);
        server.await.unwrap();
        let Probe::Silent { reason, .. } = probe(&http, &endpoint).await else { panic!("it answered") };
        assert_eq!(reason, "Refused");
    }
}
