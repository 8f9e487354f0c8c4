//! A moment that may be set, in the room of one: every peer has many, and most are never set.

use crate::Time;

/// Never comes: the engine's time begins at 0 and is in nanoseconds.
const OFF: Time = Time(u64::MAX);

/// Nor does this: what it is for waits for something else, which gives it its moment.
const HELD: Time = Time(u64::MAX - 1);

/// A moment at which something is to be done, or none, or one that is still to be found.
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
        (self.0 < HELD).then_some(self.0)
    }

    pub(super) const fn set(&mut self, at: Time) {
        self.0 = at;
    }

    /// Sets it, unless it is set or held.
    pub(super) const fn set_first(&mut self, at: Time) {
        if self.is_none() {
            self.set(at);
        }
    }

    /// Sets it to no moment.
    pub(super) const fn hold(&mut self) {
        self.0 = HELD;
    }

    pub(super) fn is_held(self) -> bool {
        self.0 == HELD
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
        self.0 <= now && self.0 < HELD
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self(OFF)
    }
}
