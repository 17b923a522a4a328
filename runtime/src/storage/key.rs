//! Encryption at rest, in age's format, so that a backup can be read with age's own tool too.

use std::io::{Read, Write};
use std::iter;

use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use secrecy::{ExposeSecret, SecretString};

use super::StorageError;

/// What an identity begins with, in age's own files.
const IDENTITY: &str = "AGE-SECRET-KEY-1";

/// What backups and archives are encrypted with and read with.
pub(crate) enum StorageKey {
    /// Made by `age-keygen`.
    Identity(Box<x25519::Identity>),
    /// Chosen by a person.
    Passphrase(SecretString),
}

impl StorageKey {
    /// An identity as `age-keygen` writes it, remarks and all, or else a passphrase.
    pub(crate) fn new(secret: SecretString) -> Result<Self, StorageError> {
        let text = secret.expose_secret();
        let identity = text.lines().map(str::trim).find(|line| line.starts_with(IDENTITY));
        match identity {
            Some(line) => {
                let identity = line.parse().map_err(|error: &str| StorageError::Key(error.to_owned()))?;
                Ok(Self::Identity(Box::new(identity)))
            }
            None if text.lines().count() > 1 => {
                Err(StorageError::Key("it is neither one line with a passphrase nor an age identity".to_owned()))
            }
            None => Ok(Self::Passphrase(secret)),
        }
    }

    /// What encrypts a backup that this key reads.
    pub(crate) fn encryptor(&self) -> Result<Encryptor, StorageError> {
        match self {
            Self::Identity(identity) => {
                let recipient = identity.to_public();
                Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
                    .map_err(|error| StorageError::Key(error.to_string()))
            }
            Self::Passphrase(passphrase) => Ok(Encryptor::with_user_passphrase(passphrase.clone())),
        }
    }

    /// The plain bytes.
    pub(crate) fn decrypt<R>(&self, sealed: Decryptor<R>) -> Result<age::stream::StreamReader<R>, DecryptError>
    where
        R: futures::io::AsyncRead + Unpin,
    {
        match self {
            Self::Identity(identity) => sealed.decrypt_async(iter::once(&**identity as &dyn age::Identity)),
            Self::Passphrase(passphrase) => {
                let identity = scrypt::Identity::new(passphrase.clone());
                sealed.decrypt_async(iter::once(&identity as &dyn age::Identity))
            }
        }
    }

    /// Encrypts what is held in memory.
    pub(crate) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, StorageError> {
        let mut sealed = Vec::with_capacity(plain.len() + (plain.len() >> 10) + 512);
        let failed = |error: std::io::Error| StorageError::Key(error.to_string());
        let mut writer = self.encryptor()?.wrap_output(&mut sealed).map_err(failed)?;
        writer.write_all(plain).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(sealed)
    }

    /// The plain bytes of what [`StorageKey::seal`] made.
    pub(crate) fn unseal(&self, sealed: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let sealed = Decryptor::new(sealed)?;
        let mut plain = Vec::new();
        let mut reader = match self {
            Self::Identity(identity) => sealed.decrypt(iter::once(&**identity as &dyn age::Identity))?,
            Self::Passphrase(passphrase) => {
                let identity = scrypt::Identity::new(passphrase.clone());
                sealed.decrypt(iter::once(&identity as &dyn age::Identity))?
            }
        };
        reader.read_to_end(&mut plain)?;
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_age_keygen_writes_is_an_identity() {
        let identity = x25519::Identity::generate();
        let line = identity.to_string();
        let file = format!("# created: 2026-11-24\n# public key: {}\n{}\n", identity.to_public(), line.expose_secret());
        assert!(matches!(StorageKey::new(file.into()), Ok(StorageKey::Identity(_))));
        assert!(matches!(StorageKey::new("correct horse".into()), Ok(StorageKey::Passphrase(_))));
    }

    #[test]
    fn what_was_sealed_is_opened_by_its_key_alone() {
        let keys = ["correct horse", "battery staple"].map(|text| StorageKey::new(text.into()).unwrap());
        let sealed = keys[0].seal(b"a month of payments").unwrap();
        assert_eq!(keys[0].unseal(&sealed).unwrap(), b"a month of payments");
        assert!(matches!(keys[1].unseal(&sealed), Err(DecryptError::DecryptionFailed)));
        assert!(keys[0].unseal(&sealed[..sealed.len() - 1]).is_err());
    }

    #[test]
    fn what_is_neither_is_refused_without_showing_it() {
        for wrong in ["AGE-SECRET-KEY-1HUNTER2", "hunter2\nhunter3"] {
            let error = StorageKey::new(wrong.into()).err().unwrap().to_string();
            assert!(error.contains("backup-key") && !error.to_lowercase().contains("hunter"), "{error}");
        }
    }
}
