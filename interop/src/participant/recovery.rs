//! Recovery: one phase after the other, each ended by a barrier (spec: peer 4, 5).
//!
//! ```text
//! stop, start -> ping all -> NODES -> names of all -> DIR -> new masters, locks -> LOCKS -> DONE -> running
//! ```
//!
//! One question is outstanding at a time. The lowest node polls everybody and then says `X_ALL`; the others poll it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dlmwire_codec::{NodeId, RecoveryStatus, StatusFlags};
use dlmwire_midcomms::Time;

use super::event::{Event, Milestone};
use super::lock::LockId;
use super::lockspace::Lockspace;
use super::name::Name;

/// The first pause between polls, and what each round adds.
pub(super) const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Every phase finished, here and everywhere.
const ALL: u32 = 0xff;

/// How far a recovery is.
#[derive(Debug)]
pub(super) struct Recovery {
    /// Our recovery number: odd while members are known, even while stopped.
    pub(super) seq: u64,
    pub(super) status: u32,
    pub(super) step: Step,
    pub(super) ask: Option<Ask>,
    last_id: u64,
    /// When the barrier polls again.
    pub(super) poll_at: Option<Time>,
    pub(super) pause: Duration,
    /// Nodes that have left since the last finished recovery, though they may have come back.
    pub(super) gone: BTreeSet<NodeId>,
    /// Resources whose new master the directory was asked for, by the number of the question.
    pub(super) searches: BTreeMap<u64, Name>,
    /// Locks that a new master was told of and has not answered.
    pub(super) moving: BTreeSet<LockId>,
    joining: bool,
    pub(super) complained: bool,
}

/// What is being done.
#[derive(Debug)]
pub(super) enum Step {
    /// We are no member, or the members are being changed.
    Stopped,
    /// Every member is asked until it answers anything.
    Ping(VecDeque<NodeId>),
    /// These are polled until they have finished the phase.
    Barrier(Phase, VecDeque<NodeId>),
    /// These are asked for the names that they master, behind this one.
    Names(VecDeque<NodeId>, Option<Name>),
    /// Directory nodes are asked for new masters.
    Masters,
    /// New masters are told of our locks.
    Locks,
    /// It is over.
    Running,
}

/// A phase that ends with a barrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Nodes,
    Dir,
    Locks,
    Done,
}

impl Phase {
    pub(super) const fn own(self) -> u32 {
        match self {
            Self::Nodes => RecoveryStatus::NODES.bits(),
            Self::Dir => RecoveryStatus::DIR.bits(),
            Self::Locks => RecoveryStatus::LOCKS.bits(),
            Self::Done => RecoveryStatus::DONE.bits(),
        }
    }

    /// What the lowest node says when everybody has finished it.
    pub(super) const fn all(self) -> u32 {
        self.own() << 1
    }
}

/// A question that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) id: u64,
    pub(super) node: NodeId,
    pub(super) repeat_at: Time,
}

impl Recovery {
    pub(super) const fn new(node: NodeId) -> Self {
        Self {
            seq: 0,
            status: 0,
            step: Step::Stopped,
            ask: None,
            // Ids of different nodes look different in captures.
            last_id: (node.get() as u64) << 32,
            poll_at: None,
            pause: POLL_PAUSE,
            gone: BTreeSet::new(),
            searches: BTreeMap::new(),
            moving: BTreeSet::new(),
            joining: false,
            complained: false,
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.step, Step::Running)
    }

    pub(super) const fn is_stopped(&self) -> bool {
        matches!(self.step, Step::Stopped)
    }

