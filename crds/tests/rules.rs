//! What the API server refuses, and the sentence that it gives. The same rules run in a real API server in `e2e`.

#![expect(clippy::unwrap_used, reason = "a manifest of a test that cannot be built is a broken test")]

use crds::payment_cluster::{Notification, NotificationEvent};
use crds::{PaymentCluster, PaymentProvider};
use serde_json::{Value, json};

fn cluster(change: impl FnOnce(&mut Value)) -> PaymentCluster {
    let mut manifest = json!({
        "apiVersion": "purser.dev/v1alpha1",
        "kind": "PaymentCluster",
        "metadata": { "name": "payments" },
        "spec": {
            "version": "0.1.0",
            "database": { "urlSecretRef": { "name": "payments-db", "key": "url" } },
            "cache": { "urlSecretRef": { "name": "payments-redis", "key": "url" } },
            "providers": { "selector": { "matchLabels": { "purser.dev/cluster": "payments" } } },
        },
    });
    change(&mut manifest);
    serde_json::from_value(manifest).unwrap()
}

fn provider(change: impl FnOnce(&mut Value)) -> PaymentProvider {
    let mut manifest = json!({
        "apiVersion": "purser.dev/v1alpha1",
        "kind": "PaymentProvider",
        "metadata": { "name": "stripe" },
        "spec": {
            "name": "STRIPE",
            "apiEndpoint": "https://api.stripe.com",
            "credentialsSecretRef": { "name": "stripe", "key": "secretKey" },
        },
    });
    change(&mut manifest);
    serde_json::from_value(manifest).unwrap()
}

fn at<'a>(manifest: &'a mut Value, pointer: &str) -> &'a mut Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    &mut manifest.pointer_mut(parent).unwrap()[key]
}

#[test]
fn a_minimal_cluster_is_accepted_and_gets_the_defaults_of_the_design() {
    let cluster = cluster(|_| {});
    cluster.validate_cel().unwrap();
    assert_eq!(cluster.spec.fraud.deadline.as_millis(), Some(50));
    assert_eq!(cluster.spec.cache.ttl.user.as_millis(), Some(300_000));
    assert_eq!(cluster.spec.cache.ttl.payment_method.as_millis(), Some(600_000));
    assert_eq!(cluster.spec.cache.ttl.fraud_rules.as_millis(), Some(3_600_000));
    assert_eq!(cluster.spec.cache.ttl.metrics.as_millis(), Some(60_000));
    assert_eq!((cluster.spec.processor.replicas, cluster.spec.metrics.replicas), (2, 1));
}

