//! Bodies of requests: limited, read in time, checked for card numbers, and parsed strictly.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::problem::Problem;
use crate::payment_methods::card_number;

/// Sixty times what the longest sensible payment needs.
const BYTES_MAX: usize = 64 * 1024;
/// How much of a body that is too large is read and dropped, so that its sender gets to see the answer.
const DRAINED_MAX: usize = 4 * 1024 * 1024;
/// How long a sender may take.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// A JSON document of this shape.
pub(super) struct Document<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&read_in_time(request).await?).map(Self)
    }
}

/// A JSON document of this shape, where no body at all means one without any field.
pub(super) struct OptionalDocument<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Sync> FromRequest<S> for OptionalDocument<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read_in_time(request).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&bytes).map(Self) }
    }
}

/// A body as it came, of a sender whose signature is over its bytes. It is kept nowhere, so card numbers are not looked for.
pub(super) struct Raw(pub(super) Vec<u8>);

impl<S: Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read_in_time(request).await.map(Self)
    }
}

async fn read_in_time(request: Request) -> Result<Vec<u8>, Problem> {
    check_content_type(request.headers())?;
    let late = || Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive within 10 s");
    tokio::time::timeout(READ_LIMIT, read(request)).await.map_err(|_| late())?
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let is_json =
        |text: &str| text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if given.is_none_or(is_json) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "the body must be application/json")
        .param("Content-Type"))
}

async fn read(request: Request) -> Result<Vec<u8>, Problem> {
    let mut stream = request.into_body().into_data_stream();
    let mut bytes = Vec::new();
    let mut dropped = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("body_incomplete", "the body broke off"))?;
        if bytes.len() + chunk.len() <= BYTES_MAX && dropped == 0 {
            bytes.extend_from_slice(&chunk);
            continue;
        }
        dropped += chunk.len();
        if dropped > DRAINED_MAX {
            break;
        }
    }
    if dropped > 0 {
        let detail = format!("the body must be at most {BYTES_MAX} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
    }
    Ok(bytes)
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::bad_request("invalid_utf8", "the body is not UTF-8"))?;
    let document: Value = serde_json::from_str(text)
        .map_err(|error| Problem::bad_request("invalid_json", format!("the body is not JSON: {error}")))?;
    // Before anything that could repeat a part of the body in an error.
    if card_number::stands_in(&document) {
        return Err(Problem::bad_request(
            "card_number_refused",
            "the request holds what looks like a card number; only the provider's token for a card may be sent",
        ));
    }
    // PostgreSQL keeps no text with it. Nearly no body has the escape at all, so the document is looked through only then.
    if text.contains("\\u0000") && holds_nul(&document) {
        return Err(Problem::bad_request("invalid_request", "the body must not contain the character U+0000"));
    }
    // Serde would also take the fields in an array, by their places.
    if !document.is_object() {
        return Err(Problem::bad_request("invalid_request", "the body must be a JSON object"));
    }
    let deserializer = &mut serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let param = field(&error.path().to_string(), &error.inner().to_string());
        Problem::bad_request("invalid_request", error.inner().to_string()).param(param)
    })
}

fn holds_nul(document: &Value) -> bool {
    match document {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// For a field that is an object: its fields, and not in an array by their places, which serde would take too.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Fields<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Fields(PhantomData))
}

/// The field that is meant. For a field that is missing or unknown, serde names it in the message only.
fn field(path: &str, message: &str) -> String {
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .into_iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    match (path, named) {
        (".", Some(name)) => name.to_owned(),
        (path, Some(name)) if path != name && !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_postgresql_cannot_keep_is_refused_wherever_it_stands() {
        for body in [r#"{"a": "x\u0000"}"#, r#"{"a": [{"b": "\u0000"}]}"#, r#"{"\u0000": 1}"#] {
            assert!(parse::<Value>(body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse::<Value>(br#"{"a": "the text \\u0000"}"#).is_ok());
    }
}
