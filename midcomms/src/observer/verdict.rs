//! What becomes of a frame.

use crate::admission::Refusal;

/// The observer's word on one frame, so that the layers above count a message once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// What becomes of the frame.
    pub verdict: Verdict,
    /// The conversation that it belongs to, counted from 1 for the pair.
    pub session: u32,
}

/// What a receiver that follows the protocol does with a frame.
///
/// What left the wire was not necessarily processed: after a reset a kernel may throw away what it had received
/// and take the resent copy. A message is still told [`InOrder`](Self::InOrder) once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Numbered, expected, delivered.
    InOrder,
    /// Numbered, seen or accepted before.
    Duplicate {
        /// Whether it had been acknowledged, so that the receiver certainly drops it.
        acked: bool,
    },
    /// Numbered, ahead of what the receiver expects: dropped.
    Gap,
    /// Without a number: an `ACK`, or a bare message, which counts as often as it comes.
    Unnumbered,
    /// Sound and not admitted.
    Refused(Refusal),
    /// Unreadable.
    Damaged,
    /// The link was never announced, or lies beyond the observer's bounds: nothing was looked at.
    NoLink,
}
