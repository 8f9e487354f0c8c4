//! Whether a number that came again carries what it carried before.
//!
//! Nothing on the wire tells one incarnation of a node from the next (spec: midcomms 1). A node that began again
//! reuses low numbers for other messages, so digests of the first and of the last numbers received are kept.
//! A low number alone proves nothing: whoever resends legally begins with its oldest unacknowledged one.

use dlmwire_codec::Seq;

use crate::digest::digest;

/// Numbers from the conversation's start that are remembered: where a restarted node begins.
const FIRST: usize = 16;
/// Last numbers that are remembered; a power of two.
const LAST: usize = 64;

/// Digests of received numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Received {
    start: Seq,
    first: [u32; FIRST],
    last: [u32; LAST],
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
        let print = fingerprint(frame);
        let at = slot(self.start.distance(seq));
        if let Some(place) = self.last.get_mut(at % LAST) {
            *place = print;
        }
        if let Some(place) = self.first.get_mut(at) {
            *place = print;
        }
    }

    /// Whether `seq`, which lies before `expected`, came with other bytes before. `false` if it is not remembered.
    pub(super) fn differs(&self, expected: Seq, seq: Seq, frame: &[u8]) -> bool {
        let at = slot(self.start.distance(seq));
        let behind = slot(seq.distance(expected));
        let known = if behind <= LAST {
            self.last.get(at % LAST)
        } else {
            self.first.get(at)
        };
        // What lies before the start wraps to far behind it and is in neither window.
        let counted = slot(self.start.distance(expected)) >= behind;
        counted && known.is_some_and(|known| *known != fingerprint(frame))
    }
}

fn slot(distance: u32) -> usize {
    usize::try_from(distance).unwrap_or(usize::MAX)
}

#[inline]
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

    #[test]
    fn the_same_bytes_again_are_no_evidence_and_others_are() {
        for start in STARTS.map(Seq::new) {
            let mut received = Received::new(start);
            for number in 0..200 {
                received.count(start.plus(number), &frame(number));
            }
            let expected = start.plus(200);
            for number in (0..16).chain(136..200) {
                assert!(
                    !received.differs(expected, start.plus(number), &frame(number)),
                    "{number}"
                );
                assert!(
                    received.differs(expected, start.plus(number), &frame(number + 1)),
                    "{number}"
                );
            }
        }
    }

    #[test]
    fn a_number_that_is_not_remembered_is_no_evidence() {
        for start in STARTS.map(Seq::new) {
            let mut received = Received::new(start);
            for number in 0..200 {
                received.count(start.plus(number), &frame(number));
            }
            let expected = start.plus(200);
            for seq in [
                start.plus(16),
                start.plus(135),
                start.plus(u32::MAX),
                start.plus(1 << 31),
            ] {
                assert!(!received.differs(expected, seq, &frame(0)), "{seq}");
            }
        }
    }
}
