//! A node's handle for other threads.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{Outcome, SendError};
use dlmwire_transport::Roster;

use crate::mailbox::{Command, Shared};
use crate::status::NodeStatus;

/// Sends through a node and commands it, from any thread.
///
/// Messages to one peer leave in the order in which they were committed here, and behind what the application had
/// sent inline by the time the loop takes them. They are taken while the peer is a member, connected or not; what
/// cannot be delivered in the end is counted and told, by [`Event::Lost`](dlmwire_midcomms::engine::Event::Lost)
/// or [`NodeEvent::Dropped`](crate::NodeEvent::Dropped).
///
/// Nothing here waits without end: each wait has a time limit and ends early by success, by fencing or removing the
/// peer, by a shutdown, or when the loop ends. Waits must not be used in an
/// [`Application`](crate::Application)'s callbacks, which run in the loop that they would wait for: use the
/// [`Outbox`](crate::Outbox) there.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    shared: Arc<Shared>,
}

impl NodeHandle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Our own node id.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Sends an application message to a member, in order behind those before it.
    ///
    /// # Errors
    ///
    /// [`QueueFull`](HandleError::QueueFull) if `handle_queue_bytes_max` is used up, and what the peer's standing
    /// forbids. Nothing was taken then.
    pub fn send_payload(
        &self,
        node: NodeId,
        lockspace: LockspaceId,
        payload: &[u8],
    ) -> Result<(), HandleError> {
        self.shared.send(node, lockspace, payload)
    }

    /// As [`send_payload`](Self::send_payload), waiting for room.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](HandleError::TimedOut) if there was no room in time, and what the peer's standing forbids,
    /// also if that changes meanwhile.
    pub fn send_wait(
        &self,
        node: NodeId,
        lockspace: LockspaceId,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<(), HandleError> {
        self.shared.send_wait(node, lockspace, payload, timeout)
    }

    /// Sets room aside for a message of `len` bytes, to be filled at leisure and committed.
    ///
    /// # Errors
    ///
    /// As [`send_payload`](Self::send_payload).
    #[doc(alias = "mhandle")]
    pub fn message(
        &self,
        node: NodeId,
        lockspace: LockspaceId,
        len: usize,
    ) -> Result<MessageHandle, HandleError> {
        let bytes = self.shared.reserve(node, len)?;
        Ok(MessageHandle {
            shared: Some(Arc::clone(&self.shared)),
            node,
            lockspace,
            bytes,
        })
    }

    /// Lists `node` as a member of `lockspace`. Returns at once; messages for it are taken from now on.
    ///
    /// # Errors
    ///
    /// [`OwnNode`](HandleError::OwnNode), [`QueueFull`](HandleError::QueueFull) with too many commands waiting,
    /// [`ShuttingDown`](HandleError::ShuttingDown) until a shutdown is over, or [`Stopped`](HandleError::Stopped).
    pub fn add_member(&self, node: NodeId, lockspace: LockspaceId) -> Result<(), HandleError> {
        if node == self.shared.node {
            return Err(HandleError::OwnNode);
        }
        self.shared.post(Command::AddMember(node, lockspace))
    }

    /// Takes `node` off the members of `lockspace`. Returns at once, whatever the peer does; messages that were
    /// sent before this still go out first, for up to `drain_deadline`.
    ///
    /// # Errors
    ///
    /// As [`add_member`](Self::add_member).
    pub fn remove_member(&self, node: NodeId, lockspace: LockspaceId) -> Result<(), HandleError> {
        self.shared
            .post(Command::RemoveMember(node, lockspace, Vec::new()))
    }

    /// Says that the peer is gone: its queue is dropped, its links are closed. Returns at once; nothing is taken for
    /// it any more until it is added again.
    ///
    /// # Errors
    ///
    /// As [`add_member`](Self::add_member).
    pub fn fence(&self, node: NodeId) -> Result<(), HandleError> {
        self.shared.post(Command::Fence(node, 0))
    }

    /// Replaces the roster for later dials and accepts. Returns at once.
    ///
    /// # Errors
    ///
    /// As [`add_member`](Self::add_member).
    pub fn set_roster(&self, roster: Roster) -> Result<(), HandleError> {
        self.shared.post(Command::SetRoster(roster))
    }

    /// Waits until messages really go out to `node`: its version is known.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](HandleError::TimedOut), or what ended the peer or the node.
    pub fn wait_connected(&self, node: NodeId, timeout: Duration) -> Result<(), HandleError> {
        self.shared.wait_ready(node, timeout)
    }

    /// Leaves everything in order: sends what was taken, ends every conversation by `FIN`, and waits for that. No
    /// message is taken from now on; adding a member afterwards starts anew.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](HandleError::TimedOut) if it takes longer than `timeout` (it goes on), or
    /// [`Stopped`](HandleError::Stopped).
    pub fn shutdown(&self, timeout: Duration) -> Result<Outcome, HandleError> {
        self.shared.post(Command::Shutdown)?;
        self.shared.wait_shutdown(timeout)
    }

    /// The node and all its peers at one moment.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](HandleError::TimedOut) if the loop does not turn, or [`Stopped`](HandleError::Stopped).
    pub fn status(&self, timeout: Duration) -> Result<NodeStatus, HandleError> {
        let (sender, receiver) = sync_channel(1);
        self.shared.post(Command::Status(sender))?;
        receiver.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => HandleError::TimedOut,
            RecvTimeoutError::Disconnected => HandleError::Stopped,
        })
    }

    /// Ends the loop after its present turn, without goodbye to anybody: see [`shutdown`](Self::shutdown).
    pub fn stop(&self) {
        self.shared.stop();
    }
}

