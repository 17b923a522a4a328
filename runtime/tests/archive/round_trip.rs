//! There and back.

use chrono::TimeDelta;
use runtime::archive::ArchiveError;
use serde_json::json;

use crate::ground::{Ground, TABLES, names};
use crate::shop::refused;

#[tokio::test]
async fn a_month_goes_into_an_archive_and_comes_back_as_it_was() {
    let ground = Ground::new().await;
    let before = ground.contents().await;
    assert!(before.values().all(|(rows, _)| *rows > 0), "{before:?}");
    let balance = ground.shop.get("/v1/balance").await.json();
    let looked = ground.ledger().await;
    assert!(looked.sound && looked.entries > 0, "{looked:?}");

    let archived = ground.run().await.unwrap();
    assert_eq!(archived.stayed, []);
    for table in TABLES {
        assert!(names(&archived).contains(&ground.id(table).to_string()), "{:?}", names(&archived));
        let manifest = ground.archives().verify(ground.id(table), "tests/payments").await.unwrap();
        assert_eq!(i64::try_from(manifest.rows).unwrap(), before[table].0);
    }
    assert!(ground.contents().await.values().all(|(rows, _)| *rows == 0));
    assert_eq!(ground.archives().list("tests/payments").await.unwrap().len(), archived.archived.len());

    // What is left stands by itself.
    assert_eq!(ground.shop.get("/v1/balance").await.json(), balance);
    let looked = ground.ledger().await;
    assert!(looked.sound && looked.entries == 0, "{looked:?}");
    assert_eq!(ground.run().await.unwrap().archived, [], "there is nothing left to do");

    for table in TABLES {
        ground.restore(ground.id(table)).await.unwrap();
        let looked = ground.ledger().await;
        assert!(looked.sound, "after {table}: {looked:?}");
    }
    assert_eq!(ground.contents().await, before);
    assert_eq!(ground.shop.get("/v1/balance").await.json(), balance);
    let refund = ground.shop.refund(json!({"payment_id": ground.payment, "amount": "1.00"})).await;
    assert_eq!(refund.json()["status"], "SUCCEEDED", "{refund:?}");
    ground.sum_up().await;
    assert!(ground.ledger().await.sound);
}

#[tokio::test]
async fn an_archived_payment_is_answered_as_one_that_is_not_there() {
    let ground = Ground::new().await;
    ground.run().await.unwrap();
    let payment = &ground.payment;
    let read = ground.shop.get(&format!("/v1/payments/{payment}")).await;
    assert_eq!(refused(&read), (404, "payment_not_found".to_owned()));
    let refund = ground.shop.refund(json!({"payment_id": payment, "amount": "1.00"})).await;
    assert_eq!(refused(&refund), (422, "payment_not_found".to_owned()));
    let capture = ground.shop.capture(payment, json!({})).await;
    assert_eq!(refused(&capture), (404, "payment_not_found".to_owned()));
    assert_eq!(ground.shop.moved(payment, "refunds").await, [0; 0], "the provider heard of nothing");
}

#[tokio::test]
async fn what_came_back_stays_for_a_month_and_keeps_what_happens_to_it() {
    let ground = Ground::new().await;
    ground.run().await.unwrap();
    for table in TABLES {
        ground.restore(ground.id(table)).await.unwrap();
    }
    let again = ground.restore(ground.id("events")).await.unwrap_err();
    assert!(matches!(again, ArchiveError::Refused(_)), "{again}");
    let stayed = ground.run().await.unwrap().stayed;
    assert!(stayed.iter().any(|stayed| stayed.why.contains("it was brought back, and stays until")), "{stayed:?}");

    ground.shop.refund(json!({"payment_id": ground.payment, "amount": "1.00"})).await;
    ground.shop.idle().await;
    ground.sum_up().await;
    let before = ground.contents().await;
    let balance = ground.shop.get("/v1/balance").await.json();
    let later = ground.later() + TimeDelta::days(31);
    let archived = ground.run_at(&ground.archives(), later, &|_, _| ()).await.unwrap();
    assert_eq!(ground.shop.get("/v1/balance").await.json(), balance);
    assert!(ground.ledger().await.sound);
    for table in TABLES {
        assert!(names(&archived).contains(&ground.id(table).to_string()), "{archived:?}");
        ground.restore(ground.id(table)).await.unwrap();
    }
    assert_eq!(ground.contents().await, before);
    assert!(ground.ledger().await.sound);
}

#[tokio::test]
async fn a_month_comes_back_into_a_table_that_has_grown_and_not_into_one_that_lost_a_column() {
    let ground = Ground::new().await;
    ground.run().await.unwrap();
    ground.execute("alter table transactions add column channel text not null default 'web'").await;
    ground.restore(ground.id("transactions")).await.unwrap();
    assert!(ground.count("select count(*) from transactions where channel = 'web'").await > 0);
    ground.execute("alter table events drop column operation_id").await;
    let lost = ground.restore(ground.id("events")).await.unwrap_err();
    assert!(lost.to_string().contains("no column operation_id uuid any more"), "{lost}");
    assert!(!ground.is_attached(ground.id("events")).await);
}
