//! `kubectl purser` as a process against the real API server.

use anyhow::{Context, Result};
use e2e::progress::wait_for;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::fixture::{minimal_cluster, quick_release, untyped};
use super::log_node::LogNode;
use super::operator::Stage;
use super::plugin_process::{LIMIT, end_of, is_refused, line_of, purser, start, succeeds};

/// What the operator would write, in a namespace that has none.
async fn set_status(stage: &Stage, status: Value) -> Result<()> {
    let api = untyped(&stage.client, &stage.namespace, "PaymentCluster");
    api.patch_status("payments", &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await?;
    Ok(())
}

async fn annotations(stage: &Stage) -> Result<Value> {
    let mut resource = stage.resource("PaymentCluster", "payments").await?;
    Ok(resource["metadata"]["annotations"].take())
}

/// Without an operator: 0.1.0 serves, and 0.2.0 is in a stage.
async fn by_hand(at: &str) -> Result<Stage> {
    on_stage_by_hand(Stage::empty().await?, at).await
}

async fn on_stage_by_hand(stage: Stage, at: &str) -> Result<Stage> {
    let mut manifest = minimal_cluster("payments");
    manifest["spec"]["version"] = json!("0.2.0");
    manifest["spec"]["rollout"] = json!({"approval": "Required"});
    stage.create("PaymentCluster", manifest).await?;
    let release = json!({"current": "0.1.0", "target": "0.2.0", "stageSince": "2026-11-24T12:00:00Z"});
    set_status(&stage, json!({"observedGeneration": 1, "stage": at, "release": release, "conditions": []})).await?;
    Ok(stage)
}

#[tokio::test]
async fn a_release_that_waits_is_shown_and_approved_in_a_person_s_name_and_followed_to_its_end() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    let shown = succeeds(&stage, &["status"]).await?;
    assert!(shown.contains("✔ Finished") && shown.contains("✔ gateway   0.1.0  2/2 ready"), "{shown}");
    is_refused(&stage, &["approve"], "nothing waits for approval: spec.rollout.approval of payments is NotRequired")
        .await?;

    let mut wanted = quick_release("0.2.0");
    wanted["spec"]["rollout"]["approval"] = json!("Required");
    stage.change("PaymentCluster", "payments", wanted).await?;
    stage.until("PaymentCluster", "payments", |resource| resource["status"]["stage"] == "AwaitingApproval").await?;
    let shown = succeeds(&stage, &["status", "payments"]).await?;
    let agree = format!("agree: kubectl purser approve payments -n {} --version 0.2.0\n", stage.namespace);
    assert!(shown.contains("▶ AwaitingApproval") && shown.contains(&agree), "{shown}");
    assert!(!shown.contains('\x1b'), "this is no terminal: {shown}");
    is_refused(&stage, &["approve", "--version", "0.3.0"], "release 0.2.0 waits for approval, not 0.3.0").await?;
    is_refused(&stage, &["retry"], "nothing failed that could be tried again").await?;

    let watched = start(&stage.plane.kubeconfig_path, &stage.namespace, &["status", "--until-done"])?;
    assert_eq!(succeeds(&stage, &["approve", "--version", "0.2.0"]).await?, "release 0.2.0 of payments is approved\n");
    let resource = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(resource["metadata"]["annotations"]["purser.dev/approved-version"], "0.2.0");
    let holds =
        |entry: &&Value| !entry["fieldsV1"]["f:metadata"]["f:annotations"]["f:purser.dev/approved-version"].is_null();
    let manager = resource["metadata"]["managedFields"].as_array().into_iter().flatten().find(holds);
    assert_eq!(manager.context("nobody manages the annotation")?["manager"], "kubectl-purser:admin");

    let watched = end_of(watched).await?;
    assert_eq!((watched.code, watched.err.as_str()), (Some(0), ""), "{watched:?}");
    let lines: Vec<_> = watched.out.lines().collect();
    assert!(lines[0].contains("payments 0.2.0 AwaitingApproval"), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.contains("payments 0.2.0 Finished")), "{lines:?}");
    Ok(())
}

