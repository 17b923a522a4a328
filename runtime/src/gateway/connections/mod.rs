//! Connections of the gateway, with TLS or without, HTTP/1.1 or 2: how many there may be, and how long one may keep silent.
//! `axum::serve` sets no limits, so that clients which never finish a request would fill the process.

mod idle;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use http::{HeaderValue, header};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::idle::InWork;
use super::tls::Tls;

/// What every HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often a client that is at its first bytes is looked at.
const PREFACE_POLL: Duration = Duration::from_millis(10);

/// What a client may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Connections at a time. Further ones wait in the system's own queue.
    connections: usize,
    /// From the connection to the end of its TLS handshake.
    handshake: Duration,
    /// From the connection, or the answer before, to the last header of a request. Over HTTP/2: without an answer to a ping.
    header: Duration,
    /// Without a request in work, and then once more to end politely. A client may answer pings for ever.
    idle: Duration,
    /// After this, and up to as long again by chance, the next answer on a connection is its last one. Clients that keep their
    /// connections would otherwise never meet a release that gets its share of the traffic, nor a pod that comes later.
    age: Duration,
    /// About so many bytes of request line and headers, 8 KiB at least.
    header_bytes: u32,
    /// Requests at a time within one HTTP/2 connection.
    streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Far more than one process settles within the longest wait, and a few tens of megabytes when all are in use.
            connections: 2048,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(30),
            // Longer than clients keep what they do not use, 90 s by habit: it is mostly they who end a connection.
            idle: Duration::from_secs(120),
            age: Duration::from_secs(10),
            header_bytes: 32 * 1024,
            streams: 128,
        }
    }
}

/// How connections are spoken on: one way per version, so that no client decides by keeping silent.
struct Http {
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
}

impl Http {
    fn new(limits: &Limits) -> Self {
        let mut http1 = Builder::new(TokioExecutor::new()).http1_only();
        let bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
        http1.http1().timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(bytes);
        let mut http2 = Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(limits.header_bytes)
            .max_concurrent_streams(limits.streams)
            .keep_alive_interval(limits.header)
            .keep_alive_timeout(limits.header);
        Self { http1, http2 }
    }
}

/// How a server ends.
#[derive(Clone)]
pub(super) struct End {
    /// From now on the next answer on a connection, old or new, is its last one. A connection without a request stays:
    /// its client may be sending one.
    pub(super) leaving: CancellationToken,
    /// No connection is taken any more. What was begun is finished; connections without a request end.
    pub(super) stop: CancellationToken,
}

/// Serves until `end.stop`, then finishes what was begun.
pub(super) async fn serve(mut listener: TcpListener, router: Router, end: End, limits: Limits, tls: Option<Tls>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let http = Arc::new(Http::new(&limits));
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            // Errors such as too many open files are waited out in there.
            let (stream, _) = Listener::accept(&mut listener).await;
            (place, stream)
        };
        let (place, stream) = tokio::select! {
            next = next => next,
            () = end.stop.cancelled() => break,
        };
        let (tls, client) = (tls.clone(), Client { http: http.clone(), router: router.clone(), end: end.clone() });
        tokio::spawn(async move {
            let _place = place;
            // One that has not begun when the process is told to stop has nothing to finish.
            let begun = tokio::select! {
                begun = begin(stream, tls, limits) => begun,
                () = client.end.stop.cancelled() => return,
            };
            match begun {
                Ok(begun) => client.converse(begun, &limits).await,
                Err(error) => tracing::debug!(%error, "a connection did not begin"),
            }
        });
    }
    drop(listener);
    // All places are free when all connections are at their end. They are never closed, so that this cannot fail.
    let _ = places.acquire_many(u32::try_from(limits.connections).unwrap_or(u32::MAX)).await;
}

/// What a connection needs to be spoken on.
struct Client {
    http: Arc<Http>,
    router: Router,
    end: End,
}

/// A connection on which requests can be read, and whether they come as HTTP/2.
struct Begun {
    stream: Box<dyn Stream>,
    is_http2: bool,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The handshake, where there is one, and which version the client speaks.
async fn begin(stream: TcpStream, tls: Option<Tls>, limits: Limits) -> io::Result<Begun> {
    // Answers are written whole; waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    Ok(match tls {
        Some(tls) => {
            let stream = tokio::time::timeout(limits.handshake, tls.acceptor().accept(stream)).await??;
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Begun { stream: Box::new(stream), is_http2 }
        }
        None => {
            let is_http2 = tokio::time::timeout(limits.header, speaks_http2(&stream)).await??;
            Begun { stream: Box::new(stream), is_http2 }
        }
    })
}

/// Looks at the first bytes without taking them. Whatever differs from the preface is HTTP/1, by its first bytes already.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; HTTP2_PREFACE.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 || seen[..count] != HTTP2_PREFACE[..count] {
            return Ok(false);
        }
        if count == seen.len() {
            return Ok(true);
        }
        tokio::time::sleep(PREFACE_POLL).await;
    }
}

impl Client {
    async fn converse(self, begun: Begun, limits: &Limits) {
        let Begun { stream, is_http2 } = begun;
        let http = if is_http2 { &self.http.http2 } else { &self.http.http1 };
        let (in_work, router) = (InWork::default(), TowerToHyperService::new(self.router));
        let (idle, last) = (limits.idle, self.end.leaving.child_token());
        let aging = async {
            tokio::time::sleep(limits.age.mul_f64(1.0 + rand::random::<f64>())).await;
            last.cancel();
            std::future::pending::<()>().await;
        };
        let service = service_fn(|request| {
            let (working, answer) = (in_work.begin(), router.call(request));
            let last_after = (!is_http2).then(|| last.clone());
            async move {
                let _working = working;
                let mut answer = answer.await?;
                // The header ends the connection here, too. To tell hyper of it may be too late: an answer that is there at
                // once is written, without the header, before anything else runs.
                if last_after.is_some_and(|last| last.is_cancelled()) {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.end.of_connection(&in_work, &last, is_http2) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = aging => return,
            () = in_work.idle_for(idle) => {
                // A request that comes at this moment is either answered still, or refused unread.
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(idle, connection).await.unwrap_or_else(|late| Err(late.into()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

impl End {
    /// Returns when a connection is to be told that it ends. Over HTTP/1 that is the stop: what has no request then is closed
    /// at once. Over HTTP/2 it is the first request after `last`: this and what the client has sent already is answered.
    async fn of_connection(&self, in_work: &InWork, last: &CancellationToken, is_http2: bool) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = in_work.next_after(last), if is_http2 => {}
        }
    }
}

#[cfg(test)]
mod tests;
