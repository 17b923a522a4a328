//! Writes the status of a resource.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use runtime_contract::labels;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::context::Context;
use crate::error::Error;

/// Replaces the whole of a status.
///
/// # Errors
/// When the API server does not take it, or another replica may hold the lease by now.
pub async fn write<K>(context: &Context, resource: &K, status: &impl Serialize) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
{
    context.may_write()?;
    let name = resource.name_any();
    let namespace = resource.namespace().unwrap_or_default();
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // The UID keeps the status of a resource that was deleted from its successor of the same name.
        "metadata": { "name": name, "uid": resource.uid() },
        "status": status,
    });
    let params = PatchParams::apply(labels::MANAGED_BY_PURSER).force();
    match api.patch_status(&name, &params, &Patch::Apply(&body)).await {
        Ok(_) => {}
        // Gone in the meantime: there is nobody left to tell.
        Err(kube::Error::Api(error)) if error.is_not_found() => return Ok(()),
        Err(source) => return Err(Error::Report(source)),
    }
    context.metrics.wrote_status(&K::kind(&()));
    Ok(())
}
