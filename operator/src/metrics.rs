//! Figures about the operator itself.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::owned::Kind;
use crate::rest::memory::Depth;

/// Figures about the operator itself.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    api_writes: IntCounterVec,
    notifications: IntCounterVec,
    leader: IntGauge,
    looked_at: IntGaugeVec,
    looks: IntCounterVec,
    /// Hashes of the UIDs of what was looked at.
    seen: Arc<Mutex<HashSet<u64>>>,
    hasher: RandomState,
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
        let notifications = IntCounterVec::new(
            Opts::new(
                "purser_operator_notifications_total",
                "Notifications that have ended, by event and by whether they were told or given up.",
            ),
            &["event", "result"],
        )?;
        let leader = IntGauge::new("purser_operator_leader", "1 in the replica that holds the lease.")?;
        let looked_at = IntGaugeVec::new(
            Opts::new(
                "purser_operator_looked_at",
                "Resources that were looked at since this replica leads, or found as they were left, by kind; those that went meanwhile are counted, too.",
            ),
            &["kind"],
        )?;
        let looks = IntCounterVec::new(
            Opts::new(
                "purser_operator_looks_total",
                "Passes over PaymentClusters, by what was read: all of it, what is not watched, or nothing, since nothing has changed.",
            ),
            &["depth"],
        )?;
        registry.register(Box::new(looked_at.clone()))?;
        registry.register(Box::new(looks.clone()))?;
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        registry.register(Box::new(api_writes.clone()))?;
        registry.register(Box::new(notifications.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        let (seen, hasher) = (Arc::default(), RandomState::new());
        Ok(Self {
            registry,
            reconciles,
            reconcile_seconds,
            api_writes,
            notifications,
            leader,
            looked_at,
            looks,
            seen,
            hasher,
        })
    }

    /// A pass over a resource took so long, and ended so.
    pub fn reconciled(&self, kind: &str, result: &str, duration: Duration) {
        self.reconciles.with_label_values(&[kind, result]).inc();
        self.reconcile_seconds.with_label_values(&[kind]).observe(duration.as_secs_f64());
    }

    /// Counts a resource that was looked at, once.
    pub fn looked_at(&self, kind: &str, uid: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.insert(self.hasher.hash_one(uid)) {
            self.looked_at.with_label_values(&[kind]).inc();
        }
    }

    /// A pass over a PaymentCluster looked so closely.
    pub fn looked(&self, depth: Depth) {
        let depth = match depth {
            Depth::Whole => "whole",
            Depth::Referred => "referred",
            Depth::Later(_) => "none",
        };
        self.looks.with_label_values(&[depth]).inc();
    }

    /// An object was written.
    pub fn wrote(&self, kind: Kind, operation: &str) {
        self.api_writes.with_label_values(&[format!("{kind:?}").as_str(), operation]).inc();
    }

    /// A status was written.
    pub fn wrote_status(&self, kind: &str) {
        self.api_writes.with_label_values(&[kind, "status"]).inc();
    }

    /// A notification was told, or given up.
    pub fn notified(&self, event: &str, told: bool) {
        let result = if told { "told" } else { "given_up" };
        self.notifications.with_label_values(&[event, result]).inc();
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
        metrics.notified("ApprovalNeeded", true);
        metrics.notified("ApprovalNeeded", false);
        for uid in ["a", "b", "a"] {
            metrics.looked_at("PaymentCluster", uid);
        }
        let text = metrics.text().unwrap();
        assert!(text.contains(r#"purser_operator_looked_at{kind="PaymentCluster"} 2"#), "{text}");
        assert!(text.contains("purser_operator_leader 1"), "{text}");
        for result in ["told", "given_up"] {
            let told = format!(r#"purser_operator_notifications_total{{event="ApprovalNeeded",result="{result}"}} 1"#);
            assert!(text.contains(&told), "{text}");
        }
        assert!(text.contains(r#"purser_operator_api_writes_total{kind="Service",operation="apply"} 1"#), "{text}");
    }
}
