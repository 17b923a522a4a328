//! The conditions of a PaymentProvider. ★ Pure.

use crds::conditions::{self, provider as names};
use crds::payment_provider::ProviderName;
use crds::{PaymentProvider, PaymentProviderStatus};
use jiff::Timestamp;
use kube::ResourceExt;

use super::probe::Probe;
use crate::cluster::report::condition;
use crate::cluster::step::{Truth, Verdict};
use crate::secrets::SecretState;

/// Whether the runtime has an adapter for the provider.
#[must_use]
pub const fn is_supported(name: ProviderName) -> bool {
    match name {
        ProviderName::Stripe | ProviderName::Paypal => true,
        ProviderName::Visa | ProviderName::Mastercard | ProviderName::Amex => false,
    }
}

/// The status that what was seen makes.
#[must_use]
pub fn status(
    provider: &PaymentProvider,
    credentials: &SecretState,
    endpoint: &Probe,
    used_by: Option<String>,
    now: Timestamp,
) -> PaymentProviderStatus {
    let generation = provider.metadata.generation.unwrap_or(0);
    let before = provider.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let verdicts = verdicts(provider, credentials, endpoint, used_by.as_deref());
    PaymentProviderStatus {
        observed_generation: generation,
        used_by,
        conditions: verdicts
            .into_iter()
            .map(|(name, verdict)| condition(name, verdict, before, generation, now))
            .collect(),
    }
}

fn verdicts(
    provider: &PaymentProvider,
    credentials: &SecretState,
    endpoint: &Probe,
    used_by: Option<&str>,
) -> Vec<(&'static str, Verdict)> {
    let namespace = provider.namespace().unwrap_or_default();
    let secret = match credentials.problem(&provider.spec.credentials_secret_ref, &namespace) {
        Some((reason, message)) => Verdict::no(reason, message),
        None => Verdict::yes("CredentialsAvailable", "the Secret and its key are there"),
    };
    let reachable = match endpoint {
        Probe::Answered => Verdict::yes("Answered", format!("{} answers", provider.spec.api_endpoint)),
        Probe::Silent { reason, message } => Verdict::no(reason, message.clone()),
    };
    let selected = match used_by {
        Some(cluster) => Verdict::yes("Selected", format!("PaymentCluster \"{cluster}\" uses it")),
        None => Verdict::no("NotSelected", "no PaymentCluster of the namespace selects its labels"),
    };
    vec![
        (conditions::READY, ready(provider, &secret, &reachable)),
        (conditions::RECONCILING, Verdict::no("Observed", "the spec was looked at")),
        (conditions::STALLED, stalled(provider, &secret)),
        (names::CREDENTIALS_AVAILABLE, secret),
        (names::ENDPOINT_REACHABLE, reachable),
        (names::SELECTED, selected),
    ]
}

fn unsupported(provider: &PaymentProvider) -> Option<String> {
    let name = runtime_contract::ProviderName::from(provider.spec.name);
    (!is_supported(provider.spec.name))
        .then(|| format!("there is no adapter for {name} yet; STRIPE and PAYPAL have one"))
}

/// What a person has to put right. An endpoint that is silent may come back by itself.
fn stalled(provider: &PaymentProvider, secret: &Verdict) -> Verdict {
    match unsupported(provider) {
        Some(message) => Verdict::yes("UnsupportedProvider", message),
        None if secret.truth == Truth::False => Verdict { truth: Truth::True, ..secret.clone() },
        None => Verdict::no("NotStalled", "nothing waits for a person"),
    }
}

/// Whether payments can go there. One that is switched off is as ready as it is meant to be.
fn ready(provider: &PaymentProvider, secret: &Verdict, reachable: &Verdict) -> Verdict {
    if let Some(message) = unsupported(provider) {
        return Verdict::no("UnsupportedProvider", message);
    }
    match [secret, reachable].into_iter().find(|verdict| !verdict.is_true()) {
        Some(failing) => failing.clone(),
        None if provider.spec.active => Verdict::yes("Ready", "it takes payments"),
        None => Verdict::yes("Inactive", "it would take payments, but active is false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    fn of(
        change: impl FnOnce(&mut PaymentProvider),
        credentials: &SecretState,
        endpoint: &Probe,
    ) -> Vec<(&'static str, Verdict)> {
        verdicts(&fixtures::provider("stripe", change), credentials, endpoint, Some("payments"))
    }

    #[test]
    fn a_provider_is_ready_when_its_secret_is_there_and_its_endpoint_answers() {
        let silent = Probe::Silent { reason: "Refused", message: "refuses".into() };
        let there = fixtures::present("1");
        let cases = [
            (of(|_| {}, &there, &Probe::Answered), "Ready", false),
            (of(|provider| provider.spec.active = false, &there, &Probe::Answered), "Inactive", false),
            (of(|_| {}, &there, &silent), "Refused", false),
            (of(|_| {}, &SecretState::Missing, &Probe::Answered), "SecretMissing", true),
            (of(|_| {}, &SecretState::KeyMissing, &silent), "SecretKeyMissing", true),
            (
                of(|provider| provider.spec.name = ProviderName::Visa, &there, &Probe::Answered),
                "UnsupportedProvider",
                true,
            ),
        ];
        for (verdicts, reason, is_stalled) in cases {
            assert_eq!(verdicts[0].0, "Ready");
            assert_eq!(verdicts[0].1.reason, reason);
            assert_eq!(verdicts[2].1.is_true(), is_stalled, "{reason}");
        }
    }
}
