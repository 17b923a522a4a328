//! Programs of others that judge ours in the tests: stripe-mock, which checks requests against Stripe's own document, and
//! schemathesis, which holds the API to the document that it serves.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    command, packages,
    paths::{Paths, short_hash},
    progress::step,
    tools,
};

const STRIPE_MOCK: &str = "github.com/stripe/stripe-mock";
const STRIPE_MOCK_VERSION: &str = "0.203.0";
/// What pip installs, all of it pinned: what schemathesis stands on decides what it generates.
const REQUIREMENTS: &str = include_str!("../python/schemathesis.txt");

/// Makes `stripe-mock` and `schemathesis` available in the cache's `bin`.
///
/// # Errors
/// When one of them cannot be fetched, built or installed.
pub async fn ensure(paths: &Paths) -> Result<()> {
    let bin = paths.bin();
    fs::create_dir_all(&bin)?;
    // Two runs at once would make the same twice; the second waits and finds it done.
    let lock = fs::File::create(paths.cache.join("testers.lock"))?;
    let _held = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    tools::link(&stripe_mock(paths).await?, &bin.join("stripe-mock"))?;
    tools::link(&schemathesis(paths).await?, &bin.join("schemathesis"))
}

async fn stripe_mock(paths: &Paths) -> Result<PathBuf> {
    let folder = paths.cache.join(format!("stripe-mock-{STRIPE_MOCK_VERSION}"));
    let program = folder.join("stripe-mock");
    if !program.exists() {
        let go = tools::go(paths).await?;
        step(format!("build stripe-mock {STRIPE_MOCK_VERSION}"), install_stripe_mock(&go, &folder)).await?;
    }
    Ok(program)
}

async fn install_stripe_mock(go: &Path, folder: &Path) -> Result<()> {
    let mut install = command::command(go);
    install.env("GOBIN", folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-trimpath");
    install.args(["install", &format!("{STRIPE_MOCK}@v{STRIPE_MOCK_VERSION}")]);
    command::logged(&mut install, &folder.join("build.log")).await
}

async fn schemathesis(paths: &Paths) -> Result<PathBuf> {
    let folder = paths.cache.join(format!("schemathesis-{}", short_hash([REQUIREMENTS])));
    let program = folder.join("bin/schemathesis");
    // Asked rather than looked for: an environment whose Python went, or whose making was broken off, is made again.
    if command::output(&program, ["--version"]).await.is_err() {
        packages::ensure(packages::PYTHON).await?;
        packages::ensure(packages::PYTHON_ENVIRONMENT).await?;
        step("install schemathesis", install_schemathesis(&folder)).await?;
    }
    Ok(program)
}

/// An environment knows its own path, so it is made where it stays.
async fn install_schemathesis(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    command::output("python3", [OsStr::new("-m"), OsStr::new("venv"), folder.as_os_str()]).await?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)?;
    let mut pip = command::command(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "-r"]).arg(&requirements);
    command::logged(&mut pip, &folder.join("install.log")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_pip_installs_has_one_version() {
        let wanted: Vec<&str> = REQUIREMENTS.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(wanted.iter().any(|line| line.starts_with("schemathesis==")));
        assert!(wanted.iter().all(|line| line.split("==").count() == 2), "{wanted:?}");
    }
}
