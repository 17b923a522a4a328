//! The identity of the pods.

use serde_json::json;

use crate::cluster::validate::Validated;
use crate::owned::{Desired, Kind};

/// An account that may do nothing, and whose token no pod gets: the runtime does not know Kubernetes.
pub(super) fn pods(cluster: &Validated) -> Desired {
    let identity = &cluster.identity;
    let content = json!({ "automountServiceAccountToken": false });
    Desired::new(Kind::ServiceAccount, identity, identity.name.clone(), "platform", None, content)
}
