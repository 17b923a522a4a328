//! Images of other releases, for tests and the demo: good ones, and bad ones.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::recipe::{Recipe, files_of};
use super::{Image, LIBRARY, programs};
use crate::cluster::config_files;
use crate::paths::Paths;

/// One that is as good as the one that is shipped.
pub const GOOD_RELEASE: &str = "0.2.0";
/// One whose database answers 150 ms late, which makes a payment, of two commits, 300 ms slower at least.
pub const SLOW_RELEASE: &str = "0.3.0";
/// One whose fraud check answers late.
pub const SLOW_FRAUD_RELEASE: &str = "0.4.0";

/// One with a migration during which payments go on.
pub const ONLINE_RELEASE: &str = "0.5.0";
/// One with a migration that writes have to be refused for.
pub const OFFLINE_RELEASE: &str = "0.6.0";
/// The same with a second migration, which fails where it counts.
pub const FAILING_RELEASE: &str = "0.7.0";
/// One that comes after [`ONLINE_RELEASE`], and whose database answers late.
pub const SLOW_AFTER_ONLINE_RELEASE: &str = "0.8.0";

/// One in which one of twenty charges is declined that would not be in another.
pub const DECLINING_RELEASE: &str = "0.9.0";
/// One whose gateways never become ready.
pub const UNREADY_RELEASE: &str = "0.10.0";
/// The same after the migration of [`OFFLINE_RELEASE`].
pub const UNREADY_OFFLINE_RELEASE: &str = "0.11.0";

/// What is wrong with a release, as `bad-release` reads it; and the folder of its migrations, if it has any.
const BAD: [(&str, &str, Option<&str>); 6] = [
    (SLOW_RELEASE, "database 150", None),
    (SLOW_FRAUD_RELEASE, "fraud 80", None),
    (DECLINING_RELEASE, "declines 20", None),
    (UNREADY_RELEASE, "unready", None),
    (SLOW_AFTER_ONLINE_RELEASE, "database 150", Some("online")),
    (UNREADY_OFFLINE_RELEASE, "unready", Some("offline")),
];
const WITH_MIGRATIONS: [(&str, &str); 3] =
    [(ONLINE_RELEASE, "online"), (OFFLINE_RELEASE, "offline"), (FAILING_RELEASE, "failing")];

/// Builds those of these versions: each takes some seconds, and hardly anybody needs them all.
///
/// # Errors
/// When cargo, a package or a Dockerfile fails.
pub async fn build_releases(paths: &Paths, versions: &[&str]) -> Result<Vec<Image>> {
    let programs = programs(paths).await?;
    let mut images = Vec::new();
    for (version, recipe) in recipes(paths, programs)? {
        if versions.contains(&version) {
            images.push(recipe.build(paths).await?);
        }
    }
    ensure!(images.len() == versions.len(), "not all of {versions:?} are known");
    Ok(images)
}

fn recipes(paths: &Paths, programs: &Path) -> Result<Vec<(&'static str, Recipe)>> {
    let program = |name: &str, program: &str| (name.to_owned(), programs.join(program));
    let more = |folder: &str| files_of(&paths.repository.join("e2e/releases/next").join(folder));
    let good = vec![program("purser", "purser"), program("purser-operator", "purser-operator")];
    let mut recipes = vec![(GOOD_RELEASE, recipe(paths, GOOD_RELEASE, "Dockerfile", good))];
    for (version, folder) in WITH_MIGRATIONS {
        let files = [vec![program("purser", "next-release")], more(folder)?].concat();
        recipes.push((version, recipe(paths, version, "e2e/releases/next/Dockerfile", files)));
    }
    for (version, fault, migrations) in BAD {
        let file = paths.cache.join("images").join(format!("purser-fault-{}", fault.replace(' ', "-")));
        config_files::write(&file, fault)?;
        let bad = |real: &str| {
            vec![program("purser-real", real), program("bad-release", "bad-release"), ("purser-fault".to_owned(), file)]
        };
        let (dockerfile, files) = match migrations {
            None => ("e2e/releases/bad/Dockerfile", bad("purser")),
            Some(folder) => ("e2e/releases/bad-next/Dockerfile", [bad("next-release"), more(folder)?].concat()),
        };
        recipes.push((version, recipe(paths, version, dockerfile, files)));
    }
    Ok(recipes)
}

fn recipe(paths: &Paths, version: &str, dockerfile: &str, files: Vec<(String, PathBuf)>) -> Recipe {
    let dockerfile = paths.repository.join(dockerfile);
    Recipe { name: format!("{LIBRARY}/purser:{version}"), dockerfile, files, content: None }
}
