//! API keys: shown once, kept only as a hash.

use std::fmt::Write;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What a key begins with, so that people and scanners for leaked secrets know what it is.
const PREFIX: &str = "psk_";
/// 43 of 62 letters and digits: 256 bits, which nobody guesses and a plain hash therefore hides well enough.
const LENGTH: usize = 43;
/// How much of a key is stored in the clear, to tell keys apart.
const SHOWN: usize = PREFIX.len() + 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The key with which a merchant calls the API.
#[derive(Clone, Debug)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// A new key from a source of chance, which must be a cryptographic one.
    pub fn generate(chance: &mut impl rand::CryptoRng) -> Self {
        use rand::RngExt;
        let letters = (0..LENGTH).map(|_| char::from(ALPHABET[chance.random_range(0..ALPHABET.len())]));
        Self(SecretString::from(format!("{PREFIX}{}", letters.collect::<String>())))
    }

    /// A key as a client sends it; none when it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(PREFIX)?;
        let well_formed = secret.len() == LENGTH && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        well_formed.then(|| Self(SecretString::from(text)))
    }

    /// SHA-256 in hexadecimal: what is stored.
    #[must_use]
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(self.0.expose_secret().as_bytes());
        digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing into a String does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The first characters, which are stored in the clear.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.0.expose_secret()[..SHOWN]
    }

    /// The key itself, for the one time that it is shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_understood_and_never_the_same_twice() {
        let (one, two) = (ApiKey::generate(&mut rand::rng()), ApiKey::generate(&mut rand::rng()));
        assert!(ApiKey::parse(one.expose()).is_some());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.hash().len(), 64);
        assert!(!format!("{one:?}").contains(one.expose()));
    }

    #[test]
    fn what_cannot_be_a_key_is_not_looked_up() {
        for text in [
            "",
            "psk_",
            "psk_short",
            "sk_0123456789012345678901234567890123456789012",
            "psk_012345678901234567890123456789012345678901 ",
        ] {
            assert!(ApiKey::parse(text).is_none(), "{text:?}");
        }
    }
}
