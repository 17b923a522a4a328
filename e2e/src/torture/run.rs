//! The whole torture, from a seed to a verdict.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};
use clap::Args;
use runtime_contract::{ProviderName, Role};
use tokio::task::JoinSet;

use super::{
    client::Shop,
    drain::drain,
    evidence::{self, Evidence},
    judge::judge,
    kills,
    messages::Messages,
    plan::{PROVIDERS, TWINS, plan, provider_plan},
    provider,
    receiver::Receiver,
    record::Records,
};
use crate::{
    chance::Chance,
    processes::{Layout, Platform, PostgresSettings, ProviderLayout, Seeds},
};

/// After the storm: nothing moves for so long, and something is still left. The longest wait between two tries of a payment
/// is a minute, and that of a claim which nobody holds any more a quarter of one.
const DRAIN_PATIENCE: Duration = Duration::from_secs(90);
const PROVIDER_MS: u64 = 5;
const MERCHANTS: usize = 3;
const USERS: usize = 300;
/// Sentences shown of a verdict; the rest goes to a file.
const SHOWN: usize = 20;

/// How the torture is run.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many processes are killed.
    #[arg(long, short = 'n', default_value_t = 200)]
    pub kills: u64,
    /// The plan of kills and faults; drawn when not given.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Merchants that trade at the same time.
    #[arg(long, default_value_t = 12)]
    pub shops: u64,
    /// Only payments: no captures, refunds or cancels.
    #[arg(long)]
    pub only_payments: bool,
}

/// Everything of a run.
struct Torture {
    platform: Platform,
    seeds: Arc<Seeds>,
    records: Arc<Records>,
    receiver: Arc<Receiver>,
    messages: Messages,
    options: Options,
}

/// Tortures, compares, and says what is wrong.
///
/// # Errors
/// When something is.
pub async fn run(options: Options) -> Result<()> {
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = options.seed.unwrap_or_else(drawn);
    println!("seed {seed}, {} kills", options.kills);
    let mut torture = Torture::start(options, seed).await?;
    torture.storm(seed).await?;
    let verdict = torture.verdict().await?;
    if verdict.is_empty() {
        println!("nothing lost, nobody charged twice, no event missing (seed {seed})");
        return Ok(());
    }
    let folder = torture.platform.keep_files();
    let file = folder.join("verdict.txt");
    std::fs::write(&file, verdict.join("\n"))?;
    for sentence in verdict.iter().take(SHOWN) {
        println!("WRONG  {sentence}");
    }
    bail!("{} things are wrong; all of them and the logs are in {} (seed {seed})", verdict.len(), folder.display())
}

impl Torture {
    async fn start(options: Options, seed: u64) -> Result<Self> {
        let provider = |name: ProviderName| {
            let plan = Some(provider_plan(seed, name));
            ProviderLayout { name, latency_ms: PROVIDER_MS, keeps: true, plan, webhooks: true }
        };
        let layout = Layout {
            roles: vec![(Role::Gateway, TWINS), (Role::Fraud, 1), (Role::Processor, TWINS), (Role::Metrics, 1)],
            postgres: PostgresSettings::crash_of_processes(),
            providers: PROVIDERS.map(provider).to_vec(),
            log: "info",
        };
        let platform = Platform::start(&layout).await?;
        // How fast a user pays is not what is looked at here.
        platform.sql("update fraud_rules set enabled = false where kind = 'VELOCITY'").await?;
        let seeds = Arc::new(platform.seed(MERCHANTS, USERS).await?);
        let (records, receiver) = (Arc::new(Records::default()), Arc::new(Receiver::default()));
        let port = receiver.start().await?;
        for merchant in 0..MERCHANTS {
            let url = format!("http://127.0.0.1:{port}/{merchant}");
            receiver.expect(platform.endpoint(&seeds, merchant, &url).await?);
        }
        Ok(Self { platform, seeds, records, receiver, messages: Messages::new()?, options })
    }

    /// Load, and the plan beside it.
    async fn storm(&mut self, seed: u64) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut shops = self.open_shops(seed, &stop)?;
        let steps = plan(seed, self.options.kills);
        let (begin, records, receiver) = (Instant::now(), Arc::clone(&self.records), Arc::clone(&self.receiver));
        let tell = |kills| {
            let (answers, events) = (records.count(), receiver.count());
            println!("{:>5} s  {kills} kills, {answers} answers, {events} events", begin.elapsed().as_secs());
        };
        kills::execute(&mut self.platform, &steps, (&self.records, &self.messages), tell).await?;
        kills::all_up(&mut self.platform, &self.records).await?;
        provider::heal(&self.platform).await?;
        stop.store(true, Ordering::Relaxed);
        while let Some(closed) = shops.join_next().await {
            closed?;
        }
        self.receiver.heal();
        drain(&self.platform, DRAIN_PATIENCE).await?;
        println!("{:>5} s  everything was left to come to its end", begin.elapsed().as_secs());
        Ok(())
    }

    fn open_shops(&self, seed: u64, stop: &Arc<AtomicBool>) -> Result<JoinSet<()>> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let mut shops = JoinSet::new();
        for number in 0..self.options.shops {
            let shop = Shop {
                http: http.clone(),
                gateways: self.platform.gateways(),
                seeds: Arc::clone(&self.seeds),
                records: Arc::clone(&self.records),
                stop: Arc::clone(stop),
                chance: Chance::new(seed).fork(number),
                name: format!("s{number}"),
                operations: !self.options.only_payments,
            };
            shops.spawn(shop.trade());
        }
        Ok(shops)
    }

    async fn verdict(&self) -> Result<Vec<String>> {
        let (records, seen) = self.records.take();
        let (received, misunderstood) = self.receiver.take();
        let unanswered = self.records.unanswered_count();
        let books = provider::books(&self.platform).await?;
        for role in self.platform.roles.iter().filter(|role| role.role == Role::Gateway) {
            self.messages.add(role.admin_port).await;
        }
        let messages = self.messages.tally();
        let known = evidence::of_database(&self.platform).await?;
        let evidence = Evidence { books, messages, records, received, ..known };
        tell(&evidence, unanswered);
        let mut wrong = judge(&evidence);
        wrong.extend(seen);
        wrong.extend(misunderstood);
        if let Err(error) = self.platform.purser(&["ledger", "verify"]).await {
            wrong.push(format!("{error:#}"));
        }
        Ok(wrong)
    }
}

fn tell(evidence: &Evidence, unanswered: usize) {
    println!(
        "{} payments, {} operations, {} events; {} answers, {unanswered} requests without one",
        evidence.payments.len(),
        evidence.operations.values().map(Vec::len).sum::<usize>(),
        evidence.events.len(),
        evidence.records.len(),
    );
    for provider in PROVIDERS {
        let charges = evidence.books.charges.iter().filter(|charge| charge.provider == provider).count();
        let resource = provider.as_str().to_lowercase();
        let of_provider = evidence.messages.iter().filter(|((of, _), _)| *of == resource);
        let messages: Vec<String> = of_provider.map(|((_, effect), count)| format!("{effect} {count}")).collect();
        println!("{provider}: {charges} charges; effect of its messages: {}", messages.join(", "));
    }
    let silent = evidence.leftovers.iter().filter(|left| left.must_wait(&evidence.books.silent)).count();
    println!("{silent} payments stay open by right: their key keeps an error");
}
