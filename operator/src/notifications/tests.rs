//! What is told, to whom, how often, and in which words.

use std::collections::BTreeSet;

use crds::Stage;
use crds::annotations::{APPROVED, REJECTED};
use crds::payment_cluster::{NotificationEvent as Event, NotificationsStatus};
use jiff::Timestamp;
use kube::ResourceExt;
use runtime_contract::{Counts, Figures, JobReport, Outcome, Reason, ReleaseFigures, Slice, Times};
use serde_json::{Value, json};

use super::slack::escape;
use super::*;
use crate::cluster::fixtures::{self, World, all_well};
use crate::cluster::report;

/// A platform at rest of which release 0.2.0 is wanted, with these notifications.
fn wanted(notifications: Value, change: impl FnOnce(&mut Value)) -> World {
    let cluster = fixtures::cluster(|spec| {
        spec["version"] = json!("0.2.0");
        spec["notifications"] = notifications;
        change(spec);
    });
    let mut world = World::finished();
    let status = world.observed.cluster.status.take();
    world.observed.cluster = cluster;
    world.observed.cluster.status = status;
    world
}

fn webhook(name: &str) -> Value {
    json!({ "name": name, "webhook": { "secretKeyRef": { "name": "hooks", "key": name } } })
}

fn slow(second: i64) -> Option<Figures> {
    let slice = |second| {
        let payment_us = Times::from([(320_000, 50)]);
        Slice { second, counts: Counts { succeeded: 50, failed: 0, payment_us, fraud_us: Times::new() } }
    };
    let slices = (second - 9..=second).map(slice).collect();
    let release = ReleaseFigures { release: "0.2.0".into(), slices, ..ReleaseFigures::default() };
    Some(Figures { releases: vec![release], ..all_well(second)? })
}

fn notifications(world: &World) -> NotificationsStatus {
    world.observed.cluster.status.as_ref().unwrap().notifications.clone().unwrap_or_default()
}

/// What is owed by now; all of it is told before the next pass.
fn deliver(world: &mut World) -> Vec<(Event, String)> {
    let owed = notifications(world).owed;
    let of = |one: &crds::payment_cluster::OwedNotification| {
        let id = one.id.clone();
        one.to.clone().into_iter().map(move |to| Delivery { id: id.clone(), to })
    };
    world.observed.notifications.ended = owed.iter().flat_map(of).collect();
    owed.into_iter().map(|one| (one.event, one.version)).collect()
}

/// Passes until a stage and a few more, with all that was told on the way.
fn told_until(world: &mut World, stage: Stage) -> Vec<(Event, String)> {
    let mut told = Vec::new();
    for _ in 0..80 {
        let plan = world.pass();
        told.extend(deliver(world));
        if plan.stage == stage {
            for _ in 0..3 {
                world.pass();
                told.extend(deliver(world));
            }
            assert_eq!(notifications(world).owed, []);
            return told;
        }
        world.pods_start();
        let report = world.succeeded();
        world.jobs_end(&report);
    }
    panic!("not {stage:?}: {told:?}");
}

fn both(events: &[Event]) -> Vec<(Event, String)> {
    events.iter().map(|event| (*event, "0.2.0".to_owned())).collect()
}

#[test]
fn a_release_that_goes_well_is_told_at_its_begin_and_at_its_end_and_then_nothing_is() {
    let mut world = wanted(json!([webhook("ops")]), |_| {});
    let told = told_until(&mut world, Stage::Finished);
    assert_eq!(told, both(&[Event::Started, Event::Succeeded]));
    let before = world.observed.cluster.status.clone();
    assert_eq!(before.as_ref().unwrap().notifications, None);
    world.pass();
    assert_eq!(world.observed.cluster.status, before);
}

#[test]
fn a_release_that_is_verified_in_staging_is_told_as_a_success() {
    let mut world = wanted(json!([webhook("ops")]), |spec| spec["environment"] = json!("Staging"));
    assert_eq!(told_until(&mut world, Stage::Verified), both(&[Event::Started, Event::Succeeded]));
}

