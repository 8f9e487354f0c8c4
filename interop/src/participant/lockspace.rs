//! A lockspace as this node takes part in it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dlmwire_codec::{
    Asts, LockspaceId, Mode, Msg, MsgFields, MsgFlags, MsgType, NodeId, Rcom, RcomFields, Tail,
};
use dlmwire_midcomms::Time;
use dlmwire_midcomms::engine::Message;

use super::event::Event;
use super::holder::Order;
use super::lock::{Lock, LockId};
use super::mail::Mail;
use super::members::Members;
use super::mischief::Mischief;
use super::name::Name;
use super::recovery::Recovery;
use super::resource::{Locks, Resource};

/// What a lockspace is told once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Ourselves.
    pub node: NodeId,
    /// The lockspace.
    pub lockspace: LockspaceId,
    /// Bytes of a lock value block, the same on every member; user-space lockspaces of kernels use 32.
    pub lvblen: u16,
    /// The creation flags that every member has to have alike.
    pub lsflags: u32,
    /// How many shares of the directory each node has; 1 for who is not named.
    pub weights: BTreeMap<NodeId, u32>,
    /// As directory we make ourselves master of what nobody masters, instead of who asks. Kernels do not.
    pub claim: bool,
    /// Claims to have finished every phase, asks nobody and waits for nobody (spec: peer 5). Correct only for a node
    /// that holds nothing.
    pub lazy: bool,
    /// How long an unanswered question waits before it is asked again.
    pub recover_timer: Duration,
    /// How long a resource without locks is remembered.
    pub toss_after: Duration,
}

impl Config {
    /// The defaults.
    pub const fn new(node: NodeId, lockspace: LockspaceId) -> Self {
        Self {
            node,
            lockspace,
            lvblen: 32,
            lsflags: 0,
            weights: BTreeMap::new(),
            claim: false,
            lazy: false,
            recover_timer: Duration::from_secs(5),
            toss_after: Duration::from_secs(10),
        }
    }
}

/// Locks of a lockspace, ours and others', that are kept.
pub(super) const LOCKS_MAX: usize = 1 << 16;
/// Names that the directory, and that the list of resources, holds.
pub(super) const NAMES_MAX: usize = 1 << 17;
/// Messages, and orders, that wait for the end of a recovery.
pub(super) const SAVED_MAX: usize = 1 << 16;

/// One node's part in one lockspace: recovery, directory, master and holder of locks, without clock and socket.
///
/// The drive rule is the engine's: *after every command or fact, drain [`poll_mail`](Self::poll_mail) and
/// [`poll_event`](Self::poll_event), then read [`poll_timeout`](Self::poll_timeout).*
#[derive(Debug)]
pub struct Lockspace {
    pub(super) config: Config,
    pub(super) now: Time,
    pub(super) members: Members,
    pub(super) recovery: Recovery,
    /// Whose masters we know as directory node.
    pub(super) directory: BTreeMap<Name, NodeId>,
    pub(super) resources: BTreeMap<Name, Resource>,
    pub(super) locks: Locks,
    pub(super) last_lock: u32,
    /// What came during a recovery.
    pub(super) saved: VecDeque<(NodeId, Vec<u8>)>,
    /// What we were told to do during a recovery.
    pub(super) orders: VecDeque<(LockId, Order)>,
    /// Locks whose message is to be repeated, and when, the soonest first.
    pub(super) again: VecDeque<(Time, LockId)>,
    /// Resources without locks, and when they are forgotten.
    pub(super) tossed: VecDeque<(Time, Name)>,
    /// What we lie about.
    pub mischief: Mischief,
    mail: VecDeque<Mail>,
    events: VecDeque<Event>,
}

