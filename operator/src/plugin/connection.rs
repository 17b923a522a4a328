//! The API server, as the person of the kubeconfig.

use std::time::Duration;

use crds::PaymentCluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use runtime_contract::labels;
use serde_json::{Value, json};

use super::arguments::ClusterArguments;
use super::decision::Annotations;
use super::failure::{ApiFailure, Asked, CLUSTERS, Failure};
use super::subject::{Look, Subject};

/// A request that is not answered in this time failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What the API server's audit log knows the program by.
const USER_AGENT: &str = concat!("kubectl-purser/", env!("CARGO_PKG_VERSION"));
/// The field manager, before the name of the person.
const MANAGER: &str = "kubectl-purser";
/// Most bytes of a field manager.
const MANAGER_MAX: usize = 128;

/// One namespace of one cluster.
#[derive(Clone)]
pub(super) struct Connection {
    requests: Client,
    /// For watches and logs, which may be silent for long.
    pub(super) watches: Client,
    pub(super) namespace: String,
    server: String,
    /// What the next command has to be given to reach the same cluster.
    flags: String,
}

impl Connection {
    pub(super) async fn open(arguments: &ClusterArguments) -> Result<Self, Failure> {
        let config = configuration(arguments).await?;
        let flags = flags_of(arguments);
        Ok(Self { flags, ..Self::with(config, arguments.namespace.as_deref())? })
    }

    pub(super) fn with(mut config: Config, namespace: Option<&str>) -> Result<Self, Failure> {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
        // A person is told at once, and not after minutes of trying.
        config.default_retry = false;
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client =
            |config: Config| Client::try_from(config).map_err(|error| Failure::Configuration(error.to_string()));
        let watches = client(config.clone())?;
        config.reset_reader_on_write = true;
        config.read_timeout = Some(REQUEST_TIMEOUT);
        Ok(Self { requests: client(config)?, watches, namespace, server, flags: String::new() })
    }

    fn clusters(&self) -> Api<PaymentCluster> {
        Api::namespaced(self.requests.clone(), &self.namespace)
    }

    /// The name of the PaymentCluster that is meant: the given one, or the only one.
    pub(super) async fn name(&self, given: Option<&str>) -> Result<String, Failure> {
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        let names = self.names().await?;
        match names.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Failure::Refused(format!(
                "there is no PaymentCluster in namespace \"{}\"; another namespace is given by -n",
                self.namespace
            ))),
            several => Err(Failure::Refused(format!(
                "namespace \"{}\" has several PaymentClusters, so one has to be named: {}",
                self.namespace,
                several.join(", ")
            ))),
        }
    }

    async fn names(&self) -> Result<Vec<String>, Failure> {
        let kind = ApiResource::erase::<PaymentCluster>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.requests.clone(), &self.namespace, &kind);
        let found = api.list_metadata(&ListParams::default()).await;
        let found = found.map_err(|error| self.failed("list", CLUSTERS, None, error))?;
        Ok(found.items.iter().map(ResourceExt::name_any).collect())
    }

    pub(super) async fn cluster(&self, name: &str) -> Result<PaymentCluster, Failure> {
        match self.clusters().get(name).await {
            Ok(cluster) => Ok(cluster),
            Err(error) => Err(self.not_found(name, error).await),
        }
    }

    /// The status as the API server has it, whatever this program knows of it.
    pub(super) async fn raw_status(&self, name: &str) -> Result<Value, Failure> {
        let kind = ApiResource::erase::<PaymentCluster>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.requests.clone(), &self.namespace, &kind);
        match api.get(name).await {
            Ok(mut object) => Ok(object.data["status"].take()),
            Err(error) => Err(self.not_found(name, error).await),
        }
    }

    /// A wrong name is answered with the right ones.
    async fn not_found(&self, name: &str, error: kube::Error) -> Failure {
        let missing =
            matches!(&error, kube::Error::Api(status) if status.is_not_found() && status.reason == "NotFound");
        let others = if missing { self.names().await.unwrap_or_default() } else { Vec::new() };
        if others.is_empty() {
            return self.failed("get", CLUSTERS, Some(name), error);
        }
        Failure::Refused(format!(
            "there is no PaymentCluster \"{name}\" in namespace \"{}\"; there is: {}",
            self.namespace,
            others.join(", ")
        ))
    }

    /// A PaymentCluster and what runs for it. Without the right to read pods, all the rest is shown.
    pub(super) async fn look(&self, cluster: PaymentCluster) -> Look {
        let of_it = ListParams::default().labels(&selector(&cluster.name_any()));
        let pods: Api<Pod> = Api::namespaced(self.requests.clone(), &self.namespace);
        let deployments: Api<Deployment> = Api::namespaced(self.requests.clone(), &self.namespace);
        let (pods, deployments) = futures::join!(pods.list(&of_it), deployments.list(&of_it));
        let pods = pods.map_err(|error| self.failed("list", "pods", None, error));
        let deployments = deployments.map_err(|error| self.failed("list", "deployments.apps", None, error));
        let unseen = pods.as_ref().err().or(deployments.as_ref().err()).map(ToString::to_string);
        Look {
            cluster,
            pods: pods.map(|list| list.items).unwrap_or_default(),
            deployments: deployments.map(|list| list.items).unwrap_or_default(),
            unseen,
            stale: None,
            flags: self.flags.clone(),
        }
    }

    /// A PaymentCluster alone.
    pub(super) fn subject<'a>(&'a self, cluster: &'a PaymentCluster) -> Subject<'a> {
        Subject { cluster, flags: &self.flags }
    }

    /// Sets and removes annotations of what was looked at, and of nothing else: it fails when somebody has changed it since.
    pub(super) async fn annotate(
        &self,
        looked_at: &PaymentCluster,
        annotations: &Annotations,
        manager: &str,
    ) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": looked_at.resource_version(), "annotations": annotations },
        }));
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        self.clusters().patch_metadata(&looked_at.name_any(), &params, &patch).await.map(drop)
    }

    /// The field manager: the program, and the person, as far as the API server tells.
    pub(super) async fn manager(&self) -> String {
        let api: Api<SelfSubjectReview> = Api::all(self.requests.clone());
        let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let user = review.ok().and_then(|review| review.status?.user_info?.username);
        manager_of(user.as_deref())
    }

    pub(super) fn failed(
        &self,
        verb: &'static str,
        resource: &'static str,
        name: Option<&str>,
        source: kube::Error,
    ) -> Failure {
        let asked = Asked { verb, resource, name: name.map(str::to_owned), namespace: self.namespace.clone() };
        Failure::Api(Box::new(ApiFailure { asked, server: self.server.clone(), source }))
    }
}

