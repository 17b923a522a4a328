//! Prometheus metrics of reads that may be old.

use prometheus::{Gauge, IntCounterVec, IntGauge};

use crate::metrics::Maker;

/// Where lists are read from, and how the replica does.
#[derive(Clone)]
pub struct ReadFigures {
    /// How old at most that is what the replica shows.
    pub lag_seconds: Gauge,
    /// Whether it is used.
    pub used: IntGauge,
    answered: IntCounterVec,
}

impl ReadFigures {
    pub(crate) fn new(maker: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            lag_seconds: maker.measure(
                "purser_replica_lag_seconds",
                "How old at most that is what the replica shows; it grows while the replica is away. 0 without one.",
            )?,
            used: maker.gauge("purser_replica_used", "1 while lists are read from the replica.")?,
            answered: maker.counters(
                "purser_list_reads_total",
                "Reads that may be old, by what answered: replica or primary.",
                &["source"],
            )?,
        })
    }

    /// Something was read.
    pub(crate) fn answered_by(&self, source: &str) {
        self.answered.with_label_values(&[source]).inc();
    }
}
