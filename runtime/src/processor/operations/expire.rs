//! Looks for authorisations whose time is over, now and then.

use std::time::Duration;

use chrono::Utc;

use crate::app::App;
use crate::database;
use crate::operations::expiry;

/// An authorisation lasts days; that it is over may be noticed this late.
const EVERY: Duration = Duration::from_secs(30);
/// Voids made in one commit.
const AT_ONCE: i64 = 100;

/// Sweeps until the process ends. Each processor does so: what one has in hand the others pass over.
pub(super) async fn expire(app: &App) {
    loop {
        match expiry::sweep(&app.pool, &app.release, AT_ONCE, Utc::now()).await {
            Ok(0) => tokio::time::sleep(EVERY).await,
            Ok(voids) => tracing::info!(voids, "authorizations have expired"),
            Err(error) if database::maintenance(&error).is_some() => tokio::time::sleep(EVERY).await,
            Err(error) => {
                tracing::warn!(%error, "not looked for expired authorizations");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}
