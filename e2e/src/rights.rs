//! What the chart lets the operator do, against what it did in the tests: all that is needed, and nothing more.
//!
//! What was used is read from the audit logs of the tests' API servers, whose operators have the chart's account and roles.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::audit;
use crate::paths::Paths;
use crate::platform::{Kubectl, OPERATOR_NAMESPACE};
use crate::tools;

/// Rights that an admission plugin asks for: the API server's log has no word of it. The plugin runs in the tests' API servers, where no
/// object could be made without them.
const ASKED_BY_ADMISSION: [(&str, &str, &str); 1] = [("update", "purser.dev", "paymentclusters/finalizers")];

/// One thing that may be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    group: String,
    resource: String,
    verb: String,
}

impl Right {
    fn new(verb: &str, group: &str, resource: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, resource, verb } = self;
        let group = if group.is_empty() { "the core group" } else { group };
        write!(f, "{verb} {resource} of {group}")
    }
}

/// The chart's account and roles, as YAML.
///
/// # Errors
/// When helm refuses the chart.
pub async fn render(kubectl: &Kubectl, paths: &Paths) -> Result<String> {
    let chart = paths.repository.join("charts/purser");
    let chart = chart.to_str().context("the checkout's path is not UTF-8")?;
    let templates = ["-s", "templates/serviceaccount.yaml", "-s", "templates/rbac.yaml"];
    kubectl.helm(&[&["template", "purser", chart, "-n", OPERATOR_NAMESPACE], &templates[..]].concat()).await
}

/// The documents of a rendered chart.
///
/// # Errors
/// When one is not YAML.
pub fn documents(rendered: &str) -> Result<Vec<Value>> {
    let texts = rendered.split("\n---").filter(|text| text.contains("kind:"));
    texts.map(|text| serde_saphyr::from_str(text.trim_start_matches("---")).context("not YAML")).collect()
}

/// Compares the chart with the audit logs in a folder.
///
/// # Errors
/// When the chart allows what was not used, or something was forbidden.
pub async fn check(paths: &Paths, logs: &Path) -> Result<()> {
    tools::ensure(paths).await?;
    let allowed = allowed(&documents(&render(&Kubectl::new(paths, true), paths).await?)?);
    let mut used = Used::default();
    for file in fs::read_dir(logs).with_context(|| format!("no audit logs in {}", logs.display()))? {
        used.read(&audit::since(&file?.path(), 0)?);
    }
    ensure!(!used.rights.is_empty(), "the audit logs in {} tell of no operator", logs.display());
    println!("{} requests of operators used {} of {} rights", used.requests, used.rights.len(), allowed.len());
    let problems = problems(&allowed, &used);
    if !problems.is_empty() {
        bail!("the chart's rights are not those that the operator needs:\n  {}", problems.join("\n  "));
    }
    Ok(())
}

fn problems(allowed: &BTreeSet<Right>, used: &Used) -> Vec<String> {
    let admission = ASKED_BY_ADMISSION.map(|(verb, group, resource)| Right::new(verb, group, resource));
    let unused = allowed.difference(&used.rights).filter(|right| !admission.contains(right));
    let unused = unused.map(|right| format!("never used: {right}; take it from the chart, or test what needs it"));
    // An API server hears of a role a moment after it is written: what the operator was allowed in the same namespace lacks nothing.
    let lacking: BTreeSet<&Right> = used.forbidden.difference(&used.allowed).map(|(right, _)| right).collect();
    unused.chain(lacking.iter().map(|right| format!("forbidden: {right}"))).collect()
}

/// What the roles among these documents allow.
fn allowed(documents: &[Value]) -> BTreeSet<Right> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut all = BTreeSet::new();
    for rule in documents.iter().flat_map(|document| document["rules"].as_array().into_iter().flatten()) {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                all.extend(texts(&rule["verbs"]).iter().map(|verb| Right::new(verb, &group, &resource)));
            }
        }
    }
    all
}

