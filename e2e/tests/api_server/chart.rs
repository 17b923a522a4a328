//! The chart: linted, rendered with its defaults and with everything on, and every object accepted by a real API server.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use e2e::Paths;
use e2e::platform::Kubectl;
use e2e::progress::wait_for;

use super::fixture::{control_plane, minimal_cluster};
use super::operator::{Operator, Stage};

async fn chart() -> Result<(Kubectl, String, Paths)> {
    let paths = Paths::from_env()?;
    let bin = e2e::tools::ensure(&paths).await?;
    let kubeconfig = Some(control_plane().await?.kubeconfig_path.clone());
    let kubectl = Kubectl { kubectl: bin.join("kubectl"), helm: bin.join("helm"), kubeconfig };
    let chart = paths.repository.join("charts/purser").to_str().context("the checkout's path is not UTF-8")?.to_owned();
    Ok((kubectl, chart, paths))
}

#[tokio::test]
async fn the_chart_passes_helms_strict_lint() -> Result<()> {
    let (kubectl, chart, _) = chart().await?;
    kubectl.helm(&["lint", "--strict", &chart]).await?;
    Ok(())
}

#[tokio::test]
async fn every_rendered_object_is_accepted_by_the_api_server() -> Result<()> {
    let (kubectl, chart, _) = chart().await?;
    let namespace = "default";
    for values in
        [&[][..], &["--set", "watchNamespace=default,crds.keep=false,networkPolicy.enabled=true,replicas=3"][..]]
    {
        let rendered = kubectl.helm(&[&["template", "purser", &chart, "-n", namespace], values].concat()).await?;
        assert!(rendered.contains("kind: NetworkPolicy") && rendered.contains("kind: CustomResourceDefinition"));
        let strict = [
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "--server-side",
            "--force-conflicts",
            "-n",
            namespace,
            "-f",
            "-",
        ];
        kubectl.run_with_input(&strict, Some(&rendered)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_operators_pods_meet_pod_security_restricted() -> Result<()> {
    let (kubectl, chart, _) = chart().await?;
    let enforced = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"strict","labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}"#;
    kubectl.run_with_input(&["apply", "-f", "-"], Some(enforced)).await?;
    let rendered =
        kubectl.helm(&["template", "purser", &chart, "-n", "strict", "-s", "templates/deployment.yaml"]).await?;
    let pod = pod_of(&rendered)?;
    // Any pod is refused until the controller manager has made the namespace's account, and admission has seen it.
    let accepted = wait_for(Duration::from_secs(20), || async {
        let dry_run = ["apply", "--dry-run=server", "-n", "strict", "-f", "-"];
        match kubectl.run_with_input(&dry_run, Some(&pod)).await {
            Err(error) if format!("{error:#}").contains("\"default\" not found") => Ok(None),
            answer => Ok(Some(answer)),
        }
    });
    accepted.await?.map(drop)
}

/// The pod that a Deployment would make; only a pod is refused by Pod Security.
fn pod_of(deployment: &str) -> Result<String> {
    let deployment: serde_json::Value = serde_saphyr::from_str(deployment)?;
    let mut template = deployment["spec"]["template"].clone();
    template["apiVersion"] = "v1".into();
    template["kind"] = "Pod".into();
    template["metadata"]["name"] = "operator".into();
    template["spec"]["serviceAccountName"] = "default".into();
    Ok(template.to_string())
}

#[tokio::test]
async fn values_that_the_schema_does_not_know_are_refused() -> Result<()> {
    let (kubectl, chart, _) = chart().await?;
    for value in ["replicaCount=2", "replicas=0", "image.pullPolicy=Sometimes"] {
        let error = kubectl.helm(&["template", "purser", &chart, "--set", value]).await.err();
        let error = format!("{:#}", error.with_context(|| format!("{value} was accepted"))?);
        assert!(error.contains("values don't meet the specifications of the schema"), "{value}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn the_chart_never_asks_to_list_secrets_or_to_change_definitions() -> Result<()> {
    let (kubectl, chart, _) = chart().await?;
    let rendered = kubectl.helm(&["template", "purser", &chart, "-s", "templates/rbac.yaml"]).await?;
    for document in rendered.split("\n---").filter(|text| text.contains("rules:")) {
        let role: serde_json::Value = serde_saphyr::from_str(document)?;
        for rule in role["rules"].as_array().into_iter().flatten() {
            let text = rule.to_string();
            assert!(!text.contains('*'), "a wildcard: {text}");
            assert!(!text.contains("customresourcedefinitions"), "{text}");
            if text.contains("secrets") {
                assert_eq!(rule["verbs"], serde_json::json!(["get"]), "{text}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_definitions_in_the_chart_are_those_of_crds() -> Result<()> {
    let root = Paths::from_env()?.repository;
    for name in ["paymentclusters.purser.dev.yaml", "paymentproviders.purser.dev.yaml"] {
        let source = fs::read_to_string(root.join("crds").join(name))?;
        let copy = fs::read_to_string(root.join("charts/purser/files/crds").join(name)).unwrap_or_default();
        assert!(source == copy, "charts/purser/files/crds/{name} is stale; run `make generate` and commit");
    }
    Ok(())
}

/// The operator with the chart's rights in one namespace and none outside of it.
#[tokio::test]
async fn an_operator_of_one_namespace_needs_no_right_beyond_it() -> Result<()> {
    let (kubectl, chart, _) = chart().await?;
    let stage = Stage::empty().await?;
    let (namespace, watch) = (stage.namespace.as_str(), format!("watchNamespace={}", stage.namespace));
    let name = format!("fullnameOverride=operator-{namespace}");
    for template in ["templates/serviceaccount.yaml", "templates/rbac.yaml"] {
        let arguments =
            ["template", "purser", &chart, "-n", namespace, "--set", &watch, "--set", &name, "-s", template];
        let rendered = kubectl.helm(&arguments).await?;
        kubectl.run_with_input(&["apply", "-f", "-"], Some(&rendered)).await?;
    }
    let token = kubectl.run(&["-n", namespace, "create", "token", &format!("operator-{namespace}")]).await?;
    let mut kubeconfig: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(&stage.plane.kubeconfig_path)?)?;
    kubeconfig["users"][0]["user"] = serde_json::json!({"token": token.trim()});
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    fs::write(&file, kubeconfig.to_string())?;
    stage.create("PaymentCluster", minimal_cluster("payments")).await?;
    let _operator = Operator::start_as(&file, namespace, "restricted")?;
    stage.until_ready().await?;
    let events = stage.object("apis/events.k8s.io/v1", "events").await?.context("no list of events")?;
    let told = |event: &serde_json::Value| event["reportingController"] == "purser-operator";
    assert!(events["items"].as_array().is_some_and(|events| events.iter().any(told)), "it may not tell events");
    Ok(())
}
