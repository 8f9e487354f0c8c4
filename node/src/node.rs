//! The loop: wait, take what is ready, hand it out, write once per peer.

mod links;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::LinkId;
use dlmwire_midcomms::Time;
use dlmwire_midcomms::engine::{CommandError, Engine, Event, FRAME_BYTES_MAX};
use dlmwire_transport::{Ready, Token, Transport};

use crate::application::{Application, Outbox};
use crate::clock::{Clock, after, earlier, until};
use crate::config::{ConfigError, NodeConfig};
use crate::core::Core;
use crate::dialer::Due;
use crate::event::NodeEvent;
use crate::handle::NodeHandle;
use crate::mailbox::{Command, Shared, Taken};
use crate::status::{NodeStatus, PeerSide, PeerStatus, STATUS_VERSION, version_text};
use links::{Buffers, Ending, Slot};

/// An engine, a transport and a clock, driven by one loop.
///
/// A turn waits until something is ready, accepts, reads every ready link into one shared buffer, hands the messages
/// to the [`Application`] as they lie there, lets it send, and then writes once per peer that has something to be
/// written, with the acknowledgement in it. Nothing is allocated, copied or locked per message on this way. Work per
/// turn is bounded, and a link with more to read goes to the end of the queue.
///
/// Other threads use a [`NodeHandle`].
#[derive(Debug)]
pub struct Node<T: Transport> {
    core: Core,
    transport: T,
    clock: Clock,
    links: BTreeMap<LinkId, Box<Slot<T::Link>>>,
    last_link: u64,
    ready: Vec<Ready>,
    /// Links that have something to read, each once.
    readable: VecDeque<LinkId>,
    /// Ends of links, read and not told yet.
    endings: VecDeque<Ending>,
    buffers: Buffers,
    taken: Taken,
    /// When to accept, if connections are known to wait.
    accept_at: Option<Time>,
    /// No link's timer is due before this.
    links_due: Option<Time>,
    refused_told: u64,
    turns: u64,
}

/// Connections that are accepted in one turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Pause after an accept that failed, for example because descriptors have run out, in milliseconds.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a turn goes back from its events to its writes before it ends and the next one begins.
const ROUNDS_PER_TURN_MAX: usize = 4;

/// The longest sleep of [`Node::run`]. Nothing depends on it.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

impl<T: Transport> Node<T> {
    /// A node that listens and knows nobody yet: add members next.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`] for settings that cannot work.
    pub fn new(config: NodeConfig, transport: T) -> Result<Self, NodeError> {
        config.check().map_err(NodeError::Config)?;
        let engine = Engine::new(config.engine.clone())
            .map_err(|error| NodeError::Config(ConfigError::Engine(error)))?;
        let shared = Shared::new(
            config.engine.node,
            config.handle_queue_bytes_max,
            transport.waker(),
        );
        let buffers = Buffers::new(config.read_buffer_bytes + FRAME_BYTES_MAX);
        Ok(Self {
            core: Core::new(engine, config, Arc::new(shared)),
            transport,
            clock: Clock::start(),
            links: BTreeMap::new(),
            last_link: 0,
            ready: Vec::new(),
            readable: VecDeque::new(),
            endings: VecDeque::new(),
            buffers,
            taken: Taken::default(),
            accept_at: None,
            links_due: None,
            refused_told: 0,
            turns: 0,
        })
    }

    /// A handle for other threads.
    pub fn handle(&self) -> NodeHandle {
        NodeHandle::new(Arc::clone(&self.core.shared))
    }

    /// Lists a member before the loop runs, or between turns.
    ///
    /// # Errors
    ///
    /// As [`Engine::add_member`].
    pub fn add_member(&mut self, node: NodeId, lockspace: LockspaceId) -> Result<(), CommandError> {
        self.core.now = self.clock.now();
        self.core.add_member(node, lockspace, false)
    }

    /// Turns until [`NodeHandle::stop`] or [`Outbox::stop`]. All waiters of handles are let go then, and the node
    /// does not run again.
    ///
    /// # Errors
    ///
    /// [`NodeError::Io`] if the transport cannot wait any more.
    pub fn run<A: Application + ?Sized>(&mut self, app: &mut A) -> Result<(), NodeError> {
        let mut outcome = Ok(());
        while outcome.is_ok() && !self.is_stopped() {
            outcome = self.turn(app, SLEEP_MAX);
        }
        self.core.shared.end();
        outcome
    }

