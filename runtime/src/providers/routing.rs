//! Which provider a new attempt goes to, and why not to the others.

use std::fmt;

use runtime_contract::{ProviderName, ProviderSettings};

use super::health::Standing;
use super::{Adapter, Unsupported};
use crate::money::Money;

/// The providers that may take a payment, best first, and those that may not.
#[derive(Debug)]
pub struct Route<'a> {
    /// In the order in which they are asked.
    pub candidates: Vec<&'a ProviderSettings>,
    /// How each of them stands, in the same order.
    pub standings: Vec<Standing>,
    /// Resource and reason of each of the others.
    pub excluded: Vec<(&'a str, Exclusion)>,
}

/// Why a provider gets no new attempt of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// Switched off in the live settings.
    Inactive,
    /// This program does not speak its language.
    NoAdapter(ProviderName),
    /// This pod holds no credential for it.
    NoCredential,
    /// It was asked in this round already.
    Tried,
    /// It cannot take this amount, now or later.
    Unsupported(Unsupported),
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => f.write_str("is switched off"),
            Self::NoAdapter(name) => write!(f, "is {name}, for which there is no adapter"),
            Self::NoCredential => f.write_str("has no credential here"),
            Self::Tried => f.write_str("was tried just now"),
            Self::Unsupported(why) => write!(f, "cannot take it: {why}"),
        }
    }
}

/// What routing must know besides the settings.
pub struct Knowledge<'a> {
    /// The adapter that speaks to a provider, if there is one.
    pub adapter: fn(ProviderName) -> Option<&'static dyn Adapter>,
    /// Whether there is a credential for a resource.
    pub has_credential: &'a dyn Fn(&str) -> bool,
    /// Resources asked in this round.
    pub tried: &'a [String],
    /// How a provider answers.
    pub standing: &'a dyn Fn(&ProviderSettings) -> Standing,
}

/// Orders the active providers by priority, then by name. Those that do not answer well come last rather than not at all:
/// where nobody else is there, a bad chance is better than none.
pub fn route<'a>(providers: &'a [ProviderSettings], money: &Money, knowledge: &Knowledge<'_>) -> Route<'a> {
    let (mut candidates, mut excluded) = (Vec::new(), Vec::new());
    for provider in providers {
        match exclusion(provider, money, knowledge) {
            Some(reason) => excluded.push((provider.resource.as_str(), reason)),
            None => candidates.push((provider, (knowledge.standing)(provider))),
        }
    }
    candidates.sort_by_key(|(provider, standing)| (!standing.is_available(), provider.priority, &provider.resource));
    let (candidates, standings) = candidates.into_iter().unzip();
    Route { candidates, standings, excluded }
}

fn exclusion(provider: &ProviderSettings, money: &Money, knowledge: &Knowledge<'_>) -> Option<Exclusion> {
    if !provider.active {
        return Some(Exclusion::Inactive);
    }
    let Some(adapter) = (knowledge.adapter)(provider.name) else {
        return Some(Exclusion::NoAdapter(provider.name));
    };
    if !(knowledge.has_credential)(&provider.resource) {
        return Some(Exclusion::NoCredential);
    }
    if let Err(why) = adapter.supports(money) {
        return Some(Exclusion::Unsupported(why));
    }
    knowledge.tried.contains(&provider.resource).then_some(Exclusion::Tried)
}

