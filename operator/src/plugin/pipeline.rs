//! A release, stage by stage. ★ Pure.

use std::cmp::Ordering;

use crds::payment_cluster::{
    BackupStatus, Environment, HealthCheck, PreparationStatus, ShiftStatus, Strategy, WarmCache,
};
use crds::{Stage, conditions};
use jiff::Timestamp;

use super::ages;
use super::subject::Subject;
use super::tree::{Line, Mark};

/// A release stage by stage, each with what the status has to show for it.
pub(super) fn of(subject: Subject<'_>, stage: Stage, now: Timestamp) -> Line {
    let target = subject.target().unwrap_or_else(|| subject.wanted());
    let title = Line::words(format!("Release {target}"));
    let status = subject.status();
    let waiting = status.and_then(|status| status.waiting_on.as_deref());
    let detail = |at: Stage, mark| Line::new(mark, with_proof(subject, at, mark, now));
    // Where it was when it turned back is told by its history, not by its stage.
    let stages: &[Stage] = match stage {
        Stage::RollingBack | Stage::Restoring | Stage::RolledBack => {
            &[Stage::RollingBack, Stage::Restoring, Stage::RolledBack]
        }
        _ => &FORWARD,
    };
    let at = stages.iter().position(|found| *found == stage).unwrap_or(0);
    let shown = stages.iter().enumerate().filter(|(_, found)| **found == stage || is_passed_through(subject, **found));
    title.with(shown.map(|(index, found)| {
        let mark = mark_of(subject, stage, index, at);
        let line = detail(*found, mark);
        match waiting.filter(|_| *found == stage) {
            Some(waiting) => line.with([Line::words(format!("waits: {waiting}"))]),
            None => line,
        }
    }))
}

const FORWARD: [Stage; 17] = [
    Stage::Validating,
    Stage::AwaitingStaging,
    Stage::AwaitingApproval,
    Stage::PlanningMigrations,
    Stage::BackingUp,
    Stage::DryRunning,
    Stage::EnteringMaintenance,
    Stage::Migrating,
    Stage::Configuring,
    Stage::Deploying,
    Stage::WarmingCache,
    Stage::CheckingHealth,
    Stage::Shifting,
    Stage::Monitoring,
    Stage::Testing,
    Stage::Finished,
    Stage::Verified,
];

/// Whether a release of this PaymentCluster has this stage at all.
fn is_passed_through(subject: Subject<'_>, stage: Stage) -> bool {
    let spec = &subject.cluster.spec;
    let (rollout, is_staging) = (&spec.rollout, spec.environment == Environment::Staging);
    match stage {
        Stage::AwaitingApproval => subject.needs_approval(),
        Stage::BackingUp => preparation(subject).is_some_and(|done| done.backup.is_some()),
        Stage::DryRunning => preparation(subject).is_some_and(|done| done.dry_run.is_some()),
        Stage::EnteringMaintenance => preparation(subject).is_some_and(|done| done.maintenance.is_some()),
        Stage::AwaitingStaging => rollout.promote_from.is_some(),
        Stage::Configuring => spec.analytics.is_some() || spec.database.read_url_secret_ref.is_some(),
        Stage::WarmingCache => rollout.warm_cache == WarmCache::Enabled && had_one_before(subject),
        Stage::CheckingHealth => rollout.health_check == HealthCheck::Enabled && had_one_before(subject),
        Stage::Testing | Stage::Verified => is_staging,
        Stage::Finished => !is_staging,
        // Told only while it is there: not every release has one of these.
        Stage::Restoring => false,
        // The first release has nothing to go back to, and is not watched for it.
        Stage::Monitoring => !is_staging && had_one_before(subject),
        _ => true,
    }
}

fn preparation<'a>(subject: Subject<'a>) -> Option<&'a PreparationStatus> {
    subject.release()?.preparation.as_ref()
}

/// What was done with the database in a stage.
fn prepared(subject: Subject<'_>, stage: Stage, now: Timestamp) -> Option<String> {
    let done = preparation(subject)?;
    let of_backup = |backup: &BackupStatus| {
        let age = ages::since(&backup.verified_at, now).map(|age| format!(" {age} ago")).unwrap_or_default();
        format!("backup {} was verified{age}", backup.id)
    };
    match stage {
        Stage::PlanningMigrations => done.plan.as_ref().map(|plan| match plan.pending {
            0 => format!("nothing to apply, the schema is at {}", plan.from),
            pending if plan.offline > 0 => {
                format!("{pending} to apply, from {} to {}, {} of them offline", plan.from, plan.to, plan.offline)
            }
            pending => format!("{pending} to apply, from {} to {}", plan.from, plan.to),
        }),
        Stage::BackingUp => done.backup.as_ref().map(of_backup),
        Stage::DryRunning => done.dry_run.as_ref().map(|_| "they went through on a copy".to_owned()),
        Stage::EnteringMaintenance => {
            let maintenance = done.maintenance.as_ref()?;
            let since = ages::since(&maintenance.since, now).map(|age| format!(" since {age}")).unwrap_or_default();
            let refused = if maintenance.is_on() { "writes are refused" } else { "writes were refused" };
            let point = maintenance.restore_point.as_ref().map(|backup| format!(", restore point {}", backup.id));
            Some(format!("{refused}{since}{}", point.unwrap_or_default()))
        }
        _ => None,
    }
}

