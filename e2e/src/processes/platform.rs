//! Everything of a platform, started from the programs that were built beside this one.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use runtime_contract::{
    CacheTtl, Environment, FraudConfig, Limits, OnDeadline, ProviderName, Role, RuntimeConfig, Settings,
    WebhooksConfig, paths,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Ports, Postgres, PostgresSettings, Process, Provider, ProviderLayout, Redis, Spec, provider};
use crate::command;

const OWNER: &str = "local/processes";
/// The one database of the platform.
const DATABASE: &str = "purser";

/// What is started, and how.
#[derive(Clone, Debug)]
pub struct Layout {
    /// How many processes of each role.
    pub roles: Vec<(Role, usize)>,
    /// How PostgreSQL is set up.
    pub postgres: PostgresSettings,
    /// Who is charged at, the first to be asked first.
    pub providers: Vec<ProviderLayout>,
    /// `RUST_LOG` of the roles.
    pub log: &'static str,
}

/// One process of a role.
#[derive(Debug)]
pub struct RoleProcess {
    /// Which.
    pub role: Role,
    /// The process.
    pub process: Process,
    /// The port of its API, where the role has one.
    pub port: u16,
    /// The port of its health and metrics.
    pub admin_port: u16,
}

/// A platform that runs; gone when dropped.
#[derive(Debug)]
pub struct Platform {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Redis.
    pub redis: Redis,
    /// The providers.
    pub providers: Vec<Provider>,
    /// The processes of all roles.
    pub roles: Vec<RoleProcess>,
    /// Of the live settings.
    revision: i64,
    purser: PathBuf,
    folder: TempDir,
}

/// Who pays whom.
#[derive(Clone, Debug)]
pub struct Seeds {
    /// The merchants' API keys.
    pub keys: Vec<String>,
    /// Payment methods, as in the API, by merchant.
    pub methods: Vec<Vec<String>>,
}

impl Platform {
    /// Starts everything and waits until payments are taken.
    pub async fn start(layout: &Layout) -> Result<Self> {
        let purser = purser()?;
        let folder = tempfile::Builder::new().prefix("purser-processes-").tempdir()?;
        // PostgreSQL runs as another user, and goes through this folder to its own.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let mut ports = Ports::new();
        let postgres = Postgres::start(folder.path(), ports.take()?, &layout.postgres).await?;
        let redis = Redis::start(folder.path(), ports.take()?).await?;
        let mut provider_ports = Vec::new();
        for provider in &layout.providers {
            provider_ports.push((provider.name, ports.take()?));
        }
        let (providers, roles) = (Vec::new(), Vec::new());
        let mut platform = Self { postgres, redis, providers, roles, revision: 0, purser, folder };
        platform.prepare(layout).await?;
        platform.apply_settings(&provider_ports).await?;
        platform.start_roles(layout, &mut ports).await?;
        platform.start_providers(layout, &provider_ports).await?;
        Ok(platform)
    }

    /// Schema and secrets.
    async fn prepare(&self, layout: &Layout) -> Result<()> {
        self.postgres.sql("postgres", &format!("create database {DATABASE}")).await?;
        let secrets = self.path("secrets");
        fs::create_dir_all(&secrets)?;
        fs::write(secrets.join(paths::DATABASE_URL), self.postgres.url(DATABASE))?;
        fs::write(secrets.join(paths::CACHE_URL), self.redis.url())?;
        for provider in &layout.providers {
            provider.write_secrets(&secrets)?;
        }
        self.purser(&["migrate", "--owner", OWNER]).await?;
        Ok(())
    }

    /// Puts these providers into force, the first to be asked first.
    async fn apply_settings(&mut self, providers: &[(ProviderName, u16)]) -> Result<()> {
        self.revision += 1;
        let settings = self.path("settings.yaml");
        fs::write(&settings, serde_json::to_string(&live_settings(self.revision, providers))?)?;
        self.purser(&["settings", "apply", "--owner", OWNER, "--file", &settings.display().to_string()]).await?;
        Ok(())
    }