#[test]
fn a_release_that_breaks_its_sla_is_told_when_it_does_and_when_the_other_one_serves() {
    let mut world = wanted(json!([webhook("ops")]), |spec| {
        spec["sla"] = json!({ "window": "10s", "p95Latency": "200ms" });
    });
    assert_eq!(told_until(&mut world, Stage::Monitoring), both(&[Event::Started]));
    world.figures = slow;
    world.pass();
    let owed = notifications(&world).owed;
    assert_eq!(owed.len(), 1, "{owed:?}");
    let breach = &owed[0];
    assert_eq!(
        (breach.event, breach.version.as_str(), breach.from.as_deref()),
        (Event::SlaBreached, "0.2.0", Some("0.1.0"))
    );
    assert!(breach.message.contains("p95Latency") && breach.figures.is_some(), "{breach:?}");
    deliver(&mut world);
    world.figures = all_well;
    assert_eq!(told_until(&mut world, Stage::RolledBack), both(&[Event::RolledBack]));
}

#[test]
fn a_release_that_waits_for_a_word_and_is_refused() {
    for (word, expected, stage) in
        [(APPROVED, Event::Succeeded, Stage::Finished), (REJECTED, Event::RolledBack, Stage::RolledBack)]
    {
        let mut world = wanted(json!([webhook("ops")]), |spec| spec["rollout"] = json!({ "approval": "Required" }));
        let told = told_until(&mut world, Stage::AwaitingApproval);
        assert_eq!(told, both(&[Event::Started, Event::ApprovalNeeded]));
        world.observed.cluster.annotations_mut().insert(word.into(), "0.2.0".into());
        assert_eq!(told_until(&mut world, stage), both(&[expected]));
    }
}

#[test]
fn a_failure_that_comes_each_minute_is_told_once_and_another_one_again() {
    let mut world = wanted(json!([webhook("ops")]), |_| {});
    let failed = |reason| JobReport::new(Outcome::Failed, reason, "it does not work");
    let mut told = Vec::new();
    let mut failures = 0;
    for second in 0..400 {
        let plan = world.pass();
        failures += usize::from(plan.stalled.is_some());
        told.extend(deliver(&mut world));
        world.jobs_end(&failed(if second < 200 { Reason::DatabaseUnreachable } else { Reason::MigrationLocked }));
    }
    assert!(failures > 4, "{failures}");
    assert_eq!(told, both(&[Event::Started, Event::Failed, Event::Failed]));
    told = told_until(&mut world, Stage::Finished);
    assert_eq!(told, both(&[Event::Succeeded]));
}

#[test]
fn what_an_operator_has_written_and_not_told_is_told_by_the_next_one() {
    let mut world = wanted(json!([webhook("ops"), webhook("audit")]), |_| {});
    world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    world.retire();
    // Nothing was told: the operator died after each write of the status.
    let owed = notifications(&world).owed;
    let seen: Vec<_> = owed.iter().map(|one| (one.event, one.to.join(" "))).collect();
    assert_eq!(seen, [(Event::Started, "ops audit".to_owned()), (Event::Succeeded, "ops audit".to_owned())]);
    let status = world.observed.cluster.status.clone().unwrap();
    let first: Vec<_> =
        letters(&world.observed, &status).into_iter().map(|(to, letters)| (to.name, letters.len())).collect();
    assert_eq!(first, [("ops".to_owned(), 2), ("audit".to_owned(), 2)]);
    world.pass();
    assert_eq!(world.observed.cluster.status.clone().unwrap(), status, "what cannot be told is no reason to write");

    // One of them was told the first, and then the operator died: nothing of it was written down, and it is told again.
    world.observed.notifications.ended = [Delivery { id: owed[0].id.clone(), to: "ops".into() }].into();
    world.pass();
    let left: Vec<_> = notifications(&world).owed.iter().map(|one| one.to.join(" ")).collect();
    assert_eq!(left, ["audit", "ops audit"]);
    let after = world.observed.cluster.status.clone().unwrap();
    let ids = |(_, letters): &(_, Vec<Letter>)| letters.iter().map(|letter| letter.what.id.clone()).collect::<Vec<_>>();
    let of_audit = ids(&letters(&world.observed, &after)[1]);
    assert_eq!(of_audit, [owed[0].id.clone(), owed[1].id.clone()], "with the same ids");

    world.observed.cluster.spec.notifications.clear();
    world.pass();
    assert_eq!(world.observed.cluster.status.unwrap().notifications, None, "nobody is owed who is not to be told");
}

