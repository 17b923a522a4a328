//! Prometheus metrics. Every figure carries the release, so that two releases side by side can be compared.

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::cdc::SlotGauges;
use crate::replica::ReadFigures;
use crate::webhooks::metrics::WebhookMetrics;

/// Seconds. Fine where the promises are: 50 ms for a fraud check, two seconds for a provider.
const BUCKETS_S: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// All metrics of a process, registered once.
pub struct Metrics {
    registry: Registry,
    /// Deliveries of events.
    pub webhooks: WebhookMetrics,
    /// Payments by the status they reached: PENDING when accepted, SUCCESS, FAILED, …
    pub payments: IntCounterVec,
    /// Seconds from acceptance to the end, by final status.
    pub payment_seconds: HistogramVec,
    /// Seconds of one call to a provider, by provider resource and outcome.
    pub attempt_seconds: HistogramVec,
    /// Captures, refunds and voids that came to their end, by kind and status.
    pub operations: IntCounterVec,
    /// Seconds of one call to a provider for them, by kind and outcome.
    pub operation_seconds: HistogramVec,
    /// Seconds of one fraud check, by verdict.
    pub fraud_seconds: HistogramVec,
    /// Fraud checks that missed their deadline.
    pub fraud_deadline_missed: IntCounter,
    /// Payments that wait for a processor or are with one.
    pub queue_depth: IntGauge,
    /// Age of the oldest of them that is due, in seconds.
    pub queue_oldest_seconds: IntGauge,
    /// Seconds since the oldest of all of them was accepted.
    pub queue_oldest_payment_seconds: IntGauge,
    /// Payments and operations that wait for a person.
    pub queue_parked: IntGauge,
    /// Calls to providers of which nobody knows the outcome for more than a minute.
    pub unknown_outcomes: IntGauge,
    /// Seconds since the oldest call whose outcome is open was sent.
    pub unknown_oldest_seconds: IntGauge,
    /// Messages of providers, by resource and what they came to.
    pub provider_webhooks: IntCounterVec,
    /// HTTP requests by method, route and status.
    pub http_requests: IntCounterVec,
    /// Seconds of an HTTP request, by route.
    pub http_seconds: HistogramVec,
    /// What was asked for, by cache (user, payment_method, merchant), layer (process, redis, database) and result (hit, miss).
    pub cache_requests: IntCounterVec,
    /// Requests that were turned away, by reason (rate, concurrency, load, maintenance) and class of request.
    pub refused_requests: IntCounterVec,
    /// Revision of the live settings in force.
    pub settings_revision: IntGauge,
    /// 0: payments are taken. 1: maintenance is on. 2: nothing of money is written.
    pub maintenance: IntGauge,
    /// What is kept for analytics.
    pub cdc: SlotGauges,
    /// Where lists are read from.
    pub reads: ReadFigures,
}

impl Metrics {
    /// Registers every metric, labelled with the release.
    ///
    /// # Errors
    /// When two metrics have one name, or the release cannot be a label.
    pub fn new(release: &str) -> Result<Self, prometheus::Error> {
        let maker = Maker { registry: Registry::new(), release };
        Ok(Self {
            webhooks: WebhookMetrics::new(&maker)?,
            payments: maker.counters("purser_payments_total", "Payments by the status they reached.", &["status"])?,
            payment_seconds: maker.histograms(
                "purser_payment_duration_seconds",
                "From acceptance to the end.",
                &["status"],
            )?,
            attempt_seconds: maker.histograms(
                "purser_provider_attempt_duration_seconds",
                "One call to a provider.",
                &["provider", "outcome"],
            )?,
            operations: maker.counters(
                "purser_operations_total",
                "Captures, refunds and voids at their end.",
                &["kind", "status"],
            )?,
            operation_seconds: maker.histograms(
                "purser_provider_operation_duration_seconds",
                "One call to a provider for a capture, refund or void.",
                &["kind", "outcome"],
            )?,
            fraud_seconds: maker.histograms("purser_fraud_check_duration_seconds", "One fraud check.", &["status"])?,
            fraud_deadline_missed: maker
                .counter("purser_fraud_deadline_missed_total", "Fraud checks without a verdict in time.")?,
            queue_depth: maker.gauge("purser_queue_depth", "Payments that are not at their end.")?,
            queue_oldest_seconds: maker
                .gauge("purser_queue_oldest_seconds", "Age of the oldest payment that is due.")?,
            queue_oldest_payment_seconds: maker
                .gauge("purser_queue_oldest_payment_seconds", "Time since the oldest open payment was accepted.")?,
            queue_parked: maker.gauge("purser_queue_parked", "Payments and operations that wait for a person.")?,
            unknown_outcomes: maker
                .gauge("purser_unknown_outcomes", "Calls to providers whose outcome is unknown for over a minute.")?,
            unknown_oldest_seconds: maker
                .gauge("purser_unknown_oldest_seconds", "Time since the oldest call with an open outcome was sent.")?,
            provider_webhooks: maker.counters(
                "purser_provider_webhooks_total",
                "Messages of providers.",
                &["provider", "effect"],
            )?,
            http_requests: maker.counters(
                "purser_http_requests_total",
                "HTTP requests.",
                &["method", "route", "status"],
            )?,
            http_seconds: maker.histograms("purser_http_request_duration_seconds", "HTTP requests.", &["route"])?,
            cache_requests: maker.counters(
                "purser_cache_requests_total",
                "What was asked for, and where it was found.",
                &["cache", "layer", "result"],
            )?,
            refused_requests: maker.counters(
                "purser_requests_refused_total",
                "Requests turned away because there were too many, or because of maintenance.",
                &["reason", "class"],
            )?,
            settings_revision: maker.gauge("purser_settings_revision", "Live settings in force.")?,
            maintenance: maker.gauge(
                "purser_maintenance",
                "1 while maintenance refuses writes, 2 once nothing of money is written.",
            )?,
            cdc: SlotGauges::new(&maker)?,
            reads: ReadFigures::new(&maker)?,
            registry: maker.registry,
        })
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// When a figure cannot be written as text.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Registers metrics, each with the release.
pub(crate) struct Maker<'a> {
    registry: Registry,
    release: &'a str,
}

impl Maker<'_> {
    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_label("release", self.release)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        let counter = IntCounter::with_opts(self.opts(name, help))?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    pub(crate) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        let counters = IntCounterVec::new(self.opts(name, help), labels)?;
        self.registry.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        let gauge = IntGauge::with_opts(self.opts(name, help))?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    /// A gauge of what is no whole number.
    pub(crate) fn measure(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        let gauge = Gauge::with_opts(self.opts(name, help))?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    pub(crate) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        let gauges = IntGaugeVec::new(self.opts(name, help), labels)?;
        self.registry.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    pub(crate) fn histogram(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).const_label("release", self.release).buckets(BUCKETS_S.to_vec());
        let histogram = Histogram::with_opts(opts)?;
        self.registry.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }

    pub(crate) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).const_label("release", self.release).buckets(BUCKETS_S.to_vec());
        let histograms = HistogramVec::new(opts, labels)?;
        self.registry.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_carries_the_release() {
        let metrics = Metrics::new("0.1.0").unwrap();
        metrics.payments.with_label_values(&["SUCCESS"]).inc();
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains(r#"purser_payments_total{release="0.1.0",status="SUCCESS"} 1"#), "{text}");
        assert!(text.contains(r#"purser_queue_depth{release="0.1.0"} 0"#), "{text}");
    }
}
