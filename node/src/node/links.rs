//! A node's links: how they come up and how they end.

mod read;
mod write;

use std::io;

use dlmwire_codec::NodeId;
use dlmwire_midcomms::engine::{Close, LinkLimits, LinkRole, LinkUp};
use dlmwire_midcomms::{LinkId, Time};
use dlmwire_transport::{Accepted, Link, Transport};

pub(super) use self::read::{Buffers, Ending};
use super::Node;
use crate::clock::{after, earlier};
use crate::event::NodeEvent;
use crate::status::LinkStatus;

/// A link and what the loop knows of it.
#[derive(Debug)]
pub(super) struct Slot<L> {
    link: L,
    node: NodeId,
    role: LinkRole,
    phase: Phase,
    /// The start of a frame whose rest has not come, since `tail_since`.
    tail: Vec<u8>,
    tail_since: Time,
    /// The link is in the queue of links to read.
    queued: bool,
    /// Nothing can be written until the transport says so.
    blocked: bool,
    /// The peer has closed its direction.
    ended: bool,
    /// Nothing is read from it any more: its end is about to be told.
    over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Not connected yet, unknown to the engine.
    Dialing,
    Up,
    /// To be closed once nothing is left to write.
    Flushing {
        by: Time,
    },
    /// Our direction is closed, the peer's is waited for.
    Draining {
        by: Time,
    },
    /// Writing failed: what the peer wrote before that is read, then the link is lost. Kernels do not write it again.
    Broken {
        by: Time,
    },
}

impl<L: Link> Slot<L> {
    pub(super) const fn dialing(node: NodeId, link: L) -> Self {
        Self::new(node, link, LinkRole::Dialed, Phase::Dialing)
    }

    const fn new(node: NodeId, link: L, role: LinkRole, phase: Phase) -> Self {
        Self {
            link,
            node,
            role,
            phase,
            tail: Vec::new(),
            tail_since: Time(0),
            queued: false,
            blocked: false,
            ended: false,
            over: false,
        }
    }

    pub(super) fn status(&self, id: LinkId, sending: Option<LinkId>) -> LinkStatus {
        let role = match self.role {
            LinkRole::Dialed => "dialed",
            LinkRole::Accepted => "accepted",
        };
        let phase = match self.phase {
            Phase::Dialing => "dialing",
            Phase::Up => "up",
            Phase::Flushing { .. } => "flushing",
            Phase::Draining { .. } => "draining",
            Phase::Broken { .. } => "broken",
        };
        LinkStatus {
            link: id.0,
            peer_address: self.link.peer_address(),
            role: role.to_owned(),
            sending: sending == Some(id),
            phase: phase.to_owned(),
        }
    }
}

impl<T: Transport> Node<T> {
    pub(super) fn accepted(&mut self, id: LinkId, accepted: Accepted<T::Link>) {
        let slot = Slot::new(accepted.node, accepted.link, LinkRole::Accepted, Phase::Up);
        self.links.insert(id, Box::new(slot));
        self.link_up(id, accepted.node, LinkRole::Accepted);
    }

    pub(super) fn dialed(&mut self, id: LinkId) {
        let Some(slot) = self.links.get_mut(&id) else {
            return;
        };
        slot.phase = Phase::Up;
        let node = slot.node;
        self.core.dialer.settled(node);
        self.link_up(id, node, LinkRole::Dialed);
    }

    fn link_up(&mut self, id: LinkId, node: NodeId, role: LinkRole) {
        let limits = LinkLimits {
            record_bytes_max: self.transport.capabilities().record_bytes_max,
        };
        self.core.link_up(node, id);
        self.core
            .engine
            .handle_link_up(self.core.now, id, LinkUp { node, role, limits });
    }

    pub(super) fn dial_failed(&mut self, id: LinkId, error: io::ErrorKind) {
        let Some(slot) = self.links.remove(&id) else {
            return;
        };
        self.retry(slot.node, error);
    }

    /// The peer has closed its direction: what is queued still goes out.
    fn ended(&mut self, id: LinkId) {
        let Some(slot) = self.links.get_mut(&id) else {
            return;
        };
        slot.ended = true;
        slot.tail = Vec::new();
        match slot.phase {
            Phase::Draining { .. } => self.drop_link(id),
            Phase::Broken { .. } => {
                self.core.engine.handle_link_end(self.core.now, id);
                self.drop_link(id);
            }
            Phase::Dialing | Phase::Up | Phase::Flushing { .. } => {
                self.core.engine.handle_link_end(self.core.now, id);
                self.core.touch(slot.node);
            }
        }
    }

    /// Closes a link and says so to the engine.
    fn drop_link(&mut self, id: LinkId) {
        if let Some(slot) = self.links.remove(&id) {
            self.core.link_down(slot.node, id);
        }
    }

    /// Carries out the engine's order.
    pub(super) fn close(&mut self, id: LinkId, how: Close) {
        let Some(slot) = self.links.get_mut(&id) else {
            return;
        };
        match how {
            Close::Abort => {
                if let Some(slot) = self.links.remove(&id) {
                    slot.link.abort();
                    self.core.link_down(slot.node, id);
                }
            }
            Close::AfterFlush => {
                if slot.phase == Phase::Up {
                    let by = after(self.core.now, self.core.config.flush_deadline);
                    slot.phase = Phase::Flushing { by };
                    self.links_due = earlier(self.links_due, Some(by));
                }
                self.core.touch(slot.node);
            }
        }
    }

    pub(super) fn run_link_timers(&mut self) {
        let now = self.core.now;
        let half_close = self.transport.capabilities().half_close;
        let deadline = self.core.config.partial_frame_deadline;
        let due: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, slot)| slot.due(deadline).is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(slot) = self.links.remove(&id) else {
                continue;
            };
            let node = slot.node;
            match slot.phase {
                Phase::Flushing { .. } => {
                    self.core
                        .notices
                        .push_back(NodeEvent::FlushTimedOut { node, link: id });
                }
                Phase::Dialing | Phase::Up => {
                    let bytes = slot.tail.len();
                    self.core.notices.push_back(NodeEvent::PartialFrame {
                        node,
                        link: id,
                        bytes,
                    });
                }
                Phase::Draining { .. } | Phase::Broken { .. } => {}
            }
            if matches!(slot.phase, Phase::Draining { .. }) && !half_close {
                // It is closed already, as far as we can; the system sees to the rest.
                drop(slot.link);
            } else {
                slot.link.abort();
            }
            self.core.link_down(node, id);
        }
        self.links_due = self
            .links
            .values()
            .fold(None, |soonest, slot| earlier(soonest, slot.due(deadline)));
    }
}

impl<L> Slot<L> {
    /// When the link is too late with something.
    fn due(&self, partial_frame_deadline: std::time::Duration) -> Option<Time> {
        let tail = (!self.tail.is_empty()).then(|| after(self.tail_since, partial_frame_deadline));
        match self.phase {
            Phase::Dialing | Phase::Up => tail,
            Phase::Flushing { by } | Phase::Draining { by } | Phase::Broken { by } => Some(by),
        }
    }
}
