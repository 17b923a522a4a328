//! Where the program keeps what it builds and what it runs.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Folders of the local cluster.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Built programs, images and tools. Survives `down`; safe to delete by hand.
    pub cache: PathBuf,
    /// Everything of the running cluster. Gone after `down`.
    pub state: PathBuf,
    /// The repository's root.
    pub repository: PathBuf,
}

impl Paths {
    /// Reads `PURSER_CACHE`, `PURSER_STATE` and the XDG variables.
    ///
    /// # Errors
    /// When none of them nor `HOME` is set.
    pub fn from_env() -> Result<Self> {
        let cache = match env::var_os("PURSER_CACHE") {
            Some(path) => path.into(),
            None => xdg("XDG_CACHE_HOME", ".cache")?.join("purser"),
        };
        let state = match env::var_os("PURSER_STATE") {
            Some(path) => path.into(),
            None => xdg("XDG_STATE_HOME", ".local/state")?.join("purser/cluster"),
        };
        let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the e2e crate has no parent folder")?
            .to_path_buf();
        Ok(Self { cache: std::path::absolute(cache)?, state: std::path::absolute(state)?, repository })
    }

    /// Folder of symlinks to the command line tools, for `PATH`.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.cache.join("bin")
    }

    /// Wrapper modules, manifests and image sources of the cluster.
    #[must_use]
    pub fn sources(&self) -> PathBuf {
        self.repository.join("e2e/cluster")
    }

    /// The administrator's kubeconfig of the local cluster.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// Log files, one per component.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// Every write to the API server, and what programs in pods read, one JSON document a line.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.jsonl")
    }
}

fn xdg(variable: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let home = env::var_os("HOME").context("HOME is not set; set PURSER_CACHE and PURSER_STATE")?;
    Ok(PathBuf::from(home).join(below_home))
}

/// Twelve hexadecimal digits that name a content in a file name.
pub(crate) fn short_hash<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tells_where_one_part_ends() {
        assert_ne!(short_hash(["ab", "c"]), short_hash(["a", "bc"]));
        assert_eq!(short_hash(["ab", "c"]).len(), 12);
    }
}
