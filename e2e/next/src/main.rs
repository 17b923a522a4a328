//! A release that comes after the one that is shipped, for tests and the demo only: the same program with more migrations. They stand in
//! the folder [`MORE`] of its image, a file each, named as those of `migrations/`.

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use sqlx::migrate::{Migration, MigrationType};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

const MORE: &str = "/etc/purser-next";

fn main() -> ExitCode {
    match files(Path::new(MORE)) {
        Ok(files) => runtime::migrate::extend(files),
        Err(error) => {
            eprintln!("error: cannot read the migrations in {MORE}: {error}");
            return ExitCode::FAILURE;
        }
    }
    runtime::program::main()
}

fn files(folder: &Path) -> io::Result<Vec<Migration>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((version, description)) = name.split_once('_') else { continue };
        let version = version.parse().map_err(|_| io::Error::other(format!("{name} begins with no number")))?;
        // The file is the test's own.
        let sql = AssertSqlSafe(fs::read_to_string(&path)?).into_sql_str();
        files.push(Migration::new(version, description.replace('_', " ").into(), MigrationType::Simple, sql, false));
    }
    files.sort_by_key(|file| file.version);
    Ok(files)
}
