//! What a migration would do, before anything is changed. Pure.

use serde::Serialize;
use sqlx::migrate::Migration;

use super::files::{self, Phase};
use super::lint::{Finding, lint, reviewed};
use super::rehearsal::Rehearsed;
use super::statements::split;

/// What `purser migrate plan` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// Version the database is at; 0 when it has no schema.
    pub database_version: i64,
    /// Version that this program brings it to.
    pub program_version: i64,
    /// Whether the release before can take payments all the while, and afterwards.
    pub online: bool,
    /// Whether nothing is unsafe, and PostgreSQL refuses nothing.
    pub safe: bool,
    /// What is to be applied, in order.
    pub files: Vec<FileOutlook>,
}

/// What a file would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileOutlook {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Who can work on the schema after it.
    pub phase: Option<Phase>,
    /// Whether it is undone as a whole when it fails.
    pub transaction: bool,
    /// Whether the release before can take payments all the while, and afterwards.
    pub online: bool,
    /// What is unsafe.
    pub findings: Vec<Finding>,
    /// What its statements do to tables that are there already; those that do nothing to them are left out.
    pub statements: Vec<StatementOutlook>,
}

/// What a statement would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatementOutlook {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its beginning.
    pub sql: String,
    /// What it locks until the end of its transaction.
    pub locks: Vec<LockOutlook>,
    /// Tables that it writes anew, row by row.
    pub rewrites: Vec<String>,
    /// Why PostgreSQL refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LockOutlook {
    /// The table.
    pub table: String,
    /// The mode, as in `pg_locks`.
    pub mode: String,
    /// Who waits meanwhile.
    pub stops: Stops,
    /// About how many rows there are, as PostgreSQL last counted them; none when it never did.
    pub rows: Option<i64>,
}

/// Who waits while a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stops {
    /// Only others that change the schema.
    Nobody,
    /// Whoever writes the same rows.
    SameRows,
    /// Whoever writes.
    Writes,
    /// Whoever writes or reads.
    ReadsAndWrites,
}

impl Stops {
    fn by(mode: &str) -> Self {
        match mode {
            "AccessExclusiveLock" => Self::ReadsAndWrites,
            "RowExclusiveLock" => Self::SameRows,
            "ShareLock" | "ShareRowExclusiveLock" | "ExclusiveLock" => Self::Writes,
            _ => Self::Nobody,
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nobody => "stops nobody",
            Self::SameRows => "stops writes of the rows that it writes",
            Self::Writes => "stops writes",
            Self::ReadsAndWrites => "stops reads and writes",
        }
    }
}

/// What the pending files would do: what they say of themselves, what is unsafe in them, and what was seen in the rehearsal,
/// which ends with the first statement that was refused. `rows` knows how large a table is.
pub(super) fn outlook(
    database_version: i64,
    pending: &[&Migration],
    rehearsed: &[Vec<Rehearsed>],
    rows: impl Fn(&str) -> Option<i64>,
) -> Outlook {
    let none = Vec::new();
    let files: Vec<FileOutlook> = pending
        .iter()
        .enumerate()
        .map(|(place, file)| file_outlook(file, rehearsed.get(place).unwrap_or(&none), &rows))
        .collect();
    let refused = |file: &FileOutlook| file.statements.iter().any(|statement| statement.refused.is_some());
    Outlook {
        database_version,
        program_version: files::schema_version(),
        online: files.iter().all(|file| file.online),
        safe: files.iter().all(|file| file.findings.is_empty() && !refused(file)),
        files,
    }
}

