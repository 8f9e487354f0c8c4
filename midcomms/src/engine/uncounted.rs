//! State that decides neither what is sent nor what is delivered.

use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// Something that does not count when engines are compared: counters, rate limits, what is only warned of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uncounted<T>(pub(super) T);

impl<T> PartialEq for Uncounted<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Uncounted<T> {}

impl<T> Hash for Uncounted<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl<T> Deref for Uncounted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Uncounted<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