impl Route<'_> {
    /// Whether no provider can ever take the payment as it is: somebody could be asked, and all of those refuse its
    /// currency or amount. Waiting would not help then.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        let unsupported = |exclusion: &Exclusion| matches!(exclusion, Exclusion::Unsupported(_));
        let temporary = |exclusion: &Exclusion| matches!(exclusion, Exclusion::NoCredential | Exclusion::Tried);
        self.candidates.is_empty()
            && self.excluded.iter().any(|(_, exclusion)| unsupported(exclusion))
            && !self.excluded.iter().any(|(_, exclusion)| temporary(exclusion))
    }

    /// Why a candidate was chosen, and none of the others, as sentences for a person.
    #[must_use]
    pub fn reasons_for(&self, chosen: &str) -> String {
        let mut sentences = Vec::with_capacity(self.candidates.len() + 1);
        for (provider, standing) in self.candidates.iter().zip(&self.standings) {
            let sentence = format!("{} has priority {} and is {standing}", provider.resource, provider.priority);
            if provider.resource == chosen {
                sentences.insert(0, format!("Chosen: {sentence}"));
            } else {
                sentences.push(sentence);
            }
        }
        if !self.excluded.is_empty() {
            sentences.push(format!("Left out: {}", self.explain()));
        }
        sentences.join(". ")
    }

    /// One sentence with every exclusion.
    #[must_use]
    pub fn explain(&self) -> String {
        if self.excluded.is_empty() {
            return "no provider is configured".into();
        }
        self.excluded.iter().map(|(resource, why)| format!("{resource} {why}")).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::adapter;
    use crate::providers::health::{Figures, Trouble};

    fn provider(resource: &str, name: ProviderName, priority: i32) -> ProviderSettings {
        ProviderSettings {
            resource: resource.into(),
            name,
            api_endpoint: "https://provider.test".into(),
            priority,
            active: true,
            max_latency_ms: 2000,
            success_rate_threshold: "95.0".into(),
        }
    }

    fn routed<'a>(providers: &'a [ProviderSettings], currency: &str, tried: &[String]) -> Route<'a> {
        let standing = |provider: &ProviderSettings| match provider.resource.as_str() {
            "sick" => Standing::Unhealthy(Trouble::CircuitOpen),
            _ => Standing::Healthy(Figures::default()),
        };
        let has_credential = |resource: &str| resource != "keyless";
        let knowledge = Knowledge { adapter, has_credential: &has_credential, tried, standing: &standing };
        route(providers, &Money::parse("10", currency.parse().unwrap()).unwrap(), &knowledge)
    }

    fn order(route: &Route<'_>) -> Vec<String> {
        route.candidates.iter().map(|provider| provider.resource.clone()).collect()
    }

    #[test]
    fn candidates_stand_by_priority_and_then_by_name() {
        let providers = [("c", 2), ("b", 1), ("a", 2)]
            .map(|(resource, priority)| provider(resource, ProviderName::Stripe, priority));
        assert_eq!(order(&routed(&providers, "USD", &[])), ["b", "a", "c"]);
    }

    #[test]
    fn who_does_not_answer_comes_last_but_comes_and_the_choice_is_explained() {
        let providers =
            [("sick", 1), ("well", 2)].map(|(resource, priority)| provider(resource, ProviderName::Stripe, priority));
        let route = routed(&providers, "USD", &[]);
        assert_eq!(order(&route), ["well", "sick"]);
        assert_eq!(
            route.reasons_for("well"),
            "Chosen: well has priority 2 and is healthy: not asked lately. sick has priority 1 and is left alone for a while after failures"
        );
        assert_eq!(order(&routed(&providers[..1], "USD", &[])), ["sick"]);
    }

    #[test]
    fn each_exclusion_has_its_reason() {
        let mut off = provider("off", ProviderName::Stripe, 1);
        off.active = false;
        let providers = [
            off,
            provider("visa", ProviderName::Visa, 1),
            provider("keyless", ProviderName::Stripe, 1),
            provider("tried", ProviderName::Stripe, 1),
        ];
        let tried = ["tried".to_owned()];
        let route = routed(&providers, "USD", &tried);
        assert_eq!(order(&route), Vec::<String>::new());
        assert_eq!(
            route.explain(),
            "off is switched off; visa is VISA, for which there is no adapter; keyless has no credential here; tried was tried just now"
        );
        assert!(!route.is_hopeless());
    }

    #[test]
    fn a_currency_that_everybody_refuses_is_hopeless_and_a_missing_credential_is_not() {
        let refusing = [provider("stripe", ProviderName::Stripe, 1)];
        assert!(routed(&refusing, "IQD", &[]).is_hopeless());
        let both = [provider("stripe", ProviderName::Stripe, 1), provider("keyless", ProviderName::Stripe, 2)];
        assert!(!routed(&both, "IQD", &[]).is_hopeless());
        assert!(!routed(&[], "IQD", &[]).is_hopeless());
    }
}
