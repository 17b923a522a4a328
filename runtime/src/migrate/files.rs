//! The files of this program: what each says of itself, and what people have looked at in it.

use std::sync::{LazyLock, OnceLock};

use serde::Serialize;
use sqlx::migrate::{Migration, Migrator};
use squawk_linter::Rule;

/// The files, compiled into the program.
static OWN: Migrator = sqlx::migrate!("../migrations");
static MORE: OnceLock<Vec<Migration>> = OnceLock::new();

/// Adds files after those of this program, for a program that is built on it. To be called once, before anything else.
pub fn extend(files: Vec<Migration>) {
    if MORE.set(files).is_err() {
        tracing::error!("migrations were added twice; the first ones count");
    }
}

/// The files, in order.
pub(super) fn all() -> &'static [Migration] {
    static ALL: LazyLock<Vec<Migration>> =
        LazyLock::new(|| OWN.iter().chain(MORE.get().into_iter().flatten()).cloned().collect());
    &ALL
}

/// What was found in a released file, and is right all the same. A released file is not edited, so it cannot say so itself.
pub(super) const REVIEWED: [(i64, Rule); 1] = [
    // Earlier releases look for the keys of payments alone, and those still have both columns.
    (10, Rule::BanDropNotNull),
];

/// Who can work on the schema after a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The release before goes on working.
    Expand,
    /// It does not: no pod of it may be left.
    Contract,
}

impl Phase {
    /// What a file says of itself in its first lines.
    #[must_use]
    pub fn of(sql: &str) -> Option<Self> {
        match sql.lines().take(2).find_map(|line| line.strip_prefix("-- phase: "))?.trim() {
            "expand" => Some(Self::Expand),
            "contract" => Some(Self::Contract),
            _ => None,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Contract => "contract",
        }
    }
}

/// The version that this program brings a database to.
#[must_use]
pub fn schema_version() -> i64 {
    all().iter().map(|file| file.version).max().unwrap_or(0)
}

/// What a file is called, as `0010_operations`.
pub(super) fn name(file: &Migration) -> String {
    format!("{:04}_{}", file.version, file.description.replace(' ', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_says_who_can_work_on_the_schema_after_it() {
        let silent: Vec<String> =
            all().iter().filter(|file| Phase::of(file.sql.as_str()).is_none()).map(name).collect();
        assert_eq!(silent, [""; 0]);
    }

    #[test]
    fn the_phase_stands_in_the_first_two_lines() {
        assert_eq!(Phase::of("-- phase: expand\nselect 1"), Some(Phase::Expand));
        assert_eq!(Phase::of("-- no-transaction\n-- phase: contract\nselect 1"), Some(Phase::Contract));
        for without in ["select 1", "-- phase: sideways", "--\n--\n-- phase: expand"] {
            assert_eq!(Phase::of(without), None);
        }
    }
}
