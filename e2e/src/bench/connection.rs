//! A connection to a gateway that stays open for many requests and costs little: the load shares two processors with what
//! it measures.

use anyhow::{Context as _, Result};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const NO_ANSWER: &str = "no answer of the gateway";

/// A request whose body is known.
pub(super) type Whole = Request<Full<Bytes>>;

/// A connection that stays open for many requests.
#[derive(Debug)]
pub(super) struct Connection {
    port: u16,
    requests: SendRequest<Full<Bytes>>,
    // Driven by whoever waits for an answer: on a task of its own every answer would cross from one task to another. None
    // when the gateway has closed it.
    traffic: Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    body: Bytes,
}

impl Connection {
    pub(super) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (requests, traffic) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { port, requests, traffic: Some(traffic) })
    }

    /// Sends a request and reads the whole answer. A connection that the gateway has ended, as it does with old ones, is opened
    /// anew before.
    pub(super) async fn call(&mut self, request: Whole) -> Result<Answer> {
        if !self.is_open().await {
            *self = Self::open(self.port).await?;
        }
        let Self { requests, traffic, .. } = self;
        let exchange = async {
            requests.ready().await?;
            let (head, body) = requests.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>(Answer { status: head.status.as_u16(), body: body.collect().await?.to_bytes() })
        };
        tokio::pin!(exchange);
        if let Some(going) = traffic {
            tokio::select! {
                biased;
                answer = &mut exchange => return answer.context(NO_ANSWER),
                _ = going => {}
            }
            // Closed, perhaps behind the answer. Until it is dropped, requests wait for it.
            *traffic = None;
        }
        exchange.await.context(NO_ANSWER)
    }

    async fn is_open(&mut self) -> bool {
        let Some(going) = &mut self.traffic else { return false };
        tokio::select! {
            // First, for it may hold the end.
            biased;
            _ = going => false,
            ready = self.requests.ready() => ready.is_ok(),
        }
    }
}

impl Answer {
    /// The id of the payment that it names, if it does.
    pub(super) fn payment(&self) -> Option<u128> {
        payment_id(&self.body)
    }

    /// Whether it says that the payment succeeded.
    pub(super) fn succeeded(&self) -> bool {
        std::str::from_utf8(&self.body).is_ok_and(|body| body.contains(r#""status":"SUCCESS""#))
    }

    /// For a person.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(1000).collect()
    }
}

/// The id of the payment that a body names first. Looked for rather than parsed: that is cheaper.
pub(super) fn payment_id(body: &[u8]) -> Option<u128> {
    let (_, rest) = std::str::from_utf8(body).ok()?.split_once(r#""pay_"#)?;
    u128::from_str_radix(rest.get(..32)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use anyhow::anyhow;

    use super::*;
    use crate::endpoint;

    #[test]
    fn an_answer_is_understood() {
        let body = br#"{"id":"pay_000000000000000000000000000000ff","status":"SUCCESS"}"#;
        assert_eq!(payment_id(body), Some(255));
        assert_eq!(payment_id(b"{}"), None);
        assert_eq!(payment_id(b"{\"pay_ff"), None);
        assert!(Answer { status: 201, body: Bytes::from_static(body) }.succeeded());
        assert!(!Answer { status: 202, body: Bytes::from_static(b"{\"status\":\"PENDING\"}") }.succeeded());
    }

    #[tokio::test]
    async fn a_connection_is_good_for_many_requests_and_says_so_when_the_other_side_hangs_up() {
        let taken = Arc::new(AtomicUsize::new(0));
        let port = endpoint::listen(move |head, body| {
            let number = taken.fetch_add(1, Ordering::Relaxed);
            std::future::ready(match number {
                0..3 if head.uri.path() == "/here" && body == "whole" => Ok(endpoint::Answer::default()),
                _ => Err(anyhow!("hangs up")),
            })
        });
        let mut connection = Connection::open(port.await.unwrap()).await.unwrap();
        let request = || Request::post("/here").header("host", "test").body(Full::from("whole")).unwrap();
        for _ in 0..3 {
            assert_eq!(connection.call(request()).await.unwrap().status, 200);
        }
        assert!(connection.call(request()).await.is_err(), "no answer came");
        assert!(connection.call(request()).await.is_err(), "nor over another connection");
    }
}
