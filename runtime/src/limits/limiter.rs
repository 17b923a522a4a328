//! Asks Redis for a few requests' worth at a time, and counts alone while Redis is away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Script;

use super::peers::Peers;
use super::{Gcra, Rate};
use crate::cache::Cache;
use crate::ids::MerchantId;

/// A request does not wait longer for Redis than its own work takes.
pub const REDIS_LIMIT: Duration = Duration::from_millis(5);
/// How much is taken in advance: what comes in this time at the full rate, and so the most that is lost when it goes unused.
const AHEAD_S: f64 = 0.02;
/// What was taken in advance is given up after this long.
const BLOCK_LIVES: Duration = Duration::from_millis(100);
/// Beyond so many merchants, those are forgotten who ask for nothing just now.
const MERCHANTS_MAX: usize = 10_000;

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("gcra.lua")));

/// How much a merchant may ask for, as far as this gateway knows.
pub struct Limiter {
    redis: Cache,
    redis_limit: Duration,
    peers: Peers,
    begin: Instant,
    merchants: Mutex<HashMap<MerchantId, Arc<Merchant>>>,
}

/// One merchant's use.
#[derive(Default)]
struct Merchant {
    /// Requests that wait to be let through.
    asking: Arc<AtomicU32>,
    bucket: tokio::sync::Mutex<Bucket>,
    in_work: Arc<AtomicU32>,
}

#[derive(Default)]
struct Bucket {
    /// Requests that may pass without asking.
    block: u32,
    block_size: u32,
    block_until: Option<Instant>,
    refused_until: Option<Instant>,
    /// As Redis said last.
    remaining: u32,
    reset_at: Option<Instant>,
    /// What this gateway let through, against its own share.
    own: Gcra,
}

/// What is left of a merchant's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests for which there is room now.
    pub remaining: u32,
    /// When there will be room for a whole burst.
    pub reset_after: Duration,
}

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Passes(Quota),
    /// It may not before this time has passed.
    Refused {
        /// What is left: nothing.
        quota: Quota,
        /// When there will be room for one.
        retry_after: Duration,
    },
}

/// One request that waits or is in work; its place is free again when this is dropped.
pub struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limiter {
    /// A limiter that shares what it counts through this Redis, if it answers within this limit.
    #[must_use]
    pub fn new(redis: &Cache, redis_limit: Duration) -> Self {
        Self {
            // Redis being late for a limit of 5 ms is no reason to leave it alone for other things.
            redis: redis.apart(),
            redis_limit,
            peers: Peers::default(),
            begin: Instant::now(),
            merchants: Mutex::default(),
        }
    }

    /// Counts the gateways until the process ends.
    pub async fn serve(&self) {
        self.peers.keep_counting(&self.redis).await;
    }

    /// A place among those of a merchant, if it has not so many requests in work already.
    #[must_use]
    pub fn place(&self, merchant: MerchantId, places: u32) -> Option<Place> {
        let in_work = self.merchant(merchant).in_work.clone();
        let place = Place(in_work.clone());
        (in_work.fetch_add(1, Ordering::Relaxed) < places).then_some(place)
    }

    /// Whether one request of this merchant may pass now.
    pub async fn take(&self, id: MerchantId, rate: Rate) -> Verdict {
        let merchant = self.merchant(id);
        merchant.asking.fetch_add(1, Ordering::Relaxed);
        let asking = Place(merchant.asking.clone());
        // Whoever comes first asks for all who wait here.
        let mut bucket = merchant.bucket.lock().await;
        let waiting = asking.0.load(Ordering::Relaxed);
        drop(asking);
        let now = Instant::now();
        if let Some(verdict) = bucket.known(now, rate, self.seconds(now)) {
            return verdict;
        }
        let wanted = bucket.wanted(rate, now).max(waiting);
        match self.ask(id, rate, wanted).await {
            Some(answer) => bucket.filled(answer, wanted, rate, Instant::now(), self.seconds(now)),
            None => {
                let found = bucket.own.take(rate.shared(self.peers.count()), self.seconds(now));
                let quota = Quota { remaining: found.remaining, reset_after: found.reset_after };
                if found.taken {
                    return Verdict::Passes(quota);
                }
                Verdict::Refused { quota, retry_after: found.retry_after }
            }
        }
    }

    async fn ask(&self, id: MerchantId, rate: Rate, wanted: u32) -> Option<Answer> {
        let key = format!("purser:1:rate:{}", id.as_uuid());
        let (interval_us, burst) = (rate.interval_s() * 1e6, rate.burst);
        let asked = self.redis.within(self.redis_limit, async |connection| {
            SCRIPT.key(key).arg(interval_us).arg(burst).arg(wanted).invoke_async::<Answer>(connection).await
        });
        asked.await.inspect_err(|error| tracing::trace!(%error, "counting requests alone")).ok()
    }

    fn seconds(&self, now: Instant) -> f64 {
        // Some distance from zero, where everything would have come back already.
        3600.0 + now.duration_since(self.begin).as_secs_f64()
    }

    fn merchant(&self, id: MerchantId) -> Arc<Merchant> {
        let mut merchants = self.merchants.lock().unwrap_or_else(PoisonError::into_inner);
        if merchants.len() >= MERCHANTS_MAX && !merchants.contains_key(&id) {
            merchants
                .retain(|_, merchant| Arc::strong_count(merchant) > 1 || merchant.in_work.load(Ordering::Relaxed) > 0);
        }
        merchants.entry(id).or_default().clone()
    }
}

/// Requests given, room for further ones, microseconds until there is room for one, and for a whole burst.
type Answer = (u32, u32, u64, u64);

impl Bucket {
    /// What is known without asking.
    fn known(&mut self, now: Instant, rate: Rate, now_s: f64) -> Option<Verdict> {
        if self.refused_until.is_some_and(|until| now < until) {
            let retry_after = self.refused_until.map(|until| until - now).unwrap_or_default();
            return Some(Verdict::Refused { quota: self.quota(now), retry_after });
        }
        if self.block == 0 || self.block_until.is_none_or(|until| now >= until) {
            return None;
        }
        self.block -= 1;
        self.own.take(rate, now_s);
        Some(Verdict::Passes(self.quota(now)))
    }

    /// How much to ask for: twice as much when the last block was used up, one when it went to waste.
    fn wanted(&self, rate: Rate, now: Instant) -> u32 {
        let used_up = self.block == 0 && self.block_until.is_some_and(|until| now < until);
        // A block is a few hundred requests at most.
        let most = (rate.per_second * AHEAD_S).clamp(1.0, rate.burst.max(1.0)) as u32;
        if used_up { self.block_size.saturating_mul(2).clamp(1, most) } else { 1 }
    }

    fn filled(&mut self, answer: Answer, wanted: u32, rate: Rate, now: Instant, now_s: f64) -> Verdict {
        let (given, room, wait_us, reset_us) = answer;
        self.remaining = room;
        self.reset_at = Some(now + Duration::from_micros(reset_us));
        self.block_size = wanted;
        self.block = given.saturating_sub(1);
        self.block_until = Some(now + BLOCK_LIVES);
        if given > 0 {
            self.own.take(rate, now_s);
            return Verdict::Passes(self.quota(now));
        }
        let retry_after = Duration::from_micros(wait_us);
        self.refused_until = Some(now + retry_after);
        Verdict::Refused { quota: self.quota(now), retry_after }
    }

    fn quota(&self, now: Instant) -> Quota {
        let reset_after = self.reset_at.map(|at| at.saturating_duration_since(now)).unwrap_or_default();
        Quota { remaining: self.remaining + self.block, reset_after }
    }
}
