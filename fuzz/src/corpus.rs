//! The inputs that every run begins with: a file each, below `corpus/TARGET/`.

use std::fs;
use std::path::PathBuf;

/// The folder of a target.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Its inputs, in the order of their names.
///
/// # Errors
/// When the folder cannot be read: every target has one.
pub fn read(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder(target))?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    files.iter().map(fs::read).collect()
}
