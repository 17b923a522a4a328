//! Why nothing flows to the analytics database, and what to do about it.

use runtime_contract::{Outcome, Reason};

use crate::database::{self, DatabaseError};
use crate::migrate::MigrateError;

/// Why nothing flows to the analytics database.
#[derive(Debug, thiserror::Error)]
pub enum CdcError {
    /// The payments database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Somebody migrates, or the payments database belongs to another.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A URL is none.
    #[error("{0} is not a PostgreSQL URL such as postgres://user:password@host:5432/database")]
    Url(&'static str),
    /// The analytics database.
    #[error("the analytics database: {0}")]
    Analytics(DatabaseError),
    /// A server is too old for lists of columns.
    #[error("{side} is PostgreSQL {major}; columns are published one by one since PostgreSQL 15")]
    TooOld {
        /// Which of the two.
        side: &'static str,
        /// Its version.
        major: i32,
    },
    /// The payments database does not write what could be replicated.
    #[error(
        "wal_level of the payments database is {0}, and has to be logical: alter system set wal_level = 'logical', then restart it"
    )]
    WalLevel(String),
    /// All slots are taken.
    #[error(
        "all {0} replication slots of the payments database are taken: raise max_replication_slots and restart it, or drop slots \
         that nobody needs (select slot_name, active from pg_replication_slots)"
    )]
    NoSlotFree(i32),
    /// Nothing limits what a slot keeps.
    #[error(
        "max_slot_wal_keep_size of the payments database is -1: while analytics is away, its disk would fill and payments would stop. \
         Let an administrator run there, with what the disk can spare: alter system set max_slot_wal_keep_size = '10GB'; select \
         pg_reload_conf()"
    )]
    NoLimit,
    /// Commits of payments would wait for analytics.
    #[error(
        "synchronous_standby_names of the payments database is {0}, so payments would wait for analytics: name the standbys one by one"
    )]
    WaitedFor(String),
    /// Another subscriber has the slot.
    #[error(
        "the replication slot {0} is in use by another subscription than that of the analytics database: drop the subscription \
         {0} in the database where it is"
    )]
    SlotInUse(String),
    /// The slot could not be dropped with what is known.
    #[error(
        "the replication slot {0} is left, and keeps what fills the disk of the payments database: let a role with REPLICATION \
         run there: select pg_drop_replication_slot('{0}')"
    )]
    SlotLeft(String),
    /// Both are on one server.
    #[error(
        "the analytics database is on the server of the payments database, which it is to spare: give it a server of its own"
    )]
    SameServer,
    /// It is a payments database.
    #[error("the analytics database is the database of a payment platform: give analytics a database of its own")]
    IsPlatform,
    /// It is filled by another.
    #[error("the analytics database is filled by the PaymentCluster {0}: give this one a database of its own")]
    FilledByAnother(String),
    /// It has tables that would be in the way.
    #[error(
        "the analytics database has a table {0} that was not made from here: give analytics an empty database, or rename the table"
    )]
    InTheWay(String),
    /// A table there cannot take what is published.
    #[error("the table {table} of the analytics database {what}")]
    Differs {
        /// The table.
        table: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The payments database has not what this program publishes.
    #[error("the payments database has no {0}, which this release publishes: purser migrate comes first")]
    NotMigrated(String),
    /// Publishing the table would make the database refuse updates of it.
    #[error("{0} has not its primary key as its replica identity: if it were published, its updates would be refused")]
    NoIdentity(String),
    /// The user may not make a publication.
    #[error(
        "the user {0} may not publish: it has to own the tables, and an administrator has to run: grant create on database to it"
    )]
    MayNotPublish(String),
    /// The user may not subscribe, or not without its password in a log.
    #[error(
        "the user {0} of the analytics database may not make subscriptions, or not keep the password that is in them out of the \
         server's log: let an administrator run there: grant pg_create_subscription to \"{0}\", grant create on its database to it, \
         and grant set on parameter log_statement, log_min_error_statement, log_min_duration_statement to \"{0}\" (before PostgreSQL \
         16: alter role \"{0}\" superuser)"
    )]
    MayNotSubscribe(String),
    /// The analytics server does not reach the payments database.
    #[error(
        "the analytics server cannot replicate from the payments database by analytics-source-url: {0}; its role needs LOGIN and \
         REPLICATION, the address has to be one that the analytics server reaches, and pg_hba.conf has to let it in"
    )]
    NotReached(String),
}

impl CdcError {
    /// The class of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Database(error) => error.reason(),
            Self::Migrate(error) => error.reason(),
            Self::Url(_) => Reason::InvalidConfiguration,
            Self::NotMigrated(_) => Reason::SchemaMismatch,
            Self::SlotInUse(_) | Self::SlotLeft(_) => Reason::CdcSlotLeft,
            _ => Reason::CdcFailed,
        }
    }

    /// Whether the same command may work later by itself.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let is_retried = match self {
            Self::Migrate(error) => return error.outcome(),
            Self::Database(error) | Self::Analytics(error) => is_passing(error),
            // Nobody can tell a network that is down from one that is not there.
            Self::NotReached(_) => true,
            _ => false,
        };
        if is_retried { Outcome::Retry } else { Outcome::Failed }
    }
}

fn is_passing(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Statement { cause, .. } => {
            database::is_outage(cause)
                && !matches!(database::reason_of(cause), Reason::DatabaseAuthenticationFailed | Reason::DatabaseMissing)
        }
        other => other.reason() == Reason::DatabaseUnreachable,
    }
}
