//! The backups that releases made, as the status knows them. ★ Pure.

use std::collections::BTreeMap;

use crds::payment_cluster::{BackupStatus, ReleaseStatus};
use jiff::Timestamp;

use super::{ages, history};

/// A backup, and the release that it was made for.
pub(super) type Made<'a> = (&'a BackupStatus, &'a str, &'static str);

/// The newest first.
pub(super) fn of(release: &ReleaseStatus) -> Vec<Made<'_>> {
    let target = release.target.as_deref().unwrap_or_default();
    let preparation = release.preparation.as_ref();
    let first = preparation.and_then(|done| done.backup.as_ref()).map(|backup| (backup, target, "before any change"));
    let point = preparation.and_then(|done| done.maintenance.as_ref()?.restore_point.as_ref());
    let point = point.map(|backup| (backup, target, "while writes were refused"));
    let ended =
        release.history.iter().filter_map(|record| Some((record.backup.as_ref()?, record.version.as_str(), "")));
    // An id has the time in it.
    let mut all = BTreeMap::new();
    for made in point.into_iter().chain(first).chain(ended) {
        all.entry(made.0.id.as_str()).or_insert(made);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by(|one, other| other.0.verified_at.cmp(&one.0.verified_at));
    all
}

/// As a table.
pub(super) fn table(made: &[Made<'_>], now: Timestamp) -> String {
    let rows = made.iter().map(|(backup, version, when)| {
        let age = ages::since(&backup.verified_at, now).map(|age| format!("{age} ago"));
        [backup.id.clone(), age.unwrap_or_else(|| "-".to_owned()), (*version).to_owned(), (*when).to_owned()]
    });
    history::aligned(["ID", "VERIFIED", "RELEASE", "MADE"], rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::test_data;

    #[test]
    fn each_backup_is_shown_once_the_newest_first() {
        let cluster = test_data::cluster(|whole| {
            let release = &mut whole["status"]["release"];
            release["preparation"] = json!({ "backup": { "id": "b2", "verifiedAt": "2026-11-24T12:06:00Z" } });
            release["history"][0]["backup"] = json!({ "id": "b1", "verifiedAt": "2026-11-24T11:56:00Z" });
            release["history"][1]["backup"] = json!({ "id": "b2", "verifiedAt": "2026-11-24T12:06:00Z" });
        });
        let release = cluster.status.unwrap().release.unwrap();
        let expected = "\
ID  VERIFIED  RELEASE  MADE
b2  4m ago    1.4.0    before any change
b1  14m ago   1.3.0
";
        assert_eq!(table(&of(&release), test_data::now()), expected);
    }
}
