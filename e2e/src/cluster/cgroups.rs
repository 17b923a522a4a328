//! The control groups below which all pods run: how their processes are known as ours.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Kubelet's root group, relative to each hierarchy.
pub(crate) const ROOT: &str = "/purser";

/// Makes the root group in every hierarchy; kubelet refuses a root that is not there.
pub(crate) fn ensure() -> Result<()> {
    for folder in roots()? {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(())
}

/// Every process of every pod.
pub(crate) fn processes() -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for root in roots()? {
        for folder in folders(&root) {
            let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Removes the groups. They must be empty of processes.
pub(crate) fn remove() -> Result<()> {
    for root in roots()? {
        for folder in folders(&root).iter().rev() {
            fs::remove_dir(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    Ok(())
}

fn roots() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot list mounts")?;
    Ok(hierarchies(&mounts).into_iter().map(|mount| mount.join(ROOT.trim_start_matches('/'))).collect())
}

/// Mount points of control group hierarchies, of either version.
fn hierarchies(mountinfo: &str) -> Vec<PathBuf> {
    let of_group = |line: &&str| line.split_once(" - ").is_some_and(|(_, kind)| kind.starts_with("cgroup"));
    let point = |line: &str| line.split(' ').nth(4).map(PathBuf::from);
    let mut found: Vec<PathBuf> = mountinfo.lines().filter(of_group).filter_map(point).collect();
    found.sort();
    found.dedup();
    found
}

/// A folder and all below it, parents first.
fn folders(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if root.exists() {
        found.push(root.to_path_buf());
    }
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        let below = fs::read_dir(folder).into_iter().flatten().flatten();
        found.extend(below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()));
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found_and_nothing_else() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      31 30 0:27 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
                      32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(hierarchies(mounts), ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"].map(PathBuf::from));
    }
}
