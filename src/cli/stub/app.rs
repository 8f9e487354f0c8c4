//! What runs on the node: the participants' host, and the end of the process.

use dlmwire_codec::NodeId;
use dlmwire_interop::participant::Host;
use dlmwire_midcomms::Time;
use dlmwire_midcomms::engine::Delivery;
use dlmwire_node::{Application, NodeEvent, NodeStatus, Outbox};

use super::event::Voice;
use crate::cli::node::linger::Linger;

pub(super) struct App {
    host: Host<Voice>,
    peers: Vec<NodeId>,
    linger: Linger,
}

impl App {
    pub(super) fn new(host: Host<Voice>, peers: Vec<NodeId>) -> Self {
        Self {
            host,
            peers,
            linger: Linger::default(),
        }
    }

    /// Tells the end. Says whether everybody was left in order and nothing was lost.
    pub(super) fn finish(&mut self, status: &NodeStatus, at: Time) -> bool {
        let in_time = self.linger.is_in_time();
        self.host.listener().finish(status, at, in_time)
    }
}

impl Application for App {
    fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        self.host.deliver(outbox, delivery);
    }

    fn event(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        self.linger.hear(outbox, event);
        self.host.event(outbox, event);
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        self.host.idle(outbox);
        self.host.listener().flush();
        if self.host.is_over() {
            self.linger.stop_when_over(outbox, &self.peers);
        }
    }
}
