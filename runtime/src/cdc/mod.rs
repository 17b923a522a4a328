//! `purser cdc`: what analytics may know flows from the payments database into another PostgreSQL, by logical replication.
//!
//! On the payments database a publication names tables and their columns one by one ([`published`]); on the analytics database a
//! subscription fills plain tables of the same names. The replication slot between them keeps whatever analytics has not taken
//! yet, which can fill the disk of the payments database: so it is watched, and whoever ends the one ends the other.
//!
//! Everything is found out anew from the two databases and brought to what it is to be, so a run that is killed anywhere is made
//! good by the next one. Runs exclude each other, and migrations and restores, by the lock that these have.

mod apply;
mod error;
mod publication;
mod published;
mod remove;
mod source;
mod status;
mod subscription;
mod target;
mod watch;

use std::time::Duration;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};

pub use apply::{Applied, apply};
pub use error::CdcError;
pub use published::{PUBLISHED, PublishedTable};
pub(crate) use remove::detach;
pub use remove::{Removed, remove};
pub use status::{Slot, Status, Subscribed, status};
pub use watch::{SlotGauges, watch};

use crate::database::{self, DatabaseError, Doing};
use crate::migrate::Patience;

/// Name of the publication on the payments database.
pub const PUBLICATION: &str = "purser_analytics";

/// PostgreSQL cuts longer names.
const NAME_BYTES_MAX: usize = 63;
/// How values are written, so that both sides read the same; and nobody waits for long behind a lock.
const SETTINGS: &str = "set datestyle = 'ISO, MDY'; set timezone = 'UTC'; set lock_timeout = '5s'";

/// The two databases, and how the server of the one reaches the other.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// The PaymentCluster, as NAMESPACE/NAME.
    pub owner: &'a str,
    /// The payments database.
    pub payments: &'a SecretString,
    /// The analytics database.
    pub analytics: &'a SecretString,
    /// By which the analytics server reaches the payments database.
    pub source: &'a SecretString,
    /// How long to wait for the payments database, for the analytics database, and for one who migrates.
    pub patience: Patience,
}

/// Name of an owner's subscription and of its replication slot, which is unique on the server of the payments database.
#[must_use]
pub fn subscription_name(owner: &str) -> String {
    let ending = format!("_{}", hex::encode(&Sha256::digest(owner.as_bytes())[..4]));
    let plain: String =
        owner.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' }).collect();
    let mut name = format!("purser_{plain}");
    name.truncate(NAME_BYTES_MAX - ending.len());
    format!("{name}{ending}")
}

/// Whether a database is published to analytics.
pub(crate) async fn is_published(session: &mut PgConnection) -> Result<bool, DatabaseError> {
    Ok(publication::find(session).await?.is_some())
}

/// A session in the analytics database.
async fn connect_target(url: &SecretString, wait: Duration) -> Result<PgConnection, CdcError> {
    options("analytics-url", url)?;
    let mut session = database::connect(url, "purser cdc", wait).await.map_err(CdcError::Analytics)?;
    let settled = sqlx::raw_sql(SETTINGS).execute(&mut session).await;
    settled.doing("could not settle how values are written").map_err(CdcError::Analytics)?;
    Ok(session)
}

/// What a URL says. The URL itself holds a password and is not shown.
fn options(name: &'static str, url: &SecretString) -> Result<PgConnectOptions, CdcError> {
    database::read_url(url).ok_or(CdcError::Url(name))
}

/// A text as SQL takes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_owner_has_a_name_of_its_own_that_postgresql_takes_for_a_slot() {
        let names = ["shop/payments", "shop-pay/ments", "shop/pay-ments"].map(subscription_name);
        assert_eq!(names[0], "purser_shop_payments_44d46151");
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
        let long = subscription_name(&format!("{}/{}", "n".repeat(63), "p".repeat(30)));
        assert_eq!(long.len(), NAME_BYTES_MAX);
        assert!(long.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{long}");
    }

    #[test]
    fn only_urls_of_postgresql_are_taken_and_none_is_shown() {
        for wrong in
            ["mysql://user:hunter2@host/db", "host=db password=hunter2", "postgres://user:hunter2@2@host/db", ""]
        {
            let error = options("analytics-url", &wrong.into()).unwrap_err().to_string();
            assert!(
                error.starts_with("analytics-url is not a PostgreSQL URL") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
