//! Stores that spoil what they hold, that speak S3, that only the owner of a key can read; and two runs at once.

use std::fs;
use std::path::PathBuf;

use age::secrecy::ExposeSecret;
use chrono::TimeDelta;
use runtime::archive::{ArchiveError, Step};
use runtime_contract::{Outcome, Reason};

use crate::ground::{Ground, TABLES};
use crate::s3_server::{BUCKET, credentials, serve};
use crate::support::{OWNER, PATIENCE};

#[tokio::test]
async fn what_is_spoiled_in_the_store_is_found_before_anything_is_dropped() {
    let ground = Ground::new().await;
    let id = ground.id("transactions");
    let before = ground.contents().await;
    for spoil in [|bytes: &mut Vec<u8>| bytes[20] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(100)] {
        let told = |of, step| {
            if of == id && step == Step::Written {
                let mut bytes = fs::read(ground.file(id)).unwrap();
                spoil(&mut bytes);
                fs::write(ground.file(id), bytes).unwrap();
            }
        };
        let error = ground.run_at(&ground.archives(), ground.later(), &told).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Corrupt { id: of, .. } if of == id), "{error}");
        assert_eq!((error.outcome(), error.reason()), (Outcome::Failed, Reason::ArchiveCorrupt));
        assert_eq!(ground.contents().await["transactions"], before["transactions"]);
    }
    ground.run().await.unwrap();
    // Later on, it is found when it is asked for.
    let whole = fs::read(ground.file(id)).unwrap();
    fs::write(ground.file(id), "spoiled").unwrap();
    let error = ground.archives().verify(id, OWNER).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ArchiveCorrupt, "{error}");
    let error = ground.restore(id).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ArchiveCorrupt, "{error}");
    assert!(!ground.is_attached(id).await);
    fs::write(ground.file(id), whole).unwrap();
    ground.restore(id).await.unwrap();
    assert_eq!(ground.contents().await["transactions"], before["transactions"]);
}

#[tokio::test]
async fn an_archive_is_read_with_its_key_alone() {
    let ground = Ground::new().await;
    let (id, before) = (ground.id("transactions"), ground.contents().await);
    let key = ground.secrets_folder().join("backup-key");
    let identity = age::x25519::Identity::generate().to_string().expose_secret().to_owned();
    fs::write(&key, &identity).unwrap();
    let archived = ground.run().await.unwrap();
    assert!(archived.archived.iter().all(|manifest| manifest.encrypted));
    assert!(fs::read(ground.file(id)).unwrap().starts_with(b"age-encryption.org/v1"));

    fs::remove_file(&key).unwrap();
    let error = ground.restore(id).await.unwrap_err();
    assert!(matches!(error, ArchiveError::KeyMissing(_)), "{error}");
    fs::write(&key, "a passphrase").unwrap();
    let error = ground.archives().verify(id, OWNER).await.unwrap_err();
    assert!(matches!(error, ArchiveError::KeyWrong(_)), "{error}");
    let error = ground.restore(id).await.unwrap_err();
    assert!(matches!(error, ArchiveError::KeyWrong(_)) && !ground.is_attached(id).await, "{error}");
    fs::write(&key, &identity).unwrap();
    ground.restore(id).await.unwrap();
    assert_eq!(ground.contents().await["transactions"], before["transactions"]);
}

#[tokio::test]
async fn another_key_is_no_reason_to_keep_a_month() {
    let ground = Ground::new().await;
    let (id, before) = (ground.id("transactions"), ground.contents().await);
    let key = ground.secrets_folder().join("backup-key");
    fs::write(&key, "the key of then").unwrap();
    ground.run().await.unwrap();
    ground.restore(id).await.unwrap();
    fs::write(&key, "the key of now").unwrap();
    let later = ground.later() + TimeDelta::days(31);
    ground.run_at(&ground.archives(), later, &|_, _| ()).await.unwrap();
    assert!(!ground.is_attached(id).await);
    ground.restore(id).await.unwrap();
    assert_eq!(ground.contents().await["transactions"], before["transactions"]);
}

#[tokio::test]
async fn an_archive_that_another_database_of_this_name_has_left_is_put_aside() {
    let (ground, other) = (Ground::new().await, Ground::new().await);
    other.run().await.unwrap();
    let file = other.file(other.id("events"));
    let left = fs::read(&file).unwrap();
    let archives = ground.archives_at(&other.store());
    let before = ground.contents().await;
    ground.run_at(&archives, ground.later(), &|_, _| ()).await.unwrap();

    let aside = other.folder.path().join("archives").join(OWNER).join("superseded");
    let folders: Vec<_> = fs::read_dir(aside).unwrap().map(|entry| entry.unwrap().path()).collect();
    let of_events = |folder: &&PathBuf| folder.to_string_lossy().contains("events_p");
    let kept = folders.iter().find(of_events).unwrap();
    assert_eq!(fs::read(kept.join(file.file_name().unwrap())).unwrap(), left);
    assert!(kept.join("manifest.json").exists());
    for table in TABLES {
        archives.restore(ground.id(table), &ground.url(), Some(OWNER), PATIENCE, ground.later()).await.unwrap();
    }
    assert_eq!(ground.contents().await, before);
}

