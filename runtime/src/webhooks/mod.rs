//! Webhooks: telling merchants of events at addresses of their choice.
//!
//! An event and the rows of `webhook_deliveries` that it is told by are written in the commit of what happened. A
//! [`dispatch`]er owns an endpoint for a while, posts what is due, and deletes what was answered with 2xx. Told twice is
//! possible, and the `webhook-id` is then the same; not told is not. Of one payment events come in order.

pub mod address;
pub mod bell;
pub mod dispatch;
pub mod endpoint;
pub mod metrics;
mod notice;
pub mod replay;
pub mod resolver;
pub mod schedule;
pub mod secret;
pub mod sender;
pub mod store;

pub use bell::Bell;
pub use endpoint::{EndpointStatus, NewEndpoint, WebhookEndpoint};
