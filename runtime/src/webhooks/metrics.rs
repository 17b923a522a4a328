//! Figures of deliveries.

use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge};

use crate::metrics::Maker;

/// What is counted of deliveries.
pub struct WebhookMetrics {
    /// Deliveries by what came of them: delivered, failed, gone, given_up, dropped (their endpoint was disabled or removed).
    pub deliveries: IntCounterVec,
    /// Seconds of one POST, by result.
    pub post_seconds: HistogramVec,
    /// Seconds from the begin of the commit that wrote an event to the first POST of it.
    pub first_post_seconds: Histogram,
    /// Seconds since the oldest delivery that is still to be made was written.
    pub oldest_seconds: IntGauge,
    /// Posts that are under way.
    pub in_flight: IntGauge,
    /// Endpoints that this process delivers to.
    pub endpoints: IntGauge,
}

impl WebhookMetrics {
    pub(crate) fn new(maker: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            deliveries: maker.counters(
                "purser_webhook_deliveries_total",
                "Deliveries by what came of them.",
                &["result"],
            )?,
            post_seconds: maker.histograms("purser_webhook_post_duration_seconds", "One POST.", &["result"])?,
            first_post_seconds: maker
                .histogram("purser_webhook_first_post_seconds", "From the commit of an event to its first POST.")?,
            oldest_seconds: maker.gauge("purser_webhook_oldest_seconds", "Age of the oldest open delivery.")?,
            in_flight: maker.gauge("purser_webhook_posts_in_flight", "Posts that are under way.")?,
            endpoints: maker.gauge("purser_webhook_endpoints_owned", "Endpoints that this process delivers to.")?,
        })
    }
}