    /// Lets one provider be asked before the others from now on.
    pub async fn prefer(&mut self, name: ProviderName) -> Result<()> {
        let mut providers: Vec<_> = self.providers.iter().map(|provider| (provider.name, provider.port)).collect();
        providers.sort_by_key(|(other, _)| *other != name);
        self.apply_settings(&providers).await
    }

    /// Each tells another gateway, as far as there are several.
    async fn start_providers(&mut self, layout: &Layout, ports: &[(ProviderName, u16)]) -> Result<()> {
        let gateways = self.gateways();
        let mut told = gateways.iter().cycle();
        for (provider, (name, port)) in layout.providers.iter().zip(ports) {
            let spec = provider.spec(&self.purser, self.folder.path(), *port, told.next().map(String::as_str))?;
            self.providers.push(Provider { name: *name, process: Process::start(spec).await?, port: *port });
        }
        Ok(())
    }

    async fn start_roles(&mut self, layout: &Layout, ports: &mut Ports) -> Result<()> {
        let fraud_port = ports.take()?;
        fs::write(self.path("purser.yaml"), serde_json::to_string(&config(fraud_port))?)?;
        for (role, count) in &layout.roles {
            for number in 0..*count {
                let admin_port = ports.take()?;
                let port = match role {
                    Role::Fraud => fraud_port,
                    Role::Gateway => ports.take()?,
                    Role::Processor | Role::Metrics => admin_port,
                };
                let spec = self.role(*role, number, port, admin_port, layout.log);
                self.roles.push(RoleProcess { role: *role, process: Process::start(spec).await?, port, admin_port });
            }
        }
        for role in &self.roles {
            ready(role.admin_port).await.with_context(|| role.process.log_end())?;
        }
        Ok(())
    }

    fn role(&self, role: Role, number: usize, port: u16, admin_port: u16, log: &str) -> Spec {
        let name = format!("{role}-{number}");
        let mut command = vec![self.purser.display().to_string(), role.as_str().to_owned()];
        command.extend(["--address".to_owned(), "127.0.0.1".to_owned()]);
        command.extend(["--config".to_owned(), self.path("purser.yaml").display().to_string()]);
        command.extend(["--secrets".to_owned(), self.path("secrets").display().to_string()]);
        command.extend(["--admin-port".to_owned(), admin_port.to_string()]);
        if matches!(role, Role::Gateway | Role::Fraud) {
            command.extend([format!("--{role}-port"), port.to_string()]);
        }
        Spec {
            log: self.path(&format!("{name}.log")),
            name,
            command,
            environment: vec![("RUST_LOG".into(), log.into())],
            user: None,
            death_signal: "KILL",
            port: admin_port,
        }
    }

    /// Runs a command of `purser` with the platform's secrets; what it printed.
    pub async fn purser(&self, arguments: &[&str]) -> Result<String> {
        let mut command = command::command(&self.purser);
        command.args(arguments).arg("--secrets").arg(self.path("secrets")).env("RUST_LOG", "warn");
        let output = command.kill_on_drop(true).output().await?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "purser {}: {printed}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(printed)
    }

    /// Runs SQL on the platform's database.
    pub async fn sql(&self, sql: &str) -> Result<String> {
        self.postgres.sql(DATABASE, sql).await
    }

    /// Merchants by the command, their users and cards by SQL, since there may be many.
    pub async fn seed(&self, merchants: usize, users: usize) -> Result<Seeds> {
        let mut seeds = Seeds { keys: Vec::new(), methods: Vec::new() };
        for number in 0..merchants {
            let (name, email) = (format!("Shop {number}"), format!("shop{number}@example.com"));
            let printed = self.purser(&["merchant", "create", "--name", &name, "--email", &email, "--json"]).await?;
            let created: Value = serde_json::from_str(&printed).context("`merchant create --json` printed no JSON")?;
            let id = created["id"].as_str().and_then(|id| id.strip_prefix("mer_")).context("no merchant id")?;
            seeds.keys.push(created["api_key"].as_str().context("no api_key")?.to_owned());
            self.sql(&users_and_cards(id, users)).await?;
            let methods = format!(
                "select replace('pm_' || m.id, '-', '') from payment_methods m join users u on u.id = m.user_id where u.merchant_id = '{id}'"
            );
            seeds.methods.push(self.sql(&methods).await?.lines().map(str::to_owned).collect());
        }
        Ok(seeds)
    }

