//! The little that the operator and the runtime must agree on: the documents the operator writes and
//! the runtime reads, the reports the runtime gives back, and the names both sides use.
//!
//! Serialisation only. Whatever needs a clock, a socket or a decision belongs to one of the two programs.

pub mod commands;
pub mod config;
pub mod figures;
pub mod health;
pub mod labels;
pub mod paths;
pub mod ports;
pub mod provider;
pub mod report;
pub mod role;
pub mod settings;

pub use config::{Environment, FraudConfig, OnDeadline, RuntimeConfig, WebhooksConfig};
pub use figures::{Counts, Figures, PodFigures, ReleaseFigures, Slice, Summary, Times};
pub use health::{Check, Health};
pub use provider::ProviderName;
pub use report::{Archived, CdcReport, JobReport, MigrationPlan, Outcome, Reason};
pub use role::Role;
pub use settings::{CacheTtl, Limits, Maintenance, ProviderSettings, Settings};
