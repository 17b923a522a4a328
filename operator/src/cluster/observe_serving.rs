//! Looks at the Secrets that pods of releases besides the wanted one were started with, as what is stored beside them tells.

use crds::{PaymentCluster, SecretKey};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::core::DynamicObject;

use super::configuration::{self, Configuration};
use super::observe::Extent;
use crate::context::Context;
use crate::names::Identity;
use crate::owned::{Kind, Live, is_owned};
use crate::secrets::{self, SecretState};

/// Looks at those that the spec does not name. `live` is what was made, as far as it was looked at.
///
/// # Errors
/// When the API server does not answer.
pub async fn look(
    context: &Context,
    cluster: &PaymentCluster,
    identity: &Identity,
    extent: Extent,
    live: &[Live],
) -> Result<Vec<(SecretKey, SecretState)>, kube::Error> {
    let config_maps: Vec<_> = configuration::besides(cluster).iter().map(|release| identity.config(release)).collect();
    let configurations: Vec<_> = match extent {
        Extent::Whole => {
            let is_one = |live: &&Live| live.kind == Kind::ConfigMap && config_maps.contains(&live.name);
            live.iter().filter(is_one).filter_map(configuration::read).collect()
        }
        // At rest, that is a request only where a release was given up.
        Extent::Referred => {
            let reads = config_maps.iter().map(|name| read(context, identity, name));
            try_join_all(reads).await?.into_iter().flatten().collect()
        }
    };
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &identity.namespace);
    let looks = configuration::secrets_besides(&cluster.spec, &configurations).into_iter().map(|key| {
        let api = &api;
        async move { secrets::look(api, &key).await.map(|state| (key, state)) }
    });
    try_join_all(looks).await
}

async fn read(context: &Context, identity: &Identity, name: &str) -> Result<Option<Configuration>, kube::Error> {
    let resource = Kind::ConfigMap.api_resource();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &identity.namespace, &resource);
    let found = api.get_opt(name).await?.filter(|object| is_owned(object, identity));
    Ok(found.and_then(|object| configuration::read(&Live::new(Kind::ConfigMap, object))))
}