/// What the release found of the replica.
fn replica(subject: Subject<'_>) -> Option<String> {
    Some(preparation(subject)?.replica.as_ref()?.message.clone())
}

/// What of the release flows to analytics.
fn flow(subject: Subject<'_>) -> Option<String> {
    let flow = subject.release()?.analytics.as_ref()?.flow.as_ref()?;
    (Some(flow.version.as_str()) == subject.target()).then(|| format!("{} tables flow to analytics", flow.tables))
}

/// Whether a release serves, or served, that the wanted one takes the place of.
fn had_one_before(subject: Subject<'_>) -> bool {
    let Some(current) = subject.current() else { return false };
    if current != subject.wanted() || subject.kept().is_some() {
        return true;
    }
    let records = subject.release().map(|release| release.history.as_slice()).unwrap_or_default();
    records.iter().find(|record| record.version == current).is_some_and(|record| record.from.is_some())
}

fn mark_of(subject: Subject<'_>, stage: Stage, index: usize, at: usize) -> Mark {
    let stalled = subject.is_condition(conditions::STALLED, "True");
    match index.cmp(&at) {
        Ordering::Less => Mark::Done,
        Ordering::Greater => Mark::ToCome,
        // What stalls then is the next one.
        Ordering::Equal if matches!(stage, Stage::Finished | Stage::Verified) => Mark::Done,
        Ordering::Equal if stalled || stage == Stage::RolledBack => Mark::Failed,
        Ordering::Equal => Mark::Now,
    }
}

/// A stage, and what the status has to show for it.
fn with_proof(subject: Subject<'_>, stage: Stage, mark: Mark, now: Timestamp) -> String {
    let name = stage.as_str();
    let Some(release) = subject.release() else { return name.to_owned() };
    let mut words = Vec::new();
    let is_reached = mark != Mark::ToCome;
    match stage {
        Stage::AwaitingStaging => words.extend(release.promotion.as_ref().filter(|_| is_reached).map(|proof| {
            let age = ages::since(&proof.verified_at, now).map(|age| format!(" {age} ago")).unwrap_or_default();
            format!("{} verified it{age}", proof.from)
        })),
        Stage::AwaitingApproval => words.extend(release.approval.as_ref().filter(|_| is_reached).map(|given| {
            let by = given.by.as_deref().unwrap_or("somebody");
            format!("{by} agreed{}", ages::since(&given.at, now).map(|age| format!(" {age} ago")).unwrap_or_default())
        })),
        Stage::Configuring if is_reached => words.extend(replica(subject).into_iter().chain(flow(subject))),
        _ if stage.is_before_pods() && stage != Stage::Migrating => words.extend(prepared(subject, stage, now)),
        Stage::Migrating if mark == Mark::Done => {
            words.extend(release.schema_version.map(|version| format!("the schema is at {version}")));
        }
        Stage::Shifting | Stage::RollingBack if matches!(mark, Mark::Now | Mark::Failed) => {
            words.extend(release.shift.as_ref().map(|shift| {
                let since = shift.since.as_deref();
                // Before that, the pods for it are on their way.
                let age = since.and_then(|since| ages::since(since, now)).map(|age| format!(" for {age}"));
                let age = age.unwrap_or_default();
                format!("{}{age}", share(subject, shift))
            }));
        }
        _ => {}
    }
    if subject.stage() == Some(stage) {
        let since = release.stage_since.as_deref().and_then(|since| ages::since(since, now));
        words.extend(since.map(|age| format!("since {age}")));
    }
    if words.is_empty() { name.to_owned() } else { format!("{name}: {}", words.join(", ")) }
}

/// How much of the traffic the release has, and at which of its steps.
pub(super) fn share(subject: Subject<'_>, shift: &ShiftStatus) -> String {
    let rollout = &subject.cluster.spec.rollout;
    let traffic = format!("{} % of the traffic", shift.weight);
    match rollout.strategy {
        Strategy::BlueGreen => traffic,
        // All of the traffic is a step of its own.
        Strategy::Canary => format!("step {} of {}, {traffic}", shift.step, rollout.steps.len() + 1),
    }
}
