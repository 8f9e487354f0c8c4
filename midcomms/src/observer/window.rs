//! Digests of the last numbers of one direction, in a ring.

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
    /// How often it was seen; 0 for a number that was skipped.
    pub(super) sightings: u32,
}

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

/// The ring: consecutive numbers from `base`, the newest at the end.
#[derive(Debug)]
pub(super) struct Window {
    base: Seq,
    entries: VecDeque<Entry>,
    capacity: usize,
}

impl Window {
    pub(super) const fn new(capacity: usize) -> Self {
        Self {
            base: Seq::INITIAL,
            entries: VecDeque::new(),
            capacity,
        }
    }

    /// Forgets everything; the next number to come is `base`. The memory is kept.
    pub(super) fn restart(&mut self, base: Seq) {
        self.base = base;
        self.entries.clear();
    }

    /// The number behind the newest.
    #[inline]
    pub(super) fn next(&self) -> Seq {
        self.base
            .plus(u32::try_from(self.entries.len()).unwrap_or(u32::MAX))
    }

    /// The oldest number remembered.
    pub(super) const fn base(&self) -> Seq {
        self.base
    }

    pub(super) fn newest(&self) -> Option<&Entry> {
        self.entries.back()
    }

    #[inline]
    pub(super) fn place(&self, seq: Seq) -> Place {
        match self.get(seq) {
            Some(Entry { sightings: 0, .. }) => Place::Skipped,
            Some(entry) => Place::Seen(*entry),
            None if seq.before(self.base) => Place::Behind,
            None => Place::Ahead,
        }
    }

    /// The entry of a number within the window, seen or skipped.
    #[inline]
    pub(super) fn get(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(usize::try_from(self.base.distance(seq)).ok()?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, seq: Seq) -> Option<&mut Entry> {
        self.entries
            .get_mut(usize::try_from(self.base.distance(seq)).ok()?)
    }

    /// Whether a number ahead can be noted with everything before it still in the window.
    pub(super) fn reaches(&self, seq: Seq) -> bool {
        usize::try_from(self.next().distance(seq)).is_ok_and(|skipped| skipped < self.capacity)
    }

    /// Notes a message that was not seen before: skipped, or not before `next`.
    #[inline]
    pub(super) fn note(&mut self, seq: Seq, entry: Entry) {
        if let Some(skipped) = self.get_mut(seq) {
            *skipped = entry;
            return;
        }
        if seq != self.next() {
            self.skip_to(seq);
        }
        self.push(entry);
    }

    /// Moves `next` forward to `seq`; what lies between counts as skipped.
    pub(super) fn skip_to(&mut self, seq: Seq) {
        if !self.reaches(seq) {
            self.restart(seq);
            return;
        }
        let skipped = Entry {
            digest: 0,
            first: At::default(),
            ordinal: 0,
            ends_first: 0,
            ends_last: 0,
            early: false,
            sightings: 0,
        };
        while self.next() != seq {
            self.push(skipped);
        }
    }

    #[inline]
    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= self.capacity && self.entries.pop_front().is_some() {
            self.base = self.base.next();
        }
        self.entries.push_back(entry);
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
}