    /// Registers an endpoint for all events of the `n`th merchant: its secret.
    pub async fn endpoint(&self, seeds: &Seeds, n: usize, url: &str) -> Result<String> {
        let gateways = self.gateways();
        let address = format!("{}/v1/webhook-endpoints", gateways.first().context("no gateway")?);
        let request = reqwest::Client::new().post(address).bearer_auth(&seeds.keys[n]);
        let request = request.header("Idempotency-Key", format!("endpoint-{n}")).json(&json!({"url": url}));
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "the endpoint for events was refused ({status}): {text}");
        let endpoint: Value = serde_json::from_str(&text)?;
        Ok(endpoint["secret"].as_str().context("an endpoint without a secret")?.to_owned())
    }

    /// Base URLs of the gateways.
    #[must_use]
    pub fn gateways(&self) -> Vec<String> {
        let gateways = self.roles.iter().filter(|role| role.role == Role::Gateway);
        gateways.map(|role| format!("http://127.0.0.1:{}", role.port)).collect()
    }

    /// A file of the platform.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Keeps the folder with all logs when the platform is dropped.
    pub fn keep_files(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }
}

/// Waits until a role says that it is ready.
async fn ready(admin_port: u16) -> Result<()> {
    let url = format!("http://127.0.0.1:{admin_port}/readyz");
    let mut last = String::new();
    for _ in 0..600 {
        match reqwest::get(&url).await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => last = answer.text().await.unwrap_or_default(),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("{url} is not ready: {last}")
}

/// The program that was built beside this one.
fn purser() -> Result<PathBuf> {
    let here = env::current_exe()?;
    let purser = here.with_file_name("purser");
    ensure!(purser.exists(), "{} is not there: build it first (cargo build -p runtime)", purser.display());
    Ok(purser)
}

fn config(fraud_port: u16) -> RuntimeConfig {
    let url = format!("http://127.0.0.1:{fraud_port}");
    RuntimeConfig {
        owner: OWNER.into(),
        release: env!("CARGO_PKG_VERSION").into(),
        since_ms: None,
        environment: Environment::Staging,
        fraud: FraudConfig { url, deadline_ms: 50, on_deadline: OnDeadline::Flag },
        webhooks: WebhooksConfig { allow_private_addresses: true },
        pods: None,
        read_lag_max_ms: None,
    }
}

fn live_settings(revision: i64, providers: &[(ProviderName, u16)]) -> Settings {
    Settings {
        revision,
        cache_ttl: CacheTtl { user_s: 300, payment_method_s: 600, fraud_rules_s: 3600, metrics_s: 60 },
        providers: provider::settings(providers),
        limits: Limits { requests_per_second: 100_000, burst: 100_000, concurrent_requests: 10_000 },
        maintenance: None,
    }
}

/// An id as the program makes them, in SQL: the time of the column `at`, then chance.
pub(crate) const NEW_ID_AT: &str = "(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' \
     || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid";

fn users_and_cards(merchant: &str, count: usize) -> String {
    format!(
        "with made as (
             insert into users (id, merchant_id, email)
             select {NEW_ID_AT}, '{merchant}', 'user' || n || '@example.com'
             from (select n, clock_timestamp() as at from generate_series(1, {count}) as n) as numbered
             returning id
         )
         insert into payment_methods (id, user_id, type, provider, token, last_four, expiry_month, expiry_year)
         select {NEW_ID_AT}, id, 'CREDIT_CARD', 'visa', 'pm_card_visa', '4242', 12, 2090
         from (select id, clock_timestamp() as at from made) as timed;
         analyze users; analyze payment_methods;"
    )
}
