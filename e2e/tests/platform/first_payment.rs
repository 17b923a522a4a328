//! From `kubectl apply` to money.

use anyhow::Result;
use e2e::platform::NAMESPACE;
use serde_json::json;

use super::fixture::{platform, unique};

#[tokio::test]
async fn the_quickstart_takes_a_payment_and_the_provider_has_charged_it_once() -> Result<()> {
    let platform = platform().await?;
    let payment = &platform.first_payment.payment;
    println!("first payment {} s after kubectl apply", platform.first_payment.after.as_secs_f32());
    assert_eq!(payment["status"], "SUCCESS", "{payment:#}");
    assert_eq!(payment["amount"], "10.50");
    assert_eq!(payment["currency"], "USD");
    assert!(payment["latency_ms"].as_i64().is_some_and(|ms| ms >= 0), "{payment:#}");
    assert!(
        payment["fee"].is_string() && payment["t_start"].is_string() && payment["t_end"].is_string(),
        "{payment:#}"
    );

    let id = payment["id"].as_str().unwrap_or_default();
    let charges = platform.charges().await?;
    let of_payment = charges.iter().filter(|charge| charge.to_string().contains(id)).count();
    assert_eq!(of_payment, 1, "{charges:#?}");
    Ok(())
}

#[tokio::test]
async fn kubectl_wait_and_the_printed_columns_tell_that_the_platform_is_ready() -> Result<()> {
    let platform = platform().await?;
    let kubectl = &platform.kubectl;
    kubectl.run(&["-n", NAMESPACE, "wait", "--for=condition=Ready", "pcl/payments", "--timeout=5s"]).await?;
    kubectl.run(&["-n", NAMESPACE, "wait", "--for=condition=Ready", "pprov/stripe", "--timeout=20s"]).await?;
    let table = kubectl.run(&["-n", NAMESPACE, "get", "paycluster,pprov"]).await?;
    for word in ["VERSION", "STAGE", "READY", "MESSAGE", "0.1.0", "Finished", "STRIPE", "payments"] {
        assert!(table.contains(word), "no {word} in\n{table}");
    }
    assert!(
        kubectl.run(&["-n", NAMESPACE, "get", "purser"]).await?.contains("paymentcluster"),
        "the category lists both kinds"
    );
    Ok(())
}

#[tokio::test]
async fn a_declined_card_fails_with_the_providers_reason_and_charges_nothing() -> Result<()> {
    let platform = platform().await?;
    let merchant = platform.merchant().await?;
    let unique = unique();
    let method = merchant.payment_method(&unique, "pm_card_chargeDeclined").await?;
    let body = json!({"amount": "3.00", "currency": "USD", "payment_method_id": method});
    let answer = merchant.post("/v1/payments", &format!("declined-{unique}"), &body).await?;
    let payment = answer.expect(201)?;
    assert_eq!(payment["status"], "FAILED", "{payment:#}");
    assert_eq!(payment["error"]["code"], "generic_decline", "{payment:#}");
    let id = payment["id"].as_str().unwrap_or_default().to_owned();
    let charged = platform
        .charges()
        .await?
        .iter()
        .any(|charge| charge.to_string().contains(&id) && charge["status"] == "succeeded");
    assert!(!charged, "a declined payment was charged");
    Ok(())
}
