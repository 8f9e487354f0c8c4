//! The loop without its links: engine, dialer, what handles have given, and the minimal hello.

mod backlog;
mod commands;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Delivery, Engine, Event, Outcome};
use dlmwire_midcomms::{LinkId, Time};

use crate::HandleError;
use crate::application::{Application, Outbox};
use crate::clock::{after, earlier};
use crate::config::NodeConfig;
use crate::dialer::{Dialer, Progress};
use crate::event::NodeEvent;
use crate::hello;
use crate::log::Limiters;
use crate::mailbox::{Shared, Standing};

/// Everything that callbacks may reach.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) engine: Engine,
    pub(crate) now: Time,
    pub(crate) config: NodeConfig,
    pub(crate) shared: Arc<Shared>,
    pub(crate) dialer: Dialer,
    pub(crate) peers: BTreeMap<NodeId, Box<Peer>>,
    /// Peers that may have something to write, each once.
    pub(crate) touched: Vec<NodeId>,
    /// What happened besides the engine's events.
    pub(crate) notices: VecDeque<NodeEvent>,
    /// Dials to be given up.
    pub(crate) abandoned: Vec<LinkId>,
    pub(crate) stop: bool,
    pub(crate) wake_at: Option<Time>,
    /// When a shutdown that waits for handles' messages waits no longer.
    shutdown_by: Option<Time>,
    /// No peer's timer is due before this.
    peers_due: Option<Time>,
    requests: u64,
    limiters: Limiters,
}

/// What the loop knows of a peer beyond the engine.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Its links that are up, the engine's order.
    pub(crate) links: Vec<LinkId>,
    touched: bool,
    hello_at: Option<Time>,
    /// What handles have given and the engine has not taken, from `used` on.
    backlog: Vec<u8>,
    used: usize,
    /// Lockspaces to be removed from when the backlog is empty, or at `remove_by`.
    removals: Vec<LockspaceId>,
    remove_by: Option<Time>,
    limiters: Limiters,
}

impl Peer {
    fn backlog_bytes(&self) -> usize {
        self.backlog.len() - self.used
    }

    fn due(&self) -> Option<Time> {
        earlier(self.hello_at, self.remove_by)
    }
}

impl Core {
    pub(crate) fn new(engine: Engine, config: NodeConfig, shared: Arc<Shared>) -> Self {
        let dialer = Dialer::new(
            config.redial_delay,
            config.redial_delay_max,
            config.dial_timeout,
            config.seed,
        );
        Self {
            engine,
            now: Time(0),
            config,
            shared,
            dialer,
            peers: BTreeMap::new(),
            touched: Vec::new(),
            notices: VecDeque::new(),
            abandoned: Vec::new(),
            stop: false,
            wake_at: None,
            shutdown_by: None,
            peers_due: None,
            requests: 0,
            limiters: Limiters::default(),
        }
    }

    // Links.

    pub(crate) fn link_up(&mut self, node: NodeId, link: LinkId) {
        let peer = self.peers.entry(node).or_default();
        peer.links.reserve_exact(1);
        peer.links.push(link);
        self.touch(node);
    }

