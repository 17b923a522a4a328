//! A server's URL: the same for another database, and as PostgreSQL's own programs take it.

use std::path::Path;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::database::DatabaseError;

/// Where Debian keeps the certificates that everybody trusts. PostgreSQL's programs know of none by themselves.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

fn parse(url: &SecretString) -> Result<(Url, PgConnectOptions), DatabaseError> {
    let text = url.expose_secret().trim();
    let parsed = Url::parse(text).map_err(|_| DatabaseError::Url)?;
    let options = PgConnectOptions::from_str(text).map_err(|_| DatabaseError::Url)?;
    Ok((parsed, options))
}

/// Who is logged in, and into which database.
pub(super) fn names(url: &SecretString) -> Result<(String, String), DatabaseError> {
    let (_, options) = parse(url)?;
    let user = options.get_username().to_owned();
    let database = options.get_database().unwrap_or(&user).to_owned();
    Ok((user, database))
}

/// The URL of another database of the same server.
pub(super) fn with_database(url: &SecretString, database: &str) -> Result<SecretString, DatabaseError> {
    let (mut parsed, _) = parse(url)?;
    let kept: Vec<(String, String)> = parsed
        .query_pairs()
        .filter(|(key, _)| key != "dbname")
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    parsed.set_path(database);
    parsed.set_query(None);
    if !kept.is_empty() {
        parsed.query_pairs_mut().extend_pairs(kept);
    }
    Ok(SecretString::from(parsed.as_str()))
}

/// What PostgreSQL's programs are told by their environment, where no other user sees it; a command line is public.
pub(super) fn environment(url: &SecretString) -> Result<Vec<(&'static str, String)>, DatabaseError> {
    let (parsed, options) = parse(url)?;
    let socket = options.get_socket().map(|socket| socket.display().to_string());
    let (user, database) = names(url)?;
    let mode = options.get_ssl_mode();
    let mut variables = vec![
        ("PGHOST", socket.unwrap_or_else(|| options.get_host().to_owned())),
        ("PGPORT", options.get_port().to_string()),
        ("PGUSER", user),
        ("PGDATABASE", database),
        ("PGSSLMODE", ssl_mode(mode).to_owned()),
        ("PGAPPNAME", "purser backup".to_owned()),
        ("PGCONNECT_TIMEOUT", "10".to_owned()),
        ("LC_ALL", "C".to_owned()),
    ];
    if let Some(options) = options.get_options() {
        variables.push(("PGOPTIONS", options.to_owned()));
    }
    if let Some(password) = parsed.password() {
        variables.push(("PGPASSWORD", percent_decode_str(password).decode_utf8_lossy().into_owned()));
    }
    for (key, value) in parsed.query_pairs() {
        let variable = match &*key {
            "password" => "PGPASSWORD",
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "PGSSLROOTCERT",
            "sslcert" | "ssl-cert" => "PGSSLCERT",
            "sslkey" | "ssl-key" => "PGSSLKEY",
            _ => continue,
        };
        variables.push((variable, value.into_owned()));
    }
    let verifies = matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    if verifies && variables.iter().all(|(name, _)| *name != "PGSSLROOTCERT") && Path::new(ROOTS).exists() {
        variables.push(("PGSSLROOTCERT", ROOTS.to_owned()));
    }
    Ok(variables)
}

const fn ssl_mode(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_is_reached_as_the_first_is() {
        let url = "postgres://purser:p%40ss@db:5433/payments?sslmode=require&dbname=elsewhere".into();
        let other = with_database(&url, "scratch").unwrap();
        assert_eq!(other.expose_secret(), "postgres://purser:p%40ss@db:5433/scratch?sslmode=require");
    }

    #[test]
    fn programs_are_told_all_that_the_url_says() {
        let url = "postgres://purser:p%40ss@db:5433/payments?sslmode=verify-full&sslrootcert=/ca.pem".into();
        let variables = environment(&url).unwrap();
        for expected in [
            ("PGHOST", "db"),
            ("PGPORT", "5433"),
            ("PGUSER", "purser"),
            ("PGPASSWORD", "p@ss"),
            ("PGDATABASE", "payments"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
        ] {
            assert!(variables.contains(&(expected.0, expected.1.to_owned())), "{expected:?}");
        }
    }
}
