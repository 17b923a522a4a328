//! Asks the metrics workload for the figures of all releases.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use runtime_contract::figures::{WINDOW, WINDOW_S_MAX};
use runtime_contract::{Figures, Role, labels, paths, ports};

use crate::health::{get, is_ready};

/// A pod that does not answer in this time has nothing to say: the next look comes in a second.
const TIMEOUT: Duration = Duration::from_millis(900);
/// Metrics pods asked in one pass at most; each of them knows all releases.
const PODS_MAX: usize = 4;
/// Ten minutes of two busy releases.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Asks the metrics pods that are ready, of whatever release, and takes the newest answer, or the one that rests on most pods.
pub async fn ask(http: &reqwest::Client, pods: &[Pod], window_s: u64) -> Option<Figures> {
    let window_s = window_s.clamp(1, u64::from(WINDOW_S_MAX));
    let path = format!("{}?{WINDOW}={window_s}", paths::admin::RELEASES);
    let asked = addresses(pods).into_iter().take(PODS_MAX).map(|address| {
        let path = &path;
        async move {
            let body = get(http, &address, ports::ADMIN, path, TIMEOUT, BODY_BYTES_MAX).await?;
            serde_json::from_slice::<Figures>(&body).ok()
        }
    });
    let answers = join_all(asked).await.into_iter().flatten();
    answers.max_by_key(|figures| (figures.pods, figures.until))
}

fn addresses(pods: &[Pod]) -> Vec<String> {
    let is_metrics =
        |pod: &&Pod| pod.labels().get(labels::COMPONENT).is_some_and(|found| found == Role::Metrics.as_str());
    let ready = pods.iter().filter(is_metrics).filter(|pod| is_ready(pod) && pod.metadata.deletion_timestamp.is_none());
    ready.filter_map(|pod| pod.status.as_ref()?.pod_ip.clone()).collect()
}
