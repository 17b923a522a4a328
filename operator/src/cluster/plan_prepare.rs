//! What is done with the database before a release's pods start: its migrations are planned, a backup is made and proved, they
//! are tried on a copy, writes are refused where they have to be, and then they are applied. ★ Pure.
//!
//! Each step leaves its proof in the status, and what has its proof is not done again.

use crds::Stage;
use crds::payment_cluster::{
    Backup, BackupStatus, DryRunStatus, MaintenanceStatus, MigrationPlanStatus, PreparationStatus, ReleaseStatus,
};
use jiff::Timestamp;
use runtime_contract::{JobReport, MigrationPlan};

use super::configuration::of_serving;
use super::observed::Observed;
use super::plan::{settings_before, stage_before};
use super::plan_configure;
use super::plan_history::text;
use super::plan_job::{self, JobPart, Standing, Task};
use super::plan_maintenance;
use super::plan_migration::{self, Migration};
use super::plan_replica;
use super::step::{Verdict, WaitingOn};
use super::validate::Validated;
use crate::backup::{self, Work};
use crate::names::Release;
use crate::owned::Desired;
use crate::{maintenance, migration, secrets, settings};

/// The commands whose Jobs are kept as long as the release is on its way.
const COMPONENTS: [&str; 5] =
    [migration::PLAN, backup::BACKUP, backup::DRY_RUN, maintenance::DRAIN, backup::RESTORE_POINT];

/// What comes next for the database, and the stage that it is.
#[must_use]
pub fn plan(
    cluster: &Validated,
    observed: &Observed,
    before: &ReleaseStatus,
    serving: &Release,
    now: Timestamp,
) -> (Stage, Migration) {
    if is_early(cluster, observed, before)
        && let Some(problem) =
            plan_configure::missing_secret(observed).or_else(|| plan_replica::missing_secret(observed))
    {
        return (Stage::PlanningMigrations, corrected(cluster, observed, before, problem, now));
    }
    if plan_migration::is_there(before, &cluster.release) {
        return (Stage::Migrating, plan_migration::plan(cluster, observed, before, now));
    }
    let preparation = before.preparation.clone().unwrap_or_default();
    let Some(planned) = &preparation.plan else {
        let inputs = migration::inputs_since(cluster, begun(before));
        let job = |number| migration::plan_job(cluster, &inputs, number);
        let part = run(cluster, observed, migration::PLAN, &inputs, &job, is_planned, now);
        let done = |found: &mut PreparationStatus, report: &JobReport| {
            found.plan = report.migration_plan.as_ref().map(planned_status);
        };
        return (
            Stage::PlanningMigrations,
            after(cluster, observed, before, part, "the plan of the migrations", done, now),
        );
    };
    let is_new = planned.from == 0;
    let is_offline = planned.offline > 0 && before.current.is_some();
    let (stage, mut part) = match &cluster.spec.backup {
        _ if planned.pending == 0 || is_new => (Stage::Migrating, plan_migration::plan(cluster, observed, before, now)),
        Some(backup) => with_backup(cluster, observed, before, backup, is_offline, serving, now),
        None if is_offline => (Stage::PlanningMigrations, refused(cluster, observed, before, now)),
        None => (Stage::Migrating, plan_migration::plan(cluster, observed, before, now)),
    };
    part.keep.extend(plan_job::newest(observed, &COMPONENTS, &cluster.release));
    (stage, part)
}

/// Whether nothing was done for the release yet. Nothing is, and writes are not refused for it, while it would then have to wait
/// for a Secret.
fn is_early(cluster: &Validated, observed: &Observed, before: &ReleaseStatus) -> bool {
    let stage = stage_before(observed);
    let has_begun = !stage.is_before_start() && stage != Stage::PlanningMigrations;
    before.current.as_ref() != Some(&cluster.release.name) && !has_begun
}

fn with_backup(
    cluster: &Validated,
    observed: &Observed,
    before: &ReleaseStatus,
    backup: &Backup,
    is_offline: bool,
    serving: &Release,
    now: Timestamp,
) -> (Stage, Migration) {
    let preparation = before.preparation.clone().unwrap_or_default();
    let work = |work: Work<'_>| {
        let since = preparation.maintenance.as_ref().map_or_else(|| begun(before), |maintenance| &maintenance.since);
        let inputs = backup::inputs(cluster, backup, since);
        let job = |number| backup::job(cluster, backup, work, &inputs, number);
        run(cluster, observed, work.component(), &inputs, &job, is_backup, now)
    };
    let needs_secret = preparation.backup.is_none() || (is_offline && preparation.maintenance.is_none());
    if let Some(problem) = missing_secret(observed).filter(|_| needs_secret) {
        let stage = if preparation.backup.is_none() { Stage::BackingUp } else { Stage::DryRunning };
        return (stage, corrected(cluster, observed, before, problem, now));
    }
    let Some(made) = &preparation.backup else {
        let done = |found: &mut PreparationStatus, report: &JobReport| found.backup = backup_status(report, now);
        return (Stage::BackingUp, after(cluster, observed, before, work(Work::Create), "the backup", done, now));
    };
    if preparation.dry_run.is_none() {
        let part = work(Work::DryRun(&made.id));
        let done = |found: &mut PreparationStatus, report: &JobReport| {
            found.dry_run = Some(DryRunStatus { at: text(now), message: report.message.clone() });
        };
        return (Stage::DryRunning, after(cluster, observed, before, part, "the dry run", done, now));
    }
    if !is_offline {
        return (Stage::Migrating, plan_migration::plan(cluster, observed, before, now));
    }
    match &preparation.maintenance {
        None => {
            let begun = |maintenance: &mut MaintenanceStatus| maintenance.since = text(now);
            (Stage::EnteringMaintenance, changed(cluster, observed, before, begun, now))
        }
        Some(maintenance) if maintenance.restore_point.is_none() => {
            let part = match &maintenance.drained_at {
                None => drained(cluster, observed, before, serving, now),
                Some(_) => {
                    let done = |found: &mut PreparationStatus, report: &JobReport| {
                        let maintenance = found.maintenance.get_or_insert_default();
                        maintenance.restore_point = backup_status(report, now);
                    };
                    after(cluster, observed, before, work(Work::CreateRestorePoint), "the restore point", done, now)
                }
            };
            (Stage::EnteringMaintenance, part)
        }
        // It is written down before it is done: whoever dies in between knows that the schema may have been touched.
        Some(maintenance) if !maintenance.is_migrating => {
            let begun = |maintenance: &mut MaintenanceStatus| maintenance.is_migrating = true;
            (Stage::Migrating, changed(cluster, observed, before, begun, now))
        }
        Some(_) => (Stage::Migrating, plan_migration::plan(cluster, observed, before, now)),
    }
}

