//! The whole benchmark, from an empty folder to the figures.

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use runtime_contract::{ProviderName, Role};
use tokio::time::sleep;

use super::{
    cost::{Cost, Reading},
    figures::{Figures, median},
    load::{Load, Noted, closed_loop},
    open_loop::open_loop,
    pgbench, receiver, rows, statements,
    times::Times,
    track::Tracker,
};
use crate::processes::{Layout, Platform, PostgresSettings, ProviderLayout};

/// What the provider takes for a charge.
pub(super) const PROVIDER_MS: u64 = 2;
/// Until caches and connections are as they stay.
const WARM_UP: Duration = Duration::from_secs(4);
const EVENTS_PATIENCE: Duration = Duration::from_secs(20);

/// How the benchmark is run.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Measurements of reference and product, alternating.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Clients that pay one payment after the other.
    #[arg(long, default_value_t = 192)]
    pub clients: usize,
    /// Merchants, each with an endpoint for events.
    #[arg(long, default_value_t = 4)]
    pub merchants: usize,
    /// Users of each merchant, each with a card. Far fewer would pay often enough by chance to be stopped as fraud.
    #[arg(long, default_value_t = 8_000)]
    pub users: usize,
    /// Payments at half of the maximum for ten minutes, to see that memory stays flat.
    #[arg(long)]
    pub long: bool,
    /// Compare the cost of a payment with this many rows in `transactions` with that with 100,000.
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
    /// Only the product, without the reference and the open loop: to look at it with a profiler.
    #[arg(long)]
    pub only_product: bool,
    /// With `--only-product`: this many payments a second, whether or not the ones before are answered.
    #[arg(long, value_name = "PER_SECOND", requires = "only_product")]
    pub rate: Option<f64>,
    /// Where the figures go.
    #[arg(long, value_name = "FILE", default_value = "target/bench/payments.json")]
    pub output: PathBuf,
}

/// Payments at a rate.
struct Open {
    /// What they took, less what the provider takes.
    own: Times,
    event_lag: Times,
    cost: Cost,
}

/// Everything of a run.
pub(super) struct Bench {
    pub(super) platform: Platform,
    pub(super) tracker: Arc<Tracker>,
    pub(super) load: Arc<Load>,
    pub(super) options: Options,
}

/// Measures, prints and writes.
///
/// # Errors
/// When something does not start, or payments do not succeed.
pub async fn run(options: Options) -> Result<()> {
    let mut bench = Bench::start(options).await?;
    if bench.options.only_product {
        let time = Duration::from_secs(bench.options.seconds);
        let cost = match bench.options.rate {
            None => bench.product(time).await?,
            Some(rate) => {
                let Open { own, event_lag, cost } = bench.open_loop(rate, time).await?;
                for (name, times) in [("own time", own), ("answer to event", event_lag)] {
                    println!(
                        "{name} p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms",
                        times.ms(0.5),
                        times.ms(0.9),
                        times.ms(0.99)
                    );
                }
                cost
            }
        };
        println!(
            "{:.0} payments per second, own CPU {:.3} ms, {:#.3?}",
            cost.per_second,
            cost.own_cpu_ms(),
            cost.cpu_ms
        );
        return bench.check();
    }
    let figures = bench.measure().await?;
    figures.print();
    figures.write(&bench.options.output)?;
    println!("\n{}", bench.options.output.display());
    bench.check()
}

impl Bench {
    async fn start(options: Options) -> Result<Self> {
        let durable = PostgresSettings::durable();
        let layout = Layout {
            roles: Role::ALL.map(|role| (role, 1)).to_vec(),
            postgres: if options.only_product { durable.preloading("pg_stat_statements") } else { durable },
            providers: vec![ProviderLayout::plain(ProviderName::Stripe, PROVIDER_MS)],
            log: "info",
        };
        let platform = Platform::start(&layout).await?;
        let seeds = platform.seed(options.merchants, options.users).await?;
        let tracker = Arc::new(Tracker::new());
        let receiver = receiver::start(Arc::clone(&tracker)).await?;
        for merchant in 0..options.merchants {
            platform.endpoint(&seeds, merchant, &format!("http://127.0.0.1:{receiver}/events")).await?;
        }
        let ports = platform.roles.iter().filter(|role| role.role == Role::Gateway).map(|role| role.port).collect();
        let load = Arc::new(Load::new(seeds, ports, Arc::clone(&tracker))?);
        let bench = Self { platform, tracker, load, options };
        if !bench.options.only_product {
            pgbench::prepare(&bench.platform.postgres).await?;
        }
        while !bench.load.all_came() {
            bench.product(WARM_UP).await.context("warm-up")?;
        }
        Ok(bench)
    }

