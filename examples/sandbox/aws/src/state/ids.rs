//! Identifiers as AWS forms them, from a seeded generator: the same calls in
//! the same order get the same ids in every run.

/// A small deterministic generator (SplitMix64).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    seed: u64,
}

impl Ids {
    /// Starts the sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Starts the sequence that belongs to a name (FNV-1a).
    pub fn named(name: &str) -> Self {
        let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Self { seed }
    }

    /// Starts the sequence that belongs to a seed and a name.
    pub fn seeded(seed: u64, name: &str) -> Self {
        let mut mixed = Self { seed };
        let Self { seed: named } = Self::named(name);
        Self {
            seed: mixed.next() ^ named,
        }
    }

    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        let size = alphabet.len() as u64;
        (0..length)
            .map(|_| {
                let index = usize::try_from(self.next() % size).unwrap_or_default();
                char::from(alphabet[index])
            })
            .collect()
    }

    /// A number from 0 to one less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number from 0 up to 1.
    pub fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or_default())
            / (f64::from(u32::MAX) + 1.0)
    }

    /// `length` lower-case hexadecimal digits.
    pub fn hex(&mut self, length: usize) -> String {
        self.text(b"0123456789abcdef", length)
    }

    /// `length` decimal digits, the first not zero.
    pub fn digits(&mut self, length: usize) -> String {
        let first = self.text(b"123456789", 1);
        first + &self.text(b"0123456789", length.saturating_sub(1))
    }

    /// `length` capital letters and digits, as in Route 53 ids and access keys.
    pub fn capitals(&mut self, length: usize) -> String {
        self.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", length)
    }

    /// `length` letters and digits.
    pub fn alphanumeric(&mut self, length: usize) -> String {
        self.text(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            length,
        )
    }

    /// `length` characters of an alphabet of ASCII.
    pub fn of(&mut self, alphabet: &[u8], length: usize) -> String {
        self.text(alphabet, length)
    }

    /// An EC2 id: `prefix`, a dash and 17 hexadecimal digits.
    pub fn ec2(&mut self, prefix: &str) -> String {
        format!("{prefix}-{}", self.hex(17))
    }

    /// A UUID of version 4.
    pub fn uuid(&mut self) -> String {
        format!(
            "{}-{}-4{}-a{}-{}",
            self.hex(8),
            self.hex(4),
            self.hex(3),
            self.hex(3),
            self.hex(12)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (mut a, mut b) = (Ids::new(7), Ids::new(7));
        assert_eq!(a.ec2("sg"), b.ec2("sg"));
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.ec2("sg"), a.ec2("sg"));
        assert_eq!(a.ec2("sg").len(), 20);
        assert_eq!(a.uuid().len(), 36);
        let drawn = |seed, name| Ids::seeded(seed, name).below(u64::MAX);
        assert_eq!(drawn(1, "a"), drawn(1, "a"));
        assert_ne!(drawn(1, "a"), drawn(2, "a"));
        assert_ne!(drawn(1, "a"), drawn(1, "b"));
        assert_eq!(a.digits(10).len(), 10);
    }
}
