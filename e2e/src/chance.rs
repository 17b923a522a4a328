//! Chance that can be had again: the same seed gives the same numbers, on every machine.

/// A source of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A source of its own for the `n`th of several users of one seed.
    #[must_use]
    pub const fn fork(&self, n: u64) -> Self {
        Self(mix(self.0 ^ mix(n.wrapping_add(1))))
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, which must not be 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True in so many of a hundred cases.
    pub const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them; there must be one.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = usize::try_from(self.next()).unwrap_or(0) % all.len();
        &all[index]
    }
}

/// Scatters a number over all numbers.
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_forks_differ() {
        let (mut one, mut same) = (Chance::new(7), Chance::new(7));
        assert_eq!((one.next(), one.next()), (same.next(), same.next()));
        assert_ne!(one.fork(0).next(), one.fork(1).next());
        assert!((0..1000).filter(|_| one.percent(30)).count().abs_diff(300) < 60);
    }
}
