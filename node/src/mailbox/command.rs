//! What handles want done, on its way to the loop.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_transport::Roster;

use crate::status::NodeStatus;

/// What a handle asks of the loop.
#[derive(Debug)]
pub(crate) enum Command {
    AddMember(NodeId, LockspaceId),
    /// With what was sent before it and goes first.
    RemoveMember(NodeId, LockspaceId, Vec<u8>),
    /// With how many messages were dropped at once.
    Fence(NodeId, u64),
    Shutdown,
    SetRoster(Roster),
    Status(SyncSender<NodeStatus>),
}

/// What the loop takes out in one go.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) commands: VecDeque<Command>,
    pub(crate) filled: Vec<NodeId>,
    pub(crate) stop: bool,
}
