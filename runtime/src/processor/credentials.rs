//! Credentials of providers, read from their files at most once a second: they change, and payments are many.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::config::Secrets;

/// A credential that was put right takes effect after this.
const KEPT: Duration = Duration::from_secs(1);

/// What was read last, by provider resource.
#[derive(Default)]
pub(super) struct Credentials(Mutex<HashMap<String, Read>>);

/// When a credential was read, and what was found: it, or why there is none.
type Read = (Instant, Result<SecretString, String>);

impl Credentials {
    /// The credential of a resource, or why there is none.
    pub(super) fn of(&self, secrets: &Secrets, resource: &str) -> Result<SecretString, String> {
        // A map of whole values is whole even if somebody panicked beside it.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read_at, found)) = known.get(resource)
            && read_at.elapsed() < KEPT
        {
            return found.clone();
        }
        let found = secrets.provider(resource).map_err(|error| error.to_string());
        known.insert(resource.to_owned(), (Instant::now(), found.clone()));
        found
    }
}
