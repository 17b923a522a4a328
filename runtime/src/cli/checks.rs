//! `purser warm-cache`, `purser smoke` and `purser load`.

use std::process::ExitCode;
use std::time::Duration;

use crate::cache::{Cache, CacheError, Copies};
use crate::checks::goals::{Goals, Measured};
use crate::checks::load::{self, Load};
use crate::checks::smoke::{self, Smoke, Trial};
use crate::checks::warm::{self, Warmed};
use crate::checks::{CheckError, Gateway, TestMerchant};
use crate::database::{self, DatabaseError};
use crate::live_settings::{self, LiveSettings};
use crate::metrics::Metrics;
use crate::report;
use chrono::{TimeDelta, Utc};
use clap::Args;
use runtime_contract::{JobReport, Outcome, Reason};
use serde::Serialize;
use sqlx::postgres::PgConnection;

use super::{SecretArgs, exit_code, job, show};

/// A key of the test merchant outlives its check by this, if the check is killed.
const KEY_OUTLIVES: TimeDelta = TimeDelta::minutes(10);
/// Longer a load test tells nothing new.
const DURATION_MAX: Duration = Duration::from_secs(600);

/// What all of them take.
#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    secrets: SecretArgs,
    /// The PaymentCluster that the database must belong to; with it, a report is left for the operator
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = job::owner)]
    owner: Option<String>,
    /// Seconds to wait for a database or a gateway that does not answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `purser warm-cache` takes.
#[derive(Args)]
pub(crate) struct WarmArgs {
    /// Users, and payment methods, at most: those used last
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    check: CheckArgs,
}

/// Where the gateway is.
#[derive(Args)]
pub(crate) struct GatewayArgs {
    /// Base URL of the gateway
    #[arg(long, value_name = "URL")]
    gateway: String,
    /// Take any certificate: for an address within the cluster, which the certificate does not name. The key that is sent is one
    /// of the test merchant, and ends with the command
    #[arg(long)]
    any_certificate: bool,
}

/// What `purser smoke` takes.
#[derive(Args)]
pub(crate) struct SmokeArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// The release that has to accept the payments
    #[arg(long, value_name = "VERSION")]
    release: Option<String>,
    #[command(flatten)]
    check: CheckArgs,
}

/// What `purser load` takes.
#[derive(Args)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Payments per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tps: u32,
    /// For how long, such as 60s; ten minutes at most
    #[arg(long, value_name = "DURATION", value_parser = length)]
    duration: Duration,
    /// 95 of 100 payments may take no longer, such as 300ms
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    p95: Option<Duration>,
    /// 99 of 100 payments may take no longer
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    p99: Option<Duration>,
    /// Payments that have to end well, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    success_rate: Option<f64>,
    /// Says that this platform is none that customers wait for: the load would make them wait
    #[arg(long, required = true)]
    staging: bool,
    #[command(flatten)]
    check: CheckArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit_ms = match &text[at..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    let millis = text[..at].parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    let millis = millis.filter(|millis| *millis > 0).ok_or("a whole number of ms, s or m is needed, such as 300ms")?;
    Ok(Duration::from_millis(millis))
}

fn length(text: &str) -> Result<Duration, String> {
    duration(text).and_then(
        |length| {
            if length <= DURATION_MAX { Ok(length) } else { Err("ten minutes at most".to_owned()) }
        },
    )
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "a percentage from 0 to 100 is needed".to_owned())
}

/// Puts what is used most into the cache.
pub(crate) async fn warm(args: WarmArgs) -> anyhow::Result<ExitCode> {
    let done = warm_now(&args).await;
    args.check.ended(done, Warmed::words, |_| (Outcome::Succeeded, Reason::CacheWarmed))
}

async fn warm_now(args: &WarmArgs) -> Result<Warmed, CheckError> {
    let secrets = args.check.secrets.secrets();
    let url = secrets.database_url()?;
    // Says in one sentence what is wrong with the URL, the password or the server.
    args.check.connect().await?;
    let pool = database::pool(&url, "purser warm-cache", 2)?;
    let away = |error: CacheError| Warmed { users: 0, payment_methods: 0, trouble: Some(error.to_string()) };
    let redis = match Cache::new(secrets.cache_url().as_ref()) {
        Ok(redis) => redis,
        Err(error) => return Ok(away(error)),
    };
    let settings = live_settings::read_newer(&pool, 0).await.map_err(|error| CheckError::Setup(error.to_string()))?;
    let settings = settings.map_or_else(LiveSettings::none, LiveSettings::fixed);
    let metrics = Metrics::new("warm-cache").map_err(|error| CheckError::Setup(error.to_string()))?;
    let copies = Copies::new(pool.clone(), redis.clone(), settings, &metrics.cache_requests);
    warm::run(&pool, &redis, &copies, args.limit).await
}

