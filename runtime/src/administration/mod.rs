//! What those who run the platform do to it, by command or over HTTP: the same code behind both. Every change is written
//! together with who made it and why; what has copies of it is told by the database itself, in the same commit.

pub mod attempts;
pub mod fraud_rules;
pub mod keys;
pub mod merchants;
pub mod providers;

use chrono::Utc;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use crate::ids::uuid_at;
use crate::payment_methods::card_number;
use crate::processor::error::StepError;
use crate::processor::resolve::ResolveError;

const ACTOR_MAX: usize = 100;
const REASON_MAX: usize = 500;

/// Who does something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    name: String,
    reason: Option<String>,
}

impl Actor {
    /// Somebody with a name of 1 to 100 characters, and a reason of at most 500, if any.
    ///
    /// # Errors
    /// When one of them is too long or empty.
    pub fn new(name: impl Into<String>, reason: Option<String>) -> Result<Self, AdminError> {
        let name = name.into();
        if name.trim().is_empty() || name.chars().count() > ACTOR_MAX || name.chars().any(char::is_control) {
            return Err(AdminError::invalid("actor", "must be 1 to 100 characters"));
        }
        let fits = |reason: &String| (1..=REASON_MAX).contains(&reason.chars().count()) && !reason.contains('\0');
        if reason.as_ref().is_some_and(|reason| !fits(reason)) {
            return Err(AdminError::invalid("reason", "must be 1 to 500 characters"));
        }
        // Both are kept for good, and the name is logged.
        for (field, text) in [("actor", Some(&name)), ("reason", reason.as_ref())] {
            if text.is_some_and(|text| card_number::stands_in_text(text)) {
                return Err(AdminError::invalid(field, "must hold nothing that looks like a card number"));
            }
        }
        Ok(Self { name, reason })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps what this one did, in the transaction that does it.
    async fn did(
        &self,
        connection: &mut PgConnection,
        action: &'static str,
        subject: &str,
        detail: Value,
    ) -> Result<(), sqlx::Error> {
        let now = Utc::now();
        sqlx::query(
            "insert into admin_actions (id, actor, action, subject, reason, detail, created_at) values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(uuid_at(now))
        .bind(&self.name)
        .bind(action)
        .bind(subject)
        .bind(&self.reason)
        .bind(detail)
        .bind(now)
        .execute(connection)
        .await?;
        tracing::info!(actor = self.name, action, subject, "done by hand");
        Ok(())
    }
}

/// Why something was not done. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// A value that cannot be accepted.
    #[error("{field} {sentence}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        sentence: String,
    },
    /// It cannot be done as things are.
    #[error("{0}")]
    Conflict(String),
    /// What an attempt came to could not be written.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The database.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}

impl AdminError {
    fn invalid(field: &'static str, sentence: impl Into<String>) -> Self {
        Self::Invalid { field, sentence: sentence.into() }
    }
}

impl From<ResolveError> for AdminError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NotOpen(_) | ResolveError::InWork(_) => Self::Conflict(error.to_string()),
            ResolveError::Step(step) => Self::Step(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_not_kept_as_a_name_or_a_reason() {
        let card = || "seen on 4242 4242 4242 4242".to_owned();
        assert!(matches!(Actor::new(card(), None), Err(AdminError::Invalid { field: "actor", .. })));
        assert!(matches!(Actor::new("Ada", Some(card())), Err(AdminError::Invalid { field: "reason", .. })));
        assert!(Actor::new("Ada", Some("seen at the provider as ch_4242".to_owned())).is_ok());
    }
}
