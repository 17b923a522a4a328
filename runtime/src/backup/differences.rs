//! What was counted against what is there. Values in, sentences out.

use super::manifest::Table;

/// No more are named; a database that is all wrong would fill the log.
const NAMED_MAX: usize = 10;

/// Each difference as a sentence that names its table; none when all is the same.
pub(super) fn differences(counted: &[Table], there: &[Table]) -> Vec<String> {
    let mut all = Vec::new();
    for table in counted {
        match there.iter().find(|other| other.name == table.name) {
            None => all.push(format!("the table {} is missing", table.name)),
            Some(other) => all.extend(difference(table, other)),
        }
    }
    let unknown = there.iter().filter(|other| counted.iter().all(|table| table.name != other.name));
    all.extend(unknown.map(|other| format!("the table {} was not backed up", other.name)));
    all
}

fn difference(counted: &Table, there: &Table) -> Option<String> {
    let Table { name, columns, rows, checksum } = counted;
    if *columns != there.columns {
        return Some(format!(
            "the table {name} has the columns {}, not {}",
            there.columns.join(", "),
            columns.join(", ")
        ));
    }
    if *rows != there.rows {
        return Some(format!("the table {name} has {} rows, not {rows}", there.rows));
    }
    (*checksum != there.checksum).then(|| format!("a row of the table {name} is different"))
}

/// All of them in one sentence.
pub(super) fn in_words(differences: &[String]) -> String {
    let more = differences.len().saturating_sub(NAMED_MAX);
    let named = differences.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
    if more == 0 { named } else { format!("{named}; and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, rows: u64, checksum: &str) -> Table {
        Table { name: name.into(), columns: vec!["id".into()], rows, checksum: checksum.into() }
    }

    #[test]
    fn what_is_the_same_does_not_differ() {
        let tables = [table("a", 1, "7"), table("b", 0, "0")];
        assert_eq!(differences(&tables, &tables), Vec::<String>::new());
    }

    #[test]
    fn every_difference_names_its_table() {
        let counted = [table("gone", 1, "7"), table("short", 2, "7"), table("edited", 2, "7"), table("wide", 1, "1")];
        let wide = Table { columns: vec!["id".into(), "more".into()], ..table("wide", 1, "1") };
        let there = [table("short", 1, "5"), table("edited", 2, "8"), wide, table("new", 0, "0")];
        let said = [
            "the table gone is missing",
            "the table short has 1 rows, not 2",
            "a row of the table edited is different",
            "the table wide has the columns id, more, not id",
            "the table new was not backed up",
        ];
        assert_eq!(differences(&counted, &there), said);
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        assert_eq!(in_words(&many), "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 2 more");
    }
}
