//! TLS in the gateway, with a certificate out of a Secret.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::platform::{NAMESPACE, narrate};
use serde_json::json;

use super::fixture::{Platform, eventually, platform};

#[tokio::test]
async fn a_certificate_makes_the_gateway_speak_tls_and_nothing_else() -> Result<()> {
    let platform = platform().await?;
    if platform.kubectl.kubeconfig.is_none() {
        println!("left out: another cluster's gateway is reached by a port-forward to its plain port");
        return Ok(());
    }
    let missing = json!({"spec": {"gateway": {"tls": {"secretName": "payments-tls"}}}});
    patch(&platform, &missing).await?;
    eventually("the missing Secret is told", Duration::from_secs(15), || async {
        let seen = platform.object("pcl", "payments").await?["status"]["conditions"].to_string();
        Ok((seen.contains("payments-tls") && seen.contains("spec.gateway.tls.secretName"), seen))
    })
    .await?;

    let identity = rcgen::generate_simple_self_signed(["payments.example".to_owned(), "localhost".to_owned()])?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "payments-tls", "namespace": NAMESPACE},
        "stringData": {"tls.crt": identity.cert.pem(), "tls.key": identity.signing_key.serialize_pem()},
    });
    platform.kubectl.run_with_input(&["apply", "-f", "-"], Some(&secret.to_string())).await?;
    let answered = speaks_tls(&platform, &identity.cert.pem()).await;

    // The other stories speak without it.
    patch(&platform, &json!({"spec": {"gateway": {"tls": null}}})).await?;
    platform.kubectl.run(&["-n", NAMESPACE, "delete", "secret", "payments-tls"]).await?;
    narrate::until_ready(&platform.kubectl, NAMESPACE, "payments", Duration::from_secs(90)).await?;
    eventually("the gateway speaks without TLS again", Duration::from_secs(60), || async {
        let answer = reqwest::get(format!("{}/v1/payments", platform.gateway.base_url)).await?;
        Ok((answer.status() == 401, answer.status().to_string()))
    })
    .await?;
    answered
}

async fn speaks_tls(platform: &Platform, certificate: &str) -> Result<()> {
    let port = platform.gateway.base_url.rsplit(':').next().context("no port")?.to_owned();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.as_bytes())?])
        .resolve("payments.example", ([127, 0, 0, 1], 0).into())
        .build()?;
    eventually("the gateway speaks TLS", Duration::from_secs(90), || async {
        let answer = client.get(format!("https://payments.example:{port}/v1/payments")).send().await?;
        let seen = format!("{} over {:?}", answer.status(), answer.version());
        Ok((answer.status() == 401, seen))
    })
    .await?;
    // While pods are replaced one by one, those without a certificate answer too. Each try is a connection of its own, and
    // so may go to another pod.
    eventually("no pod speaks without TLS any more", Duration::from_secs(60), || async {
        for _ in 0..8 {
            if let Ok(answer) = reqwest::get(format!("http://127.0.0.1:{port}/v1/payments")).await {
                return Ok((false, format!("an API key could travel in the clear: {}", answer.status())));
            }
        }
        Ok((true, String::new()))
    })
    .await?;
    narrate::until_ready(&platform.kubectl, NAMESPACE, "payments", Duration::from_secs(90)).await
}

async fn patch(platform: &Platform, change: &serde_json::Value) -> Result<()> {
    let change = change.to_string();
    platform.kubectl.run(&["-n", NAMESPACE, "patch", "pcl/payments", "--type=merge", "-p", &change]).await.map(drop)
}