#[tokio::test]
async fn each_decision_is_an_annotation_and_the_last_word_counts() -> Result<()> {
    let stage = by_hand("AwaitingApproval").await?;
    succeeds(&stage, &["reject", "--version", "0.2.0"]).await?;
    assert_eq!(annotations(&stage).await?, json!({"purser.dev/rejected-version": "0.2.0"}));
    assert!(succeeds(&stage, &["status"]).await?.contains("0.2.0 is rejected; the operator has not taken it up yet"));
    succeeds(&stage, &["approve"]).await?;
    assert_eq!(annotations(&stage).await?, json!({"purser.dev/approved-version": "0.2.0"}));

    set_status(
        &stage,
        json!({"stage": "Shifting", "release": {"shift": {
            "step": 1, "weight": 10, "since": "2026-11-24T12:00:00Z",
        }}}),
    )
    .await?;
    succeeds(&stage, &["pause"]).await?;
    assert_eq!(annotations(&stage).await?["purser.dev/paused"], "true");
    is_refused(&stage, &["pause"], "paused already").await?;
    assert!(succeeds(&stage, &["status"]).await?.contains("▶ Shifting: 10 % of the traffic"));
    succeeds(&stage, &["resume"]).await?;
    assert_eq!(annotations(&stage).await?, json!({"purser.dev/approved-version": "0.2.0"}));
    is_refused(&stage, &["rollback"], "gives it up").await?;
    succeeds(&stage, &["abort"]).await?;
    assert_eq!(annotations(&stage).await?["purser.dev/abandoned-version"], "0.2.0");
    set_status(&stage, json!({"stage": "RollingBack"})).await?;
    is_refused(&stage, &["abort"], "release 0.2.0 of payments is RollingBack").await?;

    let abandoned = json!({"version": "0.2.0", "why": "Aborted", "message": "somebody", "at": "2026-11-24T12:00:00Z"});
    set_status(&stage, json!({"stage": "RolledBack", "release": {"abandoned": abandoned}})).await?;
    let said = purser(&stage, &["status", "--until-done"]).await?;
    assert_eq!(said.code, Some(1), "it was rolled back: {said:?}");
    succeeds(&stage, &["retry"]).await?;
    let left = annotations(&stage).await?;
    assert!(left["purser.dev/abandoned-version"].is_null() && left["purser.dev/retry"].is_string(), "{left}");

    let kept = json!({"current": "0.2.0", "abandoned": null, "kept": {"version": "0.1.0"}});
    set_status(&stage, json!({"stage": "Finished", "release": kept})).await?;
    is_refused(&stage, &["abort"], "brings 0.1.0 back").await?;
    succeeds(&stage, &["rollback"]).await?;
    assert_eq!(annotations(&stage).await?["purser.dev/abandoned-version"], "0.2.0");
    Ok(())
}

#[tokio::test]
async fn waiting_ends_when_the_operator_has_done_it_or_with_a_sentence() -> Result<()> {
    let stage = by_hand("AwaitingApproval").await?;
    let said = purser(&stage, &["approve", "--wait", "--timeout", "1s"]).await?;
    let told =
        said.err.contains("it is decided, but the operator has not done it within 1s: payments 0.2.0 AwaitingApproval");
    assert!(said.code == Some(1) && told, "{said:?}");

    let waits = start(&stage.plane.kubeconfig_path, &stage.namespace, &["reject", "--wait"])?;
    let rejected = |resource: &Value| resource["metadata"]["annotations"]["purser.dev/rejected-version"] == "0.2.0";
    stage.until("PaymentCluster", "payments", rejected).await?;
    let abandoned = json!({"version": "0.2.0", "why": "Rejected", "message": "no", "at": "2026-11-24T12:00:00Z"});
    set_status(&stage, json!({"stage": "RolledBack", "release": {"abandoned": abandoned}})).await?;
    let waits = end_of(waits).await?;
    assert!(waits.code == Some(0) && waits.out.ends_with("done\n"), "{waits:?}");
    is_refused(&stage, &["approve"], "release 0.2.0 of payments was rejected; `kubectl purser retry payments").await
}

