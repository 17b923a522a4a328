//! What a webhook is sent, and what templates are given. ★ Pure.

use crds::payment_cluster::{OwedNotification, ReleaseFiguresStatus};
use serde_json::{Value, json};

use super::letter::{Letter, or_null};

/// The default body. Every field is always there, null where there is nothing to say.
pub(super) fn fields(letter: &Letter) -> Value {
    let OwedNotification { id, event, version, from, stage, message, figures, at, to: _ } = &letter.what;
    json!({
        "id": id,
        "event": event.as_str(),
        "namespace": letter.identity.namespace,
        "name": letter.identity.name,
        "version": version,
        "from": or_null(from.as_ref()),
        "stage": stage.as_str(),
        "message": message,
        "figures": figures.as_ref().map(of_figures),
        "at": at,
    })
}

fn of_figures(figures: &ReleaseFiguresStatus) -> Value {
    let ReleaseFiguresStatus { payments, tps, average_ms, p95_ms, p99_ms, success_rate, fraud_p99_ms } = figures;
    json!({
        "payments": payments,
        "tps": tps,
        "averageMs": or_null(average_ms.as_ref()),
        "p95Ms": or_null(p95_ms.as_ref()),
        "p99Ms": or_null(p99_ms.as_ref()),
        "successRate": or_null(success_rate.as_ref()),
        "fraudP99Ms": or_null(fraud_p99_ms.as_ref()),
    })
}
