//! Backups that are not what they say, and stores that do not do their part.

use std::path::Path;
use std::process::Command;

use runtime::backup::Backups;
use runtime::ids::BackupId;
use runtime_contract::{Outcome, Reason};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::ground::Ground;

fn change_manifest(ground: &Ground, id: BackupId, change: impl FnOnce(&mut Value)) {
    let path = ground.place(id).join("manifest.json");
    let mut manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

/// Verifies what is spoiled: what was said of it.
async fn refused(ground: &Ground, id: BackupId) -> String {
    let error = ground.verify(id).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::BackupCorrupt, Outcome::Failed), "{error}");
    assert_eq!(ground.backups().find(id).await.unwrap().verified_at, None);
    let error = error.to_string();
    assert!(error.contains(&id.to_string()), "{error}");
    error
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_found_and_takes_the_verification_away() {
    let ground = Ground::new(2).await;
    let id = ground.verified().await.id;
    let good = std::fs::read(ground.dump(id)).unwrap();
    for at in [0, good.len() / 3, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(ground.dump(id), bad).unwrap();
        let said = refused(&ground, id).await;
        assert!(said.contains("SHA-256"), "byte {at}: {said}");
    }
    std::fs::write(ground.dump(id), good).unwrap();
    assert!(ground.verify(id).await.unwrap().verified_at.is_some(), "and it is good again");
}

#[tokio::test]
async fn a_dump_that_is_cut_off_or_gone_is_found() {
    let ground = Ground::new(2).await;
    let id = ground.create().await.unwrap().id;
    let good = std::fs::read(ground.dump(id)).unwrap();
    std::fs::write(ground.dump(id), &good[..good.len() - 7]).unwrap();
    assert!(refused(&ground, id).await.contains(&format!("{} bytes, not {}", good.len() - 7, good.len())));
    std::fs::remove_file(ground.dump(id)).unwrap();
    assert!(refused(&ground, id).await.contains("its dump is gone"));
}

#[tokio::test]
async fn another_dump_in_its_place_is_found_by_what_is_in_it() {
    let ground = Ground::new(1).await;
    let id = ground.create().await.unwrap().id;
    ground.pay(1).await;
    let other = ground.create().await.unwrap();
    std::fs::copy(ground.dump(other.id), ground.dump(id)).unwrap();
    change_manifest(&ground, id, |manifest| {
        manifest["sha256"] = other.sha256.clone().into();
        manifest["storedBytes"] = other.stored_bytes.into();
    });
    let said = refused(&ground, id).await;
    assert!(said.contains("the table transactions has 3 rows, not 2"), "{said}");
}

#[tokio::test]
async fn a_table_too_many_or_a_row_that_differs_is_named() {
    let ground = Ground::new(1).await;
    let id = ground.create().await.unwrap().id;
    change_manifest(&ground, id, |manifest| {
        let tables = manifest["tables"].as_array_mut().unwrap();
        let mut lost = tables[0].clone();
        lost["name"] = "lost_table".into();
        tables.push(lost);
        tables.iter_mut().find(|table| table["name"] == "users").unwrap()["checksum"] = "1".into();
    });
    let said = refused(&ground, id).await;
    assert!(said.contains("the table lost_table is missing"), "{said}");
    assert!(said.contains("a row of the table users is different"), "{said}");
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_spoils_no_other_backup() {
    let ground = Ground::new(0).await;
    let bad = ground.create().await.unwrap().id;
    std::fs::write(ground.place(bad).join("manifest.json"), "{}").unwrap();
    let good = ground.verified().await;
    assert_eq!(ground.backups().list(None).await.unwrap(), [good]);
    let error = ground.verify(bad).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BackupCorrupt);
    assert!(error.to_string().contains("manifest cannot be read"), "{error}");
}

#[tokio::test]
async fn a_place_that_is_none_is_refused_with_its_reason() {
    let ground = Ground::new(0).await;
    let file = ground.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = format!("file://{}/below", file.display());
    for (url, reason, says) in [
        (below.as_str(), Reason::BackupStoreUnavailable, "Not a directory"),
        ("backups", Reason::InvalidConfiguration, "s3://BUCKET/PREFIX"),
        ("ftp://host/folder", Reason::InvalidConfiguration, "file: or s3:"),
        ("file://folder/here", Reason::InvalidConfiguration, "whole path"),
    ] {
        let error = Backups::open(url, &ground.secrets(), CancellationToken::new())
            .err()
            .map(|error| (error.reason(), error.to_string()));
        let (found, said) = error.unwrap_or_else(|| panic!("{url} was opened"));
        assert!(found == reason && said.contains(says), "{url}: {said}");
    }
}

/// A folder that is a disk of its own, gone with this value. None where this machine does not let us make one.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path, options: &str) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output().ok()?;
        mount.status.success().then_some(Self(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_store_that_is_full_or_not_writable_is_named_and_nothing_stays_in_it() {
    let ground = Ground::new(1).await;
    let Some(disk) = Disk::mount(ground.folder.path(), "size=32k") else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    let error = ground.create().await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::BackupStoreUnavailable, Outcome::Retry), "{error}");
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert!(ground.files().is_empty(), "{:?}", ground.files());
    drop(disk);

    let Some(_disk) = Disk::mount(ground.folder.path(), "ro,size=1m") else { panic!("it was possible a moment ago") };
    let error = ground.create().await.unwrap_err();
    assert_eq!(error.reason(), Reason::BackupStoreUnavailable, "{error}");
    assert!(error.to_string().contains("Read-only file system"), "{error}");
}
