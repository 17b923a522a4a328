//! From what is wanted and what is there to the next steps. ★ Pure: the same world gives the same plan.
//!
//! A release goes Validating → (AwaitingStaging →) (AwaitingApproval →) Migrating → (Configuring →) Deploying → (WarmingCache →
//! CheckingHealth →) Shifting → Monitoring → Finished, in staging Testing → Verified in the last two's place, or from anywhere →
//! RollingBack → RolledBack. Each pass looks at the whole world anew, so an operator that died anywhere is followed by one that goes on
//! there.

use std::time::Duration;

use crds::Stage;
use crds::payment_cluster::{ReleaseResult, ReleaseStatus, SettingsStatus};
use jiff::Timestamp;
use runtime_contract::Role;

use super::configuration::of_serving;
use super::observed::{Observed, Upstream};
use super::plan_approval::{self, Gate};
use super::plan_archive::{self, ArchivePart};
use super::plan_configure::Occasion;
use super::plan_history::{self, text};
use super::plan_migration::{self, Migration};
use super::plan_objects::{differences, traffic};
use super::plan_promotion::{self, Promotion};
use super::step::{Step, Verdict, WaitingOn};
use super::validate::{Problem, Validated};
use super::{
    plan_abandon, plan_back, plan_configure, plan_deploy, plan_handover, plan_maintenance, plan_prepare, plan_replica,
    plan_settings, plan_sla, prune, record, revision,
};
use crate::names::Release;
use crate::owned::Kind;
use crate::sla::Judgement;
use crate::workloads::{self, Traffic};

/// How soon to look again while something moves.
pub const NEXT_LOOK_MOVING: Duration = Duration::from_secs(2);
/// How soon to look again while a release is watched: a breach has to end within seconds.
pub const NEXT_LOOK_WATCHING: Duration = Duration::from_millis(500);
/// How soon to look again at rest: Secrets are not watched, and pods fall silent without an event.
pub const NEXT_LOOK_AT_REST: Duration = Duration::from_secs(15);
/// How soon to look again when there is nothing to wait for.
pub const NEXT_LOOK_AT_ONCE: Duration = Duration::from_millis(50);

/// What to do now, and what to say of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the release is.
    pub stage: Stage,
    /// Why it stands still.
    pub waiting_on: Option<WaitingOn>,
    /// What to write, in order.
    pub steps: Vec<Step>,
    /// The releases.
    pub release: ReleaseStatus,
    /// The live settings in force.
    pub settings: Option<SettingsStatus>,
    /// The condition SchemaReady.
    pub schema_verdict: Verdict,
    /// The condition SettingsApplied.
    pub settings_verdict: Verdict,
    /// What becomes of months that are over.
    pub archive: ArchivePart,
    /// The condition AnalyticsReady.
    pub analytics_verdict: Verdict,
    /// What is thought of the release that takes payments.
    pub judgement: Judgement,
    /// What a person has to put right, as a reason and a sentence.
    pub stalled: Option<(String, String)>,
    /// How soon to look again.
    pub next_look: Duration,
}

impl Plan {
    /// Whether the same world would give the same plan at any later time: nothing is to be done, and nothing waits for its time.
    /// Archiving does, once a day, and is left out: it can wait for the next look at all there is.
    #[must_use]
    pub fn is_at_rest(&self, observed: &Observed) -> bool {
        let waits_for_time = self.release.kept.is_some() || !matches!(observed.upstream, Upstream::NotAsked);
        self.stage.is_end() && self.steps.is_empty() && self.next_look >= NEXT_LOOK_AT_REST && !waits_for_time
    }
}

/// What the next steps are.
#[must_use]
pub fn plan(validated: Result<&Validated, &Problem>, observed: &Observed, now: Timestamp) -> Plan {
    let mut plan = decide(validated, observed, now);
    // What has ended is recorded once the status tells of it: whoever dies in between would leave the record of another time.
    let told = release_before(observed);
    plan.steps.extend(record::steps(observed, &told));
    if told.history != plan.release.history {
        plan.next_look = NEXT_LOOK_AT_ONCE;
    }
    plan.archive = plan_archive::plan(validated.ok(), observed, plan.stage, &plan.release, now);
    plan.steps.extend(plan.archive.steps.iter().cloned());
    if let Ok(cluster) = validated {
        plan.release.configurations = revision::remembered(observed, &cluster.release, &plan.release);
    }
    let stays = plan.stage == stage_before(observed) && plan.release.stage_since.is_some();
    if !stays {
        plan.release.stage_since = Some(text(now));
    }
    plan
}

