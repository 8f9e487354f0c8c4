//! A resource at its master: three queues, a value block, and what may be granted (spec: peer 8).

use std::collections::BTreeMap;

use dlmwire_codec::{Asts, ExFlags, LockStatus, Mode, NodeId};
use dlmwire_midcomms::Time;

use super::lock::{Lock, LockId, is_compatible};
use super::lvb::Lvb;

/// All locks of a lockspace.
pub(super) type Locks = BTreeMap<LockId, Lock>;

/// A resource that we master or hold locks on.
#[derive(Clone, Debug, Default)]
pub(super) struct Resource {
    /// `None` while it is not known, or its master is gone.
    pub(super) master: Option<NodeId>,
    pub(super) granted: Vec<LockId>,
    pub(super) converting: Vec<LockId>,
    pub(super) waiting: Vec<LockId>,
    pub(super) lvb: Lvb,
    /// Locks on it, queued or not, here or elsewhere.
    pub(super) users: usize,
    /// When it is forgotten, if it has no locks.
    pub(super) tossed_at: Option<Time>,
}

/// Whether a request came just now, or waits in its queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    Now,
    Queued,
}

impl Resource {
    /// Takes a lock off its queue.
    pub(super) fn take_off(&mut self, id: LockId) {
        for queue in [&mut self.granted, &mut self.converting, &mut self.waiting] {
            queue.retain(|other| *other != id);
        }
    }

    /// Puts a lock on the queue that its status says.
    pub(super) fn put(&mut self, id: LockId, status: LockStatus, exflags: ExFlags) {
        let queue = match status {
            LockStatus::Granted => &mut self.granted,
            LockStatus::Convert => &mut self.converting,
            LockStatus::Waiting => &mut self.waiting,
            LockStatus::None | LockStatus::Other(_) => return,
        };
        if exflags.contains(ExFlags::HEADQUE) {
            queue.insert(0, id);
        } else {
            queue.push(id);
        }
    }

    /// Whether the lock could have its requested mode.
    pub(super) fn can_grant(&self, locks: &Locks, id: LockId, moment: Moment) -> bool {
        let Some(lock) = locks.get(&id) else {
            return false;
        };
        if lock.has(ExFlags::EXPEDITE) || lock.requested == Mode::Nl && lock.granted != Mode::Iv {
            return true;
        }
        let mut others = self.granted.iter().chain(&self.converting);
        if others.any(|other| *other != id && conflicts(locks, *other, lock.requested)) {
            return false;
        }
        if lock.has(ExFlags::NOORDER) {
            return true;
        }
        let converts = lock.granted != Mode::Iv;
        match (moment, converts) {
            (Moment::Now, true) => !lock.has(ExFlags::QUECVT) || self.converting.is_empty(),
            (Moment::Now, false) => self.converting.is_empty() && self.waiting.is_empty(),
            (Moment::Queued, true) => self.converting.first() == Some(&id),
            (Moment::Queued, false) => self.converting.is_empty() && self.waiting.first() == Some(&id),
        }
    }

    /// The next lock that can be granted: conversions first, then who waits.
    pub(super) fn next_grant(&self, locks: &Locks) -> Option<LockId> {
        let mut queued = self.converting.iter().chain(&self.waiting);
        queued
            .find(|id| self.can_grant(locks, **id, Moment::Queued))
            .copied()
    }

    /// Whether the conversion and another one wait for each other for ever.
    pub(super) fn is_deadlocked(&self, locks: &Locks, id: LockId) -> bool {
        let Some(lock) = locks.get(&id) else {
            return false;
        };
        self.converting.iter().filter(|other| **other != id).any(|other| {
            conflicts(locks, *other, lock.requested)
                && locks
                    .get(other)
                    .is_some_and(|other| !is_compatible(lock.granted, other.requested))
        })
    }

    /// The locks whose holders are to be told that they block a request for `mode` of `asking`.
    pub(super) fn blockers(&self, locks: &Locks, asking: LockId, mode: Mode) -> Vec<LockId> {
        let holders = self.granted.iter().chain(&self.converting);
        holders
            .filter(|id| **id != asking && conflicts(locks, **id, mode))
            .filter(|id| {
                locks
                    .get(id)
                    .is_some_and(|lock| lock.asts.contains(Asts::BAST) && lock.told < mode)
            })
            .copied()
            .collect()
    }
}

fn conflicts(locks: &Locks, holder: LockId, requested: Mode) -> bool {
    locks
        .get(&holder)
        .is_some_and(|lock| !is_compatible(lock.granted, requested))
}
