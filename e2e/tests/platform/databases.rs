//! What leaves the database of payments on the node: months that are over, and what analytics may know.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::platform::{Kubectl, NAMESPACE, narrate};
use e2e::releases::{sql, status};
use serde_json::{Value, json};

use super::fixture::{Platform, eventually, platform, unique};

/// A Job starts a pod, and that takes a while on a busy node.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits for a condition, and says what it says.
async fn until_condition(platform: &Platform, kind: &str, expected: &str, reason: &str) -> Result<String> {
    eventually(&format!("{kind} is {expected}, {reason}"), LIMIT, || async {
        let resource = platform.object("pcl", "payments").await?;
        let found = narrate::condition(&resource, kind).cloned().unwrap_or_default();
        Ok((found["status"] == expected && found["reason"] == reason, found.to_string()))
    })
    .await?;
    let resource = platform.object("pcl", "payments").await?;
    let message = narrate::condition(&resource, kind).and_then(|found| found["message"].as_str());
    Ok(message.context("no message")?.to_owned())
}

#[tokio::test]
async fn a_month_that_is_over_is_archived_beside_the_backups_without_a_release() -> Result<()> {
    let platform = platform().await?;
    let kubectl = &platform.kubectl;
    let method = platform.merchant().await?.payment_method(&unique(), "pm_card_visa").await?;
    platform.merchant().await?.pay(&unique(), &method, "1.00", Duration::from_secs(30)).await?;
    // What was said in a January of long ago, of payments that are gone.
    sql(
        kubectl,
        "create table events_p20240101 (like events including defaults including constraints);
         alter table events attach partition events_p20240101
             for values from ('2024-01-01 00:00:00+00') to ('2024-02-01 00:00:00+00');
         create temporary table old as select * from events order by id limit 20;
         update old set id = gen_random_uuid(), created_at = '2024-01-15 12:00:00+00';
         insert into events select * from old",
    )
    .await?;
    let rows: i64 = sql(kubectl, "select count(*) from events_p20240101").await?.parse()?;
    assert!(rows > 0);
    kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"archive": {"keepMonths": 13}}})).await?;
    println!("{}", until_condition(&platform, "Archived", "True", "Archived").await?);
    let told = status(kubectl).await?["archive"].clone();
    assert_eq!((told["partitions"].as_i64(), told["rows"].as_i64()), (Some(1), Some(rows)), "{told:#}");
    assert_eq!(sql(kubectl, "select to_regclass('events_p20240101') is null").await?, "t");
    let noted = "select archived_rows from archived_partitions where partition = 'events_p20240101'";
    assert_eq!(sql(kubectl, noted).await?, rows.to_string());
    kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"archive": null}})).await?;
    eventually("nothing is told of archives any more", LIMIT, || async {
        let told = status(kubectl).await?["archive"].clone();
        Ok((told.is_null(), told.to_string()))
    })
    .await?;
    // Another run of this test on the same cluster makes the month anew.
    sql(kubectl, "delete from archived_partitions where partition = 'events_p20240101'").await.map(drop)
}

/// An analytics server, of the quickstart's image for PostgreSQL.
fn analytics_server() -> Vec<Value> {
    let labels = json!({"app": "analytics-postgres"});
    let volumes = ["data", "run", "tmp"].map(|name| json!({"name": name, "emptyDir": {}}));
    let mounts = [("data", "/data"), ("run", "/var/run/postgresql"), ("tmp", "/tmp")]
        .map(|(name, path)| json!({"name": name, "mountPath": path}));
    let env = [
        ("POSTGRES_USER", "analytics"),
        ("POSTGRES_DB", "analytics"),
        ("POSTGRES_PASSWORD", "test-only"),
        ("PGDATA", "/data/pgdata"),
    ]
    .map(|(name, value)| json!({"name": name, "value": value}));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "analytics-postgres", "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "postgres", "image": "purser-postgres:15", "imagePullPolicy": "IfNotPresent", "env": env,
                "readinessProbe": {"exec": {"command": ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "analytics", "-d", "analytics"]}, "periodSeconds": 1},
                "volumeMounts": mounts,
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
            "volumes": volumes,
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "analytics-postgres", "namespace": NAMESPACE},
        "spec": {"selector": labels, "ports": [{"port": 5432}]},
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "analytics", "namespace": NAMESPACE},
        "stringData": {
            "url": "postgres://analytics:test-only@analytics-postgres:5432/analytics",
            "source": "postgres://analytics_reader:reader-only@payments-postgres:5432/payments",
        },
    });
    vec![pod, service, secret]
}

async fn in_analytics(kubectl: &Kubectl, statement: &str) -> Result<String> {
    let shell = ["exec", "analytics-postgres", "--", "sh", "-c", "PGPASSWORD=\"$POSTGRES_PASSWORD\" exec psql \"$@\""];
    let psql = ["psql", "-U", "analytics", "-d", "analytics", "-v", "ON_ERROR_STOP=1", "-Atqc", statement];
    let told = kubectl.run(&[&["-n", NAMESPACE], &shell[..], &psql[..]].concat()).await?;
    Ok(told.trim().to_owned())
}

#[tokio::test]
async fn payments_flow_to_analytics_as_long_as_that_is_wanted_and_leave_no_slot_behind() -> Result<()> {
    let platform = platform().await?;
    let kubectl = &platform.kubectl;
    for object in analytics_server() {
        kubectl.run_with_input(&["apply", "-f", "-"], Some(&object.to_string())).await?;
    }
    kubectl.run(&["-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/analytics-postgres", "--timeout=90s"]).await?;
    sql(kubectl, "create role analytics_reader login replication password 'reader-only'").await?;
    let key = |key: &str| json!({"name": "analytics", "key": key});
    let analytics = json!({"urlSecretRef": key("url"), "sourceUrlSecretRef": key("source")});
    kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"analytics": analytics}})).await?;
    println!("{}", until_condition(&platform, "AnalyticsReady", "True", "Flowing").await?);

    let merchant = platform.merchant().await?;
    let method = merchant.payment_method(&unique(), "pm_card_visa").await?;
    let payment = merchant.pay(&unique(), &method, "12.34", Duration::from_secs(30)).await?;
    assert_eq!(payment["status"], "SUCCESS", "{payment:#}");
    let counted = "select count(*), count(*) filter (where amount = 12.34 and status = 'SUCCESS') from transactions";
    let here = sql(kubectl, counted).await?;
    let took = eventually("the payment is in analytics", LIMIT, || async {
        let there = in_analytics(kubectl, counted).await?;
        Ok((there == here, format!("{there} of {here}")))
    })
    .await?;
    println!("{here} payments, the last of them there after {took:?}");

    kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"analytics": null}})).await?;
    until_condition(&platform, "AnalyticsReady", "True", "NotWanted").await?;
    assert_eq!(sql(kubectl, "select count(*) from pg_replication_slots").await?, "0");
    assert_eq!(
        in_analytics(kubectl, "select count(*) from transactions").await?,
        here.split('|').next().unwrap_or_default()
    );
    for object in ["pod/analytics-postgres", "service/analytics-postgres", "secret/analytics"] {
        kubectl.run(&["-n", NAMESPACE, "delete", object]).await?;
    }
    sql(kubectl, "drop owned by analytics_reader; drop role analytics_reader").await.map(drop)
}
