//! The operator as a process against the real API server. It watches one namespace per test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::control_plane::ControlPlane;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::fixture::{control_plane, minimal_cluster, minimal_provider, namespace_on, own_control_plane, untyped};
use super::puppet::Puppet;
use super::rights;

/// A running operator.
pub(crate) struct Operator {
    process: Child,
    log: PathBuf,
}

impl Operator {
    /// Starts the program that cargo built beside this test, with the rights that the chart gives.
    pub(crate) fn start(plane: &ControlPlane, namespace: &str, identity: &str) -> Result<Self> {
        Self::start_as(&rights::kubeconfig(plane), namespace, identity)
    }

    /// The same with the rights of another kubeconfig.
    pub(crate) fn start_as(kubeconfig: &Path, namespace: &str, identity: &str) -> Result<Self> {
        let program = std::env::current_exe()?.ancestors().nth(2).context("no target folder")?.join("purser-operator");
        let log =
            std::env::temp_dir().join(format!("purser-operator-{}-{namespace}-{identity}.log", std::process::id()));
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(&program);
        command.args(["--watch-namespace", namespace, "--admin-address", "127.0.0.1:0"]);
        command.env("KUBECONFIG", kubeconfig).env("POD_NAME", identity).env("POD_NAMESPACE", namespace);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {}: cargo build --workspace --bins", program.display()))?;
        Ok(Self { process, log })
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.process.id())?))
    }

    /// Any signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid()?, signal).context("no such operator")
    }

    /// SIGTERM; how long it took to end.
    pub(crate) fn stop(&mut self) -> Result<Duration> {
        self.signal(Signal::SIGTERM)?;
        self.until_ended(Duration::from_secs(15))
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// Waits for the process to end by itself.
    pub(crate) fn until_ended(&mut self, limit: Duration) -> Result<Duration> {
        let started = Instant::now();
        while !self.has_ended()? {
            if started.elapsed() > limit {
                bail!("the operator has not ended after {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(started.elapsed())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the operator's log: {}", self.log.display());
        } else {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// A namespace with Secrets, a provider that answers, a puppet node, and a PaymentCluster `payments`.
pub(crate) struct Stage {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) puppet: Puppet,
    _endpoint: Endpoint,
}

/// Any HTTP server: the operator only wants to hear something.
struct Endpoint {
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    use tokio::io::{AsyncReadExt, AsyncWriteExt};
                    let mut request = [0; 1024];
                    let _ = stream.read(&mut request).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                        .await;
                });
            }
        });
        Ok(Self { url, task })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stage {
    /// Everything but the operator and the PaymentCluster.
    pub(crate) async fn empty() -> Result<Self> {
        Self::on(control_plane().await?).await
    }

    /// [`Self::empty`] on a control plane of one's own.
    pub(crate) async fn on(plane: &'static ControlPlane) -> Result<Self> {
        let (client, namespace) = namespace_on(plane).await?;
        rights::give_lease(&client, &namespace).await?;
        let stage = Self {
            plane,
            puppet: Puppet::start(client.clone(), &namespace),
            _endpoint: Endpoint::start().await?,
            client,
            namespace,
        };
        stage.secret("payments-db", json!({"url": "postgres://purser:secret-word@db.example:5432/payments"})).await?;
        stage.secret("payments-redis", json!({"url": "redis://cache.example:6379/0"})).await?;
        stage.secret("stripe", json!({"secretKey": "sk_test_secret-word"})).await?;
        let mut provider = minimal_provider("stripe", "payments");
        provider["spec"]["simulator"] = json!(true);
        provider["spec"]["apiEndpoint"] = json!(stage._endpoint.url);
        stage.create("PaymentProvider", provider).await?;
        Ok(stage)
    }

    /// With a PaymentCluster, and an operator that has brought it to Ready.
    pub(crate) async fn ready() -> Result<(Self, Operator)> {
        Self::empty().await?.made_ready().await
    }

    /// [`Self::empty`] on a control plane that may be broken.
    pub(crate) async fn empty_on_own_plane() -> Result<Self> {
        Self::on(own_control_plane().await?).await
    }

    /// [`Self::ready`] on a control plane that may be taken away.
    pub(crate) async fn with_own_plane() -> Result<(Self, Operator)> {
        Self::on(own_control_plane().await?).await?.made_ready().await
    }

    async fn made_ready(self) -> Result<(Self, Operator)> {
        let stage = self;
        stage.create("PaymentCluster", minimal_cluster("payments")).await?;
        let operator = stage.operator("first")?;
        stage.until_ready().await?;
        Ok((stage, operator))
    }

    pub(crate) fn operator(&self, identity: &str) -> Result<Operator> {
        Operator::start(self.plane, &self.namespace, identity)
    }

    /// An operator that asks by another way.
    pub(crate) fn operator_by(&self, kubeconfig: &Path, identity: &str) -> Result<Operator> {
        Operator::start_as(kubeconfig, &self.namespace, identity)
    }

    pub(crate) async fn secret(&self, name: &str, data: Value) -> Result<()> {
        let secret: Secret = serde_json::from_value(json!({"metadata": {"name": name}, "stringData": data}))?;
        Api::<Secret>::namespaced(self.client.clone(), &self.namespace).create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    pub(crate) async fn create(&self, kind: &str, manifest: Value) -> Result<()> {
        let api = untyped(&self.client, &self.namespace, kind);
        api.create(&PostParams::default(), &serde_json::from_value(manifest)?).await?;
        Ok(())
    }

    pub(crate) async fn change(&self, kind: &str, name: &str, change: Value) -> Result<()> {
        let api = untyped(&self.client, &self.namespace, kind);
        api.patch(name, &PatchParams::default(), &Patch::Merge(&change)).await?;
        Ok(())
    }

    /// One of our resources, with its status.
    pub(crate) async fn resource(&self, kind: &str, name: &str) -> Result<Value> {
        Ok(serde_json::to_value(untyped(&self.client, &self.namespace, kind).get(name).await?)?)
    }

    /// Any object by its path below the namespace, such as `services/payments-gateway` of `api/v1`.
    pub(crate) async fn object(&self, group: &str, path: &str) -> Result<Option<Value>> {
        let uri = format!("/{group}/namespaces/{}/{path}", self.namespace);
        match self.client.request::<Value>(http::Request::get(uri).body(Vec::new())?).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn until_ready(&self) -> Result<Duration> {
        self.until("PaymentCluster", "payments", |resource| {
            let ready = &condition(resource, "Ready");
            ready["status"] == "True" && ready["observedGeneration"] == resource["metadata"]["generation"]
        })
        .await
    }

    pub(crate) async fn until(&self, kind: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Duration> {
        self.until_within(Duration::from_secs(45), kind, name, wanted).await
    }

    /// The same for as long as it takes where many do it at once.
    pub(crate) async fn until_within(
        &self,
        limit: Duration,
        kind: &str,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Duration> {
        let started = Instant::now();
        loop {
            let seen = self.resource(kind, name).await;
            if seen.as_ref().is_ok_and(&wanted) {
                return Ok(started.elapsed());
            }
            if started.elapsed() > limit {
                bail!("{kind} {name} is not as wanted after {limit:?}: {:#}", seen?["status"]);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// One condition of a resource, or null.
pub(crate) fn condition(resource: &Value, kind: &str) -> Value {
    let conditions = resource["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}
