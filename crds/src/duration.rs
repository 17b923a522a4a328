//! Durations as people write them in a manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A whole number and one unit: `50ms`, `2s`, `5m`, `1h`. The API server checks form and bounds by the rules of the
/// fields that use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DurationText(#[schemars(length(max = 12))] pub String);

impl DurationText {
    /// The duration in milliseconds; `None` when the text is no duration, is zero or is too long to count.
    #[must_use]
    pub fn as_millis(&self) -> Option<u64> {
        let digits_end = self.0.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = self.0.split_at(digits_end);
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(factor).filter(|millis| *millis > 0)
    }
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let cases = [
            ("50ms", Some(50)),
            ("2s", Some(2_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("0s", None),
            ("5", None),
            ("", None),
            ("ms", None),
            ("1.5s", None),
            ("-1s", None),
            ("1d", None),
            ("99999999999999999999h", None),
            ("18446744073709551615h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(DurationText::from(text).as_millis(), expected, "{text:?}");
        }
    }
}
