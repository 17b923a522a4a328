//! The platform on a real node: pods that run, a network, volumes, kill signals. One module per story.
//!
//! The stories share one node and two cores, so they run one after the other; see [`fixture::platform`].

mod at_rest;
mod bad_input;
mod crashes;
mod first_payment;
mod fixture;
mod live_settings;
mod money_path;
mod releases;
mod repair;
mod schema;
mod taken_away;
mod tls;
