//! One thing to one of those who are told: where it goes and what is sent. ★ Pure.

use std::collections::BTreeSet;

use crds::SecretKey;
use crds::payment_cluster::{Notification, OwedNotification, PaymentClusterStatus};
use serde_json::{Value, json};

use super::{Delivery, alertmanager, slack, template, webhook};
use crate::cluster::observed::Observed;
use crate::names::Identity;

/// One thing to one of those who are told.
#[derive(Clone, Debug)]
pub struct Letter {
    /// To whom.
    pub to: Notification,
    /// What.
    pub what: OwedNotification,
    /// Of which PaymentCluster.
    pub identity: Identity,
    /// Every release that is remembered: what fires for one of them is over when a later one succeeds.
    pub versions: BTreeSet<String>,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// As HTTP has it.
    pub content_type: &'static str,
    /// All of it.
    pub text: String,
}

impl Body {
    pub(super) fn json(value: &Value) -> Self {
        Self { content_type: "application/json", text: value.to_string() }
    }
}

/// Where a letter goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// To the URL in a Secret.
    Secret(SecretKey),
    /// To this URL.
    Url(String),
}

impl Letter {
    /// Which delivery it is.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        Delivery { id: self.what.id.clone(), to: self.to.name.clone() }
    }

    /// Where it goes; nowhere, when the notification is none.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        let alertmanager = self.to.alertmanager.as_ref();
        let url =
            alertmanager.map(|target| Address::Url(format!("{}/api/v2/alerts", target.url.trim_end_matches('/'))));
        url.or_else(|| self.to.secret().cloned().map(Address::Secret))
    }

    /// What is sent.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub fn body(&self) -> Result<Body, String> {
        if self.to.alertmanager.is_some() {
            return Ok(Body::json(&alertmanager::alerts(self)));
        }
        if self.to.slack.is_some() {
            return Ok(Body::json(&slack::message(self)));
        }
        let fields = webhook::fields(self);
        match self.to.webhook.as_ref().and_then(|target| Some((target.template.as_ref()?, target.content_type))) {
            Some((template, content_type)) => {
                let text = template::render(template, content_type, &fields)?;
                Ok(Body { content_type: content_type.header(), text })
            }
            None => Ok(Body::json(&fields)),
        }
    }
}

/// What a status owes, to each of those who are told in the order in which it has happened.
#[must_use]
pub fn letters(observed: &Observed, status: &PaymentClusterStatus) -> Vec<(Notification, Vec<Letter>)> {
    let owed = status.notifications.as_ref().map(|notifications| notifications.owed.as_slice()).unwrap_or_default();
    let records = status.release.iter().flat_map(|release| &release.history);
    let named = records.flat_map(|record| [Some(&record.version), record.from.as_ref()]);
    let versions: BTreeSet<String> = named.flatten().cloned().collect();
    let spec = &observed.cluster.spec;
    let of = |to: &Notification| {
        let wanting = owed.iter().filter(|what| what.to.contains(&to.name));
        let letter = |what: &OwedNotification| Letter {
            to: to.clone(),
            what: what.clone(),
            identity: observed.identity.clone(),
            versions: versions.clone(),
        };
        (to.clone(), wanting.map(letter).collect::<Vec<_>>())
    };
    spec.notifications.iter().map(of).filter(|(_, letters)| !letters.is_empty()).collect()
}

/// A letter of which nothing is true, by which templates are tried.
pub(super) fn sample(to: &Notification, what: OwedNotification) -> Letter {
    let identity = Identity { namespace: "shop".into(), name: "payments".into(), uid: String::new() };
    Letter { to: to.clone(), what, identity, versions: BTreeSet::new() }
}

/// An optional value, or null: a template may ask for it either way.
pub(super) fn or_null(value: Option<&String>) -> Value {
    value.map_or(Value::Null, |value| json!(value))
}
