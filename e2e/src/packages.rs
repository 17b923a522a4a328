//! Debian packages that the local cluster and the tests stand on.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

use crate::{command, progress::step};

/// What the node needs to run pods.
pub(crate) const NODE: &[&str] =
    &["containerd", "runc", "containernetworking-plugins", "iptables", "conntrack", "iproute2", "kmod", "procps"];
/// What building images needs.
pub(crate) const IMAGES: &[&str] = &["buildah", "mmdebstrap", "gcc", "libc6-dev"];
/// What fetching tools needs.
pub(crate) const PYTHON: &[&str] = &["python3", "python3-pip"];
/// What an environment of Python packages needs beside [`PYTHON`].
pub(crate) const PYTHON_ENVIRONMENT: &[&str] = &["python3-venv"];

/// What the runtime's tests start by themselves, each on ports and folders of its own.
pub const TEST_SERVERS: &[&str] = &["postgresql", "redis-server"];

/// Tells packages' scripts not to start what they install.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Its content, by which a later run knows the one that an interrupted run has left.
const HOLD: &str = "#!/bin/sh\n# Purser's `make up` installs packages; this file goes when it is done.\nexit 101\n";

/// Installs those of `wanted` that are missing, without starting any service of theirs.
///
/// # Errors
/// When a package cannot be installed, or may not be for lack of rights.
pub async fn ensure(wanted: &[&str]) -> Result<()> {
    let mut missing = Vec::new();
    for package in wanted {
        if !installed(package).await {
            missing.push(*package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !geteuid().is_root() {
        bail!("missing packages: {}; install them, or run as root", missing.join(" "));
    }
    step(format!("install {}", missing.join(", ")), install(&missing)).await
}

async fn installed(package: &str) -> bool {
    // A Python from elsewhere serves as well as Debian's.
    match package {
        "python3" => return command::output("python3", ["--version"]).await.is_ok(),
        "python3-pip" => {
            return command::output("python3", ["-m", "pip", "--version"]).await.is_ok();
        }
        "python3-venv" => return command::output("python3", ["-c", "import ensurepip, venv"]).await.is_ok(),
        _ => {}
    }
    let status = command::output("dpkg-query", ["-W", "-f", "${db:Status-Status}", package]).await;
    status.is_ok_and(|status| status == "installed")
}

async fn install(missing: &[&str]) -> Result<()> {
    let held = hold_services(Path::new(POLICY))?;
    let done = apt(missing).await;
    if held {
        fs::remove_file(POLICY).with_context(|| format!("cannot remove {POLICY}"))?;
    }
    done?;
    if missing.contains(&"containerd") && Path::new("/run/systemd/system").exists() {
        // Held back now, it would still start at the next boot, for nobody.
        command::output("systemctl", ["disable", "containerd"]).await?;
    }
    Ok(())
}

async fn apt(missing: &[&str]) -> Result<()> {
    let log = std::env::temp_dir().join(format!("purser-apt-{}.log", std::process::id()));
    for args in [vec!["update", "-q"], [&["install", "-q", "-y", "--no-install-recommends"], missing].concat()] {
        let mut apt = command::command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(args);
        command::logged(&mut apt, &log).await?;
    }
    fs::remove_file(&log).context("cannot remove the log of apt-get")
}

/// Returns whether the policy is ours to remove: one of somebody else stays.
fn hold_services(policy: &Path) -> Result<bool> {
    if policy.exists() {
        return Ok(fs::read_to_string(policy).is_ok_and(|text| text == HOLD));
    }
    fs::write(policy, HOLD).with_context(|| format!("cannot write {}", policy.display()))?;
    fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_an_interrupted_run_left_is_removed_and_one_of_somebody_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy-rc.d");
        assert!(hold_services(&policy).unwrap());
        assert!(hold_services(&policy).unwrap(), "left by a run that was killed");
        fs::write(&policy, "#!/bin/sh\nexit 101\n").unwrap();
        assert!(!hold_services(&policy).unwrap());
    }
}
