//! Validation rules on single types, for schemas that the derive of `kube` cannot carry (types with a default as a whole).

use serde_json::{Value, json};

/// The value of `x-kubernetes-validations` with one CEL rule, and the sentence that a refused person reads.
pub(crate) fn rule(cel: &str, message: &str) -> Value {
    json!([{ "rule": cel, "message": message }])
}
