//! What rows sum to, whatever their order.

use sha2::{Digest, Sha256};

/// A count of rows, and the sum of the first 64 bits of each one's SHA-256. [`super::column::sum`] is the same in SQL.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    rows: u64,
    sum: i128,
}

impl Sum {
    /// Adds a row. Each value is hashed with its length before it, so that no two rows read the same.
    pub(super) fn add<'a>(&mut self, values: impl Iterator<Item = Option<&'a str>>) {
        let mut hash = Sha256::new();
        for value in values {
            match value {
                Some(text) => {
                    hash.update(format!("{}:", text.len()));
                    hash.update(text);
                }
                None => hash.update("-"),
            }
        }
        let first = hash.finalize().iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        self.rows += 1;
        self.sum += i128::from(first.cast_signed());
    }

    /// As the database says it.
    pub(super) fn total(&self) -> (u64, String) {
        (self.rows, self.sum.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&[Option<&str>]]) -> (u64, String) {
        let mut sum = Sum::default();
        rows.iter().for_each(|row| sum.add(row.iter().copied()));
        sum.total()
    }

    #[test]
    fn rows_count_in_any_order_and_every_value_in_its_place() {
        assert_eq!(sum(&[&[Some("a")], &[Some("b")]]), sum(&[&[Some("b")], &[Some("a")]]));
        let all = [
            sum(&[&[Some("a"), Some("b")]]),
            sum(&[&[Some("b"), Some("a")]]),
            sum(&[&[Some("ab"), Some("")]]),
            sum(&[&[Some("ab"), None]]),
            sum(&[&[None, Some("ab")]]),
            sum(&[&[Some("-"), Some("ab")]]),
            sum(&[]),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|other| other != one), "{n}");
        }
    }
}
