//! The objects of a PaymentCluster, as values. ★ Pure: a spec goes in, objects come out.

mod autoscaler;
pub(crate) mod config_map;
mod deployment;
mod disruption_budget;
pub mod pod;
pub mod resources;
pub mod rollout;
mod service;
mod service_account;

use runtime_contract::Role;

use crate::cluster::validate::Validated;
use crate::owned::Desired;

pub use config_map::runtime_config;
pub use deployment::secrets_revision;
pub use service::Traffic;

/// What every release shares: addresses, identity and disruption budgets.
#[must_use]
pub fn shared(cluster: &Validated, traffic: &Traffic) -> Vec<Desired> {
    let mut objects =
        vec![service_account::pods(cluster), service::gateway(cluster, traffic), service::metrics(cluster)];
    objects.extend(Role::ALL.into_iter().filter_map(|role| disruption_budget::of_role(cluster, role)));
    objects
}

/// What belongs to the release of the spec.
#[must_use]
pub fn of_release(cluster: &Validated) -> Vec<Desired> {
    let config = config_map::of_release(cluster);
    let mut objects = vec![service::fraud(cluster), service::release_gateway(cluster)];
    objects.extend(Role::ALL.into_iter().map(|role| deployment::of_role(cluster, role, &config)));
    objects.extend(autoscaler::gateway(cluster));
    objects.push(config);
    objects.sort_by_key(|object| object.kind);
    objects
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::{apps, autoscaling, core, policy};
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::Value;

    use super::*;
    use crate::cluster::fixtures;
    use crate::owned::Kind;
    use crate::owned::difference::contains;

    /// Reads an object as its Kubernetes type and writes it again: a field that Kubernetes does not know is lost.
    fn through<T: DeserializeOwned + Serialize>(body: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(body.clone()).unwrap()).unwrap()
    }

    #[test]
    fn every_object_is_one_that_kubernetes_knows() {
        let cluster = fixtures::validated(|spec| {
            spec["gateway"] = serde_json::json!({
                "autoscaling": { "minReplicas": 2, "maxReplicas": 4 },
                "service": { "type": "NodePort", "nodePort": 30080 },
            });
            spec["image"] = serde_json::json!({ "pullSecrets": [{ "name": "registry" }] });
        });
        let objects = [shared(&cluster, &Traffic::To(cluster.release.name.clone())), of_release(&cluster)].concat();
        assert_eq!(objects.len(), 5 + 8);
        for object in &objects {
            let known = match object.kind {
                Kind::ServiceAccount => through::<core::v1::ServiceAccount>(&object.body),
                Kind::ConfigMap => through::<core::v1::ConfigMap>(&object.body),
                Kind::Service => through::<core::v1::Service>(&object.body),
                Kind::Deployment => through::<apps::v1::Deployment>(&object.body),
                Kind::PodDisruptionBudget => through::<policy::v1::PodDisruptionBudget>(&object.body),
                Kind::HorizontalPodAutoscaler => through::<autoscaling::v2::HorizontalPodAutoscaler>(&object.body),
                Kind::Job => unreachable!("a workload is no Job"),
            };
            assert!(contains(&known, &object.body), "{:?} {}\n{known:#}\n{:#}", object.kind, object.name, object.body);
        }
    }

    #[test]
    fn an_autoscaled_gateway_leaves_the_number_of_its_pods_alone() {
        let of_gateway = |objects: Vec<Desired>| {
            objects.into_iter().find(|o| o.kind == Kind::Deployment && o.name.contains("gateway")).unwrap().body
        };
        let fixed = of_gateway(of_release(&fixtures::validated(|_| {})));
        assert_eq!(fixed["spec"]["replicas"], 2);
        let scaled = of_gateway(of_release(&fixtures::validated(|spec| {
            spec["gateway"] = serde_json::json!({ "autoscaling": { "maxReplicas": 4 } });
        })));
        assert_eq!(scaled["spec"].get("replicas"), None);
    }

    #[test]
    fn only_those_who_take_payments_to_their_end_hold_credentials_of_providers() {
        let cluster = fixtures::validated(|_| {});
        for object in of_release(&cluster).iter().filter(|object| object.kind == Kind::Deployment) {
            let holds = object.body.to_string().contains("\"providers/stripe");
            let may = ["gateway", "processor"].iter().any(|role| object.name.contains(role));
            assert_eq!(holds, may, "{}", object.name);
        }
    }

    #[test]
    fn only_the_gateway_holds_its_certificate_and_what_webhooks_are_verified_by() {
        let cluster = fixtures::validated(|spec| {
            spec["gateway"] = serde_json::json!({
                "tls": { "secretName": "payments-tls" },
                "adminTokenSecretRef": { "name": "payments-admin", "key": "token" },
            });
        });
        let cluster = Validated {
            provider_webhooks: vec![(
                "stripe".into(),
                crds::SecretKey { name: "stripe".into(), key: "webhookSecret".into() },
            )],
            ..cluster
        };
        for object in of_release(&cluster).iter().filter(|object| object.kind == Kind::Deployment) {
            let body = object.body.to_string();
            for held in ["payments-tls", "tls/tls.key", "admin-token", "provider-webhooks/stripe"] {
                assert_eq!(body.contains(held), object.name.contains("gateway"), "{held} in {}", object.name);
            }
        }
        let service = shared(&cluster, &Traffic::To(cluster.release.name.clone())).into_iter().find(|object| {
            object.kind == Kind::Service && object.body["spec"]["selector"].to_string().contains("gateway")
        });
        assert_eq!(service.unwrap().body["spec"]["ports"][0]["port"], 443);
    }

    #[test]
    fn two_releases_share_no_name_besides_the_stable_ones() {
        let names = |version: &str| {
            let cluster = fixtures::validated(|spec| spec["version"] = version.into());
            of_release(&cluster).into_iter().map(|object| (object.kind, object.name)).collect::<Vec<_>>()
        };
        let (old, new) = (names("0.1.0"), names("0.2.0"));
        assert!(old.iter().all(|name| !new.contains(name)), "{old:?} {new:?}");
    }
}
