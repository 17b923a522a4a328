//! Builds images with buildah, and gives them to the local cluster or to a registry.
//!
//! An image is known by the digest of everything it is made from: what has not changed is neither
//! built nor loaded again.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cluster::config_files,
    cluster::containerd::{Containerd, PAUSE_IMAGE},
    command, packages,
    paths::{Paths, short_hash},
    progress::step,
};

/// The base that every Dockerfile here names; made from Debian's packages, so that no registry is needed.
const BASE: &str = "docker.io/library/debian:bookworm-slim";
/// Part of the base's name in the cache: raise it when the recipe below changes.
const BASE_REVISION: &str = "bookworm-2";
const LIBRARY: &str = "docker.io/library";
/// Version of the programs, and the tag of their image.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A built image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Full name with its tag.
    pub name: String,
    /// The image in an OCI archive; its file name ends in the digest of what the image is made from.
    pub archive: PathBuf,
}

/// A file of a build context: its name there, and where it is.
type ContextFile = (String, PathBuf);

/// Builds the images of the product and of the quickstart.
///
/// # Errors
/// When cargo, a package or a Dockerfile fails.
pub async fn build(paths: &Paths) -> Result<Vec<Image>> {
    packages::ensure(packages::IMAGES).await?;
    let target = step(
        "build purser and purser-operator (release)",
        cargo_build(paths),
    )
    .await?;
    let programs = ["purser", "purser-operator"].map(|name| (name.to_owned(), target.join(name)));
    let mut images = vec![
        from_dockerfile(
            paths,
            &format!("{LIBRARY}/purser:{VERSION}"),
            &paths.repository.join("Dockerfile"),
            &programs,
        )
        .await?,
    ];
    for (folder, tag) in [("postgres", "15"), ("redis", "7")] {
        let source = paths
            .repository
            .join("examples/quickstart/images")
            .join(folder);
        let name = format!("{LIBRARY}/purser-{folder}:{tag}");
        images.push(
            from_dockerfile(
                paths,
                &name,
                &source.join("Dockerfile"),
                &files_of(&source)?,
            )
            .await?,
        );
    }
    Ok(images)
}

async fn cargo_build(paths: &Paths) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = command::command(&cargo);
    build.current_dir(&paths.repository).args([
        "build",
        "--release",
        "--bin",
        "purser",
        "--bin",
        "purser-operator",
    ]);
    command::logged(&mut build, &paths.cache.join("logs/cargo-build.log")).await?;
    let manifest = paths.repository.join("Cargo.toml").display().to_string();
    let args = [
        "metadata",
        "--no-deps",
        "--format-version=1",
        "--manifest-path",
        &manifest,
    ];
    let metadata: serde_json::Value = serde_json::from_str(&command::output(&cargo, args).await?)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo does not name its target folder")?;
    Ok(Path::new(target).join("release"))
}

/// The image of the process that holds a pod's namespaces.
pub(crate) async fn pause(paths: &Paths) -> Result<Image> {
    packages::ensure(packages::IMAGES).await?;
    let source = paths.sources().join("pause");
    let code = source.join("pause.c");
    let program = paths
        .cache
        .join(format!("pause-{}", short_hash([fs::read(&code)?])));
    if !program.exists() {
        let (code, unfinished) = (
            code.display().to_string(),
            program.with_extension("unfinished"),
        );
        command::output(
            "cc",
            [
                "-Os",
                "-static",
                "-s",
                "-o",
                &unfinished.display().to_string(),
                &code,
            ],
        )
        .await?;
        fs::rename(unfinished, &program)?;
    }
    from_dockerfile(
        paths,
        PAUSE_IMAGE,
        &source.join("Dockerfile"),
        &[("pause".into(), program)],
    )
    .await
}

