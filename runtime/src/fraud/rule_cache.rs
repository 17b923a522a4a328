//! The rules in force, kept in process and read again when they are changed, and when their time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::rules::Rule;
use super::store;
use crate::database::Pool;
use crate::live_settings::LiveSettings;

/// When the database does not answer: the rules in force stay, and the next try comes soon.
const RETRY: Duration = Duration::from_secs(1);

/// The rules in force; none until they were read once.
#[derive(Clone)]
pub struct RuleCache(watch::Receiver<Option<Arc<Vec<Rule>>>>);

impl RuleCache {
    /// Reads the rules now, after each word of a change, and each time that `cache_ttl.fraud_rules_s` has passed, until
    /// every handle is gone.
    #[must_use]
    pub fn follow(pool: Pool, settings: LiveSettings, changes: watch::Receiver<()>) -> Self {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(keep_current(pool, settings, changes, sender));
        Self(receiver)
    }

    /// Waits until rules are in force.
    pub async fn first(&mut self) {
        // Fails only when the reader is gone, which lives as long as any handle.
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// The rules in force.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Vec<Rule>>> {
        self.0.borrow().clone()
    }
}

async fn keep_current(
    pool: Pool,
    mut settings: LiveSettings,
    mut changes: watch::Receiver<()>,
    sender: watch::Sender<Option<Arc<Vec<Rule>>>>,
) {
    while !sender.is_closed() {
        // Before reading: a change that comes meanwhile is read next.
        changes.mark_unchanged();
        let age_max = match store::load_rules(&pool).await {
            Ok(rules) => {
                tracing::info!(rules = rules.len(), "fraud rules are in force");
                sender.send_replace(Some(Arc::new(rules)));
                Duration::from_secs(u64::from(settings.current().cache_ttl.fraud_rules_s.max(1)))
            }
            Err(error) => {
                tracing::warn!(%error, "fraud rules not read; those in force stay");
                RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(age_max) => {}
            // A changed time to live counts at once, and costs one more reading.
            () = settings.changed() => {}
            // Fails when the process ends, and with it the copies.
            Ok(()) = changes.changed() => {}
            () = sender.closed() => {}
        }
    }
}
