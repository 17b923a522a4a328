//! Looks at Secrets by name. Their values are checked for being there, and never kept; only the URL of a notification is read,
//! when something is sent there.

use crds::SecretKey;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};

/// What is known of a key in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// There, in this version of the Secret.
    Present {
        /// `metadata.resourceVersion` of the Secret.
        revision: String,
    },
    /// No such Secret.
    Missing,
    /// The Secret lacks the key.
    KeyMissing,
    /// The key has no value.
    Empty,
    /// The API server does not let the operator read it.
    Forbidden,
}

impl SecretState {
    /// The Secret's version; empty when there is nothing to speak of.
    #[must_use]
    pub fn revision(&self) -> &str {
        match self {
            Self::Present { revision } => revision,
            Self::Missing | Self::KeyMissing | Self::Empty | Self::Forbidden => "",
        }
    }

    /// What is wrong, as a reason and a sentence; `None` when all is well.
    #[must_use]
    pub fn problem(&self, key: &SecretKey, namespace: &str) -> Option<(&'static str, String)> {
        let SecretKey { name, key } = key;
        match self {
            Self::Present { .. } => None,
            Self::Missing => {
                Some(("SecretMissing", format!("there is no Secret \"{name}\" in namespace \"{namespace}\"")))
            }
            Self::KeyMissing => Some(("SecretKeyMissing", format!("Secret \"{name}\" has no key \"{key}\""))),
            Self::Empty => Some(("SecretKeyEmpty", format!("key \"{key}\" of Secret \"{name}\" has no value"))),
            Self::Forbidden => {
                Some(("SecretForbidden", format!("the operator may not read Secret \"{name}\"; see its ClusterRole")))
            }
        }
    }
}

/// The first of these that is not as it has to be, with the field that names it: a reason and a sentence.
#[must_use]
pub fn first_problem(
    seen: &[(&'static str, SecretKey, SecretState)],
    namespace: &str,
) -> Option<(&'static str, String)> {
    seen.iter().find_map(|(field, key, state)| {
        let (reason, message) = state.problem(key, namespace)?;
        Some((reason, format!("{message}, which {field} names")))
    })
}

/// Looks at one key.
///
/// # Errors
/// When the API server does not answer the question.
pub async fn look(api: &Api<Secret>, key: &SecretKey) -> Result<SecretState, kube::Error> {
    Ok(find(api, key).await?.map_or_else(|state| state, |(revision, _)| SecretState::Present { revision }))
}

/// The value of one key, or what is wrong with it.
///
/// # Errors
/// When the API server does not answer the question.
pub async fn read(api: &Api<Secret>, key: &SecretKey) -> Result<Result<Vec<u8>, SecretState>, kube::Error> {
    Ok(find(api, key).await?.map(|(_, value)| value))
}

/// Version of the Secret and value of the key.
async fn find(api: &Api<Secret>, key: &SecretKey) -> Result<Result<(String, Vec<u8>), SecretState>, kube::Error> {
    let secret = match api.get_opt(&key.name).await {
        Ok(None) => return Ok(Err(SecretState::Missing)),
        Ok(Some(secret)) => secret,
        Err(kube::Error::Api(status)) if status.is_forbidden() => return Ok(Err(SecretState::Forbidden)),
        Err(error) => return Err(error),
    };
    let revision = secret.resource_version().unwrap_or_default();
    Ok(match secret.data.unwrap_or_default().remove(&key.key) {
        None => Err(SecretState::KeyMissing),
        Some(value) if value.0.is_empty() => Err(SecretState::Empty),
        Some(value) => Ok((revision, value.0)),
    })
}
