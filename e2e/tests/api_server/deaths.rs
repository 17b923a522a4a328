//! The operator killed before and after each of its writes: a release, a rollback and a restore end the same, and nothing is done twice.
//! The writes are those that an operator makes which nobody kills, as the way to the API server sees them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::control_plane::ControlPlane;
use futures::{StreamExt as _, stream};
use nix::unistd::Pid;
use runtime_contract::{JobReport, MigrationPlan, Outcome, Reason};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::end_state::End;
use super::fixture::{minimal_cluster, own_control_plane};
use super::notifications::{Receiver, owes_nothing};
use super::operator::{Operator, Stage, condition};
use super::proxy::{Asked, Fate, Proxy, Write};
use super::puppet::{failed, succeeded};
use super::release::{Told, canary};

/// Stories at once.
const AT_ONCE: usize = 6;
/// Who has not written for so long has nothing more to do.
const QUIET: Duration = Duration::from_secs(5);
/// A story with all its deaths.
const LIMIT: Duration = Duration::from_secs(300);

/// What happens to a PaymentCluster.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Story {
    /// Its first release.
    Install,
    /// A release with an approval, a backup, a dry run, a maintenance and a migration.
    Release,
    /// A release that breaks its SLA.
    Rollback,
    /// A release whose migration fails while writes are refused.
    Restore,
}

/// When the operator dies.
#[derive(Clone, Copy, Debug)]
enum Deaths {
    Never,
    /// After each write, before it hears of it.
    AfterEach,
    /// Before each write; its successor makes it.
    BeforeEach,
    /// Before the write of this number, from 0.
    Before(usize),
    /// After it.
    After(usize),
}

/// A control plane for these tests alone: a hundred operators are more than others should wait for.
async fn plane() -> Result<&'static ControlPlane> {
    static PLANE: OnceCell<&ControlPlane> = OnceCell::const_new();
    PLANE.get_or_try_init(own_control_plane).await.copied()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes of both cores: `make e2e`"]
