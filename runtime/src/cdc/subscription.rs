//! The subscription on the analytics database.
//!
//! None of these statements may run in a transaction: they talk to the payments database. Some hold a password, which nobody may
//! hand over in another way, and which the analytics server would write into its log with the first statement that fails.

use secrecy::{ExposeSecret, SecretString};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::error::CdcError;
use super::{PUBLICATION, literal, options, target};
use crate::backup::quoted;
use crate::database::{self, Doing};

/// Nobody answers, or not as one who replicates: of connections, of slots, of what is not there.
const UNREACHED: [&str; 3] = ["08006", "08001", "08P01"];
const NO_SUCH_OBJECT: &str = "42704";
/// The statement was given up.
const TIMED_OUT: &str = "57014";
const NO_RIGHT: &str = "42501";
/// libpq understands a URL otherwise than we do; what it says of that may hold a part of the password.
const NO_URL: &str = "42601";
/// What waits for the payments database is given up then.
const PATIENCE: &str = "set statement_timeout = '120s'";
/// What writes statements into the server's log, and with what it does not.
const QUIET: [(&str, &str); 5] = [
    ("log_statement", "none"),
    ("log_min_error_statement", "panic"),
    ("log_min_duration_statement", "-1"),
    ("log_min_duration_sample", "-1"),
    ("log_transaction_sample_rate", "0"),
];

/// Makes the subscription, its slot on the payments database, and has all tables copied.
pub(super) async fn create(session: &mut PgConnection, name: &str, source: &SecretString) -> Result<(), CdcError> {
    let with = format!("slot_name = {}, create_slot = true, copy_data = true", literal(name));
    make(session, name, source, &with).await
}

/// Takes a slot that nobody uses, in order to drop it: whoever made it died before the subscription was there.
pub(super) async fn drop_slot(session: &mut PgConnection, name: &str, source: &SecretString) -> Result<(), CdcError> {
    make(session, name, source, &format!("connect = false, slot_name = {}", literal(name))).await?;
    drop_it(session, name, None).await
}

async fn make(session: &mut PgConnection, name: &str, source: &SecretString, with: &str) -> Result<(), CdcError> {
    options("analytics-source-url", source)?;
    quiet(session).await?;
    let connection = literal(source.expose_secret().trim());
    let statement =
        format!("create subscription {} connection {connection} publication {PUBLICATION} with ({with})", quoted(name));
    let done = patiently(session, statement).await;
    if code(&done).as_deref() == Some(NO_RIGHT) {
        return Err(CdcError::MayNotSubscribe(user(session).await?));
    }
    explained(done, "could not make the subscription")
}

/// Has this session's statements kept out of the server's log. Where that is as it is to be, nobody needs a right for it.
async fn quiet(session: &mut PgConnection) -> Result<(), CdcError> {
    let doing = "could not keep a password out of the log";
    for (name, wanted) in QUIET {
        let is: String = sqlx::query_scalar("select current_setting($1)")
            .bind(name)
            .fetch_one(&mut *session)
            .await
            .doing(doing)
            .map_err(CdcError::Analytics)?;
        if is == wanted {
            continue;
        }
        let done = sqlx::raw_sql(AssertSqlSafe(format!("set {name} = '{wanted}'"))).execute(&mut *session).await;
        if code(&done).as_deref() == Some(NO_RIGHT) {
            return Err(CdcError::MayNotSubscribe(user(session).await?));
        }
        done.doing(doing).map_err(CdcError::Analytics)?;
    }
    Ok(())
}

async fn user(session: &mut PgConnection) -> Result<String, CdcError> {
    let user = sqlx::query_scalar("select current_user::text").fetch_one(session).await;
    user.doing("could not ask who this is").map_err(CdcError::Analytics)
}

/// Runs a statement that waits for the payments database, and gives up in the end.
async fn patiently(session: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(PATIENCE).execute(&mut *session).await?;
    let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *session).await;
    let reset = sqlx::raw_sql("reset statement_timeout").execute(session).await;
    // The first failure says more.
    done.and(reset).map(drop)
}

/// Takes up a new password or address, and goes on if it was stopped.
pub(super) async fn connect(session: &mut PgConnection, name: &str, source: &SecretString) -> Result<(), CdcError> {
    options("analytics-source-url", source)?;
    quiet(session).await?;
    let (name, connection) = (quoted(name), literal(source.expose_secret().trim()));
    let statements = format!("alter subscription {name} connection {connection}; alter subscription {name} enable");
    explained(patiently(session, statements).await, "could not give the subscription its connection")
}

/// Takes up tables that are published since, which are copied, and lets go of those that are not any more.
pub(super) async fn refresh(session: &mut PgConnection, name: &str, copies: bool) -> Result<(), CdcError> {
    let statement = format!("alter subscription {} refresh publication with (copy_data = {copies})", quoted(name));
    explained(patiently(session, statement).await, "could not refresh the subscription")
}

/// Drops the subscription and its slot. The slot stays where the payments database cannot be reached from there.
pub(super) async fn drop_it(
    session: &mut PgConnection,
    name: &str,
    source: Option<&SecretString>,
) -> Result<(), CdcError> {
    let doing = "could not drop the subscription";
    let quoted_name = quoted(name);
    let usable = source.filter(|source| options("analytics-source-url", source).is_ok());
    // A newer address is not worth a password in a log, and the one that is there may do.
    if let Some(source) = usable
        && quiet(session).await.is_ok()
    {
        let connection = literal(source.expose_secret().trim());
        let statement = format!("alter subscription {quoted_name} connection {connection}");
        explained(patiently(session, statement).await, doing)?;
    }
    target::run(session, format!("alter subscription {quoted_name} disable"), doing).await?;
    let done = patiently(session, format!("drop subscription {quoted_name}")).await;
    let is_alone = code(&done)
        .is_some_and(|code| UNREACHED.contains(&code.as_str()) || [NO_SUCH_OBJECT, TIMED_OUT].contains(&code.as_str()));
    if !is_alone {
        return explained(done, doing);
    }
    let statements = format!("alter subscription {quoted_name} set (slot_name = none)");
    target::run(session, statements, doing).await?;
    target::run(session, format!("drop subscription {quoted_name}"), doing).await
}

fn code<T>(done: &Result<T, sqlx::Error>) -> Option<String> {
    done.as_ref().err()?.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

fn explained<T>(done: Result<T, sqlx::Error>, doing: &'static str) -> Result<(), CdcError> {
    let code = code(&done);
    match (done, code.as_deref()) {
        (Err(error), Some(code)) if UNREACHED.contains(&code) => {
            Err(CdcError::NotReached(database::explain(&error).trim().to_owned()))
        }
        (Err(_), Some(NO_URL)) => Err(CdcError::Url("analytics-source-url")),
        (done, _) => done.map(drop).doing(doing).map_err(CdcError::Analytics),
    }
}
