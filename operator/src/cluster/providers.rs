//! The providers of a PaymentCluster: which of them it uses, and whether payments can go anywhere. ★ Pure.

use crds::conditions::provider::ENDPOINT_REACHABLE;
use crds::{PaymentProvider, payment_provider};
use kube::ResourceExt;
use runtime_contract::ProviderSettings;

use super::step::Verdict;
use crate::provider::judge::is_supported;
use crate::secrets::SecretState;

/// A provider whose labels the PaymentCluster selects.
#[derive(Clone, Debug)]
pub struct SeenProvider {
    /// The resource.
    pub provider: PaymentProvider,
    /// Another PaymentCluster that it belongs to; `None` when it is ours.
    pub taken_by: Option<String>,
    /// Its credential.
    pub credentials: SecretState,
}

impl SeenProvider {
    fn is_used(&self) -> bool {
        self.taken_by.is_none() && is_supported(self.provider.spec.name)
    }

    fn has_credentials(&self) -> bool {
        matches!(self.credentials, SecretState::Present { .. })
    }

    /// Whether the last probe of the endpoint found nobody there. No probe yet is no reason to doubt.
    fn is_unreachable(&self) -> bool {
        let conditions = self.provider.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.type_ == ENDPOINT_REACHABLE && condition.status == "False")
    }
}

/// The providers that are ours and that an adapter exists for.
pub fn used(providers: &[SeenProvider]) -> impl Iterator<Item = &SeenProvider> {
    providers.iter().filter(|seen| seen.is_used())
}

/// What the live settings say of them. A provider without a credential gets no new payment.
///
/// # Errors
/// A sentence naming the provider whose spec cannot be read.
pub fn settings(providers: &[SeenProvider]) -> Result<Vec<ProviderSettings>, String> {
    let mut settings = used(providers)
        .map(|seen| {
            let payment_provider::PaymentProviderSpec {
                name,
                api_endpoint,
                credentials_secret_ref: _,
                webhook_secret_ref: _,
                priority,
                active,
                max_latency,
                success_rate_threshold,
                simulator: _,
            } = &seen.provider.spec;
            let resource = seen.provider.name_any();
            let max_latency_ms = max_latency.as_millis().and_then(|millis| u32::try_from(millis).ok());
            Ok(ProviderSettings {
                name: (*name).into(),
                api_endpoint: api_endpoint.clone(),
                priority: *priority,
                active: *active && seen.has_credentials(),
                max_latency_ms: max_latency_ms.ok_or_else(|| {
                    format!(
                        "PaymentProvider \"{resource}\": maxLatency \"{}\" is no duration such as 2s",
                        max_latency.0
                    )
                })?,
                success_rate_threshold: success_rate_threshold.clone(),
                resource,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    settings.sort_by(|one, other| one.resource.cmp(&other.resource));
    Ok(settings)
}

/// Whether at least one provider can take a payment.
#[must_use]
pub fn is_any_usable(providers: &[SeenProvider]) -> bool {
    used(providers).any(|seen| seen.provider.spec.active && seen.has_credentials() && !seen.is_unreachable())
}

/// The condition ProvidersReady.
#[must_use]
pub fn verdict(providers: &[SeenProvider], namespace: &str) -> Verdict {
    if providers.is_empty() {
        let message = "spec.providers.selector matches no PaymentProvider of the namespace; payments are accepted, but cannot go anywhere";
        return Verdict::no("NoProviderSelected", message);
    }
    if let Some((seen, other)) = providers.iter().find_map(|seen| Some((seen, seen.taken_by.as_ref()?))) {
        let message = format!(
            "PaymentProvider \"{}\" belongs to the older PaymentCluster \"{other}\", whose selector matches it as well",
            seen.provider.name_any()
        );
        return Verdict::no("ProviderConflict", message);
    }
    if is_any_usable(providers) {
        return Verdict::yes("ProvidersReady", working(providers));
    }
    not_usable(providers, namespace)
}

fn working(providers: &[SeenProvider]) -> String {
    let usable: Vec<_> = used(providers)
        .filter(|seen| is_any_usable(std::slice::from_ref(seen)))
        .map(|seen| seen.provider.name_any())
        .collect();
    format!("payments can go to {}", usable.join(", "))
}

fn not_usable(providers: &[SeenProvider], namespace: &str) -> Verdict {
    let Some(first) = used(providers).next() else {
        let names: Vec<_> = providers.iter().map(|seen| seen.provider.name_any()).collect();
        return Verdict::no("UnsupportedProvider", format!("there is no adapter yet for {}", names.join(", ")));
    };
    if !used(providers).any(|seen| seen.provider.spec.active) {
        return Verdict::no("NoActiveProvider", "every selected PaymentProvider has active: false");
    }
    let active: Vec<_> = used(providers).filter(|seen| seen.provider.spec.active).collect();
    if active.iter().any(|seen| seen.has_credentials()) {
        let names: Vec<_> =
            active.iter().filter(|seen| seen.is_unreachable()).map(|seen| seen.provider.name_any()).collect();
        let message = format!("no active provider answers ({}); payments wait for one", names.join(", "));
        return Verdict::no("ProviderUnreachable", message);
    }
    let seen = active.first().copied().unwrap_or(first);
    let problem = seen.credentials.problem(&seen.provider.spec.credentials_secret_ref, namespace);
    let (_, sentence) = problem.unwrap_or(("", "its credential is missing".into()));
    Verdict::no("CredentialsMissing", format!("PaymentProvider \"{}\": {sentence}", seen.provider.name_any()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures;

    fn seen(change: impl FnOnce(&mut SeenProvider)) -> Vec<SeenProvider> {
        let mut seen = fixtures::seen_provider("stripe");
        change(&mut seen);
        vec![seen]
    }

    #[test]
    fn each_reason_why_payments_cannot_go_anywhere_has_a_name() {
        let unreachable = || {
            serde_json::from_value(json!({ "conditions": [{
                "type": "EndpointReachable", "status": "False", "reason": "Refused", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }] }))
            .unwrap()
        };
        let cases = [
            (vec![], "NoProviderSelected"),
            (seen(|_| {}), "ProvidersReady"),
            (seen(|seen| seen.taken_by = Some("older".into())), "ProviderConflict"),
            (seen(|seen| seen.provider.spec.active = false), "NoActiveProvider"),
            (seen(|seen| seen.credentials = SecretState::Missing), "CredentialsMissing"),
            (seen(|seen| seen.provider.spec.name = payment_provider::ProviderName::Visa), "UnsupportedProvider"),
            (seen(|seen| seen.provider.status = Some(unreachable())), "ProviderUnreachable"),
        ];
        for (providers, reason) in cases {
            let verdict = verdict(&providers, "shop");
            assert_eq!(verdict.reason, reason);
            assert_eq!(verdict.is_true(), reason == "ProvidersReady");
        }
    }

    #[test]
    fn a_provider_without_credentials_or_of_another_cluster_gets_no_payment() {
        assert!(settings(&seen(|_| {})).unwrap()[0].active);
        assert!(!settings(&seen(|seen| seen.credentials = SecretState::Missing)).unwrap()[0].active);
        assert_eq!(settings(&seen(|seen| seen.taken_by = Some("older".into()))).unwrap(), []);
    }
}
