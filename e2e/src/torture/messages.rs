//! What gateways made of the providers' webhooks, by their own figures.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use runtime_contract::paths::admin;

/// Longer than a gateway that lives needs for its figures.
const TIMEOUT: Duration = Duration::from_secs(2);
const METRIC: &str = "purser_provider_webhooks_total";

/// How many messages had which effect, by the resource of their provider and the effect.
pub(super) type Tally = BTreeMap<(String, String), u64>;

/// Sums over all lives of all gateways.
#[derive(Debug)]
pub(super) struct Messages {
    http: reqwest::Client,
    tally: Mutex<Tally>,
}

impl Messages {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { http: reqwest::Client::builder().timeout(TIMEOUT).build()?, tally: Mutex::default() })
    }

    /// Adds what a gateway counted, which ends right after. One that has hardly started answers nothing, and has counted
    /// nothing.
    pub(super) async fn add(&self, admin_port: u16) {
        let answer = self.http.get(format!("http://127.0.0.1:{admin_port}{}", admin::METRICS)).send().await;
        if let Ok(answer) = answer
            && let Ok(text) = answer.text().await
        {
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            for (which, count) in text.lines().filter_map(counted) {
                *tally.entry(which).or_default() += count;
            }
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One line of the figures.
fn counted(line: &str) -> Option<((String, String), u64)> {
    let (labels, count) = line.strip_prefix(METRIC)?.strip_prefix('{')?.split_once("} ")?;
    let label = |name: &str| {
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        labels.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    Some(((label("provider")?, label("effect")?), count.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_figures_are_read() {
        let line = r#"purser_provider_webhooks_total{effect="due",provider="stripe"} 12"#;
        assert_eq!(counted(line), Some((("stripe".into(), "due".into()), 12)));
        for other in
            ["# TYPE purser_provider_webhooks_total counter", "purser_payments_total{status=\"SUCCESS\"} 3", ""]
        {
            assert_eq!(counted(other), None, "{other}");
        }
    }
}