impl Lockspace {
    /// A lockspace that nobody is a member of yet.
    pub fn new(config: Config) -> Self {
        Self {
            now: Time(0),
            members: Members::new(config.node, config.weights.clone()),
            recovery: Recovery::new(config.node),
            config,
            directory: BTreeMap::new(),
            resources: BTreeMap::new(),
            locks: Locks::new(),
            last_lock: 0,
            saved: VecDeque::new(),
            orders: VecDeque::new(),
            again: VecDeque::new(),
            tossed: VecDeque::new(),
            mischief: Mischief::default(),
            mail: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    // Facts.

    /// A lock message came.
    pub fn handle_msg(&mut self, now: Time, msg: &Msg<'_>, bytes: &[u8]) {
        self.now = now;
        let node = msg.node();
        if !self.members.contains(node) {
            return self.trouble(
                node,
                format_args!("{} from a node that is no member", msg.msg_type()),
            );
        }
        if self.recovery.is_running() {
            return self.take_msg(msg);
        }
        if self.saved.len() >= SAVED_MAX {
            return self.trouble(
                node,
                format_args!("too many messages during recovery: {} dropped", msg.msg_type()),
            );
        }
        self.saved.push_back((node, bytes.to_vec()));
    }

    /// A recovery message came.
    pub fn handle_rcom(&mut self, now: Time, rcom: &Rcom<'_>) {
        self.now = now;
        self.take_rcom(rcom);
    }

    /// A peer is there again after it had no connection: what was asked of it may be lost.
    pub fn handle_reconnected(&mut self, now: Time, node: NodeId) {
        self.now = now;
        self.ask_again(node);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        self.run_recovery_timer();
        self.repeat_due();
        self.forget_tossed();
    }

    // Polls.

    /// The next message to send.
    pub fn poll_mail(&mut self) -> Option<Mail> {
        self.mail.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Time> {
        let again = self.again.front().map(|(at, _)| *at);
        let tossed = self.tossed.front().map(|(at, _)| *at);
        [self.recovery.due(), again, tossed].into_iter().flatten().min()
    }

    // Looking.

    /// What was told once.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Whether locks can be had.
    pub const fn is_running(&self) -> bool {
        self.recovery.is_running()
    }

    /// The members, ourselves among them, by ascending id.
    pub fn members(&self) -> impl Iterator<Item = NodeId> {
        self.members.nodes()
    }

    /// Whether we know a lock.
    pub fn has(&self, lock: LockId) -> bool {
        self.locks.contains_key(&lock)
    }

    /// Sets [`Config::claim`].
    pub const fn set_claim(&mut self, claim: bool) {
        self.config.claim = claim;
    }

    // What all parts need.

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn trouble(&mut self, node: NodeId, text: std::fmt::Arguments<'_>) {
        let text = text.to_string();
        self.tell(Event::Trouble { node, text });
    }

    pub(super) fn post(&mut self, to: NodeId, fields: MsgFields<'_>) {
        self.post_message(to, &Message::Msg(fields));
    }

    pub(super) fn post_rcom(&mut self, to: NodeId, fields: RcomFields<'_>) {
        self.post_message(to, &Message::Rcom(fields));
    }

    fn post_message(&mut self, to: NodeId, message: &Message<'_>) {
        self.push_mail(Mail::new(self.config.node, to, message));
    }

    /// A recovery message that borrows from this lockspace, as it is sent.
    pub(super) fn mail_of(&self, to: NodeId, fields: RcomFields<'_>) -> Option<Mail> {
        Mail::new(self.config.node, to, &Message::Rcom(fields))
    }

    /// Sends it. `None` is a message that was too long: our own are not.
    pub(super) fn push_mail(&mut self, mail: Option<Mail>) {
        debug_assert!(mail.is_some(), "names and value blocks have bounds");
        self.mail.extend(mail);
    }

    pub(super) fn post_lie(&mut self, from: NodeId, to: NodeId, fields: RcomFields<'_>) {
        self.mail.extend(Mail::lie(from, to, fields));
    }

    pub(super) fn lvblen(&self) -> usize {
        usize::from(self.config.lvblen)
    }

    pub(super) fn is_master(&self, name: &Name) -> bool {
        let master = self.resources.get(name).and_then(|resource| resource.master);
        master == Some(self.config.node)
    }

    /// Adds a lock, unless there are too many.
    pub(super) fn add_lock(&mut self, lock: Lock) -> Option<LockId> {
        if self.locks.len() >= LOCKS_MAX {
            return None;
        }
        loop {
            self.last_lock = self.last_lock.wrapping_add(1);
            let id = LockId(self.last_lock);
            if id.0 != 0 && !self.locks.contains_key(&id) {
                let resource = self.resources.entry(lock.name.clone()).or_default();
                resource.users += 1;
                resource.tossed_at = None;
                self.locks.insert(id, lock);
                return Some(id);
            }
        }
    }

    /// Forgets a lock. A resource that it was the last of is remembered for a while.
    pub(super) fn drop_lock(&mut self, id: LockId) {
        let Some(lock) = self.locks.remove(&id) else {
            return;
        };
        if let Some(resource) = self.resources.get_mut(&lock.name) {
            resource.take_off(id);
            resource.users = resource.users.saturating_sub(1);
            if resource.users == 0 && resource.tossed_at.is_none() {
                let at = after(self.now, self.config.toss_after);
                resource.tossed_at = Some(at);
                self.tossed.push_back((at, lock.name));
            }
        }
    }

    /// What every message about a lock says of it.
    pub(super) fn about<'a>(&self, msg_type: MsgType, lock: &'a Lock) -> MsgFields<'a> {
        let master = self
            .resources
            .get(&lock.name)
            .and_then(|resource| resource.master);
        MsgFields {
            nodeid: master.map_or(u32::MAX, NodeId::get),
            pid: lock.pid,
            remid: lock.remid,
            exflags: lock.exflags,
            sbflags: lock.sbflags,
            flags: MsgFlags::new(lock.flags.bits() & SHARED_FLAGS),
            lvbseq: lock.lvbseq,
            hash: lock.name.hash(),
            status: lock.status,
            grmode: lock.granted,
            rqmode: lock.requested,
            bastmode: Mode::Nl,
            asts: Asts::new(lock.asts.bits()),
            ..MsgFields::new(self.config.lockspace, msg_type)
        }
    }
}

/// The moment `duration` after `now`.
pub(super) fn after(now: Time, duration: Duration) -> Time {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Time(now.0.saturating_add(nanoseconds))
}

/// `m_flags` that holder and master share: `USER` and `ORPHAN` (spec: wire 3.3).
pub(super) const SHARED_FLAGS: u32 = 0x3;

/// The value block as a message's tail, where the lock has one.
pub(super) fn lvb_tail(lock: &Lock) -> Tail<'_> {
    if lock.has(dlmwire_codec::ExFlags::VALBLK) {
        Tail::Lvb(&lock.lvb)
    } else {
        Tail::NONE
    }
}
