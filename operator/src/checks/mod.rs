//! What a release has to show before it gets traffic, and in staging after: Jobs of its own image. ★ Pure.

use runtime_contract::commands;
use serde_json::json;

use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::owned::Desired;
use crate::workloads::{pod, resources};

/// A check that has hung for so long will not end.
const DEADLINE_SECONDS: u32 = 120;
/// What a load test takes besides its load: its pod starts, and those who pay are made.
const LOAD_EXTRA_SECONDS: u64 = 180;

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The cache is made warm.
    Warmth,
    /// Test payments go through the release, which has no traffic yet.
    Health,
    /// Test payments go through the release, which has all of the traffic.
    Smoke,
    /// The same, as many as `spec.staging` asks for.
    Load,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 4] = [Self::Warmth, Self::Health, Self::Smoke, Self::Load];

    /// Label of its Jobs.
    #[must_use]
    pub const fn component(self) -> &'static str {
        match self {
            Self::Warmth => "warm-cache",
            Self::Health => "health-check",
            Self::Smoke => "smoke-test",
            Self::Load => "load-test",
        }
    }

    /// Its part of the names of its Jobs, which have little room.
    #[must_use]
    const fn word(self) -> &'static str {
        match self {
            Self::Warmth => "warm",
            Self::Health => "health",
            Self::Smoke => "smoke",
            Self::Load => "load",
        }
    }

    /// As it is called within a sentence.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Warmth => "the warming of the cache",
            Self::Health => "the health check",
            Self::Smoke => "the smoke test",
            Self::Load => "the load test",
        }
    }
}

/// The Job of an attempt at a check.
#[must_use]
pub fn job(cluster: &Validated, check: Check, attempt: u32) -> Desired {
    let arguments = arguments(cluster, check);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let command = Command {
        component: check.component(),
        name: cluster.identity.release_job(check.word(), &cluster.release, attempt),
        release: Some(&cluster.release),
        arguments: &arguments,
        secrets: &[pod::cache_secret(cluster)],
        mounts: &[],
        volumes: &[],
        inputs: &inputs(cluster, check),
        attempt,
        resources: resources::JOB,
        deadline_seconds: Some(deadline(cluster, check)),
    };
    job::build(cluster, command)
}

/// Hash of all that decides whether the same check may end differently.
#[must_use]
pub fn inputs(cluster: &Validated, check: Check) -> String {
    job::inputs(cluster, &[], &[json!(cluster.secret_revisions.cache), json!(arguments(cluster, check))])
}

fn arguments(cluster: &Validated, check: Check) -> Vec<String> {
    let word = match check {
        Check::Warmth => commands::WARM_CACHE,
        Check::Health | Check::Smoke => commands::SMOKE,
        Check::Load => commands::LOAD,
    };
    let mut all = vec![word.to_owned(), commands::OWNER_FLAG.to_owned(), cluster.identity.owner()];
    if check == Check::Warmth {
        return all;
    }
    all.extend([commands::GATEWAY_FLAG.to_owned(), gateway(cluster, check)]);
    if cluster.spec.gateway.tls.is_some() {
        all.push(commands::ANY_CERTIFICATE_FLAG.to_owned());
    }
    if check == Check::Load {
        let staging = &cluster.spec.staging;
        let flags = [
            (commands::TPS_FLAG, staging.tps.to_string()),
            (commands::DURATION_FLAG, staging.duration.0.clone()),
            (commands::P95_FLAG, staging.p95_latency.0.clone()),
            (commands::P99_FLAG, staging.p99_latency.0.clone()),
            (commands::SUCCESS_RATE_FLAG, staging.success_rate.clone()),
        ];
        all.extend(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        all.push(commands::STAGING_FLAG.to_owned());
    } else {
        all.extend([commands::RELEASE_FLAG.to_owned(), cluster.release.name.clone()]);
    }
    all
}

/// The release's own address while it has no traffic, and that of everybody once it has all of it.
fn gateway(cluster: &Validated, check: Check) -> String {
    let service = match check {
        Check::Health => cluster.identity.release_gateway_service(&cluster.release),
        Check::Warmth | Check::Smoke | Check::Load => cluster.identity.gateway_service(),
    };
    let scheme = if cluster.spec.gateway.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{service}.{}.svc", cluster.identity.namespace)
}

fn deadline(cluster: &Validated, check: Check) -> u32 {
    match check {
        Check::Warmth | Check::Health | Check::Smoke => DEADLINE_SECONDS,
        Check::Load => {
            let seconds = cluster.spec.staging.duration.as_millis().unwrap_or(0) / 1_000;
            u32::try_from(seconds + LOAD_EXTRA_SECONDS).unwrap_or(u32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::validated;

    fn line(check: Check, change: impl FnOnce(&mut serde_json::Value)) -> String {
        arguments(&validated(change), check).join(" ")
    }

    #[test]
    fn each_check_is_a_command_that_a_person_could_type() {
        assert_eq!(line(Check::Warmth, |_| {}), "warm-cache --owner shop/payments");
        assert_eq!(
            line(Check::Health, |_| {}),
            "smoke --owner shop/payments --gateway http://payments-gateway-0-1-0.shop.svc --release 0.1.0"
        );
        assert_eq!(
            line(Check::Smoke, |spec| spec["gateway"] = json!({ "tls": { "secretName": "tls" } })),
            "smoke --owner shop/payments --gateway https://payments-gateway.shop.svc --any-certificate --release 0.1.0"
        );
        assert_eq!(
            line(Check::Load, |spec| spec["staging"] = json!({ "tps": 40, "duration": "2m" })),
            "load --owner shop/payments --gateway http://payments-gateway.shop.svc --tps 40 --duration 2m --p95 500ms --p99 1s --success-rate 99 --staging"
        );
    }

    #[test]
    fn a_check_has_both_urls_and_a_time_limit_and_nothing_of_the_providers() {
        let job = job(&validated(|spec| spec["staging"] = json!({ "duration": "2m" })), Check::Load, 3);
        assert_eq!(job.name, "payments-load-0-1-0-3");
        let spec = &job.body["spec"];
        assert_eq!(spec["activeDeadlineSeconds"], 300);
        let volumes = spec["template"]["spec"]["volumes"].to_string();
        assert!(volumes.contains("database-url") && volumes.contains("cache-url"), "{volumes}");
        assert!(!volumes.contains("providers"), "a check must not be able to charge: {volumes}");
        assert_eq!(volumes.matches("\"projected\"").count(), 1, "{volumes}");
    }
}
