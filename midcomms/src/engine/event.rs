//! What the engine tells its driver and the application.

use dlmwire_codec::{NodeId, Seq, Version};

use super::Violation;
use crate::LinkId;
use crate::state::State;

/// Something that happened. Drained by [`Engine::poll_event`](super::Engine::poll_event) after every command
/// and fact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// For the driver: the peer needs a connection to send on, dial it. Told once; whether it is still so says
    /// [`PeerView::wants_link`](super::PeerView::wants_link).
    LinkWanted {
        /// The peer to dial.
        node: NodeId,
    },
    /// For the driver: get rid of a link, and say so with `handle_link_down` when it is gone.
    CloseLink {
        /// The link.
        link: LinkId,
        /// In which way.
        how: Close,
    },
    /// The peer has a link that we send on; told again when it is made a member while it has one.
    Connected {
        /// The peer.
        node: NodeId,
        /// The link.
        link: LinkId,
    },
    /// The peer has no link that we could send on; what is queued waits for the next.
    Disconnected {
        /// The peer.
        node: NodeId,
    },
    /// The peer's first message told its version. With 3.1 nothing is numbered, acknowledged or sent again:
    /// tell the user that it is unreliable.
    VersionDetected {
        /// The peer.
        node: NodeId,
        /// Its version.
        version: Version,
    },
    /// The peer speaks 3.1 and the configuration refuses that.
    Incompatible {
        /// The peer.
        node: NodeId,
        /// Its version.
        version: Version,
    },
    /// The conversation changed its state.
    StateChanged {
        /// The peer.
        node: NodeId,
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// A send that was refused as `QueueFull` would be taken now.
    Writable {
        /// The peer.
        node: NodeId,
    },
    /// The peer will say nothing more: its `FIN` came. We may still send until the cluster manager removes it.
    PeerFinished {
        /// The peer.
        node: NodeId,
    },
    /// The peer, or we, began again at other numbers without the cluster manager's knowledge. Nothing of the peer
    /// is delivered any more until it is fenced or removed and added again.
    PeerRestarted {
        /// The peer.
        node: NodeId,
        /// What showed it.
        evidence: Evidence,
    },
    /// The cluster manager should decide about this peer: messages for it cannot be delivered.
    FenceNeeded {
        /// The peer.
        node: NodeId,
        /// Why.
        cause: FenceCause,
    },
    /// The peer finished long ago and is still listed as a member: a membership change seems to be missing.
    MembershipMissing {
        /// The peer.
        node: NodeId,
    },
    /// Messages were given up: queued or unacknowledged ones of a conversation that ended otherwise than by both
    /// `FIN`s. Every message that was accepted as numbered is delivered or counted here; it may be both.
    Lost {
        /// The peer.
        node: NodeId,
        /// How many messages were not acknowledged.
        messages: u64,
    },
    /// The peer's termination is over, or was cut short.
    Finished {
        /// The peer.
        node: NodeId,
        /// How it ended.
        outcome: Outcome,
    },
    /// After [`Engine::shutdown`](super::Engine::shutdown): no peer is left in a conversation.
    ShutdownComplete {
        /// `Clean` if all peers' were, else the worst.
        outcome: Outcome,
    },
    /// The peer broke the protocol. Rate-limited: `suppressed` counts what was not told since the last time.
    Violation {
        /// The peer.
        node: NodeId,
        /// The link on which it showed.
        link: LinkId,
        /// What it did.
        violation: Violation,
        /// Violations of this peer that were counted but not told before this one.
        suppressed: u64,
    },
}

/// How to get rid of a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Close {
    /// So that the peer notices a loss: a reset. A kernel resends only after one.
    Abort,
    /// Send what `poll_transmit` still gives, then close in order.
    AfterFlush,
}

/// What showed that numbers began again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Evidence {
    /// The peer acknowledges what was never sent: it remembers more than we do.
    AckBeyondSent {
        /// What it acknowledged.
        ack: Seq,
        /// The next number to send.
        send_seq: Seq,
    },
    /// A number came again with other bytes.
    OtherBytes {
        /// The number.
        seq: Seq,
    },
}

/// Why the cluster manager should decide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FenceCause {
    /// The send queue is full, and has made no room for `unacked_age_max`.
    QueueFull,
    /// The oldest unacknowledged message is too old.
    UnackedAge,
    /// A number is missing, and nothing of the peer has fitted for as long: it will not be sent again.
    Gap,
    /// Numbers began again: see [`Event::PeerRestarted`].
    Restarted,
    /// Its termination ran into the deadline.
    ShutdownDeadline,
}

/// How a conversation ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// Both `FIN`s came and were acknowledged; or there was nothing to end.
    Clean,
    /// The peer speaks 3.1 and knows no `FIN`, or its version never showed.
    WithoutFin,
    /// The cluster manager said that the peer is gone.
    Fenced,
    /// The peer was added again before it had finished: the old conversation was stuck.
    Readded,
    /// The deadline came first.
    TimedOut,
}
