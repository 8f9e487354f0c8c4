//! Measurements of dlmwire.
//!
//! What is measured lives here, so that every program measures the same loops: [`mix`] makes the traffic,
//! [`codec`] goes through it with the crate, [`hand`] without; [`engine`] and [`nodes`] carry messages without an
//! operating system. `README.md` says how to run them and what came
//! out.

pub mod codec;
pub mod engine;
pub mod hand;
pub mod mix;
pub mod nodes;
pub mod ratios;

/// What a loop has seen, so that no loop can see less than the others and nothing is optimised away.
///
/// All variants of a loop must return the same sum for the same buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen(u64);

/// A loop over a buffer of frames.
pub type Loop = fn(&[u8]) -> Seen;

impl Seen {
    /// Adds a number.
    #[inline(always)]
    pub fn number(&mut self, number: impl Into<u64>) {
        self.0 = self.0.wrapping_add(number.into());
    }

    /// Adds the words of a message.
    #[inline(always)]
    pub fn words(&mut self, words: impl IntoIterator<Item = u32>) {
        self.number(words.into_iter().fold(0, u32::wrapping_add));
    }

    /// Adds a slice that is handed out: where it starts and how long it is, not what it holds.
    #[inline(always)]
    pub fn slice(&mut self, slice: &[u8]) {
        let number = slice.as_ptr().addr().wrapping_add(slice.len());
        self.0 = self.0.wrapping_add(number as u64);
    }
}
