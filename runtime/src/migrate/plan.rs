//! What is left to apply: the files in the program against the history in the database.

use sqlx::migrate::{AppliedMigration, Migration};

/// Why the program and the database cannot meet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The database was migrated by a newer program.
    #[error("the database is at schema version {database}, this program knows versions up to {program}")]
    DatabaseIsNewer {
        /// Newest version in the database.
        database: i64,
        /// Newest version in the program.
        program: i64,
    },
    /// A file was changed after it was applied.
    #[error("migration {version} in the database differs from the one in this program")]
    Differs {
        /// Its number.
        version: i64,
    },
    /// An earlier run died inside a migration that has no transaction around it.
    #[error("migration {version} was begun and not finished; a person must look at what it left behind")]
    Unfinished {
        /// Its number.
        version: i64,
    },
}

/// The files to apply, in order.
///
/// # Errors
/// When the history in the database is not the beginning of the files.
pub(super) fn pending<'a>(
    files: &'a [Migration],
    applied: &[AppliedMigration],
) -> Result<Vec<&'a Migration>, Mismatch> {
    let program = files.iter().map(|file| file.version).max().unwrap_or(0);
    for done in applied {
        let file = files.iter().find(|file| file.version == done.version);
        let file = file.ok_or(Mismatch::DatabaseIsNewer { database: done.version, program })?;
        if file.checksum != done.checksum {
            return Err(Mismatch::Differs { version: done.version });
        }
    }
    Ok(files.iter().filter(|file| applied.iter().all(|done| done.version != file.version)).collect())
}

#[cfg(test)]
mod tests {
    use sqlx::SqlSafeStr;
    use sqlx::migrate::MigrationType;

    use super::*;

    fn file(version: i64, sql: &'static str) -> Migration {
        Migration::new(version, "what".into(), MigrationType::Simple, sql.into_sql_str(), false)
    }

    fn done(file: &Migration) -> AppliedMigration {
        AppliedMigration { version: file.version, checksum: file.checksum.clone() }
    }

    #[test]
    fn what_was_not_applied_is_pending_in_order() {
        let files = [file(1, "a"), file(2, "b"), file(3, "c")];
        let versions = |applied: &[AppliedMigration]| -> Vec<i64> {
            pending(&files, applied).unwrap().iter().map(|file| file.version).collect()
        };
        assert_eq!(versions(&[]), [1, 2, 3]);
        assert_eq!(versions(&[done(&files[0])]), [2, 3]);
        assert!(versions(&[done(&files[0]), done(&files[1]), done(&files[2])]).is_empty());
    }

    #[test]
    fn a_database_from_the_future_is_refused() {
        let newer = done(&file(2, "b"));
        assert_eq!(
            pending(&[file(1, "a")], &[newer]).unwrap_err(),
            Mismatch::DatabaseIsNewer { database: 2, program: 1 }
        );
    }

    #[test]
    fn a_file_that_was_changed_after_it_was_applied_is_refused() {
        assert_eq!(pending(&[file(1, "a")], &[done(&file(1, "A"))]).unwrap_err(), Mismatch::Differs { version: 1 });
    }
}
