//! What other nodes' recovery asks of us (spec: peer 3, 5, 9).

use std::ops::Bound::{Excluded, Unbounded};

use dlmwire_codec::{
    Asts, BlockEnd, ExFlags, LockStatus, Mode, MsgFlags, NOT_READY, NameBlock, NodeId, Payload, Rcom,
    RcomConfig, RcomFields, RcomLock, RecoveryStatus, ResourceName, Slot, Slots, StatusFlags,
};

use super::event::Event;
use super::lock::{Lock, Owner};
use super::lockspace::{Lockspace, NAMES_MAX, SHARED_FLAGS};
use super::name::Name;
use super::remaster::{KNOWN_ALREADY, NOT_MASTER_YET};

/// Bytes of the payload of every `NAMES_REPLY` of a 3.2 kernel.
const NAMES_BYTES: usize = 4024;
/// `rl_result`, if there is no room: `-ENOMEM`.
const NO_MEMORY: i32 = -12;
/// Every phase, as a lazy node claims.
const ALL: i32 = 0xff;

impl Lockspace {
    /// A recovery message.
    pub(super) fn take_rcom(&mut self, rcom: &Rcom<'_>) {
        let payload = match rcom.payload() {
            Ok(payload) => payload,
            Err(error) => return self.trouble(rcom.node(), format_args!("{}: {error}", rcom.rcom_type())),
        };
        match payload {
            Payload::Status { flags } => {
                self.tell_asked(rcom, "STATUS");
                self.answer_status(rcom, flags);
            }
            Payload::Names { resume } => {
                self.tell_asked(rcom, "NAMES");
                if self.answers(RecoveryStatus::NODES) {
                    self.answer_names(rcom, resume);
                }
            }
            Payload::Lookup { name } => {
                self.tell_asked(rcom, "LOOKUP");
                if self.answers(RecoveryStatus::DIR) {
                    self.answer_lookup(rcom, name);
                }
            }
            Payload::Lock(lock) => {
                self.tell_asked(rcom, "LOCK");
                if self.answers(RecoveryStatus::DIR) {
                    self.answer_lock(rcom, lock);
                }
            }
            Payload::StatusReply { config, slots } => self.take_status(rcom, config, slots),
            Payload::NamesReply(block) => self.take_names(rcom, block),
            Payload::LookupReply => self.take_new_master(rcom),
            Payload::LockReply(lock) => self.take_moved(rcom, lock),
            Payload::Other { rcom_type, .. } => {
                self.trouble(rcom.node(), format_args!("recovery message of type {rcom_type}"));
            }
        }
    }

    fn tell_asked(&mut self, rcom: &Rcom<'_>, what: &'static str) {
        self.tell(Event::Asked {
            node: rcom.node(),
            what,
        });
    }

    fn answer<'a>(&self, to: &Rcom<'_>, result: i32, payload: Payload<'a>) -> RcomFields<'a> {
        RcomFields {
            lockspace: self.config.lockspace,
            result,
            id: to.id(),
            seq: self.recovery.seq,
            seq_reply: to.seq(),
            payload,
        }
    }

    fn answer_status(&mut self, rcom: &Rcom<'_>, flags: StatusFlags) {
        if self.mischief.not_ready > 0 {
            self.mischief.not_ready -= 1;
            return self.post_rcom(rcom.node(), not_ready(rcom));
        }
        let need_slots = flags.contains(StatusFlags::NEED_SLOTS);
        let mut slots = Vec::new();
        if need_slots && self.members.are_low() && self.recovery.has(RecoveryStatus::NODES_ALL) {
            slots.extend(self.members.slots().map(|(node, slot)| Slot {
                nodeid: node.get(),
                slot,
            }));
        }
        let lies = self.mischief;
        let config = RcomConfig {
            lvblen: lies.lvblen.unwrap_or(u32::from(self.config.lvblen)),
            lsflags: lies.lsflags.unwrap_or(self.config.lsflags),
            flags: 0,
            our_slot: lies.slot.unwrap_or_else(|| self.members.slot()),
            generation: self.members.generation,
        };
        let status = if self.config.lazy {
            ALL
        } else {
            self.recovery.status.cast_signed()
        };
        let payload = Payload::StatusReply {
            config,
            slots: Slots::from_list(&slots),
        };
        let answer = self.answer(rcom, status, payload);
        match lies.node {
            Some(false_node) => self.post_lie(false_node, rcom.node(), answer),
            None => self.post_rcom(rcom.node(), answer),
        }
    }

