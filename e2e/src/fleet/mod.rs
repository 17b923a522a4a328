//! What the operator costs where many PaymentClusters are at rest: memory, writes, and how soon it knows of each of them, after it was
//! started again, that nothing is to be done: it has looked at it, or found it as it was left. The API server and its etcd are real; nodes, the controllers of Deployments and Jobs, and what pods say of
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
