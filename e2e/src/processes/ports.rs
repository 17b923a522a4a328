//! Ports to listen on that stay free while their server is down.

use std::net::TcpListener;

use anyhow::{Context as _, Result};

/// Below the ports that the kernel gives to outgoing connections: one of those could take the port of a server that was
/// killed before it is started again.
const FIRST: u16 = 15_000;
const LAST: u16 = 32_000;

/// Hands out each port once.
#[derive(Debug)]
pub struct Ports {
    next: u16,
}

impl Ports {
    /// Begins at a place that depends on the process, so that two runs seldom meet.
    #[must_use]
    pub fn new() -> Self {
        let places = u32::from(LAST - FIRST);
        Self { next: FIRST + u16::try_from(std::process::id().wrapping_mul(61) % places).unwrap_or(0) }
    }

    /// A port of the loopback that nobody listens on.
    ///
    /// # Errors
    /// When every port is taken.
    pub fn take(&mut self) -> Result<u16> {
        for _ in FIRST..LAST {
            let port = self.next;
            self.next = if port + 1 < LAST { port + 1 } else { FIRST };
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Ok(port);
            }
        }
        None.context("no free port")
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self::new()
    }
}
