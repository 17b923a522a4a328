//! What a story leaves, without what differs from one run of it to the next: times, identities, numbers of payments.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use http::{Method, StatusCode};
use serde_json::Value;

use super::operator::Stage;
use super::proxy::Write;

/// Kinds of objects, as paths.
const KINDS: [(&str, &str); 7] = [
    ("api/v1", "serviceaccounts"),
    ("api/v1", "configmaps"),
    ("api/v1", "services"),
    ("apis/apps/v1", "deployments"),
    ("apis/policy/v1", "poddisruptionbudgets"),
    ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("apis/batch/v1", "jobs"),
];
/// Given by the API server, or measured.
const DRAWN: [&str; 5] = ["clusterIP", "clusterIPs", "figures", "uid", "resourceVersion"];

/// What a story leaves.
#[derive(Debug, PartialEq)]
pub(crate) struct End {
    /// The PaymentCluster's status.
    status: Value,
    /// The objects that stand, by kind and name.
    objects: BTreeMap<String, Value>,
    /// What was made, each as often as it was.
    made: Vec<String>,
    /// What was removed, each as often as it was.
    removed: Vec<String>,
    /// What was told, and under how many ids.
    told: BTreeMap<String, usize>,
}

impl End {
    /// Reads what is there, and what these writes and notifications were.
    pub(crate) async fn of(stage: &Stage, writes: &[Write], heard: &[Value]) -> Result<Self> {
        let resource = stage.resource("PaymentCluster", "payments").await?;
        let plain = |value: &Value| plain(value, &stage.namespace);
        let mut objects = BTreeMap::new();
        for (group, plural) in KINDS {
            let list = stage.object(group, plural).await?.with_context(|| format!("no {plural}"))?;
            for object in list["items"].as_array().into_iter().flatten() {
                if object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "purser-operator" {
                    let name = object["metadata"]["name"].as_str().unwrap_or_default();
                    objects.insert(format!("{plural}/{name}"), content(object, plain));
                }
            }
        }
        let paths = |is_one: &dyn Fn(&Write) -> bool| {
            let mut paths: Vec<_> =
                writes.iter().filter(|write| is_one(write)).map(|write| last(&write.path)).collect();
            paths.sort();
            paths
        };
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for one in heard {
            ids.entry(format!("{} {}", one["event"], one["version"])).or_default().insert(one["id"].to_string());
        }
        Ok(Self {
            status: plain(&resource["status"]),
            objects,
            made: paths(&|write| write.status == StatusCode::CREATED),
            removed: paths(&|write| write.method == Method::DELETE && write.status.is_success()),
            told: ids.into_iter().map(|(what, ids)| (what, ids.len())).collect(),
        })
    }

    /// What was done more than once.
    pub(crate) fn repeated(&self) -> Vec<String> {
        let twice = |all: &[String]| -> Vec<String> {
            all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect()
        };
        let told = self.told.iter().filter(|(_, ids)| **ids > 1).map(|(what, _)| what.clone());
        [twice(&self.made), twice(&self.removed), told.collect()].concat()
    }

    /// How another end differs, a line each.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let Self { status, objects, made, removed, told } = other;
        let mut all = Vec::new();
        differ("status", &self.status, status, &mut all);
        for name in self.objects.keys().chain(objects.keys()).collect::<BTreeSet<_>>() {
            let null = Value::Null;
            let of = |all: &BTreeMap<String, Value>| all.get(name).unwrap_or(&null).clone();
            differ(name, &of(&self.objects), &of(objects), &mut all);
        }
        for (what, here, there) in [("made", &self.made, made), ("removed", &self.removed, removed)] {
            if here != there {
                all.push(format!("{what}: {here:?}, and {there:?}"));
            }
        }
        if self.told != *told {
            all.push(format!("told: {:?}, and {told:?}", self.told));
        }
        all
    }
}

fn differ(at: &str, here: &Value, there: &Value, all: &mut Vec<String>) {
    match (here, there) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for key in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
                differ(&format!("{at}.{key}"), &here[key.as_str()], &there[key.as_str()], all);
            }
        }
        _ if here != there => all.push(format!("{at}: {here}, and {there}")),
        _ => {}
    }
}

/// `PLURAL/NAME` of a path.
fn last(path: &str) -> String {
    path.rsplitn(3, '/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/")
}

/// What an object says, without who made it when. The record of a release is made of its status, and has its times.
fn content(object: &Value, plain: impl Fn(&Value) -> Value) -> Value {
    if object["metadata"]["labels"]["app.kubernetes.io/component"] == "release-record" {
        return Value::Null;
    }
    let mut content = serde_json::Map::new();
    for part in ["spec", "data"] {
        content.insert(part.to_owned(), plain(&object[part]));
    }
    content.insert("labels".to_owned(), plain(&object["metadata"]["labels"]));
    content.into()
}

fn plain(value: &Value, namespace: &str) -> Value {
    match value {
        Value::String(text) => Value::String(plain_text(text, namespace)),
        Value::Array(all) => all.iter().map(|value| plain(value, namespace)).collect(),
        Value::Object(all) => {
            let kept = all.iter().filter(|(key, _)| !DRAWN.contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), plain(value, namespace))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// Words stay; times, hashes, addresses and measures go.
fn plain_text(text: &str, namespace: &str) -> String {
    let text = text.replace(namespace, "NAMESPACE");
    if let Ok(document @ Value::Object(_)) = serde_json::from_str(&text) {
        return plain(&document, namespace).to_string();
    }
    let words = text.split(' ').map(|word| {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if is_drawn(core) { "#" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_drawn(word: &str) -> bool {
    let is_version = word.split('.').count() == 3 && word.split('.').all(|part| part.parse::<u8>().is_ok());
    let is_measure = word.starts_with(|first: char| first.is_ascii_digit()) && !is_version;
    let is_hash = word.len() >= 16 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    is_measure || is_hash || word.contains("127.0.0.1:")
}
