//! `e2e bench`: how many whole payments a second this machine takes, and what each of them costs, beside what the same
//! PostgreSQL does for `pgbench`.
//!
//! A payment is whole when it was answered over HTTP with its end, and its event was delivered: between the two lie the
//! fraud check, the provider, both commits and the ledger. Reference and product alternate in one run, so that a noisy
//! machine is noisy for both.

mod connection;
mod cost;
mod figures;
mod load;
mod open_loop;
mod pgbench;
mod receiver;
mod rows;
mod run;
mod statements;
mod times;
mod track;

pub use run::{Options, run};
