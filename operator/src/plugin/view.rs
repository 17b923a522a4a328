//! A PaymentCluster as a tree of text: its release stage by stage, and what is amiss. ★ Pure.

use crds::payment_cluster::{ReleaseFiguresStatus, ReleaseStatus, Strategy};
use crds::{Stage, annotations, conditions};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::subject::{Look, Subject};
use super::tree::{Line, Mark};
use super::{ages, next, pipeline, pods};

/// Everything there is to say.
pub(super) fn tree(look: &Look, now: Timestamp) -> Line {
    let subject = look.subject();
    let root = Line::words(format!("{} (namespace {})", subject.name(), subject.namespace()));
    let stale = look.stale.as_ref().map(|why| Line::new(Mark::Failed, format!("Not up to date: {why}")));
    let mut lines: Vec<_> = stale.into_iter().chain([version(subject, now), ready(subject)]).collect();
    lines.extend(decided(subject));
    if let Some(stage) = subject.stage() {
        lines.push(pipeline::of(subject, stage, now));
    }
    // Before what may be long: a terminal may have too few lines for all of it.
    let steps = next::steps(look, now).into_iter().map(Line::words);
    lines.push(Line::words("What to do next").with(steps));
    lines.extend(amiss(subject));
    lines.extend(pods_of(look, now));
    if let Some(release) = subject.release() {
        lines.extend(past(release, now));
    }
    root.with(lines)
}

/// The same in one line, for a log.
pub(super) fn summary(look: &Look) -> String {
    let subject = look.subject();
    let stage = subject.stage().map_or("not looked at yet", Stage::as_str);
    let mut parts = vec![format!("{} {} {stage}", subject.name(), subject.wanted())];
    if !subject.is_about_the_wanted()
        && let Some(target) = subject.target()
    {
        parts[0].push_str(&format!(" (of {target})"));
    }
    let status = subject.status();
    parts.extend(
        subject.release().and_then(|release| release.shift.as_ref()).map(|shift| pipeline::share(subject, shift)),
    );
    if let Some(ready) = status.and_then(|status| status.replicas.as_ref()) {
        parts.push(format!("pods {}", ready.ready));
    }
    parts.extend(subject.is_paused().then(|| "paused".to_owned()));
    parts.extend(status.and_then(|status| status.waiting_on.clone()));
    let abandoned = subject.release().and_then(|release| release.abandoned.as_ref());
    parts.extend(abandoned.filter(|found| found.version == subject.wanted()).map(|found| found.message.clone()));
    parts.extend(look.stale.as_ref().map(|why| format!("not up to date: {why}")));
    parts.join("; ").replace(char::is_control, " ")
}

fn version(subject: Subject<'_>, now: Timestamp) -> Line {
    let wanted = subject.wanted();
    let rollout = &subject.cluster.spec.rollout;
    let way = match subject.current() {
        Some(current) if current != wanted => format!("{current} -> {wanted}"),
        Some(_) => wanted.to_owned(),
        None => format!("{wanted}, the first release"),
    };
    let strategy = match rollout.strategy {
        Strategy::BlueGreen => "BlueGreen".to_owned(),
        Strategy::Canary => {
            let steps = rollout.steps.iter().map(|step| format!("{} % for {}", step.weight, step.duration.0));
            format!("Canary ({})", steps.collect::<Vec<_>>().join(", "))
        }
    };
    let started = subject.release().filter(|_| subject.is_about_the_wanted());
    let begun = started.and_then(|release| ages::since(release.started_at.as_deref()?, now));
    let begun = begun.map(|age| format!(", begun {age} ago")).unwrap_or_default();
    let of_configuration = if subject.is_of_configuration() { ", a change of configuration" } else { "" };
    Line::words(format!("Version {way}{of_configuration}, {strategy}{begun}"))
}

fn ready(subject: Subject<'_>) -> Line {
    match subject.condition(conditions::READY) {
        Some(ready) => match ready.status.as_str() {
            "True" => Line::new(Mark::Done, format!("Ready: {}", ready.message)),
            "False" => Line::new(Mark::Failed, format!("Not ready ({}): {}", ready.reason, ready.message)),
            _ => Line::new(Mark::ToCome, format!("Nobody knows whether it is ready: {}", ready.message)),
        },
        None => Line::new(Mark::ToCome, "Nobody knows whether it is ready: no operator has looked at it yet"),
    }
}

