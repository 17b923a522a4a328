//! Where backups and archives are kept, a folder or S3, and what they are encrypted with.

mod error;
mod key;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};
use runtime_contract::paths;
use secrecy::ExposeSecret;
use url::Url;

pub use error::StorageError;
pub(crate) use key::StorageKey;

use crate::config::Secrets;

/// How long a store that does not answer is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The place unless told otherwise, as a URL.
#[must_use]
pub fn default_place() -> String {
    format!("file://{}", paths::BACKUPS)
}

/// A place that bytes are kept in.
pub(crate) struct Place {
    /// What reads and writes there.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The folder, where it is one.
    pub(crate) folder: Option<PathBuf>,
}

/// Says what was attempted when a store refuses.
pub(crate) fn refused(doing: &'static str) -> impl Fn(object_store::Error) -> StorageError {
    move |error| StorageError::Refused { doing, message: said(&error) }
}

/// An error with its causes, each once: most of these say nothing themselves.
pub(crate) fn said(error: &dyn std::error::Error) -> String {
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

impl Place {
    /// Opens the place at a URL. A folder is made where there is none.
    pub(crate) fn open(text: &str, secrets: &Secrets) -> Result<Self, StorageError> {
        let no_place = |message: &str| StorageError::Place { url: text.to_owned(), message: message.to_owned() };
        let url =
            Url::parse(text).map_err(|_| no_place("a URL such as file:///FOLDER or s3://BUCKET/PREFIX is needed"))?;
        match url.scheme() {
            "file" => Self::folder(url.to_file_path().map_err(|()| no_place("a folder is named by its whole path"))?),
            "s3" => Self::s3(&url, secrets).map_err(|error| no_place(&said(&error))),
            _ => Err(no_place("backups are kept at file: or s3:")),
        }
    }

    fn folder(folder: PathBuf) -> Result<Self, StorageError> {
        let cannot = |error: &dyn std::error::Error| StorageError::Refused {
            doing: "open the folder",
            message: format!("{}: {}", folder.display(), said(error)),
        };
        std::fs::create_dir_all(&folder).map_err(|error| cannot(&error))?;
        let inner = LocalFileSystem::new_with_prefix(&folder).map_err(|error| cannot(&error))?;
        // A backup that is reported is on the disk; folders of backups that are gone go too.
        let inner = inner.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(inner), folder: Some(folder) })
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
        Ok(Self { store: Arc::new(PrefixStore::new(builder.build()?, prefix)), folder: None })
    }
}