    /// Waits for `timeout` at most and does what there is to do, once. For tests and for loops of one's own, which should
    /// wait here: handles wake only a node that waits.
    ///
    /// # Errors
    ///
    /// [`NodeError::Io`] if the transport cannot wait any more.
    pub fn turn<A: Application + ?Sized>(&mut self, app: &mut A, timeout: Duration) -> Result<(), NodeError> {
        let timeout = self.sleep(timeout);
        self.transport
            .wait(&mut self.ready, Some(timeout))
            .map_err(|error| NodeError::Io {
                operation: "wait",
                error,
            })?;
        self.turns += 1;
        self.core.now = self.clock.now();

        self.take_ready();
        self.accept();
        self.take_mailbox();
        self.settle(app);
        self.read(app);
        self.run_timers();
        self.settle(app);
        app.idle(&mut Outbox { core: &mut self.core });
        for _ in 0..ROUNDS_PER_TURN_MAX {
            self.settle(app);
            if self.core.touched.is_empty() {
                break;
            }
            self.write();
        }
        Ok(())
    }

    /// Whether somebody asked for the end of the loop.
    pub const fn is_stopped(&self) -> bool {
        self.core.stop
    }

    /// Our engine, for looking.
    pub const fn engine(&self) -> &Engine {
        &self.core.engine
    }

    /// Our transport, for looking.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// The time of the last turn, in nanoseconds since the node was made.
    pub const fn now(&self) -> Time {
        self.core.now
    }

    /// The node and all its peers at this moment.
    pub fn status(&self) -> NodeStatus {
        let engine = &self.core.engine;
        NodeStatus {
            v: STATUS_VERSION,
            nodeid: engine.config().node.get(),
            local_address: self.transport.local_address(),
            version: version_text(Some(engine.config().version)),
            uptime_ms: self.core.now.0 / 1_000_000,
            turns: self.turns,
            refused: self.transport.refused(),
            shutting_down: self.core.is_shutting_down(),
            peers: engine
                .peers(self.core.now)
                .map(|view| PeerStatus::new(self.core.now, &view, self.side(view.nodeid)))
                .collect(),
        }
    }

    fn side(&self, node: NodeId) -> PeerSide {
        let (dial, dial_attempts) = self.core.dialer.phase(node);
        let peer = self.core.peers.get(&node);
        let links = peer.map_or(&[][..], |peer| &peer.links);
        let sending = self.core.engine.sending_link(node);
        PeerSide {
            handle_queue_bytes: self.core.handle_queue_bytes(node),
            dial,
            dial_attempts,
            links: links
                .iter()
                .filter_map(|id| self.links.get(id).map(|slot| slot.status(*id, sending)))
                .collect(),
        }
    }

    /// How long to wait: not at all if there is something to do. Handles wake the loop from here on.
    fn sleep(&self, timeout: Duration) -> Duration {
        let busy = timeout.is_zero()
            || !self.readable.is_empty()
            || !self.core.touched.is_empty()
            || !self.core.notices.is_empty()
            || !self.core.abandoned.is_empty()
            || self.core.wake_at.is_some_and(|at| at <= self.core.now);
        if busy || !self.core.shared.fall_asleep() {
            return Duration::ZERO;
        }
        let due = [self.links_due, self.accept_at]
            .into_iter()
            .fold(self.core.poll_timeout(), earlier);
        due.map_or(timeout, |due| timeout.min(until(self.clock.now(), due)))
    }

    fn take_ready(&mut self) {
        for at in 0..self.ready.len() {
            let Some(ready) = self.ready.get(at).copied() else {
                break;
            };
            match ready {
                Ready::Incoming => self.accept_at = Some(self.core.now),
                Ready::Dialed(Token(id)) => self.dialed(LinkId(id)),
                Ready::Failed(Token(id), error) => self.dial_failed(LinkId(id), error),
                Ready::Readable(Token(id)) => self.queue_read(LinkId(id)),
                Ready::Writable(Token(id)) => self.unblock(LinkId(id)),
            }
        }
    }

