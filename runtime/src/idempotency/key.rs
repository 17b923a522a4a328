//! The key a client chooses, and the hash by which a request is recognised.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// A key as a client chose it: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// SHA-256 of what a request means: spaces and the order of its fields make no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

impl RequestHash {
    /// The hash of a request in its parsed form.
    ///
    /// # Errors
    /// When the request cannot be written as JSON.
    pub fn of(request: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(request).map(|bytes| Self(Sha256::digest(bytes).into()))
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
}
