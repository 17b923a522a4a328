//! A provider of the platform: a simulator of its own, which speaks one wire format and keeps a book of its own.

use std::{fs, path::Path};

use anyhow::Result;
use runtime_contract::{ProviderName, ProviderSettings, paths};
use serde_json::Value;

use super::{Process, Spec};

/// What a provider's webhooks are signed with.
const WEBHOOK_SECRET: &str = "whsec_processes";
/// Time limit of a call to one.
const MAX_LATENCY_MS: u32 = 1_000;

/// A provider, and how it behaves.
#[derive(Clone, Debug)]
pub struct ProviderLayout {
    /// Which: Stripe or PayPal.
    pub name: ProviderName,
    /// How long it takes for a charge.
    pub latency_ms: u64,
    /// Whether it writes each charge to disk, so that it survives being killed.
    pub keeps: bool,
    /// What goes wrong, as the simulator's `POST /simulator/plan` takes it.
    pub plan: Option<Value>,
    /// Whether it tells the gateway of what happens.
    pub webhooks: bool,
}

/// A provider that runs.
#[derive(Debug)]
pub struct Provider {
    /// Which.
    pub name: ProviderName,
    /// The process.
    pub process: Process,
    /// Its port.
    pub port: u16,
}

impl ProviderLayout {
    /// One that does nothing wrong, tells nothing, and forgets everything when it ends.
    #[must_use]
    pub const fn plain(name: ProviderName, latency_ms: u64) -> Self {
        Self { name, latency_ms, keeps: false, plan: None, webhooks: false }
    }

    /// How its process is started. `gateway`: base URL of the one that it tells.
    pub(super) fn spec(&self, purser: &Path, folder: &Path, port: u16, gateway: Option<&str>) -> Result<Spec> {
        let Self { name, latency_ms, keeps, plan, webhooks } = self;
        let resource = resource(*name);
        let file = |kind: &str| folder.join(format!("{resource}-{kind}"));
        let mut command = vec![purser.display().to_string(), "simulator".to_owned()];
        command.extend(["--address".to_owned(), "127.0.0.1".to_owned(), "--port".to_owned(), port.to_string()]);
        command.extend(["--latency-ms".to_owned(), latency_ms.to_string()]);
        if *keeps {
            command.extend(["--ledger".to_owned(), file("ledger.jsonl").display().to_string()]);
        }
        if let Some(plan) = plan {
            fs::write(file("plan.json"), plan.to_string())?;
            command.extend(["--plan".to_owned(), file("plan.json").display().to_string()]);
        }
        if let Some(gateway) = gateway.filter(|_| *webhooks) {
            command.extend(["--webhook-provider".to_owned(), resource.clone()]);
            command.extend(["--webhook-url".to_owned(), format!("{gateway}/v1/provider-webhooks/{resource}")]);
            command.extend(["--webhook-secret".to_owned(), WEBHOOK_SECRET.to_owned()]);
        }
        Ok(Spec {
            log: file("simulator.log"),
            name: resource,
            command,
            environment: vec![("RUST_LOG".into(), "warn".into())],
            user: None,
            death_signal: "KILL",
            port,
        })
    }

    /// Writes what the platform knows it by.
    pub(super) fn write_secrets(&self, secrets: &Path) -> Result<()> {
        let credential = match self.name {
            ProviderName::Paypal => "processes:secret",
            _ => "sk_test_processes",
        };
        for (folder, secret) in [(paths::PROVIDERS, credential), (paths::PROVIDER_WEBHOOKS, WEBHOOK_SECRET)] {
            fs::create_dir_all(secrets.join(folder))?;
            fs::write(secrets.join(folder).join(resource(self.name)), secret)?;
        }
        Ok(())
    }
}

/// Name of a provider's resource.
fn resource(name: ProviderName) -> String {
    name.as_str().to_lowercase()
}

/// The live settings of providers at these ports, the first to be asked first.
pub(super) fn settings(ports: &[(ProviderName, u16)]) -> Vec<ProviderSettings> {
    let settings = |(priority, (name, port)): (i32, &(ProviderName, u16))| ProviderSettings {
        resource: resource(*name),
        name: *name,
        api_endpoint: format!("http://127.0.0.1:{port}"),
        priority,
        active: true,
        max_latency_ms: MAX_LATENCY_MS,
        success_rate_threshold: "50.0".into(),
    };
    (1..).zip(ports).map(settings).collect()
}
