//! What is unsafe in a migration, before it runs: a lock that is held while a table is read through, and what the release before
//! would stumble over.

use serde::Serialize;
use squawk_linter::{Linter, Rule, Violation};
use squawk_syntax::SourceFile;

use super::files::{Phase, REVIEWED, all, name};
use super::statements::{Statement, line, split};

/// Holds a lock for as long as a table is large.
const LOCKING: [Rule; 14] = [
    Rule::RequireConcurrentIndexCreation,
    Rule::RequireConcurrentIndexDeletion,
    Rule::RequireConcurrentPartitionDetach,
    Rule::RequireConcurrentReindex,
    Rule::ConstraintMissingNotValid,
    Rule::AddingFieldWithDefault,
    Rule::AddingForeignKeyConstraint,
    Rule::AddingNotNullableField,
    Rule::AddingSerialPrimaryKeyField,
    Rule::AddingRequiredField,
    Rule::ChangingColumnType,
    Rule::DisallowedUniqueConstraint,
    Rule::TransactionNesting,
    Rule::BanUncommittedTransaction,
];

/// Takes from the release before what it works with, or takes data away: nothing for a file that expands.
const BREAKING: [Rule; 17] = [
    Rule::RenamingColumn,
    Rule::RenamingTable,
    Rule::RenamingObject,
    Rule::BanSetSchema,
    Rule::BanDropDatabase,
    Rule::BanDropColumn,
    Rule::BanDropTable,
    Rule::BanDropNotNull,
    Rule::BanDropView,
    Rule::BanDropFunction,
    Rule::BanDropType,
    Rule::BanDropDefault,
    Rule::BanDropSchema,
    Rule::BanDropSequence,
    Rule::BanDropDomain,
    Rule::BanDropConstraint,
    Rule::BanTruncateCascade,
];

/// Something unsafe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, as squawk names it: <https://squawkhq.com/docs/rules>.
    pub rule: String,
    /// Where, from 1.
    pub line: usize,
    /// What is wrong.
    pub says: String,
    /// What to do instead, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What is unsafe in a file, except for what people have looked at.
#[must_use]
pub fn lint(sql: &str, reviewed: &[Rule]) -> Vec<Finding> {
    let Some(phase) = Phase::of(sql) else {
        let says = "the first line does not say `-- phase: expand` or `-- phase: contract`".to_owned();
        return vec![Finding { rule: "phase-missing".to_owned(), line: 1, says, help: None }];
    };
    let parsed = SourceFile::parse(sql);
    let mut findings: Vec<Finding> = parsed
        .errors()
        .iter()
        .map(|error| Finding {
            rule: "syntax-error".to_owned(),
            line: line(sql, usize::from(error.range().start())),
            says: error.message().to_owned(),
            help: None,
        })
        .collect();
    let breaking = BREAKING.iter().filter(|_| phase == Phase::Expand);
    let rules = LOCKING.iter().chain(breaking).copied().filter(|rule| !reviewed.contains(rule));
    let mut linter = Linter::from(rules);
    // sqlx puts a transaction around every file that does not ask for none.
    let in_transaction = !sql.starts_with("-- no-transaction");
    linter.settings.assume_in_transaction = in_transaction;
    findings.extend(concurrent(sql).filter(|_| in_transaction));
    findings.extend(linter.lint(&parsed, sql).into_iter().map(|violation| finding(sql, violation)));
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// What lets others write meanwhile: PostgreSQL does not do that within a transaction. squawk's own rule is about indexes that are
/// made, and lets a file of one statement pass, which does not stand in a transaction where squawk comes from.
fn concurrent(sql: &str) -> impl Iterator<Item = Finding> {
    split(sql).into_iter().filter(Statement::is_concurrent).map(|statement| Finding {
        rule: Rule::BanConcurrentIndexCreationInTransaction.to_string(),
        line: statement.line,
        says: "nothing can be done concurrently within a transaction".to_owned(),
        help: Some("Give it a file of its own that begins with `-- no-transaction`.".to_owned()),
    })
}

/// What is unsafe in this program's files, by name.
#[must_use]
pub fn own() -> Vec<(String, Vec<Finding>)> {
    all().iter().map(|file| (name(file), lint(file.sql.as_str(), &reviewed(file.version)))).collect()
}

/// What is unsafe in a file; one of this program's own is known by its content.
#[must_use]
pub fn lint_file(sql: &str) -> Vec<Finding> {
    let own = all().iter().find(|file| file.sql.as_str() == sql);
    lint(sql, &own.map(|file| reviewed(file.version)).unwrap_or_default())
}

/// What was looked at in a released file, and found right.
pub(super) fn reviewed(version: i64) -> Vec<Rule> {
    REVIEWED.iter().filter(|(file, _)| *file == version).map(|(_, rule)| *rule).collect()
}

fn finding(sql: &str, violation: Violation) -> Finding {
    let Violation { code, message, text_range, help, .. } = violation;
    Finding { rule: code.to_string(), line: line(sql, usize::from(text_range.start())), says: message, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(sql: &str) -> Vec<String> {
        lint(sql, &[]).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn what_holds_a_lock_while_it_reads_a_table_is_found() {
        for (statement, rule) in [
            ("create index a_b_idx on a (b);", "require-concurrent-index-creation"),
            ("alter table a add constraint c check (b > 0);", "constraint-missing-not-valid"),
            ("alter table a alter column b type bigint;", "changing-column-type"),
            ("alter table a add constraint f foreign key (b) references d (e);", "adding-foreign-key-constraint"),
            ("alter table a alter column b set not null;", "adding-not-nullable-field"),
            ("create index concurrently i on a (b);", "ban-concurrent-index-creation-in-transaction"),
            ("drop index concurrently i;", "ban-concurrent-index-creation-in-transaction"),
        ] {
            for phase in ["expand", "contract"] {
                let found = rules(&format!("-- phase: {phase}\n{statement}"));
                assert!(found.contains(&rule.to_owned()), "{statement}: {found:?}");
            }
        }
        assert_eq!(rules("-- no-transaction\n-- phase: expand\ncreate index concurrently i on a (b);"), [""; 0]);
        assert_eq!(rules("-- phase: expand\ncreate table a (b int);\ncreate index i on a (b);"), [""; 0]);
    }

    #[test]
    fn what_breaks_the_release_before_is_for_files_that_contract() {
        let drop = "alter table a drop column b;";
        let found = lint(&format!("-- phase: expand\n\n{drop}"), &[]);
        assert_eq!((found[0].rule.as_str(), found[0].line), ("ban-drop-column", 3));
        assert_eq!(rules(&format!("-- phase: contract\n{drop}")), [""; 0]);
        assert_eq!(rules("-- phase: contract\nalter table a add constraint c check (b > 0);").len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_unsafe() {
        assert_eq!(rules("select 1;"), ["phase-missing"]);
        assert_eq!(rules("-- phase: expand\nalter tabel a add b int;").first().unwrap(), "syntax-error");
    }

    #[test]
    fn nothing_in_this_program_is_unsafe() {
        let unsafe_files: Vec<_> = own().into_iter().filter(|(_, findings)| !findings.is_empty()).collect();
        assert_eq!(unsafe_files, []);
        let needless: Vec<_> = REVIEWED
            .iter()
            .filter(|(version, rule)| {
                let file = all().iter().find(|file| file.version == *version).unwrap();
                lint(file.sql.as_str(), &[]).iter().all(|finding| finding.rule != rule.to_string())
            })
            .collect();
        assert!(needless.is_empty(), "reviewed, and not found: {needless:?}");
    }
}
