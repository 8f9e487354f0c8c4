//! Looking at an engine: what the kernel shows in debugfs, and more (spec: midcomms 8).

use std::collections::BTreeSet;

use dlmwire_codec::{LockspaceId, NodeId, Seq, Version};

use super::peer::Peer;
use crate::state::State;
use crate::{LinkId, Time};

/// A peer at one moment. The names are the kernel's where the kernel has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerView {
    /// The peer.
    pub nodeid: NodeId,
    /// debugfs `state`.
    pub state: State,
    /// debugfs `flags`: 2 `CLOSE` (fenced), 4 `STOP_TX` (our `FIN` is queued), 8 `STOP_RX` (the peer's came too).
    pub flags: u32,
    /// debugfs `version`, `None` while it is not detected.
    pub version: Option<Version>,
    /// Lockspaces that list the peer as a member; the kernel's `users` is their number.
    pub lockspaces: BTreeSet<LockspaceId>,
    /// debugfs `send_queue_count`: messages that are queued or unacknowledged.
    pub send_queue_count: u32,
    /// Their bytes on the wire.
    pub send_queue_bytes: usize,
    /// Memory of the send queue in bytes.
    pub send_queue_memory_bytes: usize,
    /// Since when the oldest of them waits, in nanoseconds of the caller's clock at the time of asking.
    pub oldest_unacked_age: Option<u64>,
    /// The number of the next message to send.
    pub send_seq: Seq,
    /// The number expected next.
    pub recv_next: Seq,
    /// Whether the peer was found to have restarted, so that nothing of it is taken.
    pub halted: bool,
    /// Whether it has no link to send on and should have one.
    pub wants_link: bool,
    /// The link that we send on.
    pub sending_link: Option<LinkId>,
    /// All links.
    pub links: Vec<LinkId>,
    /// What was counted since the peer is known.
    pub counters: Counters,
}

/// What is counted per peer, from the first moment on, over all conversations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Counters {
    /// Numbered messages accepted for sending, `FIN`s included.
    pub sent: u64,
    /// Messages delivered to the application, bare ones included.
    pub delivered: u64,
    /// Messages sent again on a later link or by the timer of an unacknowledged `FIN`.
    pub resent: u64,
    /// Numbered messages that came again and were dropped.
    pub duplicates: u64,
    /// Numbered messages that came too early and were dropped.
    pub gaps: u64,
    /// Breaches of the protocol.
    pub violations: u64,
    /// Of these: something came or was to be sent when nothing should.
    pub unexpected: u64,
    /// `ACK` frames given to a link.
    pub acks_sent: u64,
    /// `ACK` frames that came.
    pub acks_received: u64,
    /// Links that came up.
    pub links_up: u64,
    /// Links that went down.
    pub links_down: u64,
    /// Messages given up: see [`Event::Lost`](super::Event::Lost).
    pub lost: u64,
}

/// Counts one more. 64 bits that are counted through one by one outlast everything.
#[inline]
pub(super) const fn count(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}

impl PeerView {
    pub(super) fn of(peer: &Peer, now: Time) -> Self {
        Self {
            nodeid: peer.node,
            state: peer.state,
            flags: peer.flags(),
            version: peer.version,
            lockspaces: peer.lockspaces.iter().copied().collect(),
            send_queue_count: peer.queue.count(),
            send_queue_bytes: peer.queue.bytes(),
            send_queue_memory_bytes: peer.queue.memory_bytes(),
            oldest_unacked_age: peer.ages.oldest().map(|since| now.since(since)),
            send_seq: peer.queue.next_seq(),
            recv_next: peer.recv_next,
            halted: peer.halted,
            wants_link: peer.wants_link(),
            sending_link: peer.sending,
            links: peer.links.clone(),
            counters: *peer.counters,
        }
    }
}
