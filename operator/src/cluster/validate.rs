//! From a spec and what was observed to what can be planned with, or to the sentence that says why not. ★ Pure.

use crds::{DurationText, PaymentClusterSpec, SecretKey};
use kube::ResourceExt;
use runtime_contract::{CacheTtl, ProviderSettings, Role};

use super::observed::Observed;
use super::{configuration, plan_maintenance, providers, revision};
use crate::names::{Identity, Release};
use crate::sla::Limits;
use crds::annotations;

/// A spec that can be planned with, every text in it read.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The PaymentCluster.
    pub identity: Identity,
    /// The release that the spec wants.
    pub release: Release,
    /// When this try of the release began, in milliseconds since 1970, as far as its pods are to know.
    pub since_ms: Option<i64>,
    /// The spec as it was written.
    pub spec: PaymentClusterSpec,
    /// Hard limit of a fraud check, in milliseconds.
    pub fraud_deadline_ms: u32,
    /// How old what is read from the replica may be, in milliseconds.
    pub read_lag_max_ms: u32,
    /// Times to live in the cache.
    pub cache_ttl: CacheTtl,
    /// The providers that the live settings name.
    pub providers: Vec<ProviderSettings>,
    /// Where the credential of each of these providers is.
    pub credentials: Vec<(String, SecretKey)>,
    /// Where that is by which webhooks are verified, of those providers that have one.
    pub provider_webhooks: Vec<(String, SecretKey)>,
    /// The versions of the Secrets.
    pub secret_revisions: SecretRevisions,
    /// The value of [`annotations::RETRY`].
    pub retry: String,
    /// Whether a person holds the release.
    pub is_paused: bool,
    /// Whether writes are to be refused, for a release or because a person wants it.
    pub in_maintenance: bool,
    /// What a release has to keep to.
    pub sla: Limits,
    /// How long a new release may take to become ready.
    pub progress_deadline_ms: u64,
    /// How long the release before is kept.
    pub retire_after_ms: u64,
    /// The number of the operator, by which the database knows a newer one from an older one.
    pub token: i64,
}

/// `metadata.resourceVersion` of the Secrets that pods start with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretRevisions {
    /// Of the database.
    pub database: String,
    /// Of the cache.
    pub cache: String,
    /// Of each provider, in the order of [`Validated::credentials`].
    pub providers: Vec<String>,
    /// Of those that backups need.
    pub backup: Vec<String>,
    /// Of those that the replication to analytics needs.
    pub analytics: Vec<String>,
    /// Of the read replica, if there is to be one.
    pub replica: Vec<String>,
    /// What pods of a role carry of all of these, where they are to be left as they are.
    pub held: Vec<(Role, String)>,
}

/// Why nothing can be planned. Nothing is changed until it is put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One word.
    pub reason: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// Whether it is about a Secret, and not about the spec.
    pub is_secret: bool,
}

/// How many pods a role has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// As many as the spec says.
    Fixed(i32),
    /// As many as the autoscaler says, and at least so many.
    Scaled(i32),
}

impl Replicas {
    /// The number to apply; `None` where the autoscaler owns it.
    #[must_use]
    pub const fn fixed(self) -> Option<i32> {
        match self {
            Self::Fixed(replicas) => Some(replicas),
            Self::Scaled(_) => None,
        }
    }

    /// The fewest pods that there are to be.
    #[must_use]
    pub const fn least(self) -> i32 {
        match self {
            Self::Fixed(replicas) | Self::Scaled(replicas) => replicas,
        }
    }
}

/// How many pods a role is to have by a spec.
#[must_use]
pub fn replicas(spec: &PaymentClusterSpec, role: Role) -> Replicas {
    match role {
        Role::Gateway => match &spec.gateway.autoscaling {
            Some(autoscaling) => Replicas::Scaled(autoscaling.min_replicas),
            None => Replicas::Fixed(spec.gateway.replicas),
        },
        Role::Fraud => Replicas::Fixed(spec.fraud.replicas),
        Role::Processor => Replicas::Fixed(spec.processor.replicas),
        Role::Metrics => Replicas::Fixed(spec.metrics.replicas),
    }
}

impl Validated {
    /// How many pods a role is to have.
    #[must_use]
    pub fn replicas(&self, role: Role) -> Replicas {
        replicas(&self.spec, role)
    }
}

