//! What becomes of an `OPTS` whose content cannot be taken: one table (spec: wire 7, kernel-lab 6).
//!
//! A number that is not consumed makes every later one a gap, so that it matters as much as the content.

use crate::error::ErrorKind;

/// What a receiver does with the number and the content of a damaged `OPTS` that came in sequence.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Not looked at: the number is still expected, nothing is acknowledged.
    NotConsumed,
    /// The number counts and is acknowledged, the content is dropped.
    Consumed,
    /// The number counts and is acknowledged, and the content is taken for what it is not.
    Delivered,
}

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DamageRow {
    /// What this crate's users do.
    pub ours: Effect,
    /// What 3.2 kernels do.
    pub kernels: Effect,
}

/// The row for a kind of damage, or `None` for kinds that no `OPTS` with a readable number can have.
///
/// Where kernels drop without consuming, so do we: the peer's next number is a gap on both sides. Where
/// kernels deliver what they should not, we consume and drop.
pub const fn damage(kind: &ErrorKind) -> Option<DamageRow> {
    use Effect::{Consumed, Delivered, NotConsumed};
    let (ours, kernels) = match kind {
        // The frame's own lengths contradict each other, or the command may not be wrapped.
        ErrorKind::OptionsBeyondFrame { .. }
        | ErrorKind::NextCommand { .. }
        | ErrorKind::InnerHeaderMissing { .. }
        | ErrorKind::InnerTooShort { .. } => (NotConsumed, NotConsumed),
        // The kernel believes the inner header over the outer.
        ErrorKind::InnerCommandDiffers { .. }
        | ErrorKind::InnerBeyondFrame { .. }
        | ErrorKind::InnerShorterThanFrame { .. }
        | ErrorKind::InnerVersionDiffers { .. } => (Consumed, Delivered),
        // Found by the layer above, after the number has been counted.
        ErrorKind::InnerNodeDiffers { .. }
        | ErrorKind::NameLength { .. }
        | ErrorKind::PayloadTooShort { .. }
        | ErrorKind::NamesOverrun { .. } => (Consumed, Consumed),
        // Kernels check neither the slot count nor the options, which they skip unread.
        ErrorKind::SlotsBeyondPayload { .. }
        | ErrorKind::OptionHeaderTruncated { .. }
        | ErrorKind::OptionLength { .. } => (Consumed, Delivered),
        ErrorKind::LengthBelowHeader { .. }
        | ErrorKind::LengthAboveLimit { .. }
        | ErrorKind::UnknownMajor { .. }
        | ErrorKind::UnknownMinor { .. }
        | ErrorKind::UnknownCommand { .. }
        | ErrorKind::NodeZero
        | ErrorKind::BodyTooShort { .. }
        | ErrorKind::AckTooLong { .. }
        | ErrorKind::BareFin
        | ErrorKind::NotIn3_1 { .. } => return None,
    };
    Some(DamageRow { ours, kernels })
}
