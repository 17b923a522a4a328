//! Backups that only the owner of a key can read.

use age::secrecy::ExposeSecret;
use runtime::backup::BackupError;
use runtime_contract::Reason;

use crate::ground::{Ground, rows};

fn set_key(ground: &Ground, key: &str) {
    std::fs::write(ground.secrets_folder().join("backup-key"), key).unwrap();
}

fn new_identity() -> String {
    age::x25519::Identity::generate().to_string().expose_secret().to_owned()
}

#[tokio::test]
async fn an_encrypted_backup_is_read_with_its_key_alone() {
    let ground = Ground::new(2).await;
    let key = new_identity();
    set_key(&ground, &key);
    let made = ground.create().await.unwrap();
    assert!(made.encrypted && made.stored_bytes > made.dump_bytes);
    assert_eq!(rows(&made, "transactions"), 3);
    let stored = std::fs::read(ground.dump(made.id)).unwrap();
    assert!(stored.starts_with(b"age-encryption.org/v1"));

    std::fs::remove_file(ground.secrets_folder().join("backup-key")).unwrap();
    let error = ground.verify(made.id).await.unwrap_err();
    assert!(matches!(error, BackupError::KeyMissing(id) if id == made.id), "{error}");
    for wrong in [new_identity(), "a passphrase".to_owned()] {
        set_key(&ground, &wrong);
        let error = ground.verify(made.id).await.unwrap_err();
        assert!(matches!(error, BackupError::KeyWrong(id) if id == made.id), "{error}");
        assert_eq!(error.reason(), Reason::InvalidConfiguration);
        assert!(!error.to_string().contains(&wrong));
    }
    assert_eq!(ground.backups().find(made.id).await.unwrap().verified_at, None);

    set_key(&ground, &format!("# created by age-keygen\n{key}\n"));
    assert!(ground.verify(made.id).await.unwrap().verified_at.is_some());
    let mut spoiled = stored;
    let middle = spoiled.len() / 2;
    spoiled[middle] ^= 1;
    std::fs::write(ground.dump(made.id), spoiled).unwrap();
    let error = ground.verify(made.id).await.unwrap_err();
    assert!(error.reason() == Reason::BackupCorrupt && error.to_string().contains("SHA-256"), "{error}");
}

#[tokio::test]
async fn a_passphrase_is_a_key_too() {
    let ground = Ground::new(0).await;
    set_key(&ground, "correct horse battery staple\n");
    assert!(ground.verified().await.encrypted);
}
