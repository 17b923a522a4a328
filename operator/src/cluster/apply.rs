//! Carries a plan out. It takes no decision.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use runtime_contract::labels;
use serde_json::{Value, json};

use super::step::Step;
use crate::context::Context;
use crate::error::Error;
use crate::names::Identity;
use crate::owned::difference::{contains, replacement};
use crate::owned::{Desired, Kind, is_owned};

/// Field manager of the number of pods that an autoscaler takes over.
const SCALE_MANAGER: &str = "purser-operator-scale";

/// Carries out the steps in order.
///
/// # Errors
/// The first step that failed; those before it are done, those after it are not.
pub async fn apply(context: &Context, identity: &Identity, steps: &[Step]) -> Result<(), Error> {
    for step in steps {
        context.may_write()?;
        match step {
            Step::Apply { object, is_new } => write(context, identity, object, *is_new).await?,
            Step::Scale { deployment, replicas } => scale(context, identity, deployment, *replicas).await?,
            Step::Delete { kind, name, uid } => delete(context, identity, *kind, name, uid).await?,
        }
    }
    Ok(())
}

fn api(context: &Context, identity: &Identity, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(context.client.clone(), &identity.namespace, &kind.api_resource())
}

async fn write(context: &Context, identity: &Identity, object: &Desired, is_new: bool) -> Result<(), Error> {
    let (kind, name) = (object.kind, &object.name);
    let failed = |source| Error::Apply { kind, name: name.clone(), source };
    let api = api(context, identity, kind);
    if is_new {
        let stranger = api.get_opt(name).await.map_err(failed)?.is_some_and(|found| !is_owned(&found, identity));
        if stranger {
            return Err(Error::NameTaken { kind, name: name.clone() });
        }
        context.may_write()?;
    }
    // Forced, because every field in it is the operator's own; what others may own is not in it.
    let params = PatchParams::apply(labels::MANAGED_BY_PURSER).force();
    let applied = api.patch(name, &params, &Patch::Apply(&object.body)).await.map_err(failed)?;
    context.metrics.wrote(kind, "apply");
    let live = serde_json::to_value(&applied).unwrap_or_default();
    // A Job cannot be changed once it is there, and nobody can have added to one that is new.
    if kind != Kind::Job && !contains(&live, &object.body) {
        replace_additions(context, identity, object, &live).await?;
    }
    tracing::info!(kind = ?kind, name, namespace = identity.namespace, is_new, "applied");
    Ok(())
}

/// Server-side apply leaves in place what somebody else added, say a container, or a label in a selector. A merge patch
/// does not.
async fn replace_additions(
    context: &Context,
    identity: &Identity,
    object: &Desired,
    live: &Value,
) -> Result<(), Error> {
    context.may_write()?;
    let (kind, name) = (object.kind, &object.name);
    let spec = json!({ "spec": replacement(&live["spec"], &object.body["spec"]) });
    let params = PatchParams { field_manager: Some(labels::MANAGED_BY_PURSER.into()), ..PatchParams::default() };
    let patched = api(context, identity, kind)
        .patch(name, &params, &Patch::Merge(&spec))
        .await
        .map_err(|source| Error::Apply { kind, name: name.clone(), source })?;
    context.metrics.wrote(kind, "merge");
    if !contains(&serde_json::to_value(&patched).unwrap_or_default(), &object.body) {
        tracing::warn!(kind = ?kind, name, namespace = identity.namespace, "the API server keeps it other than wanted");
    }
    Ok(())
}

async fn scale(context: &Context, identity: &Identity, deployment: &str, replicas: i32) -> Result<(), Error> {
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &identity.namespace);
    let patch = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": deployment },
        "spec": { "replicas": replicas },
    });
    let params = PatchParams::apply(SCALE_MANAGER).force();
    api.patch(deployment, &params, &Patch::Apply(&patch)).await.map_err(|source| Error::Apply {
        kind: Kind::Deployment,
        name: deployment.to_owned(),
        source,
    })?;
    context.metrics.wrote(Kind::Deployment, "scale");
    Ok(())
}

async fn delete(context: &Context, identity: &Identity, kind: Kind, name: &str, uid: &str) -> Result<(), Error> {
    let same_object = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(same_object), ..DeleteParams::background() };
    match api(context, identity, kind).delete(name, &params).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => return Ok(()),
        Err(source) => return Err(Error::Apply { kind, name: name.to_owned(), source }),
    }
    context.metrics.wrote(kind, "delete");
    tracing::info!(kind = ?kind, name, namespace = identity.namespace, "deleted");
    Ok(())
}
