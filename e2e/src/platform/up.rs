//! `make up` and `make down`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::{CLUSTER, Gateway, Kubectl, Merchant, NAMESPACE, install, narrate};

/// What [`up`] stands on.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The checkout.
    pub root: &'a Path,
    /// Whether the cluster is this machine's.
    pub local: bool,
    /// Where the cluster pulls images from, when it is not.
    pub registry: Option<&'a str>,
    /// Whether the cluster has just got other images under the same names.
    pub new_images: bool,
}

/// From a running cluster, with its images loaded, to a first payment.
///
/// # Errors
/// When the platform does not become Ready, or the payment does not succeed.
pub async fn up(kubectl: &Kubectl, options: Options<'_>) -> Result<()> {
    let Options { root, local, registry, new_images } = options;
    if !local {
        install::claim(kubectl).await?;
    }
    let started = Instant::now();
    println!("==> Installing the operator (chart charts/purser) and applying examples/quickstart");
    if new_images {
        install::restart(kubectl).await?;
    }
    install::operator(kubectl, root, registry).await?;
    install::quickstart(kubectl, root, registry).await?;
    println!("==> Waiting for PaymentCluster {NAMESPACE}/{CLUSTER}");
    narrate::until_ready(kubectl, NAMESPACE, CLUSTER, Duration::from_secs(180)).await?;

    println!("==> Taking a payment through the gateway's Service");
    let gateway = Gateway::reach(kubectl, local).await?;
    let merchant = Merchant::find_or_create(kubectl, &gateway.base_url).await?;
    let payment = first_payment(&merchant).await?;
    println!("{}", serde_json::to_string_pretty(&payment)?);
    println!("    first payment {} after {:.1} s", payment["status"], started.elapsed().as_secs_f32());
    print!("\n{}", kubectl.run(&["-n", NAMESPACE, "get", "pcl,pprov"]).await?);
    print_next(&merchant, &payment, local, kubectl);
    Ok(())
}

/// Removes what [`up`] put onto a cluster of the user's own.
pub async fn down(kubectl: &Kubectl) -> Result<()> {
    println!("==> Removing the quickstart, the operator and its definitions");
    install::remove(kubectl, false).await
}

async fn first_payment(merchant: &Merchant) -> Result<Value> {
    let unique = jiff::Timestamp::now().as_millisecond().to_string();
    let method = merchant.payment_method(&unique, "pm_card_visa").await?;
    let payment = merchant.pay(&format!("first-payment-{unique}"), &method, "10.50", Duration::from_secs(30)).await?;
    if payment["status"] != "SUCCESS" {
        bail!("the first payment has not succeeded: {payment:#}");
    }
    Ok(payment)
}

fn print_next(merchant: &Merchant, payment: &Value, local: bool, kubectl: &Kubectl) {
    let (url, key) = (&merchant.base_url, &merchant.api_key);
    let method = payment["payment_method_id"].as_str().unwrap_or_default();
    println!("\nThe payment API:  {url}\nIts API key:      {key}\n\nTry next:");
    if let Some(path) = &kubectl.kubeconfig {
        println!("  export KUBECONFIG={}", path.display());
        if let Some(folder) = kubectl.kubectl.parent() {
            println!("  export PATH={}:$PATH    # kubectl and helm", folder.display());
        }
    }
    if !local {
        println!(
            "  kubectl -n {NAMESPACE} port-forward service/{CLUSTER}-gateway {}:80 &",
            url.rsplit(':').next().unwrap_or("8080")
        );
    }
    println!("  kubectl -n {NAMESPACE} describe pcl {CLUSTER}");
    println!(
        "  curl -s {url}/v1/payments -H 'Authorization: Bearer {key}' -H 'Idempotency-Key: order-1' \\\n    \
         -H 'Content-Type: application/json' -d '{{\"amount\":\"12.34\",\"currency\":\"USD\",\"payment_method_id\":\"{method}\"}}'"
    );
    println!(
        "  kubectl -n {NAMESPACE} exec deploy/provider-simulator -- cat /data/charges.jsonl    # what was really charged"
    );
    println!(
        "  kubectl -n {NAMESPACE} patch pprov stripe --type merge -p '{{\"spec\":{{\"active\":false}}}}'    # switch the provider off, live"
    );
    println!("  make down");
}