/// Writes are refused by the live settings first, and then accepted work is waited for.
fn drained(
    cluster: &Validated,
    observed: &Observed,
    before: &ReleaseStatus,
    serving: &Release,
    now: Timestamp,
) -> Migration {
    let of_serving = of_serving(cluster, observed, serving);
    let (_, hash) = settings::wanted(&of_serving);
    if !cluster.in_maintenance || settings_before(observed).is_none_or(|in_force| in_force.hash != hash) {
        let mut part = plan_migration::at_rest(cluster, observed, before, now);
        part.is_done = false;
        part.waiting_on = Some(WaitingOn::Maintenance);
        return part;
    }
    let since = plan_maintenance::of(before).map_or("", |maintenance| &maintenance.since);
    let inputs = migration::inputs_since(cluster, since);
    let job = |number| maintenance::drain_job(&of_serving, &cluster.release, &inputs, number);
    let part = run(cluster, observed, maintenance::DRAIN, &inputs, &job, |_| true, now);
    let done = |found: &mut PreparationStatus, _: &JobReport| {
        found.maintenance.get_or_insert_default().drained_at = Some(text(now));
    };
    after(cluster, observed, before, part, "the draining of accepted work", done, now)
}

fn run(
    cluster: &Validated,
    observed: &Observed,
    component: &str,
    inputs: &str,
    job: &dyn Fn(u32) -> Desired,
    is_whole: fn(&JobReport) -> bool,
    now: Timestamp,
) -> JobPart {
    let (release, inputs) = (&cluster.release, inputs.to_owned());
    plan_job::part(observed, &Task { component, release, inputs, job, is_whole, is_anew: true }, now)
}

/// When this try of the release began.
fn begun(release: &ReleaseStatus) -> &str {
    release.started_at.as_deref().unwrap_or_default()
}

/// What a command's standing means for the release. `what` is its name within a sentence.
fn after(
    cluster: &Validated,
    observed: &Observed,
    before: &ReleaseStatus,
    job: JobPart,
    what: &'static str,
    done: impl FnOnce(&mut PreparationStatus, &JobReport),
    now: Timestamp,
) -> Migration {
    let mut part = plan_migration::at_rest(cluster, observed, before, now);
    part.is_done = false;
    if let Some(verdict) = job.verdict(what) {
        part.verdict = verdict;
    }
    part.stalled = job.stalled(what);
    part.waiting_on = Some(job.waiting_on(what));
    if let Standing::Done(report) = &job.standing {
        done(part.release.preparation.get_or_insert_default(), report);
    }
    part.steps.extend(job.steps);
    part.keep.extend(job.keep);
    part
}

/// Something is written into the status, and done in the next pass.
fn changed(
    cluster: &Validated,
    observed: &Observed,
    before: &ReleaseStatus,
    change: impl FnOnce(&mut MaintenanceStatus),
    now: Timestamp,
) -> Migration {
    let mut part = plan_migration::at_rest(cluster, observed, before, now);
    part.is_done = false;
    part.waiting_on = Some(WaitingOn::Maintenance);
    plan_maintenance::change(&mut part.release, change);
    part
}

fn refused(cluster: &Validated, observed: &Observed, before: &ReleaseStatus, now: Timestamp) -> Migration {
    let message = "the release changes the schema in a way that writes have to be refused for, which is not begun without a \
                   backup to go back to: set spec.backup";
    corrected(cluster, observed, before, ("BackupNotConfigured", message.to_owned()), now)
}

fn missing_secret(observed: &Observed) -> Option<(&'static str, String)> {
    secrets::first_problem(&observed.backup_secrets, &observed.identity.namespace)
}

fn corrected(
    cluster: &Validated,
    observed: &Observed,
    before: &ReleaseStatus,
    (reason, message): (&'static str, String),
    now: Timestamp,
) -> Migration {
    let mut part = plan_migration::at_rest(cluster, observed, before, now);
    part.is_done = false;
    part.verdict = Verdict::no(reason, message.clone());
    part.waiting_on = Some(WaitingOn::Correction(message.clone()));
    part.stalled = Some((reason.to_owned(), message));
    part
}

const fn is_planned(report: &JobReport) -> bool {
    report.migration_plan.is_some()
}

const fn is_backup(report: &JobReport) -> bool {
    report.backup_id.is_some()
}

fn backup_status(report: &JobReport, now: Timestamp) -> Option<BackupStatus> {
    report.backup_id.clone().map(|id| BackupStatus { id, verified_at: text(now) })
}

fn planned_status(plan: &MigrationPlan) -> MigrationPlanStatus {
    let MigrationPlan { from, to, pending, offline } = *plan;
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    MigrationPlanStatus { from, to, pending: number(pending), offline: number(offline) }
}
