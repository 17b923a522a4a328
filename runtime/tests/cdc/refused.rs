//! What is not as it has to be: each is said in a sentence that tells what to do, and nothing flows.

use std::time::Duration;

use chrono::Utc;
use runtime::cdc::{self, CdcError, Sides};
use runtime::migrate::{self, Patience};
use runtime_contract::{Outcome, Reason};

use crate::ground::{Ground, analytics_log, analytics_port, database_on, payments_port, run};
use crate::support::server::postgres_with;
use crate::support::{OWNER, PATIENCE, connection, migrated_database, url_on};

fn says(error: &CdcError, outcome: Outcome, reason: Reason, words: &[&str]) {
    assert_eq!((error.outcome(), error.reason()), (outcome, reason), "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
    assert!(!error.to_string().contains("test-password"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_write_what_could_be_replicated() {
    let url = migrated_database().await;
    let (payments, analytics) = (url.as_str().into(), database_on(analytics_port()).await.as_str().into());
    let sides =
        Sides { owner: OWNER, payments: &payments, analytics: &analytics, source: &payments, patience: PATIENCE };
    let error = cdc::apply(&sides).await.unwrap_err();
    says(
        &error,
        Outcome::Failed,
        Reason::CdcFailed,
        &["wal_level", "is replica", "alter system set wal_level = 'logical'"],
    );
}

#[tokio::test]
async fn a_server_whose_slots_are_all_taken() {
    let server = postgres_with(&[("wal_level", "logical"), ("max_replication_slots", "1")]);
    let payments = database_on(server.port()).await.as_str().into();
    migrate::run(&payments, OWNER, PATIENCE, Utc::now()).await.unwrap();
    let mut session = connection(&url_on(server.port(), "postgres")).await;
    run(&mut session, "select pg_create_physical_replication_slot('taken')").await;
    let analytics = database_on(analytics_port()).await.as_str().into();
    let sides =
        Sides { owner: OWNER, payments: &payments, analytics: &analytics, source: &payments, patience: PATIENCE };
    let error = cdc::apply(&sides).await.unwrap_err();
    says(&error, Outcome::Failed, Reason::CdcFailed, &["all 1 replication slots", "max_replication_slots"]);
}

#[tokio::test]
async fn a_server_whose_payments_analytics_could_hold_up() {
    let limit = ("max_slot_wal_keep_size", "1GB");
    let cases = [
        (vec![], ["max_slot_wal_keep_size", "is -1", "alter system set max_slot_wal_keep_size"]),
        (
            vec![limit, ("synchronous_standby_names", "*"), ("synchronous_commit", "off")],
            ["synchronous_standby_names", "is *", "one by one"],
        ),
    ];
    for (settings, words) in cases {
        let server = postgres_with(&[vec![("wal_level", "logical")], settings].concat());
        let payments = database_on(server.port()).await.as_str().into();
        migrate::run(&payments, OWNER, PATIENCE, Utc::now()).await.unwrap();
        let analytics = database_on(analytics_port()).await.as_str().into();
        let sides =
            Sides { owner: OWNER, payments: &payments, analytics: &analytics, source: &payments, patience: PATIENCE };
        let error = cdc::apply(&sides).await.unwrap_err();
        says(&error, Outcome::Failed, Reason::CdcFailed, &words);
    }
}

#[tokio::test]
async fn databases_that_are_not_for_analytics() {
    let ground = Ground::new().await;
    let error = ground.apply_as(ground.url(), &database_on(payments_port()).await, &ground.source).await.unwrap_err();
    says(&error, Outcome::Failed, Reason::CdcFailed, &["is on the server of the payments database"]);

    let platform = database_on(analytics_port()).await;
    migrate::run(&platform.as_str().into(), OWNER, PATIENCE, Utc::now()).await.unwrap();
    let error = ground.apply_as(ground.url(), &platform, &ground.source).await.unwrap_err();
    says(&error, Outcome::Failed, Reason::CdcFailed, &["is the database of a payment platform"]);

    ground.on_analytics("create table merchants (id int)").await;
    let error = ground.apply().await.unwrap_err();
    says(&error, Outcome::Failed, Reason::CdcFailed, &["has a table merchants that was not made from here"]);
    ground.on_analytics("drop table merchants").await;

    let other = Ground::new().await;
    other.apply().await.unwrap();
    let error = ground.apply_as(ground.url(), &other.analytics, &ground.source).await.unwrap_err();
    says(&error, Outcome::Failed, Reason::CdcFailed, &["is filled by the PaymentCluster", &other.owner]);
    assert_eq!(ground.left().await, (false, false), "nothing was changed");
    assert_eq!(ground.count("select count(*) from pg_tables where schemaname = 'public'").await, 0);
}

#[tokio::test]
async fn tables_there_that_could_not_take_a_row() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    let cases = [
        (
            "alter table users alter column status type integer using 1",
            "column status of type integer, and text is needed",
        ),
        (
            "alter table users add column mine text not null default 'x'; alter table users alter column mine drop default",
            "column mine that nothing is sent for",
        ),
        ("alter table users drop constraint users_pkey", "has not the primary key (id)"),
    ];
    for (broken, words) in cases {
        ground.on_analytics("drop table if exists saved; create table saved as select * from users").await;
        ground.on_analytics(broken).await;
        let error = ground.apply().await.unwrap_err();
        says(&error, Outcome::Failed, Reason::CdcFailed, &["the table users of the analytics database", words]);
        ground.on_analytics(&format!("alter subscription {} disable", ground.name())).await;
        ground.on_analytics("drop table users cascade").await;
        // Whoever drops the table gets it back, with all that was in it.
        ground.apply().await.unwrap();
        ground.becomes_same().await;
    }
}

#[tokio::test]
async fn a_payments_database_that_cannot_be_reached_from_there() {
    let ground = Ground::new().await;
    let read = |from: &str, to: &str| ground.source.replace(from, to);
    let port = format!(":{}/", payments_port());
    let cases = [
        (read(":read@", ":wrong@"), "password authentication failed"),
        (read(&port, ":1/"), "refused"),
        (read("/cdc_", "/no_such_"), "does not exist"),
    ];
    for (source, words) in cases {
        let error = ground.apply_as(ground.url(), &ground.analytics, &source).await.unwrap_err();
        says(&error, Outcome::Retry, Reason::CdcFailed, &["by analytics-source-url", words, "REPLICATION"]);
        assert!(!error.to_string().contains("wrong@"), "{error}");
    }
    let log = analytics_log();
    assert!(!log.contains("wrong@") && !log.contains(":read@"), "a statement that failed is in the log: {log}");
    ground.on_payments("create role no_replication login password 'read'").await;
    let start = ground.source.find("//").unwrap() + 2;
    let end = ground.source.find(':').map(|_| ground.source[start..].find(':').unwrap() + start).unwrap();
    let source = format!("{}no_replication{}", &ground.source[..start], &ground.source[end..]);
    let error = ground.apply_as(ground.url(), &ground.analytics, &source).await.unwrap_err();
    says(&error, Outcome::Retry, Reason::CdcFailed, &["replication role"]);
    assert!(!ground.left().await.0, "no slot");
    ground.apply().await.unwrap();
    ground.becomes_same().await;
}

#[tokio::test]
async fn an_analytics_database_that_does_not_answer_or_does_not_let_in() {
    let ground = Ground::new().await;
    let payments = ground.url().into();
    let source = ground.source.as_str().into();
    let patience = Patience { connect: Duration::from_millis(300), lock: Duration::from_secs(5) };
    let cases = [
        ("postgres://a:hunter2@127.0.0.1:1/b".to_owned(), Outcome::Retry, "no connection to PostgreSQL at 127.0.0.1:1"),
        (ground.analytics.replace(":test-password@", ":wrong@"), Outcome::Failed, "password authentication failed"),
        (ground.analytics.replace("/cdc_", "/no_such_"), Outcome::Failed, "does not exist"),
    ];
    for (analytics, outcome, words) in cases {
        let analytics = analytics.as_str().into();
        let sides =
            Sides { owner: &ground.owner, payments: &payments, analytics: &analytics, source: &source, patience };
        let error = cdc::apply(&sides).await.unwrap_err();
        says(&error, outcome, Reason::CdcFailed, &["the analytics database: ", words]);
    }
    for (analytics, source, name) in
        [("nonsense", "postgres://a@b/c", "analytics-url"), (&ground.analytics, "host=b", "analytics-source-url")]
    {
        let error = ground.apply_as(ground.url(), analytics, source).await.unwrap_err();
        says(&error, Outcome::Failed, Reason::InvalidConfiguration, &[&format!("{name} is not a PostgreSQL URL")]);
    }
    assert_eq!(ground.left().await, (false, false));
}

#[tokio::test]
async fn users_that_may_not_publish_or_not_subscribe() {
    let ground = Ground::new().await;
    let plain = |url: &str| url.replace("purser:test-password@", "plain:plain@");
    ground.on_analytics("create role plain login password 'plain'; grant create on schema public to plain").await;
    let error = ground.apply_as(ground.url(), &plain(&ground.analytics), &ground.source).await.unwrap_err();
    says(
        &error,
        Outcome::Failed,
        Reason::CdcFailed,
        &["the user plain of the analytics database", "pg_create_subscription", "superuser"],
    );
    ground.on_analytics("drop owned by plain; drop role plain").await;

    // The usual user of payments owns the tables, and neither the database nor the server.
    ground
        .on_payments(
            "create role plain_payer login password 'plain'; grant usage on schema public to plain_payer;
             drop publication purser_analytics;
             do $$ declare t record; begin for t in select oid::regclass as name from pg_class
                 where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') loop
                 execute format('alter table %s owner to plain_payer', t.name); end loop; end $$",
        )
        .await;
    let payer = ground.url().replace("purser:test-password@", "plain_payer:plain@");
    let error = ground.apply_as(&payer, &ground.analytics, &ground.source).await.unwrap_err();
    says(
        &error,
        Outcome::Failed,
        Reason::CdcFailed,
        &["the user plain_payer may not publish", "grant create on database"],
    );
    let database = ground.url().rsplit('/').next().unwrap();
    ground.on_payments(&format!("grant create on database {database} to plain_payer")).await;
    ground.apply_as(&payer, &ground.analytics, &ground.source).await.unwrap();
    ground.becomes_same().await;

    // Who may not drop a slot says who may.
    ground.on_analytics(&format!("alter subscription {} disable", ground.name())).await;
    while ground.status().await.slot.unwrap().active {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = cdc::remove(&ground.owner, &payer.as_str().into(), None, None, PATIENCE).await.unwrap_err();
    says(&error, Outcome::Failed, Reason::CdcSlotLeft, &[&format!("pg_drop_replication_slot('{}')", ground.name())]);
    let removed = ground.remove(Some(&ground.analytics), Some(&ground.source)).await.unwrap();
    assert!(removed.slot);
    ground
        .on_payments("reassign owned by plain_payer to purser; drop owned by plain_payer; drop role plain_payer")
        .await;
}

#[tokio::test]
async fn a_schema_that_is_not_that_of_the_release() {
    let ground = Ground::new().await;
    ground.on_payments("alter table users replica identity nothing").await;
    let error = ground.apply().await.unwrap_err();
    says(&error, Outcome::Failed, Reason::CdcFailed, &["users has not its primary key as its replica identity"]);
    ground.on_payments("alter table users replica identity default; alter table merchants drop column category").await;
    let error = ground.apply().await.unwrap_err();
    says(&error, Outcome::Failed, Reason::SchemaMismatch, &["no merchants.category", "purser migrate"]);
    ground.on_payments("update platform_owner set owner = 'tests/another'").await;
    let error = ground.apply().await.unwrap_err();
    says(&error, Outcome::Failed, Reason::DatabaseOwnedByAnother, &["belongs to the PaymentCluster tests/another"]);
    assert_eq!(ground.left().await, (false, false));
    let empty = database_on(payments_port()).await;
    let error = ground.apply_as(&empty, &ground.analytics, &ground.source).await.unwrap_err();
    says(&error, Outcome::Failed, Reason::SchemaMismatch, &["belongs to nobody"]);
}

#[tokio::test]
async fn a_slot_that_another_database_takes_from() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    let elsewhere = database_on(analytics_port()).await;
    let error = ground.apply_as(ground.url(), &elsewhere, &ground.source).await.unwrap_err();
    says(&error, Outcome::Failed, Reason::CdcSlotLeft, &["is in use by another subscription", &ground.name()]);
    assert!(ground.is_same().await && ground.status().await.is_good());
}
