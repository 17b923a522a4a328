//! Stands between an operator and the API server, sees each request, and decides what becomes of it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use e2e::control_plane::ControlPlane;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::rights;

/// A request, before anything has become of it.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: String,
}

impl Asked {
    fn has(&self, resource: &str) -> bool {
        self.path.split('/').any(|part| part == resource)
    }

    /// Whether it is about the lease.
    pub(crate) fn is_lease(&self) -> bool {
        self.has("leases")
    }

    /// Whether it changes something besides the lease, and is no mere telling of it.
    pub(crate) fn is_write(&self) -> bool {
        self.method != Method::GET && !self.is_lease() && !self.has("events")
    }
}

/// What becomes of a request.
pub(crate) enum Fate {
    /// It is passed on, and so is its answer.
    Passed,
    /// It gets lost.
    Lost,
    /// It gets lost, and whoever asked is killed.
    KilledBefore(Pid),
    /// It is passed on, and whoever asked is killed before it hears the answer.
    KilledAfter(Pid),
    /// It is passed on, and its answer comes later by so much.
    Late(Duration),
    /// Its answer is this, and nothing is passed on.
    Refused(StatusCode),
}

/// A write that the API server has answered.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) status: StatusCode,
    pub(crate) at: Instant,
}

/// Is told of each request before it is passed on, and of nothing while the way is cut.
type Judge = Box<dyn FnMut(&Asked) -> Fate + Send>;

/// A way to the API server, for as long as it is held.
pub(crate) struct Proxy {
    /// Of the chart's account, by this way.
    pub(crate) kubeconfig: PathBuf,
    shared: Arc<Shared>,
    _folder: tempfile::TempDir,
    task: JoinHandle<()>,
}

struct Shared {
    client: Client,
    judge: Mutex<Judge>,
    writes: Mutex<Vec<Write>>,
    is_open: watch::Sender<bool>,
}

impl Proxy {
    /// A way on which all requests pass.
    pub(crate) async fn start(plane: &ControlPlane) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let folder = tempfile::tempdir()?;
        let kubeconfig = kubeconfig(folder.path(), listener.local_addr()?)?;
        let shared = Arc::new(Shared {
            client: client(&rights::kubeconfig(plane)).await?,
            judge: Mutex::new(Box::new(|_| Fate::Passed)),
            writes: Mutex::default(),
            is_open: watch::Sender::new(true),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { kubeconfig, shared, _folder: folder, task })
    }

    /// From now on, this is what becomes of requests.
    pub(crate) fn judge(&self, judge: impl FnMut(&Asked) -> Fate + Send + 'static) -> Result<()> {
        *lock(&self.shared.judge)? = Box::new(judge);
        Ok(())
    }

    /// Ends all connections, and takes no new ones until the way is open again.
    pub(crate) fn open(&self, is_open: bool) {
        self.shared.is_open.send_replace(is_open);
    }

    /// What was written by this way, in order.
    pub(crate) fn writes(&self) -> Result<Vec<Write>> {
        Ok(lock(&self.shared.writes)?.clone())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.open(false);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| anyhow!("poisoned"))
}

fn kubeconfig(folder: &Path, address: SocketAddr) -> Result<PathBuf> {
    let path = folder.join("kubeconfig");
    let document = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "proxy", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
    });
    fs::write(&path, document.to_string())?;
    Ok(path)
}

/// Tries once, and waits for as long as whoever asked.
async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).context("the chart was not installed")?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        if *shared.is_open.borrow() {
            tokio::spawn(serve(stream, Arc::clone(&shared)));
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut is_open = shared.is_open.subscribe();
    let service = service_fn(|request| answer(&shared, request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // One that was lost ends with an error.
        _ = connection => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}

/// An error ends the connection, and whoever asked hears nothing.
async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Body>, Loss> {
    let asked = Asked { method: request.method().clone(), path: request.uri().path().to_owned() };
    let fate = {
        let mut judge = lock(&shared.judge).map_err(Loss::of)?;
        (*judge)(&asked)
    };
    match fate {
        Fate::Lost => return Err(Loss::of("lost")),
        Fate::KilledBefore(pid) => return Err(killed(pid)),
        Fate::Refused(status) => return refusal(status).map_err(Loss::of),
        Fate::Passed | Fate::KilledAfter(_) | Fate::Late(_) => {}
    }
    let response = forward(shared, request).await.map_err(Loss::of)?;
    if asked.is_write() {
        let Asked { method, path } = asked;
        let write = Write { method, path, status: response.status(), at: Instant::now() };
        lock(&shared.writes).map_err(Loss::of)?.push(write);
    }
    match fate {
        Fate::KilledAfter(pid) => return Err(killed(pid)),
        Fate::Late(by) => tokio::time::sleep(by).await,
        Fate::Passed | Fate::Lost | Fate::KilledBefore(_) | Fate::Refused(_) => {}
    }
    Ok(response)
}

fn killed(pid: Pid) -> Loss {
    match kill(pid, Signal::SIGKILL) {
        Ok(()) => Loss::of("killed"),
        Err(error) => Loss::of(format!("nobody was killed: {error}")),
    }
}

async fn forward(shared: &Shared, request: Request<Incoming>) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let mut passed = Request::builder().method(parts.method).uri(parts.uri);
    let of_the_way = [header::HOST, header::CONNECTION, header::CONTENT_LENGTH];
    for (name, value) in parts.headers.iter().filter(|(name, _)| !of_the_way.contains(name)) {
        passed = passed.header(name, value);
    }
    let body = body.collect().await?.to_bytes().to_vec();
    let mut response = shared.client.send(passed.body(Body::from(body))?).await?;
    response.headers_mut().remove(header::CONTENT_LENGTH);
    Ok(response)
}

/// As the API server would refuse it.
fn refusal(status: StatusCode) -> Result<Response<Body>> {
    let code = status.as_u16();
    let reason = match status {
        StatusCode::CONFLICT => "Conflict",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        _ => "InternalError",
    };
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "refused by the test", "reason": reason, "code": code});
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    Ok(response.body(Body::from(serde_json::to_vec(&body)?))?)
}

/// Why a connection ends.
#[derive(Debug)]
struct Loss(String);

impl Loss {
    fn of(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Loss {}
