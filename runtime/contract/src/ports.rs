//! Ports of the runtime's pods, the same in every release.

/// The payment API of the gateway.
pub const GATEWAY: u16 = 8080;
/// The fraud check, asked by processors.
pub const FRAUD: u16 = 8081;
/// Health, readiness and Prometheus metrics, on every role.
pub const ADMIN: u16 = 9090;
/// The provider simulator.
pub const SIMULATOR: u16 = 8090;

/// Names of the ports in Services and container specs.
pub mod names {
    /// [`super::GATEWAY`] and [`super::FRAUD`]: the port a role serves its callers on.
    pub const HTTP: &str = "http";
    /// [`super::ADMIN`].
    pub const ADMIN: &str = "admin";
}
