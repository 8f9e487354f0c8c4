//! What runs on top of the node: it tells everything, and knows when everything is over.

use std::sync::Arc;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{Delivery, Event};
use dlmwire_node::{Application, NodeEvent, NodeStatus, Outbox};

use super::event::{EventLine, outcome_name};
use super::line::{Content, Hex, Message, Told};
use super::linger::Linger;
use super::outlet::{Outlet, write_line};

pub(super) struct App {
    lockspace: LockspaceId,
    peers: Vec<NodeId>,
    outlet: Arc<Outlet>,
    /// Lines of this turn.
    lines: Vec<u8>,
    lost: u64,
    linger: Linger,
}

impl App {
    pub(super) fn new(lockspace: LockspaceId, peers: Vec<NodeId>, outlet: Arc<Outlet>) -> Self {
        Self {
            lockspace,
            peers,
            outlet,
            lines: Vec::new(),
            lost: 0,
            linger: Linger::default(),
        }
    }

    /// Tells the end. What is queued now is sent by nobody any more.
    pub(super) fn finish(&mut self, status: &NodeStatus) {
        self.flush();
        let queued = status.peers.iter().map(|peer| u64::from(peer.send_queue_count));
        self.lost = self.lost.saturating_add(queued.sum());
        self.outlet.tell(&Told::Stopped {
            outcome: self.linger.outcome().map(outcome_name),
            lost: self.lost,
        });
        self.outlet.end();
    }

    /// Whether everybody was left in time and nothing was lost.
    pub(super) fn is_clean(&self) -> bool {
        self.linger.is_in_time() && self.lost == 0
    }

    fn flush(&mut self) {
        if !self.lines.is_empty() {
            self.outlet.put(&self.lines);
            self.lines.clear();
        }
    }
}

impl Application for App {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        let (lockspace, content) = match delivery.payload() {
            Some((lockspace, payload)) => (Some(lockspace), Content::of(payload)),
            None => (None, Content::Frame(Hex(delivery.bytes))),
        };
        let message = Message {
            from: delivery.node.get(),
            seq: delivery.seq.map(dlmwire_codec::Seq::get),
            lockspace: lockspace
                .filter(|id| *id != self.lockspace)
                .map(|id| id.to_string()),
            content,
        };
        write_line(&mut self.lines, &message);
    }

    fn event(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        self.linger.hear(outbox, event);
        if let NodeEvent::Engine(Event::Lost { messages, .. }) | NodeEvent::Dropped { messages, .. } = *event
        {
            self.lost = self.lost.saturating_add(messages);
        }
        if let Some(line) = EventLine::of(event) {
            write_line(&mut self.lines, &line);
        }
        // An event may come behind the turn's idle, and the next turn may be far.
        self.flush();
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        self.flush();
        self.linger.stop_when_over(outbox, &self.peers);
    }
}
