//! Telling the gateways which payments are at their end.

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinHandle;

use crate::database::Pool;
use crate::ids::PaymentId;

/// Channel on which ended payments are announced.
pub const CHANNEL: &str = "purser_settled";
/// A notification holds 8000 bytes, and an id with its comma 37.
const IDS_MAX: usize = 200;

/// Announces payments. Whatever is lost here a gateway finds by looking.
pub(super) struct Settled(UnboundedSender<PaymentId>);

impl Settled {
    /// The announcer, and its task, which ends when the announcer is dropped.
    pub(super) fn start(pool: Pool) -> (Self, JoinHandle<()>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut ids = Vec::with_capacity(IDS_MAX);
            // NOTIFY takes a lock of the whole database: what ended meanwhile goes out with one of them.
            while receiver.recv_many(&mut ids, IDS_MAX).await > 0 {
                if let Err(error) = notify(&pool, &ids).await {
                    tracing::debug!(%error, payments = ids.len(), "not announced");
                }
                ids.clear();
            }
        });
        (Self(sender), task)
    }

    /// Announces soon.
    pub(super) fn announce(&self, id: PaymentId) {
        // Only fails while the process ends, when nobody is left to be told by it.
        let _ = self.0.send(id);
    }
}

async fn notify(pool: &Pool, ids: &[PaymentId]) -> Result<(), sqlx::Error> {
    let payload = ids.iter().map(|id| id.as_uuid().to_string()).collect::<Vec<_>>().join(",");
    sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(pool).await?;
    Ok(())
}
