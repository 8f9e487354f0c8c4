//! How long the oldest unacknowledged message has waited, without a time stamp per message.

use std::collections::VecDeque;

use dlmwire_codec::Seq;

use crate::Time;

/// Marks that are kept; the distance between them grows when there are more.
const MARKS_MAX: usize = 64;
/// The distance at first, in nanoseconds.
const DISTANCE: u64 = 10_000_000;

/// Which number was the next one at a few moments.
#[derive(Clone, Debug, Default)]
pub(super) struct Ages {
    marks: VecDeque<(Seq, Time)>,
    distance: u64,
    /// The next mark is made from then on.
    next: Time,
}

impl Ages {
    /// Number `seq` was committed.
    #[inline]
    pub(super) fn note(&mut self, seq: Seq, now: Time) {
        if now >= self.next {
            self.mark(seq, now);
        }
    }

    #[cold]
    fn mark(&mut self, seq: Seq, now: Time) {
        if self.marks.capacity() == 0 {
            // Most peers acknowledge before there is a second.
            self.marks.reserve_exact(1);
        }
        self.marks.push_back((seq, now));
        if self.marks.len() > MARKS_MAX {
            let mut index = 0_usize;
            self.marks.retain(|_| {
                index = index.wrapping_add(1);
                index % 2 == 1
            });
            self.distance = self.distance.max(DISTANCE).saturating_mul(2);
        }
        self.next = Time(now.0.saturating_add(self.distance.max(DISTANCE)));
    }

    /// Everything before `first` is acknowledged.
    pub(super) fn release_before(&mut self, first: Seq) {
        while let Some((seq, _)) = self.marks.get(1)
            && !first.before(*seq)
        {
            self.marks.pop_front();
        }
    }

    /// Nothing waits.
    pub(super) fn clear(&mut self) {
        self.marks.clear();
        self.distance = 0;
        self.next = Time::default();
    }

    /// Since when the oldest waits, at most so early: a mark may stand for messages shortly behind it.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.marks.front().map(|(_, time)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_told_within_the_distance_of_the_marks() {
        let mut ages = Ages::default();
        let start = Seq::new(u32::MAX - 500);
        for number in 0..1_000_u32 {
            ages.note(start.plus(number), Time(u64::from(number) * DISTANCE));
            assert!(ages.marks.len() <= MARKS_MAX);
        }
        ages.release_before(start.plus(900));
        let oldest = ages.oldest().unwrap();
        assert!(
            oldest <= Time(900 * DISTANCE) && oldest >= Time(850 * DISTANCE),
            "{oldest:?}"
        );
        ages.clear();
        assert_eq!(ages.oldest(), None);
    }
}
