//! Tokens that credentials were exchanged for, kept until shortly before their end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::{Endpoint, Token};

/// A token that ends sooner could end on its way to the provider.
const MARGIN: Duration = Duration::from_secs(60);

/// Whose token it is: the resource, where it is, and a digest of its credential, so that a rotated one logs in anew.
type Key = (String, String, [u8; 32]);
/// One per key: while one caller logs in, the others wait for it.
type Slot = Arc<Mutex<Option<Kept>>>;

struct Kept {
    secret: SecretString,
    until: Instant,
}

/// The tokens of a process.
#[derive(Clone, Default)]
pub(super) struct Tokens(Arc<Mutex<HashMap<Key, Slot>>>);

impl Tokens {
    /// The token that is kept, or else the one that `fetch` brings.
    pub(super) async fn get<E>(
        &self,
        endpoint: &Endpoint<'_>,
        fetch: impl Future<Output = Result<Token, E>>,
    ) -> Result<SecretString, E> {
        let slot = Arc::clone(self.0.lock().await.entry(key(endpoint)).or_default());
        let mut kept = slot.lock().await;
        if let Some(Kept { secret, until }) = &*kept
            && Instant::now() < *until
        {
            return Ok(secret.clone());
        }
        let Token { secret, expires_in_s } = fetch.await?;
        let lasts = Duration::from_secs(expires_in_s).saturating_sub(MARGIN);
        *kept = Some(Kept { secret: secret.clone(), until: Instant::now() + lasts });
        Ok(secret)
    }

    /// Forgets a token that the provider no longer takes.
    pub(super) async fn forget(&self, endpoint: &Endpoint<'_>) {
        self.0.lock().await.remove(&key(endpoint));
    }
}

fn key(endpoint: &Endpoint<'_>) -> Key {
    let digest = Sha256::digest(endpoint.credential.expose_secret());
    (endpoint.resource.to_owned(), endpoint.base_url.to_owned(), digest.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn fetched(count: &AtomicUsize, expires_in_s: u64) -> Result<Token, ()> {
        let number = count.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok(Token { secret: format!("token {number}").into(), expires_in_s })
    }

    fn endpoint<'a>(credential: &'a SecretString) -> Endpoint<'a> {
        Endpoint { resource: "paypal", base_url: "http://paypal.test", credential, limit: Duration::ZERO }
    }

    #[tokio::test]
    async fn a_token_is_fetched_once_and_anew_when_forgotten_ended_or_of_another_credential() {
        let (tokens, count) = (Tokens::default(), AtomicUsize::new(0));
        let (old, new) = (SecretString::from("a:b"), SecretString::from("a:c"));
        let many = (0..20).map(|_| async { tokens.get(&endpoint(&old), fetched(&count, 3600)).await });
        for token in futures::future::join_all(many).await {
            assert_eq!(token.unwrap().expose_secret(), "token 0");
        }
        assert_eq!(tokens.get(&endpoint(&new), fetched(&count, 3600)).await.unwrap().expose_secret(), "token 1");
        tokens.forget(&endpoint(&old)).await;
        assert_eq!(tokens.get(&endpoint(&old), fetched(&count, 30)).await.unwrap().expose_secret(), "token 2");
        assert_eq!(tokens.get(&endpoint(&old), fetched(&count, 30)).await.unwrap().expose_secret(), "token 3");
    }
}
