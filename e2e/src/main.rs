//! `e2e`: starts and stops the local cluster, and builds the images that run on it.

use std::{env, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use e2e::{
    bench, cluster, fleet, images, packages, paths::Paths, platform, progress::seconds, releases, rights, testers,
    tools, torture, verdicts,
};

/// The platform of the quickstart, the local Kubernetes cluster, and the images that run on it.
///
/// The cluster is a real one: Kubernetes, etcd and CoreDNS built from their modules, on containerd and runc.
/// With CLUSTER=current nothing of it is built or started, and the cluster of the current kubeconfig is used.
#[derive(Parser)]
#[command(name = "e2e", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring up the whole platform, take a first payment, and say how to go on.
    Up,
    /// Remove the platform, and the local cluster with it.
    Down,
    /// Start, stop and look at the local cluster.
    #[command(subcommand)]
    Cluster(Cluster),
    /// Build the images, and give them to the cluster.
    #[command(subcommand)]
    Images(Images),
    /// Fetch kubectl and helm, and print the folder that holds them, for PATH.
    Tools,
    /// Install the PostgreSQL and the Redis that the runtime's tests start by themselves, and the programs that they ask.
    TestServers,
    /// Measure payments a second and what each costs, beside pgbench on the same PostgreSQL.
    Bench(bench::Options),
    /// Kill the real processes under load at random points, then compare what everybody knows.
    Torture(torture::Options),
    /// On the platform of `up`, under a load of payments: a good release, and a bad one that rolls itself back.
    Demo,
    /// Measure how fast a bad release loses its traffic, on the platform of `up`.
    BenchRelease(releases::BenchOptions),
    /// Measure what the operator costs where a thousand PaymentClusters are at rest, on a control plane of its own.
    BenchOperator(fleet::Options),
    /// Compare what the chart lets the operator do with what it did, by the audit logs that the tests have left.
    Rights {
        /// The folder of the logs: what the tests ran with as PURSER_AUDIT_LOGS.
        logs: PathBuf,
    },
    /// Judge simulated releases: hours of noise that must convict nobody, regressions that must be caught.
    Verdicts(verdicts::Options),
}

#[derive(Subcommand)]
enum Cluster {
    /// Start what does not run: builds, installs and repairs what is missing. Fast when all is well.
    Up {
        /// Leave the metrics server to a later `up`; it takes two minutes to build, and only autoscaling needs it.
        #[arg(long)]
        defer_metrics: bool,
    },
    /// Stop the cluster and remove everything of it. Built programs and images stay in the cache.
    Down,
    /// Show what runs. The exit code is 1 when something does not.
    Status,
    /// Show the end of the logs.
    Logs {
        /// Only this program's, such as kubelet.
        component: Option<String>,
        /// Go on showing what is written.
        #[arg(long, short)]
        follow: bool,
    },
    /// Print the path of the kubeconfig.
    Kubeconfig,
}

#[derive(Clone, Copy, Subcommand)]
enum Images {
    /// Build the programs (release) and all images, as far as they have changed.
    Build,
    /// Build, and import into the local cluster; with CLUSTER=current push to PURSER_REGISTRY.
    Load,
}

