//! Query strings: parsed strictly, as bodies are. A parameter that does not exist is refused, so that a misspelt filter
//! does not show everything.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::payment_methods::card_number;

/// The query parameters of this shape.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    // Before anything that could repeat a part of it in an error.
    if pairs.iter().any(|(name, value)| card_number::stands_in_text(name) || card_number::stands_in_text(value)) {
        return Err(card_number_refused());
    }
    if pairs.iter().any(|(_, value)| value.contains('\0')) {
        return Err(Problem::bad_request("invalid_parameter", "a parameter must not contain the character U+0000"));
    }
    let uri = format!("/?{query}").parse().map_err(|_| Problem::bad_request("invalid_parameter", "no query string"))?;
    let parsed = axum::extract::Query::try_from_uri(&uri);
    parsed.map(|axum::extract::Query(params)| params).map_err(|rejection| {
        let text = rejection.body_text();
        let detail = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text).to_owned();
        let param = named(&detail).map(str::to_owned);
        let problem = Problem::bad_request("invalid_parameter", detail);
        match param {
            Some(param) => problem.param(param),
            None => problem,
        }
    })
}

/// What is said where a card number stands in a request.
pub(super) fn card_number_refused() -> Problem {
    Problem::bad_request(
        "card_number_refused",
        "the request holds what looks like a card number; only the provider's token for a card may be sent",
    )
}

/// The parameter that an error is about.
fn named(detail: &str) -> Option<&str> {
    let quoted = ["unknown field `", "duplicate field `", "missing field `"];
    let rest = quoted.into_iter().find_map(|start| detail.strip_prefix(start));
    rest.and_then(|rest| rest.split('`').next()).or_else(|| detail.split_once(": ").map(|(param, _)| param))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filters {
        limit: Option<u32>,
        #[serde(rename = "created[gte]")]
        created_gte: Option<String>,
    }

    #[test]
    fn a_parameter_is_refused_by_its_name() {
        let good: Filters = parse("limit=3&created%5Bgte%5D=2026-01-01T00:00:00Z").unwrap();
        assert_eq!((good.limit, good.created_gte.as_deref()), (Some(3), Some("2026-01-01T00:00:00Z")));
        for (query, param) in [("limit=many", "limit"), ("limt=3", "limt"), ("limit=1&limit=2", "limit")] {
            let problem = format!("{:?}", parse::<Filters>(query).unwrap_err());
            assert!(problem.contains(&format!("param: Some(\"{param}\")")), "{problem}");
        }
        for query in ["created[gte]=4242424242424242", "4242-4242-4242-4242=1"] {
            let problem = format!("{:?}", parse::<Filters>(query).unwrap_err());
            assert!(problem.contains("card_number_refused") && !problem.contains("4242"), "{problem}");
        }
    }
}
