//! The platform on a real node: pods that run, a network, volumes, kill signals. One module per story.
//!
//! The stories share one node and two cores, so they run one after the other; see [`fixture::platform`].

mod at_rest;
mod bad_input;
mod configurations;
mod crashes;
mod databases;
mod first_payment;
mod fixture;
mod live_settings;
mod money_path;
mod outages;
mod processes;
mod releases;
mod repair;
mod schema;
mod staging;
mod taken_away;
mod tls;
