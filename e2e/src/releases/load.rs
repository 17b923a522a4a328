//! Merchants that pay and pay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::platform::Merchant;

/// How much is paid.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Payments that are on their way at the same time, each on a connection that is kept.
    payers: usize,
    /// Between the answer to one and the next.
    pause: Duration,
    /// Who pays, in turn. One that pays more than 20 times a minute, or 100 times an hour, counts as fraud.
    customers: usize,
}

impl Pace {
    /// About twenty payments a second. Few connections would all come to one of two releases now and then.
    pub const QUIET: Self = Self { payers: 8, pause: Duration::from_millis(350), customers: 211 };
    /// About sixty, on as many connections as a few shops have. For half an hour.
    pub const BUSY: Self = Self { payers: 40, pause: Duration::from_millis(600), customers: 1_103 };
}

/// What a merchant is ready to wait for an answer.
const WAIT_S: u32 = 10;
/// How soon a merchant asks after a payment that is on its way, and how seldom in the end: all of them together stay within what one
/// may ask for, also when many have to wait.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Those who pay, each by a payment method of its own.
#[derive(Clone, Debug)]
pub struct Customers(Arc<Vec<String>>);

/// Merchants that pay and pay.
pub struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    payers: Vec<JoinHandle<()>>,
}

/// What became of the payments.
#[derive(Debug, Default)]
pub struct Seen {
    /// When each that was answered was asked for, and how long its answer took.
    pub answered: Vec<(Instant, Duration)>,
    /// When each was refused as maintenance has it: 503, and a time after which to try again.
    pub refused: Vec<Timestamp>,
    /// Why each other one was not.
    pub failed: Vec<String>,
}

/// What became of a payment.
enum Outcome {
    Succeeded,
    Refused,
}

impl Customers {
    /// So many new ones. Half of what a merchant may ask for is left to others.
    ///
    /// # Errors
    /// When there is no payment method to be had.
    pub async fn sign_up(merchant: &Merchant, number: usize) -> Result<Self> {
        let unique = Timestamp::now().as_millisecond();
        let mut methods = Vec::new();
        for customer in 0..number {
            methods.push(merchant.payment_method(&format!("load-{unique}-{customer}"), "pm_card_visa").await?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self(Arc::new(methods)))
    }
}

impl Load {
    /// Begins with customers of its own.
    ///
    /// # Errors
    /// When there is no payment method to be had.
    pub async fn start(merchant: &Merchant, pace: Pace) -> Result<Self> {
        let customers = Customers::sign_up(merchant, pace.customers).await?;
        Self::of(merchant, pace, &customers)
    }

    /// Begins, each payer with a connection of its own, which it keeps.
    ///
    /// # Errors
    /// When there is no HTTP client to be had.
    pub fn of(merchant: &Merchant, pace: Pace, Customers(methods): &Customers) -> Result<Self> {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let unique = Timestamp::now().as_millisecond();
        let mut payers = Vec::new();
        for payer in 0..pace.payers {
            let merchant = Merchant::new(&merchant.base_url, &merchant.api_key)?;
            let (stop, seen, methods) = (Arc::clone(&stop), Arc::clone(&seen), Arc::clone(methods));
            let key = format!("load-{unique}-{payer}");
            payers.push(tokio::spawn(async move {
                for number in (payer..).step_by(pace.payers) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let asked = Instant::now();
                    // The payers share the customers, and none of these pays too often for the fraud check.
                    let method = &methods[number % methods.len()];
                    let outcome = pay(&merchant, &format!("{key}-{number}"), method).await;
                    if let Ok(mut seen) = seen.lock() {
                        match outcome {
                            Ok(Outcome::Succeeded) => seen.answered.push((asked, asked.elapsed())),
                            Ok(Outcome::Refused) => seen.refused.push(Timestamp::now()),
                            Err(error) => seen.failed.push(format!("{error:#}")),
                        }
                    }
                    tokio::time::sleep(pace.pause).await;
                }
            }));
        }
        Ok(Self { stop, seen, payers })
    }

    /// When the payments answered since `since` that took at least `slow` were asked for and answered.
    #[must_use]
    pub fn slow_since(&self, since: Instant, slow: Duration) -> Vec<(Instant, Instant)> {
        let Ok(seen) = self.seen.lock() else { return Vec::new() };
        let slow = seen.answered.iter().filter(|(asked, took)| *asked >= since && *took >= slow);
        slow.map(|(asked, took)| (*asked, *asked + *took)).collect()
    }

    /// How many payments were answered until now, and how many failed.
    #[must_use]
    pub fn so_far(&self) -> (usize, usize) {
        self.seen.lock().map_or((0, 0), |seen| (seen.answered.len(), seen.failed.len()))
    }

    /// Ends, once what is on its way is answered.
    ///
    /// # Errors
    /// When a payer panicked.
    pub async fn stop(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for payer in self.payers {
            payer.await?;
        }
        let seen = Arc::into_inner(self.seen).context("a payer is left")?;
        seen.into_inner().map_err(|_| anyhow!("a payer panicked"))
    }
}

impl Seen {
    /// In a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let mut times: Vec<_> = self.answered.iter().map(|(_, took)| *took).collect();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default().as_millis();
        let (answered, refused, failed) = (self.answered.len(), self.refused.len(), self.failed.len());
        format!(
            "{answered} payments answered, {refused} refused for maintenance, {failed} not; {} ms in the middle, {} ms for the slowest hundredth",
            at(50),
            at(99)
        )
    }
}

/// One payment, taken to its end. Whatever is neither a payment that succeeded nor one that maintenance refused is a failure.
async fn pay(merchant: &Merchant, key: &str, method: &str) -> Result<Outcome> {
    let body = json!({"amount": "1.00", "currency": "USD", "payment_method_id": method});
    let accepted = merchant.post("/v1/payments", key, &body).await?;
    if accepted.status == 503 && accepted.body["code"] == "maintenance" {
        ensure!(accepted.headers.contains_key("retry-after"), "a refusal without Retry-After: {}", accepted.body);
        return Ok(Outcome::Refused);
    }
    ensure!(matches!(accepted.status, 201 | 202), "{}: {}", accepted.status, accepted.body);
    let path = format!("/v1/payments/{}", accepted.body["id"].as_str().unwrap_or_default());
    let (begun, mut payment, mut pause) = (Instant::now(), accepted.body, FIRST_LOOK);
    while matches!(payment["status"].as_str(), Some("PENDING" | "PROCESSING"))
        && begun.elapsed() < Duration::from_secs(WAIT_S.into())
    {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
        payment = merchant.get(&path).await?.expect(200)?;
    }
    ensure!(payment["status"] == "SUCCESS", "a payment is {}: {}", payment["status"], payment["error"]);
    Ok(Outcome::Succeeded)
}
