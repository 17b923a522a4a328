//! What every operation has in common: the key, the request's id, the limits, and the problems that any of them can meet.

use serde_json::{Value, json};
use utoipa::PartialSchema;

use super::operations;
use crate::gateway::problem;

/// Name of the security scheme of merchants.
const API_KEY: &str = "api_key";
/// Name of the security scheme of those who run the platform.
const ADMIN_TOKEN: &str = "admin_token";
const ADMIN_PATHS: &str = "/v1/admin/";
/// Paths that are called without a key of ours: their callers sign.
const SIGNED_PATHS: &str = "/v1/provider-webhooks/";

/// The problems that operations meet without saying so: status, name and sentence.
const PROBLEMS: [(&str, &str, &str); 14] = [
    ("400", "BadRequest", "The request cannot be read: a header, parameter or field is missing, unknown or malformed."),
    ("401", "Unauthorized", "No key, or one that is not known."),
    (
        "403",
        "Forbidden",
        "The merchant is suspended, and may only refund, cancel and read; or it is inactive, and may only read.",
    ),
    ("404", "NotFound", "There is no such thing, or it is another merchant's."),
    ("408", "TooSlow", "The body did not arrive in time."),
    ("409", "Conflict", "It cannot be done in the state that things are in."),
    ("412", "PreconditionFailed", "It was changed since it was read: If-Match does not hold."),
    ("413", "TooLarge", "The body is too large."),
    ("415", "UnsupportedMediaType", "The body is not application/json."),
    ("422", "Unprocessable", "The request can be read, but what it asks for cannot be done."),
    ("429", "RateLimited", "Too many requests; Retry-After says when to come again."),
    (
        "500",
        "Internal",
        "A failure of the platform. The same request, with the same Idempotency-Key, may be sent again.",
    ),
    (
        "503",
        "Unavailable",
        "The platform is overloaded or in maintenance, or its database does not answer. The same request may be sent again.",
    ),
    ("504", "Timeout", "No answer in time. The same request may be sent again."),
];

pub(super) fn add(document: &mut Value) {
    for (path, method, operation) in operations(document) {
        if path.starts_with(ADMIN_PATHS) {
            operation["security"] = json!([{ ADMIN_TOKEN: [] }]);
        } else if !path.starts_with(SIGNED_PATHS) {
            operation["security"] = json!([{ API_KEY: [] }]);
        }
        let writes = method != "get";
        if method == "post" && !path.starts_with(SIGNED_PATHS) && !path.starts_with(ADMIN_PATHS) {
            parameter(operation, "IdempotencyKey");
        }
        parameter(operation, "RequestId");
        headers(operation);
        problems(operation, writes, path.contains('{'));
    }
    let components = json!({
        "securitySchemes": security_schemes(),
        "parameters": parameters(),
        "headers": response_headers(),
        "responses": responses(),
    });
    merge(&mut document["components"], components);
    document["components"]["schemas"]["Problem"] =
        serde_json::to_value(problem::Document::schema()).unwrap_or_default();
}

/// Adds a reference to a shared parameter, unless the operation describes one with that name itself.
fn parameter(operation: &mut Value, name: &str) {
    let reference = json!({ "$ref": format!("#/components/parameters/{name}") });
    match operation.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(parameters) => parameters.push(reference),
        None => operation["parameters"] = json!([reference]),
    }
}

fn headers(operation: &mut Value) {
    let shared = ["x-request-id", "RateLimit-Policy", "RateLimit"];
    for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        for name in shared {
            response["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
        }
    }
}

/// Adds the problems that the operation did not describe itself, as far as it can meet them.
fn problems(operation: &mut Value, writes: bool, has_path_parameter: bool) {
    let has_body = operation.get("requestBody").is_some();
    for (status, name, _) in PROBLEMS {
        let can_meet = match status {
            "404" => has_path_parameter,
            "403" | "409" | "422" => writes,
            "408" | "413" | "415" => has_body,
            "412" => false,
            _ => true,
        };
        let own = operation["responses"].get(status).is_some();
        if can_meet && !own {
            operation["responses"][status] = json!({ "$ref": format!("#/components/responses/{name}") });
        } else if own && operation["responses"][status].get("content").is_none() {
            operation["responses"][status]["content"] = problem_content();
        }
    }
}

fn problem_content() -> Value {
    json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } })
}

fn responses() -> Value {
    let response = |(status, name, description): &(&str, &str, &str)| {
        let mut response = json!({ "description": description, "content": problem_content() });
        response["headers"]["x-request-id"] = json!({ "$ref": "#/components/headers/x-request-id" });
        if matches!(*status, "429" | "503") {
            response["headers"]["Retry-After"] = json!({ "$ref": "#/components/headers/Retry-After" });
        }
        ((*name).to_owned(), response)
    };
    Value::Object(PROBLEMS.iter().map(response).collect())
}

fn security_schemes() -> Value {
    json!({
        API_KEY: { "type": "http", "scheme": "bearer", "description": "The merchant's API key, psk_…" },
        ADMIN_TOKEN: { "type": "http", "scheme": "bearer", "description": "The token of those who run the platform." },
    })
}

fn parameters() -> Value {
    json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header", "required": true,
            "description": "New for each thing that is to be done; the same when a request is repeated. 1 to 255 visible ASCII characters.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
            "example": "order-4711",
        },
        "RequestId": {
            "name": "x-request-id", "in": "header", "required": false,
            "description": "Names the request in logs, where it is 1 to 128 letters, digits or - _ . : ; else a new one is made.",
            "schema": { "type": "string" },
        },
    })
}

fn response_headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "x-request-id": text("Names the request in logs."),
        "RateLimit-Policy": text("The limits of this key, as in draft-ietf-httpapi-ratelimit-headers."),
        "RateLimit": text("What is left of them."),
        "Retry-After": { "description": "Seconds after which to come again.", "schema": { "type": "integer", "minimum": 0 } },
        "Idempotent-Replayed": text("\"true\" when this is the answer to an earlier request with the same key."),
        "Location": text("Where the thing is."),
        "ETag": text("Changes whenever the thing does: for If-None-Match and If-Match."),
    })
}

/// Puts what is in `from` into `into`, object by object.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
