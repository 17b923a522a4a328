//! What a person can do next, as commands to copy. ★ Pure.

use crds::{Stage, conditions};

use super::decision::{Wish, makes_sense};
use super::subject::{Look, Subject};
use super::{ages, pods};

/// What to do next, a sentence each, the most important first.
pub(super) fn steps(look: &Look, now: jiff::Timestamp) -> Vec<String> {
    let subject = look.subject();
    let Some(stage) = subject.stage() else {
        return vec![
            "start the operator, or look why it does not answer: kubectl get pods -A -l app.kubernetes.io/name=purser-operator"
                .to_owned(),
        ];
    };
    let mut steps = Vec::new();
    if subject.is_paused() {
        steps.push(format!("let it go on: {}", subject.command("resume", "")));
    }
    if subject.is_condition(conditions::STALLED, "True") {
        steps.extend(stalled(subject, stage));
        return steps;
    }
    if !subject.is_about_the_wanted() {
        steps.push(format!("nothing: the operator will look at version {}", subject.wanted()));
        return steps;
    }
    steps.extend(of_stage(look, stage, now));
    steps
}

fn of_stage(look: &Look, stage: Stage, now: jiff::Timestamp) -> Vec<String> {
    let subject = look.subject();
    let by_itself = "nothing: it goes on by itself";
    let with_way_out = |first: String| std::iter::once(first).chain(give_up(subject)).collect();
    match stage {
        Stage::Validating => vec![by_itself.to_owned()],
        Stage::AwaitingApproval => approval(subject),
        Stage::PlanningMigrations => with_way_out(look_at_job(subject, "plan")),
        Stage::BackingUp => with_way_out(look_at_job(subject, "backup")),
        Stage::DryRunning => with_way_out(look_at_job(subject, "dry-run")),
        Stage::EnteringMaintenance => with_way_out(look_at_job(subject, "drain")),
        Stage::AwaitingStaging | Stage::WarmingCache | Stage::CheckingHealth | Stage::Testing => {
            with_way_out(by_itself.to_owned())
        }
        Stage::Migrating => with_way_out(look_at_job(subject, "migrate")),
        Stage::Configuring => with_way_out(look_at_job(subject, of_configuring(subject))),
        Stage::Deploying => with_way_out(match pods::first_in_trouble(look, now) {
            Some(row) => {
                let rest = format!("--role {} --release {}", row.role, row.release);
                format!("look at the pods in trouble: {}", subject.command("logs", &rest))
            }
            None => by_itself.to_owned(),
        }),
        Stage::Shifting | Stage::Monitoring => with_way_out(format!("{by_itself}, and back when it breaks its SLA")),
        Stage::RollingBack | Stage::Restoring => vec!["nothing: the release before comes back by itself".to_owned()],
        Stage::RolledBack => vec![
            "put right in the spec what was wrong: the version, or a setting".to_owned(),
            format!("or try {} again: {}", subject.wanted(), subject.command("retry", "")),
        ],
        Stage::Finished | Stage::Verified => finished(subject, now),
    }
}

fn look_at_job(subject: Subject<'_>, role: &str) -> String {
    format!("nothing, or look at the Job: {}", subject.command("logs", &format!("--role {role}")))
}

/// A command that would be refused is no help.
fn give_up(subject: Subject<'_>) -> Option<String> {
    makes_sense(&Wish::Abort, subject).then(|| format!("to give it up: {}", subject.command("abort", "")))
}

fn approval(subject: Subject<'_>) -> Vec<String> {
    let version = subject.wanted();
    let rest = format!("--version {version}");
    vec![
        format!("agree: {}", subject.command("approve", &rest)),
        format!("or in Git: spec.rollout.approvedVersion: {version}"),
        format!("refuse: {}", subject.command("reject", &rest)),
    ]
}

fn job_of(subject: Subject<'_>, stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::PlanningMigrations => Some("plan"),
        Stage::BackingUp => Some("backup"),
        Stage::DryRunning => Some("dry-run"),
        Stage::EnteringMaintenance => Some("drain"),
        Stage::Migrating => Some("migrate"),
        Stage::Configuring => Some(of_configuring(subject)),
        Stage::Restoring => Some("restore"),
        _ => None,
    }
}

/// The replica is looked at first.
fn of_configuring(subject: Subject<'_>) -> &'static str {
    if is_replica_due(subject) { "check-replica" } else { "configure" }
}

fn is_replica_due(subject: Subject<'_>) -> bool {
    let is_checked =
        subject.release().and_then(|release| release.preparation.as_ref()).is_some_and(|done| done.replica.is_some());
    subject.cluster.spec.database.read_url_secret_ref.is_some() && !is_checked
}

fn stalled(subject: Subject<'_>, stage: Stage) -> Vec<String> {
    let condition = match stage {
        Stage::Configuring if is_replica_due(subject) => conditions::cluster::REPLICA_READY,
        Stage::Configuring => conditions::cluster::ANALYTICS_READY,
        _ => conditions::cluster::SCHEMA_READY,
    };
    let job = job_of(subject, stage).filter(|_| subject.is_condition(condition, "False"));
    if let Some(job) = job {
        let mut steps = vec![
            format!("look what failed: {}", subject.command("logs", &format!("--role {job}"))),
            format!("put the cause right, then: {}", subject.command("retry", "")),
        ];
        steps.extend(give_up(subject));
        return steps;
    }
    let message = subject.condition(conditions::STALLED).map(|stalled| stalled.message.as_str()).unwrap_or_default();
    vec![format!("put this right, and it goes on by itself: {message}")]
}

fn finished(subject: Subject<'_>, now: jiff::Timestamp) -> Vec<String> {
    let mut steps = Vec::new();
    if subject.is_condition(conditions::READY, "False") {
        let message = subject.condition(conditions::READY).map(|ready| ready.message.as_str()).unwrap_or_default();
        steps.push(format!("put this right: {message}"));
    }
    if let Some(kept) = subject.kept() {
        let until = kept.until.as_deref().and_then(|until| ages::until(until, now));
        let within = until.map(|until| format!(" within {until}")).unwrap_or_default();
        steps.push(format!("to take it back to {}{within}: {}", kept.version, subject.command("rollback", "")));
    }
    if steps.is_empty() {
        steps.push(
            "nothing: another version in the spec, or another setting that pods start with, begins a release"
                .to_owned(),
        );
    }
    steps
}
