//! The ledger: balances read from it, and the proof that it is right. Each rule is broken by hand, and the break is named.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use runtime::ids::{AttemptId, PaymentId, uuid_at};
use runtime::ledger::journal::{Journal, Parties};
use runtime::ledger::verify::{self, Finding};
use runtime::ledger::{store, totals};
use runtime::money::Money;
use runtime::payments;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use support::gateway::TestGateway;
use support::process::{purser, run};
use uuid::Uuid;

fn usd(text: &str) -> Money {
    Money::parse(text, "USD".parse().unwrap()).unwrap()
}

/// A gateway whose payments are taken by hand, as the processor would.
struct Books {
    gateway: TestGateway,
    provider: i32,
}

impl Books {
    async fn new() -> Self {
        let gateway = TestGateway::new().await;
        let provider = sqlx::query_scalar("insert into payment_providers (name, resource, api_endpoint, max_latency_ms, success_rate_threshold, priority)
                values ('STRIPE', 'stripe', 'http://x', 1, 1, 1) returning id")
            .fetch_one(gateway.pool())
            .await
            .unwrap();
        Self { gateway, provider }
    }

    fn parties(&self) -> Parties {
        Parties { user: self.gateway.user, merchant: self.gateway.merchant, provider: self.provider }
    }

    /// Takes 10.50 at a fee of 0.30: the payment, and its journal's id.
    async fn take(&self, at: DateTime<Utc>) -> (PaymentId, Uuid) {
        let reply = self.gateway.pay(&self.gateway.payment()).await.json();
        let id: PaymentId = reply["id"].as_str().unwrap().parse().unwrap();
        let attempt = AttemptId::at(at).as_uuid();
        let mut transaction = self.gateway.pool().begin().await.unwrap();
        sqlx::query("insert into payment_attempts (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, t_end)
                values ($1, $2, $3, 1, $4, 'APPROVED', 'test', $5, $5)")
            .bind(attempt).bind(id).bind(id.created_at()).bind(self.provider).bind(at)
            .execute(&mut *transaction).await.unwrap();
        sqlx::query("update transactions set status = 'SUCCESS', amount_authorized = amount, amount_captured = amount, fee = 0.30, t_end = t_start, sequence = 1 where id = $1")
            .bind(id).execute(&mut *transaction).await.unwrap();
        let journal = Journal::capture(attempt, id, self.parties(), usd("10.50"), usd("0.30"), at).unwrap();
        store::post(&mut transaction, &[journal]).await.unwrap();
        transaction.commit().await.unwrap();
        (id, attempt)
    }

    /// Gives 4.00 of a payment back: the operation.
    async fn refund(&self, id: PaymentId, at: DateTime<Utc>) -> Uuid {
        let operation = uuid_at(at);
        let mut transaction = self.gateway.pool().begin().await.unwrap();
        sqlx::query("insert into operations (id, payment_id, payment_created_at, merchant_id, kind, amount, currency, status, release, created_at, t_end)
                values ($1, $2, $3, $4, 'REFUND', 4, 'USD', 'SUCCEEDED', 'test', $5, $5)")
            .bind(operation).bind(id).bind(id.created_at()).bind(self.gateway.merchant).bind(at)
            .execute(&mut *transaction).await.unwrap();
        sqlx::query("update transactions set status = 'PARTIALLY_REFUNDED', amount_refunded = 4 where id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let journal = Journal::refund(operation, id, self.parties(), usd("4.00"), at);
        store::post(&mut transaction, &[journal]).await.unwrap();
        transaction.commit().await.unwrap();
        operation
    }

    async fn connection(&self) -> PgConnection {
        support::connection(&self.gateway.app.database_url).await
    }

    async fn findings(&self) -> Vec<Finding> {
        verify::verify(&mut self.connection().await).await.unwrap().findings
    }

    /// What is found after a statement that is taken back afterwards.
    async fn findings_after(&self, statement: &str) -> Vec<Finding> {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await.unwrap();
        let text = format!("set local session_replication_role = replica; {statement}");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *transaction).await.unwrap();
        verify::findings(&mut transaction).await.unwrap()
    }

    /// Does what only one who owns the server can: with all triggers and constraints of the ledger off.
    async fn tamper(&self, statements: &str) {
        let mut connection = self.connection().await;
        let text = format!("set session_replication_role = replica; {statements}");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn a_ledger_without_a_mistake_is_right() {
    let books = Books::new().await;
    assert_eq!(books.findings().await, []);
    let (id, _) = books.take(Utc::now()).await;
    books.take(Utc::now()).await;
    books.refund(id, Utc::now()).await;
    let verification = verify::verify(&mut books.connection().await).await.unwrap();
    assert_eq!(
        (verification.sound, verification.entries, verification.journals, verification.payments),
        (true, 14, 3, 2)
    );
}

#[tokio::test]
async fn each_rule_that_is_broken_is_named_with_the_first_row_that_breaks_it() {
    let books = Books::new().await;
    let (payment, journal) = books.take(Utc::now()).await;
    let refund = books.refund(payment, Utc::now()).await;
    books.take(Utc::now()).await;
    totals::sum_up(books.gateway.pool(), Utc::now() + TimeDelta::hours(2)).await.unwrap();
    assert_eq!(books.findings().await, [], "right before it is broken");
    for (rule, statement) in [
        (
            "journals-balance",
            "update ledger_entries set amount = amount + 1 where journal_id = '{journal}' and account = 'MERCHANT'",
        ),
        ("currencies-balance", "delete from ledger_entries where journal_id = '{journal}' and account = 'FEE'"),
        (
            "journals-are-whole",
            "update ledger_entries set line = line + 10 where journal_id = '{journal}' and line = 5",
        ),
        (
            "customers-are-square",
            "update ledger_entries set account_owner = gen_random_uuid() where journal_id = '{journal}' and line = 2",
        ),
        (
            "lines-belong-to-their-payment",
            "update ledger_entries set account_owner = gen_random_uuid() where journal_id = '{journal}' and account = 'MERCHANT'",
        ),
        ("lines-belong-to-their-payment", "delete from transactions where id = '{payment}'"),
        ("outcomes-have-their-journal", "delete from ledger_entries where journal_id = '{journal}'"),
        ("outcomes-have-their-journal", "delete from ledger_entries where journal_id = '{refund}'"),
        ("journals-have-their-outcome", "update payment_attempts set state = 'DECLINED' where id = '{journal}'"),
        ("journals-have-their-outcome", "update operations set status = 'FAILED' where id = '{refund}'"),
        ("payments-agree-with-the-ledger", "update transactions set fee = 0.31 where id = '{payment}'"),
        ("payments-agree-with-the-ledger", "update transactions set amount_captured = 9 where id = '{payment}'"),
        ("payments-agree-with-their-operations", "update transactions set amount_refunding = 1 where id = '{payment}'"),
        ("payments-agree-with-their-operations", "delete from operations where id = '{refund}'"),
        ("statuses-agree-with-the-sums", "update transactions set status = 'SUCCESS' where id = '{payment}'"),
        ("statuses-agree-with-the-sums", "update transactions set status = 'FAILED' where id = '{payment}'"),
        ("totals-agree-with-the-lines", "update ledger_totals set amount = amount - 1 where account = 'MERCHANT'"),
        ("totals-agree-with-the-lines", "delete from ledger_totals where account = 'FEE'"),
    ] {
        let statement = statement
            .replace("{payment}", &payment.as_uuid().to_string())
            .replace("{journal}", &journal.to_string())
            .replace("{refund}", &refund.to_string());
        let findings = books.findings_after(&statement).await;
        let finding = findings.iter().find(|finding| finding.rule == rule);
        let finding = finding.unwrap_or_else(|| panic!("{rule} is not named after {statement}: {findings:?}"));
        let named = [payment.as_uuid(), journal, refund].map(|id| id.to_string());
        let general = ["currency USD", "total MERCHANT", "total FEE"];
        let row = &finding.row;
        assert!(
            named.iter().any(|id| row.contains(id)) || general.iter().any(|name| row.starts_with(name)),
            "{rule}: {row}: {}",
            finding.how
        );
    }
}

#[tokio::test]
async fn the_command_says_what_is_wrong_and_fails() {
    let books = Books::new().await;
    let (_, journal) = books.take(Utc::now()).await;
    let verify = |arguments: &[&str]| {
        let output = run(purser(arguments).env("PURSER_DATABASE_URL", &books.gateway.app.database_url));
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = verify(&["ledger", "verify"]);
    assert_eq!((code, said.trim()), (Some(0), "the ledger is right: 5 lines in 1 journals about 1 payments"));
    books.tamper(&format!("delete from ledger_entries where journal_id = '{journal}' and line = 1")).await;
    let (code, said) = verify(&["ledger", "verify", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &document["sound"]), (Some(1), &json!(false)));
    assert_eq!(document["findings"][0]["rule"], "journals-balance");
    let (code, said) = verify(&["ledger", "verify"]);
    assert!(code == Some(1) && said.contains(&journal.to_string()), "{said}");
}

#[tokio::test]
async fn a_balance_is_the_same_whether_its_hours_are_summed_up_or_not() {
    let books = Books::new().await;
    let balance = async || books.gateway.get("/v1/balance").await.json();
    assert_eq!(balance().await, json!({"data": []}));
    let hour = Utc::now().duration_trunc(TimeDelta::hours(1)).unwrap();
    let (id, _) = books.take(hour + TimeDelta::seconds(1)).await;
    books.take(hour + TimeDelta::hours(1)).await;
    books.refund(id, hour + TimeDelta::hours(2)).await;
    let expected = json!({"data": [{"currency": "USD", "available": "16.40", "captured": "21.00", "refunded": "4.00", "fees": "0.60"}]});
    assert_eq!(balance().await, expected);
    let pool = books.gateway.pool();
    for (minutes, summed) in [(69, 0), (70, 1), (71, 0), (60 * 3 + 10, 2), (60 * 3 + 11, 0)] {
        assert_eq!(totals::sum_up(pool, hour + TimeDelta::minutes(minutes)).await.unwrap(), summed, "{minutes} min");
        assert_eq!(balance().await, expected);
    }
    let lines: i64 =
        sqlx::query_scalar("select sum(entries)::bigint from ledger_totals").fetch_one(pool).await.unwrap();
    assert_eq!(lines, 5, "two of each capture and one of the refund");
    assert_eq!(books.findings().await, []);
}

#[tokio::test]
async fn two_that_sum_up_at_once_do_it_once() {
    let books = Books::new().await;
    books.take(Utc::now()).await;
    let (pool, later) = (books.gateway.pool(), Utc::now() + TimeDelta::hours(5));
    let done = futures::future::join_all((0..4).map(|_| totals::sum_up(pool, later))).await;
    let hours: usize = done.into_iter().map(Result::unwrap).sum();
    assert!((4..=5).contains(&hours), "{hours}");
    assert_eq!(books.findings().await, []);
}

#[tokio::test]
async fn another_merchants_money_is_not_in_the_balance() {
    let books = Books::new().await;
    books.take(Utc::now()).await;
    let (_, key) = support::gateway::merchant(books.gateway.pool()).await;
    let url = format!("{}/v1/balance", books.gateway.url);
    let balance = support::gateway::send(reqwest::Client::new().get(url).bearer_auth(key)).await;
    assert_eq!(balance.json(), json!({"data": []}));
}

#[tokio::test]
async fn a_payment_of_an_earlier_release_needs_no_journal() {
    let books = Books::new().await;
    let id: PaymentId =
        books.gateway.pay(&books.gateway.payment()).await.json()["id"].as_str().unwrap().parse().unwrap();
    sqlx::query("update transactions set status = 'SUCCESS', fee = 0.30, t_end = now() where id = $1")
        .bind(id)
        .execute(books.gateway.pool())
        .await
        .unwrap();
    assert!(payments::store::load(books.gateway.pool(), id).await.unwrap().unwrap().is_successful());
    assert_eq!(books.findings().await, []);
}

/// A processor whose clock was set back posts into an hour that was summed up already.
#[tokio::test]
async fn a_clock_that_was_set_back_takes_nothing_from_the_balance() {
    let books = Books::new().await;
    books.take(Utc::now()).await;
    totals::sum_up(books.gateway.pool(), Utc::now() + TimeDelta::hours(2)).await.unwrap();
    books.take(Utc::now() - TimeDelta::hours(3)).await;
    let balance = books.gateway.get("/v1/balance").await.json();
    assert_eq!(balance["data"][0]["captured"], "21.00");
    assert_eq!(books.findings().await, []);
}
