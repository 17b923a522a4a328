//! The files of the examples, and those of them that are made here.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Of `examples/`.
pub(super) fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path)
}

/// Of the customisation of a kind, as Argo CD keeps it.
pub(super) fn of_kind(kind: &str, path: &str) -> PathBuf {
    example("argocd/resource_customizations/purser.dev").join(kind).join(path)
}

pub(super) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn yaml<T: DeserializeOwned>(path: &Path) -> T {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document of a file.
pub(super) fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares a file with what it is made of, or writes it where a person asks for it.
pub(super) fn expect(path: &Path, heading: &str, content: &Value) {
    let made = format!("{heading}{}", serde_saphyr::to_string(content).unwrap());
    if std::env::var_os("PURSER_WRITE_EXAMPLES").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &made).unwrap();
    }
    let on_disk = std::fs::read_to_string(path).unwrap_or_default();
    assert!(on_disk == made, "{} is stale; run `make generate` and commit", path.display());
}
