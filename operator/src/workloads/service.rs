//! The Services of a PaymentCluster.

use runtime_contract::{Role, labels, ports};
use serde_json::{Value, json};

use crate::cluster::validate::Validated;
use crate::owned::{Desired, Kind};

/// Which releases the gateway's Service sends traffic to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// To one.
    To(String),
    /// To all that have gateway pods, each in proportion to them.
    Split,
}

impl Traffic {
    fn release(&self) -> Option<&str> {
        match self {
            Self::To(release) => Some(release),
            Self::Split => None,
        }
    }
}

/// The stable address of the payment API. Its selector names the release that serves: moving traffic is changing it.
pub(super) fn gateway(cluster: &Validated, traffic: &Traffic) -> Desired {
    let identity = &cluster.identity;
    let service = &cluster.spec.gateway.service;
    let mut port = match &cluster.spec.gateway.tls {
        Some(_) => port("https", 443, ports::names::HTTP),
        None => port(ports::names::HTTP, 80, ports::names::HTTP),
    };
    if let Some(node_port) = service.node_port {
        port["nodePort"] = node_port.into();
    }
    let content = json!({
        "spec": {
            "type": service.type_.as_str(),
            "selector": identity.pod_selector(Role::Gateway, traffic.release()),
            "ports": [port],
        },
    });
    Desired::new(Kind::Service, identity, identity.gateway_service(), Role::Gateway.as_str(), None, content)
}

/// The gateway of one release: for checks of it while its traffic is still another one's. No merchant is told of it.
pub(super) fn release_gateway(cluster: &Validated) -> Desired {
    let (identity, release) = (&cluster.identity, &cluster.release);
    let port = match &cluster.spec.gateway.tls {
        Some(_) => port("https", 443, ports::names::HTTP),
        None => port(ports::names::HTTP, 80, ports::names::HTTP),
    };
    let content = json!({
        "spec": {
            "type": "ClusterIP",
            "selector": identity.pod_selector(Role::Gateway, Some(&release.name)),
            "ports": [port],
        },
    });
    let name = identity.release_gateway_service(release);
    Desired::new(Kind::Service, identity, name, Role::Gateway.as_str(), Some(release), content)
}

/// The fraud check of one release.
pub(super) fn fraud(cluster: &Validated) -> Desired {
    let (identity, release) = (&cluster.identity, &cluster.release);
    let content = json!({
        "spec": {
            "type": "ClusterIP",
            "selector": identity.pod_selector(Role::Fraud, Some(&release.name)),
            "ports": [port(ports::names::HTTP, ports::FRAUD, ports::names::HTTP)],
        },
    });
    let name = identity.fraud_service(release);
    Desired::new(Kind::Service, identity, name, Role::Fraud.as_str(), Some(release), content)
}

/// Every pod, ready or not, by its own address: figures are scraped from each of them.
pub(super) fn metrics(cluster: &Validated) -> Desired {
    let identity = &cluster.identity;
    let content = json!({
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": { labels::APP: labels::APP_PURSER, labels::INSTANCE: identity.name, super::pod::ROLE: "true" },
            "ports": [port(ports::names::ADMIN, ports::ADMIN, ports::names::ADMIN)],
        },
    });
    Desired::new(Kind::Service, identity, identity.metrics_service(), Role::Metrics.as_str(), None, content)
}

fn port(name: &str, port: u16, target: &str) -> Value {
    json!({ "name": name, "port": port, "targetPort": target, "protocol": "TCP" })
}