#[test]
fn a_bad_cluster_is_refused_with_a_sentence_that_helps() {
    let ttl = "a time to live is";
    let secret = json!({ "secretKeyRef": { "name": "hooks", "key": "url" } });
    let exactly_one = "exactly one of webhook, slack and alertmanager";
    let replica = |lag: &str| json!({ "urlSecretRef": { "name": "payments-db", "key": "url" }, "readLagMax": lag });
    let cases: [(&str, Value, &str); 25] = [
        ("/spec/version", json!("latest"), "semantic version"),
        ("/spec/version", json!("1.0.0+build"), "semantic version"),
        ("/spec/version", json!("1.0.0-RC1"), "semantic version"),
        ("/spec/image", json!({ "repository": "purser:0.1.0" }), "takes no tag"),
        ("/spec/image", json!({ "repository": "purser@sha256:00" }), "takes no tag"),
        ("/spec/cache/ttl", json!({ "user": "0s" }), ttl),
        ("/spec/cache/ttl", json!({ "paymentMethod": "25h" }), ttl),
        ("/spec/cache/ttl", json!({ "fraudRules": "5" }), ttl),
        ("/spec/cache/ttl", json!({ "metrics": "10ms" }), ttl),
        ("/spec/gateway", json!({ "autoscaling": { "minReplicas": 5, "maxReplicas": 3 } }), "must not be greater"),
        ("/spec/gateway", json!({ "autoscaling": { "maxReplicas": 3, "targetCpuUtilization": 0 } }), "percentage"),
        ("/spec/gateway", json!({ "autoscaling": { "maxReplicas": 3, "targetCpuUtilization": 101 } }), "percentage"),
        ("/spec/gateway", json!({ "service": { "nodePort": 30080 } }), "needs gateway.service.type NodePort"),
        ("/spec/fraud", json!({ "deadline": "2s" }), "from 5ms to 1s"),
        ("/spec/database", replica("999ms"), "from 1s to 60s"),
        ("/spec/database", replica("61s"), "from 1s to 60s"),
        ("/spec/database", replica("1m"), "from 1s to 60s"),
        ("/spec/archive", json!({ "keepMonths": 6 }), "archive needs backup"),
        ("/spec/providers/selector/matchLabels", json!({}), "at least one label"),
        ("/metadata/name", json!("a-name-that-is-one-letter-too-lo"), "at most 30 characters"),
        ("/spec/notifications", json!([{ "name": "ops" }]), exactly_one),
        ("/spec/notifications", json!([{ "name": "ops", "webhook": secret, "slack": secret }]), exactly_one),
        ("/spec/notifications", json!([{ "name": "Ops!", "slack": secret }]), "lower case letters"),
        (
            "/spec/notifications",
            json!([{ "name": "ops", "slack": secret }, { "name": "ops", "webhook": secret }]),
            "a name of its own",
        ),
        (
            "/spec/notifications",
            json!([{ "name": "ops", "alertmanager": { "url": "http://user:word@alerts" } }]),
            "must be a URL of scheme",
        ),
    ];
    for (pointer, value, sentence) in cases {
        let bad = cluster(|manifest| *at(manifest, pointer) = value.clone());
        let refusal = bad.validate_cel().expect_err(&format!("{pointer} = {value}")).to_string();
        assert!(refusal.contains(sentence), "{pointer} = {value}: {refusal}");
    }
}

#[test]
fn whoever_is_to_be_told_is_told_of_everything_unless_asked_otherwise() {
    let cluster = cluster(|manifest| {
        let secret = json!({ "secretKeyRef": { "name": "hooks", "key": "url" } });
        manifest["spec"]["notifications"] = json!([
            { "name": "ops", "webhook": secret },
            { "name": "channel", "slack": secret, "on": ["RolledBack"] },
            { "name": "alerts", "alertmanager": { "url": "https://alerts.example/base" } },
        ]);
    });
    cluster.validate_cel().unwrap();
    let wants = |index: usize| {
        let notification: &Notification = &cluster.spec.notifications[index];
        NotificationEvent::ALL.into_iter().filter(|event| notification.wants(*event)).map(NotificationEvent::as_str)
    };
    assert_eq!(wants(0).count(), 6);
    assert_eq!(wants(1).collect::<Vec<_>>(), ["RolledBack"]);
    assert_eq!(wants(2).collect::<Vec<_>>(), ["Succeeded", "Failed", "RolledBack", "SlaBreached"]);
}

#[test]
fn a_bad_staging_is_refused_with_a_sentence_that_helps() {
    let cases: [(&str, Value, &str); 8] = [
        (
            "/spec/rollout",
            json!({ "promoteFrom": { "namespace": "No/Name", "name": "staging" } }),
            "name of a namespace",
        ),
        ("/spec/staging", json!({ "tps": 0 }), "from 1 to 10000"),
        ("/spec/staging", json!({ "duration": "11m" }), "from 1s to 10m"),
        ("/spec/staging", json!({ "duration": "500ms" }), "from 1s to 10m"),
        ("/spec/staging", json!({ "p95Latency": "2m" }), "from 1ms to 60s"),
        ("/spec/staging", json!({ "p99Latency": "soon" }), "from 1ms to 60s"),
        ("/spec/staging", json!({ "successRate": "101" }), "at most 100"),
        ("/spec/staging", json!({ "successRate": "0" }), "above 0"),
    ];
    for (pointer, value, sentence) in cases {
        let bad = cluster(|manifest| *at(manifest, pointer) = value.clone());
        let refusal = bad.validate_cel().expect_err(&format!("{pointer} = {value}")).to_string();
        assert!(refusal.contains(sentence), "{pointer} = {value}: {refusal}");
    }
    let too_fast = cluster(|manifest| {
        *at(manifest, "/spec/environment") = json!("Staging");
        *at(manifest, "/spec/staging") = json!({ "tps": 101 });
    });
    let refusal = too_fast.validate_cel().unwrap_err().to_string();
    assert!(refusal.contains("more than gateway.rateLimit.requestsPerSecond"), "{refusal}");
}

