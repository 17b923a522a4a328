//! Where backups are kept: `backups/NAMESPACE/NAME/ID/` with `dump` and, once all of it is there, `manifest.json`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};
use secrecy::ExposeSecret;
use url::Url;

use super::error::BackupError;
use super::manifest::{FORMAT, Manifest};
use crate::config::Secrets;
use crate::ids::BackupId;

const ROOT: &str = "backups";
const DUMP: &str = "dump";
const MANIFEST: &str = "manifest.json";
/// How long a store that does not answer is tried again.
const PATIENCE: Duration = Duration::from_secs(30);
/// A store in the network takes no smaller parts.
const PART_BYTES_MIN: u64 = 8 << 20;
/// Held in memory a few times over.
const PART_BYTES_MAX: u64 = 512 << 20;
/// It takes ten thousand parts of one object; half of them leaves room for what does not get smaller when it is dumped.
const PARTS: u64 = 5000;
/// Parts that are on their way at the same time.
const PARTS_IN_FLIGHT: usize = 2;

/// A place for backups.
pub(super) struct Store {
    inner: Arc<dyn ObjectStore>,
    /// The folder, where it is one.
    folder: Option<PathBuf>,
}

/// Says what was attempted when a store refuses.
fn refused(doing: &'static str) -> impl Fn(object_store::Error) -> BackupError {
    move |error| BackupError::Store { doing, message: said(&error) }
}

/// An error with its causes, each once: most of these say nothing themselves.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Store {
    /// Opens the place at a URL. A folder is made where there is none.
    pub(super) fn open(text: &str, secrets: &Secrets) -> Result<Self, BackupError> {
        let no_place = |message: &str| BackupError::Place { url: text.to_owned(), message: message.to_owned() };
        let url =
            Url::parse(text).map_err(|_| no_place("a URL such as file:///FOLDER or s3://BUCKET/PREFIX is needed"))?;
        match url.scheme() {
            "file" => Self::folder(url.to_file_path().map_err(|()| no_place("a folder is named by its whole path"))?),
            "s3" => Self::s3(&url, secrets).map_err(|error| no_place(&said(&error))),
            _ => Err(no_place("backups are kept at file: or s3:")),
        }
    }

    fn folder(folder: PathBuf) -> Result<Self, BackupError> {
        let cannot = |error: &dyn std::error::Error| BackupError::Store {
            doing: "open the folder",
            message: format!("{}: {}", folder.display(), said(error)),
        };
        std::fs::create_dir_all(&folder).map_err(|error| cannot(&error))?;
        let inner = LocalFileSystem::new_with_prefix(&folder).map_err(|error| cannot(&error))?;
        // A backup that is reported is on the disk; folders of backups that are gone go too.
        let inner = inner.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { inner: Arc::new(inner), folder: Some(folder) })
    }

    /// What the URL does not say is taken from the environment, as Amazon's own tools take it, and so are credentials that are not
    /// among the secrets.
    fn s3(url: &Url, secrets: &Secrets) -> Result<Self, object_store::Error> {
        let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env().with_retry(retry);
        builder = builder.with_bucket_name(url.host_str().unwrap_or_default());
        if let (Some(id), Some(key)) =
            (secrets.backup_store("access-key-id"), secrets.backup_store("secret-access-key"))
        {
            builder = builder.with_access_key_id(id.expose_secret()).with_secret_access_key(key.expose_secret());
        }
        if let Some(token) = secrets.backup_store("session-token") {
            builder = builder.with_token(token.expose_secret());
        }
        for (key, value) in url.query_pairs() {
            builder = match &*key {
                // A store beside the database speaks plain HTTP at most inside of a cluster; whoever writes it there wants it.
                "endpoint" => builder.with_allow_http(value.starts_with("http://")).with_endpoint(value),
                "region" => builder.with_region(value),
                _ => builder,
            };
        }
        let prefix = Path::parse(url.path().trim_matches('/'))?;
        Ok(Self { inner: Arc::new(PrefixStore::new(builder.build()?, prefix)), folder: None })
    }

    fn path(owner: &str, id: BackupId, file: &str) -> Path {
        Path::from(format!("{ROOT}/{owner}/{id}/{file}"))
    }

    /// What takes the dump of a database of so many bytes. There is no dump until it is shut down.
    pub(super) fn writer(&self, owner: &str, id: BackupId, database_bytes: u64) -> BufWriter {
        let part = (database_bytes / PARTS).clamp(PART_BYTES_MIN, PART_BYTES_MAX);
        let part = usize::try_from(part).unwrap_or(usize::MAX);
        BufWriter::with_capacity(self.inner.clone(), Self::path(owner, id, DUMP), part)
            .with_max_concurrency(PARTS_IN_FLIGHT)
    }

    /// The bytes of a dump, and how many there are.
    pub(super) async fn dump(
        &self,
        manifest: &Manifest,
    ) -> Result<(u64, futures::stream::BoxStream<'static, std::io::Result<tokio_util::bytes::Bytes>>), BackupError>
    {
        let got = self.inner.get(&Self::path(&manifest.owner, manifest.id, DUMP)).await;
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
            .map_err(|error| BackupError::Store { doing: "write a manifest", message: error.to_string() })?;
        let path = Self::path(&manifest.owner, manifest.id, MANIFEST);
        self.inner.put(&path, json.into()).await.map_err(refused("write a manifest"))?;
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
        let files: Vec<_> = self.inner.list(Some(&folder)).try_collect().await.map_err(refused("look for backups"))?;
        Ok(files.into_iter().map(|file| file.location).collect())
    }

    /// The inner error is what is wrong with its text.
    async fn read(&self, path: &Path) -> Result<Result<Manifest, String>, BackupError> {
        let got = self.inner.get(path).await.map_err(refused("read a manifest"))?;
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
            match self.inner.delete(&Self::path(owner, id, file)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(refused("remove a backup")(error)),
            }
        }
        self.remove_parts(owner, id);
        Ok(())
    }

    /// A killed run leaves a file in a folder that the store does not list, beside the dump. A store in the network lists no
    /// parts either; there a rule of the bucket removes them.
    fn remove_parts(&self, owner: &str, id: BackupId) {
        if let Some(folder) = &self.folder {
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
        let Some(folder) = &self.folder else { return Vec::new() };
        let entries = std::fs::read_dir(folder.join(ROOT).join(owner)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}