/// Sends test payments, one by one.
pub(crate) async fn smoke(args: SmokeArgs) -> anyhow::Result<ExitCode> {
    let done = smoke_now(&args).await;
    args.check.ended(done, Smoke::words, |smoke| {
        if smoke.passed { (Outcome::Succeeded, Reason::SmokePassed) } else { (Outcome::Failed, Reason::SmokeFailed) }
    })
}

async fn smoke_now(args: &SmokeArgs) -> Result<Smoke, CheckError> {
    let mut connection = args.check.connect().await?;
    let merchant = args.check.enter(&mut connection, Duration::ZERO).await?;
    let seen = async {
        let gateway = args.gateway.open(&merchant)?;
        let release = args.release.as_deref();
        smoke::run(Trial { gateway: &gateway, release, wait: args.check.patience() }, &mut connection).await
    };
    let seen = seen.await;
    merchant.leave(&mut connection).await;
    seen
}

/// What a load test came to.
#[derive(Serialize)]
struct Loaded {
    #[serde(flatten)]
    measured: Measured,
    missed: Vec<String>,
}

impl Loaded {
    fn words(&self) -> String {
        match self.missed.as_slice() {
            [] => self.measured.words(),
            missed => format!("missed: {} ({})", missed.join("; "), self.measured.words()),
        }
    }
}

/// Sends test payments at a rate.
pub(crate) async fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let done = load_now(&args).await;
    args.check.ended(done, Loaded::words, |loaded| {
        let reached = loaded.missed.is_empty();
        if reached { (Outcome::Succeeded, Reason::LoadPassed) } else { (Outcome::Failed, Reason::LoadFailed) }
    })
}

async fn load_now(args: &LoadArgs) -> Result<Loaded, CheckError> {
    let mut connection = args.check.connect().await?;
    let merchant = args.check.enter(&mut connection, args.duration).await?;
    let measured = async {
        let gateway = args.gateway.open(&merchant)?;
        let load = Load { tps: args.tps, duration: args.duration };
        let methods = merchant.payers(&mut connection, load.payers()).await?;
        load::run(&gateway, load, &methods).await
    };
    let measured = measured.await;
    merchant.leave(&mut connection).await;
    let measured = measured?;
    let goals = Goals { tps: args.tps, p95: args.p95, p99: args.p99, success_rate: args.success_rate };
    Ok(Loaded { missed: goals.missed(&measured), measured })
}

impl GatewayArgs {
    fn open(&self, merchant: &TestMerchant) -> Result<Gateway, CheckError> {
        Gateway::new(&self.gateway, self.any_certificate, merchant.key.clone())
    }
}

impl CheckArgs {
    const fn patience(&self) -> Duration {
        Duration::from_secs(self.wait)
    }

    async fn connect(&self) -> Result<PgConnection, CheckError> {
        let url = self.secrets.secrets().database_url()?;
        let connected: Result<_, DatabaseError> = database::connect(&url, "purser checks", self.patience()).await;
        Ok(connected?)
    }

    async fn enter(&self, connection: &mut PgConnection, lasts: Duration) -> Result<TestMerchant, CheckError> {
        let lasts = TimeDelta::from_std(lasts + self.patience()).unwrap_or(KEY_OUTLIVES);
        TestMerchant::enter(connection, self.owner.as_deref(), Utc::now() + lasts + KEY_OUTLIVES).await
    }

    /// Ends a command: leaves a report when it is run for an owner, and shows what it did.
    fn ended<T: Serialize>(
        &self,
        done: Result<T, CheckError>,
        words: impl Fn(&T) -> String,
        verdict: impl FnOnce(&T) -> (Outcome, Reason),
    ) -> anyhow::Result<ExitCode> {
        let report = match &done {
            Ok(done) => {
                let (outcome, reason) = verdict(done);
                report::report(outcome, reason, &words(done))
            }
            Err(error) => report::report(error.outcome(), error.reason(), &error.to_string()),
        };
        self.tell(done, words, &report)?;
        Ok(exit_code(report.outcome == Outcome::Succeeded))
    }

    fn tell<T: Serialize>(
        &self,
        done: Result<T, CheckError>,
        words: impl Fn(&T) -> String,
        report: &JobReport,
    ) -> anyhow::Result<()> {
        match (self.owner.is_some(), done) {
            (true, Ok(done)) if self.json => {
                report::leave(report)?;
                show(true, &done, words)
            }
            (true, _) => Ok(report::write(report)?),
            (false, done) => show(self.json, &done?, words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_percentages_are_read_as_people_write_them() {
        let cases =
            [("300ms", Some(300)), ("2s", Some(2_000)), ("1m", Some(60_000)), ("0s", None), ("5", None), ("s", None)];
        for (text, millis) in cases {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
        assert!(length("601s").is_err() && length("10m").is_ok());
        assert_eq!(percent("99.5"), Ok(99.5));
        assert!(percent("101").is_err() && percent("NaN").is_err());
    }
}