/// Reads the spec and what it refers to.
///
/// # Errors
/// The first thing that is wrong, most general first. The API server has refused most of it before; a resource from
/// before a rule, or from another version of the definition, comes here all the same.
pub fn validate(observed: &Observed) -> Result<Validated, Problem> {
    let spec = &observed.cluster.spec;
    let cache_ttl = CacheTtl {
        user_s: seconds("spec.cache.ttl.user", &spec.cache.ttl.user)?,
        payment_method_s: seconds("spec.cache.ttl.paymentMethod", &spec.cache.ttl.payment_method)?,
        fraud_rules_s: seconds("spec.cache.ttl.fraudRules", &spec.cache.ttl.fraud_rules)?,
        metrics_s: seconds("spec.cache.ttl.metrics", &spec.cache.ttl.metrics)?,
    };
    let fraud_deadline_ms = millis("spec.fraud.deadline", &spec.fraud.deadline)?;
    version(&spec.version)?;
    let providers = providers::settings(&observed.providers).map_err(|message| invalid(&message))?;
    secrets(observed)?;
    let sla = Limits::read(&spec.sla)
        .map_err(|field| invalid(&format!("spec.sla.{field} is not of the form that the schema asks for")))?;
    let used = || providers::used(&observed.providers);
    let annotation = |name: &str| observed.cluster.annotations().get(name);
    let release = revision::wanted(observed);
    Ok(Validated {
        identity: observed.identity.clone(),
        since_ms: configuration::since_ms(observed, &release),
        release,
        spec: spec.clone(),
        fraud_deadline_ms,
        read_lag_max_ms: millis("spec.database.readLagMax", &spec.database.read_lag_max)?,
        cache_ttl,
        providers,
        credentials: used()
            .map(|seen| (seen.provider.name_any(), seen.provider.spec.credentials_secret_ref.clone()))
            .collect(),
        provider_webhooks: used()
            .filter_map(|seen| Some((seen.provider.name_any(), seen.provider.spec.webhook_secret_ref.clone()?)))
            .collect(),
        secret_revisions: SecretRevisions {
            database: observed.database_secret.revision().to_owned(),
            cache: observed.cache_secret.revision().to_owned(),
            providers: used().map(|seen| seen.credentials.revision().to_owned()).collect(),
            backup: observed.backup_secrets.iter().map(|(_, _, state)| state.revision().to_owned()).collect(),
            analytics: observed.analytics_secrets.iter().map(|(_, _, state)| state.revision().to_owned()).collect(),
            replica: observed.replica_secrets.iter().map(|(_, _, state)| state.revision().to_owned()).collect(),
            held: Vec::new(),
        },
        retry: annotation(annotations::RETRY).cloned().unwrap_or_default(),
        is_paused: annotation(annotations::PAUSED).is_some_and(|value| value == "true"),
        in_maintenance: plan_maintenance::is_wanted(observed),
        sla,
        progress_deadline_ms: long("spec.rollout.progressDeadline", &spec.rollout.progress_deadline)?,
        retire_after_ms: long("spec.rollout.retireAfter", &spec.rollout.retire_after)?,
        token: observed.token,
    })
}

fn secrets(observed: &Observed) -> Result<(), Problem> {
    let spec = &observed.cluster.spec;
    let looked_at = [
        (&observed.database_secret, &spec.database.url_secret_ref, "spec.database.urlSecretRef"),
        (&observed.cache_secret, &spec.cache.url_secret_ref, "spec.cache.urlSecretRef"),
    ];
    let of_gateway = observed.gateway_secrets.iter().map(|(field, key, state)| (state, key, *field));
    for (state, key, field) in looked_at.into_iter().chain(of_gateway) {
        if let Some((reason, message)) = state.problem(key, &observed.identity.namespace) {
            return Err(Problem { reason, message: format!("{message}, which {field} names"), is_secret: true });
        }
    }
    Ok(())
}

