//! What the operator costs where many PaymentClusters are at rest: memory, writes, and how soon it has looked at all of them after it
//! was started again. The API server and its etcd are real; nodes, the controllers of Deployments and Jobs, and what pods say of
//! themselves are played.

mod answers;
mod made;
mod operator;
mod player;
mod run;

pub use player::succeeded;
pub use run::{Options, run};

/// The release of every PaymentCluster.
const RELEASE: &str = "0.1.0";