fn decide(validated: Result<&Validated, &Problem>, observed: &Observed, now: Timestamp) -> Plan {
    let before = release_before(observed);
    let stage = stage_before(observed);
    let cluster = match validated {
        Ok(cluster) => cluster,
        Err(problem) => return correction(problem, observed),
    };
    // Whatever else is wanted by now: who has writes refused ends that first, and puts the database back where it must.
    let in_maintenance = plan_maintenance::is_on(&before);
    let is_other = before.target.as_deref() != Some(&cluster.release.name);
    if !in_maintenance && (is_other || plan_abandon::is_retried(observed, &before)) {
        return new_target(cluster, observed, before, now);
    }
    let of_target = of_target(cluster, &before);
    let cluster = &of_target;
    let before = plan_abandon::resumed(cluster, observed, stage, before, now);
    let judgement = plan_sla::judge(cluster, observed, stage, &before, now);
    if plan_abandon::is_abandoned(observed, &before) || (in_maintenance && before.abandoned.is_some()) {
        return plan_back::plan(cluster, observed, before, judgement, now);
    }
    let superseded = is_other.then(plan_abandon::superseded);
    let reason = superseded.or_else(|| plan_abandon::reason(cluster, observed, stage, &before, &judgement, now));
    // Nothing is begun for the release yet, but the traffic of the one before it is still on its way back.
    if let Some(reason) = reason.filter(|_| plan_handover::of(cluster, observed, &before, now).is_none()) {
        let given_up = plan_abandon::abandon(cluster, observed, stage, before, &reason, now);
        return plan_back::plan(cluster, observed, given_up, judgement, now);
    }
    forward(cluster, observed, before, judgement, now)
}

fn forward(
    cluster: &Validated,
    observed: &Observed,
    before: ReleaseStatus,
    judgement: Judgement,
    now: Timestamp,
) -> Plan {
    let serving = Release { name: before.current.clone().unwrap_or_else(|| cluster.release.name.clone()) };
    let closed = |stage, before: &ReleaseStatus, waiting_on| {
        let at_rest = plan_migration::at_rest(cluster, observed, before, now);
        let migration = Migration { waiting_on: Some(waiting_on), ..at_rest };
        before_deploying(stage, cluster, observed, migration, &serving, judgement.clone(), now)
    };
    let before = match plan_promotion::gate(cluster, observed, &before, now) {
        Promotion::Open(release) => *release,
        Promotion::Closed { waiting_on, stalled } => {
            return Plan { stalled, ..closed(Stage::AwaitingStaging, &before, waiting_on) };
        }
    };
    let before = match plan_approval::gate(cluster, observed, &before, now) {
        Gate::Open(release) => *release,
        Gate::Closed(waiting_on) => return closed(Stage::AwaitingApproval, &before, waiting_on),
    };
    let stage = stage_before(observed);
    if cluster.is_paused && stage.is_before_pods() && before.current != before.target {
        return closed(stage, &before, WaitingOn::Paused);
    }
    if plan_handover::of(cluster, observed, &before, now).is_some() {
        return closed(stage, &before, WaitingOn::Handover);
    }
    let (stage, migration) = plan_prepare::plan(cluster, observed, &before, &serving, now);
    if !migration.is_done {
        return before_deploying(stage, cluster, observed, migration, &serving, judgement, now);
    }
    let is_before_pods = stage_before(observed).is_before_pods();
    if is_before_pods && plan_replica::is_due(cluster, &before) {
        let checking = plan_replica::plan(cluster, observed, migration, now);
        return before_deploying(Stage::Configuring, cluster, observed, checking, &serving, judgement, now);
    }
    if is_before_pods && plan_configure::is_due(cluster, &before) {
        return configuring(cluster, observed, migration, &serving, judgement, now);
    }
    plan_deploy::plan(cluster, observed, migration, &serving, judgement, now)
}

