//! URLs of other databases than that of payments, which people write by hand.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;

/// What a URL says; none when it is no URL of PostgreSQL. The URL itself holds a password and is not shown.
pub(crate) fn read_url(url: &SecretString) -> Option<PgConnectOptions> {
    let text = url.expose_secret().trim();
    let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme))?;
    // In a password that is not written as it has to be, libpq takes the second @ for a part of the host, and says which it is.
    let is_url = rest.split(['/', '?']).next().is_some_and(|at| at.matches('@').count() <= 1);
    PgConnectOptions::from_str(text).ok().filter(|_| is_url)
}
