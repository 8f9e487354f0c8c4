//! Everything that is known about one peer (spec: midcomms 1).

use dlmwire_codec::{LockspaceId, NodeId, Seq, Version};

use super::ages::Ages;
use super::alarm::Alarm;
use super::incarnation::Received;
use super::limiter::Limiter;
use super::outlet::{Outlet, ack_frame};
use super::owed::Owed;
use super::send_queue::SendQueue;
use super::uncounted::Uncounted;
use super::view::Counters;
use crate::state::{Membership, State};
use crate::{LinkId, Time};

/// One remote node: object of the kernel's midcomms, independent of lockspaces and of links.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[doc(alias = "midcomms_node")]
pub(super) struct Peer {
    pub(super) node: NodeId,
    /// The lockspaces that list it, in order; their number is the kernel's `users`, and nothing else changes it.
    pub(super) lockspaces: Vec<LockspaceId>,
    pub(super) state: State,
    pub(super) version: Option<Version>,
    pub(super) queue: SendQueue,
    pub(super) outlet: Outlet,
    pub(super) recv_next: Seq,
    pub(super) received: Received,
    pub(super) owed: Owed,
    /// Our `FIN`'s number, once it is queued.
    pub(super) fin: Option<Seq>,
    /// The peer's `FIN` has been counted.
    pub(super) peer_finished: bool,
    pub(super) tombstone: Option<Tombstone>,
    /// It was made a member again after a conversation, and its version has not shown since.
    pub(super) rejoined: bool,
    /// The peer restarted without the cluster manager's knowledge: nothing of it is taken.
    pub(super) halted: bool,
    /// The cluster manager said that the peer is gone.
    pub(super) fenced: bool,
    /// A send was refused for want of room.
    pub(super) refused_full: bool,
    /// The link that is sent on.
    pub(super) sending: Option<LinkId>,
    /// All its links, oldest first.
    pub(super) links: Vec<LinkId>,
    pub(super) alarms: Alarms,
    /// The moment that the engine's timers hold for this peer.
    pub(super) armed: Option<Time>,
    pub(super) ages: Uncounted<Ages>,
    pub(super) counters: Uncounted<Counters>,
    pub(super) limiter: Uncounted<Limiter>,
}

/// Keeps the last receive position of a finished peer (V2).
///
/// Its final `ACK` may be lost; the repeated `FIN` must then be acknowledged although the conversation is over.
/// Deviation: kernels forget at once and leave the other side waiting for its timeout. A kernel peer whose `FIN`
/// comes again gets the `ACK` that it waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Tombstone {
    /// Behind the peer's `FIN`.
    pub(super) recv_next: Seq,
    pub(super) expires: Time,
}

/// Moments at which something is to be done about a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Alarms {
    /// Our `FIN` is not acknowledged: send again.
    pub(super) fin_resend: Alarm,
    /// How long to wait after that, in nanoseconds.
    pub(super) fin_pause: u64,
    /// The termination has to be over.
    pub(super) deadline: Alarm,
    /// The membership change that should follow the peer's `FIN` is missing.
    pub(super) close_wait: Alarm,
    /// We leave, and the peer's version has not shown: how long to wait for it.
    pub(super) version_wait: Alarm,
    /// A number came too early, and nothing has fitted since.
    pub(super) gap: Alarm,
    /// The same, and the peer is to be made to send again.
    pub(super) gap_reset: Alarm,
    /// How long to wait after that, in nanoseconds.
    pub(super) gap_pause: u64,
    /// A send was refused for want of room, and nothing has made any since.
    pub(super) full: Alarm,
    /// Look at how old the oldest unacknowledged message is.
    pub(super) age: Alarm,
    /// Acknowledge what has come and is not acknowledged by then.
    pub(super) ack: Alarm,
}