#[tokio::test]
async fn status_and_history_come_as_data_too() -> Result<()> {
    let stage = by_hand("Deploying").await?;
    assert_eq!(succeeds(&stage, &["history"]).await?, "no release of payments has ended yet\n");
    assert_eq!(succeeds(&stage, &["history", "-o", "json"]).await?, "[]\n");
    let history = json!([{
        "version": "0.1.0", "result": "Succeeded", "message": "it serves",
        "startedAt": "2026-11-20T12:00:00Z", "endedAt": "2026-11-20T12:01:30Z",
        "figures": {"payments": 7, "tps": "0.1", "p99Ms": "12.5", "successRate": "100"},
    }]);
    set_status(&stage, json!({"release": {"history": history}})).await?;
    let table = succeeds(&stage, &["history", "payments"]).await?;
    let row: Vec<_> = table.lines().nth(1).context("no row")?.split_whitespace().collect();
    assert_eq!(row[..3], ["0.1.0", "-", "Succeeded"], "{table}");
    assert_eq!(row[row.len() - 8..], ["90s", "7", "12.5", "ms", "100", "%", "it", "serves"], "{table}");
    let as_json: Value = serde_json::from_str(&succeeds(&stage, &["history", "-o", "json"]).await?)?;
    assert_eq!(as_json, history);

    let status = stage.resource("PaymentCluster", "payments").await?["status"].take();
    let as_json: Value = serde_json::from_str(&succeeds(&stage, &["status", "-o", "json"]).await?)?;
    let as_yaml: Value = serde_saphyr::from_str(&succeeds(&stage, &["status", "-o", "yaml"]).await?)?;
    assert_eq!((&as_json, &as_yaml), (&status, &status));
    assert!(succeeds(&stage, &["status", "--color", "always"]).await?.contains("\x1b[32m✔ "));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_done_is_told_in_one_sentence() -> Result<()> {
    let stage = Stage::empty().await?;
    let space = stage.namespace.clone();
    is_refused(&stage, &["status"], &format!("there is no PaymentCluster in namespace \"{space}\"")).await?;
    is_refused(&stage, &["status", "payments"], "there is no paymentclusters.purser.dev \"payments\"").await?;
    stage.create("PaymentCluster", minimal_cluster("eins")).await?;
    is_refused(&stage, &["approve"], "no operator has looked at eins yet").await?;
    stage.create("PaymentCluster", minimal_cluster("zwei")).await?;
    is_refused(&stage, &["approve"], "several PaymentClusters, so one has to be named: eins, zwei").await?;
    is_refused(&stage, &["history", "drei"], "there is no PaymentCluster \"drei\"").await?;
    is_refused(&stage, &["history", "drei"], "there is: eins, zwei").await?;
    is_refused(&stage, &["status", "--context", "nowhere"], "cannot connect to a cluster: ").await?;
    is_refused(&stage, &["status", "--kubeconfig", "/nowhere"], "cannot connect to a cluster: ").await?;
    let usage = purser(&stage, &["status", "--watch", "-o", "json"]).await?;
    assert_eq!(usage.code, Some(2), "{usage:?}");

    let folder = tempfile::tempdir()?;
    let mut document: Value = serde_saphyr::from_str(&std::fs::read_to_string(&stage.plane.kubeconfig_path)?)?;
    let token = token_of_nobody(&stage).await?;
    document["users"][0]["user"] = json!({"token": token});
    let stranger = folder.path().join("stranger");
    std::fs::write(&stranger, document.to_string())?;
    let said = end_of(start(&stranger, &space, &["status", "eins"])?).await?;
    let forbidden =
        format!("error: you are forbidden to get paymentclusters.purser.dev \"eins\" in namespace \"{space}\": ");
    assert!(said.code == Some(1) && said.err.starts_with(&forbidden), "{said:?}");

    // With the right to decide and none to look at pods, the rest is shown, and the name stands for it.
    let account = format!("system:serviceaccount:{space}:nobody");
    may_decide(&stage, "nobody").await?;
    let allowed = || async {
        let said = end_of(start(&stranger, &space, &["status", "eins"])?).await?;
        Ok((said.code == Some(0)).then_some(said.out))
    };
    let shown = wait_for(LIMIT, allowed).await?;
    assert!(shown.contains("Pods are not shown: you are forbidden to list pods in namespace"), "{shown}");
    let status = json!({"stage": "Finished", "release": {"current": "0.1.0", "target": "0.1.0"}, "conditions": []});
    let clusters = untyped(&stage.client, &space, "PaymentCluster");
    clusters.patch_status("eins", &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await?;
    let said = end_of(start(&stranger, &space, &["pause", "eins"])?).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let managers = stage.resource("PaymentCluster", "eins").await?["metadata"]["managedFields"].take();
    assert!(managers.to_string().contains(&format!("\"kubectl-purser:{account}\"")), "{managers}");

    // A port that nothing listens on: it was given to somebody, and given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    document["clusters"][0]["cluster"]["server"] = json!(format!("https://127.0.0.1:{port}"));
    let nowhere = folder.path().join("nowhere");
    std::fs::write(&nowhere, document.to_string())?;
    let said = end_of(start(&nowhere, &space, &["status"])?).await?;
    let unreachable = format!("error: no cluster is reachable at https://127.0.0.1:{port}: ");
    assert!(said.code == Some(1) && said.err.starts_with(&unreachable), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn logs_are_those_of_the_pods_that_are_meant_and_of_pods_that_come_later() -> Result<()> {
    let stage = by_hand("Deploying").await?;
    let node = format!("node-of-{}", stage.namespace);
    let _logs = LogNode::start(stage.plane, &stage.client, &node).await?;
    is_refused(&stage, &["logs"], "payments has no such pods").await?;
    for (name, role, release) in
        [("a", "gateway", "0.1.0"), ("b", "gateway", "0.2.0"), ("c", "fraud", "0.2.0"), ("d", "migrate", "0.2.0")]
    {
        pod(&stage, &node, name, role, release).await?;
    }
    let path = |pod: &str| format!("[{pod}] asked for /containerLogs/{}/{pod}/purser", stage.namespace);
    let all = succeeds(&stage, &["logs", "payments"]).await?;
    assert_eq!(all, ["a", "b", "c"].map(|pod| format!("{}\n", path(pod))).concat());
    let one = succeeds(&stage, &["logs", "--role", "gateway", "--release", "0.2.0", "--tail", "5"]).await?;
    assert_eq!(one, format!("{}?tailLines=5\n", path("b")));
    assert_eq!(succeeds(&stage, &["logs", "--role", "migrate"]).await?, format!("{}\n", path("d")));

    let mut follows = start(&stage.plane.kubeconfig_path, &stage.namespace, &["logs", "--role", "fraud", "-f"])?;
    let mut lines = BufReader::new(follows.stdout.take().context("no output")?).lines();
    assert_eq!(line_of(&mut lines).await?, format!("{}?follow=true", path("c")));
    pod(&stage, &node, "e", "fraud", "0.2.0").await?;
    assert_eq!(line_of(&mut lines).await?, format!("{}?follow=true", path("e")));
    Ok(())
}

#[tokio::test]
async fn watching_outlives_the_api_server_and_says_when_it_sees_nothing() -> Result<()> {
    let stage = on_stage_by_hand(Stage::empty_on_own_plane().await?, "Deploying").await?;
    let mut watches = start(&stage.plane.kubeconfig_path, &stage.namespace, &["status", "--watch"])?;
    let mut lines = BufReader::new(watches.stdout.take().context("no output")?).lines();
    assert!(line_of(&mut lines).await?.ends_with("Z payments 0.2.0 Deploying"));
    stage.plane.kill_apiserver()?;
    let away = line_of(&mut lines).await?;
    assert!(away.contains("payments 0.2.0 Deploying; not up to date: "), "{away}");
    stage.plane.start_apiserver().await?;
    set_status(&stage, json!({"stage": "Monitoring"})).await?;
    while !line_of(&mut lines).await?.ends_with("Z payments 0.2.0 Monitoring") {}
    Ok(())
}

/// Of the PaymentCluster, on the node that has logs.
async fn pod(stage: &Stage, node: &str, name: &str, role: &str, release: &str) -> Result<()> {
    // Any pod is refused until the controller manager has made the namespace's account.
    let account = || async { Ok(stage.object("api/v1", "serviceaccounts/default").await?.map(drop)) };
    wait_for(LIMIT, account).await?;
    let labels = json!({
        "app.kubernetes.io/name": "purser", "app.kubernetes.io/instance": "payments",
        "app.kubernetes.io/component": role, "purser.dev/release": release,
    });
    let pod = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "purser", "image": "purser"}]},
    });
    let api: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    Ok(())
}

/// Gives the rights that a decision needs.
async fn may_decide(stage: &Stage, account: &str) -> Result<()> {
    let role = json!({
        "metadata": {"name": account},
        "rules": [{"apiGroups": ["purser.dev"], "resources": ["paymentclusters"], "verbs": ["get", "list", "patch"]}],
    });
    let binding = json!({
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": stage.namespace}],
    });
    let roles: Api<Role> = Api::namespaced(stage.client.clone(), &stage.namespace);
    roles.create(&PostParams::default(), &serde_json::from_value(role)?).await?;
    let bindings: Api<RoleBinding> = Api::namespaced(stage.client.clone(), &stage.namespace);
    bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    Ok(())
}

/// Of somebody who may do nothing.
async fn token_of_nobody(stage: &Stage) -> Result<String> {
    let api: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": "nobody"}}))?;
    api.create(&PostParams::default(), &account).await?;
    let request = serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 600}}))?;
    let answer = api.create_token_request("nobody", &PostParams::default(), &request).await?;
    Ok(answer.status.context("no token")?.token)
}