/// A message being built. It becomes part of the stream when it is committed, and only then gets its number:
/// messages leave in the order of their commits. Dropped, it leaves nothing behind.
///
/// Committing uses it up, so that it cannot be sent or changed again:
///
/// ```compile_fail,E0382
/// fn twice(message: dlmwire_node::MessageHandle) {
///     let _first = message.commit();
///     let _second = message.commit();
/// }
/// ```
#[derive(Debug)]
#[must_use = "a message that is not committed is not sent"]
pub struct MessageHandle {
    /// `None` once it is committed.
    shared: Option<Arc<Shared>>,
    node: NodeId,
    lockspace: LockspaceId,
    bytes: Vec<u8>,
}

impl MessageHandle {
    /// The bytes to fill; zero at first.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Sends it, in order behind everything that was committed before.
    ///
    /// # Errors
    ///
    /// What became of the peer or the node since the message was begun. Nothing was taken then.
    pub fn commit(mut self) -> Result<(), HandleError> {
        self.finish(Some(self.lockspace))
    }

    fn finish(&mut self, lockspace: Option<LockspaceId>) -> Result<(), HandleError> {
        match self.shared.take() {
            Some(shared) => shared.finish(self.node, lockspace, std::mem::take(&mut self.bytes)),
            None => Ok(()),
        }
    }
}

impl Drop for MessageHandle {
    fn drop(&mut self) {
        let _given_back = self.finish(None);
    }
}

/// Why a handle could not do what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HandleError {
    /// The node is no member.
    UnknownNode,
    /// The node is our own.
    OwnNode,
    /// As much as is allowed waits already.
    QueueFull,
    /// The payload is too long, in bytes.
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The peer was fenced and not added again.
    Fenced,
    /// The node leaves everything.
    ShuttingDown,
    /// The peer was found to have restarted: nothing is exchanged until it is fenced, or removed and added again.
    Halted,
    /// The time limit came first.
    TimedOut,
    /// The loop has ended.
    Stopped,
    /// The engine refuses the message for another reason, which its own error names.
    Refused,
}

impl From<SendError> for HandleError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::UnknownNode => Self::UnknownNode,
            SendError::QueueFull => Self::QueueFull,
            SendError::TooLarge { bytes, limit_bytes } => Self::TooLarge {
                bytes,
                limit: limit_bytes,
            },
            SendError::ShuttingDown => Self::ShuttingDown,
            SendError::Halted => Self::Halted,
            SendError::NotConnected | SendError::Encode(_) => Self::Refused,
        }
    }
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownNode => "the node is no member",
            Self::OwnNode => "the node is our own",
            Self::QueueFull => "the queue is full",
            Self::TooLarge { bytes, limit } => {
                return write!(f, "payload of {bytes} bytes exceeds limit {limit}");
            }
            Self::Fenced => "the node was fenced",
            Self::ShuttingDown => "shutting down",
            Self::Halted => "the node was found to have restarted",
            Self::TimedOut => "timed out",
            Self::Stopped => "the node's loop has ended",
            Self::Refused => "refused by the engine",
        })
    }
}

impl std::error::Error for HandleError {}
