//! Digests of the last numbers of one direction.

use std::collections::VecDeque;

use dlmwire_codec::Seq;

use crate::observer::At;

/// What is kept of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) digest: u64,
    /// When it was first seen.
    pub(super) first: At,
    /// The ordinal of the link that it was last seen on.
    pub(super) ordinal: u32,
    /// Link ends of the pair before it was first seen.
    pub(super) ends_first: u32,
    /// Link ends of the pair before it was last seen.
    pub(super) ends_last: u32,
    /// Whether the receiver dropped it as too early when it was first seen.
    pub(super) early: bool,
    /// How often it was seen.
    pub(super) sightings: u32,
}

/// Half the numbers: a window over more could not tell old from new.
const CAPACITY_MAX: u32 = 1 << 31;

/// Where a number lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Behind the window: older than anything remembered.
    Behind,
    /// Within, and seen.
    Seen(Entry),
    /// Within, and skipped.
    Skipped,
    /// Ahead of everything seen.
    Ahead,
}

/// The last numbers from `base` on. Only those that were seen take memory, however many were skipped.
#[derive(Debug)]
pub(super) struct Window {
    base: Seq,
    /// The number behind the newest.
    next: Seq,
    /// Ascending.
    seen: VecDeque<(Seq, Entry)>,
    /// How many numbers lie between `base` and `next` at most.
    capacity: u32,
}

