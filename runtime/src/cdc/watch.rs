//! Watches the replication slot: one that nobody takes from fills the disk of the payments database.

use std::time::Duration;

use prometheus::IntGaugeVec;
use sqlx::PgConnection;
use tokio::time::MissedTickBehavior;

use super::{publication, source, subscription_name};
use crate::app::App;
use crate::database::{DatabaseError, Doing};
use crate::metrics::Maker;

const EVERY: Duration = Duration::from_secs(15);

/// Figures of the slot. None of them is told where nothing is published.
pub struct SlotGauges {
    active: IntGaugeVec,
    lag_bytes: IntGaugeVec,
    retained_bytes: IntGaugeVec,
    wal_status: IntGaugeVec,
}

impl SlotGauges {
    pub(crate) fn new(maker: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            active: maker.gauges(
                "purser_cdc_slot_active",
                "1 while analytics takes from the replication slot, 0 when it does not, or there is none.",
                &["slot"],
            )?,
            lag_bytes: maker.gauges("purser_cdc_lag_bytes", "What analytics has not confirmed yet.", &["slot"])?,
            retained_bytes: maker.gauges(
                "purser_cdc_retained_bytes",
                "What the payments database keeps for analytics.",
                &["slot"],
            )?,
            wal_status: maker.gauges(
                "purser_cdc_wal_status",
                "1 for the state of what is kept: reserved, extended, unreserved or lost.",
                &["slot", "status"],
            )?,
        })
    }

    fn show(&self, name: &str, slot: Option<&source::SlotRow>) {
        let number = |vec: &IntGaugeVec, value| vec.with_label_values(&[name]).set(value);
        number(&self.active, slot.map_or(0, |slot| i64::from(slot.active && slot.is_here)));
        self.wal_status.reset();
        let Some(slot) = slot else {
            // What was kept for it went with it.
            return [&self.lag_bytes, &self.retained_bytes].into_iter().for_each(IntGaugeVec::reset);
        };
        number(&self.lag_bytes, slot.lag_bytes);
        number(&self.retained_bytes, slot.retained_bytes);
        let status = slot.wal_status.as_deref().unwrap_or("unknown");
        self.wal_status.with_label_values(&[name, status]).set(1);
    }

    fn hide(&self) {
        for gauge in [&self.active, &self.lag_bytes, &self.retained_bytes, &self.wal_status] {
            gauge.reset();
        }
    }
}

/// Watches until the process is to end.
pub async fn watch(app: &App) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = measure(app).await {
            tracing::warn!(%error, "replication slot not measured");
        }
    }
}

async fn measure(app: &App) -> Result<(), DatabaseError> {
    let mut session = app.pool.acquire().await.doing("could not get a connection")?;
    let session: &mut PgConnection = &mut session;
    let name = subscription_name(&app.config.owner);
    if publication::find(session).await?.is_none() {
        app.metrics.cdc.hide();
        return Ok(());
    }
    let slot = source::slot(session, &name).await?;
    app.metrics.cdc.show(&name, slot.as_ref());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cdc::source::SlotRow;
    use crate::metrics::Metrics;

    #[test]
    fn of_a_slot_that_is_gone_nothing_is_told_but_that_it_is_not_active() {
        let metrics = Metrics::new("r").unwrap();
        let text = || String::from_utf8(metrics.render().unwrap()).unwrap();
        let slot = SlotRow {
            active: true,
            is_here: true,
            lag_bytes: 7,
            retained_bytes: 8,
            wal_status: Some("reserved".to_owned()),
        };
        metrics.cdc.show("s", Some(&slot));
        assert!(text().contains("purser_cdc_lag_bytes{release=\"r\",slot=\"s\"} 7"), "{}", text());
        metrics.cdc.show("s", None);
        assert!(text().contains("purser_cdc_slot_active{release=\"r\",slot=\"s\"} 0"), "{}", text());
        for gone in ["purser_cdc_lag_bytes{", "purser_cdc_retained_bytes{", "purser_cdc_wal_status{"] {
            assert!(!text().contains(gone), "{}", text());
        }
    }
}
