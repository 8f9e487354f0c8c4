//! Sequences of engine operations made of arbitrary bytes, with oracles. The fuzz target runs them as well.

mod hostile;
mod pair;

pub use hostile::hostile;
pub use pair::pair;

/// Bytes as a source of decisions; zeros when there are none left.
struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn below(&mut self, limit: usize) -> usize {
        let [low, high] = [self.next(), self.next()].map(|byte| usize::from(byte.unwrap_or(0)));
        (low + (high << 8)) % limit.max(1)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(count.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}
