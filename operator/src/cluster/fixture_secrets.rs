//! What the world of tests finds of Secrets.

use super::configuration;
use super::fixtures::present;
use super::observed::Observed;
use crate::replica;
use crate::secrets::SecretState;

/// Looks at the Secrets of cache and replica, as [`super::observe`] does. Without `find`, those that the spec names stay as they were
/// put there.
pub(crate) fn look(observed: &mut Observed, find: Option<fn(&str) -> SecretState>) {
    let spec = &observed.cluster.spec;
    if let Some(find) = find {
        observed.cache_secret = find(&spec.cache.url_secret_ref.name);
        let named = replica::secrets(&spec.database).into_iter();
        let seen = named.map(|(field, key)| {
            let state = find(&key.name);
            (field, key, state)
        });
        observed.replica_secrets = seen.collect();
    }
    let releases = configuration::besides(&observed.cluster);
    let stored: Vec<_> = releases.iter().filter_map(|release| configuration::stored(observed, release)).collect();
    let seen = configuration::secrets_besides(spec, &stored).into_iter().map(|key| {
        let state = find.map_or_else(|| present("1"), |find| find(&key.name));
        (key, state)
    });
    observed.serving_secrets = seen.collect();
}
