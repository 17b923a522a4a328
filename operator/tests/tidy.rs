//! Holds the line: which modules are pure, how long a file may be, and what has no place here.

#![expect(clippy::unwrap_used, reason = "a source that cannot be read is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that neither talk to anybody nor ask for the time: values in, values out.
const PURE: [&str; 26] = [
    "names.rs",
    "cluster/observed.rs",
    "owned/difference.rs",
    "cluster/validate.rs",
    "cluster/providers.rs",
    "cluster/plan",
    "cluster/prune.rs",
    "cluster/record",
    "cluster/step.rs",
    "cluster/conditions.rs",
    "cluster/diagnosis.rs",
    "cluster/announce.rs",
    "provider/judge.rs",
    "rest/memory",
    "rest/print.rs",
    "provider/selection.rs",
    "plugin/ages.rs",
    "plugin/decision",
    "plugin/failure.rs",
    "plugin/history.rs",
    "plugin/next.rs",
    "plugin/pipeline.rs",
    "plugin/pods.rs",
    "plugin/subject.rs",
    "plugin/tree.rs",
    "plugin/view",
];
const PURE_FOLDERS: [&str; 12] = [
    "analytics/",
    "archive/",
    "backup/",
    "checks/",
    "jobs/",
    "maintenance/",
    "migration/",
    "notifications/",
    "replica/",
    "settings/",
    "sla/",
    "workloads/",
];

/// Signs of a client, a clock, chance or a file.
const IMPURE: [&str; 12] = [
    "kube::Api",
    "Api<",
    "Client",
    "reqwest",
    "sqlx",
    "Timestamp::now",
    "Instant",
    "SystemTime",
    "rand::",
    "std::fs",
    "tokio",
    "async fn",
];

/// Lines of a file, tests included. Above it, a file is two files.
const LINES_MAX: usize = 400;

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 30, "the sources were not found");
    found.iter().map(|path| (relative(path, &root), fs::read_to_string(path).unwrap())).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap().display().to_string()
}

#[test]
fn pure_modules_know_no_client_no_clock_and_no_chance() {
    let mut seen = 0;
    for (name, text) in sources() {
        let is_pure =
            PURE.iter().any(|pure| name.starts_with(pure)) || PURE_FOLDERS.iter().any(|pure| name.starts_with(pure));
        if !is_pure {
            continue;
        }
        seen += 1;
        let code = text.split("#[cfg(test)]").next().unwrap();
        for sign in IMPURE {
            assert!(!code.contains(sign), "{name} is pure, and names `{sign}`");
        }
    }
    assert!(seen >= PURE.len() + PURE_FOLDERS.len(), "a pure module was renamed: {seen} found");
}

#[test]
fn no_file_grows_beyond_what_one_reads_at_a_time() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name} has {lines} lines");
    }
}

#[test]
fn nothing_is_put_off_and_no_room_is_called_misc() {
    let put_off = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["todo", "!("].concat()];
    for (name, text) in sources() {
        assert!(put_off.iter().all(|sign| !text.contains(sign)), "{name} puts something off");
        for room in ["utils", "common", "helpers", "misc"] {
            assert!(!name.contains(room), "{name} says nothing of what it is for");
        }
    }
}
