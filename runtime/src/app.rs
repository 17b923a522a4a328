//! What every part of a role stands on, built once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use runtime_contract::RuntimeConfig;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, CacheError, Copies};
use crate::config::{ConfigError, Secrets};
use crate::database::{self, DatabaseError, Notices, Pool};
use crate::figures::{Collected, Recorder};
use crate::live_settings::LiveSettings;
use crate::metrics::Metrics;
use crate::replica::Reads;
use crate::webhooks::Bell;

/// Connections per process besides those that belong to one task each, seven at most in a role ([`database::Link`]). PostgreSQL
/// is fastest with a few per core; pods share what it has. One of these only listens.
const CONNECTIONS_MAX: u32 = 10;

/// What every part of a role stands on.
pub struct App {
    /// The configuration document.
    pub config: RuntimeConfig,
    /// PostgreSQL.
    pub pool: Pool,
    /// Where that is read from which may be old.
    pub reads: Reads,
    /// What other processes say.
    pub notices: Notices,
    /// Redis.
    pub cache: Cache,
    /// Copies of rows that every payment needs.
    pub copies: Arc<Copies>,
    /// The live settings.
    pub settings: LiveSettings,
    /// Prometheus metrics.
    pub metrics: Metrics,
    /// What this process counts of payments, for whoever judges its release.
    pub figures: Recorder,
    /// What it has collected from all processes, if that is its work.
    pub collected: Collected,
    /// Credentials of providers.
    pub secrets: Secrets,
    /// The release this process belongs to.
    pub release: String,
    /// Cancelled when this process is to be called no more: before it ends, or with it.
    pub leaving: CancellationToken,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
    /// Rung after commits that wrote events.
    pub deliveries: Bell,
    /// Whether the fraud workload of this process has made a check that was no payment's.
    pub fraud_warm: AtomicBool,
    /// Whether the processor of this process has tried its way to the fraud workload.
    pub processor_warm: AtomicBool,
}

/// Why a role cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The URL of the database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The URL of the cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Its metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Its figures.
    #[error("figures: {0}")]
    Figures(#[from] hdrhistogram::CreationError),
}

impl App {
    /// Builds it without waiting for anything: a pod starts while PostgreSQL or Redis is away, and its
    /// readiness says so.
    ///
    /// # Errors
    /// When something that does not mend itself is wrong: a URL, a missing secret.
    pub fn new(config: RuntimeConfig, secrets: Secrets, shutdown: CancellationToken) -> Result<Arc<Self>, StartError> {
        let pool = database::pool(&secrets.database_url()?, "purser", CONNECTIONS_MAX)?;
        let notices = Notices::hear(pool.clone());
        let cache = Cache::new(secrets.cache_url().as_ref())?;
        let settings = LiveSettings::follow(pool.clone(), &notices, shutdown.clone());
        let metrics = Metrics::new(&config.release)?;
        let figures = Recorder::new(&config.release)?;
        let reads = Reads::new(pool.clone(), secrets.database_read_url().ok().as_ref(), &config, &metrics.reads);
        reads.follow(shutdown.clone());
        let copies = Copies::new(pool.clone(), cache.clone(), settings.clone(), &metrics.cache_requests);
        copies.follow(&notices, shutdown.clone());
        let release = config.release.clone();
        let (fraud_warm, processor_warm) = (AtomicBool::default(), AtomicBool::default());
        Ok(Arc::new(Self {
            config,
            pool,
            reads,
            notices,
            cache,
            copies,
            settings,
            metrics,
            figures,
            collected: Collected::default(),
            secrets,
            release,
            leaving: shutdown.child_token(),
            shutdown,
            deliveries: Bell::default(),
            fraud_warm,
            processor_warm,
        }))
    }
}
