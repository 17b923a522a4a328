//! The platform as plain processes of this machine: PostgreSQL, Redis, providers and every role, each of which can be
//! killed and started again. What `bench` and `torture` stand on; no Kubernetes is needed.

mod platform;
mod ports;
mod postgres;
mod process;
mod provider;
mod redis;

pub(crate) use platform::NEW_ID_AT;
pub use platform::{Layout, Platform, RoleProcess, Seeds};
pub use ports::Ports;
pub use postgres::{Postgres, Settings as PostgresSettings};
pub use process::{Process, Spec, Usage, usage_of};
pub use provider::{Provider, ProviderLayout};
pub use redis::Redis;
