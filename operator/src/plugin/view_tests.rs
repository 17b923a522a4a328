//! What is shown at each stage and in each trouble, and what to do next.

use crds::PaymentCluster;
use serde_json::{Value, json};

use super::*;
use crate::plugin::test_data::{at, awaiting, cluster, condition, deployment, finished, look, now, pod, rolled_back};
use crate::plugin::tree::Screen;

fn shown(cluster: PaymentCluster) -> String {
    tree(&look(cluster), now()).render(Screen::default())
}

fn has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
}

fn annotate(whole: &mut Value, key: &str, value: &str) {
    whole["metadata"]["annotations"] = json!({ key: value });
}

#[test]
fn a_release_on_its_way_is_a_tree() {
    let mut look = look(cluster(|whole| {
        whole["status"]["waitingOn"] = json!("the gateway pods of the release start");
        whole["status"]["release"]["preparation"] = json!({
            "plan": { "from": 10, "to": 12, "pending": 2, "offline": 0 },
            "backup": { "id": "b1", "verifiedAt": "2026-11-24T12:06:00Z" },
            "dryRun": { "at": "2026-11-24T12:07:00Z", "message": "" },
        });
    }));
    look.deployments = vec![deployment("gateway", "1.3.0", 1), deployment("gateway", "1.4.0", 2)];
    look.pods = vec![pod("gateway", "1.4.0", false, 3), pod("gateway", "1.3.0", true, 0)];
    let expected = "\
payments (namespace shop)
├─ Version 1.3.0 -> 1.4.0, Canary (10 % for 1m, 50 % for 1m), begun 5m ago
├─ ✔ Ready: release 1.3.0 takes payments
├─ Release 1.4.0
│  ├─ ✔ Validating
│  ├─ ✔ PlanningMigrations: 2 to apply, from 10 to 12
│  ├─ ✔ BackingUp: backup b1 was verified 4m ago
│  ├─ ✔ DryRunning: they went through on a copy
│  ├─ ✔ Migrating: the schema is at 12
│  ├─ ▶ Deploying: since 60s
│  │  └─ waits: the gateway pods of the release start
│  ├─ ○ WarmingCache
│  ├─ ○ CheckingHealth
│  ├─ ○ Shifting
│  ├─ ○ Monitoring
│  └─ ○ Finished
├─ What to do next
│  ├─ look at the pods in trouble: kubectl purser logs payments -n shop --role gateway --release 1.4.0
│  └─ to give it up: kubectl purser abort payments -n shop
├─ Pods
│  ├─ ✔ gateway   1.3.0  1/1 ready
│  └─ ✖ gateway   1.4.0  0/2 ready, 3 restarts: image \"purser:1.4.0\" cannot be pulled: is the version published, is spec.image.repository right, and does the registry want a pull secret?
└─ Figures of 1.3.0 when it ended, 10m ago
   └─ 1200 payments, 20.0/s, p99 180.5 ms, 99.1 % ended well
";
    assert_eq!(tree(&look, now()).render(Screen::default()), expected);
}

#[test]
fn a_change_of_configuration_is_told_in_words() {
    let on_its_way = at("Deploying", |whole| {
        whole["spec"]["version"] = json!("1.3.0");
        whole["spec"]["fraud"] = json!({ "deadline": "40ms" });
        whole["status"]["release"]["current"] = json!("1.3.0");
        whole["status"]["release"]["target"] = json!("1.3.0-r2");
    });
    has(&shown(on_its_way), &["Version 1.3.0 -> 1.3.0-r2, a change of configuration", "Release 1.3.0-r2\n"]);
    assert!(!shown(at("Deploying", |_| {})).contains("configuration"));
}

#[test]
fn a_staging_release_is_tested_and_verified_and_production_shows_the_proof() {
    let staging = at("Testing", |whole| {
        whole["spec"]["environment"] = json!("Staging");
        whole["status"]["waitingOn"] = json!("the load test runs");
    });
    has(&shown(staging), &["▶ Testing: since 60s\n│  │  └─ waits: the load test runs\n│  └─ ○ Verified\n"]);
    let production = at("Deploying", |whole| {
        whole["spec"]["rollout"]["promoteFrom"] = json!({ "namespace": "staging", "name": "payments" });
        whole["status"]["release"]["promotion"] = json!({
            "version": "1.4.0", "from": "staging/payments",
            "verifiedAt": "2026-11-24T12:04:00Z", "at": "2026-11-24T12:05:00Z",
        });
    });
    has(&shown(production), &["✔ AwaitingStaging: staging/payments verified it 6m ago\n"]);
}

