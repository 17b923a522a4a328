//! Which answer leads where: what one operation gives is what another one takes. Clients are written, and tests walk, along these.

use serde_json::{Value, json};

use super::operations;

const ID: &str = "$response.body#/id";
const PAYMENT: &str = "$response.body#/payment_id";
/// The newest of a list.
const FIRST: &str = "$response.body#/data/0/id";

/// Operation and statuses of its answers, and the links from them.
type From = (&'static str, &'static [&'static str], Vec<Link>);

struct Link {
    name: &'static str,
    /// The operation that it leads to.
    to: &'static str,
    parameters: Value,
    body: Option<Value>,
}

/// A link by the name of the operation that it leads to.
const fn to(operation: &'static str, parameters: Value) -> Link {
    Link { name: operation, to: operation, parameters, body: None }
}

/// To an operation on the thing itself.
fn its(operation: &'static str) -> Link {
    to(operation, json!({ "id": ID }))
}

/// To a change of the thing itself, whoever changed it meanwhile.
fn change(operation: &'static str) -> Link {
    to(operation, json!({ "id": ID, "If-Match": "*" }))
}

impl Link {
    fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    fn document(&self) -> Value {
        let mut link = json!({ "operationId": self.to });
        if self.parameters.as_object().is_some_and(|parameters| !parameters.is_empty()) {
            link["parameters"] = self.parameters.clone();
        }
        if let Some(body) = &self.body {
            link["requestBody"] = body.clone();
        }
        link
    }
}

fn links() -> Vec<From> {
    vec![
        ("create_user", &["201"], of_user()),
        ("create_payment_method", &["201"], of_payment_method()),
        ("create_payment", &["201", "202"], of_payment()),
        ("create_capture", &["201", "202"], of_capture()),
        ("create_refund", &["201", "202"], vec![its("get_refund"), to("get_payment", json!({ "id": PAYMENT }))]),
        ("create_webhook_endpoint", &["201"], of_webhook_endpoint()),
        ("list_users", &["200"], vec![to("get_user", json!({ "id": FIRST }))]),
        ("list_payments", &["200"], vec![to("get_payment", json!({ "id": FIRST }))]),
        ("list_captures", &["200"], vec![to("get_capture", json!({ "id": "$request.path.id", "capture_id": FIRST }))]),
        ("list_refunds", &["200"], vec![to("get_refund", json!({ "id": FIRST }))]),
        ("list_events", &["200"], vec![to("get_event", json!({ "id": FIRST }))]),
    ]
}

fn of_user() -> Vec<Link> {
    let card = json!({ "user_id": ID, "type": "CREDIT_CARD", "token": "pm_card_visa", "expiry_month": 12, "expiry_year": 2090 });
    vec![
        its("get_user"),
        its("get_user_statistics"),
        change("update_user"),
        to("list_payment_methods", json!({ "user_id": ID })),
        to("create_payment_method", json!({})).with(card),
    ]
}

fn of_payment_method() -> Vec<Link> {
    let payment = |name, capture_method| {
        let body = json!({
            "payment_method_id": ID, "user_id": "$response.body#/user_id",
            "amount": "10.50", "currency": "USD", "capture_method": capture_method,
        });
        Link { name, to: "create_payment", parameters: json!({}), body: Some(body) }
    };
    vec![
        its("get_payment_method"),
        change("update_payment_method"),
        its("detach_payment_method"),
        payment("create_payment", "AUTOMATIC"),
        payment("create_held_payment", "MANUAL"),
    ]
}

fn of_payment() -> Vec<Link> {
    vec![
        its("get_payment"),
        its("list_payment_attempts"),
        its("create_capture").with(json!({ "amount": "4.20", "final": false })),
        its("list_captures"),
        its("cancel_payment"),
        to("create_refund", json!({})).with(json!({ "payment_id": ID, "amount": "4.20" })),
        to("list_refunds", json!({ "payment_id": ID })),
        to("list_events", json!({ "payment_id": ID })),
    ]
}

fn of_capture() -> Vec<Link> {
    vec![
        to("get_capture", json!({ "id": PAYMENT, "capture_id": ID })),
        to("create_refund", json!({})).with(json!({ "payment_id": PAYMENT, "amount": "4.20" })),
        to("cancel_payment", json!({ "id": PAYMENT })),
    ]
}

fn of_webhook_endpoint() -> Vec<Link> {
    vec![
        its("get_webhook_endpoint"),
        change("update_webhook_endpoint"),
        its("rotate_webhook_secret"),
        its("enable_webhook_endpoint"),
        its("replay_events").with(json!({ "from": "$response.body#/created_at" })),
        its("delete_webhook_endpoint"),
    ]
}

pub(super) fn add(document: &mut Value) {
    let links = links();
    for (.., operation) in operations(document) {
        let name = operation["operationId"].as_str().unwrap_or_default();
        let Some((_, statuses, links)) = links.iter().find(|(from, ..)| *from == name) else { continue };
        for status in *statuses {
            let Some(response) = operation["responses"].get_mut(*status) else { continue };
            for link in links {
                response["links"][link.name] = link.document();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_begins_at_an_answer_that_is_documented() {
        let (_, described) = crate::gateway::router::described().split_for_parts();
        let document = crate::gateway::openapi::complete(&described);
        for (from, statuses, links) in links() {
            let operation = document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
            let operation =
                operation.map(|(_, operation)| operation).find(|operation| operation["operationId"] == from);
            for status in statuses {
                let found = operation.unwrap_or_else(|| panic!("{from}"))["responses"][status]["links"].as_object();
                assert_eq!(found.map(serde_json::Map::len), Some(links.len()), "{from} {status}");
            }
        }
    }
}
