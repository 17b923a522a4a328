//! The local Kubernetes cluster, the images that run on it, and the control planes that tests start.
//!
//! - [`cluster`]: a real Kubernetes of one node on this machine, built from its published modules.
//! - [`control_plane`]: etcd, API server and controller manager for one test binary, gone when it ends.
//! - [`images`]: what runs on the cluster, built from the repository.
//! - [`tools`]: kubectl and helm.
//! - [`audit`] and [`rights`]: what the operator did, and whether it may do no more than that.
//! - [`testers`]: programs of others that the tests ask.
//! - [`fleet`]: what the operator costs where many PaymentClusters are at rest.
//! - [`processes`]: the platform as plain processes, without Kubernetes; [`bench`] measures it, [`torture`] kills it.

pub mod audit;
pub mod bench;
pub mod chance;
pub mod cluster;
mod command;
pub mod control_plane;
mod endpoint;
pub mod fleet;
pub mod images;
pub mod packages;
pub mod paths;
pub mod platform;
pub mod processes;
pub mod progress;
pub mod releases;
pub mod rights;
pub mod testers;
pub mod tools;
pub mod torture;
pub mod verdicts;

pub use paths::Paths;

/// Chooses the one implementation of TLS that all crates here share. Calling it twice is fine.
pub fn install_crypto() {
    // The error says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
