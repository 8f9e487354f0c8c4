//! The engine: exactly once and in order across lost connections, and an end by both `FIN`s (spec: midcomms).
//!
//! One [`Engine`] is one node. It knows no socket and no clock: its driver tells it what happened (*facts*), asks
//! what to write (*polls*) and says what time it is. See the drive loop at [`Engine`].
//!
//! # The promise
//!
//! Within one conversation with a 3.2 peer every message that [`Engine::send`] accepts as numbered is delivered to
//! the peer's application exactly once and in order, or the sender is told: [`Event::Lost`]. Memory is bounded
//! whatever the network does and whatever the peer sends.
//!
//! A conversation begins when the cluster manager makes a peer a member and the peer's version shows, and ends by
//! both `FIN`s, by the cluster manager's word that the peer is gone, or by the deadline of a termination. Nothing
//! on the wire tells one incarnation of a node from the next: membership is told, never guessed.
//!
//! # How it is built
//!
//! Everything about a peer is in `peer`; whatever happens is one peer's `turn`. `send_queue` is the wire itself:
//! frames are encoded once, in place, and stay until they are acknowledged. `termination` applies the transition
//! table of [`state`](crate::state), which the observer reads as well.

mod ages;
mod alarm;
mod common;
mod config;
mod delivery;
mod directory;
mod event;
mod events;
mod incarnation;
mod limiter;
mod link;
mod links;
mod outlet;
mod owed;
mod peer;
mod receive;
mod segment_pool;
mod send;
mod send_queue;
mod termination;
mod timers;
mod transmit;
mod turn;
mod uncounted;
mod view;
mod violation;

#[cfg(test)]
mod tests;

use std::fmt;

use dlmwire_codec::{DecodeError, LockspaceId, NodeId, RawFrame};

use self::common::{Common, Departure};
use self::directory::Directory;
use self::link::Phase;
use self::peer::Peer;
use self::turn::Turn;
use crate::state::State;
use crate::{LinkId, Time};

pub use config::{Config, ConfigError, FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX};
pub use delivery::{Content, Delivery};
pub use event::{Close, Event, Evidence, FenceCause, Outcome};
pub use link::{LinkLimits, LinkRole, LinkUp, Transmit};
pub use send::{Message, Reservation, SendError, Sent};
pub use view::{Counters, PeerView};
pub use violation::Violation;

/// `m_type` of an application message between two of our own nodes ("dlmw"). It lies outside the kernel's types 1
/// to 14: kernels log it and ignore it, and it is never to be sent to one. The payload is `m_extra`.
pub const APPLICATION_MSG: u32 = 0x646c_6d77;

/// One node's messaging, towards all its peers.
///
/// The drive rule: *after every command or fact, drain [`poll_transmit`](Self::poll_transmit) for each link
/// concerned, then [`poll_event`](Self::poll_event), then read [`poll_timeout`](Self::poll_timeout).*
///
/// A frame that came on one link may be answered on another, the one that is sent on
/// ([`sending_link`](Self::sending_link)). A link's end or loss is told after the run in which it was read.
///
/// Engines are equal if they will send and deliver alike: counters, spare memory and when they warn do not count.
///
/// ```
/// use dlmwire_codec::{Limits, LockspaceId, NodeId, RcomFields, Payload, Split, StatusFlags, split};
/// use dlmwire_midcomms::engine::{Config, Engine, Event, LinkLimits, LinkRole, LinkUp, Message};
/// use dlmwire_midcomms::{LinkId, Time};
///
/// let [alice, bob] = [1, 2].map(|id| NodeId::new(id).unwrap());
/// let group = LockspaceId::from_name(b"example");
/// let now = Time(0);
/// let mut engine = Engine::new(Config::new(alice))?;
/// engine.add_member(now, bob, group)?;
///
/// // What a driver does when a connection is there, here to nobody.
/// let link = LinkId(1);
/// engine.handle_link_up(now, link, LinkUp { node: bob, role: LinkRole::Dialed, limits: LinkLimits::STREAM });
/// let hello = RcomFields { lockspace: group, result: 0, id: 1, seq: 1, seq_reply: 0,
///     payload: Payload::Status { flags: StatusFlags::new(0) } };
/// engine.send(now, bob, &Message::Rcom(hello))?;
///
/// let mut socket: Vec<u8> = Vec::new();
/// # let received: &[u8] = &[];
/// let mut rest = received;
/// while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
///     rest = behind;
///     if let Ok(Some(delivery)) = engine.handle_frame(now, link, frame) {
///         println!("from node {}: {:?}", delivery.node, delivery.content);
///     }
/// }
/// engine.handle_read_done(now, link); // the moment for one ACK, if it is due
/// while let Some(transmit) = engine.poll_transmit(link) {
///     let taken = transmit.slices().iter().map(|slice| { socket.extend_from_slice(slice); slice.len() }).sum();
///     engine.handle_transmitted(now, link, taken); // may be half a message; that is fine
/// }
/// while let Some(event) = engine.poll_event() {
///     match event {
///         Event::LinkWanted { node } => println!("dial node {node}"),
///         Event::CloseLink { link, how } => println!("close {link:?}: {how:?}"),
///         other => println!("{other:?}"),
///     }
/// }
/// let _wake_up_at = engine.poll_timeout();
/// assert_eq!(socket.len(), 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Engine {
    common: Common,
    peers: Directory<NodeId, Peer>,
}

