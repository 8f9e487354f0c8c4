//! Whether a number that came again carries what it carried before.
//!
//! Nothing on the wire tells one incarnation of a node from the next (spec: midcomms 1). A node that began again
//! reuses low numbers for other messages, so digests of the first numbers received are kept, and of some of the last:
//! its numbers come one after the other, so that they meet one of those within a few. A low number alone proves
//! nothing: whoever resends legally begins with its oldest unacknowledged one.

use dlmwire_codec::Seq;

use crate::digest::digest;

/// Numbers from the conversation's start that are remembered: where a restarted node begins.
const FIRST: usize = 16;
/// Of the numbers behind them one in so many is remembered: a digest costs half as much as the rest of a reception.
const EVERY: usize = 16;
/// How many of those; with [`EVERY`] a power of two, so that places stay the same over the wrap.
const LAST: usize = 8;

/// Digests of received numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Received {
    start: Seq,
    first: [u32; FIRST],
    last: [u32; LAST],
}

/// Where a number's digest is kept.
enum Place {
    First(usize),
    Last(usize),
}

impl Place {
    /// By the distance from the conversation's start.
    #[inline]
    const fn of(at: usize) -> Option<Self> {
        if at < FIRST {
            Some(Self::First(at))
        } else if at.is_multiple_of(EVERY) {
            Some(Self::Last(at / EVERY % LAST))
        } else {
            None
        }
    }
}

impl Received {
    pub(super) const fn new(start: Seq) -> Self {
        Self {
            start,
            first: [0; FIRST],
            last: [0; LAST],
        }
    }

    /// The expected number came in `frame`.
    #[inline]
    pub(super) fn count(&mut self, seq: Seq, frame: &[u8]) {
        let place = match Place::of(slot(self.start.distance(seq))) {
            Some(Place::First(at)) => self.first.get_mut(at),
            Some(Place::Last(at)) => self.last.get_mut(at),
            None => None,
        };
        if let Some(place) = place {
            *place = fingerprint(frame);
        }
    }

    /// Whether `seq`, which lies before `expected`, came with other bytes before. `false` if it is not remembered.
    pub(super) fn differs(&self, expected: Seq, seq: Seq, frame: &[u8]) -> bool {
        let behind = slot(seq.distance(expected));
        let known = match Place::of(slot(self.start.distance(seq))) {
            Some(Place::First(at)) => self.first.get(at),
            Some(Place::Last(at)) if behind <= EVERY * LAST => self.last.get(at),
            Some(Place::Last(_)) | None => None,
        };
        // What lies before the start wraps to far behind it and was never counted.
        let counted = slot(self.start.distance(expected)) >= behind;
        counted && known.is_some_and(|known| *known != fingerprint(frame))
    }
}

fn slot(distance: u32) -> usize {
    usize::try_from(distance).unwrap_or(usize::MAX)
}

/// Of one number in sixteen: kept out of what runs for each.
#[inline(never)]
fn fingerprint(frame: &[u8]) -> u32 {
    let [a, b, c, d, ..] = digest(frame).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: [u32; 4] = [0, 1, 1 << 31, u32::MAX - 2];

    fn frame(number: u32) -> [u8; 40] {
        let mut frame = [7; 40];
        frame[4..8].copy_from_slice(&number.to_le_bytes());
        frame
    }

    /// Numbers of which something is remembered when 1000 have come: the last 128, every sixteenth.
    fn remembered() -> impl Iterator<Item = u32> {
        (0..16).chain((880..1000).step_by(16))
    }

    #[test]
    fn the_same_bytes_again_are_no_evidence_and_others_are() {
        for start in STARTS.map(Seq::new) {
            let mut received = Received::new(start);
            for number in 0..1000 {
                received.count(start.plus(number), &frame(number));
            }
            let expected = start.plus(1000);
            for number in 0..1000 {
                assert!(
                    !received.differs(expected, start.plus(number), &frame(number)),
                    "{number}"
                );
            }
            for number in remembered() {
                assert!(
                    received.differs(expected, start.plus(number), &frame(number + 1)),
                    "{number}"
                );
            }
        }
    }

    /// Wherever the other bytes begin, they show within sixteen numbers.
    #[test]
    fn others_among_the_last_show_within_sixteen() {
        let mut received = Received::new(Seq::new(0));
        for number in 0..1000 {
            received.count(Seq::new(number), &frame(number));
        }
        for begin in 880..977 {
            let mut next = begin..begin + 16;
            assert!(
                next.any(|number| received.differs(Seq::new(1000), Seq::new(number), &frame(0))),
                "{begin}"
            );
        }
    }

    #[test]
    fn a_number_that_is_not_remembered_is_no_evidence() {
        for start in STARTS.map(Seq::new) {
            let mut received = Received::new(start);
            for number in 0..1000 {
                received.count(start.plus(number), &frame(number));
            }
            let expected = start.plus(1000);
            for seq in [
                start.plus(16),
                start.plus(864),
                start.plus(999),
                start.plus(u32::MAX),
                start.plus(1 << 31),
            ] {
                assert!(!received.differs(expected, seq, &frame(0)), "{seq}");
            }
        }
    }
}