#[tokio::main]
async fn main() -> ExitCode {
    e2e::install_crypto();
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    let paths = Paths::from_env()?;
    match command {
        Command::Up => platform_up(&paths).await?,
        Command::Down => platform_down(&paths).await?,
        Command::TestServers => {
            packages::ensure(packages::TEST_SERVERS).await?;
            testers::ensure(&paths).await?;
        }
        Command::Bench(options) => {
            packages::ensure(packages::TEST_SERVERS).await?;
            bench::run(options).await?;
        }
        Command::Torture(options) => {
            packages::ensure(packages::TEST_SERVERS).await?;
            torture::run(options).await?;
        }
        Command::Demo => releases::demo(&paths).await?,
        Command::BenchRelease(options) => releases::bench(&paths, options).await?,
        Command::BenchOperator(options) => fleet::run(options).await?,
        Command::Rights { logs } => rights::check(&paths, &logs).await?,
        Command::Verdicts(options) => tokio::task::spawn_blocking(move || verdicts::run(options)).await??,
        Command::Tools => println!("{}", tools::ensure(&paths).await?.display()),
        Command::Images(command) => run_images(&paths, command).await.map(drop)?,
        Command::Cluster(command) if cluster::uses_current()? => run_current(&paths, &command).await?,
        Command::Cluster(Cluster::Up { defer_metrics }) => up(&paths, defer_metrics).await?,
        Command::Cluster(Cluster::Down) => timed("cluster down", cluster::down(&paths)).await?,
        Command::Cluster(Cluster::Status) => {
            let well = cluster::status(&paths).await?;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Cluster(Cluster::Logs { component, follow }) => {
            cluster::logs(&paths, component.as_deref(), follow).await?;
        }
        Command::Cluster(Cluster::Kubeconfig) => println!("{}", paths.kubeconfig().display()),
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(paths: &Paths, defer_metrics: bool) -> Result<()> {
    let metrics = if defer_metrics { cluster::Metrics::Later } else { cluster::Metrics::Now };
    timed("cluster up", cluster::up(paths, metrics)).await?;
    println!("kubeconfig {}", paths.kubeconfig().display());
    Ok(())
}

async fn timed<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let started = Instant::now();
    println!("{what}");
    let done = work.await?;
    println!("{what}: done in {}", seconds(started.elapsed()));
    Ok(done)
}

async fn run_current(paths: &Paths, command: &Cluster) -> Result<()> {
    match command {
        Cluster::Up { .. } | Cluster::Status => {
            tools::ensure(paths).await?;
            println!("CLUSTER=current: nothing is built or started; {}", cluster::describe_current().await?);
        }
        Cluster::Down => println!("CLUSTER=current: the cluster is not ours, and stays as it is"),
        Cluster::Logs { .. } => {
            bail!("CLUSTER=current: the logs of that cluster are not here; use kubectl")
        }
        Cluster::Kubeconfig => println!("{}", cluster::current_kubeconfig()?.display()),
    }
    Ok(())
}

/// From nothing to a first payment. What only autoscaling needs comes after it.
async fn platform_up(paths: &Paths) -> Result<()> {
    let local = !cluster::uses_current()?;
    if local {
        timed("cluster up", cluster::up(paths, cluster::Metrics::Later)).await?;
    } else {
        run_current(paths, &Cluster::Status).await?;
    }
    let new_images = run_images(paths, Images::Load).await?;
    let registry = registry()?;
    let options = platform::Options { root: &paths.repository, local, registry: registry.as_deref(), new_images };
    platform::up(&platform::Kubectl::new(paths, local), options).await?;
    if local {
        println!();
        timed("metrics server, for autoscaling", cluster::up(paths, cluster::Metrics::Now)).await?;
    }
    Ok(())
}

async fn platform_down(paths: &Paths) -> Result<()> {
    if cluster::uses_current()? {
        tools::ensure(paths).await?;
        return timed("platform down", platform::down(&platform::Kubectl::new(paths, false))).await;
    }
    // Everything of the platform lives on the cluster, and goes with it.
    timed("cluster down", cluster::down(paths)).await
}

/// Returns whether the cluster got an image that it did not have.
async fn run_images(paths: &Paths, command: Images) -> Result<bool> {
    let registry = registry()?;
    if matches!(command, Images::Load) && cluster::uses_current()? && registry.is_none() {
        bail!(
            "CLUSTER=current: set PURSER_REGISTRY to a registry that the cluster can pull from, such as registry.example/purser"
        );
    }
    if matches!(command, Images::Load) && !cluster::uses_current()? && !paths.kubeconfig().exists() {
        bail!("the local cluster has not been started: run `cluster up` first");
    }
    let work = async {
        let images = images::build(paths).await?;
        match command {
            Images::Build => Ok(false),
            Images::Load => images::load(paths, &images, registry.as_deref()).await,
        }
    };
    timed("images", work).await
}

/// The registry to push to: only where the cluster is not ours to import into.
fn registry() -> Result<Option<String>> {
    Ok(if cluster::uses_current()? { env::var("PURSER_REGISTRY").ok().filter(|name| !name.is_empty()) } else { None })
}