#[tokio::test]
async fn two_databases_of_one_name_do_not_write_over_each_other() {
    let (ground, other) = (Ground::new().await, Ground::new().await);
    let id = ground.id("events");
    let place = ground.folder.path().join("archives").join(OWNER).join(id.to_string());
    other.run().await.unwrap();
    let theirs = other.file(id).parent().unwrap().to_owned();
    let told = |of, step| {
        if of == id && step == Step::ReadBack {
            for file in fs::read_dir(&theirs).unwrap() {
                let file = file.unwrap().path();
                fs::copy(&file, place.join(file.file_name().unwrap())).unwrap();
            }
        }
    };
    let before = ground.contents().await;
    ground.run_at(&ground.archives(), ground.later(), &told).await.unwrap();
    let aside = fs::read_dir(place.parent().unwrap().join("superseded")).unwrap().next().unwrap().unwrap().path();
    for file in fs::read_dir(&theirs).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(fs::read(aside.join(file.file_name().unwrap())).unwrap(), fs::read(&file).unwrap());
    }
    ground.restore(id).await.unwrap();
    assert_eq!(ground.contents().await["events"], before["events"]);
}

#[tokio::test]
async fn what_a_killed_run_has_left_is_removed_once_nobody_may_be_writing_it_any_more() {
    let ground = Ground::new().await;
    let place = |table| ground.folder.path().join("archives").join(OWNER).join(ground.id(table).to_string());
    let files = [("events", "a-00001.parquet"), ("events", "b-00001.parquet"), ("transactions", "a-00001.parquet")]
        .map(|(table, name)| place(table).join(name));
    for (file, is_old) in files.iter().zip([true, false, true]) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "left").unwrap();
        let age = std::time::Duration::from_secs(if is_old { 2 * 86_400 } else { 0 });
        fs::File::options().write(true).open(file).unwrap().set_modified(std::time::SystemTime::now() - age).unwrap();
    }
    ground.run().await.unwrap();
    assert_eq!(files.map(|file| file.exists()), [false, true, false]);
    // It is beside an archive now.
    let young = place("events").join("b-00001.parquet");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 86_400);
    fs::File::options().write(true).open(&young).unwrap().set_modified(long_ago).unwrap();
    ground.run().await.unwrap();
    assert!(!young.exists());
    ground.restore(ground.id("events")).await.unwrap();
}

#[tokio::test]
async fn archives_go_to_s3_and_come_back() {
    let ground = Ground::new().await;
    let before = ground.contents().await;
    let (folder, endpoint) = serve().await;
    credentials(&ground.secrets_folder(), "test-secret");
    let archives = ground.archives_at(&format!("s3://{BUCKET}/some/prefix?region=here&endpoint={endpoint}"));
    let archived = ground.run_at(&archives, ground.later(), &|_, _| ()).await.unwrap();
    assert_eq!(archives.list(OWNER).await.unwrap().len(), archived.archived.len());
    let place = folder.path().join(BUCKET).join("some/prefix/archives").join(OWNER);
    let manifest = archives.verify(ground.id("events"), OWNER).await.unwrap();
    assert!(manifest.files[0].name.ends_with("-00001.parquet"), "{manifest:?}");
    assert!(place.join(ground.id("events").to_string()).join(&manifest.files[0].name).exists());
    for table in TABLES {
        archives.restore(ground.id(table), &ground.url(), Some(OWNER), PATIENCE, ground.later()).await.unwrap();
    }
    assert_eq!(ground.contents().await, before);
}

#[tokio::test]
async fn a_store_that_does_not_answer_keeps_everything_in_the_database() {
    let ground = Ground::new().await;
    let before = ground.contents().await;
    fs::remove_dir_all(ground.folder.path()).unwrap();
    let archives = ground.archives();
    fs::remove_dir_all(ground.folder.path()).unwrap();
    fs::write(ground.folder.path(), "no folder").unwrap();
    let error = ground.run_at(&archives, ground.later(), &|_, _| ()).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::Retry, Reason::BackupStoreUnavailable), "{error}");
    assert_eq!(ground.contents().await, before);
    fs::remove_file(ground.folder.path()).unwrap();
}

#[tokio::test]
async fn two_at_once_exclude_each_other() {
    let ground = Ground::new().await;
    let before = ground.contents().await;
    let (one, other) = tokio::join!(ground.run(), ground.run());
    let (one, other) = (one.unwrap(), other.unwrap());
    let (first, second) = if one.archived.is_empty() { (other, one) } else { (one, other) };
    assert_eq!((first.archived.len() >= TABLES.len(), second.archived.len()), (true, 0));
    for table in TABLES {
        ground.restore(ground.id(table)).await.unwrap();
    }
    assert_eq!(ground.contents().await, before);
}
