//! Connections of the gateway, with TLS or without, HTTP/1.1 or 2: how many there may be, and how long one may keep silent.
//! `axum::serve` sets no limits, so that clients which never finish a request would fill the process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

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

/// Serves until `stop`, then finishes what was begun.
pub(super) async fn serve(
    mut listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    limits: Limits,
    tls: Option<Tls>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let http = Arc::new(Http::new(&limits));
    let begun = GracefulShutdown::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            // Errors such as too many open files are waited out in there.
            let (stream, _) = Listener::accept(&mut listener).await;
            (place, stream)
        };
        let (place, stream) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
        };
        let (http, tls, stop) = (http.clone(), tls.clone(), stop.clone());
        let client = Client { http, router: router.clone(), watcher: begun.watcher() };
        tokio::spawn(async move {
            let _place = place;
            // One that has not begun when the process is told to stop has nothing to finish.
            let (client, secured) = tokio::select! {
                begun = begin(client, stream, tls, limits) => match begun {
                    Ok(begun) => begun,
                    Err(error) => return tracing::debug!(%error, "a connection did not begin"),
                },
                () = stop.cancelled() => return,
            };
            client.converse(secured).await;
        });
    }
    drop(listener);
    begun.shutdown().await;
}

/// What a connection needs to be spoken on.
struct Client {
    http: Arc<Http>,
    router: Router,
    watcher: Watcher,
}

/// A connection on which requests can be read, and whether they come as HTTP/2.
struct Begun {
    stream: Box<dyn Stream>,
    is_http2: bool,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The handshake, where there is one, and which version the client speaks.
async fn begin(client: Client, stream: TcpStream, tls: Option<Tls>, limits: Limits) -> io::Result<(Client, Begun)> {
    // Answers are written whole; waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    let begun = match tls {
        Some(tls) => {
            let stream = tokio::time::timeout(limits.handshake, tls.acceptor().accept(stream)).await??;
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Begun { stream: Box::new(stream), is_http2 }
        }
        None => {
            let is_http2 = tokio::time::timeout(limits.header, speaks_http2(&stream)).await??;
            Begun { stream: Box::new(stream), is_http2 }
        }
    };
    Ok((client, begun))
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
    async fn converse(self, begun: Begun) {
        let http = if begun.is_http2 { &self.http.http2 } else { &self.http.http1 };
        let service = TowerToHyperService::new(self.router);
        let connection = http.serve_connection(TokioIo::new(begun.stream), service).into_owned();
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n";
    const PATIENCE: Duration = Duration::from_secs(10);

    async fn server(limits: Limits) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let slowly = get(async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        });
        let router = Router::new().route("/", get(async || "here")).route("/slow", slowly);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        (address, stop.clone(), tokio::spawn(serve(listener, router, stop, limits, None)))
    }

    /// What the server says until it closes the connection.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(ended.is_ok(), "the connection does not end: {text}");
        text
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_its_headers_is_sent_away() {
        let (address, ..) = server(Limits { header: Duration::from_millis(200), ..Limits::default() }).await;
        let mut unfinished = TcpStream::connect(address).await.unwrap();
        unfinished.write_all(b"POST /v1/payments HTTP/1.1\r\nhost: ").await.unwrap();
        let silent = TcpStream::connect(address).await.unwrap();
        let mut kept_alive = TcpStream::connect(address).await.unwrap();
        kept_alive.write_all(REQUEST).await.unwrap();
        let (_, _, answered) = tokio::join!(rest(unfinished), rest(silent), rest(kept_alive));
        assert!(answered.ends_with("here"), "{answered}");
    }

    #[tokio::test]
    async fn more_connections_than_there_are_places_wait_their_turn() {
        let limits = Limits { connections: 1, header: Duration::from_millis(300), ..Limits::default() };
        let (address, ..) = server(limits).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET ").await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), second.read_u8()).await;
        assert!(early.is_err(), "answered while the only place is taken");
        assert!(rest(second).await.ends_with("here"));
    }

    #[tokio::test]
    async fn headers_that_are_too_long_are_refused() {
        let (address, ..) = server(Limits::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: shop\r\nx-long: {}\r\n\r\n", "a".repeat(200 * 1024));
        // The server may have closed before all of it was written.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }

    #[tokio::test]
    async fn what_was_begun_is_finished_after_the_stop_and_idle_connections_end() {
        let (address, stop, serving) = server(Limits::default()).await;
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(REQUEST).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        let (busy, idle) = tokio::join!(rest(busy), rest(idle));
        assert!(busy.ends_with("done") && idle.ends_with("here"), "{busy}{idle}");
        tokio::time::timeout(PATIENCE, serving).await.expect("the server ends").unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
