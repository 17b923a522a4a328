//! Looking at all pods each second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use runtime_contract::{PodFigures, ports};
use tokio::sync::watch;

use super::ask::Asker;
use crate::app::App;
use crate::webhooks::resolver::LookUp;

/// Pods that are asked. Those beyond count as silent, so that whoever judges knows that he does not see all.
const PODS_MAX: usize = 200;
const SECOND: Duration = Duration::from_secs(1);

/// Asks all pods of the PaymentCluster each second, or its own process where the configuration names no pods.
pub struct Collector {
    app: Arc<App>,
    asker: Asker,
    look_up: LookUp,
}

/// Who is there; none until a name server has said so for the first time.
type Found = Option<Vec<SocketAddr>>;

impl Collector {
    /// One that finds pods by these look-ups. A look-up that gives no port means [`ports::ADMIN`].
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(app: Arc<App>, look_up: LookUp) -> Result<Self, reqwest::Error> {
        Ok(Self { app, asker: Asker::new()?, look_up })
    }

    /// Until the process is to end.
    pub async fn run(self) {
        self.app.collected.begin(self.app.figures.scale());
        let (find, found) = watch::channel(None);
        let work = async {
            match &self.app.config.pods {
                Some(name) => {
                    // A name server that takes long must not keep anybody from asking those that are known.
                    tokio::join!(self.find_each_second(name, &find), self.look_each_second(&found));
                }
                None => self.look_at_itself().await,
            }
        };
        tokio::select! {
            () = work => {}
            () = self.app.shutdown.cancelled() => {}
        }
    }

    async fn find_each_second(&self, name: &str, find: &watch::Sender<Found>) {
        loop {
            match (self.look_up)(name.to_owned()).await {
                Ok(addresses) => {
                    find.send_replace(Some(in_order(addresses)));
                }
                // Those that were there may well be there still.
                Err(error) => tracing::debug!(name, %error, "pods not found by name"),
            }
            tokio::time::sleep(SECOND).await;
        }
    }

    async fn look_each_second(&self, found: &watch::Receiver<Found>) {
        loop {
            tokio::time::sleep(until_next()).await;
            let addresses = found.borrow().clone();
            if let Some(addresses) = addresses {
                self.look(&addresses).await;
            }
        }
    }

    async fn look(&self, addresses: &[SocketAddr]) {
        let now = Utc::now().timestamp();
        let asked = &addresses[..addresses.len().min(PODS_MAX)];
        let answers = join_all(asked.iter().map(|address| self.asker.ask(*address))).await;
        let answers: Vec<PodFigures> = answers
            .into_iter()
            .zip(asked)
            .filter_map(|(answer, address)| {
                answer.inspect_err(|error| tracing::debug!(%address, %error, "a pod is silent")).ok()
            })
            .collect();
        let silent = addresses.len() - answers.len();
        self.app.collected.look(now, answers, silent);
    }

    async fn look_at_itself(&self) {
        loop {
            self.app.collected.look(Utc::now().timestamp(), vec![self.app.figures.figures()], 0);
            tokio::time::sleep(until_next()).await;
        }
    }
}

/// The time until the next whole second.
fn until_next() -> Duration {
    SECOND - Duration::from_nanos(u64::from(Utc::now().timestamp_subsec_nanos() % 1_000_000_000))
}

/// Each address once, in the same order each time.
fn in_order(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    for address in &mut addresses {
        if address.port() == 0 {
            address.set_port(ports::ADMIN);
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_once_at_its_admin_port() {
        let addresses = ["10.0.0.2:0", "[fd00::1]:0", "10.0.0.1:7000", "10.0.0.2:0"].map(|text| text.parse().unwrap());
        let asked: Vec<String> = in_order(addresses.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(asked, ["10.0.0.1:7000", "10.0.0.2:9090", "[fd00::1]:9090"]);
    }
}
