//! The open links of a transport, and a short memory of those that are gone.

use std::collections::VecDeque;
use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::event::Timestamp;

/// How many links are given up at once when there are too many, as a share of all.
const EVICTED_SHARE: usize = 16;
const DEPARTED_MAX: usize = 8192;
const LINGERING_MAX: usize = 1024;
/// Twice the longest time that TCP expects a packet to live.
const DEPARTED_NANOS_MAX: u64 = 120_000_000_000;

/// Place of a link in [`Links`]. Valid until the link is removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Slot(u32);

/// Links by slot.
pub(super) struct Links<L> {
    slots: Vec<Option<Entry<L>>>,
    free: Vec<Slot>,
}

struct Entry<L> {
    link: L,
    /// Number of the last packet that touched it.
    last: u64,
}

impl<L> Links<L> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, link: L, packet: u64) -> Slot {
        let entry = Some(Entry { link, last: packet });
        if let Some(slot) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(slot.0 as usize) {
                *place = entry;
            }
            return slot;
        }
        let slot = Slot(u32::try_from(self.slots.len()).expect("the bound on links is far below 2^32"));
        self.slots.push(entry);
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<L> {
        let entry = self.slots.get_mut(slot.0 as usize)?.take()?;
        self.free.push(slot);
        Some(entry.link)
    }

    /// The link, noting that this packet touched it.
    #[inline]
    pub(super) fn touch(&mut self, slot: Slot, packet: u64) -> Option<&mut L> {
        let entry = self.slots.get_mut(slot.0 as usize)?.as_mut()?;
        entry.last = packet;
        Some(&mut entry.link)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&L> {
        self.slots.get(slot.0 as usize)?.as_ref().map(|entry| &entry.link)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut L> {
        self.slots
            .get_mut(slot.0 as usize)?
            .as_mut()
            .map(|entry| &mut entry.link)
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// All open links, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &L> {
        self.slots.iter().flatten().map(|entry| &entry.link)
    }

    /// All open links, in the order of their last packets.
    pub(super) fn by_age(&self) -> Vec<Slot> {
        let mut ages: Vec<(u64, Slot)> = (0..)
            .zip(&self.slots)
            .filter_map(|(slot, entry)| entry.as_ref().map(|entry| (entry.last, Slot(slot))))
            .collect();
        ages.sort_unstable();
        ages.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Those idle longest, at least one if there is any: many at once, so that looking for them is cheap.
    pub(super) fn oldest(&self) -> Vec<Slot> {
        let mut slots = self.by_age();
        slots.truncate((self.len() / EVICTED_SHARE).max(1));
        slots
    }
}

/// Links that were reset, in that order: they stay for a while for what comes late.
pub(super) struct Lingering<K>(VecDeque<K>);

impl<K> Lingering<K> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Adds one. Returns the one whose time is over.
    pub(super) fn push(&mut self, key: K) -> Option<K> {
        self.0.push_back(key);
        if self.0.len() > LINGERING_MAX {
            self.0.pop_front()
        } else {
            None
        }
    }
}

/// Keys of links that ended, so that their last packets, still under way, open no new ones.
pub(super) struct Departed<K> {
    ended: FxHashMap<K, Timestamp>,
    order: VecDeque<(K, Timestamp)>,
}

impl<K: Copy + Eq + Hash> Departed<K> {
    pub(super) fn new() -> Self {
        Self {
            ended: FxHashMap::default(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn insert(&mut self, key: K, now: Timestamp) {
        if self.order.len() == DEPARTED_MAX
            && let Some((oldest, ended)) = self.order.pop_front()
            && self.ended.get(&oldest) == Some(&ended)
        {
            self.ended.remove(&oldest);
        }
        self.ended.insert(key, now);
        self.order.push_back((key, now));
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.ended.remove(key);
    }

    #[inline]
    pub(super) fn contains(&self, key: &K, now: Timestamp) -> bool {
        self.ended
            .get(key)
            .is_some_and(|&ended| now.nanos_since(ended) <= DEPARTED_NANOS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again_and_the_oldest_are_those_touched_longest_ago() {
        let mut links = Links::new();
        let slots: Vec<Slot> = (0..32).map(|packet| links.insert(packet, packet)).collect();
        links.touch(slots[0], 100);
        assert_eq!(links.oldest(), [slots[1], slots[2]]);
        assert_eq!(links.remove(slots[1]), Some(1));
        assert_eq!(links.len(), 31);
        assert_eq!(links.insert(7, 101), slots[1]);
        assert_eq!(links.len(), 32);
    }

    #[test]
    fn departed_keys_are_forgotten_by_time_and_by_number() {
        let mut departed = Departed::new();
        let at = Timestamp::from_nanos;
        departed.insert(0, at(0));
        assert!(departed.contains(&0, at(DEPARTED_NANOS_MAX)));
        assert!(!departed.contains(&0, at(DEPARTED_NANOS_MAX + 1)));
        departed.insert(0, at(5));
        for key in 1..DEPARTED_MAX as u64 {
            departed.insert(key, at(6));
        }
        assert!(departed.contains(&0, at(6)), "its older entry made room");
        departed.insert(u64::MAX, at(6));
        assert!(!departed.contains(&0, at(6)));
        assert_eq!(departed.ended.len(), DEPARTED_MAX);
    }
}