impl Window {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            base: Seq::INITIAL,
            next: Seq::INITIAL,
            seen: VecDeque::new(),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX).clamp(1, CAPACITY_MAX),
        }
    }

    /// Forgets everything and gives the memory back; the next number to come is `base`.
    pub(super) fn restart(&mut self, base: Seq) {
        self.base = base;
        self.next = base;
        self.seen = VecDeque::new();
    }

    /// The number behind the newest.
    #[inline]
    pub(super) const fn next(&self) -> Seq {
        self.next
    }

    /// The oldest number remembered.
    pub(super) const fn base(&self) -> Seq {
        self.base
    }

    /// How many numbers the window covers at most.
    pub(super) const fn span(&self) -> u32 {
        self.capacity
    }

    /// How many digests are kept.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn newest(&self) -> Option<&Entry> {
        self.seen.back().map(|(_, entry)| entry)
    }

    #[inline]
    pub(super) fn place(&self, seq: Seq) -> Place {
        match self.get(seq) {
            Some(entry) => Place::Seen(*entry),
            None if self.holds(seq) => Place::Skipped,
            None if seq.before(self.base) => Place::Behind,
            None => Place::Ahead,
        }
    }

    /// The entry of a number that was seen.
    #[inline]
    pub(super) fn get(&self, seq: Seq) -> Option<&Entry> {
        let position = self.find(seq).ok()?;
        self.seen.get(position).map(|(_, entry)| entry)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, seq: Seq) -> Option<&mut Entry> {
        let position = self.find(seq).ok()?;
        self.seen.get_mut(position).map(|(_, entry)| entry)
    }

    /// Whether a number ahead can be noted with everything before it still in the window.
    pub(super) fn reaches(&self, seq: Seq) -> bool {
        self.next.distance(seq) < self.capacity
    }

    /// Notes a message that was not seen before: skipped, or not before `next`.
    #[inline]
    pub(super) fn note(&mut self, seq: Seq, entry: Entry) {
        if self.holds(seq) {
            if let Err(position) = self.find(seq) {
                self.seen.insert(position, (seq, entry));
            }
            return;
        }
        if seq != self.next {
            self.skip_to(seq);
        }
        self.seen.push_back((seq, entry));
        self.go_to(seq.next());
    }

    /// Moves `next` forward to `seq`; what lies between counts as skipped.
    pub(super) fn skip_to(&mut self, seq: Seq) {
        if self.reaches(seq) {
            self.go_to(seq);
        } else {
            self.restart(seq);
        }
    }

    /// Whether a number lies within the window.
    #[inline]
    fn holds(&self, seq: Seq) -> bool {
        self.base.distance(seq) < self.base.distance(self.next)
    }

    #[inline]
    fn go_to(&mut self, next: Seq) {
        self.next = next;
        let excess = self.base.distance(next).saturating_sub(self.capacity);
        self.base = self.base.plus(excess);
        while self.seen.front().is_some_and(|(seq, _)| seq.before(self.base)) {
            self.seen.pop_front();
        }
    }

    /// Where a number is, or where it would go.
    #[inline]
    fn find(&self, seq: Seq) -> Result<usize, usize> {
        let (Some((first, _)), Some((last, _))) = (self.seen.front(), self.seen.back()) else {
            return Err(0);
        };
        let direct = usize::try_from(first.distance(seq)).unwrap_or(usize::MAX);
        let without_skips = usize::try_from(first.distance(*last)).is_ok_and(|span| span < self.seen.len());
        if without_skips && direct < self.seen.len() {
            return Ok(direct);
        }
        let offset = self.base.distance(seq);
        self.seen
            .binary_search_by_key(&offset, |(seq, _)| self.base.distance(*seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digest: u64) -> Entry {
        Entry {
            digest,
            first: At::default(),
            ordinal: 1,
            ends_first: 0,
            ends_last: 0,
            early: false,
            sightings: 1,
        }
    }

    #[test]
    fn window_full_forgets_the_oldest() {
        for start in [0, 1, 1 << 31, u32::MAX - 1].map(Seq::new) {
            let mut window = Window::new(4);
            window.restart(start);
            for count in 0..6 {
                window.note(start.plus(count), entry(u64::from(count)));
            }
            assert_eq!(window.next(), start.plus(6));
            assert_eq!(window.place(start.plus(1)), Place::Behind);
            assert_eq!(window.place(start.plus(2)), Place::Seen(entry(2)));
            assert_eq!(window.place(start.plus(6)), Place::Ahead);
        }
    }

    #[test]
    fn window_skipped_number_can_be_noted_later() {
        for start in [0, 1, 1 << 31, u32::MAX - 1].map(Seq::new) {
            let mut window = Window::new(8);
            window.restart(start);
            window.note(start.plus(3), entry(3));
            assert_eq!(window.place(start.plus(1)), Place::Skipped);
            window.note(start.plus(1), entry(1));
            assert_eq!(window.place(start.plus(1)), Place::Seen(entry(1)));
            assert_eq!(window.next(), start.plus(4));
        }
    }

    #[test]
    fn window_far_number_leaves_nothing_behind() {
        let mut window = Window::new(8);
        window.note(Seq::new(0), entry(0));
        assert!(!window.reaches(Seq::new(1000)));
        window.note(Seq::new(1000), entry(1000));
        assert_eq!(window.place(Seq::new(0)), Place::Behind);
        assert_eq!(window.next(), Seq::new(1001));
    }

    #[test]
    fn window_skipped_numbers_take_no_memory() {
        for start in [0, 1, 1 << 31, u32::MAX - 1].map(Seq::new) {
            let mut window = Window::new(4096);
            window.restart(start);
            window.note(start, entry(0));
            window.note(start.plus(4095), entry(4095));
            assert_eq!(window.len(), 2);
            window.note(start.plus(7), entry(7));
            window.note(start.plus(3), entry(3));
            for seen in [0, 3, 7, 4095] {
                assert_eq!(
                    window.place(start.plus(seen)),
                    Place::Seen(entry(u64::from(seen)))
                );
            }
            for skipped in [1, 4, 8, 4094] {
                assert_eq!(window.place(start.plus(skipped)), Place::Skipped);
            }
            window.note(start.plus(4100), entry(4100));
            assert_eq!(window.place(start.plus(4)), Place::Behind);
            assert_eq!(window.place(start.plus(7)), Place::Seen(entry(7)));
        }
    }
}
