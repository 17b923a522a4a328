//! The exchange of a client's id and secret for a token, as OAuth 2.0 has it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::providers::{HttpRequest, HttpResponse, Token, TokenError, Unsupported};

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: u64,
}

/// The credential is `CLIENT_ID:SECRET`.
pub(super) fn exchange(credential: &SecretString) -> Result<HttpRequest, Unsupported> {
    let pair = credential.expose_secret().trim();
    if !pair.split_once(':').is_some_and(|(id, secret)| !id.is_empty() && !secret.is_empty()) {
        return Err(Unsupported::Unsendable);
    }
    let mut basic = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
        .map_err(|_| Unsupported::Unsendable)?;
    basic.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, basic);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let body = "grant_type=client_credentials".into();
    Ok(HttpRequest { method: Method::POST, path: "/v1/oauth2/token".into(), headers, body })
}

/// The token in the answer. The answer itself is never told: it may hold a token that could not be read.
pub(super) fn token(response: &HttpResponse) -> Result<Token, TokenError> {
    let status = response.status;
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        return Err(TokenError::Refused(status.to_string()));
    }
    if status != StatusCode::OK {
        return Err(TokenError::Unreadable(status.to_string()));
    }
    match serde_json::from_slice::<Grant>(&response.body) {
        Ok(Grant { access_token, expires_in }) if !access_token.is_empty() => {
            Ok(Token { secret: access_token.into(), expires_in_s: expires_in })
        }
        _ => Err(TokenError::Unreadable(status.to_string())),
    }
}
