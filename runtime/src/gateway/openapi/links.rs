//! Which answer leads where: the id that one operation gives is what another one takes. Tests walk along these.

use serde_json::{Value, json};

use super::operations;

/// Operation, statuses of its answer, and where it leads: operation, the parameter it takes, and the id's place in the answer.
type From = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str, &'static str)]);

const ID: &str = "$response.body#/id";

const LINKS: &[From] = &[
    ("create_user", &["201"], &[("get_user", "id", ID), ("update_user", "id", ID)]),
    (
        "create_payment_method",
        &["201"],
        &[("get_payment_method", "id", ID), ("update_payment_method", "id", ID), ("detach_payment_method", "id", ID)],
    ),
    (
        "create_payment",
        &["201", "202"],
        &[
            ("get_payment", "id", ID),
            ("list_payment_attempts", "id", ID),
            ("create_capture", "id", ID),
            ("list_captures", "id", ID),
            ("cancel_payment", "id", ID),
            ("list_refunds", "payment_id", ID),
            ("list_events", "payment_id", ID),
        ],
    ),
    ("create_refund", &["201", "202"], &[("get_refund", "id", ID)]),
    (
        "create_webhook_endpoint",
        &["201"],
        &[
            ("get_webhook_endpoint", "id", ID),
            ("update_webhook_endpoint", "id", ID),
            ("rotate_webhook_secret", "id", ID),
            ("enable_webhook_endpoint", "id", ID),
            ("replay_events", "id", ID),
            ("delete_webhook_endpoint", "id", ID),
        ],
    ),
];

pub(super) fn add(document: &mut Value) {
    let known: Vec<String> = operations(document)
        .filter_map(|(.., operation)| Some(operation["operationId"].as_str()?.to_owned()))
        .collect();
    for (.., operation) in operations(document) {
        let name = operation["operationId"].as_str().unwrap_or_default();
        let Some((_, statuses, targets)) = LINKS.iter().find(|(from, ..)| *from == name) else { continue };
        for status in *statuses {
            let Some(response) = operation["responses"].get_mut(*status) else { continue };
            for (target, parameter, place) in targets.iter().filter(|(target, ..)| known.iter().any(|k| k == target)) {
                response["links"][*target] = json!({ "operationId": target, "parameters": { *parameter: place } });
            }
        }
    }
}