    pub(super) const fn phase_name(&self) -> &'static str {
        match self.step {
            Step::Stopped => "stopped",
            Step::Running => "running",
            Step::Ping(_) | Step::Barrier(..) | Step::Names(..) | Step::Masters | Step::Locks => "recovering",
        }
    }

    pub(super) const fn has(&self, status: RecoveryStatus) -> bool {
        self.status & status.bits() != 0
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.ask.map(|ask| ask.repeat_at).or(self.poll_at)
    }

    pub(super) const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Lockspace {
    /// The cluster manager's stop, change of members, and start. `nodes` are all members, ourselves among them.
    ///
    /// Recovery begins anew, from the first phase, whatever went on.
    pub fn set_members(&mut self, now: Time, nodes: &[NodeId]) {
        self.now = now;
        let joining = self.members.nodes().next().is_none();
        self.recovery.joining |= joining;
        let kept: BTreeSet<NodeId> = nodes.iter().copied().collect();
        let left: Vec<NodeId> = self.members.nodes().filter(|node| !kept.contains(node)).collect();
        // Should it come back, it knows nothing of what it said before.
        self.saved.retain(|(node, _)| !left.contains(node));
        self.recovery.gone.extend(left);
        self.members.set(kept);
        // Stop and start count one each; kernels begin at 1.
        self.recovery.seq += if joining { 1 } else { 2 };
        self.recovery.status = 0;
        self.recovery.ask = None;
        self.recovery.poll_at = None;
        self.recovery.complained = false;
        self.recovery.searches.clear();
        self.recovery.moving.clear();
        self.again.clear();
        self.clear_unused();
        self.doubt_new_masters();
        self.tell_recovery(Milestone::Start);
        if self.config.lazy {
            return self.claim_all();
        }
        self.recovery.step = Step::Ping(self.members.others().collect());
        self.advance();
    }

    /// A lazy node has finished everything at once.
    fn claim_all(&mut self) {
        self.members.assign();
        self.purge();
        self.recovery.status = ALL;
        self.finish_recovery();
    }

    /// Goes on until an answer or a pause is needed.
    pub(super) fn advance(&mut self) {
        loop {
            let low = self.members.are_low();
            match &mut self.recovery.step {
                Step::Stopped | Step::Running | Step::Masters | Step::Locks => return,
                Step::Ping(nodes) => match nodes.front().copied() {
                    Some(node) => return self.ask_status(node, StatusFlags::new(0)),
                    None => self.enter(Phase::Nodes),
                },
                Step::Barrier(phase, nodes) => {
                    let phase = *phase;
                    match nodes.front().copied() {
                        Some(node) => {
                            let need_slots = phase == Phase::Nodes && !low;
                            let flags = if need_slots {
                                StatusFlags::NEED_SLOTS
                            } else {
                                StatusFlags::new(0)
                            };
                            return self.ask_status(node, flags);
                        }
                        None => self.pass(phase),
                    }
                }
                Step::Names(nodes, _) => match nodes.front().copied() {
                    Some(node) => return self.ask_names(node),
                    None => self.enter(Phase::Dir),
                },
            }
        }
    }

    /// We have finished a phase: who else has?
    pub(super) fn enter(&mut self, phase: Phase) {
        self.recovery.status |= phase.own();
        self.recovery.pause = POLL_PAUSE;
        let nodes = if self.members.are_low() {
            self.members.others().collect()
        } else {
            VecDeque::from([self.members.low()])
        };
        self.recovery.step = Step::Barrier(phase, nodes);
    }

    /// Everybody has finished a phase.
    fn pass(&mut self, phase: Phase) {
        if self.members.are_low() {
            if phase == Phase::Nodes {
                self.members.assign();
            }
            self.recovery.status |= phase.all();
        }
        match phase {
            Phase::Nodes => {
                self.tell_recovery(Milestone::Nodes);
                self.begin_directory();
                self.recovery.step = Step::Names(self.members.others().collect(), None);
            }
            Phase::Dir => {
                self.tell_recovery(Milestone::Dir);
                self.purge();
                self.find_new_masters();
            }
            Phase::Locks => {
                self.tell_recovery(Milestone::Locks);
                self.drop_outdated();
                self.enter(Phase::Done);
            }
            Phase::Done => self.finish_recovery(),
        }
    }

    fn finish_recovery(&mut self) {
        self.recovery.step = Step::Running;
        self.recovery.gone.clear();
        self.tell_recovery(Milestone::Done);
        if std::mem::take(&mut self.recovery.joining) {
            let generation = self.members.generation;
            self.tell(Event::Joined { generation });
        }
        self.resume();
    }

    fn tell_recovery(&mut self, phase: Milestone) {
        let event = Event::Recovery {
            phase,
            generation: self.members.generation,
            members: self.members.nodes().map(NodeId::get).collect(),
            slots: self
                .members
                .slots()
                .map(|(node, slot)| (node.get(), slot))
                .collect(),
        };
        self.tell(event);
    }
}
