//! From a Dockerfile and its files to an archive, once per content.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{Image, base, buildah::buildah};
use crate::{
    packages,
    paths::{Paths, short_hash},
    progress::step,
};

/// What an image is made from.
pub(super) struct Recipe {
    /// Full name with its tag.
    pub(super) name: String,
    pub(super) dockerfile: PathBuf,
    /// The build context: names there, and where the files are.
    pub(super) files: Vec<(String, PathBuf)>,
    /// Stands for the files' contents; `None` to read them.
    pub(super) content: Option<String>,
}

impl Recipe {
    /// Builds the image unless its archive is in the cache.
    pub(super) async fn build(&self, paths: &Paths) -> Result<Image> {
        let dockerfile = fs::read_to_string(&self.dockerfile);
        let dockerfile = dockerfile.with_context(|| format!("cannot read {}", self.dockerfile.display()))?;
        let folder = paths.cache.join("images");
        let mut name = file_name(&self.name);
        if self.content.is_some() {
            // The tag is the content, and older contents are of no use.
            name.truncate(name.find('_').unwrap_or(name.len()));
        }
        let archive = folder.join(format!("{name}-{}.tar", self.digest(&dockerfile)?));
        let image = Image { name: self.name.clone(), archive };
        if image.archive.exists() {
            return Ok(image);
        }
        fs::create_dir_all(&folder)?;
        packages::ensure(packages::IMAGES).await?;
        if dockerfile.contains(base::NAME) {
            base::ensure(paths).await?;
        }
        step(format!("build image {name}"), self.build_archive(paths, &image)).await?;
        remove_older(&folder, &name, &image.archive)?;
        Ok(image)
    }

    fn digest(&self, dockerfile: &str) -> Result<String> {
        let mut parts: Vec<Vec<u8>> = vec![self.name.clone().into(), base::REVISION.into(), dockerfile.into()];
        if let Some(content) = &self.content {
            parts.push(content.clone().into());
            return Ok(short_hash(parts));
        }
        for (name, path) in &self.files {
            parts.push(name.clone().into());
            parts.push(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
        }
        Ok(short_hash(parts))
    }

    async fn build_archive(&self, paths: &Paths, image: &Image) -> Result<()> {
        let context = tempfile::tempdir_in(&paths.cache)?;
        for (name, path) in &self.files {
            // A link where it can be: a program is tens of megabytes.
            let target = context.path().join(name);
            if fs::hard_link(path, &target).is_err() {
                fs::copy(path, &target)?;
            }
        }
        let (file, folder) = (self.dockerfile.display().to_string(), context.path().display().to_string());
        let quick = ["build", "--isolation=chroot", "--layers=false", "--pull-never"];
        buildah(paths, &[&quick[..], &["-t", &self.name, "-f", &file, &folder]].concat()).await?;
        let unfinished = image.archive.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_file(&unfinished)?;
        }
        let target = format!("docker-archive:{}:{}", unfinished.display(), self.name);
        // This kind is not compressed, which would only cost time: it never goes over a network.
        buildah(paths, &["push", &self.name, &target]).await?;
        // The archive is what is kept; a second copy in the storage is of no use.
        buildah(paths, &["rmi", "--force", &self.name]).await?;
        fs::rename(unfinished, &image.archive).map_err(Into::into)
    }
}

/// `purser_0.1.0` for `docker.io/library/purser:0.1.0`: two versions are two files.
pub(super) fn file_name(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).replace(':', "_")
}

/// The files of a folder, by name.
pub(super) fn files_of(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    files.sort();
    Ok(files)
}

fn remove_older(folder: &Path, name: &str, current: &Path) -> Result<()> {
    for (file, path) in files_of(folder)? {
        let digest = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        // Twelve digits and the extension.
        if path != current && digest.is_some_and(|digest| digest.len() == 16 && digest.ends_with(".tar")) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_archives_of_an_image_go_and_those_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            path
        };
        let current = file("purser_0.1.0-111111111111.tar");
        let older = file("purser_0.1.0-222222222222.tar");
        let other = file("purser_0.2.0-333333333333.tar");
        remove_older(folder.path(), "purser_0.1.0", &current).unwrap();
        assert!(current.exists() && other.exists() && !older.exists());
    }

    #[test]
    fn the_name_of_a_file_has_no_registry_and_a_tag() {
        assert_eq!(file_name("docker.io/library/purser-redis:7"), "purser-redis_7");
    }

    #[test]
    fn another_file_or_name_makes_another_image() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        fs::write(&file, "one").unwrap();
        let mut recipe = Recipe {
            name: "a:1".into(),
            dockerfile: "Dockerfile".into(),
            files: vec![("program".into(), file.clone())],
            content: None,
        };
        let first = recipe.digest("FROM scratch").unwrap();
        assert_eq!(first, recipe.digest("FROM scratch").unwrap());
        assert_ne!(first, recipe.digest("FROM debian").unwrap());
        fs::write(&file, "two").unwrap();
        let second = recipe.digest("FROM scratch").unwrap();
        assert_ne!(first, second);
        recipe.name = "a:2".into();
        assert_ne!(second, recipe.digest("FROM scratch").unwrap());
    }
}
