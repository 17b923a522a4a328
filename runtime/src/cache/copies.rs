//! What accepting a payment needs to know of payers, close at hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use prometheus::IntCounterVec;
use runtime_contract::CacheTtl;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::changes::CHANNEL;
use super::heard::{Heard, WRONG_MAX};
use super::{Cache, Change, Layered, Local};
use crate::database::{Notice, Notices, Pool, notify};
use crate::ids::{MerchantId, PaymentMethodId, UserId};
use crate::live_settings::LiveSettings;
use crate::merchants::{self, Merchant};
use crate::payment_methods::Expiry;
use crate::users;

/// Far more than one gateway sees within seconds; a few tens of megabytes when full.
const ENTRIES_MAX: u64 = 50_000;
/// Rows that are read at once to be put into Redis.
const WARMED_AT_ONCE: usize = 500;
/// How long the listening connection stays away after it broke, and how often Redis is told what it did not hear.
const RETRY: Duration = Duration::from_millis(500);
/// How often it is proved that changes are heard of: one proof may be late without anybody having to doubt.
const PROVED_EVERY: Duration = Duration::from_secs(2);

/// A user, as far as taking a payment needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Payer {
    /// Whose user it is.
    pub merchant_id: MerchantId,
    /// Whether the user may pay.
    pub status: users::Status,
}

/// A payment method, as far as taking a payment needs to know. Its token is not in here: tokens stay in PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Instrument {
    /// Whose it is.
    pub user_id: UserId,
    /// Last four digits.
    pub last_four: Option<String>,
    /// 1 to 12.
    pub expiry_month: Option<i32>,
    /// Four digits.
    pub expiry_year: Option<i32>,
}

/// A payment method with its id.
#[derive(sqlx::FromRow)]
struct StoredInstrument {
    id: PaymentMethodId,
    #[sqlx(flatten)]
    instrument: Instrument,
}

impl Instrument {
    /// Whether it is no longer good.
    #[must_use]
    pub fn is_expired(&self, today: NaiveDate) -> bool {
        let expiry = self.expiry_month.zip(self.expiry_year).and_then(|(month, year)| Expiry::new(month, year));
        expiry.is_some_and(|expiry| expiry.is_over(today))
    }
}

/// Copies of the rows that every payment needs.
pub struct Copies {
    users: Layered<UserId, Payer>,
    instruments: Layered<PaymentMethodId, Instrument>,
    merchants: Local<String, Merchant>,
    rules_changed: watch::Sender<()>,
    heard: Heard,
    redis: Cache,
    pool: Pool,
    settings: LiveSettings,
}

impl Copies {
    /// Copies that nobody keeps current yet.
    #[must_use]
    pub fn new(pool: Pool, redis: Cache, settings: LiveSettings, counts: &IntCounterVec) -> Arc<Self> {
        let heard = Heard::default();
        Arc::new(Self {
            users: Layered::new("user", ENTRIES_MAX, heard.clone(), redis.clone(), counts),
            instruments: Layered::new("payment_method", ENTRIES_MAX, heard.clone(), redis.clone(), counts),
            merchants: Local::new("merchant", ENTRIES_MAX, heard.clone(), counts),
            rules_changed: watch::channel(()).0,
            heard,
            redis,
            pool,
            settings,
        })
    }

