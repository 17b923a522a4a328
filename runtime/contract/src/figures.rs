//! Figures of payments: what each pod counts, and what the metrics workload makes of all of them.
//!
//! A release is judged by these, so they tell counts and not only shares: a share of ten payments says little.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// How many took about so long: microseconds, as the recorder rounds them, and a count.
pub type Times = BTreeMap<u64, u64>;

/// The body of [`crate::paths::admin::FIGURES`]: all that a process has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodFigures {
    /// The release of the pod.
    pub release: String,
    /// Another one after each start: counts begin at nothing then.
    pub process: String,
    /// What was counted.
    pub counts: Counts,
}

/// Payments that came to their end, and fraud checks, over some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Payments that ended well.
    pub succeeded: u64,
    /// Payments that ended otherwise.
    pub failed: u64,
    /// From acceptance to the end, of all of these.
    #[serde(deserialize_with = "times")]
    pub payment_us: Times,
    /// Fraud checks as the one who asked has seen them, those without an answer in time at their deadline.
    #[serde(deserialize_with = "times")]
    pub fraud_us: Times,
}

/// Keys of JSON objects are text, and serde does not read numbers out of them in what is flattened, as in [`Slice`].
fn times<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Times, D::Error> {
    let read = |(us, count): (String, u64)| Ok((us.parse().map_err(D::Error::custom)?, count));
    BTreeMap::<String, u64>::deserialize(deserializer)?.into_iter().map(read).collect()
}

/// The body of [`crate::paths::admin::RELEASES`], from a pod of the metrics workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// When the newest slice ended, in Unix seconds.
    pub until: i64,
    /// Pods that answered when they were asked last.
    pub pods: u32,
    /// Pods that did not.
    pub silent_pods: u32,
    /// Every release that had a pod within the window, by name.
    pub releases: Vec<ReleaseFigures>,
}

/// One release within the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseFigures {
    /// Its version.
    pub release: String,
    /// All of the window.
    pub summary: Summary,
    /// Second by second, oldest first. A second in which nobody could be asked is missing; what was counted meanwhile is in the
    /// next one.
    pub slices: Vec<Slice>,
}

/// Figures of some time, for people. Whoever judges counts for himself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Payments that came to their end.
    pub payments: u64,
    /// Of these per second.
    pub tps: f64,
    /// Mean time of a payment in milliseconds; none without payments, as below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_ms: Option<f64>,
    /// 95 of 100 payments took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// 99 of 100 payments took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Payments that ended well, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// Fraud checks.
    pub fraud_checks: u64,
    /// 99 of 100 fraud checks took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraud_p99_ms: Option<f64>,
}

/// What was counted between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slice {
    /// When it ended, in Unix seconds.
    pub second: i64,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Query parameter of [`crate::paths::admin::RELEASES`]: how many seconds to look back.
pub const WINDOW: &str = "window_s";
/// The longest window, in seconds.
pub const WINDOW_S_MAX: u32 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_survive_the_way_through_json() {
        let counts = Counts {
            succeeded: 3,
            failed: 1,
            payment_us: [(10_047, 3), (50_175, 1)].into(),
            fraud_us: [(4_031, 4)].into(),
        };
        let slice = Slice { second: 1_790_000_000, counts: counts.clone() };
        let releases =
            vec![ReleaseFigures { release: "0.1.0".into(), slices: vec![slice], ..ReleaseFigures::default() }];
        let figures = Figures { until: 1_790_000_000, pods: 1, silent_pods: 0, releases };
        let text = serde_json::to_string(&figures).unwrap();
        assert!(text.contains(r#""paymentUs":{"10047":3,"50175":1}"#), "{text}");
        assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), figures);
        let pod = PodFigures { release: "0.1.0".into(), process: "one".into(), counts };
        assert_eq!(serde_json::from_str::<PodFigures>(&serde_json::to_string(&pod).unwrap()).unwrap(), pod);
    }
}
