//! Payments on their way to analytics.

use std::time::Duration;

use runtime::cdc;

use crate::ground::Ground;

#[tokio::test]
async fn payments_flow_to_analytics_with_every_change_and_without_any_secret() {
    let ground = Ground::new().await;
    let applied = ground.apply().await.unwrap();
    assert_eq!((applied.tables, applied.subscription.as_str()), (cdc::PUBLISHED.len(), ground.name().as_str()));
    ground.becomes_same().await;
    assert_eq!(ground.count("select count(*) from transactions").await, 2);
    // What was copied changes, and more comes.
    ground.settled().await;
    ground
        .on_payments(
            "update merchants set status = 'SUSPENDED'; update transactions set status = 'FAILED', error_code = 'x'",
        )
        .await;
    ground.becomes_same().await;
    assert_eq!(ground.count("select count(*) from transactions where error_code = 'x'").await, 3);

    let secrets: Vec<String> = sqlx::query_scalar(
        "select s from (select api_key from merchants union select email from merchants union select email from users
             union select token from payment_methods union select hash from api_keys) x(s) where s <> ''",
    )
    .fetch_all(&mut ground.payments().await)
    .await
    .unwrap();
    assert!(secrets.len() >= 4, "{secrets:?}");
    let mut dump = String::new();
    for table in cdc::PUBLISHED {
        let rows = format!("select coalesce(string_agg(t::text, ' '), '') from {} t", table.name);
        let rows: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&mut ground.there().await).await.unwrap();
        dump.push_str(&rows);
    }
    for secret in secrets {
        assert!(!dump.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let ground = Ground::new().await;
    let first = ground.apply().await.unwrap();
    assert!(!first.changes.is_empty());
    ground.becomes_same().await;
    let worker =
        "select pid::bigint from pg_stat_subscription where relid is null and subname = current_setting('x.name')";
    let worker = worker.replace("current_setting('x.name')", &format!("'{}'", ground.name()));
    let before = ground.count(&worker).await;
    let again = ground.apply().await.unwrap();
    assert!(again.changes.is_empty(), "{:?}", again.changes);
    assert_eq!(ground.count(&worker).await, before, "not even the worker was sent away");
    ground.pay().await;
    ground.becomes_same().await;
}

#[tokio::test]
async fn the_role_of_analytics_may_read_what_is_published_and_nothing_else() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    let mut reader = crate::support::connection(&ground.source).await;
    sqlx::raw_sql("select id, status from transactions; select id from merchants").execute(&mut reader).await.unwrap();
    for secret in ["select api_key from merchants", "select token from payment_methods", "select * from api_keys"] {
        let refused = sqlx::raw_sql(secret).execute(&mut reader).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{secret}");
    }
}

#[tokio::test]
async fn old_partitions_that_go_take_nothing_from_analytics_and_new_ones_come_by_themselves() {
    let ground = Ground::new().await;
    ground
        .on_payments(
            "create table old partition of transactions for values from ('2020-01-01') to ('2020-02-01');
             insert into transactions (id, amount, currency, status, t_start, user_id, merchant_id, payment_method_id, release, created_at)
             select gen_random_uuid(), 1, 'USD', 'SUCCESS', '2020-01-02', user_id, merchant_id, payment_method_id, 'old', '2020-01-02'
             from transactions limit 1",
        )
        .await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    ground.on_payments("alter table transactions detach partition old; drop table old").await;
    ground
        .on_payments(
            "create table older partition of transactions for values from ('2019-01-01') to ('2019-02-01');
             insert into transactions (id, amount, currency, status, t_start, user_id, merchant_id, payment_method_id, release, created_at)
             select gen_random_uuid(), 1, 'USD', 'SUCCESS', '2019-01-02', user_id, merchant_id, payment_method_id, 'older', '2019-01-02'
             from transactions limit 1",
        )
        .await;
    for _ in 0..200 {
        if ground.count("select count(*) from transactions where release = 'older'").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ground.count("select count(*) from transactions where release in ('old', 'older')").await, 2);
}

#[tokio::test]
async fn the_slot_is_told_in_the_metrics_once_something_is_published() {
    let ground = Ground::new().await;
    let app = ground.gateway.app.app.clone();
    let text = || String::from_utf8(app.metrics.render().unwrap()).unwrap();
    let watched = async |says: &dyn Fn(&str) -> bool| {
        let watching = tokio::spawn({
            let app = app.clone();
            async move { cdc::watch(&app).await }
        });
        let mut is_so = false;
        for _ in 0..100 {
            is_so = says(&text());
            if is_so {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        watching.abort();
        assert!(is_so, "{}", text());
    };
    let watching = tokio::spawn({
        let app = app.clone();
        async move { cdc::watch(&app).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    watching.abort();
    assert!(!text().contains("purser_cdc_"), "nothing is published yet");
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    let name = ground.name();
    let label = format!("release=\"0.1.0\",slot=\"{name}\"");
    watched(&|text| text.contains(&format!("purser_cdc_slot_active{{{label}}} 1"))).await;
    assert!(text().contains(&format!("purser_cdc_wal_status{{{label},status=\"reserved\"}} 1")), "{}", text());
    ground.on_analytics(&format!("alter subscription {name} disable")).await;
    for _ in 0..100 {
        if ground.status().await.slot.is_some_and(|slot| !slot.active) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ground.pay().await;
    watched(&|text| text.contains(&format!("purser_cdc_slot_active{{{label}}} 0"))).await;
    assert!(!text().contains(&format!("purser_cdc_lag_bytes{{{label}}} 0\n")), "{}", text());
}
