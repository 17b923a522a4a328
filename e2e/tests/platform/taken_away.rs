//! Everything that a platform needs is taken away once; the conditions must explain it in words that help.
//!
//! All cases stand side by side in one namespace, since each of them mostly waits.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::platform::{Kubectl, NAMESPACE, narrate};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::fixture::{eventually, platform};

const SPACE: &str = "taken-away";
const DATABASE_HOST: &str = "payments-postgres.payments.svc:5432";
const REDIS: &str = "redis://payments-redis.payments.svc:6379/0";
const SIMULATOR: &str = "http://provider-simulator.payments.svc:8090";
const LIMIT: Duration = Duration::from_secs(75);

/// One PaymentCluster from which one thing is missing.
struct Case {
    name: &'static str,
    /// Which condition must tell.
    condition: &'static str,
    status: &'static str,
    /// A word that must stand in its message.
    words: &'static str,
    change: fn(&mut Parts),
}

/// What a case is made of, whole before it is changed.
struct Parts {
    database_secret: Option<Value>,
    cache_url: String,
    provider_endpoint: String,
    spec: Value,
}

const CASES: [Case; 9] = [
    Case {
        name: "no-secret",
        condition: "SecretsAvailable",
        status: "False",
        words: "no-secret-db",
        change: |parts| parts.database_secret = None,
    },
    Case {
        name: "no-key",
        condition: "SecretsAvailable",
        status: "False",
        words: "url",
        change: |parts| parts.database_secret = Some(json!({"other": "x"})),
    },
    Case {
        name: "bad-password",
        condition: "Ready",
        status: "False",
        words: "password",
        change: |parts| {
            parts.database_secret =
                Some(json!({"url": format!("postgres://purser:wrong@{DATABASE_HOST}/bad_password")}))
        },
    },
    Case {
        name: "no-redis",
        condition: "CacheReachable",
        status: "False",
        words: "",
        change: |parts| parts.cache_url = "redis://127.0.0.1:1/0".to_owned(),
    },
    Case {
        name: "provider-down",
        condition: "ProvidersReady",
        status: "False",
        words: "provider-down",
        change: |parts| parts.provider_endpoint = "http://provider-simulator.payments.svc:1".to_owned(),
    },
    Case {
        name: "no-image",
        condition: "Ready",
        status: "False",
        words: "no-such-image",
        change: |parts| parts.spec["image"] = json!({"repository": "localhost/no-such-image", "pullPolicy": "Never"}),
    },
    Case { name: "bad-migration", condition: "SchemaReady", status: "False", words: "merchants", change: |_| {} },
    Case {
        name: "no-memory",
        condition: "GatewayAvailable",
        status: "False",
        words: "memory",
        // More than any node of these tests has.
        change: |parts| {
            parts.spec["gateway"]["resources"] = json!({"requests": {"memory": "900Gi"}, "limits": {"memory": "900Gi"}})
        },
    },
    Case {
        name: "small-memory",
        condition: "GatewayAvailable",
        status: "False",
        words: "memory",
        // Less than it takes to start a container at all; the gateway itself runs in 4 MiB.
        change: |parts| {
            parts.spec["gateway"]["resources"] = json!({"requests": {"memory": "2Mi"}, "limits": {"memory": "2Mi"}})
        },
    },
];

#[tokio::test]
async fn whatever_is_taken_away_a_condition_explains_it() -> Result<()> {
    let platform = platform().await?;
    let kubectl = &platform.kubectl;
    remove(kubectl).await?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}});
    apply(kubectl, &[namespace]).await?;
    for case in &CASES {
        apply(kubectl, &objects(kubectl, case).await?).await?;
    }
    try_join_all(CASES.iter().map(|case| explains(kubectl, case))).await?;
    the_failed_migration_changed_nothing(kubectl).await?;
    a_platform_without_redis_is_ready_all_the_same(kubectl).await?;
    remove(kubectl).await
}

#[tokio::test]
async fn a_second_paymentcluster_on_the_same_database_is_refused() -> Result<()> {
    let platform = platform().await?;
    let kubectl = &platform.kubectl;
    let case = Case {
        name: "second",
        condition: "SchemaReady",
        status: "False",
        words: "payments/payments",
        change: |parts| {
            parts.database_secret =
                Some(json!({"url": format!("postgres://purser:quickstart-only@{DATABASE_HOST}/payments")}))
        },
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}});
    apply(kubectl, &[namespace]).await?;
    apply(kubectl, &objects(kubectl, &case).await?).await?;
    explains(kubectl, &case).await?;
    assert!(narrate::is_ready(&platform.object("pcl", "payments").await?), "the first one is not touched");
    remove(kubectl).await
}

