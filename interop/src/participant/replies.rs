//! What masters and directory nodes say about our locks (spec: peer 7, 8).

use dlmwire_codec::{ExFlags, LockStatus, Mode, Msg, MsgResult, MsgType, NodeId, SbFlags};

use super::event::{By, Event};
use super::lock::{Lock, LockId};
use super::lockspace::Lockspace;

impl Lockspace {
    /// The lock of ours that a message is about, if it waits for such an answer of this node.
    fn answered(&mut self, msg: &Msg<'_>, awaited: &[MsgType]) -> Option<LockId> {
        let id = LockId(msg.remid());
        let lock = self.locks.get(&id);
        let fits = lock.is_some_and(|lock| lock.waiting().is_some_and(|waiting| awaited.contains(&waiting)));
        if fits {
            return Some(id);
        }
        self.trouble(
            msg.node(),
            format_args!("{} for lock {id}, which does not wait for it", msg.msg_type()),
        );
        None
    }

    pub(super) fn take_lookup_reply(&mut self, msg: &Msg<'_>) {
        let id = LockId(msg.lkid());
        let waits = self
            .locks
            .get(&id)
            .is_some_and(|lock| lock.waiting() == Some(MsgType::Lookup));
        if !waits {
            return;
        }
        let Some(name) = self.locks.get(&id).map(|lock| lock.name.clone()) else {
            return;
        };
        match NodeId::new(msg.nodeid()).filter(|master| self.members.contains(*master)) {
            Some(master) if msg.result() == MsgResult::Success => {
                self.set_master(&name, master);
                self.seek(id);
            }
            Some(_) | None if msg.result() == MsgResult::Invalid && msg.nodeid() == 0 => {
                self.fail(id, MsgResult::Invalid);
            }
            Some(_) | None => self.seek_again(id),
        }
    }

    pub(super) fn take_request_reply(&mut self, msg: &Msg<'_>) {
        let Some(id) = self.answered(msg, &[MsgType::Request, MsgType::Lookup]) else {
            return;
        };
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        let name = lock.name.clone();
        if matches!(msg.result(), MsgResult::NotMaster | MsgResult::BadRequest) {
            if let Some(resource) = self.resources.get_mut(&name) {
                resource.master = None;
            }
            return self.seek_again(id);
        }
        lock.remid = msg.lkid();
        lock.set_waiting(None);
        self.set_master(&name, msg.node());
        self.take_lvb(id, msg);
        self.take_result(id, msg.result(), By::Reply);
    }

    pub(super) fn take_convert_reply(&mut self, msg: &Msg<'_>) {
        if let Some(id) = self.answered(msg, &[MsgType::Convert]) {
            self.take_lvb(id, msg);
            if let Some(lock) = self.locks.get_mut(&id) {
                lock.set_waiting(None);
            }
            self.take_result(id, msg.result(), By::Reply);
        }
    }

    pub(super) fn take_unlock_reply(&mut self, msg: &Msg<'_>) {
        if let Some(id) = self.answered(msg, &[MsgType::Unlock]) {
            self.drop_lock(id);
            let event = match msg.result() {
                MsgResult::Unlocked => Event::Unlocked { lock: id },
                result => Event::Failed { lock: id, result },
            };
            self.tell(event);
        }
    }

    pub(super) fn take_cancel_reply(&mut self, msg: &Msg<'_>) {
        if let Some(id) = self.answered(msg, &[MsgType::Cancel]) {
            if let Some(lock) = self.locks.get_mut(&id) {
                lock.set_waiting(None);
            }
            self.take_cancelled(id, msg.result());
        }
    }

    pub(super) fn take_cancelled(&mut self, id: LockId, result: MsgResult) {
        match result {
            MsgResult::Cancelled => self.take_back(id),
            result => self.tell(Event::Failed { lock: id, result }),
        }
    }

    pub(super) fn take_grant(&mut self, msg: &Msg<'_>) {
        let id = LockId(msg.remid());
        let Some(lock) = self.locks.get_mut(&id).filter(|lock| lock.is_ours()) else {
            return self.trouble(msg.node(), format_args!("GRANT for lock {id}, which is not ours"));
        };
        if !matches!(lock.status, LockStatus::Waiting | LockStatus::Convert) {
            return self.trouble(
                msg.node(),
                format_args!("GRANT for lock {id}, which waits for nothing"),
            );
        }
        self.take_lvb(id, msg);
        if let Some(lock) = self.locks.get_mut(&id) {
            lock.take_requested();
        }
        self.tell_ours_granted(id, By::Grant);
    }

    pub(super) fn take_bast(&mut self, msg: &Msg<'_>) {
        let id = LockId(msg.remid());
        // A BAST may cross the unlock that it asks for.
        if self.locks.get(&id).is_some_and(Lock::is_ours) {
            self.tell(Event::Bast {
                lock: id,
                mode: msg.bastmode(),
            });
        }
    }

    /// The master's answer to a request or conversion.
    pub(super) fn take_result(&mut self, id: LockId, result: MsgResult, by: By) {
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        match result {
            MsgResult::Success => {
                // The master's own have been changed where they are mastered.
                if by != By::Local {
                    lock.take_requested();
                }
                self.tell_ours_granted(id, by);
            }
            MsgResult::InProgress => {
                lock.status = if lock.granted == Mode::Iv {
                    LockStatus::Waiting
                } else {
                    LockStatus::Convert
                };
                self.tell(Event::Queued { lock: id });
            }
            result => {
                lock.requested = Mode::Iv;
                if lock.granted == Mode::Iv {
                    self.drop_lock(id);
                } else {
                    lock.status = LockStatus::Granted;
                }
                self.tell(Event::Refused { lock: id, result });
            }
        }
    }

    fn take_lvb(&mut self, id: LockId, msg: &Msg<'_>) {
        let lvblen = self.lvblen();
        if let Some(lock) = self.locks.get_mut(&id) {
            lock.sbflags = SbFlags::new(msg.sbflags().bits() & 0x7);
            if lock.sbflags.contains(SbFlags::DEMOTED) {
                lock.granted = Mode::Nl;
            }
            if lock.has(ExFlags::VALBLK) && !msg.extra().is_empty() {
                lock.lvb = msg.extra().iter().copied().take(lvblen).collect();
                lock.lvbseq = msg.lvbseq();
            }
        }
    }

    pub(super) fn tell_ours_granted(&mut self, id: LockId, by: By) {
        let Some(lock) = self.locks.get(&id) else {
            return;
        };
        let event = Event::Granted {
            lock: id,
            mode: lock.granted,
            lvb: lock.has(ExFlags::VALBLK).then(|| lock.lvb.clone()),
            lvb_invalid: lock.sbflags.contains(SbFlags::VALNOTVALID),
            by,
        };
        self.tell(event);
    }
}
