//! What the API server refuses by itself, and the sentence it gives. `crds/tests/rules.rs` has the whole list in process;
//! here stands that the server really goes by it.

use anyhow::{Context, Result};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::fixture::{minimal_cluster, minimal_provider, namespace, untyped};

fn with(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let (parents, last) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let mut at = &mut manifest;
    for key in parents.split('/').filter(|key| !key.is_empty()) {
        at = &mut at[key];
    }
    at[last] = value;
    manifest
}

#[tokio::test]
async fn a_paymentcluster_that_breaks_a_rule_is_refused_with_a_sentence_that_helps() -> Result<()> {
    let (client, space) = namespace().await?;
    let api = untyped(&client, &space, "PaymentCluster");
    let cases = [
        ("/spec/cache/ttl", json!({"user": "0s"}), "a time to live is"),
        ("/spec/cache/ttl", json!({"metrics": "soon"}), "a time to live is"),
        ("/spec/gateway", json!({"autoscaling": {"minReplicas": 5, "maxReplicas": 2}}), "must not be greater than"),
        ("/spec/gateway", json!({"autoscaling": {"maxReplicas": 2, "targetCpuUtilization": 0}}), "percentage"),
        ("/spec/version", json!("latest"), "semantic version"),
        ("/spec/fraud", json!({"deadline": "2s"}), "from 5ms to 1s"),
        ("/spec/fraud", json!({"onDeadline": "Shrug"}), "Unsupported value"),
        ("/spec/gateway", json!({"replicas": "two"}), "must be of type integer"),
        ("/spec/providers", json!({"selector": {"matchLabels": {}}}), "at least one label"),
        ("/metadata/name", json!("a-name-that-is-far-too-long-to-be-a-beginning"), "at most 30 characters"),
    ];
    for (pointer, value, sentence) in cases {
        let manifest = with(minimal_cluster("refused"), pointer, value.clone());
        let object = serde_json::from_value(manifest)?;
        let error = api
            .create(&PostParams::default(), &object)
            .await
            .err()
            .with_context(|| format!("{pointer} = {value} was accepted"))?;
        assert!(error.to_string().contains(sentence), "{pointer} = {value}: {error}");
    }
    assert!(api.list(&kube::api::ListParams::default()).await?.items.is_empty(), "something was stored");
    Ok(())
}

#[tokio::test]
async fn a_paymentprovider_that_breaks_a_rule_is_refused_with_a_sentence_that_helps() -> Result<()> {
    let (client, space) = namespace().await?;
    let api = untyped(&client, &space, "PaymentProvider");
    let cases = [
        ("/spec/apiEndpoint", json!("http://api.stripe.com"), "simulator: true"),
        ("/spec/apiEndpoint", json!("ftp://api.stripe.com"), "https://"),
        ("/spec/successRateThreshold", json!("101"), "percentage"),
        ("/spec/maxLatency", json!("0s"), "maxLatency is"),
        ("/spec/name", json!("ACME"), "Unsupported value"),
    ];
    for (pointer, value, sentence) in cases {
        let object = serde_json::from_value(with(minimal_provider("refused", "payments"), pointer, value.clone()))?;
        let error = api
            .create(&PostParams::default(), &object)
            .await
            .err()
            .with_context(|| format!("{pointer} = {value} was accepted"))?;
        assert!(error.to_string().contains(sentence), "{pointer} = {value}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn the_database_of_a_paymentcluster_cannot_be_changed_on_the_way() -> Result<()> {
    let (client, space) = namespace().await?;
    let api = untyped(&client, &space, "PaymentCluster");
    let stored = api.create(&PostParams::default(), &serde_json::from_value(minimal_cluster("fixed"))?).await?;
    let change = json!({"spec": {"database": {"urlSecretRef": {"name": "another-db", "key": "url"}}}});
    let error =
        api.patch("fixed", &PatchParams::default(), &Patch::Merge(&change)).await.err().context("it was accepted")?;
    assert!(error.to_string().contains("database is immutable"), "{error}");
    assert_eq!(api.get("fixed").await?.resource_version(), stored.resource_version());
    Ok(())
}

#[tokio::test]
async fn a_paymentprovider_stays_with_its_provider() -> Result<()> {
    let (client, space) = namespace().await?;
    let api = untyped(&client, &space, "PaymentProvider");
    api.create(&PostParams::default(), &serde_json::from_value(minimal_provider("fixed", "payments"))?).await?;
    let change = Patch::Merge(json!({"spec": {"name": "PAYPAL"}}));
    let error = api.patch("fixed", &PatchParams::default(), &change).await.err().context("it was accepted")?;
    assert!(error.to_string().contains("name is immutable"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_field_is_refused_where_strictness_is_asked_for() -> Result<()> {
    let (client, space) = namespace().await?;
    let api = untyped(&client, &space, "PaymentCluster");
    let manifest = with(minimal_cluster("strict"), "/spec/gatway", json!({"replicas": 3}));
    let strict = PatchParams::apply("tests").validation_strict();
    let error = api.patch("strict", &strict, &Patch::Apply(&manifest)).await.err().context("it was accepted")?;
    assert!(error.to_string().contains("gatway"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_minimal_manifest_gets_the_defaults_of_the_design() -> Result<()> {
    let (client, space) = namespace().await?;
    let api = untyped(&client, &space, "PaymentCluster");
    let stored = api.create(&PostParams::default(), &serde_json::from_value(minimal_cluster("minimal"))?).await?;
    let spec = &stored.data["spec"];
    assert_eq!(
        spec["cache"]["ttl"],
        json!({"user": "5m", "paymentMethod": "10m", "fraudRules": "1h", "metrics": "1m"})
    );
    assert_eq!((&spec["fraud"]["deadline"], &spec["fraud"]["onDeadline"]), (&json!("50ms"), &json!("Flag")));
    assert_eq!((&spec["gateway"]["replicas"], &spec["environment"]), (&json!(2), &json!("Production")));
    assert_eq!(stored.data["status"]["observedGeneration"], -1, "nobody has looked at it yet, and tools can tell");
    Ok(())
}
