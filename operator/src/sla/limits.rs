//! The limits of an SLA, read from the spec. ★ Pure.

use crds::DurationText;
use crds::payment_cluster::Sla;

/// The limits of an SLA. Times are microseconds, as figures have them.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Payments per second, at least.
    pub tps_min: Option<f64>,
    /// Mean time of a payment.
    pub average_us: Option<u64>,
    /// 95 of 100 payments.
    pub p95_us: Option<u64>,
    /// 99 of 100 payments.
    pub p99_us: Option<u64>,
    /// Share of the payments that may end otherwise than well, from 0 to 1.
    pub failures: Option<f64>,
    /// 99 of 100 fraud checks.
    pub fraud_us: u64,
    /// How far to look back, in seconds.
    pub window_s: u32,
    /// Payments without which there is no verdict.
    pub payments_min: u64,
}

impl Limits {
    /// Reads them; the error names the field that cannot be read.
    ///
    /// # Errors
    /// When a text is not of the form that the schema asks for.
    pub fn read(sla: &Sla) -> Result<Self, &'static str> {
        let micros = |field, text: &DurationText| text.as_millis().and_then(|ms| ms.checked_mul(1_000)).ok_or(field);
        let optional = |field, text: &Option<DurationText>| text.as_ref().map(|text| micros(field, text)).transpose();
        let rate =
            sla.success_rate.as_ref().map(|text| text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate < 100.0));
        let rate = rate.map(|rate| rate.ok_or("successRate")).transpose()?;
        let window_s = micros("window", &sla.window)? / 1_000_000;
        Ok(Self {
            tps_min: sla.tps_min.map(f64::from),
            average_us: optional("averageLatency", &sla.average_latency)?,
            p95_us: optional("p95Latency", &sla.p95_latency)?,
            p99_us: optional("p99Latency", &sla.p99_latency)?,
            failures: rate.map(|rate| 1.0 - rate / 100.0),
            fraud_us: micros("fraudLatency", &sla.fraud_latency)?,
            window_s: u32::try_from(window_s).map_err(|_| "window")?,
            payments_min: u64::try_from(sla.min_samples).map_err(|_| "minSamples")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_what_cannot_be_read_is_named() {
        let sla = Sla { success_rate: Some("97.5".into()), p95_latency: Some("200ms".into()), ..Sla::default() };
        let limits = Limits::read(&sla).unwrap();
        assert_eq!((limits.p95_us, limits.fraud_us, limits.window_s), (Some(200_000), 50_000, 60));
        assert!((limits.failures.unwrap() - 0.025).abs() < 1e-9);
        for rate in ["100", "0", "-1", "NaN", "much"] {
            let sla = Sla { success_rate: Some(rate.into()), ..Sla::default() };
            assert_eq!(Limits::read(&sla), Err("successRate"), "{rate}");
        }
        let sla = Sla { window: "soon".into(), ..Sla::default() };
        assert_eq!(Limits::read(&sla), Err("window"));
    }
}
