//! Where archives are kept: `archives/NAMESPACE/NAME/PARTITION/` with files of Parquet and, once all of them are there and were read
//! back, `manifest.json`.

use std::collections::{BTreeMap, HashSet};

use age::DecryptError;
use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use sha2::{Digest, Sha256};

use super::error::ArchiveError;
use super::id::ArchiveId;
use super::manifest::{FORMAT, File, Manifest};
use crate::storage::{Place, StorageError, StorageKey, refused};

const ROOT: &str = "archives";
const MANIFEST: &str = "manifest.json";
/// Where archives go that are no longer that of their partition.
const ASIDE: &str = "superseded";
/// From the first file of an archive to its manifest.
const WRITTEN_WITHIN: TimeDelta = TimeDelta::days(1);

/// A place for the archives of one owner, and what opens them.
pub(super) struct Store<'a> {
    pub(super) place: &'a Place,
    pub(super) key: Option<&'a StorageKey>,
    pub(super) owner: &'a str,
}

impl Store<'_> {
    fn path(&self, id: ArchiveId, file: &str) -> Path {
        Path::from(format!("{ROOT}/{}/{id}/{file}", self.owner))
    }

    /// Writes a file. Its name must be new: another database of this name may be writing the same month.
    pub(super) async fn write_file(
        &self,
        id: ArchiveId,
        name: &str,
        rows: u64,
        plain: Vec<u8>,
    ) -> Result<File, ArchiveError> {
        let bytes = match self.key {
            Some(key) => key.seal(&plain)?,
            None => plain,
        };
        let ending = if self.key.is_some() { ".age" } else { "" };
        let name = format!("{name}.parquet{ending}");
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let file = File { rows, bytes: bytes.len() as u64, sha256, name };
        self.place.store.put(&self.path(id, &file.name), bytes.into()).await.map_err(refused("write an archive"))?;
        Ok(file)
    }

    /// A file, as it was before it was encrypted.
    pub(super) async fn read_file(&self, manifest: &Manifest, file: &File) -> Result<Vec<u8>, ArchiveError> {
        let id = manifest.id;
        let corrupt = |message: String| ArchiveError::Corrupt { id, message: format!("{}: {message}", file.name) };
        let got = match self.place.store.get(&self.path(id, &file.name)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(corrupt("it is gone".to_owned())),
            got => got.map_err(refused("read an archive"))?,
        };
        let bytes = got.bytes().await.map_err(refused("read an archive"))?;
        if hex::encode(Sha256::digest(&bytes)) != file.sha256 {
            return Err(corrupt("it has another SHA-256 than its manifest says".to_owned()));
        }
        match (manifest.encrypted, self.key) {
            (false, _) => Ok(bytes.into()),
            (true, None) => Err(ArchiveError::KeyMissing(id)),
            (true, Some(key)) => key.unseal(&bytes).map_err(|error| match error {
                DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                    ArchiveError::KeyWrong(id)
                }
                error => corrupt(error.to_string()),
            }),
        }
    }

    /// Writes the manifest: from here on there is an archive.
    pub(super) async fn write(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        let json = serde_json::to_vec_pretty(manifest)
            .map_err(|error| StorageError::Refused { doing: "write a manifest", message: error.to_string() })?;
        let path = self.path(manifest.id, MANIFEST);
        self.place.store.put(&path, json.into()).await.map_err(refused("write a manifest"))?;
        Ok(())
    }

    /// The archive of a partition, if there is one.
    pub(super) async fn find(&self, id: ArchiveId) -> Result<Option<Manifest>, ArchiveError> {
        let got = match self.place.store.get(&self.path(id, MANIFEST)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            got => got.map_err(refused("read a manifest"))?,
        };
        let bytes = got.bytes().await.map_err(refused("read a manifest"))?;
        let unread = |message: String| ArchiveError::Corrupt { id, message: format!("its manifest: {message}") };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| unread(error.to_string()))?;
        match manifest.format {
            FORMAT if manifest.id == id => Ok(Some(manifest)),
            FORMAT => Err(unread(format!("it is that of {}", manifest.id))),
            other => Err(unread(format!("it is of form {other}, and this program reads form {FORMAT}"))),
        }
    }

    /// All archives, the oldest month first.
    pub(super) async fn all(&self) -> Result<Vec<Manifest>, ArchiveError> {
        let files = self.files(&Path::from(format!("{ROOT}/{}", self.owner))).await?;
        let manifests = files.iter().filter(|file| is_manifest(file));
        let mut ids: Vec<ArchiveId> = manifests.filter_map(|file| folder(&file.location)).collect();
        ids.sort_unstable();
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.find(id).await?);
        }
        Ok(found)
    }

    /// Makes room for an archive. What was one is put aside, for it may hold rows that are nowhere else: another database may have had
    /// this name. Whatever its manifest does not name stays, and so do the files that are ours.
    pub(super) async fn put_aside(&self, id: ArchiveId, ours: &[File]) -> Result<(), ArchiveError> {
        let files = self.files(&self.path(id, "")).await?;
        let Some(manifest) = files.iter().find(|file| is_manifest(file)) else { return Ok(()) };
        let names = |files: &[File]| files.iter().map(|file| file.name.clone()).collect::<HashSet<_>>();
        let theirs = match self.find(id).await {
            Ok(found) => Some(found.map(|found| names(&found.files)).unwrap_or_default()),
            // One that cannot be read may name any of them.
            Err(ArchiveError::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        };
        let ours = names(ours);
        let aside = format!("{ROOT}/{}/{ASIDE}/{id}-{}", self.owner, manifest.last_modified.format("%Y%m%dT%H%M%SZ"));
        tracing::warn!(%id, %aside, "an archive with other rows was there, and was put aside");
        // The manifest goes last: whoever dies in between is followed by one that finds the same name for the rest.
        let others = files.iter().filter(|file| {
            let name = file.location.filename().unwrap_or_default();
            !is_manifest(file) && !ours.contains(name) && theirs.as_ref().is_none_or(|theirs| theirs.contains(name))
        });
        for file in others.chain([manifest]) {
            let to = Path::from(format!("{aside}/{}", file.location.filename().unwrap_or_default()));
            self.place.store.rename(&file.location, &to).await.map_err(refused("put an archive aside"))?;
        }
        Ok(())
    }

    /// Removes the files of an archive that has not become one.
    pub(super) async fn discard(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        for file in &manifest.files {
            self.remove(&self.path(manifest.id, &file.name)).await?;
        }
        Ok(())
    }

    /// Removes what killed runs have left: files that no manifest names, and that are so old that nobody is about to name them.
    pub(super) async fn sweep(&self) -> Result<(), ArchiveError> {
        let mut folders: BTreeMap<ArchiveId, Vec<ObjectMeta>> = BTreeMap::new();
        for file in self.files(&Path::from(format!("{ROOT}/{}", self.owner))).await? {
            if let Some(id) = folder(&file.location) {
                folders.entry(id).or_default().push(file);
            }
        }
        for (id, files) in folders {
            let runs: HashSet<&str> = files.iter().filter(|file| !is_manifest(file)).map(run_of).collect();
            // Of one run, and described.
            if runs.len() <= 1 && files.iter().any(is_manifest) {
                continue;
            }
            let named = self.find(id).await?.map(|manifest| manifest.files).unwrap_or_default();
            let is_left = |file: &&ObjectMeta| {
                let is_old = Utc::now() - file.last_modified > WRITTEN_WITHIN;
                let is_named = named.iter().any(|named| Some(named.name.as_str()) == file.location.filename());
                is_old && !is_named && !is_manifest(file)
            };
            for file in files.iter().filter(is_left) {
                tracing::info!(file = %file.location, "removing what a killed run has left");
                self.remove(&file.location).await?;
            }
        }
        Ok(())
    }

    async fn files(&self, folder: &Path) -> Result<Vec<ObjectMeta>, ArchiveError> {
        let listed = self.place.store.list(Some(folder)).try_collect().await;
        Ok(listed.map_err(refused("look for archives"))?)
    }

    async fn remove(&self, path: &Path) -> Result<(), ArchiveError> {
        match self.place.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(refused("remove an archive")(error).into()),
        }
    }
}

fn is_manifest(file: &ObjectMeta) -> bool {
    file.location.filename() == Some(MANIFEST)
}

/// Which run a file is of: `RUN-NUMBER.parquet`. Runs of earlier releases gave no name to themselves.
fn run_of(file: &ObjectMeta) -> &str {
    file.location.filename().and_then(|name| name.rsplit_once('-')).map_or("", |(run, _)| run)
}

/// The partition that a file is of the archive of. What was put aside is in a folder of another name.
fn folder(file: &Path) -> Option<ArchiveId> {
    file.as_ref().rsplit('/').nth(1)?.parse().ok()
}
