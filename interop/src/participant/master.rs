//! What is asked of us as master, and as directory node (spec: peer 7, 8).

use dlmwire_codec::{
    Asts, ExFlags, LockStatus, Mode, Msg, MsgFields, MsgFlags, MsgResult, MsgType, SbFlags, Tail,
};

use super::event::{By, Event, Held};
use super::lock::{Lock, LockId, Owner, is_down};
use super::lockspace::{Lockspace, SHARED_FLAGS, lvb_tail};
use super::name::Name;

impl Lockspace {
    /// A lock message, outside recovery.
    pub(super) fn take_msg(&mut self, msg: &Msg<'_>) {
        match msg.msg_type() {
            MsgType::Lookup => self.take_lookup(msg),
            MsgType::Request => self.take_request(msg),
            MsgType::Convert => self.take_convert(msg),
            MsgType::Unlock => self.take_unlock(msg),
            MsgType::Cancel => self.take_cancel(msg),
            MsgType::Remove => self.take_remove(msg),
            MsgType::RequestReply => self.take_request_reply(msg),
            MsgType::ConvertReply => self.take_convert_reply(msg),
            MsgType::UnlockReply => self.take_unlock_reply(msg),
            MsgType::CancelReply => self.take_cancel_reply(msg),
            MsgType::LookupReply => self.take_lookup_reply(msg),
            MsgType::Grant => self.take_grant(msg),
            MsgType::Bast => self.take_bast(msg),
            // Locks here have no processes behind them that could leave orphans.
            MsgType::Purge => {}
            MsgType::Other(number) => {
                self.trouble(msg.node(), format_args!("lock message of type {number}"));
            }
        }
    }

    // Directory.

    fn take_lookup(&mut self, msg: &Msg<'_>) {
        let node = msg.node();
        self.tell(Event::Asked { node, what: "LOOKUP" });
        let Some(name) = self.name_in(msg) else {
            return self.answer_master(msg, None, MsgResult::Invalid);
        };
        let own = self.config.node;
        if self.members.directory(&name) != own {
            return self.answer_master(msg, Some(u32::MAX), MsgResult::Invalid);
        }
        let master = match self.directory.get(&name) {
            Some(master) => *master,
            None if self.config.claim => own,
            None => node,
        };
        if master != own {
            self.record(&name, master);
            self.answer_master(msg, Some(master.get()), MsgResult::Success);
        } else if self.become_master(&name) {
            self.request_from(msg, name);
        } else {
            self.answer_master(msg, None, MsgResult::NoMemory);
        }
    }

    fn answer_master(&mut self, lookup: &Msg<'_>, master: Option<u32>, result: MsgResult) {
        let reply = MsgFields {
            nodeid: master.unwrap_or(0),
            lkid: lookup.lkid(),
            result,
            ..MsgFields::new(self.config.lockspace, MsgType::LookupReply)
        };
        self.post(lookup.node(), reply);
    }

    /// The master forgets a resource, and so does the directory.
    fn take_remove(&mut self, msg: &Msg<'_>) {
        let Some(name) = self.name_in(msg) else {
            return;
        };
        if self.directory.get(&name) == Some(&msg.node()) {
            self.directory.remove(&name);
            // A directory node must not ask a master by memory that it has forgotten itself (spec: peer 7).
            let unused = self
                .resources
                .get(&name)
                .is_some_and(|resource| resource.users == 0);
            if unused {
                self.resources.remove(&name);
            }
        }
    }

    fn name_in(&mut self, msg: &Msg<'_>) -> Option<Name> {
        match msg.tail() {
            Ok(Tail::Name(name)) => Some(Name::from(name)),
            Ok(Tail::Lvb(_) | Tail::Opaque(_)) => None,
            Err(error) => {
                self.trouble(msg.node(), format_args!("{}: {error}", msg.msg_type()));
                None
            }
        }
    }

    // Master.

