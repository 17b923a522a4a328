//! The way back: traffic returns to the release before, and what was made for the other one goes. ★ Pure.

use crds::Stage;
use crds::payment_cluster::{ReleaseStatus, ShiftStatus};
use jiff::Timestamp;

use super::configuration::of_serving;
use super::observed::Observed;
use super::plan::{NEXT_LOOK_AT_REST, NEXT_LOOK_MOVING, NEXT_LOOK_WATCHING, Plan, settings_before, stage_before};
use super::plan_archive::ArchivePart;
use super::plan_configure::Occasion;
use super::plan_handover::{may_go_back, scale_down};
use super::plan_history::{has_passed, text};
use super::plan_objects::differences;
use super::plan_shift::{self, STEP_BACK_MS};
use super::step::{Verdict, WaitingOn};
use super::validate::Validated;
use super::{plan_checks, plan_configure, plan_migration, plan_objects, plan_restore, plan_settings, prune};
use crate::names::Release;
use crate::sla::Judgement;
use crate::workloads::{self, Traffic};

/// What comes next for a release that was given up.
#[must_use]
pub fn plan(
    cluster: &Validated,
    observed: &Observed,
    release: ReleaseStatus,
    judgement: Judgement,
    now: Timestamp,
) -> Plan {
    let release = further_back(cluster, observed, release, now);
    let migration = plan_migration::at_rest(cluster, observed, &release, now);
    let is_back = release.shift.is_none();
    let mut settings_verdict = plan_settings::verdict_at_rest(settings_before(observed).as_ref());
    let (mut steps, mut keep, mut settings) = (Vec::new(), migration.keep, settings_before(observed));
    keep.extend(plan_restore::kept(observed, &cluster.release));
    keep.extend(plan_checks::newest(cluster, observed));
    let mut is_served = true;
    let mut analytics = plan_configure::at_rest(cluster, observed, &release);
    keep.append(&mut analytics.keep);
    if let Some(current) = &release.current {
        let serving = Release { name: current.clone() };
        let of_serving = of_serving(cluster, observed, &serving);
        let traffic = if is_back { Traffic::To(current.clone()) } else { Traffic::Split };
        let wanted = [workloads::shared(&of_serving, &traffic), workloads::of_release(&of_serving)].concat();
        steps = differences(&of_serving, observed, &wanted);
        let weight = release.shift.as_ref().map(|shift| shift.weight);
        let weight = weight.filter(|weight| may_go_back(&of_serving, observed, &release, *weight, now));
        steps.extend(weight.and_then(|weight| scale_down(cluster, observed, weight)));
        let part = plan_settings::plan(&of_serving, observed, settings.as_ref(), now);
        steps.extend(part.steps);
        keep.extend(part.keep);
        (settings_verdict, settings) = (part.verdict, part.status);
        // Not before the database is the one that stays.
        if stage_before(observed) == Stage::RolledBack {
            analytics = plan_configure::plan(&of_serving, observed, &release, Occasion::Beside, now);
        }
        keep.extend(analytics.keep);
        // Payments that the other release has in work go on until its pods have gone in order.
        let other = (!is_back).then_some(cluster.release.name.as_str());
        steps.extend(prune::steps(observed, &wanted, &keep, &[Some(current), other], Some(current), true));
        is_served = plan_objects::traffic(observed) == Some(Traffic::To(current.clone()));
    }
    let stage = match stage_before(observed) {
        // Nothing was begun for it, or all of it is gone already.
        Stage::RolledBack => Stage::RolledBack,
        stage if stage.is_before_start() => Stage::RolledBack,
        Stage::RollingBack | Stage::Restoring if is_back && is_served && steps.is_empty() => Stage::RolledBack,
        Stage::Restoring => Stage::Restoring,
        _ => Stage::RollingBack,
    };
    let release = ReleaseStatus { analytics: analytics.status, ..release };
    steps.extend(analytics.steps);
    let database = plan_restore::plan(cluster, observed, stage, release, now);
    let (stage, release) = (database.stage, database.release);
    steps.extend(database.steps);
    let abandoned = release.abandoned.as_ref();
    let is_quiet = stage == Stage::RolledBack && steps.is_empty();
    // Without a release that serves, nobody applies the live settings.
    let is_settled = analytics.is_done && (settings_verdict.is_true() || release.current.is_none());
    Plan {
        stage,
        waiting_on: database.waiting_on.or((stage == Stage::RollingBack).then_some(WaitingOn::TrafficBack)),
        steps,
        stalled: database.stalled.or_else(|| {
            abandoned.map(|abandoned| {
                let advice = format!(
                    "{}; change the spec, or have it tried again with `kubectl purser retry`",
                    abandoned.message
                );
                (abandoned.why.as_str().to_owned(), advice)
            })
        }),
        schema_verdict: database.verdict.unwrap_or_else(|| schema_verdict(migration.verdict, &release)),
        release,
        settings,
        settings_verdict,
        archive: ArchivePart::default(),
        analytics_verdict: analytics.verdict,
        judgement,
        next_look: match (is_quiet, is_settled) {
            (true, true) => NEXT_LOOK_AT_REST,
            // A Job may take its time, and one that failed waits for its next attempt or for somebody.
            (true, false) => NEXT_LOOK_MOVING,
            (false, _) => NEXT_LOOK_WATCHING,
        },
    }
}

/// One step of the traffic after another, as long as any of it is with the release that was given up.
fn further_back(cluster: &Validated, observed: &Observed, release: ReleaseStatus, now: Timestamp) -> ReleaseStatus {
    let Some(shift) = release.shift.clone() else { return release };
    let weight = next_back(cluster, observed, &release, shift.weight, now);
    if weight == shift.weight || !has_passed(shift.since.as_ref(), STEP_BACK_MS, now) {
        return release;
    }
    let shift = (weight > 0).then(|| ShiftStatus { weight, since: Some(text(now)), ..shift });
    ReleaseStatus { shift, ..release }
}

/// The share of the traffic that a release which is given up has next: the same, as long as nobody could take what it gives back.
#[must_use]
pub fn next_back(
    cluster: &Validated,
    observed: &Observed,
    release: &ReleaseStatus,
    weight: i32,
    now: Timestamp,
) -> i32 {
    let next = plan_shift::step_back(cluster, weight);
    let serving = release.current.clone().map(|name| of_serving(cluster, observed, &Release { name }));
    match serving.is_none_or(|serving| may_go_back(&serving, observed, release, next, now)) {
        true => next,
        false => weight,
    }
}

/// The schema may be newer than the release that serves, which every online migration allows.
fn schema_verdict(verdict: Verdict, release: &ReleaseStatus) -> Verdict {
    match (&release.current, release.schema_version) {
        (Some(current), Some(version)) => {
            Verdict::yes("Migrated", format!("the schema is at version {version}, on which release {current} works"))
        }
        _ => verdict,
    }
}
