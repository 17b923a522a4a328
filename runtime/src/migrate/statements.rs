//! The statements of a file, one by one.

use std::ops::Range;

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{Parse, SourceFile, SyntaxKind};

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// The line of its first word, from 1.
    pub(super) line: usize,
    /// Its text.
    pub(super) sql: String,
    /// Where it says that others may write meanwhile, which cannot be done within a transaction.
    concurrently: Option<Range<usize>>,
}

impl Statement {
    /// Whether it lets others write meanwhile.
    pub(super) const fn is_concurrent(&self) -> bool {
        self.concurrently.is_some()
    }

    /// The same with nobody beside it, and so within a transaction.
    pub(super) fn alone(&self) -> String {
        let mut sql = self.sql.clone();
        if let Some(word) = &self.concurrently {
            sql.replace_range(word.clone(), "");
        }
        sql
    }

    /// The beginning, for a person.
    pub(super) fn short(&self) -> String {
        const CHARACTERS_MAX: usize = 80;
        let words = self.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        match words.char_indices().nth(CHARACTERS_MAX) {
            None => words,
            Some((end, _)) => format!("{}…", &words[..end]),
        }
    }
}

/// The statements of a file. What cannot be understood is not among them: lint finds it.
pub(super) fn split(sql: &str) -> Vec<Statement> {
    let parsed: Parse<SourceFile> = SourceFile::parse(sql);
    let statement = |statement: ast::Stmt| {
        let node = statement.syntax();
        let first = node.children_with_tokens().find(|part| !part.kind().is_trivia())?;
        let (begin, end) = (usize::from(first.text_range().start()), usize::from(node.text_range().end()));
        let mut words = node.descendants_with_tokens().filter_map(|part| part.into_token());
        let word = words.find(|word| word.kind() == SyntaxKind::CONCURRENTLY_KW);
        let concurrently = word.map(|word| {
            let range = word.text_range();
            usize::from(range.start()) - begin..usize::from(range.end()) - begin
        });
        Some(Statement { line: line(sql, begin), sql: sql[begin..end].trim().to_owned(), concurrently })
    };
    parsed.tree().stmts().filter_map(statement).collect()
}

/// The line of a place, from 1.
pub(super) fn line(sql: &str, at: usize) -> usize {
    sql.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::files::{all, name};

    #[test]
    fn a_file_falls_into_its_statements() {
        let sql = "-- phase: expand\n\ncreate table a (b int);\n-- why\ncreate function f() returns int language sql as $$ select 1; $$;\n\
                   create index concurrently c on a (b);";
        let statements = split(sql);
        let lines: Vec<(usize, bool)> = statements.iter().map(|found| (found.line, found.is_concurrent())).collect();
        assert_eq!(lines, [(3, false), (5, false), (6, true)]);
        assert!(statements[1].sql.starts_with("create function") && statements[1].sql.contains("select 1;"));
        assert_eq!(statements[2].alone(), "create index  c on a (b);");
        for concurrent in [
            "drop index concurrently a;",
            "reindex table concurrently a;",
            "alter table a detach partition b concurrently;",
        ] {
            assert!(split(concurrent)[0].is_concurrent(), "{concurrent}");
        }
        assert!(!split("comment on table a is 'concurrently';")[0].is_concurrent());
    }

    #[test]
    fn every_file_of_this_program_is_understood() {
        for file in all().iter() {
            let errors = SourceFile::parse(file.sql.as_str()).errors();
            assert!(errors.is_empty(), "{}: {errors:?}", name(file));
        }
    }

    #[test]
    fn a_long_statement_is_shown_by_its_beginning() {
        let long = Statement { line: 1, sql: format!("select\n  '{}'", "é".repeat(100)), concurrently: None };
        assert!(long.short().starts_with("select 'é") && long.short().chars().count() == 81);
    }
}