    fn take_request(&mut self, msg: &Msg<'_>) {
        let Some(name) = self.name_in(msg) else {
            return self.answer_unheld(msg, MsgType::RequestReply, MsgResult::Invalid);
        };
        let known = self.resources.get(&name).and_then(|resource| resource.master);
        let own = self.config.node;
        // The directory node knows: nobody else is master.
        let told_by_directory = self.members.directory(&name) == msg.node();
        let we_keep_it = self.directory.get(&name) == Some(&own);
        if known == Some(own) || ((told_by_directory || we_keep_it) && self.become_master(&name)) {
            self.request_from(msg, name);
        } else {
            let result = if known.is_some() {
                MsgResult::NotMaster
            } else {
                MsgResult::BadRequest
            };
            self.answer_unheld(msg, MsgType::RequestReply, result);
        }
    }

    /// Another node's request for a resource that we master.
    fn request_from(&mut self, msg: &Msg<'_>, name: Name) {
        let node = msg.node();
        let mode = msg.rqmode();
        if !is_mode(mode) {
            return self.answer_unheld(msg, MsgType::RequestReply, MsgResult::Invalid);
        }
        let mut lock = Lock::new(name.clone(), Owner::Node(node), mode);
        lock.remid = msg.lkid();
        lock.pid = msg.pid();
        lock.exflags = msg.exflags();
        lock.flags = MsgFlags::new(msg.flags().bits() & SHARED_FLAGS);
        lock.asts = Asts::new(msg.asts().bits());
        let Some(id) = self.add_lock(lock) else {
            return self.answer_unheld(msg, MsgType::RequestReply, MsgResult::NoMemory);
        };
        let result = self.request_here(id);
        self.answer_held(id, MsgType::RequestReply, result);
        self.tell_held(id, Event::Request, mode, result);
        self.after_request(id, &name, msg.exflags(), result, mode);
    }

    fn take_convert(&mut self, msg: &Msg<'_>) {
        let Some(id) = self.held_by(msg) else {
            return self.answer_unheld(msg, MsgType::ConvertReply, MsgResult::NoEntry);
        };
        let mode = msg.rqmode();
        if !is_mode(mode) {
            return self.answer_held(id, MsgType::ConvertReply, MsgResult::Invalid);
        }
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        if lock.status != LockStatus::Granted {
            return self.answer_held(id, MsgType::ConvertReply, MsgResult::Busy);
        }
        let down = is_down(lock.granted, mode);
        let name = lock.name.clone();
        self.take_flags(id, msg);
        let result = self.convert_here(id, mode);
        if !down {
            self.answer_held(id, MsgType::ConvertReply, result);
        }
        self.tell_held(id, Event::Convert, mode, result);
        self.after_request(id, &name, msg.exflags(), result, mode);
    }

    fn take_unlock(&mut self, msg: &Msg<'_>) {
        let Some(id) = self.held_by(msg) else {
            return self.answer_unheld(msg, MsgType::UnlockReply, MsgResult::NoEntry);
        };
        self.take_flags(id, msg);
        let Some(lock) = self.locks.get(&id) else {
            return;
        };
        let (name, mode) = (lock.name.clone(), lock.granted);
        self.give_back(id);
        self.answer_held(id, MsgType::UnlockReply, MsgResult::Unlocked);
        self.tell_held(id, Event::Unlock, mode, MsgResult::Unlocked);
        self.drop_lock(id);
        self.settle(&name);
    }

    fn take_cancel(&mut self, msg: &Msg<'_>) {
        let Some(id) = self.held_by(msg) else {
            return self.answer_unheld(msg, MsgType::CancelReply, MsgResult::NoEntry);
        };
        let Some(lock) = self.locks.get(&id) else {
            return;
        };
        let (name, mode) = (lock.name.clone(), lock.requested);
        let result = self.cancel_here(id);
        self.answer_held(id, MsgType::CancelReply, result);
        self.tell_held(id, Event::Cancel, mode, result);
        let waited = self.locks.get(&id).is_some_and(|lock| lock.granted == Mode::Iv);
        if waited && result == MsgResult::Cancelled {
            self.drop_lock(id);
        }
        self.settle(&name);
    }