async fn objects(kubectl: &Kubectl, case: &Case) -> Result<Vec<Value>> {
    let name = case.name;
    let database = name.replace('-', "_");
    psql(kubectl, "postgres", &format!("drop database if exists {database} with (force)")).await?;
    psql(kubectl, "postgres", &format!("create database {database}")).await?;
    if name == "bad-migration" {
        psql(kubectl, &database, "create table merchants (somebody_elses text)").await?;
    }
    let mut parts = Parts {
        database_secret: Some(json!({"url": format!("postgres://purser:quickstart-only@{DATABASE_HOST}/{database}")})),
        cache_url: REDIS.to_owned(),
        provider_endpoint: SIMULATOR.to_owned(),
        spec: json!({
            "version": "0.1.0",
            "image": {"repository": std::env::var("PURSER_REGISTRY").map_or_else(|_| "purser".to_owned(), |registry| format!("{registry}/purser"))},
            "database": {"urlSecretRef": {"name": format!("{name}-db"), "key": "url"}},
            "cache": {"urlSecretRef": {"name": format!("{name}-redis"), "key": "url"}},
            "providers": {"selector": {"matchLabels": {"purser.dev/cluster": name}}},
            "gateway": {"replicas": 1}, "fraud": {"replicas": 1}, "processor": {"replicas": 1}, "metrics": {"replicas": 1},
        }),
    };
    (case.change)(&mut parts);
    let metadata = |suffix: &str| json!({"name": format!("{name}{suffix}"), "namespace": SPACE});
    let secret = |suffix: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(suffix), "stringData": data});
    let mut objects = vec![
        secret("-redis", json!({"url": parts.cache_url})),
        secret("-stripe", json!({"secretKey": "sk_test_quickstart"})),
    ];
    objects.extend(parts.database_secret.map(|data| secret("-db", data)));
    let mut provider = json!({"apiVersion": "purser.dev/v1alpha1", "kind": "PaymentProvider", "metadata": metadata("-provider"), "spec": {
        "name": "STRIPE", "simulator": true, "apiEndpoint": parts.provider_endpoint,
        "credentialsSecretRef": {"name": format!("{name}-stripe"), "key": "secretKey"},
    }});
    provider["metadata"]["labels"] = json!({"purser.dev/cluster": name});
    objects.push(provider);
    objects.push(json!({"apiVersion": "purser.dev/v1alpha1", "kind": "PaymentCluster", "metadata": metadata(""), "spec": parts.spec}));
    Ok(objects)
}

async fn explains(kubectl: &Kubectl, case: &Case) -> Result<()> {
    let took = eventually(case.name, LIMIT, || async {
        let resource = kubectl.get(&["-n", SPACE, "pcl", case.name]).await?.context("it is gone")?;
        let condition = narrate::condition(&resource, case.condition).cloned().unwrap_or_default();
        let message = condition["message"].as_str().unwrap_or_default();
        let told = condition["status"] == case.status && message.contains(case.words) && !message.is_empty();
        Ok((told, format!("{}; all: {}", condition, resource["status"]["conditions"])))
    })
    .await?;
    let resource = kubectl.get(&["-n", SPACE, "pcl", case.name]).await?.context("it is gone")?;
    let condition = narrate::condition(&resource, case.condition).context("no such condition any more")?;
    println!(
        "{:14} after {:4.1} s: {} {}: {}",
        case.name,
        took.as_secs_f32(),
        case.condition,
        condition["reason"],
        condition["message"]
    );
    let text = resource["status"].to_string();
    assert!(!text.contains("quickstart-only") && !text.contains("sk_test"), "a secret stands in the status: {text}");
    Ok(())
}

async fn the_failed_migration_changed_nothing(kubectl: &Kubectl) -> Result<()> {
    let tables = psql(kubectl, "bad_migration", "select string_agg(tablename, ',' order by tablename) from pg_tables where schemaname = 'public' and tablename in ('merchants', 'users', 'transactions')").await?;
    assert_eq!(tables.trim(), "merchants", "the migration that failed left something behind");
    Ok(())
}

async fn a_platform_without_redis_is_ready_all_the_same(kubectl: &Kubectl) -> Result<()> {
    narrate::until_ready(kubectl, SPACE, "no-redis", Duration::from_secs(60)).await
}

async fn psql(kubectl: &Kubectl, database: &str, sql: &str) -> Result<String> {
    let command = ["psql", "-h", "127.0.0.1", "-U", "purser", "-d", database, "-Atqc", sql];
    let environment = ["env", "PGPASSWORD=quickstart-only"];
    let exec = ["-n", NAMESPACE, "exec", "payments-postgres-0", "--"];
    kubectl.run(&[&exec[..], &environment[..], &command[..]].concat()).await
}

async fn apply(kubectl: &Kubectl, objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    kubectl.run_with_input(&["apply", "-f", "-"], Some(&list)).await.map(drop)
}

async fn remove(kubectl: &Kubectl) -> Result<()> {
    kubectl.run(&["delete", "namespace", SPACE, "--ignore-not-found", "--timeout=90s"]).await.map(drop)
}
