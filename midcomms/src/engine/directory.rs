//! Peers and links, found by their names.

use std::hash::{Hash, Hasher};

/// Boxed values in the order of their keys. Remembers which one [`get_mut`](Self::get_mut) found last: a run of messages
/// asks for the same one again and again, and a comparison finds it.
#[derive(Clone, Debug)]
pub(super) struct Directory<K, V> {
    entries: Vec<(K, Box<V>)>,
    last: usize,
}

impl<K: Copy + Ord, V> Directory<K, V> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            last: 0,
        }
    }

    #[inline]
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let (_, value) = match self.entries.get(self.last) {
            Some(entry) if entry.0 == *key => entry,
            Some(_) | None => self.entries.get(self.find(key).ok()?)?,
        };
        Some(value)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.entries.get(self.last).is_none_or(|entry| entry.0 != *key) {
            self.last = self.find(key).ok()?;
        }
        let (_, value) = self.entries.get_mut(self.last)?;
        Some(value)
    }

    pub(super) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.entries.insert(at, (key, Box::new(make())));
            at
        });
        self.last = at;
        match self.entries.get_mut(at) {
            Some((_, value)) => value,
            None => unreachable!("it was found or inserted"),
        }
    }

    /// The place of `key`, or where it would stand.
    #[inline(never)]
    fn find(&self, key: &K) -> Result<usize, usize> {
        self.entries.binary_search_by_key(key, |entry| entry.0)
    }

    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// Replaces what stood under `key`.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.find(&key).map(|at| self.entries.get_mut(at)) {
            Ok(Some((_, known))) => **known = value,
            Ok(None) => unreachable!("it was found"),
            Err(at) => self.entries.insert(at, (key, Box::new(value))),
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        let (_, value) = self.entries.remove(at);
        Some(*value)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.iter().map(|entry| entry.0)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| &**value)
    }
}

/// By what is in it, not by what was looked for last.
impl<K: PartialEq, V: PartialEq> PartialEq for Directory<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<K: Eq, V: Eq> Eq for Directory<K, V> {}

impl<K: Hash, V: Hash> Hash for Directory<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entries.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_is_found_whatever_was_found_or_removed_before() {
        let mut directory = Directory::new();
        for key in [5, 1, 9, 3] {
            directory.insert(key, key * 10);
        }
        assert_eq!(directory.keys().collect::<Vec<_>>(), [1, 3, 5, 9]);
        for found in [1, 3, 5, 9, 7] {
            for removed in [1, 3, 5, 9, 7] {
                let mut directory = directory.clone();
                assert_eq!(directory.get_mut(&found).is_some(), found != 7);
                assert_eq!(directory.remove(&removed).is_some(), removed != 7);
                for key in 0..10 {
                    let expected = (key != removed && [1, 3, 5, 9].contains(&key)).then_some(key * 10);
                    assert_eq!(directory.get(&key).copied(), expected, "{found} {removed} {key}");
                    assert_eq!(
                        directory.get_mut(&key).copied(),
                        expected,
                        "{found} {removed} {key}"
                    );
                }
            }
        }
    }

    #[test]
    fn value_is_made_only_for_a_new_key() {
        let mut directory = Directory::new();
        assert_eq!(*directory.get_or_insert_with(2, || 20), 20);
        assert_eq!(*directory.get_or_insert_with(2, || 99), 20);
        assert_eq!(*directory.get_or_insert_with(1, || 10), 10);
        assert_eq!(directory.values().copied().collect::<Vec<_>>(), [10, 20]);
    }

    #[test]
    fn directories_are_equal_by_content() {
        let mut one = Directory::new();
        one.insert(1, 10);
        one.insert(2, 20);
        let mut other = one.clone();
        other.get_mut(&2);
        assert_eq!(one, other);
        other.insert(2, 21);
        assert_ne!(one, other);
    }
}
