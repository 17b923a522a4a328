//! A platform at rest costs next to nothing.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use e2e::{Paths, audit};

use super::fixture::platform;
use super::processes::of_pods;

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
    let from = audit::length(&audit_log)?;
    tokio::time::sleep(QUIET).await;
    let (writes, lease_writes) = audit::operator_writes(&audit::since(&audit_log, from)?);
    assert!(lease_writes > 0, "the lease is renewed, so an audit log without it is not the one to read");
    // What it finds at rest after a while it notes once, for the operator that starts next.
    let (notes, writes): (Vec<_>, Vec<_>) =
        writes.into_iter().partition(|write| write.contains("/configmaps/purser-operator-rest"));
    assert!(notes.len() <= 1, "{} notes of one state at rest", notes.len());
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

/// Resident memory of every process of a pod whose command line begins so, in MiB, rounded up.
fn resident_mib(program: &str) -> Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for folder in of_pods(program)? {
        let Ok(status) = fs::read_to_string(folder.join("status")) else {
            continue;
        };
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        sizes.extend(kib.map(|kib| kib.div_ceil(1024)));
    }
    Ok(sizes)
}
