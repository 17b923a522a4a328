//! A receiver that answers as it is told to, one answer after another; the last one stays.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post as on_post};

use super::*;

const SECRET_WORD: &str = "a-secret-word";

struct Receiver {
    url: String,
    /// Body, id and content type of every request.
    got: Arc<Mutex<Vec<(String, String, String)>>>,
}

impl Receiver {
    async fn answering(answers: &[fn() -> Response]) -> Self {
        let (answers, got) = (answers.to_vec(), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&got);
        let take = move |headers: HeaderMap, body: String| {
            let mut seen = seen.lock().unwrap();
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            seen.push((body, header(ID_HEADER), header("content-type")));
            let answer = answers[(seen.len() - 1).min(answers.len() - 1)]();
            async move { answer }
        };
        let elsewhere = Arc::clone(&got);
        let followed = move || {
            elsewhere.lock().unwrap().push(("followed".into(), String::new(), String::new()));
            async { "" }
        };
        let router = Router::new().route("/{word}", on_post(take)).route("/elsewhere/{word}", get(followed));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{SECRET_WORD}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, got }
    }

    /// What becomes of one body, and how often the receiver was asked.
    async fn outcome(&self) -> (Result<(), Trouble>, usize) {
        let outcome = sent(&self.url).await;
        (outcome, self.got.lock().unwrap().len())
    }
}

async fn sent(url: &str) -> Result<(), Trouble> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let http = crate::client::http().build().unwrap();
    let patience = Patience {
        first: Duration::from_millis(5),
        longest: Duration::from_millis(20),
        total: Duration::from_millis(200),
    };
    let body = || Body { content_type: "application/json", text: "{}".into() };
    with_patience(&patience, || post(&http, url, "id-1", body())).await
}

fn ok() -> Response {
    StatusCode::OK.into_response()
}

fn broken() -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn busy() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response()
}

#[tokio::test]
async fn a_receiver_that_is_broken_is_asked_again_until_it_works() {
    let receiver = Receiver::answering(&[broken, broken, ok]).await;
    assert_eq!(receiver.outcome().await, (Ok(()), 3));
    let got = receiver.got.lock().unwrap();
    let expected = ("{}".to_owned(), "id-1".to_owned(), "application/json".to_owned());
    assert!(got.iter().all(|one| *one == expected), "what comes twice comes with the same id: {got:?}");
}

#[tokio::test]
async fn patience_ends() {
    let (outcome, times) = Receiver::answering(&[broken]).await.outcome().await;
    assert!(times > 3, "{times}");
    assert_eq!(outcome.unwrap_err().words, "the receiver answers 500");
}

#[tokio::test]
async fn what_would_be_refused_again_is_not_sent_again() {
    let answers: [fn() -> Response; 4] = [
        || StatusCode::NOT_FOUND.into_response(),
        || StatusCode::GONE.into_response(),
        || StatusCode::BAD_REQUEST.into_response(),
        || Redirect::temporary("/elsewhere/a-secret-word").into_response(),
    ];
    for answer in answers {
        let (outcome, times) = Receiver::answering(&[answer, ok]).await.outcome().await;
        assert_eq!((outcome.is_err(), times), (true, 1));
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let began = std::time::Instant::now();
    assert_eq!(Receiver::answering(&[busy, ok]).await.outcome().await, (Ok(()), 2));
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn no_word_of_the_url_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/{SECRET_WORD}", listener.local_addr().unwrap());
    drop(listener);
    let broken = Receiver::answering(&[broken]).await.url;
    for url in [closed.as_str(), &broken, "a-secret-word", "ftp://a-secret-word/", "http://a-secret-word.invalid/"] {
        let trouble = sent(url).await.unwrap_err();
        assert!(!format!("{trouble:?}").contains(SECRET_WORD), "{trouble:?}");
    }
}
