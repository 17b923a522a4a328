//! Test payments, one by one, through the gateway of a release: everything that a payment needs is needed once.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::gateway::{Answer, unique};
use super::{CheckError, Gateway};
use crate::database::Doing;
use crate::ids::PaymentId;
use crate::processor::test_mode;

/// A fraud check may miss its deadline now and then; a fraud workload that does not answer misses each of them.
const TRIES: usize = 3;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Smoke {
    /// Whether everything was as it should be.
    pub passed: bool,
    /// What was tried, in order; the last one is the one that failed, if one did.
    pub steps: Vec<&'static str>,
    /// What was wrong; none when nothing was.
    pub problem: Option<String>,
    /// Test payments that were made.
    pub payments: usize,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Smoke {
    /// In a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let (step, took) = (self.steps.last().copied().unwrap_or("beginning"), self.took_ms);
        match &self.problem {
            Some(problem) => format!("failed at {step}: {problem}"),
            None if self.payments == 0 => {
                "the release answers and reads; payments were not tried, for writes are refused in maintenance"
                    .to_owned()
            }
            None => {
                format!("{} test payments went through the release in {took} ms; nobody was charged", self.payments)
            }
        }
    }
}

/// What is to be tried.
pub struct Trial<'a> {
    /// The gateway.
    pub gateway: &'a Gateway,
    /// The release that has to accept the payments; any, when none is named.
    pub release: Option<&'a str>,
    /// How long to wait for the gateway to answer at all.
    pub wait: Duration,
}

/// Tries the release.
///
/// # Errors
/// When the database does not answer: nothing is said of the release then.
pub async fn run(trial: Trial<'_>, connection: &mut PgConnection) -> Result<Smoke, CheckError> {
    let begin = Instant::now();
    let mut seen = Seen::default();
    let mut problem = walk(&trial, &mut seen).await.err();
    if let (None, Some(release)) = (&problem, trial.release) {
        seen.steps.push("the release that took the payments");
        problem = of_another(connection, &seen.payments, release).await?;
    }
    Ok(Smoke {
        passed: problem.is_none(),
        steps: seen.steps,
        problem,
        payments: seen.payments.len(),
        took_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

#[derive(Default)]
struct Seen {
    steps: Vec<&'static str>,
    payments: Vec<PaymentId>,
}

async fn walk(trial: &Trial<'_>, seen: &mut Seen) -> Result<(), String> {
    let gateway = trial.gateway;
    seen.steps.push("the description of the API");
    gateway.describes_itself(trial.wait).await?;
    seen.steps.push("making a user");
    let first = gateway.post("/v1/users", &user()).await?;
    if first.is_maintenance() {
        seen.steps.push("reading in maintenance");
        let read = gateway.get("/v1/users?limit=1").await?;
        return expect(&read, read.status == StatusCode::OK);
    }
    // Each pays once: no rule of the fraud check can find that too often.
    let (user, other) = (made(first)?, made(gateway.post("/v1/users", &user()).await?)?);
    seen.steps.push("storing payment methods");
    let method = |user: &str, token: &str| json!({ "user_id": user, "type": "CREDIT_CARD", "token": token });
    let good = made(gateway.post("/v1/payment-methods", &method(&user, test_mode::APPROVED)).await?)?;
    let bad = made(gateway.post("/v1/payment-methods", &method(&other, test_mode::DECLINED)).await?)?;
    seen.steps.push("reading them back");
    let read = gateway.get(&format!("/v1/payment-methods/{good}")).await?;
    expect(&read, read.text("/user_id") == user)?;
    take_payments(gateway, &good, &bad, seen).await
}

async fn take_payments(gateway: &Gateway, good: &str, bad: &str, seen: &mut Seen) -> Result<(), String> {
    seen.steps.push("a payment that is approved");
    let key = unique();
    let paid = gateway.post_with("/v1/payments", &payment(good), &key).await?;
    expect(&paid, is_end(&paid, "SUCCESS"))?;
    let id = noted(&paid, seen)?;
    seen.steps.push("no money of it");
    expect(&paid, paid.text("/amount_captured") == "0.00" && paid.body["provider"].is_null())?;
    seen.steps.push("the same request again");
    let again = gateway.post_with("/v1/payments", &payment(good), &key).await?;
    expect(&again, again.is_replayed && again.text("/id") == id.to_string())?;
    seen.steps.push("reading the payment back");
    let read = gateway.get(&format!("/v1/payments/{id}")).await?;
    let same = |pointer: &str| !paid.text(pointer).is_empty() && read.text(pointer) == paid.text(pointer);
    expect(&read, ["/id", "/status", "/amount", "/amount_captured", "/t_end"].into_iter().all(same))?;
    seen.steps.push("a payment that is declined");
    let declined = gateway.post("/v1/payments", &payment(bad)).await?;
    expect(&declined, is_end(&declined, "FAILED") && declined.text("/error/code") == "card_declined")?;
    noted(&declined, seen)?;
    seen.steps.push("the fraud check");
    checked(gateway, good, paid, seen).await
}

/// A verdict of the fraud workload for one of a few payments.
async fn checked(gateway: &Gateway, method: &str, first: Answer, seen: &mut Seen) -> Result<(), String> {
    let (mut paid, mut tries) = (first, 1);
    while paid.text("/fraud/score").is_empty() {
        if tries == TRIES {
            return Err(format!("{TRIES} payments in a row got no verdict within the deadline"));
        }
        tries += 1;
        paid = gateway.post("/v1/payments", &payment(method)).await?;
        noted(&paid, seen)?;
    }
    Ok(())
}

/// The smallest amount: whatever went wrong, it would be a cent of a token that no provider knows.
fn payment(method: &str) -> Value {
    json!({ "amount": "0.01", "currency": "USD", "payment_method_id": method, "description": "purser smoke" })
}

fn user() -> Value {
    json!({ "email": format!("{}@purser.invalid", unique()) })
}

fn is_end(answer: &Answer, status: &str) -> bool {
    answer.status == StatusCode::CREATED && answer.text("/status") == status
}

fn made(answer: Answer) -> Result<String, String> {
    expect(&answer, answer.status == StatusCode::CREATED && !answer.text("/id").is_empty())?;
    Ok(answer.text("/id").to_owned())
}

fn noted(answer: &Answer, seen: &mut Seen) -> Result<PaymentId, String> {
    let id: PaymentId = answer.text("/id").parse().map_err(|_| answer.words())?;
    seen.payments.push(id);
    Ok(id)
}

fn expect(answer: &Answer, is_so: bool) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(answer.words()) }
}

/// A payment that another release took, if there is one.
async fn of_another(
    connection: &mut PgConnection,
    payments: &[PaymentId],
    release: &str,
) -> Result<Option<String>, CheckError> {
    for id in payments {
        let found: Option<String> =
            sqlx::query_scalar("select release from transactions where id = $1 and created_at = $2")
                .bind(id)
                .bind(id.created_at())
                .fetch_optional(&mut *connection)
                .await
                .doing("could not look who took the payments")?;
        match found {
            Some(found) if found == release => {}
            Some(found) => return Ok(Some(format!("release {found} took payment {id}, and not {release}"))),
            None => return Ok(Some(format!("payment {id} is not in the database"))),
        }
    }
    Ok(None)
}
