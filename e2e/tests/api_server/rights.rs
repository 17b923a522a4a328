//! The operators of these tests have the rights that the chart gives, and no others: `e2e rights` finds what they used of them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::Paths;
use e2e::control_plane::ControlPlane;
use e2e::platform::{Kubectl, OPERATOR_NAMESPACE};
use e2e::progress::wait_for;
use e2e::rights::{documents, render};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

static RENDERED: OnceCell<String> = OnceCell::const_new();
/// Longer than any run of the tests.
const TOKEN_LASTS: &str = "--duration=24h";

/// The kubeconfig of the chart's account.
pub(crate) fn kubeconfig(plane: &ControlPlane) -> PathBuf {
    plane.kubeconfig_path.with_file_name("operator.kubeconfig")
}

/// Gives a control plane the chart's account and roles.
pub(crate) async fn install(plane: &ControlPlane) -> Result<()> {
    let paths = Paths::from_env()?;
    let bin = e2e::tools::ensure(&paths).await?;
    let administrator = Some(plane.kubeconfig_path.clone());
    let kubectl = Kubectl { kubectl: bin.join("kubectl"), helm: bin.join("helm"), kubeconfig: administrator };
    let rendered = RENDERED.get_or_try_init(|| render(&kubectl, &paths)).await?;
    kubectl.run(&["create", "namespace", OPERATOR_NAMESPACE]).await?;
    kubectl.run_with_input(&["apply", "-f", "-"], Some(rendered)).await?;
    let account = account(rendered)?;
    let token = kubectl.run(&["-n", OPERATOR_NAMESPACE, "create", "token", &account, TOKEN_LASTS]).await?;
    let mut document: Value = serde_saphyr::from_str(&fs::read_to_string(&plane.kubeconfig_path)?)?;
    document["users"][0]["user"] = json!({"token": token.trim()});
    fs::write(kubeconfig(plane), document.to_string())?;
    Ok(())
}

fn account(rendered: &str) -> Result<String> {
    let all = documents(rendered)?;
    let account =
        all.iter().find(|document| document["kind"] == "ServiceAccount").context("the chart has no account")?;
    Ok(account["metadata"]["name"].as_str().context("the account has no name")?.to_owned())
}

/// The chart's rights to a lease, which are in the operator's own namespace, in the one of a test as well.
pub(crate) async fn give_lease(client: &Client, namespace: &str) -> Result<()> {
    let rendered = RENDERED.get().context("the chart was not installed")?;
    for mut document in documents(rendered)? {
        let plural = match document["kind"].as_str() {
            Some("Role") => "roles",
            Some("RoleBinding") => "rolebindings",
            _ => continue,
        };
        document["metadata"]["namespace"] = json!(namespace);
        let uri = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}");
        let request = http::Request::post(uri).header("content-type", "application/json");
        client.request::<Value>(request.body(serde_json::to_vec(&document)?)?).await?;
    }
    until_allowed(client, namespace, &account(rendered)?).await
}

/// The API server goes by new roles a moment later.
async fn until_allowed(client: &Client, namespace: &str, account: &str) -> Result<()> {
    let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
        "user": format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{account}"),
        "resourceAttributes": {"namespace": namespace, "verb": "create", "group": "coordination.k8s.io", "resource": "leases"},
    }}))?;
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let allowed = wait_for(Duration::from_secs(20), || async {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        anyhow::Ok(answer.status.filter(|status| status.allowed).map(drop))
    });
    allowed.await.context("the chart's roles do not come into force")
}
