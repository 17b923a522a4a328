//! The payment runtime: the program `purser`, one subcommand per role. It knows nothing of Kubernetes.
//!
//! One payment: [`gateway`] accepts it in one commit ([`payments`], [`idempotency`], a row of the [`queue`]); a
//! [`processor`] claims it, asks [`fraud`] within its deadline, then a provider through its adapter
//! ([`providers`]), and ends it in one commit; [`rollup`] turns the minute into figures.

// Values: no IO, no clock.
pub mod ids;
pub mod money;
pub mod pace;
pub mod page;

// Nouns.
pub mod events;
pub mod idempotency;
pub mod ledger;
pub mod merchants;
pub mod operations;
pub mod payment_methods;
pub mod payments;
pub mod users;

// What those who run the platform do to it.
pub mod administration;

// Roles.
pub mod fraud;
pub mod gateway;
pub mod processor;
pub mod provider_webhooks;
pub mod providers;
pub mod queue;
pub mod roles;
pub mod rollup;
pub mod simulator;
pub mod webhooks;

// What roles stand on.
pub mod admin;
pub mod app;
pub mod cache;
pub mod config;
pub mod database;
pub mod figures;
pub mod limits;
pub mod live_settings;
pub mod metrics;
pub mod partitions;
pub mod replica;
pub mod shutdown;
pub mod storage;
pub mod telemetry;

// Commands.
pub mod archive;
pub mod backup;
pub mod cdc;
pub mod checks;
mod cli;
pub mod maintenance;
pub mod migrate;
pub mod program;
pub mod report;
pub mod settings_apply;
