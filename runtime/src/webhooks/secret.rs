//! Secrets of endpoints, and the signatures made with them: Standard Webhooks.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::Webhook;

/// What a secret begins with, so that people and scanners for leaked secrets know what it is.
const PREFIX: &str = "whsec_";
/// 256 bits, as long as the hash that they key.
const BYTES: usize = 32;

/// A secret that a merchant and the platform share.
#[derive(Clone, Debug)]
pub struct WebhookSecret(SecretString);

impl WebhookSecret {
    /// A new secret from a source of chance, which must be a cryptographic one.
    pub fn generate(chance: &mut impl rand::CryptoRng) -> Self {
        let mut bytes = [0; BYTES];
        rand::Rng::fill_bytes(chance, &mut bytes);
        Self(SecretString::from(format!("{PREFIX}{}", STANDARD.encode(bytes))))
    }

    /// The secret itself: for the one time that it is shown, and for the database.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Signs what is sent to one endpoint, with each secret that lives.
pub struct Signer {
    current: Webhook,
    previous: Option<(Webhook, DateTime<Utc>)>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("rotating", &self.previous.is_some()).finish_non_exhaustive()
    }
}

/// A secret in the database is none.
#[derive(Debug, thiserror::Error)]
#[error("the endpoint's secret cannot be read; rotate it")]
pub struct UnreadableSecret;

impl Signer {
    /// With the current secret, and the previous one until its end.
    ///
    /// # Errors
    /// When a secret is not base64.
    pub fn new(current: &str, previous: Option<(&str, DateTime<Utc>)>) -> Result<Self, UnreadableSecret> {
        let read = |secret: &str| Webhook::new(secret).map_err(|_| UnreadableSecret);
        let previous = previous.map(|(secret, until)| read(secret).map(|key| (key, until))).transpose()?;
        Ok(Self { current: read(current)?, previous })
    }

    /// The header `webhook-signature`: one signature for each secret that lives at `now`.
    ///
    /// # Errors
    /// When the payload cannot be signed, which does not happen to a text.
    pub fn sign(&self, id: &str, now: DateTime<Utc>, payload: &[u8]) -> Result<String, UnreadableSecret> {
        let sign = |key: &Webhook| key.sign(id, now.timestamp(), payload).map_err(|_| UnreadableSecret);
        let current = sign(&self.current)?;
        match &self.previous {
            Some((key, until)) if now < *until => Ok(format!("{current} {}", sign(key)?)),
            _ => Ok(current),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use http::HeaderMap;

    use super::*;

    fn headers(now: DateTime<Utc>, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "evt_1".parse().unwrap());
        headers.insert("webhook-timestamp", now.timestamp().to_string().parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    #[test]
    fn a_secret_is_never_the_same_twice_and_not_shown_by_accident() {
        let mut chance = rand::rng();
        let (one, two) = (WebhookSecret::generate(&mut chance), WebhookSecret::generate(&mut chance));
        assert_ne!(one.expose(), two.expose());
        assert!(one.expose().starts_with(PREFIX) && one.expose().len() == PREFIX.len() + 44);
        assert!(!format!("{one:?}").contains(one.expose()));
    }

    #[test]
    fn both_secrets_verify_while_both_live_and_only_one_afterwards() {
        let mut chance = rand::rng();
        let (new, old) = (WebhookSecret::generate(&mut chance), WebhookSecret::generate(&mut chance));
        let now = Utc::now();
        let signer = Signer::new(new.expose(), Some((old.expose(), now + TimeDelta::hours(1)))).unwrap();
        let verifies = |secret: &WebhookSecret, at: DateTime<Utc>, signature: &str| {
            Webhook::new(secret.expose()).unwrap().verify(b"{}", &headers(at, signature)).is_ok()
        };
        let during = signer.sign("evt_1", now, b"{}").unwrap();
        assert!(verifies(&new, now, &during) && verifies(&old, now, &during));
        let later = now + TimeDelta::hours(1);
        let after = signer.sign("evt_1", later, b"{}").unwrap();
        assert_eq!(after.split(' ').count(), 1);
        assert!(!verifies(&WebhookSecret::generate(&mut chance), now, &during));
    }

    #[test]
    fn the_signature_is_that_of_the_standard() {
        let signer = Signer::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", None).unwrap();
        let at = DateTime::from_timestamp(1_649_367_553, 0).unwrap();
        let payload = br#"{"email":"test@example.com","username":"test_user"}"#;
        assert_eq!(
            signer.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", at, payload).unwrap(),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
    }

    #[test]
    fn an_unreadable_secret_is_an_error() {
        assert!(Signer::new("whsec_!!", None).is_err());
    }
}