/// The schema is there, and analytics gets to know of it before the release's pods start.
fn configuring(
    cluster: &Validated,
    observed: &Observed,
    mut migration: Migration,
    serving: &Release,
    judgement: Judgement,
    now: Timestamp,
) -> Plan {
    let part = plan_configure::plan(cluster, observed, &migration.release, Occasion::Release, now);
    migration.steps.extend(part.steps);
    migration.keep.extend(part.keep);
    migration.waiting_on = part.waiting_on;
    migration.stalled = part.stalled;
    migration.release.analytics = part.status;
    let plan = before_deploying(Stage::Configuring, cluster, observed, migration, serving, judgement, now);
    Plan { analytics_verdict: part.verdict, ..plan }
}

/// What is being gone on with, or back from: the target, which a changed spec does not change at once.
fn of_target(cluster: &Validated, before: &ReleaseStatus) -> Validated {
    let name = before.target.clone().unwrap_or_else(|| cluster.release.name.clone());
    Validated { release: Release { name }, ..cluster.clone() }
}

/// The releases as they were told last, or as the objects tell of them.
#[must_use]
pub fn release_before(observed: &Observed) -> ReleaseStatus {
    let told = observed.cluster.status.as_ref().and_then(|status| status.release.clone());
    told.unwrap_or_else(|| ReleaseStatus { current: release_that_serves(observed), ..ReleaseStatus::default() })
}

/// The release that serves as the objects tell it, for a status that was lost, as after a restore from a backup. A
/// release has a Deployment only after its migrations.
fn release_that_serves(observed: &Observed) -> Option<String> {
    let Traffic::To(name) = traffic(observed)? else { return None };
    let release = Release { name };
    observed.find(Kind::Deployment, &observed.identity.deployment(Role::Gateway, &release))?;
    Some(release.name)
}

/// The live settings that were told last.
#[must_use]
pub fn settings_before(observed: &Observed) -> Option<SettingsStatus> {
    observed.cluster.status.as_ref()?.settings.clone()
}

/// The stage that was told last.
#[must_use]
pub fn stage_before(observed: &Observed) -> Stage {
    observed.cluster.status.as_ref().and_then(|status| status.stage).unwrap_or(Stage::Validating)
}

/// Nothing is changed while the spec or a Secret is wrong: what runs goes on as it is.
fn correction(problem: &Problem, observed: &Observed) -> Plan {
    let release = release_before(observed);
    let settings = settings_before(observed);
    Plan {
        stage: stage_before(observed),
        waiting_on: Some(WaitingOn::Correction(problem.message.clone())),
        steps: Vec::new(),
        schema_verdict: plan_migration::verdict_at_rest(&release),
        settings_verdict: plan_settings::verdict_at_rest(settings.as_ref()),
        analytics_verdict: plan_configure::verdict_at_rest(&release),
        release,
        settings,
        archive: ArchivePart::default(),
        judgement: not_judged(),
        stalled: Some((problem.reason.to_owned(), problem.message.clone())),
        next_look: NEXT_LOOK_MOVING,
    }
}

/// A new release is written down before anything is done for it.
fn new_target(cluster: &Validated, observed: &Observed, mut before: ReleaseStatus, now: Timestamp) -> Plan {
    let settings = settings_before(observed);
    let version = &cluster.release.name;
    if let Some(given_up) = before.target.clone().filter(|_| was_on_its_way(observed, &before)) {
        let message = format!("release {given_up} was given up for {version}");
        plan_history::record(&mut before, observed, &given_up, ReleaseResult::Superseded, message, now);
    }
    let release = ReleaseStatus {
        target: Some(version.clone()),
        started_at: Some(text(now)),
        // Who agreed to this version before it was given up for another one did not agree to it now.
        approval: None,
        promotion: None,
        abandoned: None,
        preparation: None,
        shift: None,
        // Traffic is split between two releases, never among three.
        kept: before.kept.clone().filter(|_| before.current.as_ref() == Some(version)),
        ..before
    };
    Plan {
        stage: Stage::Validating,
        waiting_on: None,
        steps: Vec::new(),
        schema_verdict: plan_migration::verdict_at_rest(&release),
        settings_verdict: plan_settings::verdict_at_rest(settings.as_ref()),
        analytics_verdict: plan_configure::verdict_at_rest(&release),
        release,
        settings,
        archive: ArchivePart::default(),
        judgement: not_judged(),
        stalled: None,
        next_look: NEXT_LOOK_AT_ONCE,
    }
}

