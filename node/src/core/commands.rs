//! What the application orders: members, fencing, the end.

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{CommandError, Outcome};

use super::Core;
use crate::HandleError;
use crate::clock::{after, earlier};
use crate::mailbox::Standing;

impl Core {
    pub(crate) fn add_member(
        &mut self,
        node: NodeId,
        lockspace: LockspaceId,
        posted: bool,
    ) -> Result<(), CommandError> {
        let added = self.engine.add_member(self.now, node, lockspace);
        if added.is_err() && posted {
            self.shared.not_added(node);
            self.forget_sends(node, None, HandleError::ShuttingDown);
        }
        if added.is_ok() {
            let peer = self.peers.entry(node).or_default();
            peer.removals.retain(|removal| *removal != lockspace);
            if peer.removals.is_empty() {
                peer.remove_by = None;
            }
            // A peer that came before it was added has told its version already.
            let ready = !self.version_is_unknown(node);
            self.shared.added(node, posted, ready);
            self.touch(node);
        }
        added
    }

    /// `before`: what handles had sent until then, as an arena.
    pub(crate) fn remove_member(&mut self, node: NodeId, lockspace: LockspaceId, before: &[u8]) {
        let by = after(self.now, self.config.drain_deadline);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.backlog.extend_from_slice(before);
        }
        let stalled = self.push_backlog(node);
        match self.peers.get_mut(&node) {
            Some(peer) if stalled => {
                if !peer.removals.contains(&lockspace) {
                    peer.removals.push(lockspace);
                }
                let by = *peer.remove_by.get_or_insert(by);
                self.peers_due = earlier(self.peers_due, Some(by));
            }
            Some(_) | None => self.remove_now(node, lockspace),
        }
    }

    pub(super) fn remove_now(&mut self, node: NodeId, lockspace: LockspaceId) {
        self.engine.remove_member(self.now, node, lockspace);
        self.touch(node);
        if !self.is_member(node) {
            self.forget_sends(node, None, HandleError::UnknownNode);
        }
        self.review_dial(node);
    }

    /// `dropped`: messages that the handle has dropped already.
    pub(crate) fn fence(&mut self, node: NodeId, dropped: u64) {
        self.engine.fence(self.now, node);
        self.dropped(node, dropped, HandleError::Fenced);
        self.forget_sends(node, Some(Standing::Fenced), HandleError::Fenced);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.hello_at = None;
            let removals = std::mem::take(&mut peer.removals);
            peer.remove_by = None;
            for lockspace in removals {
                self.engine.remove_member(self.now, node, lockspace);
            }
        }
        self.review_dial(node);
    }

    pub(crate) fn shutdown(&mut self) {
        self.shared.shutting_down();
        let by = after(self.now, self.config.drain_deadline);
        self.shutdown_by = Some(by);
        self.try_shutdown();
    }

    /// Begins the shutdown that is waiting, once handles' messages are in the engine or their time is over.
    pub(crate) fn try_shutdown(&mut self) {
        let Some(by) = self.shutdown_by else { return };
        let nodes: Vec<NodeId> = self.peers.keys().copied().collect();
        for node in &nodes {
            self.pump(*node);
        }
        let waiting = self.peers.values().any(|peer| peer.backlog_bytes() > 0);
        if waiting && self.now < by {
            return;
        }
        self.shutdown_by = None;
        for node in nodes {
            self.forget_sends(node, None, HandleError::ShuttingDown);
        }
        let left_before = self.engine.is_shut_down();
        self.engine.shutdown(self.now);
        if left_before {
            self.shared.shut_down(Outcome::Clean);
        }
        self.touch_all();
    }
}
