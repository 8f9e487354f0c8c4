//! The two rules about numbers: what a receiver makes of a message's, and a sender of an acknowledged one.
//!
//! Both are in serial arithmetic (spec: midcomms 2, 5).

use dlmwire_codec::Seq;

/// What a number is to a receiver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arrival {
    /// The expected one: counted, then delivered.
    InOrder,
    /// Counted before: dropped, and answered at once with an `ACK` of the expected number, because the earlier
    /// one may be lost.
    Duplicate {
        /// How many numbers it lies behind the expected one, at least 1.
        behind: u32,
    },
    /// Too early: dropped without an answer. The protocol never holds messages back to sort them.
    Gap {
        /// How many numbers are missing before it, at least 1.
        missing: u32,
    },
}

/// The receive rule: `seq` came where `expected` was due.
///
/// Deviation: kernels compare with plain `<` here, so that around the wrap they take a duplicate for a gap and
/// do not acknowledge it again. Ours answers it, which a kernel peer takes as any repeated `ACK`.
///
/// ```
/// use dlmwire_codec::Seq;
/// use dlmwire_midcomms::{Arrival, arrival};
///
/// let expected = Seq::new(0);
/// assert_eq!(arrival(expected, Seq::new(0)), Arrival::InOrder);
/// assert_eq!(arrival(expected, Seq::new(u32::MAX)), Arrival::Duplicate { behind: 1 });
/// assert_eq!(arrival(expected, Seq::new(2)), Arrival::Gap { missing: 2 });
/// ```
#[inline]
pub const fn arrival(expected: Seq, seq: Seq) -> Arrival {
    match expected.distance(seq) {
        0 => Arrival::InOrder,
        _ if seq.before(expected) => Arrival::Duplicate {
            behind: seq.distance(expected),
        },
        missing => Arrival::Gap { missing },
    }
}

/// What an acknowledged number is to the sender of the messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Acked {
    /// Acknowledges more than before.
    Advances {
        /// How many messages more, at least 1.
        count: u32,
    },
    /// Acknowledges what was acknowledged before: the answer to a duplicate.
    Repeats,
    /// Acknowledges less than before: it was overtaken, or a new incarnation sent it. Changes nothing.
    GoesBack {
        /// How many messages less, at least 1.
        by: u32,
    },
    /// Acknowledges what was never sent. Changes nothing.
    ///
    /// Deviation: kernels believe it and drop what is queued. Ours keeps it and calls the peer restarted.
    BeyondSent {
        /// How many numbers beyond the next one to send, at least 1.
        by: u32,
    },
}

/// The acknowledgement rule: `ack` came where everything before `acked` was acknowledged and `next` is the next
/// number to send.
///
/// ```
/// use dlmwire_codec::Seq;
/// use dlmwire_midcomms::{Acked, acked};
///
/// let (before, next) = (Seq::new(5), Seq::new(9));
/// assert_eq!(acked(before, next, Seq::new(7)), Acked::Advances { count: 2 });
/// assert_eq!(acked(before, next, Seq::new(5)), Acked::Repeats);
/// assert_eq!(acked(before, next, Seq::new(4)), Acked::GoesBack { by: 1 });
/// assert_eq!(acked(before, next, Seq::new(10)), Acked::BeyondSent { by: 1 });
/// ```
#[inline]
pub const fn acked(acked: Seq, next: Seq, ack: Seq) -> Acked {
    let count = acked.distance(ack);
    if count == 0 {
        Acked::Repeats
    } else if count <= acked.distance(next) {
        Acked::Advances { count }
    } else if next.before(ack) {
        Acked::BeyondSent {
            by: next.distance(ack),
        }
    } else {
        Acked::GoesBack {
            by: ack.distance(acked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: [u32; 5] = [0, 1, 1 << 31, u32::MAX - 2, u32::MAX];

    #[test]
    fn arrival_is_the_same_at_every_start() {
        for expected in STARTS.map(Seq::new) {
            assert_eq!(arrival(expected, expected), Arrival::InOrder);
            for steps in [1, 2, 4096, (1 << 31) - 1] {
                let behind = expected.plus(0_u32.wrapping_sub(steps));
                assert_eq!(arrival(expected, behind), Arrival::Duplicate { behind: steps });
                assert_eq!(
                    arrival(expected, expected.plus(steps)),
                    Arrival::Gap { missing: steps }
                );
            }
        }
    }

    #[test]
    fn arrival_at_half_the_range_is_a_duplicate() {
        for expected in STARTS.map(Seq::new) {
            assert_eq!(
                arrival(expected, expected.plus(1 << 31)),
                Arrival::Duplicate { behind: 1 << 31 }
            );
        }
    }

    #[test]
    fn acked_is_the_same_at_every_start() {
        for from in STARTS.map(Seq::new) {
            let next = from.plus(10);
            assert_eq!(acked(from, next, from), Acked::Repeats);
            assert_eq!(acked(from, next, from.plus(1)), Acked::Advances { count: 1 });
            assert_eq!(acked(from, next, next), Acked::Advances { count: 10 });
            assert_eq!(acked(from, next, next.next()), Acked::BeyondSent { by: 1 });
            assert_eq!(
                acked(from, next, next.plus((1 << 31) - 1)),
                Acked::BeyondSent { by: (1 << 31) - 1 }
            );
            let behind = from.plus(u32::MAX);
            assert_eq!(acked(from, next, behind), Acked::GoesBack { by: 1 });
        }
    }

    #[test]
    fn acked_with_nothing_sent_only_repeats() {
        for next in STARTS.map(Seq::new) {
            assert_eq!(acked(next, next, next), Acked::Repeats);
            assert_eq!(acked(next, next, next.next()), Acked::BeyondSent { by: 1 });
        }
    }
}
