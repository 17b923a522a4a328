//! Builds the cluster's programs from their published Go modules, once per version.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    command,
    paths::{Paths, short_hash},
    progress::step,
    tools,
};

/// A wrapper module below `e2e/cluster/`, and what is built from it.
struct Module {
    folder: &'static str,
    /// The dependency whose version is the programs' version.
    versioned_by: &'static str,
    /// Program and package.
    programs: &'static [(&'static str, &'static str)],
}

const ETCD: Module = Module {
    folder: "etcd",
    versioned_by: "go.etcd.io/etcd/server/v3",
    programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
};
const KUBERNETES: Module = Module {
    folder: "kubernetes",
    versioned_by: "k8s.io/kubernetes",
    programs: &[
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    ],
};
const COREDNS: Module =
    Module { folder: "coredns", versioned_by: "github.com/coredns/coredns", programs: &[("coredns", ".")] };
const METRICS_SERVER: Module = Module {
    folder: "metrics-server",
    versioned_by: "sigs.k8s.io/metrics-server",
    programs: &[("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server")],
};

/// Where the built programs of the control plane and the node are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    etcd: PathBuf,
    kubernetes: PathBuf,
}

impl Programs {
    pub(crate) fn etcd(&self) -> PathBuf {
        self.etcd.join("etcd")
    }

    pub(crate) fn kubernetes(&self, name: &str) -> PathBuf {
        self.kubernetes.join(name)
    }
}

/// Builds what is missing of etcd and the Kubernetes programs that `wanted` names.
pub(crate) async fn programs(paths: &Paths, wanted: &[&str]) -> Result<Programs> {
    let etcd = build(paths, &ETCD, &["etcd"]).await?;
    let kubernetes = build(paths, &KUBERNETES, wanted).await?;
    Ok(Programs { etcd, kubernetes })
}

/// Where the programs are, built or not.
pub(crate) fn locate(paths: &Paths) -> Result<Programs> {
    Ok(Programs { etcd: folder(paths, &ETCD)?, kubernetes: folder(paths, &KUBERNETES)? })
}

/// Returns the CoreDNS program.
pub(crate) async fn coredns(paths: &Paths) -> Result<PathBuf> {
    Ok(build(paths, &COREDNS, &["coredns"]).await?.join("coredns"))
}

/// Returns the metrics-server program.
pub(crate) async fn metrics_server(paths: &Paths) -> Result<PathBuf> {
    Ok(build(paths, &METRICS_SERVER, &["metrics-server"]).await?.join("metrics-server"))
}

async fn build(paths: &Paths, module: &Module, wanted: &[&str]) -> Result<PathBuf> {
    let folder = folder(paths, module)?;
    let missing = module.programs.iter().filter(|(name, _)| wanted.contains(name) && !folder.join(name).exists());
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)?;
    // Two runs at once would build the same twice; the second waits and finds it done.
    let lock = fs::File::create(folder.join("lock"))?;
    tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    let version = version(paths, module)?;
    let go = tools::go(paths).await?;
    for (name, package) in missing {
        let target = folder.join(name);
        if !target.exists() {
            step(format!("build {name} {version}"), compile(paths, module, &go, package, &version, &target)).await?;
        }
    }
    Ok(folder)
}

async fn compile(paths: &Paths, module: &Module, go: &Path, package: &str, version: &str, target: &Path) -> Result<()> {
    let unfinished = target.with_extension("unfinished");
    let mut command = command::command(go);
    command.current_dir(paths.sources().join(module.folder)).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false");
    command.args(["build", "-mod=readonly", "-trimpath", "-ldflags", &linker_flags(version), "-o"]);
    command.arg(&unfinished).arg(package);
    command::logged(&mut command, &target.with_extension("build.log")).await?;
    fs::rename(&unfinished, target).with_context(|| format!("cannot move {}", target.display()))
}

/// Without its version a Kubernetes program says `v0.0.0-master+$Format:%H$`, which clients refuse to parse.
fn linker_flags(version: &str) -> String {
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let variable = "k8s.io/component-base/version.git";
    format!("-s -w -X {variable}Version=v{version} -X {variable}Major={major} -X {variable}Minor={minor}")
}

fn folder(paths: &Paths, module: &Module) -> Result<PathBuf> {
    let mut contents = Vec::new();
    for file in ["go.mod", "go.sum", "main.go"] {
        let path = paths.sources().join(module.folder).join(file);
        if path.exists() {
            contents.push(fs::read(&path)?);
        }
    }
    let name = format!("{}-{}-{}", module.folder, version(paths, module)?, short_hash(contents));
    Ok(paths.cache.join(name))
}

fn version(paths: &Paths, module: &Module) -> Result<String> {
    let file = paths.sources().join(module.folder).join("go.mod");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    required_version(&text, module.versioned_by)
        .with_context(|| format!("{} does not require {}", file.display(), module.versioned_by))
}

fn required_version(go_mod: &str, dependency: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("require ").unwrap_or(line);
        let version = line.strip_prefix(dependency)?.strip_prefix(" v")?;
        Some(version.split_whitespace().next()?.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_required_module_and_of_no_longer_name() {
        let text = "require (\n\tk8s.io/kubernetes-extra v9.9.9\n\tk8s.io/kubernetes v1.35.4 // indirect\n)\n";
        assert_eq!(required_version(text, "k8s.io/kubernetes").as_deref(), Some("1.35.4"));
        assert_eq!(required_version("require a/b v2.0.0\n", "a/b").as_deref(), Some("2.0.0"));
        assert_eq!(required_version(text, "k8s.io/api"), None);
    }

    #[test]
    fn every_committed_module_names_the_version_it_is_built_at() {
        let paths = Paths::from_env().unwrap();
        for module in [&ETCD, &KUBERNETES, &COREDNS, &METRICS_SERVER] {
            version(&paths, module).unwrap();
        }
    }
}