    pub(crate) fn link_down(&mut self, node: NodeId, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.links.retain(|other| *other != link);
        }
        self.engine.handle_link_down(self.now, link);
        self.touch(node);
    }

    /// A link of the peer that is up, by its place, and how many there are.
    pub(crate) fn link_of(&self, node: NodeId, at: usize) -> Option<(LinkId, usize)> {
        let links = &self.peers.get(&node)?.links;
        Some((*links.get(at)?, links.len()))
    }

    /// Notes that the peer may have something to write.
    pub(crate) fn touch(&mut self, node: NodeId) {
        // As in every run of messages to one peer.
        if self.touched.last() == Some(&node) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&node)
            && !peer.touched
        {
            peer.touched = true;
            self.touched.push(node);
        }
    }

    fn touch_all(&mut self) {
        for (node, peer) in &mut self.peers {
            if !peer.touched {
                peer.touched = true;
                self.touched.push(*node);
            }
        }
    }

    /// The next peer to write for.
    pub(crate) fn next_touched(&mut self) -> Option<NodeId> {
        let node = self.touched.pop()?;
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.touched = false;
        }
        Some(node)
    }

    // Messages.

    /// Hands a message to the application, or to the hello if that is ours.
    pub(crate) fn deliver<A: Application + ?Sized>(&mut self, app: &mut A, delivery: &Delivery<'_>) {
        if self.config.hello
            && let Some(rcom) = hello::is_hello(delivery)
        {
            if let Some(question) = hello::Question::of(&rcom) {
                self.answer(delivery.node, question);
            }
            return;
        }
        app.deliver(&mut Outbox { core: self }, delivery);
    }

    fn answer(&mut self, node: NodeId, question: hello::Question) {
        let member = self
            .engine
            .peer(self.now, node)
            .is_some_and(|peer| peer.lockspaces.contains(&question.lockspace));
        // Until its end a conversation needs both versions, also when the peer is no member any more; and behind our
        // FIN "not ready", which is numbered, could not be said.
        let member = member || self.engine.state(node) != State::Closed;
        // A reply that cannot be sent now is asked for again.
        let _repeated = self.engine.send(self.now, node, &question.answer(member));
        self.touch(node);
    }

    fn greet(&mut self, node: NodeId) {
        self.requests += 1;
        let _repeated = self.engine.send(
            self.now,
            node,
            &hello::status(self.config.lockspace, self.requests),
        );
        let next = after(self.now, self.config.recover_timer);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.hello_at = Some(next);
        }
        self.peers_due = earlier(self.peers_due, Some(next));
        self.touch(node);
    }

    // Events and timers.

    /// Does what an event of the engine asks of the loop, besides its links.
    pub(crate) fn note(&mut self, event: &Event) {
        match *event {
            Event::LinkWanted { node } => {
                let progress = self.progress(node);
                self.dialer.wanted(self.now, node, progress);
            }
            Event::Connected { node, .. } => {
                let progress = self.progress(node);
                self.dialer.connected(self.now, node, progress);
                self.touch(node);
                // A peer that only repeats its FIN is not asked: its conversation is over.
                let wanted = self.is_member(node) || self.engine.state(node) != State::Closed;
                if self.config.hello && wanted && self.version_is_unknown(node) {
                    self.greet(node);
                }
            }
            Event::Disconnected { node } => {
                if let Some(peer) = self.peers.get_mut(&node) {
                    peer.hello_at = None;
                }
            }
            Event::VersionDetected { node, .. } => {
                if let Some(peer) = self.peers.get_mut(&node) {
                    peer.hello_at = None;
                }
                if self.is_member(node) {
                    self.shared.set_standing(node, Some(Standing::Ready));
                }
                self.pump(node);
            }
            Event::Writable { node } => self.pump(node),
            Event::Finished { node, outcome } => self.finished(node, outcome),
            Event::ShutdownComplete { outcome } => self.shared.shut_down(outcome),
            Event::CloseLink { .. }
            | Event::Incompatible { .. }
            | Event::StateChanged { .. }
            | Event::PeerFinished { .. }
            | Event::PeerRestarted { .. }
            | Event::FenceNeeded { .. }
            | Event::MembershipMissing { .. }
            | Event::Lost { .. }
            | Event::Violation { .. } => {}
        }
    }

    fn finished(&mut self, node: NodeId, outcome: Outcome) {
        match outcome {
            Outcome::Fenced => self.forget_sends(node, Some(Standing::Fenced), HandleError::Fenced),
            Outcome::Clean | Outcome::WithoutFin | Outcome::Readded | Outcome::TimedOut => {
                if self.is_member(node) {
                    self.shared.set_standing(node, Some(Standing::Pending));
                } else {
                    self.forget_sends(node, None, HandleError::UnknownNode);
                }
            }
        }
        self.review_dial(node);
    }

    /// Logs an event under its peer's limits.
    pub(crate) fn log(&mut self, event: &NodeEvent) {
        let limiters = match event.node().and_then(|node| self.peers.get_mut(&node)) {
            Some(peer) => &mut peer.limiters,
            None => &mut self.limiters,
        };
        limiters.log(self.now, event);
    }

    pub(crate) fn wake_after(&mut self, delay: Duration) {
        self.wake_at = earlier(self.wake_at, Some(after(self.now, delay)));
    }

    /// Runs what is due: the engine's timers, repeated hellos, removals and shutdowns that waited long enough.
    pub(crate) fn run_timers(&mut self) {
        if self.engine.poll_timeout().is_some_and(|at| at <= self.now) {
            while let Some(node) = self.engine.handle_timeout(self.now) {
                self.touch(node);
            }
        }
        if self.peers_due.is_some_and(|at| at <= self.now) {
            self.run_peer_timers();
        }
        if self.wake_at.is_some_and(|at| at <= self.now) {
            self.wake_at = None;
        }
        self.try_shutdown();
    }

    fn run_peer_timers(&mut self) {
        let now = self.now;
        let due: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.due().is_some_and(|at| at <= now))
            .map(|(node, _)| *node)
            .collect();
        for node in due {
            let Some(peer) = self.peers.get_mut(&node) else {
                continue;
            };
            if peer.remove_by.is_some_and(|at| at <= now) {
                peer.remove_by = None;
                for lockspace in std::mem::take(&mut peer.removals) {
                    self.remove_now(node, lockspace);
                }
            }
            if self
                .peers
                .get(&node)
                .is_some_and(|peer| peer.hello_at.is_some_and(|at| at <= now))
            {
                self.greet(node);
            }
        }
        self.peers_due = self
            .peers
            .values()
            .fold(None, |soonest, peer| earlier(soonest, peer.due()));
    }

    /// When something is due without the links' timers.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        [
            self.dialer.poll_timeout(),
            self.peers_due,
            self.shutdown_by,
            self.wake_at,
        ]
        .into_iter()
        .fold(self.engine.poll_timeout(), earlier)
    }

    // Looking.

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutdown_by.is_some()
    }

    pub(crate) fn handle_queue_bytes(&self, node: NodeId) -> usize {
        self.peers.get(&node).map_or(0, |peer| peer.backlog_bytes())
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.engine
            .peer(self.now, node)
            .is_some_and(|peer| !peer.lockspaces.is_empty())
    }

    fn progress(&self, node: NodeId) -> Progress {
        let peer = self.engine.peer(self.now, node);
        peer.map_or(Progress::NONE, |peer| Progress {
            recv_next: peer.recv_next,
            acknowledged: peer.counters.sent.saturating_sub(peer.send_queue_count.into()),
        })
    }

    fn version_is_unknown(&self, node: NodeId) -> bool {
        self.engine
            .peer(self.now, node)
            .is_none_or(|peer| peer.version.is_none())
    }

    /// Gives up the dial of a peer that needs no link any more. One that has a link meanwhile keeps its dial: the
    /// peer may have taken that already, and dropped its own.
    fn review_dial(&mut self, node: NodeId) {
        if self.engine.sending_link(node).is_none() && !self.engine.wants_link(node) {
            self.abandoned.extend(self.dialer.unwanted(node));
        }
    }
}
