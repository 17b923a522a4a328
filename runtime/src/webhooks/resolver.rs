//! Names are resolved here, so that a name that leads inside is refused at the moment of each connection: a name server
//! may answer differently each time, and a look beforehand would prove nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

/// The addresses of a name, with port 0.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// Who resolves names.
pub type LookUp = Arc<dyn Fn(String) -> Lookup + Send + Sync>;

/// A name leads to private addresses only.
#[derive(Debug, thiserror::Error)]
#[error("{name} is at a private address, which is refused")]
pub struct PrivateAddress {
    name: String,
}

/// Resolves names, and leaves out private addresses unless they are allowed.
#[derive(Clone)]
pub(super) struct Guard {
    look_up: LookUp,
    allow_private: bool,
}

impl Guard {
    pub(super) fn new(look_up: LookUp, allow_private: bool) -> Self {
        Self { look_up, allow_private }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, allow_private) = (name.as_str().to_owned(), self.allow_private);
        let found = (self.look_up)(name.clone());
        Box::pin(async move {
            let mut addresses = found.await?;
            addresses.retain(|address| allow_private || is_public(address.ip()));
            if addresses.is_empty() {
                return Err(PrivateAddress { name }.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The resolver of the system.
#[must_use]
pub fn system() -> LookUp {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}