impl Peer {
    pub(super) fn new(node: NodeId, start: Seq) -> Self {
        Self {
            node,
            lockspaces: Vec::new(),
            state: State::Closed,
            version: None,
            queue: SendQueue::new(start),
            outlet: Outlet::default(),
            recv_next: start,
            received: Received::new(start),
            owed: Owed::default(),
            fin: None,
            peer_finished: false,
            tombstone: None,
            rejoined: false,
            halted: false,
            fenced: false,
            refused_full: false,
            sending: None,
            links: Vec::new(),
            alarms: Alarms::default(),
            armed: None,
            ages: Uncounted::default(),
            counters: Uncounted::default(),
            limiter: Uncounted::default(),
        }
    }

    /// A lockspace lists it.
    pub(super) fn list(&mut self, lockspace: LockspaceId) {
        if let Err(at) = self.lockspaces.binary_search(&lockspace) {
            // Most nodes have one.
            self.lockspaces.reserve_exact(1);
            self.lockspaces.insert(at, lockspace);
        }
    }

    /// A lockspace lists it no more: whether it did.
    pub(super) fn unlist(&mut self, lockspace: LockspaceId) -> bool {
        let at = self.lockspaces.binary_search(&lockspace);
        at.map(|at| self.lockspaces.remove(at)).is_ok()
    }

    pub(super) fn membership(&self) -> Membership {
        if self.lockspaces.is_empty() {
            Membership::NotMember
        } else {
            Membership::Member
        }
    }

    /// An `ACK` of everything received, from `own`, goes out with whatever is written next.
    pub(super) fn queue_ack(&mut self, own: NodeId) {
        self.owed = Owed::default();
        self.outlet.set_ack(ack_frame(own, self.recv_next));
    }

    /// What it sent is not to be acknowledged any more, unless that has begun.
    pub(super) fn forget_acks(&mut self) {
        self.owed = Owed::default();
        self.outlet.forget_ack();
    }

    /// Whether messages to it are numbered, acknowledged and sent again.
    pub(super) const fn is_numbered(&self, own: Version) -> bool {
        matches!((own, self.version), (Version::V3_2, Some(Version::V3_2)))
    }

    /// Whether its last conversation is over and nobody has begun another.
    pub(super) fn is_finished(&self) -> bool {
        self.tombstone.is_some() && self.is_stranger()
    }

    /// Whether there is no conversation with it and none is wanted.
    pub(super) fn is_stranger(&self) -> bool {
        self.state == State::Closed && self.lockspaces.is_empty()
    }

    /// Whether it has no link to send on and should have one.
    pub(super) fn wants_link(&self) -> bool {
        self.sending.is_none()
            && !self.fenced
            && !self.halted
            && (!self.lockspaces.is_empty()
                || self.state.is_terminating()
                || self.alarms.version_wait.is_some()
                || self.queue.count() > 0
                || (self.outlet.waiting_bytes() > 0 && !self.is_stranger()))
    }

    /// The kernel's flags. It stops receiving when it has nothing more to send either.
    pub(super) fn flags(&self) -> u32 {
        const CLOSE: u32 = 2;
        const STOP_TX: u32 = 4;
        const STOP_RX: u32 = 8;
        let both_finished = matches!(self.state, State::LastAck | State::Closing);
        [
            (CLOSE, self.fenced),
            (STOP_TX, self.fin.is_some()),
            (STOP_RX, both_finished),
        ]
        .into_iter()
        .filter_map(|(flag, set)| set.then_some(flag))
        .sum()
    }

    /// The earliest of its moments.
    pub(super) fn next_alarm(&self) -> Option<Time> {
        let Alarms {
            fin_resend,
            fin_pause: _,
            deadline,
            close_wait,
            version_wait,
            gap,
            gap_reset,
            gap_pause: _,
            full,
            age,
            ack,
        } = self.alarms;
        let tombstone = self.tombstone.map(|tombstone| tombstone.expires);
        [
            fin_resend,
            deadline,
            close_wait,
            version_wait,
            gap,
            gap_reset,
            full,
            age,
            ack,
        ]
        .into_iter()
        .filter_map(Alarm::at)
        .chain(tombstone)
        .min()
    }
}
