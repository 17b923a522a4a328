//! Logs of the pods of a PaymentCluster, many at once.

use std::collections::BTreeSet;
use std::process::ExitCode;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use runtime_contract::{Role, labels};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::{analytics, archive, backup, maintenance, migration, replica};

use super::arguments::{LogRole, LogsArguments};
use super::connection::{Connection, selector};
use super::failure::Failure;
use super::output::Output;
use super::tree::paint;

/// Lines that wait to be written; a reader that is slow slows the pods' streams, and loses nothing.
const LINES_WAITING: usize = 256;
/// One colour a pod, while there are enough.
const COLOURS: [&str; 6] = ["36", "33", "35", "32", "34", "31"];

pub(super) async fn show(at: &Connection, output: Output, told: &LogsArguments) -> Result<ExitCode, Failure> {
    let name = at.name(told.of.name.as_deref()).await?;
    at.cluster(&name).await?;
    let of_it = selector_of(&name, told);
    let pods: Api<Pod> = Api::namespaced(at.watches.clone(), &at.namespace);
    let found = pods.list(&ListParams::default().labels(&of_it)).await;
    let mut found = found.map_err(|error| at.failed("list", "pods", None, error))?.items;
    found.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), pod.name_any()));
    let params = LogParams { follow: told.follow, tail_lines: told.tail, ..LogParams::default() };
    if told.follow {
        follow(at, output, &pods, found, &of_it, params).await?;
    } else if found.is_empty() {
        return Err(Failure::Refused(format!("{name} has no such pods")));
    } else {
        one_by_one(at, output, &pods, found, params).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn selector_of(name: &str, told: &LogsArguments) -> String {
    let roles = told.role.map_or_else(|| Role::ALL.map(Role::as_str).join(","), |role| component(role).to_owned());
    let release = told.release.as_ref().map(|release| format!(",{}={release}", labels::RELEASE)).unwrap_or_default();
    format!("{},{} in ({roles}){release}", selector(name), labels::COMPONENT)
}

const fn component(role: LogRole) -> &'static str {
    match role {
        LogRole::Gateway => Role::Gateway.as_str(),
        LogRole::Fraud => Role::Fraud.as_str(),
        LogRole::Processor => Role::Processor.as_str(),
        LogRole::Metrics => Role::Metrics.as_str(),
        LogRole::Plan => migration::PLAN,
        LogRole::Backup => backup::BACKUP,
        LogRole::DryRun => backup::DRY_RUN,
        LogRole::Drain => maintenance::DRAIN,
        LogRole::RestorePoint => backup::RESTORE_POINT,
        LogRole::Migrate => migration::COMPONENT,
        LogRole::CheckReplica => replica::COMPONENT,
        LogRole::Configure => analytics::CONFIGURE,
        LogRole::CdcRemove => analytics::REMOVE,
        LogRole::Restore => backup::RESTORE,
        LogRole::Archive => archive::COMPONENT,
    }
}

/// A line of a pod, or why there is none.
type Told = (String, Result<String, Failure>);

async fn one_by_one(
    at: &Connection,
    output: Output,
    pods: &Api<Pod>,
    found: Vec<Pod>,
    params: LogParams,
) -> Result<(), Failure> {
    let mut writer = Writer::new(output);
    for pod in found {
        let (sender, mut lines) = channel(LINES_WAITING);
        tokio::spawn(read(at.clone(), pods.clone(), pod.name_any(), params.clone(), sender));
        writer.write_all(&mut lines).await?;
    }
    Ok(())
}

/// Goes on with the pods that come later. Ends when it is told to, or cannot write.
async fn follow(
    at: &Connection,
    output: Output,
    pods: &Api<Pod>,
    found: Vec<Pod>,
    of_it: &str,
    params: LogParams,
) -> Result<(), Failure> {
    let (sender, mut lines) = channel(LINES_WAITING);
    let mut writer = Writer::new(output);
    let mut known = BTreeSet::new();
    for pod in found.iter().filter(|pod| has_begun(pod)) {
        known.insert(pod.name_any());
        tokio::spawn(read(at.clone(), pods.clone(), pod.name_any(), params.clone(), sender.clone()));
    }
    let config = watcher::Config::default().labels(of_it);
    let mut changes = Box::pin(watcher(pods.clone(), config).default_backoff().applied_objects());
    // Of a pod that comes later, all is new.
    let params = LogParams { tail_lines: None, ..params };
    loop {
        tokio::select! {
            Some((pod, line)) = lines.recv() => writer.write(&pod, line)?,
            change = changes.try_next() => {
                if let Ok(Some(pod)) = change
                    && has_begun(&pod)
                    && known.insert(pod.name_any())
                {
                    tokio::spawn(read(at.clone(), pods.clone(), pod.name_any(), params.clone(), sender.clone()));
                }
            }
        }
    }
}

/// Before its container runs, a pod has no log to be asked for.
fn has_begun(pod: &Pod) -> bool {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers
        .filter_map(|container| container.state.as_ref())
        .any(|state| state.running.is_some() || state.terminated.is_some())
}

async fn read(at: Connection, pods: Api<Pod>, pod: String, params: LogParams, sender: Sender<Told>) {
    let failed = |error| at.failed("get", "pods/log", Some(&pod), error);
    let stream = match pods.log_stream(&pod, &params).await {
        Ok(stream) => stream,
        Err(error) => {
            let failure = failed(error);
            // Nobody listens any more: then there is nobody to tell.
            let _ = sender.send((pod, Err(failure))).await;
            return;
        }
    };
    let mut lines = stream.lines();
    while let Some(line) = lines.try_next().await.transpose() {
        let is_end = line.is_err();
        let line = line.map_err(|error| failed(kube::Error::ReadEvents(error)));
        if sender.send((pod.clone(), line)).await.is_err() || is_end {
            return;
        }
    }
}

/// Writes lines after the names of their pods.
struct Writer {
    output: Output,
    seen: Vec<String>,
}

impl Writer {
    const fn new(output: Output) -> Self {
        Self { output, seen: Vec::new() }
    }

    async fn write_all(&mut self, lines: &mut Receiver<Told>) -> Result<(), Failure> {
        while let Some((pod, line)) = lines.recv().await {
            self.write(&pod, line)?;
        }
        Ok(())
    }

    /// One pod that has nothing to say does not keep the others from it.
    fn write(&mut self, pod: &str, line: Result<String, Failure>) -> Result<(), Failure> {
        let index = self.seen.iter().position(|seen| seen == pod).unwrap_or_else(|| {
            self.seen.push(pod.to_owned());
            self.seen.len() - 1
        });
        let name = paint(self.output.screen(), COLOURS[index % COLOURS.len()], &format!("[{pod}]"));
        match line {
            Ok(line) => self.output.line(&format!("{name} {line}")),
            Err(failure) => {
                eprintln!("{name} {failure}");
                Ok(())
            }
        }
    }
}
