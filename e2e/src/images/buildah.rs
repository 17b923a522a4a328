//! Runs buildah with a storage of its own: images of the machine's other users are left alone.

use anyhow::Result;

use crate::{command, paths::Paths};

pub(super) async fn buildah(paths: &Paths, args: &[&str]) -> Result<String> {
    let root = paths.cache.join("buildah");
    let (storage, run) = (root.join("storage").display().to_string(), root.join("run").display().to_string());
    let own = ["--root", &storage, "--runroot", &run, "--storage-driver", "overlay"];
    command::output("buildah", [&own, args].concat()).await
}
