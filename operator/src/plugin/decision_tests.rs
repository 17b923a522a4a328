//! May this be decided now, and which annotations follow?

use crds::PaymentCluster;
use serde_json::{Value, json};

use super::*;
use crate::plugin::test_data::{at, awaiting, cluster, condition, finished, rolled_back};

fn decided(wish: &Wish, cluster: &PaymentCluster) -> Decision {
    decide(wish, Subject { cluster, flags: "" }).unwrap()
}

fn refused(wish: &Wish, cluster: &PaymentCluster) -> String {
    decide(wish, Subject { cluster, flags: "" }).unwrap_err()
}

fn annotated(mut cluster: PaymentCluster, key: &str, value: &str) -> PaymentCluster {
    cluster.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
    cluster
}

fn approve(version: Option<&str>) -> Wish {
    Wish::Approve(version.map(str::to_owned))
}

fn only(key: &'static str, value: &str) -> Annotations {
    [(key, Some(value.to_owned()))].into()
}

#[test]
fn the_version_that_waits_is_the_one_that_is_agreed_to() {
    for meant in [None, Some("1.4.0")] {
        let decision = decided(&approve(meant), &awaiting());
        assert_eq!(decision.annotations, only(annotations::APPROVED, "1.4.0"));
        assert_eq!(decision.told, "release 1.4.0 of payments is approved");
    }
    assert_eq!(refused(&approve(Some("1.5.0")), &awaiting()), "release 1.4.0 waits for approval, not 1.5.0");
}

#[test]
fn a_release_that_changed_the_schema_offline_is_not_given_up_once_payments_were_accepted() {
    let maintenance = |until: Value| {
        at("Monitoring", |whole| {
            whole["status"]["release"]["preparation"] = json!({ "maintenance": {
                "since": "2026-11-24T12:00:00Z", "isMigrating": true, "until": until,
            } });
        })
    };
    let open = maintenance(json!("2026-11-24T12:02:00Z"));
    assert!(refused(&Wish::Abort, &open).contains("cannot go back without losing them"));
    assert_eq!(decided(&Wish::Abort, &maintenance(Value::Null)).annotations, only(annotations::ABANDONED, "1.4.0"));
}

#[test]
fn the_last_word_counts() {
    let cluster = annotated(awaiting(), annotations::REJECTED, "1.4.0");
    let approved: Annotations = [(annotations::APPROVED, Some("1.4.0".into())), (annotations::REJECTED, None)].into();
    assert_eq!(decided(&approve(None), &cluster).annotations, approved);
    let cluster = annotated(awaiting(), annotations::APPROVED, "1.4.0");
    let rejected: Annotations = [(annotations::REJECTED, Some("1.4.0".into())), (annotations::APPROVED, None)].into();
    assert_eq!(decided(&Wish::Reject(None), &cluster).annotations, rejected);
    let of_another = annotated(awaiting(), annotations::REJECTED, "1.3.9");
    assert_eq!(decided(&approve(None), &of_another).annotations, only(annotations::APPROVED, "1.4.0"));
}