    fn accept(&mut self) {
        if self.accept_at.is_none_or(|at| at > self.core.now) {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let id = self.next_link();
            match self.transport.accept(Token(id.0)) {
                Ok(Some(accepted)) => self.accepted(id, accepted),
                Ok(None) => {
                    self.accept_at = None;
                    break;
                }
                Err(error) => {
                    tracing::debug!("accept failed: {error}");
                    self.accept_at = Some(after(self.core.now, ACCEPT_PAUSE));
                    break;
                }
            }
        }
        let total = self.transport.refused();
        if total > self.refused_told {
            let new = total - self.refused_told;
            self.refused_told = total;
            self.core.notices.push_back(NodeEvent::Refused { new, total });
        }
    }

    /// Carries out what handles have asked for. Additions come before the messages for the new member; removals
    /// bring those that were sent before them.
    fn take_mailbox(&mut self) {
        self.core.shared.take(&mut self.taken);
        self.core.stop |= self.taken.stop;
        while let Some(command) = self.taken.commands.pop_front() {
            match command {
                Command::AddMember(node, lockspace) => {
                    if let Err(error) = self.core.add_member(node, lockspace, true) {
                        tracing::warn!("node {node}: not added: {error}");
                    }
                }
                Command::RemoveMember(node, lockspace, before) => {
                    self.core.remove_member(node, lockspace, &before);
                }
                Command::Fence(node, dropped) => self.core.fence(node, dropped),
                Command::Shutdown => self.core.shutdown(),
                Command::SetRoster(roster) => self.transport.set_roster(roster),
                Command::Status(reply) => {
                    // Whoever asked may have given up.
                    let _gone = reply.try_send(self.status());
                }
            }
        }
        while let Some(node) = self.taken.filled.pop() {
            self.core.pump(node);
        }
    }

    /// Drains events and notices, and dials.
    fn settle<A: Application + ?Sized>(&mut self, app: &mut A) {
        loop {
            while let Some(event) = self.core.engine.poll_event() {
                self.core.note(&event);
                match event {
                    Event::CloseLink { link, how } => self.close(link, how),
                    Event::LinkWanted { .. } => {}
                    event => self.tell(app, &NodeEvent::Engine(event)),
                }
            }
            while let Some(link) = self.core.abandoned.pop() {
                self.links.remove(&link);
            }
            self.dial();
            let Some(notice) = self.core.notices.pop_front() else {
                break;
            };
            self.tell(app, &notice);
        }
    }

    fn tell<A: Application + ?Sized>(&mut self, app: &mut A, event: &NodeEvent) {
        self.core.log(event);
        app.event(&mut Outbox { core: &mut self.core }, event);
    }

    fn dial(&mut self) {
        while let Some(due) = self.core.dialer.poll_due(self.core.now) {
            let node = match due {
                Due::Dial(node) => node,
                Due::GiveUp(node, link) => {
                    self.links.remove(&link);
                    self.retry(node, io::ErrorKind::TimedOut);
                    continue;
                }
            };
            if !self.core.engine.wants_link(node) {
                self.core.dialer.unwanted(node);
                continue;
            }
            let id = self.next_link();
            match self.transport.dial(node, Token(id.0)) {
                Ok(link) => {
                    self.core.dialer.started(self.core.now, node, id);
                    self.links.insert(id, Box::new(Slot::dialing(node, link)));
                }
                Err(error) => self.retry(node, error.kind()),
            }
        }
    }

    /// A dial came to nothing: the next follows, if one is still wanted.
    fn retry(&mut self, node: NodeId, error: io::ErrorKind) {
        if !self.core.engine.wants_link(node) {
            self.core.dialer.settled(node);
            return;
        }
        let failed = self.core.dialer.failed(self.core.now, node);
        self.core.notices.push_back(NodeEvent::DialFailed {
            node,
            error,
            attempts: failed.attempts,
            retry_in: failed.retry_in,
        });
    }

    fn run_timers(&mut self) {
        self.core.run_timers();
        if self.links_due.is_some_and(|at| at <= self.core.now) {
            self.run_link_timers();
        }
    }

    const fn next_link(&mut self) -> LinkId {
        self.last_link += 1;
        LinkId(self.last_link)
    }
}

impl<T: Transport> Drop for Node<T> {
    fn drop(&mut self) {
        self.core.shared.end();
    }
}

/// Why a node could not be made or cannot go on.
#[derive(Debug)]
pub enum NodeError {
    /// The settings cannot work.
    Config(ConfigError),
    /// The operating system said no.
    Io {
        /// To what.
        operation: &'static str,
        /// What it said.
        error: io::Error,
    },
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Io { operation, error } => write!(f, "{operation}: {error}"),
        }
    }
}

impl std::error::Error for NodeError {}
