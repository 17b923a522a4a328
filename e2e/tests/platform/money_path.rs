//! The whole life of a payment in the workloads that the operator deploys: held, taken in part, set free, given back, and
//! the merchant told of each step.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use e2e::platform::NAMESPACE;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fixture::{Platform, eventually, platform, unique};

/// This machine, as pods of the local cluster reach it: the bridge's own address.
const HOST: &str = "10.244.0.1";

type Deliveries = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

#[tokio::test]
async fn a_payment_is_held_taken_in_part_set_free_and_given_back_and_the_merchant_is_told_in_order() -> Result<()> {
    let platform = platform().await?;
    if platform.kubectl.kubeconfig.is_none() {
        println!("left out: the pods of another cluster do not reach this machine");
        return Ok(());
    }
    let merchant = platform.merchant().await?;
    let unique = unique();
    let (url, deliveries) = receiver().await?;
    let endpoint = merchant
        .post("/v1/webhook-endpoints", &format!("endpoint-{unique}"), &json!({"url": url}))
        .await?
        .expect(201)?;
    let secret = endpoint["secret"].as_str().context("no secret")?.to_owned();

    let method = merchant.payment_method(&unique, "pm_card_visa").await?;
    let body = json!({"amount": "10.00", "currency": "USD", "payment_method_id": method, "capture_method": "MANUAL"});
    let held = merchant.post("/v1/payments", &format!("hold-{unique}"), &body).await?.expect(201)?;
    assert_eq!(held["status"], "AUTHORIZED", "{held:#}");
    let path = format!("/v1/payments/{}", held["id"].as_str().context("no id")?);
    let take = json!({"amount": "6.00"});
    let taken = merchant.post(&format!("{path}/captures"), &format!("take-{unique}"), &take).await?.expect(201)?;
    assert_eq!(taken["status"], "SUCCEEDED", "{taken:#}");
    let free = merchant.post(&format!("{path}/cancel"), &format!("free-{unique}"), &json!({})).await?;
    assert!(matches!(free.status, 200 | 201), "{free:?}");
    let give_back = json!({"payment_id": held["id"], "amount": "2.00"});
    let given_back = merchant.post("/v1/refunds", &format!("back-{unique}"), &give_back).await?.expect(201)?;
    assert_eq!(given_back["status"], "SUCCEEDED", "{given_back:#}");

    let payment = merchant.get(&path).await?.expect(200)?;
    assert_eq!(payment["status"], "PARTIALLY_REFUNDED", "{payment:#}");
    assert_eq!((&payment["amount_captured"], &payment["amount_refunded"]), (&json!("6.00"), &json!("2.00")));
    told_in_order(&deliveries, &secret, &payment).await?;
    let too_much = json!({"payment_id": held["id"], "amount": "4.01"});
    let refused = merchant.post("/v1/refunds", &format!("more-{unique}"), &too_much).await?;
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("amount_exceeds_captured")), "{refused:?}");
    merchant.get("/v1/balance").await?.expect(200)?;
    the_ledger_is_right(&platform).await
}

/// Every event of the payment once, in order, and signed.
async fn told_in_order(deliveries: &Deliveries, secret: &str, payment: &Value) -> Result<()> {
    let of_payment = || -> Result<Vec<(String, i64)>> {
        let webhook = standardwebhooks::Webhook::new(secret)?;
        let received = deliveries.lock().map_err(|_| anyhow::anyhow!("the receiver panicked"))?.clone();
        let mut seen = Vec::new();
        for (headers, body) in received {
            webhook.verify(&body, &headers)?;
            let event: Value = serde_json::from_slice(&body)?;
            if event["data"]["payment"]["id"] == payment["id"] {
                let kind = event["type"].as_str().unwrap_or_default().to_owned();
                seen.push((kind, event["sequence"].as_i64().unwrap_or_default()));
            }
        }
        Ok(seen)
    };
    let wanted = ["payment.authorized", "payment.captured", "payment.succeeded", "payment.partially_refunded"]
        .map(str::to_owned);
    eventually("every step is told", Duration::from_secs(20), || async {
        let seen = of_payment()?;
        Ok((seen.len() >= wanted.len(), format!("{seen:?}")))
    })
    .await?;
    let seen = of_payment()?;
    assert_eq!(seen, wanted.into_iter().zip(1..).collect::<Vec<_>>());
    Ok(())
}

async fn the_ledger_is_right(platform: &Platform) -> Result<()> {
    let pod = platform.pods("gateway").await?.into_iter().next().context("no gateway pod")?;
    let pod = format!("pod/{pod}");
    // Fails, and says which row is wrong, unless every journal, currency and payment agrees.
    let verified =
        platform.kubectl.run(&["-n", NAMESPACE, "exec", &pod, "--", "purser", "ledger", "verify", "--json"]).await?;
    println!("ledger: {}", verified.trim());
    Ok(())
}

async fn receiver() -> Result<(String, Deliveries)> {
    let deliveries = Deliveries::default();
    let router = Router::new().route(
        "/events",
        post(|State(deliveries): State<Deliveries>, headers: HeaderMap, body: Bytes| async move {
            match deliveries.lock() {
                Ok(mut deliveries) => deliveries.push((headers, body)),
                Err(_) => return StatusCode::INTERNAL_SERVER_ERROR,
            }
            StatusCode::NO_CONTENT
        }),
    );
    let listener = TcpListener::bind((HOST, 0)).await?;
    let url = format!("http://{}/events", listener.local_addr()?);
    let router = router.with_state(Arc::clone(&deliveries));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((url, deliveries))
}