    async fn measure(&mut self) -> Result<Figures> {
        let time = Duration::from_secs(self.options.seconds);
        let (mut rounds, mut costs) = (Vec::new(), Vec::new());
        for round in 1..=self.options.rounds {
            let reference = pgbench::measure(&self.platform.postgres, self.options.seconds).await?;
            let cost = self.product(time).await?;
            println!(
                "round {round}: pgbench {reference:.0}/s, payments {:.0}/s ({:.3}), own CPU {:.3} ms",
                cost.per_second,
                cost.per_second / reference,
                cost.own_cpu_ms()
            );
            rounds.push((reference, cost.per_second));
            costs.push(cost);
        }
        let maximum = median(rounds.iter().map(|round| round.1).collect());
        let pgbench_tps = median(rounds.iter().map(|round| round.0).collect());
        let before = self.rss()?;
        let open_time = if self.options.long { Duration::from_secs(600) } else { time.max(Duration::from_secs(20)) };
        let Open { own, event_lag, .. } = self.open_loop(maximum / 2.0, open_time).await?;
        let rss = self.rss()?;
        let growth = rss.iter().map(|(name, mib)| (name.clone(), mib - before.get(name).unwrap_or(mib))).collect();
        let statements = statements::look(self).await?;
        let rows = match self.options.rows {
            Some(many) => Some(rows::compare(self, many).await?),
            None => None,
        };
        Ok(Figures {
            payments_per_second: maximum,
            pgbench_tps,
            ratio: maximum / pgbench_tps,
            cpu_ms_per_payment: median(costs.iter().map(Cost::own_cpu_ms).collect()),
            p50_ms: own.ms(0.5),
            p99_ms: own.ms(0.99),
            open_loop_per_second: maximum / 2.0,
            event_lag_p50_ms: event_lag.ms(0.5),
            event_lag_p99_ms: event_lag.ms(0.99),
            rss_mib: rss,
            rss_growth_mib: growth,
            clients: self.options.clients,
            cpu_ms_by_process: costs.last().map(|cost| cost.cpu_ms.clone()).unwrap_or_default(),
            statements_per_payment: statements.per_payment,
            statements: statements.top,
            wal_bytes_per_payment: median(costs.iter().map(|cost| cost.wal_bytes).collect()),
            rounds,
            problems: self.load.problems.noted().count,
            without_event: self.tracker.count().without_event,
            rows,
            machine: self.machine().await?,
            command: env::args().skip(1).collect::<Vec<_>>().join(" "),
        })
    }

    /// Whole payments as fast as they go, for a time.
    pub(super) async fn product(&self, time: Duration) -> Result<Cost> {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = tokio::spawn(closed_loop(Arc::clone(&self.load), self.options.clients, Arc::clone(&stop)));
        sleep(Duration::from_secs(1)).await;
        let begin = Reading::take(&self.platform, &self.tracker).await?;
        sleep(time).await;
        let end = Reading::take(&self.platform, &self.tracker).await?;
        stop.store(true, Ordering::Relaxed);
        clients.await??;
        self.events_delivered().await;
        let cost = begin.until(&end);
        ensure!(cost.payments > 0.0, "no payment became whole: {:?}", self.load.problems.noted().first);
        Ok(cost)
    }

    /// Payments at a rate, for a time.
    async fn open_loop(&self, rate: f64, time: Duration) -> Result<Open> {
        // What was left unwritten before would be written in the middle of this: the disk's time, and not a payment's.
        self.platform.sql("checkpoint").await?;
        tokio::task::spawn_blocking(nix::unistd::sync).await?;
        self.tracker.take_lags();
        let begin = Reading::take(&self.platform, &self.tracker).await?;
        let own = open_loop(Arc::clone(&self.load), rate, time).await?;
        self.events_delivered().await;
        let end = Reading::take(&self.platform, &self.tracker).await?;
        Ok(Open { own, event_lag: self.tracker.take_lags(), cost: begin.until(&end) })
    }

    /// What is still under way must not disturb what is measured next.
    async fn events_delivered(&self) {
        let _ = tokio::time::timeout(EVENTS_PATIENCE, async {
            while self.tracker.count().without_event > 0 {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    fn rss(&self) -> Result<BTreeMap<String, f64>> {
        let roles = self.platform.roles.iter();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        roles.map(|role| Ok((role.process.name().to_owned(), role.process.usage()?.rss_kib as f64 / 1024.0))).collect()
    }

    fn check(&self) -> Result<()> {
        let (problems, without_event) = (&self.load.problems, self.tracker.count().without_event);
        let Noted { count, first } = problems.noted();
        ensure!(count == 0, "{count} payments were not answered with success; the first: {first:?}");
        ensure!(without_event == 0, "{without_event} payments were answered, and their events did not come");
        let late = problems.accepted_only.load(Ordering::Relaxed);
        if late > 0 {
            println!("{late} payments were answered before their end (202)");
        }
        Ok(())
    }

    async fn machine(&self) -> Result<BTreeMap<&'static str, String>> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let settings = PostgresSettings::durable().0;
        Ok(BTreeMap::from([
            ("cpu", model.trim_start_matches([' ', '\t', ':']).to_owned()),
            ("cores", std::thread::available_parallelism()?.to_string()),
            ("load_average", std::fs::read_to_string("/proc/loadavg")?.trim().to_owned()),
            ("postgresql", self.platform.sql("show server_version").await?),
            ("postgresql_settings", settings.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")),
            ("pgbench", format!("-M prepared -c {} -j 2, scale {}", pgbench::CLIENTS, pgbench::SCALE)),
            ("provider_ms", PROVIDER_MS.to_string()),
        ]))
    }
}
