//! The database's part of the way back: to the restore point, where the schema may have been touched while writes were refused; then
//! writes are accepted again. ★ Pure.

use crds::Stage;
use crds::annotations;
use crds::payment_cluster::{MaintenanceStatus, ReleaseStatus};
use jiff::Timestamp;
use kube::ResourceExt;

use super::configuration;
use super::observed::Observed;
use super::plan::stage_before;
use super::plan_history::text;
use super::plan_job::{self, Standing, Task};
use super::plan_maintenance;
use super::step::{Step, Verdict, WaitingOn};
use super::validate::Validated;
use crate::backup::{self, Work};
use crate::jobs::attempt;
use crate::names::Release;
use crate::owned::Kind;
use crate::workloads::pod;

const WHAT: &str = "the restore";

/// What becomes of the database of a release that was given up.
#[derive(Clone, Debug)]
pub struct Restoration {
    /// The stage.
    pub stage: Stage,
    /// The releases.
    pub release: ReleaseStatus,
    /// What to write.
    pub steps: Vec<Step>,
    /// Why it stands still.
    pub waiting_on: Option<WaitingOn>,
    /// The condition SchemaReady, where it is not as usual.
    pub verdict: Option<Verdict>,
    /// What a person has to put right.
    pub stalled: Option<(String, String)>,
}

/// Jobs that are not to be removed.
#[must_use]
pub fn kept(observed: &Observed, release: &Release) -> Vec<(Kind, String)> {
    plan_job::newest(observed, &[backup::RESTORE, backup::RESTORE_POINT], release)
}

/// What comes next, once the traffic is back and the release's pods are gone: `stage` is RolledBack then.
#[must_use]
pub fn plan(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: ReleaseStatus,
    now: Timestamp,
) -> Restoration {
    let maintenance = plan_maintenance::of(&release).filter(|maintenance| maintenance.is_on()).cloned();
    let unchanged = |stage, release| Restoration {
        stage,
        release,
        steps: Vec::new(),
        waiting_on: None,
        verdict: None,
        stalled: None,
    };
    match (maintenance, stage) {
        (Some(maintenance), Stage::RolledBack) => match &maintenance {
            MaintenanceStatus { is_migrating: true, restored_at: None, restore_point: Some(point), .. } => {
                restore(cluster, observed, release, &point.id, now)
            }
            _ => {
                let stage =
                    if stage_before(observed) == Stage::Restoring { Stage::Restoring } else { Stage::RollingBack };
                unchanged(stage, reopened(observed, release, now))
            }
        },
        (_, stage) => unchanged(stage, release),
    }
}

/// Writes are accepted again. Whoever asked for another try meanwhile asked for one of the restore.
fn reopened(observed: &Observed, mut release: ReleaseStatus, now: Timestamp) -> ReleaseStatus {
    plan_maintenance::end(&mut release, now);
    if let Some(abandoned) = &mut release.abandoned {
        abandoned.retry = observed.cluster.annotations().get(annotations::RETRY).cloned();
    }
    release
}

fn restore(
    cluster: &Validated,
    observed: &Observed,
    mut release: ReleaseStatus,
    point: &str,
    now: Timestamp,
) -> Restoration {
    let Some(place) = &cluster.spec.backup else { return placeless(release) };
    let cluster = &with_image_of_point(cluster, observed, &release);
    let since = release.abandoned.as_ref().map(|abandoned| abandoned.at.as_str());
    let inputs = backup::inputs(cluster, place, since.unwrap_or_default());
    let analytics = release.analytics.clone();
    let job = |number| backup::job(cluster, place, Work::Restore(point, analytics.as_ref()), &inputs, number);
    let task = Task {
        component: backup::RESTORE,
        release: &cluster.release,
        inputs: inputs.clone(),
        job: &job,
        is_whole: |_| true,
        is_anew: true,
    };
    let part = plan_job::part(observed, &task, now);
    let is_done = matches!(part.standing, Standing::Done(_));
    if is_done {
        plan_maintenance::change(&mut release, |maintenance| maintenance.restored_at = Some(text(now)));
        // The replication slot was that of the database which is not there any more.
        if let Some(analytics) = &mut release.analytics {
            analytics.restored_at = Some(text(now));
        }
        release.migrated = None;
        release.schema_version = release.preparation.as_ref().and_then(|done| done.plan.as_ref()).map(|plan| plan.from);
    }
    Restoration {
        stage: Stage::Restoring,
        waiting_on: Some(part.waiting_on(WHAT)),
        verdict: part.verdict(WHAT),
        stalled: part.stalled(WHAT),
        steps: part.steps,
        release,
    }
}

/// With the image that made the restore point, which was there and reads what it wrote. By now the spec may ask for another release, of
/// another image. Where that Job is gone, the image comes from where that of the release that serves does.
fn with_image_of_point(cluster: &Validated, observed: &Observed, release: &ReleaseStatus) -> Validated {
    let mut of_point = cluster.clone();
    let made = plan_job::attempts_of(observed, backup::RESTORE_POINT, &cluster.release);
    let job = attempt::latest(&made).and_then(|latest| observed.find(Kind::Job, &latest.name));
    let of_job = job.and_then(|job| pod::image_of(job.body.pointer("/spec/template/spec")?, &cluster.release));
    let of_serving = || {
        let serving = Release { name: release.current.clone()? };
        configuration::stored(observed, &serving).map(|stored| stored.image)
    };
    if let Some(image) = of_job.or_else(of_serving) {
        of_point.spec.image = image;
    }
    of_point
}

/// Nobody knows any more where the restore point is. Writes stay refused: the schema may be anything.
fn placeless(release: ReleaseStatus) -> Restoration {
    let message = "the restore point cannot be found, because spec.backup is not set any more: put it back".to_owned();
    Restoration {
        stage: Stage::Restoring,
        release,
        steps: Vec::new(),
        waiting_on: Some(WaitingOn::Correction(message.clone())),
        verdict: Some(Verdict::no("BackupNotConfigured", message.clone())),
        stalled: Some(("BackupNotConfigured".to_owned(), message)),
    }
}
