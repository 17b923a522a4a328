//! Whether an object is as it is wanted. ★ Pure.
//!
//! The API server adds defaults and others may own fields of their own, so the question is not whether two objects
//! are equal, but whether what is wanted is contained in what is. At rest the answer is yes, and nothing is written.

use serde_json::{Map, Value};

/// Whether everything in `wanted` is in `live`.
#[must_use]
pub fn contains(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| live.get(key).map_or(is_empty(wanted), |live| is_same(key, live, wanted)))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len()
                && wanted
                    .iter()
                    .enumerate()
                    .all(|(index, wanted)| counterpart(live, index, wanted).is_some_and(|live| contains(live, wanted)))
        }
        (live, wanted) => live == wanted,
    }
}

fn is_same(key: &str, live: &Value, wanted: &Value) -> bool {
    // One label too many in a selector, and it selects nothing any more.
    if key == "selector" {
        return live == wanted;
    }
    contains(live, wanted) || (matches!(key, "cpu" | "memory" | "sizeLimit") && is_same_quantity(live, wanted))
}

/// The API server leaves out what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The element of `live` that stands for an element of the wanted list: the one with its name, else the one in its place.
fn counterpart<'a>(live: &'a [Value], index: usize, wanted: &Value) -> Option<&'a Value> {
    match wanted.get("name") {
        Some(name) => live.iter().find(|live| live.get("name") == Some(name)),
        None => live.get(index),
    }
}

/// The API server writes `0.5` as `500m` and `1024Mi` as `1Gi`.
fn is_same_quantity(live: &Value, wanted: &Value) -> bool {
    let thousandths = |value: &Value| value.as_str().and_then(thousandths);
    matches!((thousandths(live), thousandths(wanted)), (Some(live), Some(wanted)) if live == wanted)
}

/// A quantity such as `250m`, `0.5` or `128Mi`, in thousandths of its unit.
#[must_use]
pub fn thousandths(quantity: &str) -> Option<u128> {
    let suffix_start = quantity.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(suffix_start);
    let factor: u128 = match suffix {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction_factor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole = whole.parse::<u128>().ok()?.checked_mul(fraction_factor)?;
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    whole.checked_add(fraction)?.checked_mul(factor).map(|scaled| scaled / fraction_factor)
}

/// A merge patch that makes the `wanted` spec of an object of it, with what somebody added to its selector removed.
#[must_use]
pub fn replacement(live: &Value, wanted: &Value) -> Value {
    let mut patch = wanted.clone();
    if let (Some(live), Some(patch)) = (live.get("selector"), patch.get_mut("selector")) {
        remove_others(live, patch);
    }
    patch
}

/// In a merge patch, null removes a key.
fn remove_others(live: &Value, patch: &mut Value) {
    let (Some(live), Some(patch)) = (live.as_object(), patch.as_object_mut()) else { return };
    for (key, live) in live {
        match patch.get_mut(key) {
            Some(patch) => remove_others(live, patch),
            None => {
                patch.insert(key.clone(), Value::Null);
            }
        }
    }
}

/// Puts the keys of `over` into `base`, map by map; anything but a map is replaced.
pub fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        let wanted =
            json!({ "spec": { "replicas": 2, "containers": [{ "name": "a", "image": "x" }], "none": {}, "list": [] } });
        let live = json!({
            "spec": {
                "replicas": 2,
                "containers": [{ "name": "a", "image": "x", "imagePullPolicy": "Always" }],
                "strategy": {},
            },
        });
        assert!(contains(&live, &wanted));
    }

    #[test]
    fn a_changed_value_a_lost_key_and_a_foreign_list_item_are_differences() {
        let wanted = json!({ "replicas": 2, "labels": { "a": "1" }, "containers": [{ "name": "a" }] });
        for live in [
            json!({ "replicas": 3, "labels": { "a": "1" }, "containers": [{ "name": "a" }] }),
            json!({ "replicas": 2, "labels": {}, "containers": [{ "name": "a" }] }),
            json!({ "replicas": 2, "labels": { "a": "1" }, "containers": [{ "name": "a" }, { "name": "miner" }] }),
            json!({ "replicas": 2, "labels": { "a": "1" }, "containers": [{ "name": "b" }] }),
        ] {
            assert!(!contains(&live, &wanted), "{live}");
        }
    }

    #[test]
    fn a_label_that_somebody_adds_to_a_selector_is_a_difference_and_is_removed() {
        let wanted = json!({ "selector": { "a": "1", "matchLabels": { "b": "2" } }, "ports": [] });
        let live = json!({ "selector": { "a": "1", "x": "y", "matchLabels": { "b": "2", "c": "3" } }, "ports": [] });
        assert!(!contains(&live, &wanted));
        let patch = json!({
            "selector": { "a": "1", "x": null, "matchLabels": { "b": "2", "c": null } },
            "ports": [],
        });
        assert_eq!(replacement(&live, &wanted), patch);
    }

    #[test]
    fn named_items_may_come_in_another_order() {
        let wanted = json!([{ "name": "a", "v": 1 }, { "name": "b", "v": 2 }]);
        assert!(contains(&json!([{ "name": "b", "v": 2 }, { "name": "a", "v": 1 }]), &wanted));
        assert!(!contains(&json!([{ "name": "b", "v": 1 }, { "name": "a", "v": 2 }]), &wanted));
    }

    #[test]
    fn a_quantity_may_be_written_in_another_unit() {
        let wanted = json!({ "limits": { "cpu": "0.5", "memory": "1024Mi" } });
        assert!(contains(&json!({ "limits": { "cpu": "500m", "memory": "1Gi" } }), &wanted));
        assert!(!contains(&json!({ "limits": { "cpu": "501m", "memory": "1Gi" } }), &wanted));
    }

    #[test]
    fn quantities_are_counted_in_thousandths() {
        let cases = [
            ("250m", Some(250)),
            ("2", Some(2_000)),
            ("0.5", Some(500)),
            ("1Ki", Some(1_024_000)),
            ("1.5k", Some(1_500_000)),
            ("", None),
            ("Mi", None),
            ("1e3", None),
        ];
        for (text, expected) in cases {
            assert_eq!(thousandths(text), expected, "{text:?}");
        }
    }
}