#[test]
fn debts_have_an_end() {
    let mut world = wanted(json!([webhook("ops")]), |_| {});
    for number in 2..40 {
        world.observed.cluster.spec.version = format!("0.{number}.0");
        world.pass();
    }
    let owed = notifications(&world).owed;
    assert_eq!((owed.len(), owed.last().unwrap().version.as_str()), (NotificationsStatus::OWED_MAX, "0.39.0"));
}

#[test]
fn nobody_is_told_what_nobody_asked_for() {
    let few = json!([{ "name": "few", "on": ["RolledBack"], "slack": { "secretKeyRef": { "name": "hooks", "key": "slack" } } },
        { "name": "alerts", "alertmanager": { "url": "http://alerts:9093" }, "on": ["Failed"] }]);
    let mut world = wanted(few, |_| {});
    world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    let owed = notifications(&world).owed;
    let seen: Vec<_> = owed.iter().map(|one| (one.event, one.to.join(" "))).collect();
    assert_eq!(seen, [(Event::Succeeded, "alerts".to_owned())], "a success ends alerts");
    assert_eq!(
        report::build(&fixtures::observed(|_| {}), &World::finished().plan(), None, Timestamp::UNIX_EPOCH)
            .notifications,
        None
    );
}

/// A letter about a breach, with a message full of signs.
fn letter(to: Value) -> Letter {
    let what = json!({
        "id": "0.2.0-SlaBreached-2026-01-01T00:00:00Z", "event": "SlaBreached", "version": "0.2.0", "from": "0.1.0",
        "stage": "RollingBack", "message": "p95 < 200 ms & \"so\" <!channel>", "at": "2026-01-01T00:00:00Z", "to": ["ops"],
        "figures": { "payments": 500, "tps": "50.0", "p95Ms": "320.0" },
    });
    let identity = fixtures::observed(|_| {}).identity;
    let versions = BTreeSet::from(["0.1.0".to_owned(), "0.2.0".to_owned()]);
    Letter { to: serde_json::from_value(to).unwrap(), what: serde_json::from_value(what).unwrap(), identity, versions }
}

fn body(letter: &Letter) -> Value {
    serde_json::from_str(&letter.body().unwrap().text).unwrap()
}

#[test]
fn the_default_body_has_every_field() {
    let expected = json!({
        "id": "0.2.0-SlaBreached-2026-01-01T00:00:00Z", "event": "SlaBreached", "namespace": "shop", "name": "payments",
        "version": "0.2.0", "from": "0.1.0", "stage": "RollingBack", "message": "p95 < 200 ms & \"so\" <!channel>",
        "figures": {
            "payments": 500, "tps": "50.0", "averageMs": null, "p95Ms": "320.0", "p99Ms": null, "successRate": null,
            "fraudP99Ms": null,
        },
        "at": "2026-01-01T00:00:00Z",
    });
    assert_eq!(body(&letter(webhook("ops"))), expected);
}

#[test]
fn slack_is_given_words_and_no_commands() {
    assert_eq!(escape("<!channel> & <a|b> &amp;"), "&lt;!channel&gt; &amp; &lt;a|b&gt; &amp;amp;");
    let slack = json!({ "name": "ops", "slack": { "secretKeyRef": { "name": "hooks", "key": "slack" } } });
    let message = body(&letter(slack));
    let expected = json!({
        "text": "SlaBreached: release 0.2.0 of shop/payments",
        "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": ":rotating_light: *SlaBreached*: release 0.2.0 of shop/payments" } },
            { "type": "section", "text": { "type": "mrkdwn", "text": "p95 &lt; 200 ms &amp; \"so\" &lt;!channel&gt;" } },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": "500 payments · 50.0 a second · p95 320.0 ms" }] },
        ],
    });
    assert_eq!(message, expected);
}

