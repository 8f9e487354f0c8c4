//! Operations on resources that we master, whoever's the locks are (spec: peer 8).

use dlmwire_codec::{ExFlags, LockStatus, Mode, MsgResult};

use super::lock::{LockId, is_down};
use super::lockspace::Lockspace;
use super::name::Name;
use super::resource::Moment;

impl Lockspace {
    /// A new lock, for a resource that we master.
    pub(super) fn request_here(&mut self, id: LockId) -> MsgResult {
        let Some((name, exflags)) = self.locks.get(&id).map(|lock| (lock.name.clone(), lock.exflags)) else {
            return MsgResult::NoEntry;
        };
        let Some(resource) = self.resources.get_mut(&name) else {
            return MsgResult::BadRequest;
        };
        if resource.can_grant(&self.locks, id, Moment::Now) {
            self.grant_here(id);
            return MsgResult::Success;
        }
        if exflags.contains(ExFlags::NOQUEUE) {
            return MsgResult::Again;
        }
        resource.put(id, LockStatus::Waiting, exflags);
        if let Some(lock) = self.locks.get_mut(&id) {
            lock.status = LockStatus::Waiting;
        }
        MsgResult::InProgress
    }

    /// Another mode for a granted lock.
    pub(super) fn convert_here(&mut self, id: LockId, mode: Mode) -> MsgResult {
        let Some(lock) = self.locks.get_mut(&id) else {
            return MsgResult::NoEntry;
        };
        lock.requested = mode;
        let (name, exflags, from) = (lock.name.clone(), lock.exflags, lock.granted);
        let Some(resource) = self.resources.get_mut(&name) else {
            return MsgResult::BadRequest;
        };
        if is_down(from, mode) || resource.can_grant(&self.locks, id, Moment::Now) {
            self.grant_here(id);
            return MsgResult::Success;
        }
        let result = if exflags.contains(ExFlags::NOQUEUE) {
            MsgResult::Again
        } else if !exflags.contains(ExFlags::NODLCKWT) && resource.is_deadlocked(&self.locks, id) {
            MsgResult::Deadlock
        } else {
            MsgResult::InProgress
        };
        let queued = result == MsgResult::InProgress;
        if queued {
            resource.take_off(id);
            resource.put(id, LockStatus::Convert, exflags);
        }
        if let Some(lock) = self.locks.get_mut(&id) {
            if queued {
                lock.status = LockStatus::Convert;
            } else {
                lock.requested = Mode::Iv;
            }
        }
        result
    }

    /// A lock is given back: takes it off its queue, and its value block if it could write.
    pub(super) fn give_back(&mut self, id: LockId) {
        let lvblen = self.lvblen();
        if let Some(lock) = self.locks.get_mut(&id)
            && let Some(resource) = self.resources.get_mut(&lock.name)
        {
            resource.lvb.exchange(lock, Mode::Iv, lvblen);
            resource.take_off(id);
        }
    }

    /// A queued request or conversion is taken back.
    pub(super) fn cancel_here(&mut self, id: LockId) -> MsgResult {
        let Some(lock) = self.locks.get_mut(&id) else {
            return MsgResult::NoEntry;
        };
        if !matches!(lock.status, LockStatus::Waiting | LockStatus::Convert) {
            return MsgResult::Success;
        }
        lock.requested = Mode::Iv;
        let converts = lock.status == LockStatus::Convert;
        if let Some(resource) = self.resources.get_mut(&lock.name) {
            resource.take_off(id);
            if converts {
                lock.status = LockStatus::Granted;
                resource.put(id, LockStatus::Granted, ExFlags::new(0));
            }
        }
        MsgResult::Cancelled
    }

    fn grant_here(&mut self, id: LockId) {
        let lvblen = self.lvblen();
        if let Some(lock) = self.locks.get_mut(&id)
            && let Some(resource) = self.resources.get_mut(&lock.name)
        {
            resource.lvb.exchange(lock, lock.requested, lvblen);
            resource.take_off(id);
            lock.take_requested();
            resource.put(id, LockStatus::Granted, ExFlags::new(0));
        }
    }

    /// What follows a request: who is in its way is told, who can go on now goes on, and a refused one is forgotten.
    pub(super) fn after_request(
        &mut self,
        id: LockId,
        name: &Name,
        flags: ExFlags,
        result: MsgResult,
        mode: Mode,
    ) {
        if result == MsgResult::Again && flags.contains(ExFlags::NOQUEUEBAST) {
            self.tell_blockers(id, name, mode);
        }
        let unborn = self
            .locks
            .get(&id)
            .is_some_and(|lock| lock.status == LockStatus::None && !lock.is_ours());
        if unborn {
            self.drop_lock(id);
        }
        self.settle(name);
    }

    /// Grants what can be granted, and tells who is in the way of the rest.
    pub(super) fn settle(&mut self, name: &Name) {
        while let Some(id) = self
            .resources
            .get(name)
            .and_then(|resource| resource.next_grant(&self.locks))
        {
            self.grant_here(id);
            self.tell_granted(id);
        }
        let Some(resource) = self.resources.get(name) else {
            return;
        };
        let blocked = resource.converting.iter().chain(&resource.waiting);
        let wanted: Vec<(LockId, Mode)> = blocked
            .filter_map(|id| self.locks.get(id).map(|lock| (*id, lock.requested)))
            .collect();
        for (id, mode) in wanted {
            self.tell_blockers(id, name, mode);
        }
    }
}
