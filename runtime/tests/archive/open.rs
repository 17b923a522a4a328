//! What is not at its end keeps its month.

use runtime::archive::Step;

use crate::ground::{Ground, execute_now, names};
use crate::shop::refused;

async fn why(ground: &Ground, table: &str) -> Option<String> {
    let before = ground.contents().await;
    let archived = ground.run().await.unwrap();
    let id = ground.id(table);
    let why = archived.stayed.iter().find(|stayed| stayed.id == id).map(|stayed| stayed.why.clone());
    assert_eq!(why.is_none(), names(&archived).contains(&id.to_string()));
    if why.is_some() {
        assert_eq!(ground.contents().await[table], before[table]);
    }
    why
}

#[tokio::test]
async fn a_payment_that_is_held_keeps_its_month_until_it_is_captured() {
    let ground = Ground::new().await;
    let held = ground.shop.pay("7.00", "MANUAL").await;
    let said = why(&ground, "transactions").await.unwrap();
    assert!(said.contains("1 payments that are not at their end"), "{said}");
    for table in ["fraud_checks", "ledger_entries", "events"] {
        let said = why(&ground, table).await.unwrap();
        assert!(said.contains("the payments of") && ground.is_attached(ground.id(table)).await, "{said}");
    }
    let captured = ground.shop.capture(&held, serde_json::json!({})).await;
    assert!(captured.status.is_success(), "{captured:?}");
    ground.shop.idle().await;
    assert_eq!(why(&ground, "transactions").await, None);
}

#[tokio::test]
async fn whatever_points_at_a_month_keeps_it() {
    let ground = Ground::new().await;
    let of_payment = "select id, created_at, merchant_id from transactions order by id limit 1";
    let cases = [
        (
            format!("insert into work_items (payment_id, payment_created_at, merchant_id, release, run_at) select *, 'r', 'infinity'::timestamptz from ({of_payment}) t"),
            "delete from work_items",
            "1 payments in the queue",
        ),
        (
            "update payment_attempts set state = 'UNKNOWN' where id = (select min(id::text)::uuid from payment_attempts)".to_owned(),
            "update payment_attempts set state = 'APPROVED' where state = 'UNKNOWN'",
            "1 attempts whose outcome nobody knows",
        ),
        (
            "update operations set status = 'PENDING', t_end = null where id = (select min(id::text)::uuid from operations)".to_owned(),
            "update operations set status = 'SUCCEEDED', t_end = now() where status = 'PENDING'",
            "1 captures, refunds or voids under way",
        ),
        (
            "update idempotency_keys set expires_at = 'infinity' where key = (select min(key) from idempotency_keys where payment_id is not null)".to_owned(),
            "update idempotency_keys set expires_at = now()",
            "1 requests that may still be repeated",
        ),
    ];
    for (open, end, words) in cases {
        ground.execute(&open).await;
        let said = why(&ground, "transactions").await.unwrap();
        assert!(said.contains(words), "{said}");
        ground.execute(end).await;
    }
    ground
        .execute(
            "insert into webhook_endpoints (id, merchant_id, url, secret, created_at)
             select gen_random_uuid(), merchant_id, 'https://shop.test', 'whsec_', now() from events limit 1;
             insert into webhook_deliveries (endpoint_id, event_id, event_created_at, payment_id, run_at)
             select w.id, e.id, e.created_at, e.payment_id, 'infinity' from events e, webhook_endpoints w limit 1",
        )
        .await;
    assert_eq!(why(&ground, "transactions").await, None);
    let said = why(&ground, "events").await.unwrap();
    assert!(said.contains("1 webhooks that are not delivered"), "{said}");
    ground.execute("delete from webhook_deliveries").await;
    assert_eq!(why(&ground, "events").await, None);
}

