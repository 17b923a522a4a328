//! The PaymentClusters, in several namespaces, each with its Secrets and its provider.

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::RELEASE;

/// Requests under way at once.
const CONCURRENCY: usize = 16;

/// Installs the definitions.
pub(super) async fn definitions(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in crds::all() {
        let name = definition.name_any();
        api.patch(&name, &PatchParams::apply("fleet").force(), &Patch::Apply(&definition)).await?;
        await_condition(api.clone(), &name, conditions::is_crd_established()).await.context(name)?;
    }
    Ok(())
}

/// Creates so many PaymentClusters in so many namespaces, all of whose providers are at `endpoint`.
pub(super) async fn fleet(client: &Client, clusters: usize, namespaces: usize, endpoint: &str) -> Result<()> {
    for number in 0..namespaces {
        create::<Namespace>(Api::all(client.clone()), json!({ "metadata": { "name": namespace(number) } })).await?;
    }
    let all = (0..clusters).map(|number| one(client, number, namespace(number % namespaces), endpoint));
    stream::iter(all).buffer_unordered(CONCURRENCY).try_collect().await
}

fn namespace(number: usize) -> String {
    format!("fleet-{number}")
}

async fn one(client: &Client, number: usize, namespace: String, endpoint: &str) -> Result<()> {
    let name = format!("payments-{number}");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let [database, cache, provider] = ["db", "redis", "stripe"].map(|suffix| format!("{name}-{suffix}"));
    let url = format!("postgres://purser:secret-word@db.example:5432/{name}");
    create(secrets.clone(), json!({ "metadata": { "name": database }, "stringData": { "url": url } })).await?;
    let url = "redis://cache.example:6379/0";
    create(secrets.clone(), json!({ "metadata": { "name": cache }, "stringData": { "url": url } })).await?;
    let key = "sk_test_secret-word";
    create(secrets, json!({ "metadata": { "name": provider }, "stringData": { "secretKey": key } })).await?;
    let labels = json!({ "purser.dev/cluster": name });
    let spec = json!({
        "name": "STRIPE", "apiEndpoint": endpoint, "simulator": true,
        "credentialsSecretRef": { "name": provider, "key": "secretKey" },
    });
    let body = ours("PaymentProvider", json!({ "name": provider, "labels": labels }), spec);
    create::<crds::PaymentProvider>(Api::namespaced(client.clone(), &namespace), body).await?;
    let spec = json!({
        "version": RELEASE,
        "database": { "urlSecretRef": { "name": database, "key": "url" } },
        "cache": { "urlSecretRef": { "name": cache, "key": "url" } },
        "providers": { "selector": { "matchLabels": labels } },
    });
    let body = ours("PaymentCluster", json!({ "name": name }), spec);
    create::<crds::PaymentCluster>(Api::namespaced(client.clone(), &namespace), body).await
}

fn ours(kind: &str, metadata: Value, spec: Value) -> Value {
    json!({ "apiVersion": "purser.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec })
}

async fn create<K>(api: Api<K>, body: Value) -> Result<()>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(body)?;
    let name = object.name_any();
    api.create(&PostParams::default(), &object).await.with_context(|| format!("cannot create {name}"))?;
    Ok(())
}
