//! The Debian base of every image here, made from packages, so that no registry is needed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::buildah::buildah;
use crate::{command, packages, paths::Paths, progress::step};

/// The base that the Dockerfiles name. Where a registry is reachable, the registry's serves as well.
pub(super) const NAME: &str = "docker.io/library/debian:bookworm-slim";
/// Part of the base's name in the cache: raise it when the recipe below changes.
pub(super) const REVISION: &str = "bookworm-3";

/// Makes the base image unless it is in buildah's storage.
pub(super) async fn ensure(paths: &Paths) -> Result<()> {
    let tag = format!("{NAME}-{REVISION}");
    if buildah(paths, &["inspect", "--type=image", &tag]).await.is_ok() {
        return Ok(());
    }
    let tarball = paths.cache.join(format!("debian-{REVISION}.tar"));
    if !tarball.exists() {
        packages::ensure(packages::IMAGES).await?;
        step("make the Debian base", debootstrap(paths, &tarball)).await?;
    }
    let context = tempfile::tempdir_in(&paths.cache)?;
    fs::hard_link(&tarball, context.path().join("base.tar"))?;
    let dockerfile = context.path().join("Dockerfile");
    fs::write(&dockerfile, "FROM scratch\nADD base.tar /\nCMD [\"bash\"]\n")?;
    let (file, folder) = (dockerfile.display().to_string(), context.path().display().to_string());
    let args = ["build", "--isolation=chroot", "-t", &tag, "-t", NAME, "-f", &file, &folder];
    step("build image debian", buildah(paths, &args)).await.map(drop)
}

/// From the mirror that the machine itself uses.
async fn debootstrap(paths: &Paths, tarball: &Path) -> Result<()> {
    let unfinished = tarball.with_extension("unfinished.tar");
    let mut command = command::command("mmdebstrap");
    command.args(["--variant=minbase", "--include=ca-certificates,postgresql-client"]);
    for unwanted in ["doc", "man", "locale", "info"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{unwanted}/*"));
    }
    command.arg("--dpkgopt=path-include=/usr/share/doc/*/copyright");
    command.arg("bookworm").arg(&unfinished).arg(mirrors()?);
    command::logged(&mut command, &paths.cache.join("logs/debian-base.log")).await?;
    fs::rename(unfinished, tarball).map_err(Into::into)
}

fn mirrors() -> Result<PathBuf> {
    let places = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.context("this is not a Debian machine: it has no list of Debian mirrors")
}
