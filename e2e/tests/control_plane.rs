//! The temporary control plane that the operator's tests stand on.

use std::{collections::BTreeMap, fs, net::TcpStream};

use anyhow::{Context as _, Result};
use e2e::control_plane::ControlPlane;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};

fn config_map(name: &str) -> ConfigMap {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    ConfigMap { metadata, data: Some(BTreeMap::from([("key".to_owned(), "value".to_owned())])), ..ConfigMap::default() }
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

/// How often the audit log tells of a config map of that name.
fn writes_of(plane: &ControlPlane, name: &str) -> Result<usize> {
    let log = fs::read_to_string(plane.audit_log()).context("cannot read the audit log")?;
    let mut count = 0;
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line)?;
        let object = &event["objectRef"];
        count += usize::from(object["resource"] == "configmaps" && object["name"] == name);
    }
    Ok(count)
}

#[tokio::test]
async fn what_was_written_before_the_api_server_was_killed_is_there_after_it() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let client = plane.client().await?;
    maps(&client).create(&PostParams::default(), &config_map("kept")).await?;

    plane.kill_apiserver()?;
    assert!(maps(&client).get("kept").await.is_err(), "a killed server answers");
    plane.start_apiserver().await?;

    let found = maps(&plane.client().await?).get("kept").await?;
    assert_eq!(found.data, config_map("kept").data);
    Ok(())
}

#[tokio::test]
async fn the_audit_log_counts_writes_and_no_reads() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let client = plane.client().await?;
    maps(&client).create(&PostParams::default(), &config_map("counted")).await?;
    for _ in 0..5 {
        maps(&client).get("counted").await?;
    }
    assert_eq!(writes_of(&plane, "counted")?, 1);
    Ok(())
}

#[tokio::test]
async fn controllers_run_and_all_of_it_is_gone_when_it_is_dropped() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(plane.client().await?, "default");
    // Made by the controller manager, in every namespace.
    let made = e2e::progress::wait_for(std::time::Duration::from_secs(30), || async {
        anyhow::Ok(accounts.get_opt("default").await?)
    });
    assert_eq!(made.await?.name_any(), "default");

    let kubeconfig = plane.kubeconfig_path.clone();
    let server = kube::config::Kubeconfig::read_from(&kubeconfig)?.clusters[0].cluster.clone();
    let server = server.and_then(|cluster| cluster.server).context("the kubeconfig names no server")?;
    let address = server.trim_start_matches("https://").to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    drop(plane);
    assert!(TcpStream::connect(&address).is_err(), "the API server outlived its control plane");
    assert!(!kubeconfig.exists());
    Ok(())
}
