//! Between the barriers: the directory rebuilt, those who left forgotten, their resources mastered anew (spec: peer
//! 5, 9).

use std::time::Duration;

use dlmwire_codec::{
    ExFlags, Frame, Limits, LockStatus, Mode, Msg, MsgType, NodeId, Payload, Rcom, RcomLock, RecoveryStatus,
    SbFlags, Split, split,
};

use super::event::Event;
use super::lock::{Lock, LockId, Owner, is_sideways};
use super::lockspace::{Lockspace, NAMES_MAX, after};
use super::name::Name;
use super::recovery::{Phase, Step};

/// `rl_result` of a new master that does not know yet that it is: `-EBADR`.
pub(super) const NOT_MASTER_YET: i32 = -53;
/// `rl_result` for a lock that was told before: `-EEXIST`.
pub(super) const KNOWN_ALREADY: i32 = -17;

/// The pause before a new master that is not ready is told again.
const PAUSE: Duration = Duration::from_millis(20);

impl Lockspace {
    /// Forgets what was known as directory, and starts with what we master ourselves.
    pub(super) fn begin_directory(&mut self) {
        self.directory.clear();
        let own = self.config.node;
        let mastered = self
            .resources
            .iter()
            .filter(|(_, resource)| resource.master == Some(own));
        let names: Vec<Name> = mastered.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.record(&name, own);
        }
    }

    /// Notes a resource's master, if it is for us to note.
    pub(super) fn record(&mut self, name: &Name, master: NodeId) {
        let ours = self.members.directory(name) == self.config.node;
        if ours && self.directory.len() < NAMES_MAX && self.directory.get(name) != Some(&master) {
            self.directory.insert(name.clone(), master);
            self.tell(Event::Mastered {
                name: name.clone(),
                node: master,
            });
        }
    }

    /// Forgets resources without locks: their masters may be others after a recovery.
    pub(super) fn clear_unused(&mut self) {
        self.resources.retain(|_, resource| resource.users > 0);
        self.tossed.clear();
    }

    /// A recovery was cut short: a new master that has not taken our locks over may not have learned that it is one.
    pub(super) fn doubt_new_masters(&mut self) {
        let own = self.config.node;
        let untaken = self.locks.values().filter(|lock| is_to_be_moved(lock));
        for lock in untaken {
            if let Some(resource) = self.resources.get_mut(&lock.name)
                && resource.master != Some(own)
            {
                resource.master = None;
            }
        }
    }

    /// Forgets the locks of who has left, and the masters that have.
    pub(super) fn purge(&mut self) {
        let gone = self.recovery.gone.clone();
        if gone.is_empty() {
            return;
        }
        let left = |lock: &Lock| matches!(lock.owner, Owner::Node(node) if gone.contains(&node));
        let orphans: Vec<LockId> = self
            .locks
            .iter()
            .filter(|(_, lock)| left(lock))
            .map(|(id, _)| *id)
            .collect();
        for id in orphans {
            if let Some(lock) = self.locks.get(&id)
                && lock.granted >= Mode::Pw
                && let Some(resource) = self.resources.get_mut(&lock.name)
            {
                // Who could have written the value block is gone.
                resource.lvb.invalid = true;
            }
            self.drop_lock(id);
        }
        for resource in self.resources.values_mut() {
            if resource.master.is_some_and(|master| gone.contains(&master)) {
                resource.master = None;
            }
        }
        let ours: Vec<LockId> = self.locks.keys().copied().collect();
        for id in ours {
            self.end_operation_at_lost_master(id);
        }
    }

    /// Nobody answers any more what was asked of a master that is gone.
    fn end_operation_at_lost_master(&mut self, id: LockId) {
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        let master = self
            .resources
            .get(&lock.name)
            .and_then(|resource| resource.master);
        if master.is_some() || !lock.is_ours() {
            return;
        }
        lock.remid = 0;
        if is_sideways(lock.granted, lock.requested) {
            // The lost master may have granted it, and others beside it: of the two modes neither can be counted on.
            lock.granted = Mode::Cr;
        }
        let waiting = lock.waiting();
        lock.set_waiting(None);
        match waiting {
            Some(MsgType::Request | MsgType::Lookup) => lock.set_waiting(Some(MsgType::Lookup)),
            Some(MsgType::Convert) => lock.status = LockStatus::Convert,
            Some(MsgType::Unlock) => {
                self.drop_lock(id);
                self.tell(Event::Unlocked { lock: id });
            }
            Some(MsgType::Cancel) => self.take_back(id),
            Some(_) | None => {}
        }
    }

    /// Asks the directory for the new masters of what has none.
    pub(super) fn find_new_masters(&mut self) {
        let established = self
            .locks
            .values()
            .filter(|lock| lock.is_ours() && lock.status != LockStatus::None);
        let mut names: Vec<Name> = established.map(|lock| lock.name.clone()).collect();
        names.retain(|name| {
            self.resources
                .get(name)
                .is_some_and(|resource| resource.master.is_none())
        });
        names.sort_unstable();
        names.dedup();
        self.recovery.step = Step::Masters;
        for name in names {
            let directory = self.members.directory(&name);
            if directory == self.config.node {
                let master = self.directory.get(&name).copied().unwrap_or(directory);
                self.record(&name, master);
                self.set_master(&name, master);
            } else {
                let id = self.recovery.next_id();
                self.post_rcom(
                    directory,
                    self.question(id, Payload::Lookup { name: name.wire() }),
                );
                self.recovery.searches.insert(id, name);
            }
        }
        self.move_locks();
    }

    pub(super) fn set_master(&mut self, name: &Name, master: NodeId) {
        if let Some(resource) = self.resources.get_mut(name) {
            resource.master = Some(master);
        }
    }

    /// `LOOKUP_REPLY`: a new master.
    pub(super) fn take_new_master(&mut self, rcom: &Rcom<'_>) {
        if !self.is_of_now(rcom) {
            return;
        }
        let Some(name) = self.recovery.searches.remove(&rcom.id()) else {
            return;
        };
        let master = u32::try_from(rcom.result()).ok().and_then(NodeId::new);
        match master.filter(|master| self.members.contains(*master)) {
            Some(master) => self.set_master(&name, master),
            None => {
                let result = rcom.result();
                self.trouble(rcom.node(), format_args!("new master of {name} is {result}"));
            }
        }
        self.move_locks();
        self.advance();
    }

    /// Tells new masters of our locks, once all are known.
    fn move_locks(&mut self) {
        if !self.recovery.searches.is_empty() || !matches!(self.recovery.step, Step::Masters) {
            return;
        }
        self.recovery.step = Step::Locks;
        let ours = self.locks.iter().filter(|(_, lock)| is_to_be_moved(lock));
        let ids: Vec<LockId> = ours.map(|(id, _)| *id).collect();
        for id in ids {
            self.move_lock(id);
        }
        self.end_moving();
    }

    /// Puts a lock of ours on the queue of its new master.
    fn move_lock(&mut self, id: LockId) {
        let Some(lock) = self.locks.get(&id) else {
            return;
        };
        let Some(resource) = self.resources.get_mut(&lock.name) else {
            return;
        };
        let Some(master) = resource.master else {
            return;
        };
        if master == self.config.node {
            resource.take_off(id);
            resource.put(id, lock.status, ExFlags::new(0));
            resource.lvb.recover(lock, usize::from(self.config.lvblen));
            return;
        }
        let byte = |mode: Mode| i8::try_from(mode.wire()).unwrap_or(-1);
        let fields = RcomLock {
            ownpid: lock.pid,
            lkid: id.0,
            remid: 0,
            parent_lkid: 0,
            parent_remid: 0,
            exflags: lock.exflags,
            flags: lock.flags,
            lvbseq: lock.lvbseq,
            result: 0,
            rqmode: byte(lock.requested),
            grmode: byte(lock.granted),
            status: i8::try_from(lock.status.wire()).unwrap_or(0),
            asts: u8::try_from(lock.asts.bits()).unwrap_or(0),
            wait_type: 0,
            name: lock.name.wire(),
            lvb: if lock.has(ExFlags::VALBLK) { &lock.lvb } else { &[] },
        };
        let mail = self.mail_of(master, self.question(u64::from(id.0), Payload::Lock(fields)));
        self.push_mail(mail);
        self.recovery.moving.insert(id);
    }

    /// `LOCK_REPLY`: the new master has the lock, or is not ready.
    pub(super) fn take_moved(&mut self, rcom: &Rcom<'_>, reply: RcomLock<'_>) {
        let id = LockId(reply.lkid);
        if !self.is_of_now(rcom) || !self.recovery.moving.contains(&id) {
            return;
        }
        if reply.result == NOT_MASTER_YET {
            self.repeat_after(PAUSE, id);
            return;
        }
        self.recovery.moving.remove(&id);
        if !matches!(reply.result, 0 | KNOWN_ALREADY) {
            let result = reply.result;
            self.trouble(
                rcom.node(),
                format_args!("lock {id} was not taken over: {result}"),
            );
        }
        if let Some(lock) = self.locks.get_mut(&id) {
            lock.remid = reply.remid;
        }
        self.end_moving();
        self.advance();
    }

    fn end_moving(&mut self) {
        if self.recovery.moving.is_empty() && matches!(self.recovery.step, Step::Locks) {
            self.enter(Phase::Locks);
        }
    }

    /// Repeats a lock's message when it is time.
    pub(super) fn repeat_after(&mut self, pause: Duration, id: LockId) {
        let due = after(self.now, pause);
        let place = self.again.partition_point(|(at, _)| *at <= due);
        self.again.insert(place, (due, id));
    }

    /// Repeats what was answered by "not yet".
    pub(super) fn repeat_due(&mut self) {
        while self.again.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, id)) = self.again.pop_front() else {
                return;
            };
            if self.recovery.is_running() {
                self.seek(id);
            } else {
                self.move_lock(id);
            }
        }
    }

    /// Drops saved messages that asked or answered the directory that was. Who asked asks again once it is done; what
    /// comes from now on may be from somebody who is, and is kept.
    pub(super) fn drop_outdated(&mut self) {
        self.saved
            .retain(|(_, bytes)| saved_msg(bytes).is_some_and(|msg| !is_directory_business(&msg)));
    }

    /// Recovery is over: takes up what came and what was wanted meanwhile, and what it has interrupted.
    pub(super) fn resume(&mut self) {
        while let Some((node, bytes)) = self.saved.pop_front() {
            if self.members.contains(node)
                && let Some(msg) = saved_msg(&bytes)
            {
                self.take_msg(&msg);
            }
        }
        let lost: Vec<LockId> = self
            .locks
            .iter()
            .filter(|(_, lock)| lock.waiting() == Some(MsgType::Lookup))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.seek(id);
        }
        while let Some((id, order)) = self.orders.pop_front() {
            self.take_up(id, order);
        }
        let names: Vec<Name> = self.resources.keys().cloned().collect();
        for name in names {
            if self.is_master(&name) {
                self.settle(&name);
            }
        }
    }

    /// The holder of a queued request or conversion no longer wants it.
    pub(super) fn take_back(&mut self, id: LockId) {
        if let Some(lock) = self.locks.get_mut(&id) {
            lock.requested = Mode::Iv;
            lock.sbflags = SbFlags::new(0);
            if lock.granted == Mode::Iv {
                self.drop_lock(id);
            } else {
                lock.status = LockStatus::Granted;
            }
            self.tell(Event::Cancelled { lock: id });
        }
    }

    /// Whether a recovery question can be answered in this phase (spec: peer 3).
    pub(super) const fn answers(&self, status: RecoveryStatus) -> bool {
        !self.recovery.is_stopped() && self.recovery.has(status)
    }
}

/// A lock of ours that no master knows, though one did.
fn is_to_be_moved(lock: &Lock) -> bool {
    lock.is_ours() && lock.remid == 0 && lock.status != LockStatus::None
}

fn saved_msg(bytes: &[u8]) -> Option<Msg<'_>> {
    match split(bytes, Limits::KERNEL) {
        Split::Frame { frame, .. } => match frame.decode() {
            Ok(Frame::Msg(msg)) => Some(msg),
            Ok(Frame::Rcom(_) | Frame::Opts(_) | Frame::Ack(_)) | Err(_) => None,
        },
        Split::NeedMore { .. } | Split::Lost(_) => None,
    }
}

fn is_directory_business(msg: &Msg<'_>) -> bool {
    matches!(
        msg.msg_type(),
        MsgType::Lookup | MsgType::LookupReply | MsgType::Remove
    )
}
