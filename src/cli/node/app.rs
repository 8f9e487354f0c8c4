//! What runs on top of the node: it tells everything, and knows when everything is over.

use std::sync::Arc;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{Delivery, Event, Outcome};
use dlmwire_midcomms::{State, Time};
use dlmwire_node::{Application, NodeEvent, NodeStatus, Outbox};

use super::event::{EventLine, outcome_name};
use super::line::{Content, Hex, Message, Told};
use super::outlet::{Outlet, write_line};
use super::{LINGER, LINGER_MAX};

/// How often it is looked whether the last links are gone.
const LOOK: Duration = Duration::from_millis(10);

pub(super) struct App {
    lockspace: LockspaceId,
    peers: Vec<NodeId>,
    outlet: Arc<Outlet>,
    /// Lines of this turn.
    lines: Vec<u8>,
    lost: u64,
    /// A conversation ended with our acknowledgement, which may have been lost.
    had_the_last_word: bool,
    left: Option<Left>,
}

/// Everything was left.
#[derive(Clone, Copy)]
struct Left {
    outcome: Outcome,
    since: Time,
    /// When there was a link, last.
    linked: Time,
}

impl App {
    pub(super) fn new(lockspace: LockspaceId, peers: Vec<NodeId>, outlet: Arc<Outlet>) -> Self {
        Self {
            lockspace,
            peers,
            outlet,
            lines: Vec::new(),
            lost: 0,
            had_the_last_word: false,
            left: None,
        }
    }

    /// Tells the end. What is queued now is sent by nobody any more.
    pub(super) fn finish(&mut self, status: &NodeStatus) {
        self.flush();
        let queued = status.peers.iter().map(|peer| u64::from(peer.send_queue_count));
        self.lost = self.lost.saturating_add(queued.sum());
        self.outlet.tell(&Told::Stopped {
            outcome: self.left.map(|left| outcome_name(left.outcome)),
            lost: self.lost,
        });
        self.outlet.end();
    }

    /// Whether everybody was left in time and nothing was lost.
    pub(super) fn is_clean(&self) -> bool {
        let in_time = match self.left.map(|left| left.outcome) {
            Some(Outcome::Clean | Outcome::WithoutFin | Outcome::Fenced | Outcome::Readded) => true,
            Some(Outcome::TimedOut) | None => false,
        };
        in_time && self.lost == 0
    }

    fn flush(&mut self) {
        if !self.lines.is_empty() {
            self.outlet.put(&self.lines);
            self.lines.clear();
        }
    }

    /// Stops once the links are gone and nobody can be waiting for our last acknowledgement any more.
    fn linger(&mut self, outbox: &mut Outbox<'_>) {
        let has_links = self.has_links(outbox);
        let Some(left) = &mut self.left else { return };
        let now = outbox.now();
        if has_links {
            left.linked = now;
        }
        let quiet = if self.had_the_last_word {
            LINGER
        } else {
            Duration::ZERO
        };
        let over = !has_links && now.since(left.linked) >= nanoseconds(quiet);
        if over || now.since(left.since) >= nanoseconds(LINGER_MAX) {
            outbox.stop();
        } else {
            outbox.wake_after(LOOK);
        }
    }

    fn has_links(&self, outbox: &Outbox<'_>) -> bool {
        let mut peers = self.peers.iter().filter_map(|node| outbox.peer(*node));
        peers.any(|peer| !peer.links.is_empty())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
        match *event {
            NodeEvent::Engine(Event::Lost { messages, .. }) | NodeEvent::Dropped { messages, .. } => {
                self.lost = self.lost.saturating_add(messages);
            }
            NodeEvent::Engine(Event::StateChanged {
                from: State::FinWait2 | State::Closing,
                to: State::Closed,
                ..
            }) => self.had_the_last_word = true,
            NodeEvent::Engine(Event::ShutdownComplete { outcome }) => {
                let now = outbox.now();
                self.left = Some(Left {
                    outcome,
                    since: now,
                    linked: now,
                });
                outbox.wake_after(Duration::ZERO);
            }
            _ => {}
        }
        if let Some(line) = EventLine::of(event) {
            write_line(&mut self.lines, &line);
        }
        // An event may come behind the turn's idle, and the next turn may be far.
        self.flush();
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        self.flush();
        if self.left.is_some() {
            self.linger(outbox);
        }
    }
}