async fn an_operator_that_dies_before_or_after_each_of_its_writes_leaves_the_same_and_does_nothing_twice() -> Result<()>
{
    let metrics = Ipv4Addr::new(127, 77, 7, 1);
    let _told = told(metrics).await?;
    let stories = [Story::Install, Story::Release, Story::Rollback, Story::Restore];
    let runs = stories.iter().flat_map(|story| {
        [Deaths::Never, Deaths::AfterEach, Deaths::BeforeEach]
            .map(|deaths| async move { play(*story, deaths, metrics).await })
    });
    let ends: Vec<Result<Played>> = stream::iter(runs).buffered(AT_ONCE).collect().await;
    let failed: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err().map(|error| format!("{error:#}"))).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    let ends: Vec<_> = ends.into_iter().flatten().collect();
    for (story, ends) in stories.iter().zip(ends.chunks(3)) {
        let [whole, after, before] = ends else { bail!("three runs a story") };
        println!("{story:?}: {} writes, deaths {} after and {} before", whole.writes, after.deaths, before.deaths);
        ensure!(whole.writes > 3, "{story:?} was told by {} writes: others wrote it", whole.writes);
        for killed in [after, before] {
            ensure!(
                killed.deaths * 2 > whole.writes,
                "{story:?}: {} deaths for {} writes",
                killed.deaths,
                whole.writes
            );
            whole.is_matched_by(killed, *story)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a quarter of an hour: `make e2e`"]
async fn each_of_these_deaths_alone_changes_nothing_either() -> Result<()> {
    let metrics = Ipv4Addr::new(127, 77, 7, 2);
    let _told = told(metrics).await?;
    for story in [Story::Install, Story::Release, Story::Rollback, Story::Restore] {
        let whole = play(story, Deaths::Never, metrics).await?;
        let deaths = (0..whole.writes).flat_map(|number| [Deaths::Before(number), Deaths::After(number)]);
        let runs = stream::iter(deaths).map(async |deaths| (deaths, play(story, deaths, metrics).await));
        let ends: Vec<_> = runs.buffer_unordered(AT_ONCE).collect().await;
        let mut unmet = 0;
        for (deaths, killed) in &ends {
            let killed = killed.as_ref().map_err(|error| anyhow::anyhow!("{story:?}, {deaths:?}: {error:#}"))?;
            whole.is_matched_by(killed, story).with_context(|| format!("{deaths:?}"))?;
            unmet += usize::from(killed.deaths == 0);
        }
        println!(
            "{story:?}: {} writes, {} runs, in {unmet} of which there were fewer writes",
            whole.writes,
            ends.len()
        );
        ensure!(unmet * 5 <= ends.len(), "{story:?}: {unmet} of {} runs had no death", ends.len());
    }
    Ok(())
}

/// What the metrics pods at an address tell: 0.2.0 is too slow.
async fn told(address: Ipv4Addr) -> Result<Told> {
    let told = Told::at(address).await?;
    told.payment_ms.store(320, Ordering::Relaxed);
    Ok(told)
}

/// How a story went.
struct Played {
    writes: usize,
    deaths: usize,
    end: End,
}

impl Played {
    fn is_matched_by(&self, killed: &Self, story: Story) -> Result<()> {
        let repeated = killed.end.repeated();
        ensure!(repeated.is_empty(), "{story:?} after {} deaths: done twice: {repeated:#?}", killed.deaths);
        let differences = self.end.differences(&killed.end);
        ensure!(differences.is_empty(), "{story:?} after {} deaths ends otherwise: {differences:#?}", killed.deaths);
        Ok(())
    }
}

async fn play(story: Story, deaths: Deaths, metrics: Ipv4Addr) -> Result<Played> {
    let stage = Stage::on(plane().await?).await?;
    let (receiver, proxy) = (Receiver::start().await?, Proxy::start(stage.plane).await?);
    stage.secret("hooks", json!({"url": format!("{}/hook/secret-word", receiver.url)})).await?;
    let mut operator = stage.operator_by(&proxy.kubeconfig, "the-same-pod")?;
    story.prepare(&stage, metrics).await?;
    let before = proxy.writes()?.len();
    let reaper = Arc::new(Reaper::new(operator.pid()?));
    let judge = Arc::clone(&reaper);
    proxy.judge(move |asked| judge.fate(asked, deaths))?;
    story.begin(&stage).await?;
    let died = until_over(&stage, &proxy, &mut operator, &reaper, story).await;
    let died = died.with_context(|| format!("{story:?}, {deaths:?}, {}", stage.namespace))?;
    let writes: Vec<Write> = proxy.writes()?.split_off(before);
    let end = End::of(&stage, &writes, &receiver.heard()?).await?;
    Ok(Played { writes: writes.len(), deaths: died, end })
}

/// Starts the operator again as often as it dies, until all is done; how often that was.
async fn until_over(
    stage: &Stage,
    proxy: &Proxy,
    operator: &mut Operator,
    reaper: &Reaper,
    story: Story,
) -> Result<usize> {
    let begin = Instant::now();
    let mut died = 0;
    loop {
        if operator.has_ended()? {
            died += 1;
            *operator = stage.operator_by(&proxy.kubeconfig, "the-same-pod")?;
            reaper.is_to_watch(operator.pid()?);
        }
        let is_quiet = proxy.writes()?.last().is_some_and(|last| last.at.elapsed() > QUIET);
        let seen = stage.resource("PaymentCluster", "payments").await?;
        if is_quiet && story.is_over(&seen) {
            return Ok(died);
        }
        ensure!(begin.elapsed() < LIMIT, "not over after {LIMIT:?} and {died} deaths: {:#}", seen["status"]);
        tokio::time::sleep(Duration::from_millis(if is_quiet { 500 } else { 50 })).await;
    }
}

/// Decides at which write the operator dies.
struct Reaper {
    /// The operator that lives; 0 once it was killed.
    pid: AtomicI32,
    writes: AtomicUsize,
    /// Writes of this life, beginning with that before which the one before it died.
    of_life: AtomicUsize,
}

impl Reaper {
    fn new(pid: Pid) -> Self {
        Self { pid: AtomicI32::new(pid.as_raw()), writes: AtomicUsize::new(0), of_life: AtomicUsize::new(1) }
    }

    fn is_to_watch(&self, pid: Pid) {
        self.of_life.store(0, Ordering::SeqCst);
        self.pid.store(pid.as_raw(), Ordering::SeqCst);
    }

    fn fate(&self, asked: &Asked, deaths: Deaths) -> Fate {
        let pid = Pid::from_raw(self.pid.load(Ordering::SeqCst));
        if pid.as_raw() == 0 {
            return Fate::Lost;
        }
        if !asked.is_write() {
            return Fate::Passed;
        }
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        let of_life = self.of_life.fetch_add(1, Ordering::SeqCst);
        let fate = match deaths {
            Deaths::AfterEach => Fate::KilledAfter(pid),
            Deaths::BeforeEach if of_life > 0 => Fate::KilledBefore(pid),
            Deaths::Before(at) if at == number => Fate::KilledBefore(pid),
            Deaths::After(at) if at == number => Fate::KilledAfter(pid),
            _ => Fate::Passed,
        };
        if !matches!(fate, Fate::Passed) {
            self.pid.store(0, Ordering::SeqCst);
        }
        fate
    }
}

impl Story {
    /// Brings it to where it begins.
    async fn prepare(self, stage: &Stage, metrics: Ipv4Addr) -> Result<()> {
        if self == Self::Install {
            return Ok(());
        }
        stage.create("PaymentCluster", payments()).await?;
        let until = |name: &'static str| {
            let is_so = move |seen: &Value| condition(seen, name)["status"] == "True";
            stage.until_within(LIMIT, "PaymentCluster", "payments", is_so)
        };
        until("Ready").await?;
        if self == Self::Rollback {
            stage.puppet.metrics_are_at(metrics)?;
            until("SLAMet").await?;
        }
        stage.puppet.commands_end(match self {
            Self::Release => offline,
            Self::Restore => offline_that_fails,
            Self::Install | Self::Rollback => succeeded,
        })
    }

    async fn begin(self, stage: &Stage) -> Result<()> {
        let offline = json!({"spec": {
            "version": "0.2.0",
            "backup": {"volumeClaim": {"name": "backups"}},
            "rollout": {"approval": "Required", "approvedVersion": "0.2.0", "retireAfter": "2s"},
            "sla": {"window": "10s", "onInconclusive": "Proceed"},
        }});
        match self {
            Self::Install => stage.create("PaymentCluster", payments()).await,
            Self::Release | Self::Restore => stage.change("PaymentCluster", "payments", offline).await,
            Self::Rollback => stage.change("PaymentCluster", "payments", canary()).await,
        }
    }

    fn is_over(self, seen: &Value) -> bool {
        let (release, stage) = (&seen["status"]["release"], &seen["status"]["stage"]);
        let is_told = owes_nothing(seen) && seen["status"]["observedGeneration"] == seen["metadata"]["generation"];
        is_told
            && condition(seen, "Ready")["status"] == "True"
            && match self {
                Self::Install => stage == "Finished",
                Self::Release => stage == "Finished" && release["current"] == "0.2.0" && release["kept"].is_null(),
                Self::Rollback | Self::Restore => {
                    stage == "RolledBack" && condition(seen, "WritesAccepted")["status"] == "True"
                }
            }
    }
}

fn payments() -> Value {
    let mut manifest = minimal_cluster("payments");
    let hook = json!({"name": "ops", "webhook": {"secretKeyRef": {"name": "hooks", "key": "url"}}});
    manifest["spec"]["notifications"] = json!([hook]);
    manifest
}

fn offline(component: &str) -> JobReport {
    match component {
        "plan" => {
            let plan = MigrationPlan { from: 1, to: 2, pending: 1, offline: 1 };
            JobReport { migration_plan: Some(plan), ..succeeded(component) }
        }
        "migrate" => JobReport { schema_version: Some(2), ..succeeded(component) },
        other => succeeded(other),
    }
}

fn offline_that_fails(component: &str) -> JobReport {
    match component {
        "migrate" => failed(Outcome::Failed, Reason::MigrationFailed, "division by zero"),
        other => offline(other),
    }
}
