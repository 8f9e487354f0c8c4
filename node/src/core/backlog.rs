//! What handles have given, on its way into the engine.

use dlmwire_codec::NodeId;
use dlmwire_midcomms::engine::SendError;

use super::Core;
use crate::HandleError;
use crate::arena::{entries, entry};
use crate::event::NodeEvent;
use crate::mailbox::Standing;

impl Core {
    /// Gives the engine what handles have sent to the peer, as far as it takes it.
    pub(crate) fn pump(&mut self, node: NodeId) {
        loop {
            if self.push_backlog(node) {
                return;
            }
            let Some(peer) = self.peers.get_mut(&node) else {
                return;
            };
            self.shared.take_arena(node, &mut peer.backlog);
            if peer.backlog.is_empty() {
                return;
            }
        }
    }

    /// Gives the engine what has been taken from handles, and carries out the removals that waited for that. Says
    /// whether something is left.
    pub(super) fn push_backlog(&mut self, node: NodeId) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else {
            return false;
        };
        let mut sent = false;
        let mut refused = 0;
        let mut why = HandleError::Refused;
        let mut stalled = false;
        while let Some((lockspace, payload, len)) = peer.backlog.get(peer.used..).and_then(entry) {
            match self.engine.send_payload(self.now, node, lockspace, payload) {
                Ok(_) => sent = true,
                Err(SendError::QueueFull | SendError::NotConnected) => {
                    stalled = true;
                    break;
                }
                Err(error) => {
                    refused += 1;
                    why = error.into();
                }
            }
            peer.used += len;
        }
        let mut removals = Vec::new();
        if !stalled {
            peer.backlog.clear();
            peer.used = 0;
            peer.remove_by = None;
            removals.append(&mut peer.removals);
        }
        if sent {
            self.touch(node);
        }
        self.dropped(node, refused, why);
        for lockspace in removals {
            self.remove_now(node, lockspace);
        }
        stalled
    }

    /// Drops what handles have sent to the peer, and sets what they may do from now on.
    pub(super) fn forget_sends(&mut self, node: NodeId, standing: Option<Standing>, why: HandleError) {
        let arena = self.shared.set_standing(node, standing);
        let mut messages = entries(&arena);
        if let Some(peer) = self.peers.get_mut(&node) {
            messages += peer.backlog.get(peer.used..).map_or(0, entries);
            peer.backlog.clear();
            peer.used = 0;
        }
        self.dropped(node, messages, why);
    }

    pub(super) fn dropped(&mut self, node: NodeId, messages: u64, error: HandleError) {
        if messages > 0 {
            self.notices.push_back(NodeEvent::Dropped {
                node,
                messages,
                error,
            });
        }
    }
}
