//! Figures about the operator itself.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::owned::Kind;

/// Figures about the operator itself.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    api_writes: IntCounterVec,
    leader: IntGauge,
}

impl Metrics {
    /// All figures, at zero.
    ///
    /// # Errors
    /// When two of them have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let reconciles = IntCounterVec::new(
            Opts::new(
                "purser_operator_reconciles_total",
                "Passes over resources, by kind and by the step that failed, or ok.",
            ),
            &["kind", "result"],
        )?;
        let reconcile_seconds = HistogramVec::new(
            HistogramOpts::new("purser_operator_reconcile_seconds", "Duration of passes over resources, by kind.")
                .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            &["kind"],
        )?;
        let api_writes = IntCounterVec::new(
            Opts::new("purser_operator_api_writes_total", "Writes to the API server, by kind and operation."),
            &["kind", "operation"],
        )?;
        let leader = IntGauge::new("purser_operator_leader", "1 in the replica that holds the lease.")?;
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        registry.register(Box::new(api_writes.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        Ok(Self { registry, reconciles, reconcile_seconds, api_writes, leader })
    }

    /// A pass over a resource took so long, and ended so.
    pub fn reconciled(&self, kind: &str, result: &str, duration: Duration) {
        self.reconciles.with_label_values(&[kind, result]).inc();
        self.reconcile_seconds.with_label_values(&[kind]).observe(duration.as_secs_f64());
    }

    /// An object was written.
    pub fn wrote(&self, kind: Kind, operation: &str) {
        self.api_writes.with_label_values(&[format!("{kind:?}").as_str(), operation]).inc();
    }

    /// A status was written.
    pub fn wrote_status(&self, kind: &str) {
        self.api_writes.with_label_values(&[kind, "status"]).inc();
    }

    /// Whether this replica holds the lease.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All figures in Prometheus' text format.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_as_text() {
        let metrics = Metrics::new().unwrap();
        metrics.leads(true);
        metrics.wrote(Kind::Service, "apply");
        metrics.reconciled("PaymentCluster", "ok", Duration::from_millis(20));
        let text = metrics.text().unwrap();
        assert!(text.contains("purser_operator_leader 1"), "{text}");
        assert!(text.contains(r#"purser_operator_api_writes_total{kind="Service",operation="apply"} 1"#), "{text}");
    }
}