fn version(version: &str) -> Result<(), Problem> {
    let is_version = version.len() <= 18
        && version.split('.').count() >= 3
        && version.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || matches!(c, '.' | '-'))
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version.ends_with(|c: char| c.is_ascii_alphanumeric());
    if !is_version {
        let message =
            format!("spec.version \"{version}\" is no semantic version in lower case of at most 18 characters");
        return Err(invalid(&message));
    }
    // The last identifier, which a revision of the configuration must not be taken for.
    let last = version.rsplit(['.', '-']).next().unwrap_or_default();
    let is_revision = last.strip_prefix('r').is_some_and(|number| number.parse::<u64>().is_ok());
    if is_revision {
        return Err(invalid(&format!(
            "spec.version \"{version}\" ends like a revision of a configuration, such as r2"
        )));
    }
    Ok(())
}

fn seconds(field: &str, text: &DurationText) -> Result<u32, Problem> {
    let seconds = text.as_millis().map(|millis| millis / 1_000).filter(|seconds| *seconds > 0);
    seconds
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| invalid(&format!("{field} \"{}\" is no time to live of 1s or more", text.0)))
}

fn millis(field: &str, text: &DurationText) -> Result<u32, Problem> {
    text.as_millis()
        .and_then(|millis| u32::try_from(millis).ok())
        .ok_or_else(|| invalid(&format!("{field} \"{}\" is no duration such as 50ms", text.0)))
}

fn long(field: &str, text: &DurationText) -> Result<u64, Problem> {
    text.as_millis().ok_or_else(|| invalid(&format!("{field} \"{}\" is no duration such as 10m", text.0)))
}

fn invalid(message: &str) -> Problem {
    Problem { reason: "InvalidSpec", message: message.to_owned(), is_secret: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;
    use crate::secrets::SecretState;

    #[test]
    fn the_spec_of_the_quickstart_is_read_in_units() {
        let validated = validate(&fixtures::observed(|_| {})).unwrap();
        assert_eq!(validated.fraud_deadline_ms, 50);
        assert_eq!(validated.cache_ttl.payment_method_s, 600);
        assert_eq!(validated.providers[0].max_latency_ms, 2_000);
        assert_eq!(validated.credentials[0].0, "stripe");
    }

    #[test]
    fn what_the_api_server_would_have_refused_is_refused_with_the_field_s_name() {
        type Change = fn(&mut PaymentClusterSpec);
        let cases: [(Change, &str); 6] = [
            (|spec| spec.version = "latest".into(), "spec.version"),
            (|spec| spec.version = "1.4.0-r2".into(), "spec.version"),
            (|spec| spec.version = "1.4.0-rc.r2".into(), "spec.version"),
            (|spec| spec.cache.ttl.user = "0s".into(), "spec.cache.ttl.user"),
            (|spec| spec.cache.ttl.metrics = "10ms".into(), "spec.cache.ttl.metrics"),
            (|spec| spec.fraud.deadline = "soon".into(), "spec.fraud.deadline"),
        ];
        for (change, field) in cases {
            let problem = validate(&fixtures::observed(|observed| change(&mut observed.cluster.spec))).unwrap_err();
            assert_eq!(problem.reason, "InvalidSpec");
            assert!(problem.message.contains(field), "{}", problem.message);
        }
    }

    #[test]
    fn a_secret_that_only_the_gateway_needs_is_named_with_its_field() {
        let certificate = SecretKey { name: "payments-tls".into(), key: "tls.crt".into() };
        let problem = validate(&fixtures::observed(|observed| {
            observed.gateway_secrets = vec![("spec.gateway.tls.secretName", certificate, SecretState::KeyMissing)];
        }));
        let problem = problem.unwrap_err();
        assert_eq!((problem.reason, problem.is_secret), ("SecretKeyMissing", true));
        assert!(problem.message.contains("\"payments-tls\" has no key \"tls.crt\", which spec.gateway.tls.secretName"));
    }

    #[test]
    fn a_secret_that_lacks_something_is_named() {
        let cases = [
            (SecretState::Missing, "SecretMissing", "no Secret \"payments-db\" in namespace \"shop\""),
            (SecretState::KeyMissing, "SecretKeyMissing", "Secret \"payments-db\" has no key \"url\""),
            (SecretState::Empty, "SecretKeyEmpty", "has no value"),
            (SecretState::Forbidden, "SecretForbidden", "may not read"),
        ];
        for (state, reason, sentence) in cases {
            let problem =
                validate(&fixtures::observed(|observed| observed.database_secret = state.clone())).unwrap_err();
            assert_eq!((problem.reason, problem.is_secret), (reason, true));
            assert!(problem.message.contains(sentence), "{}", problem.message);
        }
    }
}
