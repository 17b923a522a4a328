//! What analytics may know: tables, and their columns one by one. A column that is not named here never leaves the database.
//!
//! Not here, and not to come here: keys and their hashes, tokens, what is printed on a card, secrets of webhooks, bodies of requests,
//! names and addresses of those who pay, texts that anybody may write anything into.
//!
//! A column that a release adds is added to the list by the same release: it is published once the migrations have run and the
//! analytics database has it. One that is to be dropped leaves the list a release earlier: PostgreSQL refuses to drop what is published.

/// A table and what of it is published.
#[derive(Clone, Copy, Debug)]
pub struct PublishedTable {
    /// Its name.
    pub name: &'static str,
    /// Its columns; those of the primary key have to be among them, or the database would refuse updates.
    pub columns: &'static [&'static str],
}

/// All of it.
#[rustfmt::skip]
pub const PUBLISHED: &[PublishedTable] = &[
    PublishedTable { name: "merchants", columns: &[
        "id", "name", "business_id", "category", "status", "fee_percentage", "is_test", "created_at", "updated_at",
    ] },
    PublishedTable { name: "users", columns: &["id", "merchant_id", "status", "risk_level", "created_at", "updated_at"] },
    PublishedTable { name: "payment_methods", columns: &[
        "id", "user_id", "type", "provider", "created_at", "detached_at",
    ] },
    PublishedTable { name: "payment_providers", columns: &[
        "id", "name", "resource", "is_active", "max_latency_ms", "success_rate_threshold", "priority", "created_at", "updated_at",
    ] },
    PublishedTable { name: "transactions", columns: &[
        "id", "amount", "currency", "status", "t_start", "t_end", "latency_ms", "user_id", "merchant_id", "payment_method_id",
        "payment_provider_id", "provider_reference", "fee", "fraud_score", "fraud_status", "error_code", "release",
        "capture_method", "amount_authorized", "amount_captured", "amount_refunded", "authorized_until", "created_at", "updated_at",
    ] },
    PublishedTable { name: "payment_attempts", columns: &[
        "id", "payment_id", "payment_created_at", "number", "payment_provider_id", "state", "provider_reference", "error_code",
        "release", "t_start", "t_end", "latency_ms", "route",
    ] },
    PublishedTable { name: "operations", columns: &[
        "id", "payment_id", "payment_created_at", "merchant_id", "kind", "amount", "currency", "final", "capture_id", "status",
        "provider_reference", "error_code", "release", "created_at", "t_end", "updated_at",
    ] },
    PublishedTable { name: "fraud_checks", columns: &[
        "id", "transaction_id", "risk_score", "rules_triggered", "check_duration_ms", "status", "degraded", "deadline_missed",
        "release", "checked_at", "created_at",
    ] },
    PublishedTable { name: "ledger_entries", columns: &[
        "journal_id", "line", "account", "account_owner", "payment_provider_id", "currency", "amount", "payment_id", "created_at",
    ] },
    PublishedTable { name: "transaction_metrics", columns: &[
        "id", "time_bucket", "bucket_size", "release", "n_total", "n_success", "n_failed", "n_pending", "tps", "avg_latency_ms",
        "p95_latency_ms", "p99_latency_ms", "success_rate", "total_amount", "created_at", "updated_at",
    ] },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of names that a column with something secret or personal would have.
    const SUSPICIOUS: [&str; 24] = [
        "key",
        "hash",
        "secret",
        "token",
        "password",
        "credential",
        "card",
        "last_four",
        "expiry",
        "cvv",
        "email",
        "phone",
        "full_name",
        "address",
        "ip_",
        "fingerprint",
        "geolocation",
        "url",
        "endpoint",
        "body",
        "payload",
        "header",
        "description",
        "message",
    ];

    #[test]
    fn no_published_column_sounds_as_if_it_held_a_secret() {
        for table in PUBLISHED {
            for column in table.columns {
                let part = SUSPICIOUS.iter().find(|part| column.contains(*part));
                assert!(part.is_none(), "{}.{column} has \"{}\" in its name", table.name, part.unwrap());
            }
        }
    }

    #[test]
    fn nothing_is_named_twice() {
        let names = PUBLISHED.iter().flat_map(|table| table.columns.iter().map(|column| (table.name, *column)));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
