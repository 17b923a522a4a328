//! The live settings' part of a plan. ★ Pure.

use crds::payment_cluster::SettingsStatus;
use jiff::Timestamp;
use runtime_contract::{JobReport, Reason};

use super::observed::Observed;
use super::plan_migration::{attempts, component};
use super::step::{Step, Verdict};
use super::validate::Validated;
use crate::jobs::attempt;
use crate::jobs::{Attempt, Next, Progress, next};
use crate::owned::{Kind, Live};
use crate::settings::{self, COMPONENT, Document, REVISION};

/// What becomes of the live settings.
#[derive(Clone, Debug)]
pub struct SettingsPart {
    /// What to write.
    pub steps: Vec<Step>,
    /// Objects that are not to be removed.
    pub keep: Vec<(Kind, String)>,
    /// The settings in force.
    pub status: Option<SettingsStatus>,
    /// The condition SettingsApplied.
    pub verdict: Verdict,
    /// What a person has to put right.
    pub stalled: Option<(String, String)>,
}

/// What comes next for the live settings.
#[must_use]
pub fn plan(
    cluster: &Validated,
    observed: &Observed,
    in_force: Option<&SettingsStatus>,
    now: Timestamp,
) -> SettingsPart {
    let (wanted, hash) = settings::wanted(cluster);
    let newest = newest_document(observed);
    let in_force_revision = in_force.map_or(0, |status| status.revision);
    let is_overtaken = newest.as_ref().is_some_and(|newest| newest.revision > in_force_revision);
    if in_force.is_some_and(|status| status.hash == hash) && !is_overtaken {
        return at_rest(observed, in_force);
    }
    let revision = revision(observed, newest.as_ref(), in_force_revision, &hash);
    let name = cluster.identity.settings(revision);
    let tried = attempts_at(observed, revision);
    let mut part = SettingsPart { keep: vec![(Kind::ConfigMap, name.clone())], ..at_rest(observed, in_force) };
    part.keep.extend(attempt::latest(&tried).map(|latest| (Kind::Job, latest.name.clone())));
    if observed.find(Kind::ConfigMap, &name).is_none() {
        let document = settings::document(&cluster.identity, &wanted, &hash, revision);
        part.steps.push(Step::Apply { object: Box::new(document), is_new: true });
    }
    match next(&tried, &settings::inputs(cluster, revision), now) {
        Next::Start(number) => {
            let job = settings::job(cluster, revision, number);
            part.keep.push((Kind::Job, job.name.clone()));
            part.steps.push(Step::Apply { object: Box::new(job), is_new: true });
            part.verdict = on_its_way(revision);
        }
        Next::Wait(None) => part.verdict = on_its_way(revision),
        Next::Wait(Some(trouble)) => {
            let message = format!("the Job that applies revision {revision} cannot start: {}", trouble.message);
            part.verdict = Verdict::no(trouble.reason, message);
        }
        Next::Later(report, _) => part.verdict = failed(&report, revision),
        Next::Stuck(report) => {
            part.stalled = Some((format!("{:?}", report.reason), report.message.clone()));
            part.verdict = failed(&report, revision);
        }
        Next::Done(_) => {
            part.status = Some(SettingsStatus { revision, hash });
            part.verdict = verdict_at_rest(part.status.as_ref());
        }
    }
    part
}

fn at_rest(observed: &Observed, in_force: Option<&SettingsStatus>) -> SettingsPart {
    let revision = in_force.map_or(0, |status| status.revision);
    let tried = attempts_at(observed, revision);
    let keep = attempt::latest(&tried).map(|latest| (Kind::Job, latest.name.clone()));
    SettingsPart {
        steps: Vec::new(),
        keep: keep.into_iter().chain([(Kind::ConfigMap, observed.identity.settings(revision))]).collect(),
        status: in_force.cloned(),
        verdict: verdict_at_rest(in_force),
        stalled: None,
    }
}

/// SettingsApplied as far as the status knows.
#[must_use]
pub fn verdict_at_rest(in_force: Option<&SettingsStatus>) -> Verdict {
    match in_force {
        Some(status) => Verdict::yes("SettingsApplied", format!("revision {} is in force", status.revision)),
        None => Verdict::unknown("NotApplied", "the live settings have not been applied yet"),
    }
}

fn on_its_way(revision: i64) -> Verdict {
    Verdict::no("Applying", format!("revision {revision} is being put into the database"))
}

fn failed(report: &JobReport, revision: i64) -> Verdict {
    Verdict::no(&format!("{:?}", report.reason), format!("revision {revision} was not applied: {}", report.message))
}

fn newest_document(observed: &Observed) -> Option<Document> {
    let config_maps = observed.live.iter().filter(|live| live.kind == Kind::ConfigMap);
    config_maps.filter_map(settings::document_of).max_by_key(|document| document.revision)
}

/// The revision of the wanted settings: that of the newest document if it says the same and was not overtaken, else a
/// new one, above every revision that anybody has heard of.
fn revision(observed: &Observed, newest: Option<&Document>, in_force: i64, hash: &str) -> i64 {
    let reports: Vec<_> = all_attempts(observed).into_iter().filter_map(|attempt| finished(attempt.progress)).collect();
    let in_database = reports.iter().filter_map(|report| report.settings_revision).max().unwrap_or(0);
    let overtaken = |document: &Document| {
        let of_document =
            attempts_at(observed, document.revision).into_iter().filter_map(|attempt| finished(attempt.progress));
        of_document.into_iter().any(|report| report.reason == Reason::SettingsSuperseded)
    };
    match newest {
        Some(newest) if newest.hash == hash && newest.revision > in_force && !overtaken(newest) => newest.revision,
        _ => newest.map_or(0, |newest| newest.revision).max(in_force).max(in_database) + 1,
    }
}

fn finished(progress: Progress) -> Option<JobReport> {
    match progress {
        Progress::Finished { report, .. } => Some(report),
        Progress::Running(_) => None,
    }
}

fn all_attempts(observed: &Observed) -> Vec<Attempt> {
    attempts(observed, |job| component(job) == Some(COMPONENT))
}

fn attempts_at(observed: &Observed, revision: i64) -> Vec<Attempt> {
    let revision = revision.to_string();
    let is_one = |job: &Live| component(job) == Some(COMPONENT) && job.annotation(REVISION) == Some(&revision);
    attempts(observed, is_one)
}
