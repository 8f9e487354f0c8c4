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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::{Command, Version};

    const NOT_CONSUMED: DamageRow = DamageRow {
        ours: Effect::NotConsumed,
        kernels: Effect::NotConsumed,
    };
    const DELIVERED_BY_KERNELS: DamageRow = DamageRow {
        ours: Effect::Consumed,
        kernels: Effect::Delivered,
    };
    const CONSUMED: DamageRow = DamageRow {
        ours: Effect::Consumed,
        kernels: Effect::Consumed,
    };

    #[test]
    fn every_kind_has_the_row_that_was_seen_or_none() {
        let command = Command::Msg;
        let rows = [
            (
                ErrorKind::OptionsBeyondFrame {
                    option_bytes: 1,
                    present: 0,
                },
                Some(NOT_CONSUMED),
            ),
            (ErrorKind::NextCommand { command: 0 }, Some(NOT_CONSUMED)),
            (ErrorKind::InnerHeaderMissing { present: 15 }, Some(NOT_CONSUMED)),
            (
                ErrorKind::InnerTooShort { command, length: 87 },
                Some(NOT_CONSUMED),
            ),
            (
                ErrorKind::InnerCommandDiffers {
                    inner: 2,
                    announced: command,
                },
                Some(DELIVERED_BY_KERNELS),
            ),
            (
                ErrorKind::InnerBeyondFrame {
                    length: 94,
                    present: 93,
                },
                Some(DELIVERED_BY_KERNELS),
            ),
            (
                ErrorKind::InnerShorterThanFrame {
                    length: 92,
                    present: 93,
                },
                Some(DELIVERED_BY_KERNELS),
            ),
            (
                ErrorKind::InnerVersionDiffers {
                    inner: 0,
                    outer: Version::V3_2,
                },
                Some(DELIVERED_BY_KERNELS),
            ),
            (ErrorKind::InnerNodeDiffers { inner: 2, outer: 1 }, Some(CONSUMED)),
            (ErrorKind::NameLength { length: 65 }, Some(CONSUMED)),
            (
                ErrorKind::PayloadTooShort {
                    rcom_type: 4,
                    length: 0,
                    needed: 108,
                },
                Some(CONSUMED),
            ),
            (
                ErrorKind::NamesOverrun {
                    needed: 2,
                    present: 0,
                },
                Some(CONSUMED),
            ),
            (
                ErrorKind::SlotsBeyondPayload { slots: 1, present: 0 },
                Some(DELIVERED_BY_KERNELS),
            ),
            (
                ErrorKind::OptionHeaderTruncated { present: 7 },
                Some(DELIVERED_BY_KERNELS),
            ),
            (
                ErrorKind::OptionLength {
                    length: 0,
                    present: 0,
                },
                Some(DELIVERED_BY_KERNELS),
            ),
            (ErrorKind::LengthBelowHeader { length: 15 }, None),
            (
                ErrorKind::LengthAboveLimit {
                    length: 4097,
                    limit: 4096,
                },
                None,
            ),
            (ErrorKind::UnknownMajor { major: 4 }, None),
            (ErrorKind::UnknownMinor { minor: 3 }, None),
            (ErrorKind::UnknownCommand { command: 6 }, None),
            (ErrorKind::NodeZero, None),
            (ErrorKind::BodyTooShort { command, length: 87 }, None),
            (ErrorKind::AckTooLong { length: 17 }, None),
            (ErrorKind::BareFin, None),
            (
                ErrorKind::NotIn3_1 {
                    command: Command::Ack,
                },
                None,
            ),
        ];
        for (kind, row) in rows {
            assert_eq!(damage(&kind), row, "{kind}");
        }
    }

    #[test]
    fn we_never_deliver_what_is_damaged() {
        for kind in [
            ErrorKind::InnerBeyondFrame {
                length: 94,
                present: 93,
            },
            ErrorKind::OptionLength {
                length: 0,
                present: 0,
            },
        ] {
            assert!(matches!(damage(&kind), Some(row) if row.ours != Effect::Delivered));
        }
    }
}
