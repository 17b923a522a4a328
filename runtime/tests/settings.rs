//! `purser settings apply`, and how running processes learn of it.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use runtime::live_settings;
use runtime::settings_apply::{Applied, ApplyError, apply};
use runtime_contract::settings::Maintenance;
use runtime_contract::{CacheTtl, Outcome, ProviderName, ProviderSettings, Reason, Settings};
use sqlx::PgConnection;
use support::{OWNER, TestApp, connection, empty_database, migrated_database};

fn provider(resource: &str, priority: i32) -> ProviderSettings {
    ProviderSettings {
        resource: resource.into(),
        name: ProviderName::Stripe,
        api_endpoint: "https://api.stripe.example".into(),
        priority,
        active: true,
        max_latency_ms: 2000,
        success_rate_threshold: "95.0".into(),
    }
}

fn settings(revision: i64, providers: Vec<ProviderSettings>) -> Settings {
    let cache_ttl = CacheTtl { user_s: 300, payment_method_s: 600, fraud_rules_s: 3600, metrics_s: 60 };
    Settings { revision, cache_ttl, providers, limits: Default::default(), maintenance: None }
}

async fn providers(connection: &mut PgConnection) -> Vec<(String, bool, i32)> {
    sqlx::query_as("select resource, is_active, priority from payment_providers order by priority, resource")
        .fetch_all(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_newer_revision_replaces_an_older_one_and_never_the_other_way() {
    let mut connection = connection(&migrated_database().await).await;
    let two = settings(2, vec![provider("stripe", 1), provider("stripe-eu", 2)]);
    assert_eq!(apply(&mut connection, OWNER, &two).await.unwrap(), Applied::InForce { revision: 2 });
    assert_eq!(apply(&mut connection, OWNER, &two).await.unwrap(), Applied::InForce { revision: 2 });
    let one = settings(1, vec![provider("stripe", 9)]);
    assert_eq!(apply(&mut connection, OWNER, &one).await.unwrap(), Applied::Superseded { revision: 2 });
    assert_eq!(providers(&mut connection).await, [("stripe".into(), true, 1), ("stripe-eu".into(), true, 2)]);

    let three = settings(3, vec![provider("stripe-eu", 1)]);
    assert_eq!(apply(&mut connection, OWNER, &three).await.unwrap(), Applied::InForce { revision: 3 });
    // Gone from the document, but payments may point at it.
    assert_eq!(providers(&mut connection).await, [("stripe-eu".into(), true, 1), ("stripe".into(), false, i32::MAX)]);
}

#[tokio::test]
async fn one_revision_has_one_content() {
    let mut connection = connection(&migrated_database().await).await;
    apply(&mut connection, OWNER, &settings(1, vec![provider("stripe", 1)])).await.unwrap();
    let error = apply(&mut connection, OWNER, &settings(1, vec![provider("stripe", 2)])).await.unwrap_err();
    assert!(matches!(error, ApplyError::RevisionReused(1)), "{error}");
    assert_eq!(providers(&mut connection).await, [("stripe".into(), true, 1)]);
}

#[tokio::test]
async fn appliers_at_the_same_time_leave_the_newest() {
    let url = migrated_database().await;
    let applies = (1..=8).map(|revision| {
        let url = url.clone();
        async move {
            apply(&mut connection(&url).await, OWNER, &settings(revision, vec![provider("stripe", revision as i32)]))
                .await
                .unwrap()
        }
    });
    futures::future::join_all(applies).await;
    assert_eq!(providers(&mut connection(&url).await).await, [("stripe".into(), true, 8)]);
}

#[tokio::test]
async fn what_must_not_be_applied_changes_nothing() {
    let url = migrated_database().await;
    let mut connection = connection(&url).await;
    let bad = |change: fn(&mut ProviderSettings)| {
        let mut provider = provider("stripe", 1);
        change(&mut provider);
        settings(1, vec![provider])
    };
    for (document, key) in [
        (settings(0, vec![]), "revision"),
        (
            Settings { cache_ttl: CacheTtl { user_s: 0, ..settings(1, vec![]).cache_ttl }, ..settings(1, vec![]) },
            "cacheTtl.userS",
        ),
        (
            Settings { maintenance: Some(Maintenance { retry_after_s: 0 }), ..settings(1, vec![]) },
            "maintenance.retryAfterS",
        ),
        (settings(1, vec![provider("stripe", 1), provider("stripe", 2)]), "providers[1].resource"),
        (bad(|p| p.api_endpoint = "stripe".into()), "providers[0].apiEndpoint"),
        (bad(|p| p.max_latency_ms = 0), "providers[0].maxLatencyMs"),
        (bad(|p| p.success_rate_threshold = "101".into()), "providers[0].successRateThreshold"),
    ] {
        let error = apply(&mut connection, OWNER, &document).await.unwrap_err();
        assert_eq!((error.reason(), error.outcome()), (Reason::InvalidConfiguration, Outcome::Failed));
        assert!(error.to_string().starts_with(key), "{error}");
    }
    let error = apply(&mut connection, "tests/another", &settings(1, vec![])).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::DatabaseOwnedByAnother, Outcome::Failed));
    let error =
        apply(&mut support::connection(&empty_database().await).await, OWNER, &settings(1, vec![])).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::SchemaMismatch, Outcome::Retry));
    assert_eq!(providers(&mut connection).await, []);
    let rows: i64 =
        sqlx::query_scalar("select count(*) from platform_settings").fetch_one(&mut connection).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_running_process_has_new_settings_at_once() {
    let app = TestApp::new().await;
    let mut following = app.app.settings.clone();
    assert_eq!(following.current().revision, 0);
    // The follower listens within its first moments; from then on it is told.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut connection = connection(&app.database_url).await;
    for revision in 1..=3 {
        let document = settings(revision, vec![provider("stripe", 1)]);
        apply(&mut connection, OWNER, &document).await.unwrap();
        tokio::time::timeout(Duration::from_secs(2), following.changed()).await.expect("told within two seconds");
        assert_eq!(*following.current(), document);
    }
    assert_eq!(live_settings::read_newer(app.pool(), 2).await.unwrap().unwrap().revision, 3);
}

/// During an upgrade the newer release's document is read by pods of the older one.
#[tokio::test]
async fn a_newer_releases_document_is_read_as_far_as_it_is_understood() {
    let app = TestApp::new().await;
    let mut document = serde_json::to_value(settings(7, vec![provider("stripe", 3)])).unwrap();
    document["rateLimits"] = serde_json::json!({"perSecond": 100});
    document["cacheTtl"]["geolocationS"] = 60.into();
    document["providers"][0]["regions"] = serde_json::json!(["eu"]);
    let mut unheard_of = document["providers"][0].clone();
    unheard_of["name"] = "KLARNA".into();
    unheard_of["resource"] = "klarna".into();
    document["providers"].as_array_mut().unwrap().insert(0, unheard_of);
    sqlx::query("insert into platform_settings (revision, document) values (7, $1)")
        .bind(&document)
        .execute(app.pool())
        .await
        .unwrap();
    sqlx::query("select pg_notify('purser_settings', '7')").execute(app.pool()).await.unwrap();

    let mut following = app.app.settings.clone();
    tokio::time::timeout(Duration::from_secs(10), following.changed()).await.expect("the new document is read");
    assert_eq!(*following.current(), settings(7, vec![provider("stripe", 3)]));
}