#[test]
fn a_release_that_waits_for_approval_says_how_to_give_it() {
    let text = shown(awaiting());
    has(
        &text,
        &[
            "│  ├─ ▶ AwaitingApproval: since 60s\n│  │  └─ waits: release 1.4.0 waits for approval\n",
            "agree: kubectl purser approve payments -n shop --version 1.4.0\n",
            "or in Git: spec.rollout.approvedVersion: 1.4.0\n",
            "refuse: kubectl purser reject payments -n shop --version 1.4.0\n",
        ],
    );
    let decided = at("AwaitingApproval", |whole| annotate(whole, annotations::APPROVED, "1.4.0"));
    has(&shown(decided), &["1.4.0 is approved; the operator has not taken it up yet"]);
    let of_another = at("AwaitingApproval", |whole| annotate(whole, annotations::APPROVED, "1.3.9"));
    assert!(!shown(of_another).contains("has not taken it up yet"));
}

#[test]
fn who_agreed_is_shown() {
    let text = shown(at("Migrating", |whole| {
        whole["spec"]["rollout"]["approval"] = json!("Required");
        whole["status"]["release"]["approval"] =
            json!({ "version": "1.4.0", "by": "kubectl-purser:anna", "at": "2026-11-24T12:06:00Z" });
    }));
    has(&text, &["✔ AwaitingApproval: kubectl-purser:anna agreed 4m ago", "▶ Migrating: since 60s", "--role migrate"]);
}

#[test]
fn the_traffic_and_the_way_back_are_shown() {
    let shift = |whole: &mut Value| {
        whole["status"]["release"]["shift"] = json!({ "step": 1, "weight": 10, "since": "2026-11-24T12:09:20Z" });
    };
    let text = shown(at("Shifting", shift));
    has(&text, &["▶ Shifting: step 1 of 3, 10 % of the traffic for 40s, since 60s", "✔ Deploying", "○ Monitoring"]);
    has(&text, &["back when it breaks its SLA", "kubectl purser abort payments -n shop"]);
    let text = shown(at("RollingBack", shift));
    has(&text, &["▶ RollingBack: step 1 of 3, 10 % of the traffic", "○ RolledBack", "comes back by itself"]);
    assert!(!text.contains("✔ Deploying"), "how far it came is not known: {text}");
}

#[test]
fn a_release_that_was_given_up_says_why() {
    let text = shown(rolled_back("SlaBreached"));
    has(
        &text,
        &[
            "✖ RolledBack: since 60s",
            "✖ Given up: 1.4.0 (SlaBreached, 60s ago): p99 was 900 ms, and 200 ms are allowed",
            "put right in the spec what was wrong: the version, or a setting",
            "or try 1.4.0 again: kubectl purser retry payments -n shop",
        ],
    );
}

#[test]
fn a_release_that_serves_says_how_long_it_can_be_taken_back() {
    let text = shown(finished());
    has(
        &text,
        &[
            "├─ Version 1.4.0, Canary",
            "✔ Finished",
            "Kept, ready to come back: 1.3.0, for 9m",
            "to take it back to 1.3.0 within 9m: kubectl purser rollback payments -n shop",
        ],
    );
    let text = shown(at("Finished", |whole| whole["status"]["release"]["current"] = json!("1.4.0")));
    has(&text, &["nothing: another version in the spec, or another setting that pods start with, begins a release"]);
    assert!(!text.contains("Monitoring"), "nothing tells that there was a release before it: {text}");
}

#[test]
fn no_command_is_proposed_that_would_be_refused() {
    let settings = shown(at("Deploying", |whole| whole["status"]["release"]["current"] = json!("1.4.0")));
    assert!(settings.contains("▶ Deploying") && !settings.contains("purser abort"), "{settings}");
}

#[test]
fn without_the_right_to_see_pods_the_rest_is_shown() {
    let mut look = look(awaiting());
    look.unseen = Some("you are forbidden to list pods".into());
    let text = tree(&look, now()).render(Screen::default());
    has(&text, &["✖ Pods are not shown: you are forbidden to list pods", "▶ AwaitingApproval"]);
}

#[test]
fn what_stalls_is_told_with_the_way_out() {
    let conditions = |all: Value| move |whole: &mut Value| whole["status"]["conditions"] = all;
    let failed = json!([
        condition("Stalled", "True", "MigrationFailed", "relation \"x\" exists"),
        condition("SchemaReady", "False", "MigrationFailed", "relation \"x\" exists"),
        condition("CacheReachable", "Unknown", "NotAsked", "no pod has said anything yet"),
    ]);
    let text = shown(at("Migrating", conditions(failed)));
    has(
        &text,
        &[
            "✖ Migrating",
            "✖ SchemaReady is False (MigrationFailed): relation \"x\" exists",
            "look what failed: kubectl purser logs payments -n shop --role migrate",
            "put the cause right, then: kubectl purser retry payments -n shop",
        ],
    );
    assert!(!text.contains("CacheReachable"), "what nobody knows yet is no news on the way: {text}");
    let missing = json!([condition("Stalled", "True", "SecretMissing", "create Secret \"payments-db\"")]);
    has(
        &shown(at("Validating", conditions(missing))),
        &["✖ Validating", "put this right, and it goes on by itself: create Secret \"payments-db\""],
    );
}

