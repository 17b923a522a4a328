//! Why a command failed, in one sentence each. ★ Pure.

use std::error::Error as _;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What is asked for makes no sense now.
    #[error("{0}")]
    Refused(String),
    /// There is no cluster to ask, or it is described wrongly.
    #[error("cannot connect to a cluster: {0}")]
    Configuration(String),
    /// The API server said no, or nothing.
    #[error("{}", sentence(.0))]
    Api(Box<ApiFailure>),
    /// What there is to say cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct ApiFailure {
    pub(super) asked: Asked,
    pub(super) server: String,
    pub(super) source: kube::Error,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// As RBAC calls it.
    pub(super) verb: &'static str,
    /// As RBAC calls it, with its group.
    pub(super) resource: &'static str,
    pub(super) name: Option<String>,
    pub(super) namespace: String,
}

/// The PaymentClusters, as RBAC calls them.
pub(super) const CLUSTERS: &str = "paymentclusters.purser.dev";

fn sentence(failure: &ApiFailure) -> String {
    let ApiFailure { asked, server, source } = failure;
    let Asked { verb, resource, name, namespace } = asked;
    let named = name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let kube::Error::Api(status) = source else {
        return unanswered(asked, server, source);
    };
    match (status.code, status.reason.as_str()) {
        (401, _) => format!("the API server at {server} does not know who you are: log in again (401)"),
        (403, _) => {
            format!("you are forbidden to {verb} {resource}{named} in namespace \"{namespace}\": {}", status.message)
        }
        (404, "NotFound") => format!("there is no {resource}{named} in namespace \"{namespace}\""),
        (404, _) if *resource == CLUSTERS => format!(
            "the cluster at {server} does not know PaymentClusters: Purser is not installed there (its definitions are in crds/ and in the chart)"
        ),
        (409, _) => format!("{resource}{named} in namespace \"{namespace}\" was changed by somebody else meanwhile"),
        (code, _) => {
            format!("cannot {verb} {resource}{named} in namespace \"{namespace}\": {} ({code})", status.message)
        }
    }
}

fn unanswered(asked: &Asked, server: &str, source: &kube::Error) -> String {
    match source {
        kube::Error::SerdeError(error) => format!(
            "cannot read what the API server says of {}: {error}; is kubectl-purser {} older than the operator?",
            asked.resource,
            env!("CARGO_PKG_VERSION")
        ),
        kube::Error::Auth(error) => format!("cannot log in to {server}: {error}"),
        other => format!("no cluster is reachable at {server}: {}", innermost(other)),
    }
}

/// The cause of the causes: the rest names layers of a client that nobody has heard of.
fn innermost(error: &kube::Error) -> String {
    let mut cause = error.source();
    let mut words = error.to_string();
    while let Some(deeper) = cause {
        words = deeper.to_string();
        cause = deeper.source();
    }
    words
}

/// Whether somebody else has changed the object since it was read.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn told(code: u16, reason: &str, message: &str) -> String {
        let status = Status::failure(message, reason).with_code(code).boxed();
        failed(kube::Error::Api(status))
    }

    fn failed(source: kube::Error) -> String {
        let asked = Asked { verb: "get", resource: CLUSTERS, name: Some("payments".into()), namespace: "shop".into() };
        Failure::Api(Box::new(ApiFailure { asked, server: "https://api.example".into(), source })).to_string()
    }

    #[test]
    fn each_failure_is_a_sentence_that_names_what_was_asked() {
        let forbidden = told(403, "Forbidden", "User \"eve\" cannot");
        assert_eq!(
            forbidden,
            "you are forbidden to get paymentclusters.purser.dev \"payments\" in namespace \"shop\": User \"eve\" cannot"
        );
        assert!(told(404, "NotFound", "").contains("no paymentclusters.purser.dev \"payments\" in namespace \"shop\""));
        assert!(told(404, "Failed to parse error data", "404 page not found").contains("Purser is not installed"));
        assert!(told(401, "Unauthorized", "").contains("log in again"));
        assert!(told(409, "Conflict", "").contains("by somebody else"));
        assert!(told(500, "InternalError", "etcd is away").contains("etcd is away (500)"));
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let refused = failed(kube::Error::ReadEvents(refused));
        assert_eq!(refused, "no cluster is reachable at https://api.example: connection refused");
    }
}
