//! Providers, and how they did lately by the attempts in the database.

use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::AdminError;
use crate::database::Pool;

/// A provider, and how it did within the last minutes.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
#[schema(as = Provider)]
pub struct ProviderJson {
    /// Name of its PaymentProvider resource.
    pub resource: String,
    /// Which adapter speaks to it.
    pub name: String,
    /// Base URL of its API.
    pub api_endpoint: String,
    /// Whether it gets new payments.
    pub is_active: bool,
    /// Lower is asked first.
    pub priority: i32,
    /// Time limit of one call.
    pub max_latency_ms: i32,
    /// Percentage below which it counts as unhealthy.
    #[schema(value_type = String)]
    pub success_rate_threshold: Decimal,
    /// Attempts that began within the window.
    pub attempts: i64,
    /// Of these, those whose outcome is open.
    pub open: i64,
    /// Of those that are not open, how many were answered at all, with an approval or a refusal; in percent. Null without any.
    #[schema(value_type = Option<String>)]
    pub success_rate: Option<Decimal>,
    /// Mean time of those that are not open. Null without any.
    pub average_latency_ms: Option<i32>,
}

impl ProviderJson {
    /// Whether new payments go there: it is active, answers often enough, and in time.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.is_active
            && self.success_rate.is_none_or(|rate| rate >= self.success_rate_threshold)
            && self.get_average_latency().is_none_or(|latency_ms| latency_ms <= self.max_latency_ms)
    }

    /// Mean time of its answers within the window, in milliseconds.
    #[must_use]
    pub const fn get_average_latency(&self) -> Option<i32> {
        self.average_latency_ms
    }
}

/// All providers, in the order in which they are asked, with the attempts of the last `minutes`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &Pool, minutes: i32) -> Result<Vec<ProviderJson>, AdminError> {
    let found = sqlx::query_as(
        "select p.resource, p.name, p.api_endpoint, p.is_active, p.priority, p.max_latency_ms, p.success_rate_threshold,
             coalesce(a.attempts, 0) as attempts, coalesce(a.open, 0) as open,
             round(100.0 * a.answered / nullif(a.attempts - a.open, 0), 2) as success_rate, a.average_latency_ms
         from payment_providers p left join (
             select payment_provider_id, count(*) as attempts,
                 count(*) filter (where state in ('SENT', 'UNKNOWN')) as open,
                 count(*) filter (where state in ('APPROVED', 'DECLINED')) as answered,
                 round(avg(latency_ms))::int as average_latency_ms
             from payment_attempts where t_start > now() - make_interval(mins => $1) group by payment_provider_id
         ) a on a.payment_provider_id = p.id
         order by not p.is_active, p.priority, p.resource",
    )
    .bind(minutes)
    .fetch_all(pool)
    .await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_is_off_or_fails_or_is_slow_is_not_available() {
        let good = ProviderJson {
            resource: "stripe".into(),
            name: "STRIPE".into(),
            api_endpoint: "https://api.stripe.example".into(),
            is_active: true,
            priority: 1,
            max_latency_ms: 2000,
            success_rate_threshold: Decimal::from(95),
            attempts: 20,
            open: 0,
            success_rate: Some(Decimal::from(95)),
            average_latency_ms: Some(2000),
        };
        assert!(good.is_available());
        assert!(ProviderJson { success_rate: None, average_latency_ms: None, ..good.clone() }.is_available());
        assert!(!ProviderJson { is_active: false, ..good.clone() }.is_available());
        assert!(!ProviderJson { success_rate: Some(Decimal::new(9499, 2)), ..good.clone() }.is_available());
        assert!(!ProviderJson { average_latency_ms: Some(2001), ..good }.is_available());
    }
}