/// The image of one static program, tagged by its content.
pub(crate) async fn program(paths: &Paths, name: &str, program: &Path) -> Result<Image> {
    packages::ensure(packages::IMAGES).await?;
    // The folder's name holds the program's version and the digest of its sources.
    let built_from = program
        .parent()
        .and_then(Path::file_name)
        .context("a program lies in a folder")?;
    let tag = short_hash([built_from.as_encoded_bytes()]);
    let dockerfile = paths
        .cache
        .join("images")
        .join(format!("{name}.Dockerfile"));
    config_files::write(
        &dockerfile,
        "FROM scratch\nCOPY program /program\nENTRYPOINT [\"/program\"]\n",
    )?;
    from_dockerfile(
        paths,
        &format!("{LIBRARY}/{name}:{tag}"),
        &dockerfile,
        &[("program".into(), program.into())],
    )
    .await
}

fn files_of(folder: &Path) -> Result<Vec<ContextFile>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        files.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    files.sort();
    Ok(files)
}

async fn from_dockerfile(
    paths: &Paths,
    name: &str,
    dockerfile: &Path,
    files: &[ContextFile],
) -> Result<Image> {
    let recipe =
        fs::read(dockerfile).with_context(|| format!("cannot read {}", dockerfile.display()))?;
    let mut parts = vec![
        name.as_bytes().to_vec(),
        BASE_REVISION.into(),
        recipe.clone(),
    ];
    for (file, path) in files {
        parts.push(file.clone().into_bytes());
        parts.push(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let short_name = short_name(name);
    let folder = paths.cache.join("images");
    let archive = folder.join(format!("{short_name}-{}.tar", short_hash(&parts)));
    let image = Image {
        name: name.to_owned(),
        archive,
    };
    if image.archive.exists() {
        return Ok(image);
    }
    fs::create_dir_all(&folder)?;
    if String::from_utf8_lossy(&recipe).contains("bookworm-slim") {
        ensure_base(paths).await?;
    }
    step(
        format!("build image {short_name}"),
        build_archive(paths, &image, dockerfile, files),
    )
    .await?;
    remove_older(&folder, short_name, &image.archive)?;
    Ok(image)
}

async fn build_archive(
    paths: &Paths,
    image: &Image,
    dockerfile: &Path,
    files: &[ContextFile],
) -> Result<()> {
    let context = tempfile::tempdir_in(&paths.cache)?;
    for (name, path) in files {
        // A link where it can be: a program is tens of megabytes.
        let target = context.path().join(name);
        if fs::hard_link(path, &target).is_err() {
            fs::copy(path, &target)?;
        }
    }
    let (dockerfile, folder) = (
        dockerfile.display().to_string(),
        context.path().display().to_string(),
    );
    let args = [
        "build",
        "--isolation=chroot",
        "--layers=false",
        "--pull-never",
        "-t",
        &image.name,
        "-f",
        &dockerfile,
        &folder,
    ];
    buildah(paths, &args).await?;
    let unfinished = image.archive.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_file(&unfinished)?;
    }
    let target = format!("oci-archive:{}:{}", unfinished.display(), image.name);
    // Never sent over a network, so compressing would only cost time.
    buildah(
        paths,
        &["push", "--disable-compression", &image.name, &target],
    )
    .await?;
    fs::rename(unfinished, &image.archive).map_err(Into::into)
}

/// Makes the base image from the machine's own Debian mirror.
async fn ensure_base(paths: &Paths) -> Result<()> {
    let tag = format!("{BASE}-{BASE_REVISION}");
    if buildah(paths, &["inspect", "--type=image", &tag])
        .await
        .is_ok()
    {
        return Ok(());
    }
    let tarball = paths.cache.join(format!("debian-{BASE_REVISION}.tar"));
    if !tarball.exists() {
        step("make the Debian base", debootstrap(paths, &tarball)).await?;
    }
    let context = tempfile::tempdir_in(&paths.cache)?;
    fs::hard_link(&tarball, context.path().join("base.tar"))?;
    let dockerfile = context.path().join("Dockerfile");
    fs::write(
        &dockerfile,
        "FROM scratch\nADD base.tar /\nCMD [\"bash\"]\n",
    )?;
    let (file, folder) = (
        dockerfile.display().to_string(),
        context.path().display().to_string(),
    );
    step("build image debian", async {
        buildah(
            paths,
            &[
                "build",
                "--isolation=chroot",
                "-t",
                &tag,
                "-t",
                BASE,
                "-f",
                &file,
                &folder,
            ],
        )
        .await
    })
    .await
    .map(drop)
}

async fn debootstrap(paths: &Paths, tarball: &Path) -> Result<()> {
    let unfinished = tarball.with_extension("unfinished.tar");
    let mut command = command::command("mmdebstrap");
    command.args(["--variant=minbase", "--include=ca-certificates"]);
    for unwanted in ["doc", "man", "locale", "info"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{unwanted}/*"));
    }
    command
        .arg("--dpkgopt=path-include=/usr/share/doc/*/copyright")
        .arg("bookworm")
        .arg(&unfinished);
    command.arg(debian_sources()?);
    command::logged(&mut command, &paths.cache.join("logs/debian-base.log")).await?;
    fs::rename(unfinished, tarball).map_err(Into::into)
}

fn debian_sources() -> Result<PathBuf> {
    let places = [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list",
    ];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.context("this is not a Debian machine: it has no list of Debian mirrors")
}

async fn buildah(paths: &Paths, args: &[&str]) -> Result<String> {
    let root = paths.cache.join("buildah");
    let (storage, run) = (
        root.join("storage").display().to_string(),
        root.join("run").display().to_string(),
    );
    command::output(
        "buildah",
        [
            &[
                "--root",
                &storage,
                "--runroot",
                &run,
                "--storage-driver",
                "overlay",
            ],
            args,
        ]
        .concat(),
    )
    .await
}

/// Imports an image into the local cluster's containerd unless it is there.
pub(crate) async fn import(paths: &Paths, image: &Image) -> Result<()> {
    let record = paths.state.join("images").join(short_name(&image.name));
    let digest = image.archive.display().to_string();
    if fs::read_to_string(&record).is_ok_and(|loaded| loaded == digest) {
        return Ok(());
    }
    let runtime = Containerd::new(&paths.state);
    step(format!("load image {}", short_name(&image.name)), async {
        runtime.ctr(&["images", "import", &digest]).await
    })
    .await?;
    config_files::write(&record, &digest)
}

/// Gives the images of the product and of the quickstart to the cluster.
///
/// # Errors
/// When they are not built, or the cluster's container runtime or registry does not take them.
pub async fn load(paths: &Paths, images: &[Image], registry: Option<&str>) -> Result<()> {
    for image in images {
        match registry {
            None => import(paths, image).await?,
            Some(registry) => push(paths, image, registry).await?,
        }
    }
    Ok(())
}

async fn push(paths: &Paths, image: &Image, registry: &str) -> Result<()> {
    let short = image
        .name
        .trim_start_matches(LIBRARY)
        .trim_start_matches('/');
    let target = format!("{}/{short}", registry.trim_end_matches('/'));
    step(format!("push {target}"), async {
        let source = format!("oci-archive:{}", image.archive.display());
        let pulled = buildah(paths, &["pull", "--quiet", &source]).await?;
        let Some(id) = pulled.lines().last() else {
            bail!("{source} holds no image")
        };
        buildah(
            paths,
            &["push", "--quiet", id, &format!("docker://{target}")],
        )
        .await
    })
    .await
    .map(drop)
}

/// `purser` for `docker.io/library/purser:0.1.0`.
fn short_name(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

fn remove_older(folder: &Path, short_name: &str, current: &Path) -> Result<()> {
    for (file, path) in files_of(folder)? {
        let hash = file
            .strip_prefix(short_name)
            .and_then(|rest| rest.strip_prefix('-'));
        // Twelve digits and the extension: `purser-redis-…` is not an older `purser`.
        if path != current && hash.is_some_and(|hash| hash.len() == 16 && hash.ends_with(".tar")) {
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
        let current = file("purser-111111111111.tar");
        let older = file("purser-222222222222.tar");
        let other = file("purser-redis-333333333333.tar");
        remove_older(folder.path(), "purser", &current).unwrap();
        assert!(current.exists() && other.exists() && !older.exists());
    }

    #[test]
    fn the_short_name_has_neither_registry_nor_tag() {
        assert_eq!(
            short_name("docker.io/library/purser-redis:7"),
            "purser-redis"
        );
    }
}
