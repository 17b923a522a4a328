//! The paths of the API, and what surrounds each of them.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::problem::Problem;
use super::{
    Gateway, admin, balance, cancel, captures, events, openapi, payment_methods, payment_reads, payments,
    provider_webhooks, query, refunds, users, webhook_actions, webhook_endpoints,
};
use super::{limits, maintenance};
use crate::payment_methods::card_number;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The API, and its description.
pub(super) fn router(gateway: Arc<Gateway>) -> Router {
    let (paths, description) = described().split_for_parts();
    surround(paths.merge(openapi::served(&description)), gateway)
}

/// What the API can do: one line per path and its methods.
pub(super) fn described() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::with_openapi(openapi::begin())
        .routes(routes!(balance::read))
        .routes(routes!(users::create, users::list))
        .routes(routes!(users::read, users::update))
        .routes(routes!(users::statistics))
        .routes(routes!(payment_methods::create, payment_methods::list))
        .routes(routes!(payment_methods::read, payment_methods::update, payment_methods::detach))
        .routes(routes!(payments::create, payment_reads::list))
        .routes(routes!(payment_reads::read))
        .routes(routes!(payment_reads::attempts))
        .routes(routes!(captures::create, captures::list))
        .routes(routes!(captures::read))
        .routes(routes!(cancel::cancel))
        .routes(routes!(refunds::create, refunds::list))
        .routes(routes!(refunds::read))
        .routes(routes!(provider_webhooks::take))
        .routes(routes!(webhook_endpoints::create, webhook_endpoints::list))
        .routes(routes!(webhook_endpoints::read, webhook_endpoints::update, webhook_endpoints::delete))
        .routes(routes!(webhook_actions::rotate))
        .routes(routes!(webhook_actions::replay))
        .routes(routes!(webhook_actions::enable))
        .routes(routes!(events::list))
        .routes(routes!(events::read))
        .merge(admin::described())
}

