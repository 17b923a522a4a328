//! Carries the plan out.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use runtime_contract::{ProviderName, Role};
use tokio::time::sleep;

use super::{
    messages::Messages,
    plan::{Act, Step, Victim},
    provider,
    record::Records,
};
use crate::processes::{Platform, Provider, RoleProcess};

/// A line this often says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Does one step after the other. What ends without having been killed is noted, and started again.
pub(super) async fn execute(
    platform: &mut Platform,
    steps: &[Step],
    (records, messages): (&Records, &Messages),
    tell: impl Fn(usize),
) -> Result<()> {
    let mut told = Instant::now();
    let mut kills = 0;
    for step in steps {
        sleep(Duration::from_millis(step.after_ms)).await;
        revive(platform, records).await?;
        match &step.act {
            // A provider that is down just now has no fault to make.
            Act::ProviderFault { provider, fault, count } => {
                drop(provider::fault(provider_of(platform, *provider)?.port, fault, *count).await);
            }
            Act::Prefer(provider) => platform.prefer(*provider).await.context("changing the live settings")?,
            Act::Kill { victims, down_ms } => {
                for victim in victims {
                    if let Victim::Role(Role::Gateway, number) = victim {
                        messages.add(role_of(platform, Role::Gateway, *number)?.admin_port).await;
                    }
                }
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
    for provider in &mut platform.providers {
        provider.process.listening().await?;
    }
    for role in &mut platform.roles {
        role.process.listening().await?;
    }
    Ok(())
}

/// A process that ended by itself: a kubelet would start it again, and so it goes on, but it must not be.
async fn revive(platform: &mut Platform, records: &Records) -> Result<()> {
    let providers = platform.providers.iter_mut().map(|provider| &mut provider.process);
    for process in platform.roles.iter_mut().map(|role| &mut role.process).chain(providers) {
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
        Victim::Provider(name) => provider_of(platform, name)?.process.end(Signal::SIGKILL).await,
        Victim::Role(role, number) => role_of(platform, role, number)?.process.end(Signal::SIGKILL).await,
    }
}

/// Starts it, and does not wait: the others must do without it meanwhile.
fn start(platform: &mut Platform, victim: Victim) -> Result<()> {
    match victim {
        Victim::Postgres => platform.postgres.spawn(),
        Victim::Redis => platform.redis.spawn(),
        Victim::Provider(name) => provider_of(platform, name)?.process.spawn(),
        Victim::Role(role, number) => role_of(platform, role, number)?.process.spawn(),
    }
}

fn provider_of(platform: &mut Platform, name: ProviderName) -> Result<&mut Provider> {
    platform.providers.iter_mut().find(|provider| provider.name == name).with_context(|| format!("no {name}"))
}

fn role_of(platform: &mut Platform, role: Role, number: usize) -> Result<&mut RoleProcess> {
    let mut of_role = platform.roles.iter_mut().filter(|process| process.role == role);
    of_role.nth(number).with_context(|| format!("no {role} {number}"))
}
