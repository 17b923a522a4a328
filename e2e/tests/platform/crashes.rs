//! Everything is killed once, under a stream of payments. Nothing acknowledged is lost, nobody is charged twice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::Paths;
use e2e::platform::{Merchant, NAMESPACE, OPERATOR_NAMESPACE};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::fixture::{Platform, eventually, platform, unique};

#[tokio::test]
async fn whatever_is_killed_every_acknowledged_payment_ends_and_is_charged_once() -> Result<()> {
    let platform = platform().await?;
    let merchant = platform.merchant().await?;
    let methods = many_payment_methods(&merchant).await?;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let stop = CancellationToken::new();
    let stream = tokio::spawn(pay_on(merchant.clone(), methods, Arc::clone(&acknowledged), stop.clone()));

    for role in ["processor", "fraud", "gateway", "metrics"] {
        kill_one(&platform, role).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    kill(&platform, NAMESPACE, &["payments-postgres-0".to_owned()]).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    kill_operator(&platform).await?;
    if platform.kubectl.kubeconfig.is_some() {
        let paths = Paths::from_env()?;
        e2e::cluster::kill(&paths, "kube-apiserver")?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        e2e::cluster::up(&paths, e2e::cluster::Metrics::Later).await?;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.cancel();
    stream.await?;

    let acknowledged = std::mem::take(&mut *acknowledged.lock().await);
    println!("{} payments acknowledged meanwhile", acknowledged.len());
    assert!(acknowledged.len() > 20, "the stream was too thin to prove anything: {}", acknowledged.len());
    for id in &acknowledged {
        ends_well(&merchant, id).await?;
    }
    charged_once(&platform, &acknowledged).await
}

/// A velocity rule blocks a user that pays more often in a minute than a person can, so many users pay in turn.
async fn many_payment_methods(merchant: &Merchant) -> Result<Vec<String>> {
    let run = unique();
    let mut methods = Vec::new();
    for number in 0..40 {
        methods.push(merchant.payment_method(&format!("{run}-{number}"), "pm_card_visa").await?);
    }
    Ok(methods)
}

/// One payment after the other; what the gateway does not acknowledge is asked again with the same key.
async fn pay_on(
    merchant: Merchant,
    methods: Vec<String>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
) {
    let unique = unique();
    for (number, method) in methods.iter().cycle().enumerate() {
        let body = json!({"amount": "1.00", "currency": "USD", "payment_method_id": method});
        let key = format!("crash-{unique}-{number}");
        loop {
            if stop.is_cancelled() {
                return;
            }
            match merchant.post("/v1/payments", &key, &body).await {
                Ok(answer) if answer.status == 201 || answer.status == 202 => {
                    acknowledged.lock().await.extend(answer.body["id"].as_str().map(str::to_owned));
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ends_well(merchant: &Merchant, id: &str) -> Result<()> {
    let path = format!("/v1/payments/{id}");
    eventually("an acknowledged payment ends", Duration::from_secs(60), || async {
        let payment = merchant.get(&path).await?.expect(200)?;
        let ended = payment["status"] == "SUCCESS" || payment["status"] == "FAILED";
        Ok((ended, payment.to_string()))
    })
    .await?;
    Ok(())
}

async fn charged_once(platform: &Platform, acknowledged: &[String]) -> Result<()> {
    let merchant = platform.merchant().await?;
    let charges = platform.charges().await?;
    for id in acknowledged {
        let payment = merchant.get(&format!("/v1/payments/{id}")).await?.expect(200)?;
        let charged =
            charges.iter().filter(|charge| succeeded(charge) && charge.to_string().contains(id.as_str())).count();
        let expected = usize::from(payment["status"] == "SUCCESS");
        if charged != expected {
            bail!("payment {id} is {} but the provider has charged it {charged} times", payment["status"]);
        }
    }
    Ok(())
}

fn succeeded(charge: &Value) -> bool {
    charge["status"].is_null() || charge["status"] == "succeeded"
}

async fn kill_one(platform: &Platform, role: &str) -> Result<()> {
    let pods = platform.pods(role).await?;
    kill(platform, NAMESPACE, &pods[..1]).await
}

async fn kill_operator(platform: &Platform) -> Result<()> {
    let selector = "app.kubernetes.io/name=purser-operator";
    let list =
        platform.kubectl.get(&["-n", OPERATOR_NAMESPACE, "pods", "-l", selector]).await?.context("no list of pods")?;
    let names: Vec<String> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    kill(platform, OPERATOR_NAMESPACE, &names).await
}

/// Without grace: the containers get SIGKILL.
async fn kill(platform: &Platform, namespace: &str, pods: &[String]) -> Result<()> {
    let mut arguments = vec!["-n", namespace, "delete", "pod", "--force", "--grace-period=0"];
    arguments.extend(pods.iter().map(String::as_str));
    platform.kubectl.run(&arguments).await.map(drop)
}
