//! Configuration files of the cluster's programs.
//!
//! Written as JSON, which all of them read: a JSON document is a YAML document.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::pki::{Pki, names};

/// Writes only what changed, so that a running program's file keeps its time.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|current| current == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn write_json(path: &Path, value: &Value) -> Result<()> {
    write(path, &format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Writes a kubeconfig for the client certificate of that name, and returns its path.
pub(crate) fn kubeconfig(folder: &Path, pki: &Pki, certificate: &str, server: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{certificate}.kubeconfig"));
    write_json(&path, &kubeconfig_document(pki, certificate, server))?;
    Ok(path)
}

pub(crate) fn kubeconfig_document(pki: &Pki, certificate: &str, server: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "purser",
        "clusters": [{"name": "purser", "cluster": {"server": server, "certificate-authority": pki.certificate(names::CA)}}],
        "users": [{"name": certificate, "user": {
            "client-certificate": pki.certificate(certificate), "client-key": pki.key(certificate)}}],
        "contexts": [{"name": "purser", "context": {"cluster": "purser", "user": certificate}}],
    })
}

/// Audits writes, which tests count, and what programs in pods read: so it is known what rights the operator uses.
pub(crate) fn audit_policy(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("audit-policy.json");
    let reads = ["get", "list", "watch"];
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "verbs": reads, "userGroups": ["system:serviceaccounts:kube-system"]},
            {"level": "Metadata", "verbs": reads, "userGroups": ["system:serviceaccounts"]},
            {"level": "None", "verbs": reads},
            {"level": "Metadata"},
        ],
    });
    write_json(&path, &policy)?;
    Ok(path)
}
