//! `purser settings apply`: puts the live settings into force, in one transaction.

use runtime_contract::{Outcome, ProviderSettings, Reason, Settings};
use rust_decimal::Decimal;
use sqlx::{Connection, PgConnection};

use crate::database::{DatabaseError, Doing, notify};
use crate::{live_settings, migrate};

/// What applying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The document is in force now, or was already.
    InForce {
        /// Its revision.
        revision: i64,
    },
    /// A newer document is in force; nothing was changed.
    Superseded {
        /// The revision in force.
        revision: i64,
    },
}

/// Why the settings are not in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The document says something that it must not.
    #[error("{key}: {message}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The same revision was applied with other contents.
    #[error("revision {0} is in force with other contents; a changed document needs a new revision")]
    RevisionReused(i64),
    /// The database belongs to somebody else.
    #[error("the database belongs to {0}; it was left as it is")]
    OwnedByAnother(String),
    /// There is no schema yet.
    #[error("the database has no schema yet; \"purser migrate\" comes first")]
    NoSchema,
}

impl ApplyError {
    /// The class of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Database(error) => error.reason(),
            Self::Invalid { .. } | Self::RevisionReused(_) => Reason::InvalidConfiguration,
            Self::OwnedByAnother(_) => Reason::DatabaseOwnedByAnother,
            Self::NoSchema => Reason::SchemaMismatch,
        }
    }

    /// Whether the same command may work later by itself.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.reason() {
            Reason::DatabaseUnreachable | Reason::SchemaMismatch => Outcome::Retry,
            _ => Outcome::Failed,
        }
    }
}

/// Puts the document into force if it is newer than what is.
///
/// # Errors
/// [`ApplyError`]; then nothing was changed.
pub async fn apply(connection: &mut PgConnection, owner: &str, settings: &Settings) -> Result<Applied, ApplyError> {
    check(settings)?;
    check_owner(connection, owner).await?;
    let document = serde_json::to_value(settings)
        .map_err(|error| ApplyError::Invalid { key: "settings".into(), message: error.to_string() })?;
    let mut transaction = connection.begin().await.doing("could not begin to apply settings")?;
    let in_force = in_force(&mut transaction).await?;
    match in_force {
        Some((revision, _)) if revision > settings.revision => return Ok(Applied::Superseded { revision }),
        Some((revision, present)) if revision == settings.revision => {
            return if present == document {
                Ok(Applied::InForce { revision })
            } else {
                Err(ApplyError::RevisionReused(revision))
            };
        }
        _ => {}
    }
    replace_document(&mut transaction, settings.revision, &document).await?;
    replace_providers(&mut transaction, &settings.providers).await?;
    announce(&mut transaction, settings.revision).await?;
    transaction.commit().await.doing("could not commit the settings")?;
    Ok(Applied::InForce { revision: settings.revision })
}

fn check(settings: &Settings) -> Result<(), ApplyError> {
    let refuse = |key: String, message: &str| Err(ApplyError::Invalid { key, message: message.to_owned() });
    if settings.revision <= 0 {
        return refuse("revision".into(), "must be more than 0");
    }
    let ttl = &settings.cache_ttl;
    let ttls = [
        ("cacheTtl.userS", ttl.user_s),
        ("cacheTtl.paymentMethodS", ttl.payment_method_s),
        ("cacheTtl.fraudRulesS", ttl.fraud_rules_s),
        ("cacheTtl.metricsS", ttl.metrics_s),
    ];
    if let Some((key, _)) = ttls.into_iter().find(|(_, seconds)| *seconds == 0) {
        return refuse(key.into(), "must be at least 1 second");
    }
    if let Some(maintenance) = &settings.maintenance
        && !(1..=86_400).contains(&maintenance.retry_after_s)
    {
        return refuse("maintenance.retryAfterS".into(), "must be between 1 second and a day");
    }
    for (index, provider) in settings.providers.iter().enumerate() {
        let key = |field: &str| format!("providers[{index}].{field}");
        if settings.providers[..index].iter().any(|earlier| earlier.resource == provider.resource) {
            return refuse(key("resource"), "is listed twice");
        }
        if !provider.api_endpoint.starts_with("https://") && !provider.api_endpoint.starts_with("http://") {
            return refuse(key("apiEndpoint"), "must be an http or https URL");
        }
        if !(1..=600_000).contains(&provider.max_latency_ms) {
            return refuse(key("maxLatencyMs"), "must be between 1 and 600000 milliseconds");
        }
        if !threshold(provider).is_some_and(|t| (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&t)) {
            return refuse(key("successRateThreshold"), "must be a percentage between 0 and 100, such as \"95.0\"");
        }
    }
    Ok(())
}

