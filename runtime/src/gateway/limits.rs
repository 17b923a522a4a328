//! Turns away what is too much: of one merchant, or of everything. Stands before the endpoints, and looks at requests that
//! bear a known key; the others are refused by the endpoints themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use runtime_contract::Limits;

use super::Gateway;
use super::auth::api_key;
use super::problem::Problem;
use crate::limits::{Class, Load, Quota, Rate, Verdict};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Requests in work in one process, those that wait for a payment's end among them: a few tens of megabytes.
const IN_WORK_MAX: usize = 2000;

/// Counts what is in work.
#[derive(Clone, Default)]
pub(super) struct InWork(Arc<AtomicUsize>);

struct Working(Arc<AtomicUsize>);

impl InWork {
    fn begin(&self) -> (usize, Working) {
        (self.0.fetch_add(1, Ordering::Relaxed), Working(self.0.clone()))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an answer says of its merchant's rate. It travels in the response's extensions to the outermost layer, as problems do.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    rate: Rate,
    concurrent: u32,
    quota: Quota,
}

impl Shown {
    /// Writes the headers: draft-ietf-httpapi-ratelimit-headers.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let Rate { per_second, burst } = self.rate;
        let window_s = (burst / per_second).ceil().max(1.0);
        let policy = format!(
            "\"requests\";q={burst:.0};w={window_s:.0}, \"concurrency\";q={};qu=\"concurrent-requests\"",
            self.concurrent
        );
        let left = format!("\"requests\";r={};t={}", self.quota.remaining, whole_seconds(self.quota.reset_after));
        for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

/// Lets a request through, or turns it away.
pub(super) async fn guard(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    let Some(key) = api_key(request.headers()) else { return next.run(request).await };
    // A database that does not answer is the endpoint's to tell.
    let Ok(Some(merchant)) = gateway.app.copies.merchant(key.hash()).await else { return next.run(request).await };
    let id = merchant.id;
    request.extensions_mut().insert(merchant);
    let template = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let class = Class::of(request.method(), template);
    let refuse = |reason: &str, problem: Problem| {
        gateway.app.metrics.refused_requests.with_label_values(&[reason, class.as_str()]).inc();
        problem.into_response()
    };
    let (in_work, _working) = gateway.in_work.begin();
    if class.is_shed(load(in_work, gateway.intake.fullness())) {
        return refuse("load", overloaded());
    }
    let settings = gateway.app.settings.current();
    // Before the first settings nothing says how much is too much.
    if settings.revision == 0 {
        return next.run(request).await;
    }
    let Limits { requests_per_second, burst, concurrent_requests } = settings.limits;
    let rate = Rate::new(requests_per_second, burst);
    let shown = |quota| Shown { rate, concurrent: concurrent_requests, quota };
    let quota = match gateway.limiter.take(id, rate).await {
        Verdict::Passes(quota) => quota,
        Verdict::Refused { quota, retry_after } => {
            return with(refuse("rate", rate_limited(requests_per_second, retry_after)), shown(quota));
        }
    };
    let Some(_place) = gateway.limiter.place(id, concurrent_requests) else {
        return with(refuse("concurrency", too_many_at_once(concurrent_requests)), shown(quota));
    };
    with(next.run(request).await, shown(quota))
}

fn with(mut response: Response, shown: Shown) -> Response {
    response.extensions_mut().insert(shown);
    response
}

fn load(in_work: usize, waiting: f64) -> Load {
    let share = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    Load { in_work: share(in_work) / share(IN_WORK_MAX), waiting }
}

fn overloaded() -> Problem {
    let detail = "the platform has more to do than it can; send the same request again, with the same Idempotency-Key";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(1)
}

fn rate_limited(per_second: u32, retry_after: Duration) -> Problem {
    let detail = format!("this merchant may make {per_second} requests per second");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(whole_seconds(retry_after).max(1))
}

fn too_many_at_once(places: u32) -> Problem {
    let detail = format!("this merchant may have {places} requests in work at the same time");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_at_once", detail).retry_after(1)
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