#[test]
fn a_platform_at_rest_tells_what_is_amiss() {
    let text = shown(at("Finished", |whole| {
        whole["status"]["conditions"] = json!([
            condition("Ready", "False", "Unreachable", "DatabaseReachable: connection refused"),
            condition("DatabaseReachable", "False", "Unreachable", "connection refused"),
            condition("GatewayAvailable", "True", "Degraded", "1 of 2 pods serve"),
            condition("FraudAvailable", "True", "Available", "2 of 2 pods serve"),
            condition("CacheReachable", "Unknown", "NotAsked", "no pod has said anything yet"),
        ]);
    }));
    has(
        &text,
        &[
            "✖ Not ready (Unreachable): DatabaseReachable: connection refused",
            "✖ GatewayAvailable is True (Degraded): 1 of 2 pods serve",
            "○ CacheReachable is Unknown",
            "put this right: DatabaseReachable: connection refused",
        ],
    );
    assert!(!text.contains("FraudAvailable"));
}

#[test]
fn without_an_operator_one_is_asked_for() {
    let text = shown(cluster(|whole| whole["status"] = json!({ "observedGeneration": -1 })));
    has(&text, &["no operator has looked at it yet", "kubectl get pods -A -l app.kubernetes.io/name=purser-operator"]);
}

#[test]
fn a_paused_release_says_how_it_goes_on() {
    let text = shown(at("Shifting", |whole| annotate(whole, annotations::PAUSED, "true")));
    has(&text, &["▶ Paused: the release is held where it is", "let it go on: kubectl purser resume payments -n shop"]);
}

#[test]
fn a_new_version_that_was_not_looked_at_is_no_end() {
    let unlooked = at("Finished", |whole| whole["spec"]["version"] = json!("1.5.0"));
    let look = look(unlooked);
    assert_eq!(look.subject().ended(), None);
    has(&tree(&look, now()).render(Screen::default()), &["the operator will look at version 1.5.0"]);
    assert_eq!(summary(&look), "payments 1.5.0 Finished (of 1.4.0)");
}

#[test]
fn the_end_of_a_release_is_told_apart() {
    let ended = |cluster: PaymentCluster| look(cluster).subject().ended();
    assert_eq!(ended(finished()), Some(true));
    assert_eq!(ended(rolled_back("NotReady")), Some(false));
    assert_eq!(ended(awaiting()), None);
    assert_eq!(ended(at("Finished", |whole| whole["metadata"]["generation"] = json!(2))), None);
}

#[test]
fn a_wrong_spec_does_not_undo_the_release_that_serves() {
    let text = shown(at("Finished", |whole| {
        whole["spec"]["version"] = json!("1.5.0");
        whole["status"]["release"]["current"] = json!("1.4.0");
        whole["status"]["conditions"] = json!([condition("Stalled", "True", "SecretMissing", "create it")]);
    }));
    has(&text, &["Version 1.4.0 -> 1.5.0", "Release 1.4.0\n", "✔ Finished", "put this right", "✖ Stalled is True"]);
}

#[test]
fn an_api_server_that_is_away_is_told_beside_what_was_seen_last() {
    let mut look = look(awaiting());
    look.stale = Some("no cluster is reachable".into());
    has(&tree(&look, now()).render(Screen::default()), &["├─ ✖ Not up to date: no cluster is reachable\n"]);
    has(&summary(&look), &["; not up to date: no cluster is reachable"]);
}

#[test]
fn a_summary_is_one_line() {
    let cluster = at("Shifting", |whole| {
        whole["status"]["release"]["shift"] = json!({ "step": 2, "weight": 50, "since": "2026-11-24T12:09:20Z" });
        whole["status"]["replicas"] = json!({ "ready": "3/4", "gateway": 1, "fraud": 1, "processor": 1, "metrics": 0 });
        whole["status"]["waitingOn"] = json!("the step\nlasts");
    });
    let expected = "payments 1.4.0 Shifting; step 2 of 3, 50 % of the traffic; pods 3/4; the step lasts";
    assert_eq!(summary(&look(cluster)), expected);
    has(&summary(&look(rolled_back("SlaBreached"))), &["RolledBack; p99 was 900 ms"]);
}
