//! What payments cost: processor time per process, and bytes of PostgreSQL's log.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use runtime_contract::Role;

use super::track::Tracker;
use crate::processes::{Platform, usage_of};

/// Counters at a moment; two of them make a [`Cost`].
#[derive(Debug)]
pub(super) struct Reading {
    at: Instant,
    whole: u64,
    wal_bytes: u64,
    cpu: BTreeMap<String, Duration>,
}

/// What lies between two readings.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    /// Whole payments.
    pub(super) payments: f64,
    /// Whole payments a second.
    pub(super) per_second: f64,
    /// Bytes of write-ahead log per payment.
    pub(super) wal_bytes: f64,
    /// Milliseconds of processor time per payment, by process.
    pub(super) cpu_ms: BTreeMap<String, f64>,
}

impl Reading {
    pub(super) async fn take(platform: &Platform, tracker: &Tracker) -> Result<Self> {
        let wal = platform.sql("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").await?;
        let mut cpu = BTreeMap::new();
        for role in &platform.roles {
            *cpu.entry(role.role.to_string()).or_insert(Duration::ZERO) += role.process.usage()?.cpu;
        }
        for provider in &platform.providers {
            *cpu.entry("simulator".into()).or_insert(Duration::ZERO) += provider.process.usage()?.cpu;
        }
        cpu.insert("redis".into(), platform.redis.process().usage()?.cpu);
        let postmaster = platform.postgres.process().pid().context("PostgreSQL does not run")?;
        cpu.insert("postgres".into(), usage_of(postmaster)?.cpu + children(postmaster)?);
        cpu.insert("load and receiver".into(), usage_of(std::process::id())?.cpu);
        Ok(Self { at: Instant::now(), whole: tracker.count().whole, wal_bytes: wal.parse()?, cpu })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn until(&self, end: &Self) -> Cost {
        let payments = (end.whole - self.whole) as f64;
        let per_payment = |name: &String, cpu: &Duration| {
            let before = self.cpu.get(name).copied().unwrap_or_default();
            (name.clone(), cpu.saturating_sub(before).as_secs_f64() * 1000.0 / payments)
        };
        Cost {
            payments,
            per_second: payments / end.at.duration_since(self.at).as_secs_f64(),
            wal_bytes: (end.wal_bytes - self.wal_bytes) as f64 / payments,
            cpu_ms: end.cpu.iter().map(|(name, cpu)| per_payment(name, cpu)).collect(),
        }
    }
}

impl Cost {
    /// Of Purser's own processes.
    pub(super) fn own_cpu_ms(&self) -> f64 {
        Role::ALL.iter().filter_map(|role| self.cpu_ms.get(role.as_str())).sum()
    }

    /// Of Purser's own processes, PostgreSQL and Redis.
    pub(super) fn server_cpu_ms(&self) -> f64 {
        let of = |name: &str| self.cpu_ms.get(name).copied().unwrap_or(0.0);
        self.own_cpu_ms() + of("postgres") + of("redis")
    }
}

/// PostgreSQL's processes besides its first one. Those that ended in between are not counted; connections are kept.
fn children(of: u32) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if parent == Some(of.to_string().as_str())
            && let Ok(usage) = usage_of(pid)
        {
            sum += usage.cpu;
        }
    }
    Ok(sum)
}
