//! What a channel of Slack is sent: blocks, with the words alone for the notifications of a telephone. ★ Pure.

use crds::payment_cluster::{NotificationEvent, OwedNotification, ReleaseFiguresStatus};
use serde_json::{Value, json};

use super::letter::Letter;

/// Letters that Slack takes in the text of a section, and what is left free for what stands around a message.
const SECTION_LETTERS_MAX: usize = 2_900;

pub(super) fn message(letter: &Letter) -> Value {
    let OwedNotification { event, version, message, figures, .. } = &letter.what;
    let owner = escape(&letter.identity.owner());
    let head = format!("{} *{}*: release {} of {owner}", sign(*event), event.as_str(), escape(version));
    let mut blocks = vec![section(&head), section(&escape(message))];
    if let Some(figures) = figures {
        blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": line(figures) }] }));
    }
    let short = format!("{}: release {} of {owner}", event.as_str(), escape(version));
    json!({ "text": short, "blocks": blocks })
}

fn section(text: &str) -> Value {
    // A text that is cut within an escaped letter shows a few letters too many, and nothing worse.
    let text: String = text.chars().take(SECTION_LETTERS_MAX).collect();
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// The three letters that Slack reads as its own, `<!channel>` among what they make. In this order, or `&` would be escaped twice.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const fn sign(event: NotificationEvent) -> &'static str {
    match event {
        NotificationEvent::Started => ":arrow_forward:",
        NotificationEvent::ApprovalNeeded => ":raised_hand:",
        NotificationEvent::Succeeded => ":white_check_mark:",
        NotificationEvent::Failed => ":x:",
        NotificationEvent::RolledBack => ":rewind:",
        NotificationEvent::SlaBreached => ":rotating_light:",
    }
}

fn line(figures: &ReleaseFiguresStatus) -> String {
    let ReleaseFiguresStatus { payments, tps, average_ms, p95_ms, p99_ms, success_rate, fraud_p99_ms } = figures;
    let ms = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value} ms"));
    let parts = [
        Some(format!("{payments} payments")),
        Some(format!("{tps} a second")),
        success_rate.as_ref().map(|rate| format!("{rate} % succeeded")),
        ms("average", average_ms),
        ms("p95", p95_ms),
        ms("p99", p99_ms),
        ms("fraud p99", fraud_p99_ms),
    ];
    escape(&parts.into_iter().flatten().collect::<Vec<_>>().join(" · "))
}