fn file_outlook(file: &Migration, rehearsed: &[Rehearsed], rows: impl Fn(&str) -> Option<i64>) -> FileOutlook {
    let sql = file.sql.as_str();
    let lock = |(table, mode): &(String, String)| LockOutlook {
        table: table.clone(),
        mode: mode.clone(),
        stops: Stops::by(mode),
        rows: rows(table),
    };
    let all = split(sql);
    // What was not seen to the end, nobody knows.
    let is_seen = rehearsed.len() == all.len();
    let touching = all.into_iter().zip(rehearsed).filter(|(_, seen)| **seen != Rehearsed::default());
    let statements: Vec<StatementOutlook> = touching
        .map(|(statement, seen)| StatementOutlook {
            line: statement.line,
            sql: statement.short(),
            locks: seen.locks.iter().map(lock).collect(),
            rewrites: seen.rewrites.iter().cloned().collect(),
            refused: seen.refused.clone(),
        })
        .collect();
    let (phase, findings) = (Phase::of(sql), lint(sql, &reviewed(file.version)));
    let is_harmless = |statement: &StatementOutlook| statement.rewrites.is_empty() && statement.refused.is_none();
    FileOutlook {
        version: file.version,
        name: files::name(file),
        phase,
        transaction: !file.no_tx,
        online: phase == Some(Phase::Expand) && is_seen && findings.is_empty() && statements.iter().all(is_harmless),
        findings,
        statements,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::SqlSafeStr;
    use sqlx::migrate::MigrationType;

    use super::*;

    fn file(sql: &'static str) -> Migration {
        Migration::new(99, "new words".into(), MigrationType::Simple, sql.into_sql_str(), false)
    }

    fn seen(locks: &[(&str, &str)], rewrites: &[&str]) -> Rehearsed {
        Rehearsed {
            locks: locks.iter().map(|(table, mode)| ((*table).to_owned(), (*mode).to_owned())).collect(),
            rewrites: rewrites.iter().map(|table| (*table).to_owned()).collect(),
            refused: None,
        }
    }

    #[test]
    fn a_file_that_adds_a_column_is_online_and_safe() {
        let new = file("-- phase: expand\ncreate table b (c int);\nalter table a add column b int;");
        let rehearsed = [vec![Rehearsed::default(), seen(&[("a", "AccessExclusiveLock")], &[])]];
        let outlook = outlook(98, &[&new], &rehearsed, |_| Some(7));
        assert!(outlook.online && outlook.safe);
        let [statement] = &outlook.files[0].statements[..] else { panic!("{outlook:?}") };
        assert_eq!((statement.line, statement.sql.as_str()), (3, "alter table a add column b int;"));
        assert_eq!((statement.locks[0].stops, statement.locks[0].rows), (Stops::ReadsAndWrites, Some(7)));
    }

    #[test]
    fn a_file_that_rewrites_or_contracts_is_offline() {
        let rewriting = file("-- phase: expand\nalter table a add column b double precision default random();");
        let rewritten = [vec![seen(&[("a", "AccessExclusiveLock")], &["a"])]];
        assert!(!outlook(98, &[&rewriting], &rewritten, |_| None).online);
        let contracting = file("-- phase: contract\ndrop table a;");
        let dropped = [vec![seen(&[("a", "AccessExclusiveLock")], &[])]];
        let outlook = outlook(98, &[&contracting], &dropped, |_| None);
        assert!(!outlook.online && outlook.safe);
    }

    #[test]
    fn a_file_with_a_finding_is_offline() {
        let locking = file("-- phase: expand\ncreate index i on a (b);");
        let outlook = outlook(98, &[&locking], &[vec![seen(&[("a", "ShareLock")], &[])]], |_| None);
        assert!(!outlook.online && !outlook.safe);
    }

    #[test]
    fn a_file_that_is_refused_is_not_safe_and_what_follows_is_still_listed() {
        let (first, second) = (file("-- phase: expand\nselect 1/0;"), file("-- phase: expand\nselect 1;"));
        let refused = Rehearsed { refused: Some("division by zero".into()), ..Rehearsed::default() };
        let outlook = outlook(98, &[&first, &second], &[vec![refused]], |_| None);
        assert!(!outlook.safe && outlook.files.len() == 2);
        assert!(outlook.files.iter().all(|file| !file.online), "what was not seen may be anything");
        assert_eq!(outlook.files[0].statements[0].refused.as_deref(), Some("division by zero"));
    }
}