#[test]
fn a_staging_platform_and_one_that_is_promoted_from_it_are_accepted() {
    let staging = cluster(|manifest| *at(manifest, "/spec/environment") = json!("Staging"));
    staging.validate_cel().unwrap();
    assert_eq!((staging.spec.staging.tps, staging.spec.staging.duration.as_millis()), (20, Some(30_000)));
    // Of the same name in another namespace is another one.
    let rollout = json!({ "promoteFrom": { "namespace": "staging", "name": "payments" } });
    let production = cluster(|manifest| *at(manifest, "/spec/rollout") = rollout);
    production.validate_cel().unwrap();
    assert_eq!(production.spec.rollout.health_check, crds::payment_cluster::HealthCheck::Enabled);
}

#[test]
fn the_database_reference_cannot_change() {
    let before = cluster(|_| {});
    let after = cluster(|manifest| *at(manifest, "/spec/database/urlSecretRef/name") = json!("another"));
    let refusal = after.validate_cel_update(&before).unwrap_err().to_string();
    assert!(refusal.contains("database is immutable"), "{refusal}");
    before.validate_cel_update(&before).unwrap();
    assert_eq!(before.spec.database.read_lag_max.as_millis(), Some(2_000));
    // What is only read from may be another one at any time.
    let read = json!({ "name": "payments-replica", "key": "url" });
    let with_replica = cluster(|manifest| *at(manifest, "/spec/database/readUrlSecretRef") = read);
    with_replica.validate_cel_update(&before).unwrap();
    before.validate_cel_update(&with_replica).unwrap();
}

#[test]
fn a_bad_provider_is_refused_with_a_sentence_that_helps() {
    provider(|_| {}).validate_cel().unwrap();
    let cases: [(&str, Value, &str); 9] = [
        ("/spec/apiEndpoint", json!("http://simulator:8090"), "must be https://"),
        ("/spec/apiEndpoint", json!("https://user:password@host"), "must be a URL"),
        ("/spec/apiEndpoint", json!("stripe"), "must be a URL"),
        ("/spec/maxLatency", json!("0s"), "from 50ms to 60s"),
        ("/spec/maxLatency", json!("61s"), "from 50ms to 60s"),
        ("/spec/successRateThreshold", json!("100.01"), "percentage in quotes"),
        ("/spec/successRateThreshold", json!("95.123"), "percentage in quotes"),
        ("/spec/successRateThreshold", json!("-1"), "percentage in quotes"),
        ("/metadata/name", json!("dots.are.not.for.files"), "credential file"),
    ];
    for (pointer, value, sentence) in cases {
        let bad = provider(|manifest| *at(manifest, pointer) = value.clone());
        let refusal = bad.validate_cel().expect_err(&format!("{pointer} = {value}")).to_string();
        assert!(refusal.contains(sentence), "{pointer} = {value}: {refusal}");
    }
}

#[test]
fn a_simulator_may_use_plain_http() {
    let simulator = provider(|manifest| {
        *at(manifest, "/spec/apiEndpoint") = json!("http://simulator:8090");
        *at(manifest, "/spec/simulator") = json!(true);
    });
    simulator.validate_cel().unwrap();
}
