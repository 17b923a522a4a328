//! The key a client chooses, and the hash by which a request is recognised.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// A key as a client chose it: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A key from the header's bytes; none when it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let visible = (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        std::str::from_utf8(bytes).ok().filter(|_| visible).map(|key| Self(key.to_owned()))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of what a request asks for: its path, and what its body means there. Spaces and the order of fields make no
/// difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

/// The first path that had keys. Its hashes are of the body alone, so that a request which one release took is
/// recognised by the next; no other hash is made of bytes that begin as a JSON document does.
const FIRST_PATH: &str = "POST /v1/payments";

impl RequestHash {
    /// The hash of a request: method and template of its path, as in `POST /v1/payments/{id}/captures`, and its meaning,
    /// with what stands in for the template's names.
    ///
    /// # Errors
    /// When the meaning cannot be written as JSON.
    pub fn of(path: &str, meaning: &impl Serialize) -> Result<Self, serde_json::Error> {
        let mut hasher = Sha256::new();
        if path != FIRST_PATH {
            hasher.update(path);
            hasher.update(b"\n");
        }
        hasher.update(serde_json::to_vec(meaning)?);
        Ok(Self(hasher.finalize().into()))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_visible_characters() {
        assert!(IdempotencyKey::parse(b"order-4711").is_some());
        assert!(IdempotencyKey::parse(&[b'k'; 255]).is_some());
        for bad in [b"".as_slice(), b"a b", b"a\tb", "clé".as_bytes(), &[b'k'; 256], b"\xff"] {
            assert!(IdempotencyKey::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_same_body_on_another_path_is_another_request() {
        let meaning = serde_json::json!({"amount": "1"});
        let of = |path| RequestHash::of(path, &meaning).unwrap();
        assert_eq!(of("POST /v1/users"), of("POST /v1/users"));
        assert_ne!(of("POST /v1/users"), of("POST /v1/payments"));
        assert_ne!(of("POST /v1/users"), of("PATCH /v1/users"));
    }

    #[test]
    fn a_payment_that_the_release_before_took_is_recognised() {
        let before = Sha256::digest(br#"{"amount":"1"}"#);
        let now = RequestHash::of("POST /v1/payments", &serde_json::json!({"amount": "1"})).unwrap();
        assert_eq!(now.as_bytes().as_slice(), before.as_slice());
    }
}
