//! The document that describes the API, as it is served.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::gateway::TestGateway;

async fn document(gateway: &TestGateway) -> Value {
    reqwest::get(format!("{}/v1/openapi.json", gateway.url)).await.unwrap().json().await.unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    operations.collect()
}

/// Every `$ref` below a value.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(target) if key == "$ref" => vec![target.to_owned()],
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn the_document_is_served_without_a_key_and_has_no_loose_ends() {
    let gateway = TestGateway::new().await;
    let document = document(&gateway).await;
    assert_eq!(document["openapi"], "3.1.0");
    for target in references(&document) {
        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target} leads nowhere");
    }
    let mut names: Vec<&str> =
        operations(&document).iter().map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "each operation has a name of its own");
}

#[tokio::test]
async fn every_operation_documents_its_key_and_the_problems_it_can_meet() {
    let gateway = TestGateway::new().await;
    let document = document(&gateway).await;
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        for status in ["400", "429", "500", "503"] {
            assert!(responses.contains_key(status), "{name}: {status}");
        }
        if name.contains("provider-webhooks") {
            continue;
        }
        assert!(operation["security"][0].is_object() && responses.contains_key("401"), "{name}");
        let keyed = references(&operation["parameters"]).iter().any(|target| target.ends_with("/IdempotencyKey"));
        assert_eq!(keyed, name.starts_with("post ") && !name.contains("/admin/"), "{name}");
    }
}

#[tokio::test]
async fn the_page_for_people_shows_every_operation_and_needs_nothing_from_elsewhere() {
    let gateway = TestGateway::new().await;
    let page = reqwest::get(format!("{}/docs", gateway.url)).await.unwrap().text().await.unwrap();
    for (name, operation) in operations(&document(&gateway).await) {
        let path = name.split(' ').nth(1).unwrap();
        let summary = operation["summary"].as_str().unwrap().replace('\'', "&#39;");
        assert!(page.contains(path) && page.contains(&summary), "{name}");
    }
    // An address may stand there as an example; nothing may be fetched from one.
    for fetched in ["<script", "<link", "<img", "src=\"http", "href=\"http", "url(", "@import"] {
        assert!(!page.contains(fetched), "{fetched}");
    }
}

/// A schema with what it refers to in its place.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"].as_str().map_or(value, |target| document.pointer(target.trim_start_matches('#')).unwrap())
}

#[tokio::test]
async fn every_link_leads_to_an_operation_that_takes_what_it_gives() {
    let gateway = TestGateway::new().await;
    let document = document(&gateway).await;
    let operations = operations(&document);
    let responses = operations.iter().flat_map(|(_, operation)| operation["responses"].as_object().unwrap().values());
    let links: Vec<&Value> =
        responses.filter_map(|response| response["links"].as_object()).flat_map(|links| links.values()).collect();
    assert!(links.len() > 40, "{}", links.len());
    for link in links {
        let target = operations.iter().find(|(_, operation)| operation["operationId"] == link["operationId"]);
        let (name, target) = target.unwrap_or_else(|| panic!("{link} leads nowhere"));
        let parameters = target["parameters"].as_array().unwrap();
        let names: Vec<&Value> = parameters.iter().map(|parameter| &resolved(&document, parameter)["name"]).collect();
        for given in link["parameters"].as_object().into_iter().flat_map(|given| given.keys()) {
            assert!(names.iter().any(|name| **name == **given), "{name} takes no {given}: {names:?}");
        }
        let schema = resolved(&document, &target["requestBody"]["content"]["application/json"]["schema"]);
        for given in link["requestBody"].as_object().into_iter().flat_map(|given| given.keys()) {
            assert!(schema["properties"][given].is_object(), "{name} takes no {given}");
        }
    }
}
