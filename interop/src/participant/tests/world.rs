//! Lockspaces of several nodes, their mail, and one clock.

use std::collections::{BTreeMap, VecDeque};

use dlmwire_codec::{ExFlags, Frame, Limits, LockStatus, LockspaceId, Mode, MsgType, NodeId, Split, split};
use dlmwire_midcomms::Time;

use crate::participant::lock::{Lock, LockId, is_compatible, is_sideways};
use crate::participant::{Config, Event, Lockspace, Name, Order, Wish};

/// Deliveries after which a world must have come to rest.
const STEPS_MAX: usize = 200_000;

pub(super) struct World {
    pub(super) nodes: BTreeMap<NodeId, Lockspace>,
    /// In order between two nodes, in any order between pairs.
    mail: BTreeMap<(NodeId, NodeId), VecDeque<Vec<u8>>>,
    pub(super) events: BTreeMap<NodeId, Vec<Event>>,
    pub(super) now: Time,
    seed: u64,
    configure: fn(&mut Config),
}

pub(super) fn node(id: u32) -> NodeId {
    NodeId::new(id).expect("not 0")
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("1 to 64 bytes")
}

pub(super) fn wish(mode: Mode, exflags: ExFlags) -> Wish {
    Wish {
        mode,
        exflags,
        lvb: None,
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::configured(seed, |_| {})
    }

    pub(super) fn configured(seed: u64, configure: fn(&mut Config)) -> Self {
        Self {
            nodes: BTreeMap::new(),
            mail: BTreeMap::new(),
            events: BTreeMap::new(),
            now: Time(0),
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            configure,
        }
    }

    /// These nodes have joined, and recovery is over.
    pub(super) fn of(seed: u64, ids: &[u32]) -> Self {
        let mut world = Self::new(seed);
        world.set_members(ids);
        world.run();
        world
    }

    /// The cluster manager's word to all nodes: these are the members. Who was none begins with nothing.
    pub(super) fn set_members(&mut self, ids: &[u32]) {
        let members: Vec<NodeId> = ids.iter().copied().map(node).collect();
        self.nodes.retain(|node, _| members.contains(node));
        self.mail
            .retain(|(from, to), _| members.contains(from) && members.contains(to));
        for member in &members {
            let configure = self.configure;
            let lockspace = self.nodes.entry(*member).or_insert_with(|| {
                let mut config = Config::new(*member, LockspaceId::new(7));
                configure(&mut config);
                Lockspace::new(config)
            });
            lockspace.set_members(self.now, &members);
        }
        self.collect();
    }

    pub(super) fn at(&mut self, id: u32) -> &mut Lockspace {
        self.nodes.get_mut(&node(id)).expect("a member")
    }

    pub(super) fn lock(&mut self, id: u32, text: &str, mode: Mode, exflags: ExFlags) -> LockId {
        let now = self.now;
        let lock = self
            .at(id)
            .lock(now, name(text), wish(mode, exflags))
            .expect("a member");
        self.collect();
        lock
    }

    pub(super) fn order(&mut self, id: u32, lock: LockId, order: Order) {
        let now = self.now;
        self.at(id).order(now, lock, order).expect("can be done");
        self.collect();
    }

    pub(super) fn unlock(&mut self, id: u32, lock: LockId) {
        self.order(id, lock, Order::Unlock(None));
    }

    /// What a node has told since the last time.
    pub(super) fn told(&mut self, id: u32) -> Vec<Event> {
        std::mem::take(self.events.entry(node(id)).or_default())
    }

    /// What became of a node's locks: grants, refusals and so on, without what others asked.
    pub(super) fn told_of(&mut self, id: u32, lock: LockId) -> Vec<Event> {
        let told = self.told(id);
        told.into_iter()
            .filter(|event| event.lock() == Some(lock))
            .collect()
    }

    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed >> 33).expect("31 bits") % below
    }

    pub(super) fn pick(&mut self, below: u32) -> u32 {
        u32::try_from(self.random(usize::try_from(below).expect("small"))).expect("small")
    }

    /// Takes what the nodes have to send and to tell.
    pub(super) fn collect(&mut self) {
        for (node, lockspace) in &mut self.nodes {
            while let Some(mail) = lockspace.poll_mail() {
                let pair = (*node, mail.to());
                self.mail
                    .entry(pair)
                    .or_default()
                    .push_back(mail.frame().to_vec());
            }
            while let Some(event) = lockspace.poll_event() {
                self.events.entry(*node).or_default().push(event);
            }
        }
        self.assert_exclusive();
    }

    /// Delivers one message, or lets time pass. False if nothing is left to do for a second.
    pub(super) fn step(&mut self) -> bool {
        self.mail.retain(|_, queue| !queue.is_empty());
        if self.mail.is_empty() {
            let due = self.nodes.values().filter_map(Lockspace::poll_timeout).min();
            let Some(due) = due.filter(|due| due.since(self.now) <= 1_000_000_000) else {
                return false;
            };
            self.now = self.now.max(due);
            for lockspace in self.nodes.values_mut() {
                if lockspace.poll_timeout().is_some_and(|at| at <= self.now) {
                    lockspace.handle_timeout(self.now);
                }
            }
        } else {
            let chosen = self.random(self.mail.len());
            let (pair, queue) = self.mail.iter_mut().nth(chosen).expect("there are so many");
            let (_, to) = *pair;
            let bytes = queue.pop_front().expect("not empty");
            if let Some(lockspace) = self.nodes.get_mut(&to) {
                deliver(lockspace, self.now, &bytes);
            }
        }
        self.collect();
        true
    }

    pub(super) fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            if !self.step() {
                return;
            }
        }
        panic!("no rest after {STEPS_MAX} steps");
    }

    /// Everything that is on its way is lost.
    pub(super) fn lose_mail(&mut self) {
        self.mail.clear();
    }

    /// Lets what goes on end, then does something with a lock.
    pub(super) fn order_after_run(&mut self, id: u32, lock: LockId, order: Order) {
        self.run();
        self.order(id, lock, order);
    }

    /// Lets a long time pass, for what is only done then.
    pub(super) fn wait_seconds(&mut self, seconds: u64) {
        let end = Time(self.now.0 + seconds * 1_000_000_000);
        while self.now < end {
            self.run();
            self.now = Time((self.now.0 + 1_000_000_000).min(end.0));
        }
        self.run();
    }

    /// What holders believe to have is compatible, whatever is on its way.
    fn assert_exclusive(&self) {
        let mut held: BTreeMap<&Name, Vec<(NodeId, Mode)>> = BTreeMap::new();
        for (node, lockspace) in &self.nodes {
            // What gives something up may be granted at the master before its holder hears of it.
            let gives_up = |lock: &Lock| {
                is_sideways(lock.granted, lock.requested) || lock.waiting() == Some(MsgType::Unlock)
            };
            let ours = lockspace
                .locks
                .values()
                .filter(|lock| lock.is_ours() && lock.granted != Mode::Iv && !gives_up(lock));
            for lock in ours {
                assert_ne!(lock.status, LockStatus::Waiting, "{} of node {node}", lock.name);
                held.entry(&lock.name).or_default().push((*node, lock.granted));
            }
        }
        for (name, held) in held {
            for (at, (one, first)) in held.iter().enumerate() {
                for (other, second) in held.iter().skip(at + 1) {
                    assert!(
                        is_compatible(*first, *second),
                        "{name}: {first} of node {one} and {second} of node {other}"
                    );
                }
            }
        }
    }
}

fn deliver(lockspace: &mut Lockspace, now: Time, bytes: &[u8]) {
    let Split::Frame { frame, .. } = split(bytes, Limits::KERNEL) else {
        panic!("a whole frame");
    };
    match frame.decode().expect("sound") {
        Frame::Msg(msg) => lockspace.handle_msg(now, &msg, bytes),
        Frame::Rcom(rcom) => lockspace.handle_rcom(now, &rcom),
        Frame::Opts(_) | Frame::Ack(_) => panic!("only messages are posted"),
    }
}
