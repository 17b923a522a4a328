//! Bad requests through the gateway's Service; the whole list is tested in the runtime's own tests.

use anyhow::Result;
use e2e::platform::Merchant;
use serde_json::json;

use super::fixture::{platform, unique};

#[tokio::test]
async fn bad_payments_are_refused_with_a_problem_document_and_nothing_is_charged() -> Result<()> {
    let platform = platform().await?;
    let merchant = platform.merchant().await?;
    let unique = unique();
    let method = merchant.payment_method(&unique, "pm_card_visa").await?;
    let charges = platform.charges().await?.len();
    for (amount, currency) in [
        ("0", "USD"),
        ("-1.00", "USD"),
        ("1.001", "USD"),
        ("1.5", "JPY"),
        ("100000000000000000000", "USD"),
        ("1.00", "ABC"),
        ("1e2", "USD"),
    ] {
        let body = json!({"amount": amount, "currency": currency, "payment_method_id": method});
        let answer = merchant.post("/v1/payments", &format!("bad-{amount}-{unique}"), &body).await?;
        assert!((400..500).contains(&answer.status), "{amount} {currency}: {} {}", answer.status, answer.body);
        let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(content_type.starts_with("application/problem+json"), "{content_type}");
        for member in ["type", "title", "status", "detail", "code", "request_id"] {
            assert!(!answer.body[member].is_null(), "{amount} {currency}: no {member} in {}", answer.body);
        }
    }
    let stranger = Merchant::new(&merchant.base_url, "psk_nobody")?;
    assert_eq!(stranger.get("/v1/payments/pay_00000000000070008000000000000000").await?.status, 401);
    assert_eq!(platform.charges().await?.len(), charges, "a refused payment was charged");
    Ok(())
}