impl Engine {
    /// An engine without peers.
    ///
    /// # Errors
    ///
    /// A setting that cannot work.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            common: Common::new(config),
            peers: Directory::new(),
        })
    }

    /// A lockspace lists the node as a member: the kernel's `users` counts one more, unless it already did.
    ///
    /// The first one begins a conversation; of a peer that still terminates the old one is given up first. A
    /// fenced peer that is added again begins anew.
    ///
    /// # Errors
    ///
    /// The node is ourselves, or this node is leaving.
    pub fn add_member(
        &mut self,
        now: Time,
        node: NodeId,
        lockspace: LockspaceId,
    ) -> Result<(), CommandError> {
        if node == self.common.config.node {
            return Err(CommandError::OwnNode);
        }
        match self.common.departure {
            Departure::Leaving(_) => return Err(CommandError::Leaving),
            Departure::Staying | Departure::Left => self.common.departure = Departure::Staying,
        }
        let mut turn = self.turn_or_new(now, node);
        let first = turn.peer.lockspaces.is_empty();
        turn.peer.list(lockspace);
        if first || turn.peer.fenced || turn.peer.halted {
            turn.join();
        }
        Ok(())
    }

    /// A lockspace no longer lists the node as a member. Returns at once, whatever the peer does.
    ///
    /// When none does, a peer whose `FIN` has come gets ours. Unknown nodes and lockspaces change nothing.
    pub fn remove_member(&mut self, now: Time, node: NodeId, lockspace: LockspaceId) {
        if let Some(mut turn) = self.turn(now, node)
            && turn.peer.unlist(lockspace)
            && turn.peer.lockspaces.is_empty()
        {
            turn.part();
        }
        self.look_at_departure();
    }

    /// The cluster manager says that the node is gone: its queue is dropped ([`Event::Lost`]), its links are
    /// aborted, and nothing is exchanged with it until it is added again. Which lockspaces list it is not changed.
    #[doc(alias = "midcomms_close")]
    pub fn fence(&mut self, now: Time, node: NodeId) {
        if let Some(mut turn) = self.turn(now, node) {
            turn.fence();
        }
        self.look_at_departure();
    }

    /// This node leaves all lockspaces: every peer is removed from all of them, then every conversation is ended.
    ///
    /// Deviation (V9): all peers terminate at the same time, with one deadline; kernels take them one by one. To a
    /// kernel peer it makes no difference.
    pub fn shutdown(&mut self, now: Time) {
        if self.common.departure != Departure::Staying {
            return;
        }
        self.common.departure = Departure::Leaving(Outcome::Clean);
        let nodes: Vec<NodeId> = self.peers.keys().collect();
        for node in nodes {
            let Some(mut turn) = self.turn(now, node) else {
                continue;
            };
            if !turn.peer.lockspaces.is_empty() {
                turn.peer.lockspaces.clear();
                turn.part();
            }
            turn.leave();
            turn.rearm();
        }
        self.look_at_departure();
    }

    /// Sends a message of the lock layer: bare or in `OPTS`, by its class, the peer's version and the kernels that
    /// we send like (spec: wire 5.3).
    ///
    /// # Errors
    ///
    /// Why it was not accepted; nothing has been sent then.
    pub fn send(&mut self, now: Time, node: NodeId, message: &Message<'_>) -> Result<Sent, SendError> {
        self.turn(now, node).ok_or(SendError::UnknownNode)?.send(message)
    }

    /// Sends an application message to another node of ours: a `DLM_MSG` of type [`APPLICATION_MSG`], at most
    /// [`PAYLOAD_BYTES_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// Why it was not accepted; nothing has been sent then.
    #[inline]
    pub fn send_payload(
        &mut self,
        now: Time,
        node: NodeId,
        lockspace: LockspaceId,
        payload: &[u8],
    ) -> Result<Sent, SendError> {
        self.turn(now, node)
            .ok_or(SendError::UnknownNode)?
            .send_payload(lockspace, payload)
    }

    /// Room for an application message that the caller builds in place.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn reserve_payload(
        &mut self,
        now: Time,
        node: NodeId,
        lockspace: LockspaceId,
        bytes: usize,
    ) -> Result<Reservation<'_>, SendError> {
        self.turn(now, node)
            .ok_or(SendError::UnknownNode)?
            .reserve_payload(lockspace, bytes)
    }

    /// A link is ready. Its other end is known to be `up.node` by its configured address.
    pub fn handle_link_up(&mut self, now: Time, link: LinkId, up: LinkUp) {
        debug_assert!(
            !self.common.links.contains_key(&link),
            "a link's name is never used twice"
        );
        debug_assert!(up.node != self.common.config.node, "nobody connects to himself");
        let mut turn = self.turn_or_new(now, up.node);
        turn.link_up(link, up);
        turn.rearm();
    }

    /// A frame came. What is to be delivered is returned, borrowed from the frame.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol. It has been counted, and told as an event unless that happened too often: the
    /// caller may ignore it. [`Violation::UnknownLink`] is the caller's own mistake, or what was read after a link was
    /// ordered to be aborted: it is only returned.
    #[inline]
    pub fn handle_frame<'a>(
        &mut self,
        now: Time,
        link: LinkId,
        frame: RawFrame<'a>,
    ) -> Result<Option<Delivery<'a>>, Violation> {
        let Some((mut turn, stale)) = self.turn_of_live_link(now, link) else {
            return Err(Violation::UnknownLink);
        };
        let taken = if stale {
            turn.stale_frame(link, frame);
            Ok(None)
        } else {
            turn.frame(link, frame)
        };
        if matches!(turn.common.departure, Departure::Leaving(_)) && turn.peer.state == State::Closed {
            self.look_at_departure();
        }
        taken
    }

    /// No frame can be found in the link's stream any more: `codec::split` said so. The link is to be aborted.
    pub fn handle_framing_lost(&mut self, now: Time, link: LinkId, error: DecodeError) {
        if let Some((mut turn, _)) = self.turn_of_live_link(now, link) {
            turn.framing_lost(link, error);
        }
    }

    /// A read run on the link ended: the moment for one `ACK` of everything that was delivered, if it is due
    /// ([`Config::ack_after_bytes`]). One that is not yet rides with the next thing that is written, or goes out after
    /// [`Config::ack_delay`].
    pub fn handle_read_done(&mut self, now: Time, link: LinkId) {
        let Some(node) = self.common.links.get(&link).map(|known| known.node) else {
            return;
        };
        if let Some(mut turn) = self.turn(now, node) {
            turn.read_done();
        }
    }

    /// The link took so many bytes of what [`poll_transmit`](Self::poll_transmit) lent last. Nothing else may be
    /// told in between.
    pub fn handle_transmitted(&mut self, now: Time, link: LinkId, bytes: usize) {
        let Some(node) = self.common.links.get(&link).map(|known| known.node) else {
            return;
        };
        if let Some(mut turn) = self.turn(now, node) {
            turn.transmitted(link, bytes);
        }
    }

    /// The peer has closed its direction of the link in order. What is queued is still written; then the link is to
    /// be closed ([`Event::CloseLink`]).
    pub fn handle_link_end(&mut self, now: Time, link: LinkId) {
        if let Some((mut turn, _)) = self.turn_of_live_link(now, link) {
            turn.link_end(link);
        }
    }

    /// The link is gone, for whatever reason, also because the engine wanted it closed. Unknown ones are ignored.
    pub fn handle_link_down(&mut self, now: Time, link: LinkId) {
        let Some(node) = self.common.links.get(&link).map(|known| known.node) else {
            return;
        };
        if let Some(mut turn) = self.turn(now, node) {
            turn.link_down(link);
            turn.rearm();
        }
    }

    /// Does what is due for one peer, and says for which: its links have to be polled. `None` if nothing is due any
    /// more; to be called until then when the moment of [`poll_timeout`](Self::poll_timeout) has come.
    #[must_use = "more may be due"]
    pub fn handle_timeout(&mut self, now: Time) -> Option<NodeId> {
        let (_, node) = self.common.timers.first().filter(|(at, _)| *at <= now)?;
        if let Some(mut turn) = self.turn(now, node) {
            turn.ring();
        }
        self.look_at_departure();
        Some(node)
    }

    /// What to write next on the link; `None` if there is nothing.
    pub fn poll_transmit(&mut self, link: LinkId) -> Option<Transmit<'_>> {
        let known = self.common.links.get_mut(&link)?;
        let peer = self.peers.get_mut(&known.node)?;
        transmit::lend(self.common.config.node, link, known, peer)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) would give something.
    pub fn has_transmit(&self, link: LinkId) -> bool {
        let Some(known) = self
            .common
            .links
            .get(&link)
            .filter(|known| known.phase != Phase::Aborting)
        else {
            return false;
        };
        let sends = self.peers.get(&known.node).is_some_and(|peer| {
            peer.sending == Some(link) && (peer.outlet.wants_to_write() || !peer.queue.is_drained())
        });
        !known.rest_bytes().is_empty() || known.farewell.is_some() || sends
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.common.events.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.common.timers.first().map(|(at, _)| at)
    }

    /// A peer as it is now; `None` if it was never a member and never had a link.
    pub fn peer(&self, now: Time, node: NodeId) -> Option<PeerView> {
        self.peers.get(&node).map(|peer| PeerView::of(peer, now))
    }

    /// All peers, in the order of their ids.
    pub fn peers(&self, now: Time) -> impl Iterator<Item = PeerView> {
        self.peers.values().map(move |peer| PeerView::of(peer, now))
    }

    /// How far the conversation with a node is; `CLOSED` for one that is not known.
    pub fn state(&self, node: NodeId) -> State {
        self.peers.get(&node).map_or(State::Closed, |peer| peer.state)
    }

    /// The link that we send on to a node.
    pub fn sending_link(&self, node: NodeId) -> Option<LinkId> {
        self.peers.get(&node)?.sending
    }

    /// Whether the node has no link to send on and should have one: whoever dials may go on.
    pub fn wants_link(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.wants_link())
    }

    /// Whether a [`shutdown`](Self::shutdown) is complete and nobody was added since.
    pub fn is_shut_down(&self) -> bool {
        self.common.departure == Departure::Left
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.common.config
    }

    #[inline]
    fn turn(&mut self, now: Time, node: NodeId) -> Option<Turn<'_>> {
        Some(Turn {
            now,
            common: &mut self.common,
            peer: self.peers.get_mut(&node)?,
        })
    }

    fn turn_or_new(&mut self, now: Time, node: NodeId) -> Turn<'_> {
        let start = self.common.config.start_seq;
        Turn {
            now,
            common: &mut self.common,
            peer: self.peers.get_or_insert_with(node, || Peer::new(node, start)),
        }
    }

    /// The turn of a link that is not to be aborted, and whether the link belongs to a conversation that is over.
    #[inline]
    fn turn_of_live_link(&mut self, now: Time, link: LinkId) -> Option<(Turn<'_>, bool)> {
        let known = self.common.links.get_mut(&link)?;
        if known.phase == Phase::Aborting {
            return None;
        }
        let (node, stale) = (known.node, known.stale);
        Some((self.turn(now, node)?, stale))
    }

    /// Whether the last conversation of a node that leaves is over.
    fn look_at_departure(&mut self) {
        if let Departure::Leaving(outcome) = self.common.departure
            && self.peers.values().all(|peer| peer.state == State::Closed)
        {
            self.common.departure = Departure::Left;
            self.common.events.push(Event::ShutdownComplete { outcome });
        }
    }
}

/// Why a command was not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CommandError {
    /// A node is no peer of its own.
    OwnNode,
    /// This node is leaving: wait for [`Event::ShutdownComplete`].
    Leaving,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnNode => "a node is no peer of its own",
            Self::Leaving => "this node is leaving",
        })
    }
}

impl std::error::Error for CommandError {}