    /// The names that we master and the asker is directory node of, behind `resume`.
    fn answer_names(&mut self, rcom: &Rcom<'_>, resume: Option<ResourceName<'_>>) {
        let start = resume.map_or(Unbounded, |name| Excluded(Name::from(name)));
        let behind = self.resources.range((start, Unbounded));
        let own = self.config.node;
        let wanted = behind.filter(|(name, resource)| {
            resource.master == Some(own) && self.members.directory(name) == rcom.node()
        });
        let mut names: Vec<ResourceName<'_>> = Vec::new();
        let mut left = NAMES_BYTES - 2;
        let mut end = BlockEnd::Last;
        for (name, _) in wanted {
            let bytes = 2 + name.wire().bytes().len();
            if bytes > left {
                end = BlockEnd::More;
                break;
            }
            left -= bytes;
            names.push(name.wire());
        }
        // Kernels take a last name of one byte for none, and would begin anew (spec: wire 6.3).
        while end == BlockEnd::More && names.last().is_some_and(|name| name.bytes().len() == 1) {
            names.pop();
        }
        let block = NameBlock::new(&names, end, NAMES_BYTES);
        let answer = self.answer(rcom, 0, Payload::NamesReply(block));
        let mail = self.mail_of(rcom.node(), answer);
        self.push_mail(mail);
    }

    /// Who first asks for the new master becomes it.
    fn answer_lookup(&mut self, rcom: &Rcom<'_>, name: ResourceName<'_>) {
        let name = Name::from(name);
        let node = rcom.node();
        let known = self.directory.get(&name).copied();
        let master = known.unwrap_or(node);
        self.record(&name, master);
        let result = i32::try_from(master.get()).unwrap_or(NOT_MASTER_YET);
        self.post_rcom(node, self.answer(rcom, result, Payload::LookupReply));
    }

    /// Takes a lock over whose master is gone.
    fn answer_lock(&mut self, rcom: &Rcom<'_>, told: RcomLock<'_>) {
        let (remid, result) = self.take_over(rcom.node(), &told);
        let reply = RcomLock {
            remid,
            result,
            lvb: &[],
            ..told
        };
        self.post_rcom(rcom.node(), self.answer(rcom, 0, Payload::LockReply(reply)));
    }

    fn take_over(&mut self, node: NodeId, told: &RcomLock<'_>) -> (u32, i32) {
        let name = Name::from(told.name);
        let own = self.config.node;
        if !self.is_master(&name) && self.directory.get(&name) != Some(&own) {
            return (told.remid, NOT_MASTER_YET);
        }
        let known = self.locks.iter().find(|(_, lock)| {
            lock.owner == Owner::Node(node) && lock.remid == told.lkid && lock.name == name
        });
        if let Some((id, _)) = known {
            return (id.0, KNOWN_ALREADY);
        }
        let mut lock = Lock::new(
            name.clone(),
            Owner::Node(node),
            Mode::from_wire(told.rqmode.into()),
        );
        lock.granted = Mode::from_wire(told.grmode.into());
        lock.status = LockStatus::from_wire(told.status.into());
        lock.remid = told.lkid;
        lock.pid = told.ownpid;
        lock.exflags = told.exflags;
        lock.flags = MsgFlags::new(told.flags.bits() & SHARED_FLAGS);
        lock.asts = Asts::new(told.asts.into());
        lock.lvbseq = told.lvbseq;
        lock.lvb = told.lvb.iter().copied().take(self.lvblen()).collect();
        let Some(id) = self.add_lock(lock) else {
            return (0, NO_MEMORY);
        };
        self.set_master(&name, own);
        let lvblen = self.lvblen();
        if let (Some(resource), Some(lock)) = (self.resources.get_mut(&name), self.locks.get(&id)) {
            resource.put(id, lock.status, ExFlags::new(0));
            resource.lvb.recover(lock, lvblen);
        }
        (id.0, 0)
    }

    /// Becomes master of a name that nobody masters.
    pub(super) fn become_master(&mut self, name: &Name) -> bool {
        if !self.resources.contains_key(name) && self.resources.len() >= NAMES_MAX {
            return false;
        }
        let own = self.config.node;
        self.resources.entry(name.clone()).or_default().master = Some(own);
        self.record(name, own);
        true
    }
}

/// "No such lockspace here", to a `STATUS` (spec: peer 2).
pub(super) fn not_ready(to: &Rcom<'_>) -> RcomFields<'static> {
    RcomFields {
        lockspace: to.lockspace(),
        result: NOT_READY,
        id: to.id(),
        seq: 0,
        seq_reply: to.seq(),
        payload: Payload::StatusReply {
            config: RcomConfig {
                lvblen: u32::MAX,
                ..RcomConfig::default()
            },
            slots: Slots::NONE,
        },
    }
}