    /// Keeps them current until `shutdown`.
    pub fn follow(self: &Arc<Self>, notices: &Notices, shutdown: CancellationToken) {
        let (kept, told) = (Arc::clone(self), notices.on(CHANNEL));
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = kept.listen(told) => {}
                () = kept.tell_redis() => {}
                () = kept.prove_hearing() => {}
            }
        });
    }

    /// A user.
    ///
    /// # Errors
    /// When the database is asked and does not answer.
    pub async fn user(&self, id: UserId) -> Result<Option<Arc<Payer>>, Arc<sqlx::Error>> {
        self.users.get(id, seconds(self.ttl().user_s), load_user(&self.pool, id)).await
    }

    /// A payment method.
    ///
    /// # Errors
    /// When the database is asked and does not answer.
    pub async fn instrument(&self, id: PaymentMethodId) -> Result<Option<Arc<Instrument>>, Arc<sqlx::Error>> {
        self.instruments.get(id, seconds(self.ttl().payment_method_s), load_instrument(&self.pool, id)).await
    }

    /// The merchant whose key has this hash. Not in Redis: it is asked for by a secret.
    ///
    /// # Errors
    /// When the database is asked and does not answer.
    pub async fn merchant(&self, key_hash: String) -> Result<Option<Arc<Merchant>>, Arc<sqlx::Error>> {
        let load = merchants::store::find_by_key(&self.pool, &key_hash);
        self.merchants.get(key_hash.clone(), WRONG_MAX, async { Ok(load.await?.map(Arc::new)) }).await
    }

    /// Puts these users into Redis: how many there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn warm_users(&self, ids: &[Uuid]) -> Result<usize, sqlx::Error> {
        let mut warmed = 0;
        // Read and put in small parts: between the two a change must not be forgotten (see `FORGOTTEN_FOR`).
        for part in ids.chunks(WARMED_AT_ONCE) {
            let rows: Vec<(Uuid, MerchantId, users::Status)> =
                sqlx::query_as("select id, merchant_id, status from users where id = any($1)")
                    .bind(part)
                    .fetch_all(&self.pool)
                    .await?;
            warmed += rows.len();
            for (id, merchant_id, status) in rows {
                let payer = Payer { merchant_id, status };
                self.users.warm(&UserId::from_uuid(id), &payer, seconds(self.ttl().user_s)).await;
            }
        }
        Ok(warmed)
    }

    /// Puts these payment methods into Redis, without their tokens: how many there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn warm_instruments(&self, ids: &[Uuid]) -> Result<usize, sqlx::Error> {
        let mut warmed = 0;
        for part in ids.chunks(WARMED_AT_ONCE) {
            let rows: Vec<StoredInstrument> = sqlx::query_as(
                "select id, user_id, last_four, expiry_month, expiry_year from payment_methods
                 where id = any($1) and detached_at is null",
            )
            .bind(part)
            .fetch_all(&self.pool)
            .await?;
            warmed += rows.len();
            for StoredInstrument { id, instrument } in rows {
                let ttl = seconds(self.ttl().payment_method_s);
                self.instruments.warm(&id, &instrument, ttl).await;
            }
        }
        Ok(warmed)
    }

    /// Forgets what was changed, here and in Redis. Every process does so when it hears of a change; who makes one may do so
    /// after its commit, and so sees it at once.
    pub async fn forget(&self, change: Change) {
        match change {
            Change::User(id) => self.users.forget(&id).await,
            Change::PaymentMethod(id) => self.instruments.forget(&id).await,
            // Copies are found by the hash of a key; changes of merchants are rare.
            Change::Merchant(_) => self.merchants.forget_all(),
            Change::FraudRules => {
                self.rules_changed.send_replace(());
            }
        }
    }

    /// Tells of changes of the fraud rules from now on.
    #[must_use]
    pub fn rules_changes(&self) -> watch::Receiver<()> {
        self.rules_changed.subscribe()
    }

    async fn listen(&self, mut told: Receiver<Notice>) {
        while let Some(notice) = told.recv().await {
            match notice {
                // What was said while nobody listened is not known.
                Notice::Begun => {
                    self.users.forget_local();
                    self.instruments.forget_local();
                    self.merchants.forget_all();
                    self.rules_changed.send_replace(());
                }
                Notice::Word(word) if self.heard.hear(&word) => {}
                Notice::Word(word) => match word.parse() {
                    Ok(change) => self.forget(change).await,
                    Err(error) => tracing::debug!(%error, "a change that this release does not know"),
                },
            }
        }
    }

    async fn tell_redis(&self) {
        loop {
            tokio::time::sleep(RETRY).await;
            self.redis.tell_untold().await;
        }
    }

    /// Says what comes back here, as long as somebody wants to know.
    async fn prove_hearing(&self) {
        loop {
            let now = Instant::now();
            if self.heard.is_wanted(now)
                && let Err(error) = notify(&self.pool, CHANNEL, &self.heard.word(now)).await
            {
                tracing::debug!(%error, "whether changes are heard of is not known");
            }
            tokio::time::sleep(PROVED_EVERY).await;
        }
    }

    fn ttl(&self) -> CacheTtl {
        self.settings.current().cache_ttl.clone()
    }
}

async fn load_user(executor: impl PgExecutor<'_>, id: UserId) -> Result<Option<Payer>, sqlx::Error> {
    sqlx::query_as("select merchant_id, status from users where id = $1").bind(id).fetch_optional(executor).await
}

async fn load_instrument(
    executor: impl PgExecutor<'_>,
    id: PaymentMethodId,
) -> Result<Option<Instrument>, sqlx::Error> {
    sqlx::query_as("select user_id, last_four, expiry_month, expiry_year from payment_methods where id = $1 and detached_at is null")
        .bind(id)
        .fetch_optional(executor)
        .await
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds.max(1)))
}
