//! The lease that one replica holds: only its holder reconciles.
//!
//! Own code, for lack of a crate that does three things: notice a released lease within a second, judge expiry by the
//! own clock alone (the clocks of two nodes differ), and make a holder that cannot renew step down before another
//! may take over.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep, timeout};

use crate::tenure::{Moment, Tenure};

/// Name of the lease.
const NAME: &str = "purser-operator";
/// A lease that was not renewed for this long is free.
const DURATION: Duration = Duration::from_secs(10);
/// How often it is renewed, and looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often the holder renews it.
const RENEW_INTERVAL: Duration = Duration::from_secs(2);
/// A holder that could not renew for this long steps down.
const STEP_DOWN_AFTER: Duration = Duration::from_secs(7);
/// Time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

// Whoever steps down does so, its last request included, before another may take over.
const _: () = assert!(STEP_DOWN_AFTER.as_millis() + REQUEST_TIMEOUT.as_millis() < DURATION.as_millis());

/// One replica's view of the lease.
#[derive(Clone)]
pub struct Lease {
    api: Api<LeaseObject>,
    identity: String,
    tenure: Tenure,
}

/// What somebody else's lease looked like, and since when it does.
struct Sighting {
    resource_version: String,
    since: Instant,
}

impl Lease {
    /// The lease of a namespace, for the replica of this name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            identity: identity.to_owned(),
            tenure: Tenure::new(STEP_DOWN_AFTER),
        }
    }

    /// When this replica may write.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Waits until this replica holds the lease; since when it does at the latest.
    pub async fn acquire(&self) -> Instant {
        let mut sighting = None;
        loop {
            let began = Moment::now();
            match timeout(REQUEST_TIMEOUT, self.try_acquire(&mut sighting)).await {
                Ok(Ok(Some(token))) => {
                    tracing::info!(identity = self.identity, token, "holds the lease");
                    self.tenure.renew(began, token);
                    return began.steady;
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot take the lease"),
                Err(_) => tracing::warn!("cannot take the lease: the API server does not answer"),
            }
            sleep(INTERVAL).await;
        }
    }

    /// The number of this holder, if it is one now.
    async fn try_acquire(&self, sighting: &mut Option<Sighting>) -> Result<Option<i64>, kube::Error> {
        let Some(found) = self.api.get_opt(NAME).await? else {
            let new = self.held(LeaseObject {
                metadata: ObjectMeta { name: Some(NAME.into()), ..Default::default() },
                spec: None,
            });
            return lost_race(self.api.create(&PostParams::default(), &new).await);
        };
        let resource_version = found.resource_version().unwrap_or_default();
        let seen = sighting.take().filter(|seen| seen.resource_version == resource_version);
        let since = seen.map_or_else(Instant::now, |seen| seen.since);
        let holder = found.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() || holder == self.identity || since.elapsed() >= DURATION {
            return lost_race(self.api.replace(NAME, &PostParams::default(), &self.held(found)).await);
        }
        *sighting = Some(Sighting { resource_version, since });
        Ok(None)
    }

    /// Renews the lease, and returns when this replica holds it no more. `renewed` is what [`Self::acquire`] returned:
    /// for others the lease runs from the request, however late its answer came.
    pub async fn lost(&self, mut renewed: Instant) {
        loop {
            sleep(RENEW_INTERVAL).await;
            let began = Moment::now();
            match timeout(REQUEST_TIMEOUT, self.renew()).await {
                Ok(Ok(Some(token))) => {
                    renewed = began.steady;
                    self.tenure.renew(began, token);
                }
                Ok(Ok(None)) => return,
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
                Err(_) => tracing::warn!("cannot renew the lease: the API server does not answer"),
            }
            if renewed.elapsed() + RENEW_INTERVAL >= STEP_DOWN_AFTER {
                return;
            }
        }
    }

    async fn renew(&self) -> Result<Option<i64>, kube::Error> {
        let found = self.api.get(NAME).await?;
        if !self.is_holder(&found) {
            return Ok(None);
        }
        // Refused where somebody wrote in between. The next round tells who holds it; until then nothing was renewed.
        self.api.replace(NAME, &PostParams::default(), &self.held(found)).await.map(|held| Some(token_of(&held)))
    }

    /// Gives the lease up, so that another replica takes over at once.
    pub async fn release(&self) {
        let given_up = async {
            let mut found = self.api.get(NAME).await?;
            if self.is_holder(&found) {
                if let Some(spec) = &mut found.spec {
                    spec.holder_identity = None;
                    spec.renew_time = Some(MicroTime(Timestamp::now()));
                }
                self.api.replace(NAME, &PostParams::default(), &found).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match timeout(REQUEST_TIMEOUT, given_up).await {
            Ok(Ok(())) => tracing::info!("gave the lease up"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot give the lease up; it expires by itself"),
            Err(_) => tracing::warn!("cannot give the lease up: the API server does not answer; it expires by itself"),
        }
    }

    fn is_holder(&self, lease: &LeaseObject) -> bool {
        lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(&self.identity)
    }

    /// The lease, held by this replica from now on. Its resourceVersion stays, so of two that write, one fails.
    fn held(&self, mut lease: LeaseObject) -> LeaseObject {
        let now = MicroTime(Timestamp::now());
        let renews = self.is_holder(&lease);
        let before = lease.spec.take().unwrap_or_default();
        let since = if renews { before.acquire_time } else { Some(begin_after(before.acquire_time, Timestamp::now())) };
        let transitions = before.lease_transitions.unwrap_or(0);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: since,
            renew_time: Some(now),
            lease_transitions: Some(if renews { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        });
        lease
    }
}

/// When a holder begins: after every holder before it, even where the clock of that one was ahead.
fn begin_after(before: Option<MicroTime>, now: Timestamp) -> MicroTime {
    let earliest = before.and_then(|before| before.0.checked_add(SignedDuration::from_micros(1)).ok());
    MicroTime(earliest.map_or(now, |earliest| earliest.max(now)))
}

/// The number of a lease's holder: when it began, in microseconds. A count would begin anew with a lease that was deleted.
fn token_of(lease: &LeaseObject) -> i64 {
    lease.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref()).map_or(0, |since| since.0.as_microsecond())
}

/// Of two replicas that take a free lease, one is refused. That is no error.
fn lost_race(written: Result<LeaseObject, kube::Error>) -> Result<Option<i64>, kube::Error> {
    match written {
        Ok(held) => Ok(Some(token_of(&held))),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_holder_has_a_greater_number_whatever_its_clock_says() {
        let at = |micros| Timestamp::from_microsecond(micros).unwrap();
        assert_eq!(begin_after(None, at(5)).0, at(5));
        assert_eq!(begin_after(Some(MicroTime(at(3))), at(5)).0, at(5));
        assert_eq!(begin_after(Some(MicroTime(at(9))), at(5)).0, at(10));
    }
}
