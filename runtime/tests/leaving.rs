//! A gateway that is told to stop, while clients call it: no request fails until it was left.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::body::Body;
use futures::future::join_all;
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use support::process::{Running, purser, write_config};
use support::server::free_port;
use support::{migrated_database, redis_url};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway process: its configuration folder must outlive it.
async fn gateway() -> (Running, SocketAddr, tempfile::TempDir) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("purser.yaml");
    write_config(&config, 1);
    let (port, admin) = (free_port(), free_port());
    let mut command = purser(&["gateway", "--address", "127.0.0.1", "--config", config.to_str().unwrap()]);
    command.args(["--gateway-port", &port.to_string(), "--admin-port", &admin.to_string()]);
    command.env("PURSER_DATABASE_URL", migrated_database().await).env("PURSER_CACHE_URL", redis_url());
    (Running::start(command, admin), (Ipv4Addr::LOCALHOST, port).into(), folder)
}

async fn status(running: &Running, path: &str) -> Option<u16> {
    Some(reqwest::get(format!("{}{path}", running.admin)).await.ok()?.status().as_u16())
}

async fn until_ready(running: &Running, wanted: u16) {
    let begin = Instant::now();
    while status(running, "/readyz").await != Some(wanted) {
        assert!(begin.elapsed() < PATIENCE, "/readyz never answers {wanted}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

type Requests = http1::SendRequest<Body>;

async fn connect(address: SocketAddr) -> std::io::Result<Requests> {
    let stream = TcpStream::connect(address).await?;
    let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(requests)
}

/// Whether the answer is the last one of its connection. Any answer of the API will do, and this one is small.
async fn ask(requests: &mut Requests) -> hyper::Result<bool> {
    let request = Request::get("/v1/balance").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    requests.ready().await?;
    let response = requests.send_request(request).await?;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let is_last = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
    axum::body::to_bytes(Body::new(response.into_body()), 10_000).await.unwrap();
    Ok(is_last)
}

/// Calls without end, on one connection for as long as it is allowed to, until none is taken any more. How often it was
/// sent to another connection.
async fn call_until_refused(address: SocketAddr, pause: Duration) -> u32 {
    let mut farewells = 0;
    while let Ok(mut requests) = connect(address).await {
        let mut is_last = false;
        while !is_last {
            is_last = match ask(&mut requests).await {
                Ok(is_last) => is_last,
                Err(error) => {
                    assert!(stopped(address).await, "a request failed while the gateway serves: {error}");
                    return farewells;
                }
            };
            tokio::time::sleep(pause).await;
        }
        farewells += 1;
    }
    farewells
}

/// Whether the port is closed, as it is from the stop on, or another request is answered.
async fn stopped(address: SocketAddr) -> bool {
    // Connections end at the stop, and the port is closed within the same moment.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let Ok(mut requests) = connect(address).await else { return true };
        if ask(&mut requests).await.is_ok() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("connections are taken, and no request is answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_stop_fails_no_request_until_it_was_left() {
    let (running, address, _folder) = gateway().await;
    until_ready(&running, 200).await;
    // Some are always in work, some mostly idle, and one is idle when it counts.
    let clients = (1..13).map(|n| tokio::spawn(call_until_refused(address, Duration::from_millis(n * n))));
    let clients: Vec<_> = clients.collect();
    let mut idle = connect(address).await.unwrap();
    assert!(!ask(&mut idle).await.unwrap());
    running.tell();
    until_ready(&running, 503).await;
    assert_eq!(status(&running, "/livez").await, Some(200));
    assert!(ask(&mut idle).await.unwrap(), "an answer, and the last one");
    assert!(ask(&mut connect(address).await.unwrap()).await.unwrap(), "a new connection is served once");
    for farewells in join_all(clients).await {
        assert!(farewells.unwrap() > 0, "a client stayed on its connection");
    }
    assert_eq!(running.ended(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_leaving() {
    let (running, address, _folder) = gateway().await;
    until_ready(&running, 200).await;
    let begin = Instant::now();
    running.tell();
    until_ready(&running, 503).await;
    running.tell();
    assert_eq!(running.ended(), Some(0));
    assert!(begin.elapsed() < runtime::shutdown::LEAVE, "{:?}", begin.elapsed());
    assert!(connect(address).await.is_err());
}
