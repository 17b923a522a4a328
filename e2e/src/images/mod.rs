//! Builds images with buildah, and gives them to the local cluster or to a registry.
//!
//! An image is known by the digest of everything it is made from: what has not changed is neither
//! built nor loaded again.

mod base;
mod buildah;
mod recipe;
mod releases;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tokio::sync::OnceCell;

pub use releases::{
    DECLINING_RELEASE, FAILING_RELEASE, GOOD_RELEASE, OFFLINE_RELEASE, ONLINE_RELEASE, SLOW_AFTER_ONLINE_RELEASE,
    SLOW_FRAUD_RELEASE, SLOW_RELEASE, UNREADY_OFFLINE_RELEASE, UNREADY_RELEASE, build_releases,
};

use self::{
    buildah::buildah,
    recipe::{Recipe, file_name, files_of},
};
use crate::{
    cluster::{
        config_files,
        containerd::{Containerd, PAUSE_IMAGE},
    },
    command, packages,
    paths::{Paths, short_hash},
    progress::step,
};

const LIBRARY: &str = "docker.io/library";
/// Version of the programs, and the tag of their image.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The quickstart's own images: folder and tag.
const QUICKSTART: [(&str, &str); 2] = [("postgres", "15"), ("redis", "7")];

/// A built image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Full name with its tag.
    pub name: String,
    /// The image in one file; its file name ends in the digest of what the image is made from.
    pub archive: PathBuf,
}

/// Builds the images of the product and of the quickstart.
///
/// # Errors
/// When cargo, a package or a Dockerfile fails.
pub async fn build(paths: &Paths) -> Result<Vec<Image>> {
    let programs = programs(paths).await?;
    let product = Recipe {
        name: format!("{LIBRARY}/purser:{VERSION}"),
        dockerfile: paths.repository.join("Dockerfile"),
        files: ["purser", "purser-operator"].map(|name| (name.to_owned(), programs.join(name))).into(),
        content: None,
    };
    let mut images = vec![product.build(paths).await?];
    for (folder, tag) in QUICKSTART {
        let source = paths.repository.join("examples/quickstart/images").join(folder);
        let recipe = Recipe {
            name: format!("{LIBRARY}/purser-{folder}:{tag}"),
            dockerfile: source.join("Dockerfile"),
            files: files_of(&source)?,
            content: None,
        };
        images.push(recipe.build(paths).await?);
    }
    Ok(images)
}

/// Builds the release programs, once for as long as this program runs. Returns their folder.
async fn programs(paths: &Paths) -> Result<&'static Path> {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || step("build the programs (release)", cargo_build(paths));
    FOLDER.get_or_try_init(build).await.map(PathBuf::as_path)
}

async fn cargo_build(paths: &Paths) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = command::command(&cargo);
    // The whole workspace, as the Makefile builds it: another selection would compile dependencies anew.
    build.current_dir(&paths.repository).args(["build", "--release", "--workspace", "--bins", "--locked"]);
    // What `cargo test` tells its tests of themselves would have dependencies built anew that ask for it.
    let of_a_test = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_", "OUT_DIR"];
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| of_a_test.iter().any(|begin| name.starts_with(begin))) {
            build.env_remove(name);
        }
    }
    command::logged(&mut build, &paths.cache.join("logs/cargo-build.log")).await?;
    let manifest = paths.repository.join("Cargo.toml").display().to_string();
    let args = ["metadata", "--no-deps", "--format-version=1", "--manifest-path", &manifest];
    let metadata: serde_json::Value = serde_json::from_str(&command::output(&cargo, args).await?)?;
    let target = metadata["target_directory"].as_str().context("cargo does not name its target folder")?;
    Ok(Path::new(target).join("release"))
}

/// The image of the process that holds a pod's namespaces.
pub(crate) async fn pause(paths: &Paths) -> Result<Image> {
    let source = paths.sources().join("pause");
    let code = source.join("pause.c");
    let digest = short_hash([fs::read(&code)?]);
    let program = paths.cache.join(format!("pause-{digest}"));
    if !program.exists() {
        packages::ensure(packages::IMAGES).await?;
        let (code, unfinished) = (code.display().to_string(), program.with_extension("unfinished"));
        command::output("cc", ["-Os", "-static", "-s", "-o", &unfinished.display().to_string(), &code]).await?;
        fs::rename(unfinished, &program)?;
    }
    let recipe = Recipe {
        name: PAUSE_IMAGE.to_owned(),
        dockerfile: source.join("Dockerfile"),
        files: vec![("pause".to_owned(), program)],
        content: Some(digest),
    };
    recipe.build(paths).await
}

/// The image of one static program, tagged by its content.
pub(crate) async fn program(paths: &Paths, name: &str, program: &Path) -> Result<Image> {
    // The folder's name holds the program's version and the digest of its sources.
    let built_from = program.parent().and_then(Path::file_name).context("a program lies in a folder")?;
    let content = short_hash([built_from.as_encoded_bytes()]);
    let dockerfile = paths.cache.join("images").join(format!("{name}.Dockerfile"));
    config_files::write(&dockerfile, "FROM scratch\nCOPY program /program\nENTRYPOINT [\"/program\"]\n")?;
    let recipe = Recipe {
        name: format!("{LIBRARY}/{name}:{content}"),
        dockerfile,
        files: vec![("program".to_owned(), program.to_owned())],
        content: Some(content),
    };
    recipe.build(paths).await
}

/// Imports an image into the local cluster's containerd unless it is there. Returns whether it was not.
pub(crate) async fn import(paths: &Paths, image: &Image) -> Result<bool> {
    let name = file_name(&image.name);
    let record = paths.state.join("images").join(&name);
    let archive = image.archive.display().to_string();
    if fs::read_to_string(&record).is_ok_and(|loaded| loaded == archive) {
        return Ok(false);
    }
    let runtime = Containerd::new(&paths.state);
    step(format!("load image {name}"), async { runtime.ctr(&["images", "import", &archive]).await }).await?;
    config_files::write(&record, &archive)?;
    Ok(true)
}

/// Gives the images of the product and of the quickstart to the cluster. Returns whether any of them was new to it.
///
/// # Errors
/// When they are not built, or the cluster's container runtime or registry does not take them.
pub async fn load(paths: &Paths, images: &[Image], registry: Option<&str>) -> Result<bool> {
    let mut any_new = false;
    for image in images {
        any_new |= match registry {
            None => import(paths, image).await?,
            Some(registry) => push(paths, image, registry).await.map(|()| true)?,
        };
    }
    Ok(any_new)
}

async fn push(paths: &Paths, image: &Image, registry: &str) -> Result<()> {
    let short = image.name.trim_start_matches(LIBRARY).trim_start_matches('/');
    let target = format!("{}/{short}", registry.trim_end_matches('/'));
    step(format!("push {target}"), async {
        let source = format!("docker-archive:{}", image.archive.display());
        let pulled = buildah(paths, &["pull", "--quiet", &source]).await?;
        let id = pulled.lines().last().with_context(|| format!("{source} holds no image"))?;
        buildah(paths, &["push", "--quiet", id, &format!("docker://{target}")]).await
    })
    .await
    .map(drop)
}