/// What operators did.
#[derive(Debug, Default)]
struct Used {
    requests: usize,
    rights: BTreeSet<Right>,
    /// What was allowed, with the namespace.
    allowed: BTreeSet<(Right, String)>,
    /// What was not, with the namespace.
    forbidden: BTreeSet<(Right, String)>,
}

impl Used {
    fn read(&mut self, entries: &[Value]) {
        for entry in entries {
            let user = entry["user"]["username"].as_str().unwrap_or_default();
            // Who has all rights shows none.
            if audit::is_by_operator(entry) && user.starts_with("system:serviceaccount:") {
                self.add(entry);
            }
        }
    }

    fn add(&mut self, entry: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &entry["objectRef"];
        let resource = match object["subresource"].as_str() {
            Some(subresource) => format!("{}/{subresource}", text(&object["resource"])),
            None => text(&object["resource"]),
        };
        let group = text(&object["apiGroup"]);
        self.requests += 1;
        let right = |verb: &str| Right::new(verb, &group, &resource);
        let verb = text(&entry["verb"]);
        let there = (right(&verb), text(&object["namespace"]));
        if entry["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            self.forbidden.insert(there);
            return;
        }
        self.allowed.insert(there);
        // Server-side apply that makes an object needs both.
        if verb == "patch" && entry["responseStatus"]["code"] == 201 {
            self.rights.insert(right("create"));
        }
        self.rights.insert(right(&verb));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(verb: &str, resource: &str, code: u16, decision: &str) -> Value {
        json!({
            "userAgent": "purser-operator/0.1.0", "user": {"username": "system:serviceaccount:purser-system:purser"},
            "verb": verb, "objectRef": {"resource": resource, "apiGroup": "apps"}, "responseStatus": {"code": code},
            "annotations": {"authorization.k8s.io/decision": decision},
        })
    }

    fn chart() -> BTreeSet<Right> {
        let rendered = "---\n# of the chart\nkind: ClusterRole\nrules:\n  - apiGroups: [apps]\n    resources: [deployments]\n    verbs: [create, patch]\n\
                        \n---\nkind: Role\nrules:\n  - apiGroups: [purser.dev]\n    resources: [paymentclusters/finalizers]\n    verbs: [update]\n";
        allowed(&documents(rendered).unwrap())
    }

    #[test]
    fn what_server_side_apply_makes_needs_two_rights_and_what_it_changes_one() {
        let mut used = Used::default();
        used.read(&[entry("patch", "deployments", 200, "allow")]);
        assert_eq!(problems(&chart(), &used).len(), 1, "nothing was created");
        used.read(&[entry("patch", "deployments", 201, "allow")]);
        assert_eq!(problems(&chart(), &used), Vec::<String>::new());
    }

    #[test]
    fn what_was_forbidden_is_named_and_is_no_use() {
        let mut used = Used::default();
        used.read(&[entry("patch", "deployments", 201, "allow"), entry("delete", "deployments", 403, "forbid")]);
        assert_eq!(problems(&chart(), &used), ["forbidden: delete deployments of apps"]);
    }

    #[test]
    fn what_was_forbidden_until_the_role_was_known_is_no_lack_but_elsewhere_it_is() {
        let within = |namespace: &str, decision: &str| {
            let mut entry = entry("patch", "deployments", if decision == "allow" { 201 } else { 403 }, decision);
            entry["objectRef"]["namespace"] = json!(namespace);
            entry
        };
        let mut used = Used::default();
        used.read(&[within("shop", "forbid"), within("shop", "allow")]);
        assert_eq!(problems(&chart(), &used), Vec::<String>::new());
        used.read(&[within("elsewhere", "forbid")]);
        assert_eq!(problems(&chart(), &used), ["forbidden: patch deployments of apps"]);
    }

    #[test]
    fn the_administrator_shows_no_need_of_a_right() {
        let mut by_administrator = entry("patch", "deployments", 201, "allow");
        by_administrator["user"]["username"] = json!("kubernetes-admin");
        let mut used = Used::default();
        used.read(&[by_administrator]);
        assert!(used.rights.is_empty());
    }
}
