//! What runs on top of a node, and what it can do from inside the loop.

use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{CommandError, Delivery, Message, PeerView, Reservation, SendError, Sent};
use dlmwire_midcomms::{State, Time};

use crate::core::Core;
use crate::event::NodeEvent;

/// What receives the messages. All methods run in the loop, between a read and a write: they must not wait.
pub trait Application {
    /// A message came, in order and once. It lies in the loop's read buffer.
    fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>);

    /// Something happened.
    fn event(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        let _ = (outbox, event);
    }

    /// Called once a turn, after everything that came and before the writes: the moment to send on one's own
    /// account. The loop sleeps afterwards unless there is something to do; see [`Outbox::wake_after`].
    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        let _ = outbox;
    }
}

/// Takes everything and does nothing.
impl Application for () {
    fn deliver(&mut self, _: &mut Outbox<'_>, _: &Delivery<'_>) {}
}

/// Sends and commands from inside the loop, without a lock. What is sent here leaves at the end of the turn, all
/// messages to one peer in one write.
#[derive(Debug)]
pub struct Outbox<'a> {
    pub(crate) core: &'a mut Core,
}

impl Outbox<'_> {
    /// The time of this turn, in nanoseconds since the node was made.
    pub const fn now(&self) -> Time {
        self.core.now
    }

    /// Sends a message, bare or in `OPTS` as the kernels do.
    ///
    /// # Errors
    ///
    /// As [`Engine::send`](dlmwire_midcomms::engine::Engine::send).
    pub fn send(&mut self, node: NodeId, message: &Message<'_>) -> Result<Sent, SendError> {
        self.core.touch(node);
        self.core.engine.send(self.core.now, node, message)
    }

    /// Sends an application message.
    ///
    /// # Errors
    ///
    /// As [`Engine::send_payload`](dlmwire_midcomms::engine::Engine::send_payload).
    pub fn send_payload(
        &mut self,
        node: NodeId,
        lockspace: LockspaceId,
        payload: &[u8],
    ) -> Result<Sent, SendError> {
        self.core.touch(node);
        self.core
            .engine
            .send_payload(self.core.now, node, lockspace, payload)
    }

    /// Begins an application message in place, to be filled and committed.
    ///
    /// # Errors
    ///
    /// As [`Engine::reserve_payload`](dlmwire_midcomms::engine::Engine::reserve_payload).
    pub fn reserve(
        &mut self,
        node: NodeId,
        lockspace: LockspaceId,
        len: usize,
    ) -> Result<Reservation<'_>, SendError> {
        self.core.touch(node);
        self.core
            .engine
            .reserve_payload(self.core.now, node, lockspace, len)
    }

    /// Lists `node` as a member of `lockspace`.
    ///
    /// # Errors
    ///
    /// As [`Engine::add_member`](dlmwire_midcomms::engine::Engine::add_member).
    pub fn add_member(&mut self, node: NodeId, lockspace: LockspaceId) -> Result<(), CommandError> {
        self.core.add_member(node, lockspace, false)
    }

    /// Takes `node` off the members of `lockspace`; messages that a handle has taken still go out first.
    pub fn remove_member(&mut self, node: NodeId, lockspace: LockspaceId) {
        self.core.pump(node);
        self.core.remove_member(node, lockspace, &[]);
    }

    /// Says that the peer is gone. Nothing of it is delivered after this.
    pub fn fence(&mut self, node: NodeId) {
        self.core.fence(node, 0);
    }

    /// Leaves everything in order; [`Event::ShutdownComplete`](dlmwire_midcomms::engine::Event::ShutdownComplete)
    /// tells the end.
    pub fn shutdown(&mut self) {
        self.core.shutdown();
    }

    /// Ends the loop after this turn.
    pub const fn stop(&mut self) {
        self.core.stop = true;
    }

    /// Makes the loop turn, and call [`Application::idle`], after `delay` at the latest.
    pub fn wake_after(&mut self, delay: Duration) {
        self.core.wake_after(delay);
    }

    /// What is known of a peer. Allocates: not for every message.
    pub fn peer(&self, node: NodeId) -> Option<PeerView> {
        self.core.engine.peer(self.core.now, node)
    }

    /// How far the conversation with a peer is.
    pub fn state(&self, node: NodeId) -> State {
        self.core.engine.state(node)
    }
}
