//! The words of a release's record, in Markdown. ★ Pure.

use crds::payment_cluster::{ApprovalStatus, ReleaseFiguresStatus, ReleaseRecord, ReleaseResult};
use serde_json::Value;

use super::{plan_history, record};
use crate::names::Identity;

/// The fields of a record that have a place of their own. Any other is shown below these, by its name.
pub(super) const PLACED: [&str; 11] = [
    "version",
    "from",
    "startedAt",
    "endedAt",
    "result",
    "message",
    "image",
    "schemaBefore",
    "schemaAfter",
    "approval",
    "figures",
];

/// A record in words.
#[must_use]
pub fn markdown(identity: &Identity, record: &ReleaseRecord, earlier: &[&ReleaseRecord]) -> String {
    let mut out = format!("# Release {} of {}\n\n{}.\n\n", record.version, identity.owner(), plain(&record.message));
    out.push_str(&table(["What", ""], &rows(record)));
    if let Some(figures) = &record.figures {
        out.push_str("\n## Figures of its last window\n\n");
        out.push_str(&table(["Figure", "Value"], &figure_rows(figures)));
    }
    if !earlier.is_empty() {
        out.push_str("\n## Earlier tries\n\n");
        let lines = earlier
            .iter()
            .map(|other| format!("- {}: {} ({})\n", other.ended_at, name_of(other.result), plain(&other.message)));
        out.extend(lines);
    }
    out
}

fn rows(record: &ReleaseRecord) -> Vec<(String, String)> {
    let placed = [
        ("Result", Some(name_of(record.result).to_owned())),
        ("From", Some(record.from.clone().unwrap_or_else(|| "nothing: the first release".into()))),
        ("To", Some(record.version.clone())),
        ("Image", record.image.clone()),
        ("Schema", schema(record)),
        ("Approval", Some(record.approval.as_ref().map_or_else(|| "none was needed, or given".into(), approval))),
        ("Began", record.started_at.clone()),
        ("Ended", Some(record.ended_at.clone())),
        ("Took", took(record)),
    ];
    let placed = placed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    placed.chain(record::others(record).into_iter().map(|(name, value)| (heading(&name), words(&value)))).collect()
}

fn schema(record: &ReleaseRecord) -> Option<String> {
    match (record.schema_before, record.schema_after) {
        (Some(before), Some(after)) if before == after => Some(format!("version {after}, unchanged")),
        (Some(before), Some(after)) => Some(format!("version {before} before, {after} after")),
        (None, Some(after)) => Some(format!("version {after} after")),
        (Some(before), None) => Some(format!("version {before} before")),
        (None, None) => None,
    }
}

fn approval(approval: &ApprovalStatus) -> String {
    let by = approval.by.as_deref().map(|by| format!("by {by} ")).unwrap_or_default();
    format!("{by}at {}", approval.at)
}

fn took(record: &ReleaseRecord) -> Option<String> {
    let since = plan_history::parse(record.started_at.as_deref()?)?;
    let seconds = plan_history::millis_between(since, plan_history::parse(&record.ended_at)?) / 1_000;
    Some(match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    })
}

fn figure_rows(figures: &ReleaseFiguresStatus) -> Vec<(String, String)> {
    let ReleaseFiguresStatus { payments, tps, average_ms, p95_ms, p99_ms, success_rate, fraud_p99_ms } = figures;
    let unit = |value: &Option<String>, unit: &str| value.as_ref().map(|value| format!("{value} {unit}"));
    let rows = [
        ("Payments", Some(payments.to_string())),
        ("Payments a second", Some(tps.clone())),
        ("Success rate", unit(success_rate, "%")),
        ("Average", unit(average_ms, "ms")),
        ("p95", unit(p95_ms, "ms")),
        ("p99", unit(p99_ms, "ms")),
        ("Fraud check, p99", unit(fraud_p99_ms, "ms")),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn table(header: [&str; 2], rows: &[(String, String)]) -> String {
    let [name, value] = header;
    let rows = rows.iter().map(|(name, value)| format!("| {} | {} |\n", plain(name), plain(value)));
    format!("| {name} | {value} |\n| --- | --- |\n{}", rows.collect::<String>())
}

/// `backupId` as "Backup id".
fn heading(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        match letter {
            letter if out.is_empty() => out.extend(letter.to_uppercase()),
            letter if letter.is_uppercase() => {
                out.push(' ');
                out.extend(letter.to_lowercase());
            }
            letter => out.push(letter),
        }
    }
    out
}

/// A value in words: no field of a later version is left out because nobody wrote a line for it.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join("; "),
        Value::Object(fields) => {
            let parts =
                fields.iter().map(|(name, value)| format!("{}: {}", heading(name).to_lowercase(), words(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Words of others as they are, whatever Markdown would make of them.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' => out.extend(['\\', letter]),
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

const fn name_of(result: ReleaseResult) -> &'static str {
    match result {
        ReleaseResult::Verified => "Verified",
        ReleaseResult::Succeeded => "Succeeded",
        ReleaseResult::RolledBack => "RolledBack",
        ReleaseResult::Superseded => "Superseded",
    }
}
