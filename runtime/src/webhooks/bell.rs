//! Wakes the dispatcher of this process, or of others, when there is something to deliver.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::database::{Pool, notify};
use crate::ids::{MerchantId, WebhookEndpointId};

/// Channel on which dispatchers of other processes are told: uuids of merchants, separated by commas, or
/// `endpoint:` and the uuid of an endpoint that was changed.
pub const CHANNEL: &str = "purser_deliveries";

/// A notification holds 8000 bytes, and an id with its comma 37.
const WORDS_MAX: usize = 200;

/// Says whose events were committed. A word that is lost costs a dispatcher's next look, half a second.
#[derive(Clone, Default)]
pub struct Bell {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    merchants: Mutex<HashSet<MerchantId>>,
    told: Notify,
}

impl Bell {
    /// Events of these merchants were committed. To be called after the commit.
    pub fn ring(&self, merchants: impl IntoIterator<Item = MerchantId>) {
        let mut rung = self.merchants();
        rung.extend(merchants);
        if !rung.is_empty() {
            self.shared.told.notify_one();
        }
    }

    /// Returns when it was rung since the last call.
    pub async fn rung(&self) {
        self.shared.told.notified().await;
    }

    /// Who it was rung for since the last call.
    #[must_use]
    pub fn take(&self) -> HashSet<MerchantId> {
        std::mem::take(&mut *self.merchants())
    }

    fn merchants(&self) -> MutexGuard<'_, HashSet<MerchantId>> {
        // A set of ids is whole even if somebody panicked beside it.
        self.shared.merchants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells all dispatchers that events of a merchant were committed, from a process that has none. After the commit, and
/// never a failure: dispatchers look for themselves.
pub async fn announce(pool: &Pool, merchant: MerchantId) {
    announce_all(pool, [merchant]).await;
}

/// The same of several.
pub async fn announce_all(pool: &Pool, merchants: impl IntoIterator<Item = MerchantId>) {
    let words: Vec<String> = merchants.into_iter().map(|merchant| merchant.as_uuid().to_string()).collect();
    for words in words.chunks(WORDS_MAX) {
        tell(pool, &words.join(",")).await;
    }
}

/// Tells the owner of an endpoint that it was changed. After the commit.
pub async fn announce_change(pool: &Pool, endpoint: WebhookEndpointId) {
    tell(pool, &format!("endpoint:{}", endpoint.as_uuid())).await;
}

async fn tell(pool: &Pool, word: &str) {
    if let Err(error) = notify(pool, CHANNEL, word).await {
        tracing::debug!(%error, "dispatchers were not told; they look for themselves");
    }
}

/// What was heard on the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Events of this merchant were committed.
    Events(MerchantId),
    /// This endpoint was changed.
    Changed(Uuid),
}

/// The words of one notification; what cannot be understood is left out, as the next look finds it.
pub(super) fn parse(payload: &str) -> impl Iterator<Item = Heard> {
    payload.split(',').filter_map(|word| match word.trim().strip_prefix("endpoint:") {
        Some(id) => Uuid::try_parse(id).ok().map(Heard::Changed),
        None => Uuid::try_parse(word.trim()).ok().map(|id| Heard::Events(MerchantId::from_uuid(id))),
    })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[tokio::test]
    async fn what_was_rung_before_anybody_listened_is_heard_once() {
        let bell = Bell::default();
        let merchant = MerchantId::at(Utc::now());
        bell.ring([merchant, merchant]);
        bell.rung().await;
        assert_eq!(bell.take(), HashSet::from([merchant]));
        assert!(bell.take().is_empty());
    }

    #[test]
    fn a_notification_is_understood_as_far_as_it_can_be() {
        let (merchant, endpoint) = (Uuid::now_v7(), Uuid::now_v7());
        let heard: Vec<Heard> = parse(&format!("{merchant}, endpoint:{endpoint},nonsense,endpoint:x,")).collect();
        assert_eq!(heard, [Heard::Events(MerchantId::from_uuid(merchant)), Heard::Changed(endpoint)]);
    }
}