/// Selects the pods and Deployments of a PaymentCluster.
pub(super) fn selector(name: &str) -> String {
    format!("{}={},{}={name}", labels::APP, labels::APP_PURSER, labels::INSTANCE)
}

async fn configuration(arguments: &ClusterArguments) -> Result<Config, Failure> {
    let told = |error: kube::config::KubeconfigError| Failure::Configuration(error.to_string());
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    match &arguments.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(told)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(told)
        }
        None if arguments.context.is_some() => Config::from_kubeconfig(&options).await.map_err(told),
        // In a pod there may be no kubeconfig.
        None => match Config::from_kubeconfig(&options).await {
            Ok(config) => Ok(config),
            Err(error) => Config::incluster().map_err(|_| told(error)),
        },
    }
}

/// In another kubeconfig or context, the next command is meant there as well.
fn flags_of(arguments: &ClusterArguments) -> String {
    let kubeconfig = arguments.kubeconfig.as_ref().map(|path| path.display().to_string());
    let given = [("--context", arguments.context.clone()), ("--kubeconfig", kubeconfig)];
    let given = given.into_iter().filter_map(|(flag, value)| Some(format!(" {flag} {}", quoted(&value?))));
    given.collect()
}

/// For a shell.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@:/._-".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// At most so long, and printable, as the API server demands.
fn manager_of(user: Option<&str>) -> String {
    let mut manager = MANAGER.to_owned();
    let printable =
        user.into_iter().flat_map(str::chars).filter(|c| !(c.is_control() || c.is_whitespace() && *c != ' '));
    for (index, character) in printable.enumerate() {
        let colon = usize::from(index == 0);
        if manager.len() + colon + character.len_utf8() > MANAGER_MAX {
            break;
        }
        if index == 0 {
            manager.push(':');
        }
        manager.push(character);
    }
    manager
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_reaches_the_same_cluster() {
        let mut arguments = ClusterArguments { namespace: None, context: None, kubeconfig: None };
        assert_eq!(flags_of(&arguments), "");
        arguments.context = Some("user@prod:6443/eu".into());
        arguments.kubeconfig = Some("/home/anna/it's mine".into());
        assert_eq!(flags_of(&arguments), r" --context user@prod:6443/eu --kubeconfig '/home/anna/it'\''s mine'");
    }

    #[test]
    fn a_field_manager_names_the_person_within_its_bounds() {
        assert_eq!(manager_of(Some("anna")), "kubectl-purser:anna");
        assert_eq!(manager_of(None), "kubectl-purser");
        assert_eq!(manager_of(Some("")), "kubectl-purser");
        assert_eq!(manager_of(Some("a\n\u{a0}b")), "kubectl-purser:ab");
        let long = manager_of(Some(&"ß".repeat(200)));
        assert!(long.len() <= MANAGER_MAX && long.len() > MANAGER_MAX - 2, "{}", long.len());
    }
}
