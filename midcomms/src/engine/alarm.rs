//! A moment that may be set, in the room of one: every peer has many, and most are never set.

use crate::Time;

/// Never comes: the engine's time begins at 0 and is in nanoseconds.
const OFF: Time = Time(u64::MAX);

/// A moment at which something is to be done, or none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Alarm(Time);

impl Alarm {
    pub(super) const fn is_some(self) -> bool {
        self.0.0 != OFF.0
    }

    pub(super) const fn is_none(self) -> bool {
        !self.is_some()
    }

    /// When it rings.
    pub(super) fn at(self) -> Option<Time> {
        self.is_some().then_some(self.0)
    }

    pub(super) const fn set(&mut self, at: Time) {
        self.0 = at;
    }

    /// Sets it, unless it is set.
    pub(super) const fn set_first(&mut self, at: Time) {
        if self.is_none() {
            self.set(at);
        }
    }

    pub(super) const fn clear(&mut self) {
        self.0 = OFF;
    }

    /// Clears it: whether it was set.
    pub(super) const fn take(&mut self) -> bool {
        let was = self.is_some();
        self.clear();
        was
    }

    /// Whether its moment has come.
    pub(super) fn is_due(self, now: Time) -> bool {
        self.0 <= now && self.is_some()
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self(OFF)
    }
}
