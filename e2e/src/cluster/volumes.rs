//! Volumes for claims: a fixed number of folders on the node, wiped and offered again once released.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{addons::kubectl, node::NODE};
use crate::paths::Paths;

const COUNT: usize = 12;
const CLASS: &str = "local";

/// Makes the folders and returns the manifest of the volumes and their class.
pub(crate) fn manifest(paths: &Paths) -> Result<String> {
    let mut items = vec![json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    })];
    for name in names() {
        let folder = folder(paths, &name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        items.push(volume(paths, &name));
    }
    Ok(serde_json::to_string_pretty(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?)
}

fn volume(paths: &Paths, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            // Not enforced by a folder; large enough for any claim of an example.
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": folder(paths, name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}]}},
        },
    })
}

/// Wipes the volumes whose claim is gone, and takes the old claim's name off them.
pub(crate) async fn recycle(paths: &Paths) -> Result<()> {
    let listed: Value = serde_json::from_str(&kubectl(paths, &["get", "pv", "-o", "json"]).await?)?;
    for name in released(&listed) {
        let folder = folder(paths, &name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let patch = r#"[{"op": "remove", "path": "/spec/claimRef"}]"#;
        kubectl(paths, &["patch", "pv", &name, "--type=json", "-p", patch]).await?;
    }
    Ok(())
}

/// Names of our volumes whose claim is gone.
fn released(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours: Vec<String> = names().collect();
    let is_released = |item: &&Value| item["status"]["phase"] == "Released";
    let name = |item: &Value| item["metadata"]["name"].as_str().map(str::to_owned);
    items.iter().filter(is_released).filter_map(name).filter(|name| ours.contains(name)).collect()
}

fn names() -> impl Iterator<Item = String> {
    (1..=COUNT).map(|n| format!("local-{n:02}"))
}

fn folder(paths: &Paths, name: &str) -> PathBuf {
    paths.state.join("volumes").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_released_volumes_are_wiped() {
        let item = |name: &str, phase: &str| json!({"metadata": {"name": name}, "status": {"phase": phase}});
        let list =
            json!({"items": [item("local-01", "Bound"), item("local-02", "Released"), item("other", "Released")]});
        assert_eq!(released(&list), ["local-02"]);
    }
}
