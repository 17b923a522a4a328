//! Delivers events: finds what is due, posts it, and writes down what came of it.
//!
//! - **One owner.** An endpoint is leased by one process at a time (`webhook_endpoints.leased_by`), which starts no post
//!   that could outlast its lease. So events of one payment are posted one after another, in order: a later one waits
//!   until the earlier one was answered with 2xx or given up.
//! - **Told twice, never not told.** A delivery is a row that is deleted after its 2xx, in batches that do not wait for
//!   the disk. Whatever a crash forgets is posted again, with the same `webhook-id`.
//! - **Isolation.** Each endpoint has a window of posts in flight that grows with success and shrinks with failure, and
//!   rests after failures in a row. What cannot be delivered stays in the table, untouched.
//! - **Woken** by commits of this process ([`super::Bell`]) and of others (`NOTIFY`), and by looking twice a second.
//!
//! Statements per busy moment, however many deliveries: one that reads, one or two that write.

mod deliveries;
mod dispatcher;
mod knowledge;
mod leases;
mod looking;
mod outcomes;
mod owned;
mod post;
mod posting;

use std::sync::Arc;
use std::time::Duration;

use super::resolver::{self, LookUp};
use crate::app::App;

/// How a dispatcher works.
#[derive(Clone)]
pub struct Options {
    /// How long one post may take.
    pub post_limit: Duration,
    /// For how long an endpoint is owned when its owner dies. More than twice `post_limit` leaves the owner time to post.
    pub lease: Duration,
    /// How often to look without being told.
    pub poll: Duration,
    /// How long an endpoint without events is kept.
    pub idle: Duration,
    /// How often to forget what is older than three days.
    pub sweep: Duration,
    /// Posts in flight at the same time, of all endpoints.
    pub posts_max: usize,
    /// Multiplies the waits between tries, for tests: 1.0 is what merchants are promised.
    pub wait_factor: f64,
    /// Who resolves names.
    pub look_up: LookUp,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            post_limit: Duration::from_secs(10),
            lease: Duration::from_secs(20),
            poll: Duration::from_millis(500),
            idle: Duration::from_secs(60),
            sweep: Duration::from_secs(60),
            posts_max: 1024,
            wait_factor: 1.0,
            look_up: resolver::system(),
        }
    }
}

/// Delivers until the process is to end.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn run(app: Arc<App>) -> Result<(), reqwest::Error> {
    run_with(app, Options::default()).await
}

/// The same, with other options.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn run_with(app: Arc<App>, options: Options) -> Result<(), reqwest::Error> {
    dispatcher::Dispatcher::new(app, options)?.run().await;
    Ok(())
}
