use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use hyper::client::conn::http2;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);

async fn server(limits: Limits) -> (std::net::SocketAddr, End, tokio::task::JoinHandle<()>) {
    let slowly = get(async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "done"
    });
    let router = Router::new().route("/", get(async || "here")).route("/slow", slowly);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let end = End { leaving: CancellationToken::new(), stop: CancellationToken::new() };
    (listener.local_addr().unwrap(), end.clone(), tokio::spawn(serve(listener, router, end, limits, None)))
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
    let (address, end, serving) = server(Limits::default()).await;
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(REQUEST).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    end.stop.cancel();
    let (busy, idle) = tokio::join!(rest(busy), rest(idle));
    assert!(busy.ends_with("done") && idle.ends_with("here"), "{busy}{idle}");
    tokio::time::timeout(PATIENCE, serving).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// A client whose connection answers pings by itself, for as long as it is there.
type Http2 = (http2::SendRequest<Body>, tokio::task::JoinHandle<hyper::Result<()>>);

async fn http2_client(address: std::net::SocketAddr, builder: &http2::Builder<TokioExecutor>) -> Http2 {
    let stream = TcpStream::connect(address).await.unwrap();
    let (requests, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    (requests, tokio::spawn(connection))
}

async fn get_over_http2((requests, _): &mut Http2, path: &str) -> Vec<u8> {
    let request = Request::get(format!("http://shop{path}")).body(Body::empty()).unwrap();
    let response = requests.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    axum::body::to_bytes(Body::new(response.into_body()), 1_000).await.unwrap().to_vec()
}

#[tokio::test]
async fn a_client_that_does_nothing_but_answer_pings_gives_its_place_up() {
    let idle = Duration::from_millis(500);
    // One that answered no pings would be gone after two of these.
    let limits = Limits { connections: 1, header: Duration::from_millis(50), idle, ..Limits::default() };
    let (address, ..) = server(limits).await;
    let mut client = http2_client(address, &http2::Builder::new(TokioExecutor::new())).await;
    let began = std::time::Instant::now();
    assert_eq!(get_over_http2(&mut client, "/").await, b"here");
    let ended = tokio::time::timeout(PATIENCE, client.1).await.expect("the connection ends").unwrap();
    assert!(ended.is_ok(), "told to go, and not cut off: {ended:?}");
    assert!(began.elapsed() >= idle, "{:?}", began.elapsed());
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(REQUEST).await.unwrap();
    assert!(rest(next).await.ends_with("here"));
}

#[tokio::test]
async fn a_request_in_work_keeps_its_connection() {
    let (address, ..) = server(Limits { idle: Duration::from_millis(100), ..Limits::default() }).await;
    let mut client = http2_client(address, &http2::Builder::new(TokioExecutor::new())).await;
    assert_eq!(get_over_http2(&mut client, "/slow").await, b"done");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    assert!(rest(stream).await.ends_with("done"));
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let (address, ..) = server(Limits { idle: Duration::from_millis(200), ..Limits::default() }).await;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0);
    let (mut requests, connection) = http2_client(address, &builder).await;
    let request = Request::get("http://shop/").body(Body::empty()).unwrap();
    let response = requests.send_request(request).await.unwrap();
    // Told to go first, so that this is no error of the connection's.
    let _ = tokio::time::timeout(PATIENCE, connection).await.expect("the connection ends").unwrap();
    assert!(axum::body::to_bytes(Body::new(response.into_body()), 1_000).await.is_err(), "the answer is lost");
}

/// A connection on which a request was answered, and which goes on.
async fn kept_alive(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"here") {
        answer.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("an answer").unwrap());
    }
    assert!(!says_farewell(&String::from_utf8_lossy(&answer)));
    stream
}

fn says_farewell(answer: &str) -> bool {
    answer.to_lowercase().contains("\r\nconnection: close\r\n")
}

#[tokio::test]
async fn while_leaving_the_next_answer_on_any_connection_is_its_last() {
    let (address, end, serving) = server(Limits::default()).await;
    let (idle, silent) = (kept_alive(address).await, TcpStream::connect(address).await.unwrap());
    let mut busy = kept_alive(address).await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    end.leaving.cancel();
    let new = TcpStream::connect(address).await.unwrap();
    // Time to close what has no request, if it did.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for mut stream in [idle, silent, new] {
        stream.write_all(REQUEST).await.unwrap();
        let answer = rest(stream).await;
        assert!(answer.ends_with("here") && says_farewell(&answer), "{answer}");
    }
    let answer = rest(busy).await;
    assert!(answer.ends_with("done") && says_farewell(&answer), "{answer}");
    assert!(!serving.is_finished());
}

#[tokio::test]
async fn connections_without_a_request_stay_while_leaving_and_end_with_the_stop() {
    let (address, end, serving) = server(Limits::default()).await;
    let (mut idle, silent) = (kept_alive(address).await, TcpStream::connect(address).await.unwrap());
    let mut client = http2_client(address, &http2::Builder::new(TokioExecutor::new())).await;
    assert_eq!(get_over_http2(&mut client, "/").await, b"here");
    end.leaving.cancel();
    let early = tokio::time::timeout(Duration::from_millis(300), idle.read_u8()).await;
    assert!(early.is_err() && !client.1.is_finished(), "ended before the stop");
    end.stop.cancel();
    assert_eq!((rest(idle).await, rest(silent).await), (String::new(), String::new()));
    tokio::time::timeout(PATIENCE, client.1).await.expect("the connection ends").unwrap().unwrap();
    tokio::time::timeout(PATIENCE, serving).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn while_leaving_a_client_of_http2_is_told_to_go_with_its_next_request() {
    let (address, end, _serving) = server(Limits::default()).await;
    let builder = http2::Builder::new(TokioExecutor::new());
    let (mut idle, mut busy) = (http2_client(address, &builder).await, http2_client(address, &builder).await);
    assert_eq!(get_over_http2(&mut idle, "/").await, b"here");
    let in_work = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        end.leaving.cancel();
    };
    let (answer, ()) = tokio::join!(get_over_http2(&mut busy, "/slow"), in_work);
    assert_eq!(answer, b"done");
    assert_eq!(get_over_http2(&mut idle, "/").await, b"here");
    let mut new = http2_client(address, &builder).await;
    assert_eq!(get_over_http2(&mut new, "/").await, b"here");
    for (mut requests, connection) in [busy, idle, new] {
        let ended = tokio::time::timeout(PATIENCE, connection).await.expect("the connection ends").unwrap();
        assert!(ended.is_ok(), "told to go, and not cut off: {ended:?}");
        assert!(requests.ready().await.is_err(), "no further stream");
    }
}

#[tokio::test]
async fn a_connection_that_has_grown_old_ends_with_its_next_answer() {
    let (address, ..) = server(Limits { age: Duration::from_millis(20), ..Limits::default() }).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    let mut first = [0; 64];
    let length = client.read(&mut first).await.unwrap();
    assert!(first[..length].starts_with(b"HTTP/1.1 200"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.write_all(REQUEST).await.unwrap();
    let answer = rest(client).await;
    assert!(answer.contains("connection: close") && answer.ends_with("here"), "{answer}");
}