#[test]
fn where_nothing_waits_nothing_is_approved_or_rejected() {
    let unlooked = at("Finished", |whole| whole["spec"]["version"] = json!("1.5.0"));
    let required = at("Migrating", |whole| whole["spec"]["rollout"]["approval"] = json!("Required"));
    let cases = [
        (cluster(|_| {}), "NotRequired, and release 1.4.0 of payments is Deploying"),
        (required, "nothing waits for approval: release 1.4.0 of payments is Migrating"),
        (rolled_back("Rejected"), "release 1.4.0 of payments was rejected; `kubectl purser retry payments -n shop`"),
        (unlooked, "version 1.5.0 of payments is wanted, and the operator has not begun with it"),
        (cluster(|whole| drop(whole["status"].take())), "no operator has looked at payments yet"),
    ];
    for (cluster, words) in cases {
        for wish in [approve(None), Wish::Reject(None)] {
            let refusal = refused(&wish, &cluster);
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}

#[test]
fn a_release_on_its_way_can_be_given_up() {
    for stage in ["AwaitingApproval", "Migrating", "Deploying", "Shifting", "Monitoring"] {
        let decision = decided(&Wish::Abort, &at(stage, |_| {}));
        assert_eq!(decision.annotations, only(annotations::ABANDONED, "1.4.0"), "{stage}");
        assert!(decision.told.contains("1.4.0 of payments is given up, and 1.3.0 serves"), "{}", decision.told);
    }
    let watched = at("Monitoring", |whole| {
        whole["status"]["release"]["current"] = json!("1.4.0");
        whole["status"]["release"]["kept"] = json!({ "version": "1.3.0" });
    });
    assert!(decided(&Wish::Abort, &watched).told.contains("1.3.0 serves"));
    let first = at("Deploying", |whole| drop(whole["status"]["release"]["current"].take()));
    assert!(decided(&Wish::Abort, &first).told.contains("nothing served before it"));
}

#[test]
fn what_is_not_on_its_way_is_not_given_up() {
    let settings = at("Deploying", |whole| whole["status"]["release"]["current"] = json!("1.4.0"));
    let unkept = at("Monitoring", |whole| whole["status"]["release"]["current"] = json!("1.4.0"));
    let cases = [
        (at("Validating", |_| {}), "has not begun"),
        (at("RollingBack", |_| {}), "release 1.4.0 of payments is RollingBack"),
        (rolled_back("Aborted"), "release 1.4.0 of payments is RolledBack"),
        (finished(), "`kubectl purser rollback payments -n shop` brings 1.3.0 back"),
        (settings, "only follows a change of its settings"),
        (unkept, "no release before it is kept"),
    ];
    for (cluster, words) in cases {
        let refusal = refused(&Wish::Abort, &cluster);
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[test]
fn a_release_that_serves_is_taken_back_while_the_one_before_is_kept() {
    let decision = decided(&Wish::Rollback, &finished());
    assert_eq!(decision.annotations, only(annotations::ABANDONED, "1.4.0"));
    assert!(decision.told.contains("1.3.0 serves"), "{}", decision.told);

    let unkept = at("Finished", |whole| whole["status"]["release"]["current"] = json!("1.4.0"));
    let first = at("Deploying", |whole| drop(whole["status"]["release"]["current"].take()));
    let cases = [
        (unkept, "no release before 1.4.0 of payments is kept any more; to go back, set spec.version"),
        (cluster(|_| {}), "`kubectl purser abort payments -n shop` gives it up"),
        (rolled_back("SlaBreached"), "release 1.4.0 of payments is RolledBack: release 1.3.0 serves"),
        (first, "no release of payments serves yet"),
    ];
    for (cluster, words) in cases {
        let refusal = refused(&Wish::Rollback, &cluster);
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[test]
fn what_failed_is_tried_again_and_nothing_else() {
    let retry = Wish::Retry("now".into());
    let given_up = annotated(rolled_back("Aborted"), annotations::ABANDONED, "1.4.0");
    let expected: Annotations = [(annotations::RETRY, Some("now".into())), (annotations::ABANDONED, None)].into();
    assert_eq!(decided(&retry, &given_up).annotations, expected);
    let rejected = annotated(rolled_back("Rejected"), annotations::REJECTED, "1.4.0");
    let expected: Annotations = [(annotations::RETRY, Some("now".into())), (annotations::REJECTED, None)].into();
    assert_eq!(decided(&retry, &rejected).annotations, expected);
    let has = |name: &'static str, status: &'static str| {
        move |whole: &mut Value| whole["status"]["conditions"] = json!([condition(name, status, "R", "m")])
    };
    for failed in [at("Migrating", has("SchemaReady", "False")), at("Migrating", has("Stalled", "True"))] {
        assert_eq!(decided(&retry, &failed).annotations, only(annotations::RETRY, "now"));
    }
    assert!(refused(&retry, &finished()).contains("nothing failed that could be tried again"));
    assert!(refused(&retry, &at("RollingBack", |_| {})).contains("try again when that is done"));
}

#[test]
fn pause_and_resume_are_each_other_s_end() {
    let paused = annotated(cluster(|_| {}), annotations::PAUSED, "true");
    let decision = decided(&Wish::Pause, &cluster(|_| {}));
    assert_eq!(decision.annotations, only(annotations::PAUSED, "true"));
    assert!(decision.told.contains("release 1.4.0 is held where it is"), "{}", decision.told);
    assert!(decided(&Wish::Pause, &finished()).told.contains("the next release will be held"));
    assert_eq!(decided(&Wish::Resume, &paused).annotations, [(annotations::PAUSED, None)].into());
    assert!(refused(&Wish::Pause, &paused).contains("paused already"));
    assert!(refused(&Wish::Resume, &cluster(|_| {})).contains("payments is not paused"));
}

#[test]
fn a_decision_has_taken_effect_when_the_status_says_so() {
    let has_come = |effect: &Effect, cluster: &PaymentCluster| effect.has_come(Subject { cluster, flags: "" });
    let begun = Effect::Begun("1.4.0".into());
    assert!(!has_come(&begun, &awaiting()));
    assert!(has_come(&begun, &at("Migrating", |_| {})));
    assert!(!has_come(&Effect::Begun("1.5.0".into()), &at("Migrating", |_| {})));
    let abandoned = Effect::Abandoned("1.4.0".into());
    assert!(!has_come(&abandoned, &at("RollingBack", |_| {})));
    assert!(has_come(&abandoned, &rolled_back("Aborted")));
    assert!(!has_come(&Effect::TriedAgain, &rolled_back("Aborted")));
    assert!(has_come(&Effect::TriedAgain, &at("Validating", |_| {})));
}