/// What every path has around it: problems for whatever goes wrong, request ids, figures.
fn surround(paths: Router<Arc<Gateway>>, gateway: Arc<Gateway>) -> Router {
    paths
        .fallback(|| async { Problem::not_found("no_such_path", "the API has no such path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(refuse_card_numbers))
        .layer(from_fn_with_state(gateway.clone(), maintenance::guard))
        .layer(from_fn_with_state(gateway.clone(), limits::guard))
        .layer(from_fn_with_state(gateway.clone(), finish))
        .with_state(gateway)
}

/// The panic's message went to the log through the hook; it may hold anything, so the client does not get it.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal().into_response()
}

/// A card number in the path or the query would stand in answers, and in the logs of whatever lies between. Bodies and
/// keys are looked at where they are read.
async fn refuse_card_numbers(request: Request, next: Next) -> Response {
    let uri = request.uri();
    // No name has U+0000 in it, and PostgreSQL does not even compare with it.
    if uri.path().contains("%00") {
        return Problem::not_found("no_such_path", "no path has the character U+0000").into_response();
    }
    let parts = uri.path().split('/').chain(uri.query().unwrap_or_default().split(['&', '=']));
    let decoded = parts
        .map(|part| form_urlencoded::parse(format!("={part}").as_bytes()).next().map(|(_, text)| text.into_owned()));
    if decoded.flatten().any(|text| card_number::stands_in_text(&text)) {
        return query::card_number_refused().into_response();
    }
    next.run(request).await
}

/// Writes problems out, gives each answer its request's id, and counts.
async fn finish(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let mut response = next.run(request).await;
    let quota = response.extensions_mut().remove::<limits::Shown>();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(http::header::ALLOW);
        let path = if problem.is_about_card_number() { "/" } else { &path };
        response = problem.render(&id, path);
        if let Some(allow) = allow {
            response.headers_mut().insert(http::header::ALLOW, allow);
        }
    }
    let status = response.status().as_u16();
    if response.status().is_server_error() {
        tracing::warn!(request_id = id, method, route, status, "request failed");
    }
    let metrics = &gateway.app.metrics;
    metrics.http_requests.with_label_values(&[counted_as(&method), route.as_str(), &status.to_string()]).inc();
    metrics.http_seconds.with_label_values(&[route.as_str()]).observe(begin.elapsed().as_secs_f64());
    if let Some(quota) = quota {
        quota.write(response.headers_mut());
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A method as it stands in figures. Clients may invent methods, and each new word would stay in memory as a series of its own.
fn counted_as(method: &str) -> &str {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
        _ => "other",
    }
}

/// The client's id for the request, where it is one that can stand in a log, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fit = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
            && !card_number::stands_in_text(id)
    };
    given.filter(fit).map_or_else(|| format!("req_{}", Uuid::now_v7().simple()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use runtime_contract::{Environment, FraudConfig, OnDeadline, RuntimeConfig};
    use tokio_util::sync::CancellationToken;

    use super::super::wait;
    use super::*;
    use crate::app::App;
    use crate::config::Secrets;
    use crate::processor::express::Express;

    /// A gateway whose database is where nothing listens.
    fn gateway() -> Arc<Gateway> {
        let secrets = tempfile::tempdir().unwrap();
        std::fs::write(secrets.path().join("database-url"), "postgres://purser@127.0.0.1:1/purser").unwrap();
        let fraud = FraudConfig { url: "http://127.0.0.1:1".into(), deadline_ms: 50, on_deadline: OnDeadline::Flag };
        let config = RuntimeConfig {
            owner: "tests/payments".into(),
            release: "0.1.0".into(),
            since_ms: None,
            environment: Environment::Staging,
            fraud,
            webhooks: Default::default(),
            pods: None,
            read_lag_max_ms: None,
        };
        let app = App::new(config, Secrets::new(secrets.path()), CancellationToken::new()).unwrap();
        let waiters = wait::Waiters::default();
        let (express, ..) = Express::start(app.clone(), waiters.ended()).unwrap();
        Gateway::new(app, express, waiters)
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_tells_nothing_of_itself() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let gateway = gateway();
        let paths = Router::new().route("/v1/panic", get(async || -> &'static str { panic!("with a secret") }));
        let router = surround(paths, gateway.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/panic", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });

        let request = reqwest::Client::new().get(&url).header("x-request-id", "mine-1");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-request-id"], "mine-1");
        let body = response.text().await.unwrap();
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (problem["code"].as_str(), problem["request_id"].as_str()),
            (Some("internal_error"), Some("mine-1"))
        );
        assert!(!body.contains("secret"));
        // The process goes on, and has counted it.
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 500);
        let counted = gateway.app.metrics.http_requests.with_label_values(&["GET", "/v1/panic", "500"]).get();
        assert_eq!(counted, 2);
    }

    #[tokio::test]
    async fn methods_that_a_client_invents_are_one_series_in_the_figures() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let gateway = gateway();
        let router = surround(Router::new().route("/v1/x", get(async || "here")), gateway.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/x", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        for word in 0..5 {
            let method = reqwest::Method::from_bytes(format!("WORD{word}").as_bytes()).unwrap();
            assert_eq!(reqwest::Client::new().request(method, &url).send().await.unwrap().status(), 405);
        }
        let counted = |method| gateway.app.metrics.http_requests.with_label_values(&[method, "/v1/x", "405"]).get();
        assert_eq!((counted("other"), counted("WORD1")), (5, 0));
    }

    #[test]
    fn a_request_id_that_cannot_stand_in_a_log_is_replaced() {
        let id = |value: &str| request_id(&HeaderMap::from_iter([(REQUEST_ID, value.parse().unwrap())]));
        assert_eq!(id("trace-1:2.3_4"), "trace-1:2.3_4");
        for bad in ["", "a b", "a\"b", "4242424242424242", &"x".repeat(129)] {
            assert!(id(bad).starts_with("req_"), "{bad}");
        }
    }
}
