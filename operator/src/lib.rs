//! The operator of Purser: reconciles PaymentCluster and PaymentProvider.
//!
//! Reading order: [`cluster`] is the pipeline observe → validate → plan → apply → report; [`workloads`],
//! [`migration`], [`backup`], [`archive`], [`replica`], [`maintenance`] and [`settings`] build what it applies; [`provider`] is the small reconcile beside it;
//! [`controllers`] wires both to watches. [`plugin`] is another program, `kubectl purser`.
//!
//! Invariants: nothing is remembered outside the cluster; the spec is never written; the operator opens no database
//! connection, it runs Jobs of the runtime's image; at rest it writes nothing but its lease.

pub mod admin;
pub mod analytics;
pub mod archive;
pub mod backup;
pub mod checks;
pub mod client;
pub mod cluster;
pub mod config;
pub mod context;
pub mod controllers;
pub mod courier;
pub mod error;
pub mod figures;
#[cfg(test)]
mod gitops;
pub mod health;
pub mod jobs;
pub mod lease;
pub mod maintenance;
pub mod metrics;
pub mod migration;
pub mod names;
pub mod notifications;
pub mod owned;
pub mod plugin;
pub mod post;
pub mod provider;
pub mod replica;
pub mod rest;
pub mod secrets;
pub mod settings;
pub mod sla;
pub mod status;
pub mod telemetry;
pub mod tenure;
pub mod trace;
pub mod workloads;
