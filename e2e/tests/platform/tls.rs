//! TLS in the gateway, with a certificate out of a Secret.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::platform::{NAMESPACE, narrate};
use e2e::releases::{FIRST, as_before, blue_green, status, until_stage};
use serde_json::json;

use super::fixture::{Platform, eventually, platform};

#[tokio::test]
async fn a_certificate_makes_the_gateway_speak_tls_and_nothing_else() -> Result<()> {
    let platform = platform().await?;
    if platform.kubectl.kubeconfig.is_none() {
        println!("left out: another cluster's gateway is reached by a port-forward to its plain port");
        return Ok(());
    }
    // Nobody pays meanwhile, so nobody could judge the release that it is.
    let sla = json!({"window": "10s", "minSamples": 0});
    let missing = json!({"spec": {
        "gateway": {"tls": {"secretName": "payments-tls"}}, "rollout": blue_green(), "sla": sla,
    }});
    platform.kubectl.patch(NAMESPACE, "pcl/payments", &missing).await?;
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
    platform.kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"gateway": {"tls": null}}})).await?;
    until_stage(&platform.kubectl, FIRST, &["Finished"]).await?;
    as_before(&platform.kubectl).await?;
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
    // Each try is a connection of its own, and so may go to another pod.
    eventually("no pod speaks without TLS any more", Duration::from_secs(60), || async {
        for _ in 0..8 {
            if let Ok(answer) = reqwest::get(format!("http://127.0.0.1:{port}/v1/payments")).await {
                return Ok((false, format!("an API key could travel in the clear: {}", answer.status())));
            }
        }
        Ok((true, String::new()))
    })
    .await?;
    eventually("the configuration has taken over as a release", Duration::from_secs(90), || async {
        let status = status(&platform.kubectl).await?;
        let current = status["release"]["current"].as_str().unwrap_or_default().to_owned();
        Ok((current.starts_with("0.1.0-r") && status["stage"] == "Finished", format!("{current} {}", status["stage"])))
    })
    .await
    .map(drop)
}
