//! A platform at rest costs next to nothing.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::Paths;
use serde_json::Value;

use super::fixture::platform;

const QUIET: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_operator_writes_nothing_but_its_lease_in_two_minutes_and_all_stay_small() -> Result<()> {
    let platform = platform().await?;
    if platform.kubectl.kubeconfig.is_none() {
        println!("skipped: the audit log and the processes of another cluster cannot be seen from here");
        return Ok(());
    }
    let audit_log = Paths::from_env()?.audit_log();
    // What the story before this one set in motion comes to its end first.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let from = fs::metadata(&audit_log)?.len();
    tokio::time::sleep(QUIET).await;
    let (writes, lease_writes) = operator_writes(&audit_log, from)?;
    assert!(lease_writes > 0, "the lease is renewed, so an audit log without it is not the one to read");
    assert!(writes.is_empty(), "the operator wrote at rest:\n{}", writes.join("\n"));

    // A standby and a leader; two gateways.
    for (program, limit_mib) in [("purser-operator", 32), ("purser gateway", 64)] {
        let sizes = resident_mib(program)?;
        println!("{program}: {sizes:?} MiB");
        assert!(sizes.len() >= 2, "{program} runs twice: {sizes:?}");
        assert!(sizes.iter().all(|mib| *mib <= limit_mib), "{program} takes {sizes:?} MiB, the limit is {limit_mib}");
    }
    Ok(())
}

/// The operator's writes since the log had this length, and how many more went to its lease.
fn operator_writes(audit_log: &std::path::Path, from: u64) -> Result<(Vec<String>, usize)> {
    let text = fs::read(audit_log)?;
    let text =
        String::from_utf8_lossy(text.get(usize::try_from(from)?..).context("the audit log shrank")?).into_owned();
    let (mut writes, mut lease_writes) = (Vec::new(), 0);
    for line in text.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let by_operator = entry["user"]["username"]
            .as_str()
            .is_some_and(|user| user.starts_with("system:serviceaccount:purser-system:"));
        let write =
            matches!(entry["verb"].as_str(), Some("create" | "update" | "patch" | "delete" | "deletecollection"));
        if !by_operator || !write {
            continue;
        }
        if entry["objectRef"]["resource"] == "leases" {
            lease_writes += 1;
        } else {
            writes.push(format!("{} {}", entry["verb"], entry["requestURI"]));
        }
    }
    Ok((writes, lease_writes))
}

/// Resident memory of every process whose command line begins so, in MiB, rounded up.
fn resident_mib(program: &str) -> Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let Ok(command) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let command = command.trim_start_matches("/usr/local/bin/");
        if !command.starts_with(program) {
            continue;
        }
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        sizes.extend(kib.map(|kib| kib.div_ceil(1024)));
    }
    Ok(sizes)
}
