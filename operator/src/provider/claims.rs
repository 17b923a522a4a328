//! Which PaymentClusters of a namespace may select providers: read once for all who look, until one of them changes.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::{Resource, ResourceExt};

use super::claimant::Claimant;

/// A watch tells of every change; this is for one that is blind for a while.
const VALID: Duration = Duration::from_secs(15);

/// The PaymentClusters of namespaces. Each pass over a PaymentCluster or a PaymentProvider needs all of its
/// namespace: read by each for itself, that would be the square of their number. Whoever starts anew merely reads once more.
#[derive(Debug, Default)]
pub struct Claims(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts what was forgotten.
    epoch: u64,
    /// Labels of providers, by UID, as hashes.
    labels: HashMap<u64, u64>,
    hasher: RandomState,
    known: HashMap<String, (Instant, Arc<Vec<Claimant>>)>,
}

impl Claims {
    /// The PaymentClusters of a namespace, by `read` unless they are known.
    ///
    /// # Errors
    /// When `read` fails.
    pub async fn of<E>(
        &self,
        namespace: &str,
        read: impl Future<Output = Result<Vec<Claimant>, E>>,
    ) -> Result<Arc<Vec<Claimant>>, E> {
        let epoch = {
            let state = self.state();
            match state.known.get(namespace) {
                Some((at, clusters)) if at.elapsed() < VALID => return Ok(Arc::clone(clusters)),
                _ => state.epoch,
            }
        };
        let began = Instant::now();
        let clusters = Arc::new(read.await?);
        let mut state = self.state();
        // What changed meanwhile may be missing in what was read.
        if state.epoch == epoch {
            state.known.retain(|_, (at, _)| at.elapsed() < VALID);
            state.known.insert(namespace.to_owned(), (began, Arc::clone(&clusters)));
        }
        Ok(clusters)
    }

    /// The PaymentClusters whose business a change of a provider is; none when that is not known, or its labels are new.
    pub fn selecting(&self, provider: &impl Resource) -> Option<Vec<String>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let (uid, labels) = (state.hasher.hash_one(provider.uid()), state.hasher.hash_one(provider.labels()));
        let before = state.labels.insert(uid, labels);
        if before.is_some_and(|before| before != labels) {
            return None;
        }
        let namespace = provider.namespace()?;
        let (_, clusters) = state.known.get(&namespace).filter(|(at, _)| at.elapsed() < VALID)?;
        let selecting = clusters.iter().filter(|cluster| cluster.selects(provider));
        Some(selecting.map(ResourceExt::name_any).collect())
    }

    /// One of the namespace's PaymentClusters changed.
    pub fn forget(&self, namespace: &str) {
        let mut state = self.state();
        state.epoch += 1;
        state.known.remove(namespace);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    async fn read(claims: &Claims, found: usize) -> usize {
        let clusters = vec![Claimant::from(fixtures::cluster(|_| {})); found];
        claims.of("shop", async { Ok::<_, ()>(clusters) }).await.unwrap().len()
    }

    #[tokio::test]
    async fn they_are_read_once_until_one_of_them_changes() {
        let claims = Claims::default();
        assert_eq!((read(&claims, 1).await, read(&claims, 2).await), (1, 1));
        claims.forget("shop");
        assert_eq!(read(&claims, 3).await, 3);
    }

    #[tokio::test]
    async fn a_provider_is_the_business_of_who_selects_it_unless_its_labels_are_new() {
        let claims = Claims::default();
        let mut provider = fixtures::provider("stripe", |_| {});
        assert_eq!(claims.selecting(&provider), None, "nothing is known yet");
        read(&claims, 1).await;
        assert_eq!(claims.selecting(&provider), Some(vec!["payments".to_owned()]));
        provider.metadata.labels = None;
        assert_eq!(claims.selecting(&provider), None, "who selected it before has to know, too");
        assert_eq!(claims.selecting(&provider), Some(Vec::new()));
    }

    #[tokio::test]
    async fn what_changes_while_they_are_read_is_not_missed() {
        let claims = Claims::default();
        let before = async {
            claims.forget("shop");
            Ok::<_, ()>(Vec::new())
        };
        assert!(claims.of("shop", before).await.unwrap().is_empty());
        assert_eq!(read(&claims, 1).await, 1);
    }
}
