//! How a release is told to a receiver, and what is written down of it, in a real API server.

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use axum::Router;
use axum::extract::Json;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::fixture::quick_release;
use super::operator::{Stage, condition};

const EVENTS: &str = "apis/events.k8s.io/v1";
const SECRET_WORD: &str = "secret-word";

/// A receiver of webhooks.
pub(crate) struct Receiver {
    pub(crate) url: String,
    /// What came, in order, also what was answered with an error.
    heard: Arc<Mutex<Vec<Value>>>,
    /// The status of its answers.
    answers: Arc<AtomicU16>,
    /// How often it was asked where nobody is.
    strayed: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Result<Self> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (answers, strayed) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicUsize::new(0)));
        let (all, status, lost) = (Arc::clone(&heard), Arc::clone(&answers), Arc::clone(&strayed));
        let hear = move |Json(body): Json<Value>| {
            if let Ok(mut all) = all.lock() {
                all.push(body);
            }
            let status = StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap_or(StatusCode::OK);
            async move { status }
        };
        let stray = move || {
            lost.fetch_add(1, Ordering::Relaxed);
            async { StatusCode::NOT_FOUND }
        };
        let router = Router::new().route("/hook/{word}", post(hear)).route("/gone/{word}", post(stray));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, heard, answers, strayed, task })
    }

    /// All that came, in order.
    pub(crate) fn heard(&self) -> Result<Vec<Value>> {
        Ok(self.heard.lock().map_err(|_| anyhow!("poisoned"))?.clone())
    }

    /// The first message about an event of a version.
    async fn until(&self, event: &str, version: &str) -> Result<Value> {
        let begin = Instant::now();
        loop {
            let heard = self.heard()?;
            if let Some(found) = heard.iter().find(|one| one["event"] == event && one["version"] == version) {
                return Ok(found.clone());
            }
            let within = Duration::from_secs(60);
            anyhow::ensure!(begin.elapsed() < within, "{event} of {version} was not told: {heard:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lets the receiver be told everything, and once more where nobody is.
async fn subscribe(stage: &Stage, receiver: &Receiver) -> Result<()> {
    let [url, gone] = ["hook", "gone"].map(|path| format!("{}/{path}/{SECRET_WORD}", receiver.url));
    stage.secret("hooks", json!({"url": url, "gone": gone})).await?;
    let to = |name: &str, key: &str| json!({"name": name, "webhook": {"secretKeyRef": {"name": "hooks", "key": key}}});
    let notifications = json!({"spec": {"notifications": [to("ops", "url"), to("nobody", "gone")]}});
    stage.change("PaymentCluster", "payments", notifications).await
}

async fn record(stage: &Stage, version: &str) -> Result<Option<Value>> {
    let name = format!("configmaps/payments-release-{}", version.replace('.', "-"));
    let Some(object) = stage.object("api/v1", &name).await? else { return Ok(None) };
    let text = object["data"]["release.json"].as_str().context("no release.json")?;
    anyhow::ensure!(object["data"]["release.md"].as_str().is_some_and(|text| text.starts_with("# Release ")));
    Ok(Some(serde_json::from_str(text)?))
}

/// What is written down once the status tells of it.
async fn until_recorded(stage: &Stage, version: &str) -> Result<Value> {
    let begin = Instant::now();
    loop {
        if let Some(written) = record(stage, version).await? {
            return Ok(written);
        }
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(10), "no record of {version}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn owes_nothing(resource: &Value) -> bool {
    resource["status"]["notifications"]["owed"].is_null()
}

fn is_rolled_back(resource: &Value) -> bool {
    resource["status"]["stage"] == "RolledBack"
}

#[tokio::test]
async fn a_release_is_told_at_its_begin_and_its_end_and_leaves_a_record() -> Result<()> {
    let receiver = Receiver::start().await?;
    let (stage, _operator) = Stage::ready().await?;
    subscribe(&stage, &receiver).await?;
    receiver.answers.store(500, Ordering::Relaxed);
    stage.change("PaymentCluster", "payments", quick_release("0.2.0")).await?;
    let started = receiver.until("Started", "0.2.0").await?;
    assert_eq!(
        (&started["name"], &started["from"], &started["figures"]),
        (&json!("payments"), &json!("0.1.0"), &Value::Null)
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    receiver.answers.store(200, Ordering::Relaxed);
    let succeeded = receiver.until("Succeeded", "0.2.0").await?;
    assert_eq!(succeeded["stage"], "Finished");
    let ids: Vec<_> = receiver.heard()?.iter().map(|one| one["id"].clone()).collect();
    let times = |id: &Value| ids.iter().filter(|other| *other == id).count();
    assert!(times(&started["id"]) > 1, "the receiver was broken at first: {ids:?}");
    assert_eq!(times(&succeeded["id"]), 1);

    let written = until_recorded(&stage, "0.2.0").await?;
    assert_eq!((&written["result"], &written["from"]), (&json!("Succeeded"), &json!("0.1.0")));
    stage.until("PaymentCluster", "payments", owes_nothing).await?;
    assert_eq!(receiver.strayed.load(Ordering::Relaxed), 2, "where nobody is, each is tried once");
    let events = stage.object(EVENTS, "events").await?.context("no Events")?;
    let failed = events["items"].as_array().into_iter().flatten().filter(|one| one["reason"] == "NotificationFailed");
    let notes: Vec<_> = failed.map(|event| event["note"].to_string()).collect();
    assert!(notes.iter().any(|note| note.contains("\\\"nobody\\\"") && note.contains("404")), "{notes:?}");
    assert!(!events.to_string().contains(SECRET_WORD), "no word of a URL is told");
    Ok(())
}

#[tokio::test]
async fn what_an_operator_did_not_tell_is_told_by_the_next_one_and_a_lost_record_is_written_again() -> Result<()> {
    let receiver = Receiver::start().await?;
    let (stage, mut operator) = Stage::ready().await?;
    subscribe(&stage, &receiver).await?;
    receiver.answers.store(503, Ordering::Relaxed);
    stage.puppet.hold("0.2.0", true)?;
    let doomed = json!({"spec": {"version": "0.2.0", "rollout": {"progressDeadline": "2s"}}});
    stage.change("PaymentCluster", "payments", doomed).await?;
    stage.until("PaymentCluster", "payments", is_rolled_back).await?;
    operator.kill()?;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    let owed = resource["status"]["notifications"]["owed"].as_array().context("nothing is owed")?;
    assert!(owed.iter().any(|one| one["event"] == "RolledBack"), "{owed:#?}");

    receiver.answers.store(200, Ordering::Relaxed);
    let before = receiver.heard()?.len();
    let _next = stage.operator("second")?;
    let told = receiver.until("RolledBack", "0.2.0").await?;
    assert!(told["message"].as_str().is_some_and(|words| words.contains("progressDeadline")), "{told}");
    stage.until("PaymentCluster", "payments", owes_nothing).await?;
    let order: Vec<_> = receiver.heard()?.drain(before..).map(|one| one["event"].clone()).collect();
    assert_eq!(order, ["Started", "RolledBack"], "in the order in which it happened");

    let written = until_recorded(&stage, "0.2.0").await?;
    assert_eq!(written["result"], "RolledBack");
    let path = format!("/api/v1/namespaces/{}/configmaps/payments-release-0-2-0", stage.namespace);
    stage.client.request::<Value>(http::Request::delete(path).body(Vec::new())?).await?;
    let begin = Instant::now();
    while record(&stage, "0.2.0").await? != Some(written.clone()) {
        assert!(begin.elapsed() < Duration::from_secs(20), "the record does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let at_rest = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(condition(&at_rest, "NotificationsReady")["status"], "True");
    tokio::time::sleep(Duration::from_secs(4)).await;
    let later = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(
        later["metadata"]["resourceVersion"], at_rest["metadata"]["resourceVersion"],
        "at rest nothing is written"
    );
    Ok(())
}