#[test]
fn an_alert_ends_under_the_labels_under_which_it_began() {
    let alertmanager = json!({ "name": "ops", "alertmanager": { "url": "http://alerts:9093/base/" } });
    let mut letter = letter(alertmanager);
    assert_eq!(letter.address(), Some(Address::Url("http://alerts:9093/base/api/v2/alerts".into())));
    let begun = body(&letter);
    let labels = json!({
        "alertname": "PurserReleaseSlaBreached", "namespace": "shop", "paymentcluster": "payments", "version": "0.2.0",
        "severity": "critical",
    });
    assert_eq!(begun.as_array().unwrap().len(), 1);
    assert_eq!(begun[0]["labels"], labels);
    assert_eq!(begun[0]["endsAt"], "2026-01-02T00:00:00Z");

    (letter.what.event, letter.what.version, letter.what.at) =
        (Event::Succeeded, "0.3.0".into(), "2026-01-01T08:00:00Z".into());
    let over = body(&letter);
    assert_eq!(over.as_array().unwrap().len(), 9, "three alerts of each of three releases");
    let ended = over.as_array().unwrap().iter().find(|alert| alert["labels"] == labels).unwrap();
    assert_eq!(ended["endsAt"], "2026-01-01T07:59:00Z");
}

#[test]
fn a_template_makes_what_it_says() {
    let mut to = webhook("ops");
    to["webhook"]["template"] = json!(
        "{\"text\": {{ message | tojson }}, \"p95\": \"{% if figures %}{{ figures.p95Ms }}{% else %}-{% endif %}\"}"
    );
    let expected = json!({ "text": "p95 < 200 ms & \"so\" <!channel>", "p95": "320.0" });
    assert_eq!(body(&letter(to.clone())), expected);
    to["webhook"]["template"] = json!("{{ event }} of {{ version }}");
    to["webhook"]["contentType"] = json!("text/plain");
    let sent = letter(to).body().unwrap();
    assert_eq!((sent.content_type, sent.text.as_str()), ("text/plain; charset=utf-8", "SlaBreached of 0.2.0"));
}

#[test]
fn a_wrong_template_is_told_before_it_is_needed() {
    let cases = [
        ("{{ message ", "line 1"),
        ("{{ mesage }}", "undefined"),
        ("{{ figures.p95Ms }}", "undefined"),
        ("{\"text\": \"{{ message }}\"}", "does not make JSON"),
        ("{% for a in message %}{% for b in message %}x{% endfor %}{% endfor %}", "{% for %} is not allowed"),
        ("{%- set x = message ~ message %}{{ x }}", "{% set %} is not allowed"),
        ("{{ message | replace('a', message) }}", "replace"),
        ("{{ range(100000) }}", "range"),
        ("{{ 'x' * 90000 }}", "are allowed"),
    ];
    for (template, expected) in cases {
        let mut to = webhook("ops");
        to["webhook"]["template"] = json!(template);
        if !template.starts_with("{\"") {
            to["webhook"]["contentType"] = json!("text/plain");
        }
        let observed = fixtures::observed(|observed| {
            observed.cluster = fixtures::cluster(|spec| spec["notifications"] = json!([to]));
        });
        let verdict = verdict(&observed);
        assert_eq!(verdict.reason, "TemplateInvalid", "{template}");
        assert!(verdict.message.contains(expected) && verdict.message.contains("\"ops\""), "{}", verdict.message);
    }
}

#[test]
fn a_missing_secret_is_named_and_holds_nothing_up() {
    let mut world = wanted(json!([webhook("ops")]), |_| {});
    world.observed.notifications.secrets.insert("ops".into(), SecretState::Missing);
    let verdict = verdict(&world.observed);
    assert_eq!(verdict.reason, "SecretMissing");
    assert!(verdict.message.contains("\"hooks\""), "{}", verdict.message);
    world.run_until(|plan| plan.stage == Stage::Finished);
    assert_eq!(world.condition("Ready").status, "True");
    assert_eq!(world.condition("Stalled").status, "False");
}
