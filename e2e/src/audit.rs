//! What the API server's audit log tells of the operator.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// How long a log is now, for [`since`].
///
/// # Errors
/// When it cannot be read.
pub fn length(log: &Path) -> Result<u64> {
    Ok(std::fs::metadata(log).with_context(|| format!("cannot read {}", log.display()))?.len())
}

/// What was answered since a log had this length.
///
/// # Errors
/// When it cannot be read, or was begun anew meanwhile.
pub fn since(log: &Path, from: u64) -> Result<Vec<Value>> {
    ensure!(length(log)? >= from, "{} was begun anew meanwhile", log.display());
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // The last line may be half written.
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Whether the operator asked.
#[must_use]
pub fn is_by_operator(entry: &Value) -> bool {
    entry["userAgent"].as_str().is_some_and(|agent| agent.starts_with("purser-operator/"))
}

/// Whether something was to be written.
#[must_use]
pub fn is_write(entry: &Value) -> bool {
    matches!(entry["verb"].as_str(), Some("create" | "update" | "patch" | "delete" | "deletecollection"))
}

/// The operator's writes, and how many more went to its lease.
#[must_use]
pub fn operator_writes<'a>(entries: impl IntoIterator<Item = &'a Value>) -> (Vec<String>, usize) {
    let writes = entries.into_iter().filter(|entry| is_by_operator(entry) && is_write(entry));
    let (lease, other): (Vec<_>, Vec<_>) = writes.partition(|entry| entry["objectRef"]["resource"] == "leases");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let other = other.iter().map(|entry| format!("{} {}", text(&entry["verb"]), text(&entry["requestURI"])));
    (other.collect(), lease.len())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn reads_and_the_writes_of_others_are_not_counted_and_the_lease_is_counted_apart() {
        let entry = |agent: &str, verb: &str, resource: &str| json!({"userAgent": agent, "verb": verb, "objectRef": {"resource": resource}, "requestURI": "/x"});
        let entries = [
            entry("purser-operator/0.1.0", "patch", "services"),
            entry("purser-operator/0.1.0", "list", "services"),
            entry("purser-operator/0.1.0", "update", "leases"),
            entry("kubectl/1.35", "patch", "services"),
        ];
        assert_eq!(operator_writes(&entries), (vec!["patch /x".to_owned()], 1));
    }

    #[test]
    fn a_log_is_read_from_where_it_was_and_one_that_was_begun_anew_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{\"a\":1}\n").unwrap();
        let from = length(file.path()).unwrap();
        fs::write(file.path(), "{\"a\":1}\n{\"a\":2}\n{\"a\":").unwrap();
        assert_eq!(since(file.path(), from).unwrap(), [json!({"a": 2})]);
        fs::write(file.path(), "").unwrap();
        assert!(since(file.path(), from).is_err());
    }
}
