//! What every story stands on: a cluster with the operator and a fresh quickstart.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::Paths;
use e2e::platform::{Gateway, Kubectl, Merchant, NAMESPACE, install, narrate};
use e2e::releases::{Customers, Load, Pace};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

static TURN: Mutex<()> = Mutex::const_new(());
static INSTALLED: OnceCell<FirstPayment> = OnceCell::const_new();
static CUSTOMERS: OnceCell<Customers> = OnceCell::const_new();
/// None of them pays more than 100 times an hour, in all stories together.
const CUSTOMERS_OF_ALL: usize = 317;

/// The platform, for one story at a time.
pub(crate) struct Platform {
    pub(crate) kubectl: Kubectl,
    pub(crate) gateway: Gateway,
    /// How the very first payment went.
    pub(crate) first_payment: FirstPayment,
    _turn: MutexGuard<'static, ()>,
}

/// A payment taken right after the quickstart was applied.
#[derive(Clone, Debug)]
pub(crate) struct FirstPayment {
    pub(crate) payment: Value,
    pub(crate) after: Duration,
}

/// Waits for its turn, and the first time installs everything anew.
pub(crate) async fn platform() -> Result<Platform> {
    let turn = TURN.lock().await;
    let paths = Paths::from_env()?;
    let (kubectl, local) = Kubectl::for_tests(&paths)?;
    let first_payment = INSTALLED.get_or_try_init(|| install_anew(&kubectl, &paths, local)).await?.clone();
    let gateway = Gateway::reach(&kubectl, local).await?;
    let platform = Platform { kubectl, gateway, first_payment, _turn: turn };
    // A story begins on a whole platform, whatever the one before it did.
    narrate::until_ready(&platform.kubectl, NAMESPACE, "payments", Duration::from_secs(90)).await?;
    Ok(platform)
}

async fn install_anew(kubectl: &Kubectl, paths: &Paths, local: bool) -> Result<FirstPayment> {
    let registry = std::env::var("PURSER_REGISTRY").ok();
    install::remove(kubectl, local).await.context("removing an earlier quickstart")?;
    if local {
        // Offers the volumes of what was removed anew.
        e2e::cluster::up(paths, e2e::cluster::Metrics::Later).await?;
    }
    install::operator(kubectl, &paths.repository, registry.as_deref()).await?;
    let started = Instant::now();
    install::quickstart(kubectl, &paths.repository, registry.as_deref()).await?;
    narrate::until_ready(kubectl, NAMESPACE, "payments", Duration::from_secs(180)).await?;
    let gateway = Gateway::reach(kubectl, local).await?;
    let merchant = Merchant::find_or_create(kubectl, &gateway.base_url).await?;
    let method = merchant.payment_method("first", "pm_card_visa").await?;
    let payment = merchant.pay("the-first-payment", &method, "10.50", Duration::from_secs(30)).await?;
    Ok(FirstPayment { payment, after: started.elapsed() })
}

impl Platform {
    /// The quickstart's merchant.
    pub(crate) async fn merchant(&self) -> Result<Merchant> {
        Merchant::find_or_create(&self.kubectl, &self.gateway.base_url).await
    }

    /// A constant load of payments, in all stories by the same customers: to sign up takes longer than many a story.
    pub(crate) async fn load(&self) -> Result<Load> {
        let merchant = self.merchant().await?;
        let customers = CUSTOMERS.get_or_try_init(|| Customers::sign_up(&merchant, CUSTOMERS_OF_ALL)).await?;
        Load::of(&merchant, Pace::QUIET, customers)
    }

    /// One object of the quickstart.
    pub(crate) async fn object(&self, kind: &str, name: &str) -> Result<Value> {
        self.kubectl.get(&["-n", NAMESPACE, kind, name]).await?.with_context(|| format!("no {kind} {name}"))
    }

    /// Names of the pods of one component of the quickstart's PaymentCluster.
    pub(crate) async fn pods(&self, component: &str) -> Result<Vec<String>> {
        let selector = format!("app.kubernetes.io/instance=payments,app.kubernetes.io/component={component}");
        let list = self.kubectl.get(&["-n", NAMESPACE, "pods", "-l", &selector]).await?.context("no list of pods")?;
        let items = list["items"].as_array().context("no items")?;
        Ok(items.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect())
    }

    /// Every charge that the simulator has made, as it tells itself.
    pub(crate) async fn charges(&self) -> Result<Vec<Value>> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/services/provider-simulator:http/proxy/simulator/charges");
        let answer: Value = serde_json::from_str(&self.kubectl.run(&["get", "--raw", &path]).await?)?;
        let list = answer.as_array().or_else(|| answer["charges"].as_array()).or_else(|| answer["data"].as_array());
        Ok(list.context("no list of charges")?.clone())
    }
}

/// Asks every half second until the answer is yes, or fails with what was seen last.
pub(crate) async fn eventually<F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> Result<Duration>
where
    F: Future<Output = Result<(bool, String)>>,
{
    let started = Instant::now();
    loop {
        let seen = match ask().await {
            Ok((true, _)) => return Ok(started.elapsed()),
            Ok((false, seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if started.elapsed() > limit {
            bail!("{what}: not within {} s; last seen: {seen}", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Something that no other run of the tests has used.
pub(crate) fn unique() -> String {
    jiff::Timestamp::now().as_nanosecond().to_string()
}
