//! How long ago, in as few characters as kubectl's. ★ Pure.

use jiff::{SignedDuration, Timestamp};

/// How long ago a time (RFC 3339) was; `None` when it is none.
pub(super) fn since(time: &str, now: Timestamp) -> Option<String> {
    time.parse::<Timestamp>().ok().map(|time| short(now.duration_since(time)))
}

/// How long until a time (RFC 3339); `None` when it is none.
pub(super) fn until(time: &str, now: Timestamp) -> Option<String> {
    time.parse::<Timestamp>().ok().map(|time| short(time.duration_since(now)))
}

/// The time between two; `None` when one of them is none.
pub(super) fn between(begin: &str, end: &str) -> Option<String> {
    since(begin, end.parse().ok()?)
}

/// A duration; what lies in the other direction counts as nothing, as clocks differ.
fn short(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 > 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..28_800 if minutes % 60 > 0 => format!("{hours}h{}m", minutes % 60),
        10_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_kubectl_s() {
        let cases = [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (252, "4m12s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_860, "3h1m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ];
        for (seconds, words) in cases {
            assert_eq!(short(SignedDuration::from_secs(seconds)), words);
        }
        assert_eq!(between("2026-11-24T12:00:00Z", "2026-11-24T12:00:40Z").as_deref(), Some("40s"));
        assert_eq!(between("yesterday", "2026-11-24T12:00:40Z"), None);
    }
}
