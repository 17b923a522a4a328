//! The columns of a table as the catalogue has them, and how their values go into an archive and back. Values pass as text in one
//! form, the same whether PostgreSQL wrote it or it was read back from a file: that is what rows are compared by.

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use crate::database::{DatabaseError, Doing};

/// A decimal of more digits is kept as text.
const DECIMAL_DIGITS_MAX: u32 = 38;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as PostgreSQL writes it.
    #[serde(rename = "type")]
    #[sqlx(rename = "type")]
    pub type_name: String,
}

/// How the values of a column are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    /// Of two or four bytes.
    Integer,
    /// Of eight.
    Long,
    /// With so many digits, so many of them behind the point.
    Decimal(u32, u32),
    /// Microseconds since 1970, in UTC.
    Time,
    Uuid,
    Json,
    /// Text, and the text of whatever else there is: PostgreSQL reads back what it wrote.
    Text,
}

impl Column {
    pub(super) fn kind(&self) -> Kind {
        match self.type_name.as_str() {
            "boolean" => Kind::Boolean,
            "smallint" | "integer" => Kind::Integer,
            "bigint" => Kind::Long,
            "timestamp with time zone" => Kind::Time,
            "uuid" => Kind::Uuid,
            "json" | "jsonb" => Kind::Json,
            other => decimal(other).unwrap_or(Kind::Text),
        }
    }

    /// Its name as SQL takes it.
    fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }

    /// Its value as text in the one form.
    fn canonical(&self) -> String {
        match self.kind() {
            Kind::Time => format!("(extract(epoch from t.{}) * 1000000)::bigint::text", self.quoted()),
            _ => format!("t.{}::text", self.quoted()),
        }
    }
}

fn decimal(type_name: &str) -> Option<Kind> {
    let (digits, scale) = type_name.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
    let (digits, scale) = (digits.parse().ok()?, scale.parse().ok()?);
    (digits <= DECIMAL_DIGITS_MAX && scale <= digits).then_some(Kind::Decimal(digits, scale))
}

/// The columns of a table, in order.
pub(super) async fn of(connection: &mut PgConnection, table: &str) -> Result<Vec<Column>, DatabaseError> {
    sqlx::query_as(
        "select attname::text as name, format_type(atttypid, atttypmod) as type from pg_attribute
         where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum",
    )
    .bind(table)
    .fetch_all(connection)
    .await
    .doing("could not read the columns of a table")
}

/// Reads every row of a table, each value as text in the one form.
pub(super) fn select(columns: &[Column], table: &str) -> String {
    let values: Vec<String> = columns.iter().enumerate().map(|(n, c)| format!("{} as v{n}", c.canonical())).collect();
    format!("select {} from only {table} t", values.join(", "))
}

/// Reads some rows of a table in the order of these columns, each of them as text behind the values; from the beginning, or from
/// behind the row that has the parameters in them.
pub(super) fn page(columns: &[Column], keys: &[Column], table: &str, is_first: bool, rows: usize) -> String {
    let values = columns.iter().enumerate().map(|(n, c)| format!("{} as v{n}", c.canonical()));
    let texts = keys.iter().enumerate().map(|(n, key)| format!("t.{}::text as k{n}", key.quoted()));
    let values: Vec<String> = values.chain(texts).collect();
    let order = keys.iter().map(|key| format!("t.{}", key.quoted())).collect::<Vec<_>>().join(", ");
    let after: Vec<String> = keys.iter().enumerate().map(|(n, key)| format!("${}::{}", n + 1, key.type_name)).collect();
    let behind = if is_first { String::new() } else { format!("where ({order}) > ({})", after.join(", ")) };
    format!("select {} from only {table} t {behind} order by {order} limit {rows}", values.join(", "))
}

/// The columns of the primary key of a table, in order.
pub(super) async fn keys(connection: &mut PgConnection, table: &str) -> Result<Vec<Column>, DatabaseError> {
    sqlx::query_as(
        "select attname::text as name, format_type(atttypid, atttypmod) as type
         from pg_index cross join unnest(indkey::int2[]) with ordinality as key (number, place)
         join pg_attribute on attrelid = indrelid and attnum = key.number
         where indrelid = $1::regclass and indisprimary order by key.place",
    )
    .bind(table)
    .fetch_all(connection)
    .await
    .doing("could not read the primary key of a table")
}

/// The names, as SQL takes them.
pub(super) fn names(columns: &[Column]) -> String {
    columns.iter().map(Column::quoted).collect::<Vec<_>>().join(", ")
}

/// How many rows a table has, and what they sum to: PostgreSQL's own doing of [`super::sum::Sum`].
pub(super) async fn sum(
    connection: &mut PgConnection,
    columns: &[Column],
    table: &str,
) -> Result<(u64, String), DatabaseError> {
    let row: Vec<String> =
        (0..columns.len()).map(|n| format!("coalesce(octet_length(v{n}) || ':' || v{n}, '-')")).collect();
    // An array, since a function takes no more than a hundred arguments.
    let statement = format!(
        "select count(*), coalesce(sum(('x' || left(encode(sha256(convert_to(array_to_string(array[{}], ''), 'UTF8')), 'hex'), 16))
             ::bit(64)::bigint::numeric), 0)::text
         from ({}) rows",
        row.join(", "),
        select(columns, table)
    );
    // Names come from the catalogue, quoted.
    let (rows, sum): (i64, String) =
        sqlx::query_as(AssertSqlSafe(statement)).fetch_one(connection).await.doing("could not sum up a partition")?;
    Ok((u64::try_from(rows).unwrap_or(0), sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_decides_how_values_are_kept_and_an_unknown_one_is_text() {
        let kind = |type_name: &str| Column { name: String::new(), type_name: type_name.to_owned() }.kind();
        assert_eq!(kind("numeric(18,4)"), Kind::Decimal(18, 4));
        assert_eq!(kind("numeric(39,4)"), Kind::Text);
        assert_eq!(kind("numeric"), Kind::Text);
        assert_eq!(kind("timestamp with time zone"), Kind::Time);
        assert_eq!(kind("jsonb"), Kind::Json);
        for text in ["character varying(20)", "text[]", "bytea", "inet"] {
            assert_eq!(kind(text), Kind::Text);
        }
    }
}
