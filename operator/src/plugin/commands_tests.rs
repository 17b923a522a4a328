//! What was looked at is what is decided on: the sequence of requests, against an API server that is changed in between.

use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;
use crate::plugin::test_data;

/// What the API server holds, and what it was asked to write.
struct Held {
    cluster: Value,
    /// Somebody else is quicker so many times, and does this.
    rivals: usize,
    rival: fn(&mut Value),
    patches: Vec<(Value, String)>,
}

type Shared = Arc<Mutex<Held>>;

async fn read(State(held): State<Shared>) -> Json<Value> {
    Json(held.lock().unwrap().cluster.clone())
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    field_manager: String,
}

async fn patch(
    State(held): State<Shared>,
    Query(parameters): Query<Parameters>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut held = held.lock().unwrap();
    if held.rivals > 0 {
        held.rivals -= 1;
        let before: u64 = held.cluster["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        held.cluster["metadata"]["resourceVersion"] = json!((before + 1).to_string());
        (held.rival)(&mut held.cluster);
    }
    let stale = body["metadata"]["resourceVersion"] != held.cluster["metadata"]["resourceVersion"];
    held.patches.push((body["metadata"].clone(), parameters.field_manager));
    if stale {
        return refusal(StatusCode::CONFLICT, "Conflict");
    }
    (StatusCode::OK, Json(json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {} })))
}

async fn review() -> (StatusCode, Json<Value>) {
    refusal(StatusCode::FORBIDDEN, "Forbidden")
}

fn refusal(code: StatusCode, reason: &str) -> (StatusCode, Json<Value>) {
    (code, Json(json!({ "status": "Failure", "reason": reason, "message": "no", "code": code.as_u16() })))
}

/// What became of an approval, and what was asked to be written.
async fn approve(rivals: usize, rival: fn(&mut Value)) -> (Result<Decision, Failure>, Vec<(Value, String)>) {
    let mut cluster = serde_json::to_value(test_data::awaiting()).unwrap();
    cluster["metadata"]["resourceVersion"] = json!("1");
    let held = Arc::new(Mutex::new(Held { cluster, rivals, rival, patches: Vec::new() }));
    let router = Router::new()
        .route("/apis/purser.dev/v1alpha1/namespaces/shop/paymentclusters/payments", get(read).patch(patch))
        .route("/apis/authentication.k8s.io/v1/selfsubjectreviews", post(review))
        .with_state(Arc::clone(&held));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move { axum::serve(listener, router).await });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection::with(kube::Config::new(server.parse().unwrap()), Some("shop")).unwrap();
    let outcome = write_down(&connection, "payments", &Wish::Approve(None)).await;
    served.abort();
    let patches = std::mem::take(&mut held.lock().unwrap().patches);
    (outcome, patches)
}

fn written(resource_version: &str) -> (Value, String) {
    let annotations = json!({ "purser.dev/approved-version": "1.4.0" });
    (json!({ "resourceVersion": resource_version, "annotations": annotations }), "kubectl-purser".to_owned())
}

#[tokio::test]
async fn a_decision_is_written_on_what_was_looked_at() {
    let (outcome, patches) = approve(0, |_| {}).await;
    assert_eq!(outcome.unwrap().told, "release 1.4.0 of payments is approved");
    assert_eq!(patches, [written("1")], "without a name, as the API server did not tell one");
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_looked_at_once_more() {
    let (outcome, patches) = approve(1, |_| {}).await;
    outcome.unwrap();
    assert_eq!(patches, [written("1"), written("2")]);
    let (outcome, patches) = approve(9, |_| {}).await;
    assert!(outcome.unwrap_err().to_string().contains("was changed by somebody else meanwhile"));
    assert_eq!(patches, [written("1"), written("2")]);
}

#[tokio::test]
async fn nobody_agrees_to_a_version_that_took_the_other_one_s_place_meanwhile() {
    let another = |cluster: &mut Value| {
        cluster["spec"]["version"] = json!("1.5.0");
        cluster["status"]["release"]["target"] = json!("1.5.0");
    };
    let (outcome, patches) = approve(1, another).await;
    assert!(outcome.unwrap_err().to_string().contains("another release is meant now"));
    assert_eq!(patches, [written("1")]);
    let begun = |cluster: &mut Value| cluster["status"]["stage"] = json!("Migrating");
    let (outcome, patches) = approve(1, begun).await;
    assert!(outcome.unwrap_err().to_string().contains("nothing waits for approval"));
    assert_eq!(patches, [written("1")]);
}
