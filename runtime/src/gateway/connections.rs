//! Connections of the gateway: how many there may be, and how long one may keep silent. `axum::serve` sets no limits, so
//! that clients which never finish a request would fill the process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What a client may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Connections at a time. Further ones wait in the system's own queue.
    connections: usize,
    /// From the connection, or the answer before, to the last header of a request.
    header: Duration,
    /// About so many bytes of request line and headers, 8 KiB at least.
    header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // Far more than one process settles within the longest wait, and a few tens of megabytes when all are in use.
        Self { connections: 2048, header: Duration::from_secs(30), header_bytes: 32 * 1024 }
    }
}

/// Serves until `stop`, then finishes what was begun.
pub(super) async fn serve(mut listener: TcpListener, router: Router, stop: CancellationToken, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(limits.header_bytes);
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
        let service = TowerToHyperService::new(router.clone());
        let connection = begun.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    drop(listener);
    begun.shutdown().await;
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
        (address, stop.clone(), tokio::spawn(serve(listener, router, stop, limits)))
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
