//! Carries the plan out.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use runtime_contract::Role;
use tokio::time::sleep;

use super::{
    plan::{Act, Step, Victim},
    provider,
    record::Records,
};
use crate::processes::{Platform, Process};

/// A line this often says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Does one step after the other. What ends without having been killed is noted, and started again.
pub(super) async fn execute(
    platform: &mut Platform,
    steps: &[Step],
    records: &Records,
    tell: impl Fn(usize),
) -> Result<()> {
    let mut told = Instant::now();
    let mut kills = 0;
    for step in steps {
        sleep(Duration::from_millis(step.after_ms)).await;
        revive(platform, records).await?;
        match &step.act {
            // A provider that is down just now has no fault to make.
            Act::ProviderFault { fault, count } => drop(provider::fault(platform.simulator_port, fault, *count).await),
            Act::Kill { victims, down_ms } => {
                for victim in victims {
                    kill(platform, *victim).await.with_context(|| format!("killing {victim:?}"))?;
                }
                sleep(Duration::from_millis(*down_ms)).await;
                for victim in victims {
                    start(platform, *victim)?;
                }
                kills += victims.len();
            }
        }
        if told.elapsed() >= TELL_EVERY {
            tell(kills);
            told = Instant::now();
        }
    }
    tell(kills);
    Ok(())
}

/// Waits until everything listens again.
pub(super) async fn all_up(platform: &mut Platform, records: &Records) -> Result<()> {
    revive(platform, records).await?;
    platform.postgres.accepting().await?;
    platform.simulator.listening().await?;
    for role in &mut platform.roles {
        role.process.listening().await?;
    }
    Ok(())
}

/// A process that ended by itself: a kubelet would start it again, and so it goes on, but it must not be.
async fn revive(platform: &mut Platform, records: &Records) -> Result<()> {
    let simulator = std::iter::once(&mut platform.simulator);
    for process in platform.roles.iter_mut().map(|role| &mut role.process).chain(simulator) {
        if process.has_ended()? {
            records.wrong(format!("{} ended by itself: {}", process.name(), process.log_end()));
            process.end(Signal::SIGKILL).await?;
            process.spawn()?;
        }
    }
    Ok(())
}

async fn kill(platform: &mut Platform, victim: Victim) -> Result<()> {
    match victim {
        Victim::Postgres => platform.postgres.crash().await,
        Victim::Redis => platform.redis.crash().await,
        Victim::Simulator => platform.simulator.end(Signal::SIGKILL).await,
        Victim::Role(role, number) => process(platform, role, number)?.end(Signal::SIGKILL).await,
    }
}

/// Starts it, and does not wait: the others must do without it meanwhile.
fn start(platform: &mut Platform, victim: Victim) -> Result<()> {
    match victim {
        Victim::Postgres => platform.postgres.spawn(),
        Victim::Redis => platform.redis.spawn(),
        Victim::Simulator => platform.simulator.spawn(),
        Victim::Role(role, number) => process(platform, role, number)?.spawn(),
    }
}

fn process(platform: &mut Platform, role: Role, number: usize) -> Result<&mut Process> {
    let mut of_role = platform.roles.iter_mut().filter(|process| process.role == role);
    Ok(&mut of_role.nth(number).with_context(|| format!("no {role} {number}"))?.process)
}