    /// The lock that a message is about, if it is its sender's.
    fn held_by(&self, msg: &Msg<'_>) -> Option<LockId> {
        let id = LockId(msg.remid());
        let lock = self.locks.get(&id)?;
        (lock.owner == Owner::Node(msg.node()) && lock.remid == msg.lkid()).then_some(id)
    }

    /// What the holder says with every operation.
    fn take_flags(&mut self, id: LockId, msg: &Msg<'_>) {
        let lvblen = self.lvblen();
        if let Some(lock) = self.locks.get_mut(&id) {
            lock.exflags = msg.exflags();
            lock.flags = MsgFlags::new(msg.flags().bits() & SHARED_FLAGS);
            if lock.has(ExFlags::VALBLK) && !msg.extra().is_empty() {
                lock.lvb = msg.extra().iter().copied().take(lvblen).collect();
            }
        }
    }

    // What holders are told.

    pub(super) fn tell_granted(&mut self, id: LockId) {
        let Some(lock) = self.locks.get(&id) else {
            return;
        };
        let mode = lock.granted;
        if lock.is_ours() {
            return self.tell_ours_granted(id, By::Grant);
        }
        self.answer_held(id, MsgType::Grant, MsgResult::Success);
        self.tell_held(id, Event::Grant, mode, MsgResult::Success);
    }

    pub(super) fn tell_blockers(&mut self, asking: LockId, name: &Name, mode: Mode) {
        let Some(resource) = self.resources.get(name) else {
            return;
        };
        for id in resource.blockers(&self.locks, asking, mode) {
            let Some(lock) = self.locks.get_mut(&id) else {
                continue;
            };
            lock.told = mode;
            match lock.owner {
                Owner::Us { .. } => self.tell(Event::Bast { lock: id, mode }),
                Owner::Node(node) => {
                    let lock = lock.clone();
                    let bast = MsgFields {
                        lkid: id.0,
                        bastmode: mode,
                        ..self.about(MsgType::Bast, &lock)
                    };
                    self.post(node, bast);
                }
            }
        }
    }

    /// A message to the holder of a lock.
    fn answer_held(&mut self, id: LockId, msg_type: MsgType, result: MsgResult) {
        let Some(lock) = self.locks.get(&id).cloned() else {
            return;
        };
        let Owner::Node(node) = lock.owner else {
            return;
        };
        let with_lvb = matches!(
            msg_type,
            MsgType::RequestReply | MsgType::ConvertReply | MsgType::Grant
        ) && !lock.lvb.is_empty();
        let reply = MsgFields {
            lkid: id.0,
            result,
            tail: if with_lvb { lvb_tail(&lock) } else { Tail::NONE },
            ..self.about(msg_type, &lock)
        };
        self.post(node, reply);
    }

    /// An answer about a lock that we do not have.
    fn answer_unheld(&mut self, msg: &Msg<'_>, msg_type: MsgType, result: MsgResult) {
        let reply = MsgFields {
            remid: msg.lkid(),
            flags: MsgFlags::new(msg.flags().bits() & SHARED_FLAGS),
            sbflags: SbFlags::new(0),
            result,
            ..MsgFields::new(self.config.lockspace, msg_type)
        };
        self.post(msg.node(), reply);
        self.trouble(
            msg.node(),
            format_args!("{} answered by {result}", msg.msg_type()),
        );
    }

    fn tell_held(&mut self, id: LockId, event: fn(Held) -> Event, mode: Mode, result: MsgResult) {
        if let Some(lock) = self.locks.get(&id)
            && let Owner::Node(node) = lock.owner
        {
            let held = Held {
                node,
                name: lock.name.clone(),
                mode,
                lock: id,
                remote: lock.remid,
                result,
            };
            self.tell(event(held));
        }
    }
}

/// Whether it is one of the six modes.
pub(super) const fn is_mode(mode: Mode) -> bool {
    !matches!(mode, Mode::Iv | Mode::Other(_))
}
