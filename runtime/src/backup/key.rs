//! Encryption at rest, in age's format, so that a backup can be read with age's own tool too.

use std::iter;

use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use secrecy::{ExposeSecret, SecretString};

use super::error::BackupError;

/// What an identity begins with, in age's own files.
const IDENTITY: &str = "AGE-SECRET-KEY-1";

/// What backups are encrypted with and read with.
pub(super) enum BackupKey {
    /// Made by `age-keygen`.
    Identity(Box<x25519::Identity>),
    /// Chosen by a person.
    Passphrase(SecretString),
}

impl BackupKey {
    /// An identity as `age-keygen` writes it, remarks and all, or else a passphrase.
    pub(super) fn new(secret: SecretString) -> Result<Self, BackupError> {
        let text = secret.expose_secret();
        let identity = text.lines().map(str::trim).find(|line| line.starts_with(IDENTITY));
        match identity {
            Some(line) => {
                let identity = line.parse().map_err(|error: &str| BackupError::Key(error.to_owned()))?;
                Ok(Self::Identity(Box::new(identity)))
            }
            None if text.lines().count() > 1 => {
                Err(BackupError::Key("it is neither one line with a passphrase nor an age identity".to_owned()))
            }
            None => Ok(Self::Passphrase(secret)),
        }
    }

    /// What encrypts a backup that this key reads.
    pub(super) fn encryptor(&self) -> Result<Encryptor, BackupError> {
        match self {
            Self::Identity(identity) => {
                let recipient = identity.to_public();
                Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
                    .map_err(|error| BackupError::Key(error.to_string()))
            }
            Self::Passphrase(passphrase) => Ok(Encryptor::with_user_passphrase(passphrase.clone())),
        }
    }

    /// The plain bytes.
    pub(super) fn decrypt<R>(&self, sealed: Decryptor<R>) -> Result<age::stream::StreamReader<R>, DecryptError>
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_age_keygen_writes_is_an_identity() {
        let identity = x25519::Identity::generate();
        let line = identity.to_string();
        let file = format!("# created: 2026-11-24\n# public key: {}\n{}\n", identity.to_public(), line.expose_secret());
        assert!(matches!(BackupKey::new(file.into()), Ok(BackupKey::Identity(_))));
        assert!(matches!(BackupKey::new("correct horse".into()), Ok(BackupKey::Passphrase(_))));
    }

    #[test]
    fn what_is_neither_is_refused_without_showing_it() {
        for wrong in ["AGE-SECRET-KEY-1HUNTER2", "hunter2\nhunter3"] {
            let error = BackupKey::new(wrong.into()).err().unwrap().to_string();
            assert!(error.contains("backup-key") && !error.to_lowercase().contains("hunter"), "{error}");
        }
    }
}