#[tokio::test]
async fn the_ledger_stays_until_its_hours_are_summed_up_and_right() {
    let ground = Ground::new().await;
    ground.execute("update ledger_totals_progress set until = until - interval '1 hour'").await;
    assert!(why(&ground, "ledger_entries").await.unwrap().contains("not summed up yet"));
    ground.execute("update ledger_totals_progress set until = until + interval '1 hour'").await;
    ground.execute("update ledger_totals set amount = amount + 1").await;
    assert!(why(&ground, "ledger_entries").await.unwrap().contains("hours whose sums are not those of their lines"));
    ground.execute("update ledger_totals set amount = amount - 1").await;
    assert_eq!(why(&ground, "ledger_entries").await, None);
    assert!(ground.ledger().await.sound);
    ground.execute("update ledger_totals set amount = amount + 1").await;
    let findings = ground.ledger().await.findings;
    assert_eq!(findings.iter().map(|finding| finding.rule).collect::<Vec<_>>(), ["archived-totals-stand"]);
}

#[tokio::test]
async fn a_payment_that_changes_while_it_is_archived_is_put_back() {
    let ground = Ground::new().await;
    let id = ground.id("transactions");
    let url = ground.shop.stage.test.database_url.clone();
    let told = move |of, step| {
        if of == id && step == Step::Described {
            execute_now(&url, "update transactions set description = 'changed' where status = 'SUCCESS'");
        }
    };
    let archived = ground.run_at(&ground.archives(), ground.later(), &told).await.unwrap();
    let stayed = archived.stayed.iter().find(|stayed| stayed.id == id).unwrap();
    assert_eq!(stayed.why, "it was changed while it was archived");
    assert!(ground.is_attached(id).await);
    let read = ground.shop.get(&format!("/v1/payments/{}", ground.payment)).await;
    assert!(read.status.is_success(), "{read:?}");
    assert_eq!(why(&ground, "transactions").await, None);
    ground.restore(id).await.unwrap();
    assert!(ground.count("select count(*) from transactions where description = 'changed'").await > 0);
}

#[tokio::test]
async fn nothing_is_archived_in_maintenance() {
    let ground = Ground::new().await;
    ground.execute("insert into platform_maintenance (retry_after_s) values (30)").await;
    let error = ground.run().await.unwrap_err();
    assert!(error.to_string().contains("maintenance"), "{error}");
    ground.execute("delete from platform_maintenance").await;
    assert!(refused(&ground.shop.get("/v1/payments/pay_nothing").await).0 == 404);
    assert_eq!(why(&ground, "transactions").await, None);
}

#[tokio::test]
async fn what_is_opened_while_a_month_is_written_keeps_it_in_its_table() {
    let ground = Ground::new().await;
    let id = ground.id("transactions");
    let url = ground.shop.stage.test.database_url.clone();
    let told = move |of, step| {
        assert!(of != id || step != Step::Detached, "it is open, and its payments are not to be found");
        if of == id && step == Step::Described {
            execute_now(&url, "update payment_attempts set state = 'UNKNOWN'");
        }
    };
    let archived = ground.run_at(&ground.archives(), ground.later(), &told).await.unwrap();
    let stayed = archived.stayed.iter().find(|stayed| stayed.id == id).unwrap();
    assert!(stayed.why.contains("attempts whose outcome nobody knows"), "{stayed:?}");
    assert!(ground.is_attached(id).await);
}

#[tokio::test]
async fn while_a_month_is_written_its_table_may_change() {
    let ground = Ground::new().await;
    let id = ground.id("transactions");
    let url = ground.shop.stage.test.database_url.clone();
    let told = move |of, step| {
        if of == id && step == Step::Counted {
            execute_now(
                &url,
                "do $$ begin
                     if exists (select from pg_stat_activity where datname = current_database()
                         and application_name = 'purser archive' and xact_start is not null) then
                         raise exception 'a snapshot is held';
                     end if;
                 end $$;
                 update transactions set description = 'changed'",
            );
        }
    };
    let archived = ground.run_at(&ground.archives(), ground.later(), &told).await.unwrap();
    let stayed = archived.stayed.iter().find(|stayed| stayed.id == id).unwrap();
    assert_eq!(stayed.why, "it was changed while it was archived");
    assert_eq!(why(&ground, "transactions").await, None);
}
