//! Writes the states at rest down for the operator that starts next, in a ConfigMap beside the lease, and reads them.
//!
//! They are written when there are new ones, which at rest there are not, and before an orderly end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use runtime_contract::labels;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::Rest;
use super::print::Print;

/// Name of the ConfigMap.
pub const NAME: &str = "purser-operator-rest";
const KEY: &str = "states";
/// How often there may be something to write, and how often it is written at most.
const LOOK: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(30);
/// Time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A ConfigMap holds a MiB. Whoever has more PaymentClusters than this has the others looked at.
const PROOFS_MAX: usize = 12_000;

/// From the fingerprint of a whole state at rest to that of what it refers to.
type Proofs = HashMap<Print, Print>;

/// The states as they are written down.
#[derive(Clone)]
pub struct Book {
    api: Api<ConfigMap>,
    rest: Arc<Rest>,
    written: Arc<Mutex<Proofs>>,
}

impl Book {
    /// The book of a namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str, rest: Arc<Rest>) -> Self {
        Self { api: Api::namespaced(client, namespace), rest, written: Arc::default() }
    }

    /// Reads what the operator before wrote. A book that cannot be read is an empty one: everything is looked at.
    pub async fn open(&self) {
        let found = match timeout(TIMEOUT, self.api.get_opt(NAME)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return tracing::warn!(%error, "cannot read ConfigMap {NAME}; the start takes longer"),
            Err(_) => return tracing::warn!("ConfigMap {NAME} does not come; the start takes longer"),
        };
        let text = found.and_then(|mut found| found.data.as_mut()?.remove(KEY)).unwrap_or_default();
        let proofs = parse(&text);
        tracing::info!(states = proofs.len(), "read the states at rest");
        self.rest.memory().believe(proofs.clone());
        *self.written.lock().await = proofs;
    }

    /// Writes what is new, for as long as it is polled.
    pub async fn keep(&self) {
        let mut written_at = None::<Instant>;
        loop {
            sleep(LOOK).await;
            if written_at.is_none_or(|at| at.elapsed() >= PAUSE) && self.write().await {
                written_at = Some(Instant::now());
            }
        }
    }

    /// Writes what is new, if anything is. It is a help for a start, and never a reason to fail.
    pub async fn write(&self) -> bool {
        let mut written = self.written.lock().await;
        let proofs = self.rest.memory().proofs(self.rest.now());
        if !has_news(&proofs, &written) {
            return false;
        }
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": NAME, "labels": { labels::APP: "purser-operator" } },
            "data": { KEY: text(&proofs) },
        });
        let params = PatchParams::apply(labels::MANAGED_BY_PURSER).force();
        match timeout(TIMEOUT, self.api.patch(NAME, &params, &Patch::Apply(&body))).await {
            Ok(Ok(_)) => *written = proofs,
            Ok(Err(error)) => tracing::warn!(%error, "cannot write ConfigMap {NAME}; the next start takes longer"),
            Err(_) => tracing::warn!("writing ConfigMap {NAME} takes too long; the next start takes longer"),
        }
        true
    }
}

fn has_news(proofs: &Proofs, written: &Proofs) -> bool {
    proofs.iter().any(|(state, referred)| written.get(state) != Some(referred))
}

fn text(proofs: &Proofs) -> String {
    let lines = proofs.iter().take(PROOFS_MAX).map(|(state, referred)| format!("{state:032x} {referred:032x}\n"));
    lines.collect()
}

/// A line that is none is passed over.
fn parse(text: &str) -> Proofs {
    let print = |text: &str| Print::from_str_radix(text, 16).ok();
    let lines = text.lines().take(PROOFS_MAX).filter_map(|line| line.split_once(' '));
    lines.filter_map(|(state, referred)| Some((print(state)?, print(referred)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_a_torn_line_is_passed_over() {
        let proofs = Proofs::from([(1, 2), (u128::MAX, 0)]);
        let written = text(&proofs);
        assert_eq!(parse(&written), proofs);
        assert_eq!(parse(&format!("{written}12\nx y\n")), proofs);
    }

    #[test]
    fn a_state_that_is_new_is_news_and_one_that_is_no_more_is_none() {
        let written = Proofs::from([(1, 2), (3, 4)]);
        assert!(!has_news(&Proofs::from([(1, 2)]), &written));
        assert!(has_news(&Proofs::from([(1, 3)]), &written) && has_news(&Proofs::from([(5, 6)]), &written));
    }
}