fn was_on_its_way(observed: &Observed, before: &ReleaseStatus) -> bool {
    before.current != before.target && !stage_before(observed).is_end()
}

fn not_judged() -> Judgement {
    Judgement::Inconclusive("it was not looked at yet".into())
}

/// The release before the one that serves, as long as it is kept.
#[must_use]
pub fn kept(release: &ReleaseStatus) -> Option<String> {
    release.kept.as_ref().map(|kept| kept.version.clone())
}

/// The release that serves is kept as it is, while nothing but the schema changes for the one that is wanted.
fn before_deploying(
    stage: Stage,
    cluster: &Validated,
    observed: &Observed,
    migration: Migration,
    serving: &Release,
    judgement: Judgement,
    now: Timestamp,
) -> Plan {
    let Migration { steps, mut keep, verdict, waiting_on, mut stalled, mut release, is_done: _ } = migration;
    let of_serving = of_serving(cluster, observed, serving);
    let serves = release.current.is_some();
    let handover = plan_handover::of(cluster, observed, &release, now);
    let addresses = plan_handover::addresses(cluster, observed, handover.as_ref(), serving);
    let is_held =
        matches!(stage, Stage::AwaitingStaging | Stage::AwaitingApproval) || waiting_on == Some(WaitingOn::Paused);
    let wanted = match (is_held, serves) {
        // That may take days, in which the release that serves is looked after as at rest.
        (true, true) => [addresses, workloads::of_release(&of_serving)].concat(),
        (true, false) => Vec::new(),
        (false, _) => addresses,
    };
    let mut all = differences(&of_serving, observed, &wanted);
    all.extend(plan_handover::scale_up(cluster, observed, serving).filter(|_| !is_held));
    all.extend(steps);
    let before = settings_before(observed);
    let mut settings_verdict = plan_settings::verdict_at_rest(before.as_ref());
    let mut settings = before;
    // However long a migration takes or fails, a provider of the release that serves can be switched off.
    if serves {
        let part = plan_settings::plan(&of_serving, observed, settings.as_ref(), now);
        all.extend(part.steps);
        keep.extend(part.keep);
        settings_verdict = part.verdict;
        settings = part.status;
    }
    let mut analytics = plan_configure::at_rest(&of_serving, observed, &release);
    if is_held && serves {
        analytics = plan_configure::plan(&of_serving, observed, &release, Occasion::Beside, now);
        release.analytics = analytics.status;
        stalled = stalled.or(analytics.stalled);
    }
    all.extend(analytics.steps);
    keep.extend(analytics.keep);
    // What was written down is done at once.
    let told = release_before(observed);
    let has_news = release.preparation != told.preparation || release.analytics != told.analytics;
    let kept = kept(&release);
    let mut kept_releases = vec![Some(serving.name.as_str()), Some(cluster.release.name.as_str()), kept.as_deref()];
    kept_releases.extend(handover.iter().flat_map(|handover| &handover.releases).map(|name| Some(name.as_str())));
    all.extend(prune::steps(observed, &wanted, &keep, &kept_releases, None, serves));
    Plan {
        stage,
        waiting_on,
        steps: all,
        release,
        schema_verdict: verdict,
        settings_verdict,
        analytics_verdict: analytics.verdict,
        settings,
        archive: ArchivePart::default(),
        judgement,
        stalled,
        next_look: if has_news { NEXT_LOOK_AT_ONCE } else { NEXT_LOOK_MOVING },
    }
}

#[cfg(test)]
#[path = "plan_handover_tests.rs"]
mod handover_tests;
#[cfg(test)]
#[path = "plan_hold_tests.rs"]
mod hold_tests;
#[cfg(test)]
#[path = "plan_meanwhile_tests.rs"]
mod meanwhile_tests;
#[cfg(test)]
#[path = "plan_prepare_tests.rs"]
mod prepare_tests;
#[cfg(test)]
#[path = "plan_release_tests.rs"]
mod release_tests;
#[cfg(test)]
#[path = "plan_restore_tests.rs"]
mod restore_tests;
#[cfg(test)]
#[path = "plan_retry_tests.rs"]
mod retry_tests;
#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
