//! Where backups are kept: `backups/NAMESPACE/NAME/ID/` with `dump` and, once all of it is there, `manifest.json`.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;

use super::error::BackupError;
use super::manifest::{FORMAT, Manifest};
use crate::config::Secrets;
use crate::ids::BackupId;
use crate::storage::{Place, StorageError, refused};

const ROOT: &str = "backups";
const DUMP: &str = "dump";
const MANIFEST: &str = "manifest.json";
/// A store in the network takes no smaller parts.
const PART_BYTES_MIN: u64 = 8 << 20;
/// Held in memory a few times over.
const PART_BYTES_MAX: u64 = 512 << 20;
/// It takes ten thousand parts of one object; half of them leaves room for what does not get smaller when it is dumped.
const PARTS: u64 = 5000;
/// Parts that are on their way at the same time.
const PARTS_IN_FLIGHT: usize = 2;

/// A place for backups.
pub(super) struct Store(Place);

impl Store {
    /// The place at a URL.
    pub(super) fn open(url: &str, secrets: &Secrets) -> Result<Self, BackupError> {
        Ok(Self(Place::open(url, secrets)?))
    }

    fn path(owner: &str, id: BackupId, file: &str) -> Path {
        Path::from(format!("{ROOT}/{owner}/{id}/{file}"))
    }

    /// What takes the dump of a database of so many bytes. There is no dump until it is shut down.
    pub(super) fn writer(&self, owner: &str, id: BackupId, database_bytes: u64) -> BufWriter {
        let part = (database_bytes / PARTS).clamp(PART_BYTES_MIN, PART_BYTES_MAX);
        let part = usize::try_from(part).unwrap_or(usize::MAX);
        BufWriter::with_capacity(self.0.store.clone(), Self::path(owner, id, DUMP), part)
            .with_max_concurrency(PARTS_IN_FLIGHT)
    }

    /// The bytes of a dump, and how many there are.
    pub(super) async fn dump(
        &self,
        manifest: &Manifest,
    ) -> Result<(u64, futures::stream::BoxStream<'static, std::io::Result<tokio_util::bytes::Bytes>>), BackupError>
    {
        let got = self.0.store.get(&Self::path(&manifest.owner, manifest.id, DUMP)).await;
        let got = match got {
            Err(object_store::Error::NotFound { .. }) => {
                return Err(BackupError::Corrupt { id: manifest.id, message: "its dump is gone".to_owned() });
            }
            got => got.map_err(refused("read a dump"))?,
        };
        let size = got.meta.size;
        Ok((size, Box::pin(got.into_stream().map_err(std::io::Error::other))))
    }

    /// Writes a manifest: from here on there is a backup, or it is verified.
    pub(super) async fn write(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let json = serde_json::to_vec_pretty(manifest)
            .map_err(|error| StorageError::Refused { doing: "write a manifest", message: error.to_string() })?;
        let path = Self::path(&manifest.owner, manifest.id, MANIFEST);
        self.0.store.put(&path, json.into()).await.map_err(refused("write a manifest"))?;
        Ok(())
    }

    /// All backups, the oldest first. A manifest that cannot be read is passed over: it must not keep new backups from being made.
    pub(super) async fn manifests(&self, owner: Option<&str>) -> Result<Vec<Manifest>, BackupError> {
        let mut found = Vec::new();
        for path in self.files(owner).await?.into_iter().filter(|path| path.filename() == Some(MANIFEST)) {
            match self.read(&path).await? {
                Ok(manifest) => found.push(manifest),
                Err(message) => tracing::warn!(%path, "a manifest cannot be read: {message}"),
            }
        }
        found.sort_by_key(|manifest| manifest.id);
        Ok(found)
    }

    /// One backup.
    pub(super) async fn find(&self, id: BackupId) -> Result<Manifest, BackupError> {
        let ending = format!("/{id}/{MANIFEST}");
        let path = self.files(None).await?.into_iter().find(|path| path.as_ref().ends_with(&ending));
        let manifest = self.read(&path.ok_or(BackupError::NotFound(id))?).await?;
        manifest
            .map_err(|message| BackupError::Corrupt { id, message: format!("its manifest cannot be read: {message}") })
    }

    async fn files(&self, owner: Option<&str>) -> Result<Vec<Path>, BackupError> {
        let folder = Path::from(owner.map_or_else(|| ROOT.to_owned(), |owner| format!("{ROOT}/{owner}")));
        let files: Vec<_> =
            self.0.store.list(Some(&folder)).try_collect().await.map_err(refused("look for backups"))?;
        Ok(files.into_iter().map(|file| file.location).collect())
    }

    /// The inner error is what is wrong with its text.
    async fn read(&self, path: &Path) -> Result<Result<Manifest, String>, BackupError> {
        let got = self.0.store.get(path).await.map_err(refused("read a manifest"))?;
        let bytes = got.bytes().await.map_err(refused("read a manifest"))?;
        let manifest = serde_json::from_slice::<Manifest>(&bytes).map_err(|error| error.to_string());
        Ok(manifest.and_then(|manifest| match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(format!("it is of form {other}, and this program reads form {FORMAT}")),
        }))
    }

    /// Removes a backup, or what there is of one. The manifest goes first: without it nothing is taken for a backup.
    pub(super) async fn remove(&self, owner: &str, id: BackupId) -> Result<(), BackupError> {
        for file in [MANIFEST, DUMP] {
            match self.0.store.delete(&Self::path(owner, id, file)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(refused("remove a backup")(error).into()),
            }
        }
        self.remove_parts(owner, id);
        Ok(())
    }

    /// A killed run leaves a file in a folder that the store does not list, beside the dump. A store in the network lists no
    /// parts either; there a rule of the bucket removes them.
    fn remove_parts(&self, owner: &str, id: BackupId) {
        if let Some(folder) = &self.0.folder {
            let folder = folder.join(ROOT).join(owner).join(id.to_string());
            // What is not there need not be removed, and what cannot be removed is no backup.
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    /// Removes what killed runs left behind, while nobody else makes a backup of this owner.
    pub(super) async fn sweep(&self, owner: &str) -> Result<(), BackupError> {
        let files = self.files(Some(owner)).await?;
        let id = |path: &Path| path.as_ref().rsplit('/').nth(1).and_then(|id| id.parse::<BackupId>().ok());
        let whole: Vec<BackupId> =
            files.iter().filter(|path| path.filename() == Some(MANIFEST)).filter_map(id).collect();
        let seen = files.iter().filter_map(id).chain(self.folders(owner));
        let left: std::collections::BTreeSet<BackupId> = seen.filter(|id| !whole.contains(id)).collect();
        for id in left {
            tracing::info!(%id, "removing what an interrupted backup left behind");
            self.remove(owner, id).await?;
        }
        Ok(())
    }

    fn folders(&self, owner: &str) -> Vec<BackupId> {
        let Some(folder) = &self.0.folder else { return Vec::new() };
        let entries = std::fs::read_dir(folder.join(ROOT).join(owner)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}