/// What a person decided that shows nowhere else, or that the operator has not taken up yet.
fn decided(subject: Subject<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    if subject.is_paused() {
        lines.push(Line::new(
            Mark::Now,
            "Paused: the release is held where it is, but a breach of its SLA rolls it back",
        ));
    }
    let said = |key, words| {
        let of_wanted = subject.annotation(key) == Some(subject.wanted());
        of_wanted.then(|| format!("{} is {words}; the operator has not taken it up yet", subject.wanted()))
    };
    if subject.waits_for_approval().is_some() {
        let words = said(annotations::APPROVED, "approved").or_else(|| said(annotations::REJECTED, "rejected"));
        lines.extend(words.map(|words| Line::new(Mark::Now, words)));
    }
    lines
}

/// The conditions that are not as they should be. While a release is on its way, what nobody knows yet is no news.
fn amiss(subject: Subject<'_>) -> Option<Line> {
    let at_rest = subject.stage().is_some_and(Stage::is_end);
    let is_amiss = |condition: &&Condition| match condition.type_.as_str() {
        conditions::READY => false,
        conditions::RECONCILING => at_rest && condition.status == "True",
        conditions::STALLED => condition.status == "True",
        // It shows at its stage.
        conditions::cluster::APPROVED => false,
        _ => {
            let status = condition.status.as_str();
            status == "False" || condition.reason == "Degraded" || (at_rest && status != "True")
        }
    };
    let told = subject.status()?.conditions.iter().filter(is_amiss).map(|condition| {
        let Condition { type_, status, reason, message, .. } = condition;
        let mark = if status == "Unknown" { Mark::ToCome } else { Mark::Failed };
        Line::new(mark, format!("{type_} is {status} ({reason}): {message}"))
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| Line::words("Not as it should be").with(told))
}

fn pods_of(look: &Look, now: Timestamp) -> Option<Line> {
    if let Some(why) = &look.unseen {
        return Some(Line::new(Mark::Failed, format!("Pods are not shown: {why}")));
    }
    let lines: Vec<_> = pods::rows(look, now)
        .into_iter()
        .map(|row| {
            let mark = if row.is_complete() { Mark::Done } else { Mark::Now };
            let mark = if row.trouble.is_some() { Mark::Failed } else { mark };
            let wanted = row.wanted.map_or_else(|| " on their way out".to_owned(), |wanted| format!("/{wanted} ready"));
            let restarts = if row.restarts > 0 { format!(", {} restarts", row.restarts) } else { String::new() };
            let trouble = row.trouble.map(|trouble| format!(": {trouble}")).unwrap_or_default();
            let role = row.role.as_str();
            Line::new(mark, format!("{role:<9} {}  {}{wanted}{restarts}{trouble}", row.release, row.ready))
        })
        .collect();
    (!lines.is_empty()).then(|| Line::words("Pods").with(lines))
}

/// What is left of releases before.
fn past(release: &ReleaseStatus, now: Timestamp) -> Vec<Line> {
    let mut lines = Vec::new();
    let last = release.history.iter().find_map(|record| Some((record, record.figures.as_ref()?)));
    if let Some((record, figures)) = last {
        let age = ages::since(&record.ended_at, now).map(|age| format!(", {age} ago")).unwrap_or_default();
        let title = format!("Figures of {} when it ended{age}", record.version);
        lines.push(Line::words(title).with([Line::words(figures_in_words(figures))]));
    }
    if let Some(kept) = &release.kept {
        let until = kept.until.as_deref().and_then(|until| ages::until(until, now));
        let until =
            until.map_or_else(|| "as long as its successor is watched".to_owned(), |until| format!("for {until}"));
        lines.push(Line::words(format!("Kept, ready to come back: {}, {until}", kept.version)));
    }
    if let Some(given_up) = &release.abandoned {
        let age = ages::since(&given_up.at, now).map(|age| format!(", {age} ago")).unwrap_or_default();
        let why = given_up.why.as_str();
        let title = format!("Given up: {} ({why}{age}): {}", given_up.version, given_up.message);
        lines.push(Line::new(Mark::Failed, title));
    }
    lines
}

fn figures_in_words(figures: &ReleaseFiguresStatus) -> String {
    // Destructured, so that a new figure is shown or left out on purpose.
    let ReleaseFiguresStatus { payments, tps, average_ms, p95_ms, p99_ms, success_rate, fraud_p99_ms } = figures;
    let mut parts = vec![format!("{payments} payments"), format!("{tps}/s")];
    let optional = [
        ("mean ", average_ms, " ms"),
        ("p95 ", p95_ms, " ms"),
        ("p99 ", p99_ms, " ms"),
        ("", success_rate, " % ended well"),
        ("fraud p99 ", fraud_p99_ms, " ms"),
    ];
    parts.extend(
        optional.into_iter().filter_map(|(before, value, unit)| Some(format!("{before}{}{unit}", value.as_ref()?))),
    );
    parts.join(", ")
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
