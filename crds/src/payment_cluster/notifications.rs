//! Who is told how releases go, and what they were not told yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ReleaseFiguresStatus, Stage};
use crate::SecretKey;
use crate::rule::rule;

/// Somebody who is told how releases go. A notification comes at least once, and twice when the operator dies at the wrong
/// moment: its `id` tells the two apart from two that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rule(
    "[has(self.webhook), has(self.slack), has(self.alertmanager)].filter(given, given).size() == 1",
    "a notification goes to exactly one of webhook, slack and alertmanager",
)))]
pub struct Notification {
    /// What it is called, in the status and in Events.
    #[schemars(length(min = 1, max = 63))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "the name of a notification is of lower case letters, digits and '-'")))]
    pub name: String,
    /// Any HTTP server that takes a POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTarget>,
    /// A channel of Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackTarget>,
    /// Prometheus' Alertmanager. SlaBreached, RolledBack and Failed are alerts that fire until a later release succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<AlertmanagerTarget>,
    /// What it is told; everything when left out. Alertmanager is told of nothing but alerts.
    #[serde(default = "NotificationEvent::all")]
    #[schemars(length(min = 1, max = 6))]
    pub on: Vec<NotificationEvent>,
}

impl Notification {
    /// Most notifications of a PaymentCluster.
    pub const COUNT_MAX: usize = 10;

    /// Whether it is told of an event. What resolves alerts is told to whoever was told of them.
    #[must_use]
    pub fn wants(&self, event: NotificationEvent) -> bool {
        match &self.alertmanager {
            Some(_) => event == NotificationEvent::Succeeded || (event.is_alert() && self.on.contains(&event)),
            None => self.on.contains(&event),
        }
    }

    /// The Secret that holds its URL, if one does.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretKey> {
        let webhook = self.webhook.as_ref().map(|webhook| &webhook.secret_key_ref);
        webhook.or(self.slack.as_ref().map(|slack| &slack.secret_key_ref))
    }
}

/// The rule on the whole list.
pub(super) const UNIQUE: &str = "self.all(one, self.filter(other, other.name == one.name).size() == 1)";

/// Any HTTP server that takes a POST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTarget {
    /// Secret key with the URL: whoever knows it may write there.
    pub secret_key_ref: SecretKey,
    /// The body, as a Jinja template with `if` and the fields of the default body; a JSON document of all of them when left
    /// out. A field that is not there is an error: `{% if figures %}{{ figures.p99Ms }}{% endif %}`. In JSON, a text is
    /// written as `{{ message | tojson }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub template: Option<String>,
    /// What the template makes.
    #[serde(default)]
    pub content_type: ContentType,
}

/// What a template makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ContentType {
    /// A JSON document. A template that makes anything else is refused.
    #[default]
    #[serde(rename = "application/json")]
    Json,
    /// Words.
    #[serde(rename = "text/plain")]
    Text,
}

impl ContentType {
    /// As HTTP has it.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// A channel of Slack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlackTarget {
    /// Secret key with the URL of an incoming webhook.
    pub secret_key_ref: SecretKey,
}

/// Prometheus' Alertmanager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertmanagerTarget {
    /// Where it is; `/api/v2/alerts` is put behind it.
    #[schemars(length(min = 1, max = 1024))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^https?://[-.a-zA-Z0-9]+(:[0-9]{1,5})?(/[-._~%/a-zA-Z0-9]*)?$')", "alertmanager.url must be a URL of scheme, host, optional port and optional path, such as http://alertmanager.monitoring:9093")))]
    pub url: String,
}

/// Something that happens to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NotificationEvent {
    /// Another version is wanted than the one that serves.
    Started,
    /// It waits for somebody's approval.
    ApprovalNeeded,
    /// It serves.
    Succeeded,
    /// It cannot go on until a person puts something right.
    Failed,
    /// It was given up; the release before it serves.
    RolledBack,
    /// The release that takes payments breaks its SLA.
    SlaBreached,
}

impl NotificationEvent {
    /// Every event.
    pub const ALL: [Self; 6] =
        [Self::Started, Self::ApprovalNeeded, Self::Succeeded, Self::Failed, Self::RolledBack, Self::SlaBreached];

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    /// The event as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::ApprovalNeeded => "ApprovalNeeded",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::RolledBack => "RolledBack",
            Self::SlaBreached => "SlaBreached",
        }
    }

    /// Whether a person has to know at once.
    #[must_use]
    pub const fn is_alert(self) -> bool {
        matches!(self, Self::Failed | Self::RolledBack | Self::SlaBreached)
    }
}

/// What is remembered of notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationsStatus {
    /// What has happened and was not told to everybody yet, the oldest first. An operator that starts anew tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<OwedNotification>,
    /// Version and reason of the last failure that was told: a release that fails each minute is told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

impl NotificationsStatus {
    /// Most entries of `owed`; beyond it the oldest is not told any more.
    pub const OWED_MAX: usize = 20;
}

/// Something that has happened and was not told to everybody yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwedNotification {
    /// Tells it apart from any other of this PaymentCluster. One that comes twice comes with the same.
    pub id: String,
    /// What has happened.
    pub event: NotificationEvent,
    /// The release that it happened to.
    pub version: String,
    /// The release that serves beside it, or served when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The stage after it.
    pub stage: Stage,
    /// A sentence.
    pub message: String,
    /// Figures of the release's last window, when there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<ReleaseFiguresStatus>,
    /// When, in RFC 3339.
    pub at: String,
    /// Names of those who were not told yet.
    pub to: Vec<String>,
}