fn threshold(provider: &ProviderSettings) -> Option<Decimal> {
    provider.success_rate_threshold.parse().ok()
}

async fn check_owner(connection: &mut PgConnection, owner: &str) -> Result<(), ApplyError> {
    match migrate::owner_of(connection).await {
        Ok(Some(present)) if present == owner => Ok(()),
        Ok(Some(other)) => Err(ApplyError::OwnedByAnother(other)),
        Ok(None) => Err(ApplyError::NoSchema),
        Err(DatabaseError::Statement { cause, .. }) if is_undefined_table(&cause) => Err(ApplyError::NoSchema),
        Err(error) => Err(error.into()),
    }
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.code()).as_deref() == Some("42P01")
}

/// The document in force, with every other applier made to wait: also before there is a row to lock.
async fn in_force(connection: &mut PgConnection) -> Result<Option<(i64, serde_json::Value)>, DatabaseError> {
    sqlx::query("lock table platform_settings in share row exclusive mode")
        .execute(&mut *connection)
        .await
        .doing("could not lock the settings")?;
    sqlx::query_as("select revision, document from platform_settings")
        .fetch_optional(connection)
        .await
        .doing("could not read the settings")
}

async fn replace_document(
    connection: &mut PgConnection,
    revision: i64,
    document: &serde_json::Value,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "insert into platform_settings (revision, document) values ($1, $2)
         on conflict (only_row) do update set revision = excluded.revision, document = excluded.document, updated_at = now()",
    )
    .bind(revision)
    .bind(document)
    .execute(connection)
    .await
    .doing("could not write the settings")?;
    Ok(())
}

/// A provider that is gone from the document is turned off and put last, never deleted: payments point at it.
async fn replace_providers(connection: &mut PgConnection, providers: &[ProviderSettings]) -> Result<(), DatabaseError> {
    for provider in providers {
        sqlx::query(
            "insert into payment_providers (resource, name, api_endpoint, is_active, max_latency_ms, success_rate_threshold, priority)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (resource) do update set name = excluded.name, api_endpoint = excluded.api_endpoint,
                 is_active = excluded.is_active, max_latency_ms = excluded.max_latency_ms,
                 success_rate_threshold = excluded.success_rate_threshold, priority = excluded.priority, updated_at = now()",
        )
        .bind(&provider.resource)
        .bind(provider.name.as_str())
        .bind(&provider.api_endpoint)
        .bind(provider.active)
        .bind(i32::try_from(provider.max_latency_ms).unwrap_or(i32::MAX))
        .bind(threshold(provider).unwrap_or_default())
        .bind(provider.priority)
        .execute(&mut *connection)
        .await
        .doing("could not write a provider")?;
    }
    let resources: Vec<&str> = providers.iter().map(|provider| provider.resource.as_str()).collect();
    sqlx::query(
        "update payment_providers set is_active = false, priority = $2, updated_at = now()
         where resource <> all ($1) and (is_active or priority <> $2)",
    )
    .bind(resources)
    .bind(i32::MAX)
    .execute(connection)
    .await
    .doing("could not turn off the providers that are gone")?;
    Ok(())
}

/// Inside the transaction: PostgreSQL delivers it with the commit. Settings change rarely, so the lock that
/// NOTIFY takes at commit holds nobody up.
async fn announce(connection: &mut PgConnection, revision: i64) -> Result<(), DatabaseError> {
    let announced = notify(connection, live_settings::CHANNEL, &revision.to_string()).await;
    announced.doing("could not announce the settings")
}
