//! What runs on each of the two nodes: it sends, looks at what comes, and leaves in its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Delivery, Event, SendError};
use dlmwire_node::{Application, NodeEvent, Outbox};

use super::promise::{Pattern, Promise};

/// Messages that are given to the engine in one turn, so that what comes is read in between.
const SENDS_PER_TURN_MAX: u64 = 512;

/// Who leaves first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Leaves once it has sent everything and has got all that the other sends before it knows that.
    First,
    /// Keeps its last messages until the other has left, sends them over the half that is still open, and leaves.
    Second,
}

/// What one node is to do.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) node: NodeId,
    pub(super) peer: NodeId,
    pub(super) lockspace: LockspaceId,
    /// Messages that each node sends.
    pub(super) messages: u64,
    /// How many of them the second keeps until the first has left.
    pub(super) kept: u64,
    pub(super) message_bytes: usize,
    pub(super) seed: u64,
    pub(super) turn: Turn,
}

/// How far a node is, for whoever looks on.
#[derive(Default, Debug)]
pub(super) struct Progress {
    /// Messages that came from the peer.
    pub(super) received: AtomicU64,
    /// Changes of state.
    pub(super) changes: AtomicU64,
    /// The node has left everything.
    pub(super) left: AtomicBool,
    /// Something was wrong: there is no point in going on.
    pub(super) broken: AtomicBool,
}

/// The application.
#[derive(Debug)]
pub(super) struct Party {
    task: Task,
    pattern: Pattern,
    progress: Arc<Progress>,
    /// Wakes whoever looks on, when it is over.
    bell: SyncSender<()>,
    leaving: bool,
    sent: u64,
    /// What came from the peer.
    pub(super) promise: Promise,
    /// The states that the conversation went through.
    pub(super) states: Vec<State>,
    /// How often there was a link to send on again.
    pub(super) connects: u64,
    /// Messages sent behind the peer's `FIN`.
    pub(super) sent_behind_fin: u64,
    /// What should not have happened.
    pub(super) trouble: Option<String>,
}

impl Party {
    pub(super) fn new(task: Task, progress: Arc<Progress>, bell: SyncSender<()>) -> Self {
        Self {
            pattern: Pattern::new(task.node, task.seed),
            promise: Promise::new(Pattern::new(task.peer, task.seed), task.message_bytes),
            progress,
            bell,
            leaving: false,
            sent: 0,
            states: vec![State::Closed],
            connects: 0,
            sent_behind_fin: 0,
            trouble: None,
            task,
        }
    }

    /// The node cannot go on.
    pub(super) fn give_up(&self) {
        self.ring(&self.progress.broken);
    }

    /// Sends what may be sent now.
    fn send(&mut self, outbox: &mut Outbox<'_>) {
        let state = outbox.state(self.task.peer);
        let until = match self.task.turn {
            Turn::Second if state != State::CloseWait => self.task.messages - self.task.kept,
            Turn::First | Turn::Second => self.task.messages,
        };
        let stop = until.min(self.sent + SENDS_PER_TURN_MAX);
        while self.sent < stop {
            let payload = outbox.reserve(self.task.peer, self.task.lockspace, self.task.message_bytes);
            match payload {
                Ok(mut payload) => {
                    self.pattern.fill(self.sent, payload.bytes_mut());
                    payload.commit();
                    self.sent += 1;
                    self.sent_behind_fin += u64::from(state == State::CloseWait);
                }
                // Writable, or the version, comes as an event, and with it the next turn.
                Err(SendError::QueueFull | SendError::NotConnected) => return,
                Err(error) => {
                    let (node, number) = (self.task.node, self.sent);
                    return self.fail(format!("node {node} cannot send message {number}: {error}"));
                }
            }
        }
        if self.sent < until {
            outbox.wake_after(Duration::ZERO);
        }
    }

    /// Leaves when it is time.
    fn leave(&mut self, outbox: &mut Outbox<'_>) {
        if self.sent < self.task.messages || self.leaving {
            return;
        }
        let received = self.promise.counts().delivered;
        match self.task.turn {
            Turn::First if received >= self.task.messages - self.task.kept => outbox.shutdown(),
            Turn::Second if outbox.state(self.task.peer) == State::CloseWait => {
                outbox.remove_member(self.task.peer, self.task.lockspace);
                outbox.shutdown();
            }
            Turn::First | Turn::Second => return,
        }
        self.leaving = true;
    }

    #[cold]
    fn fail(&mut self, trouble: String) {
        self.trouble.get_or_insert(trouble);
        self.ring(&self.progress.broken);
    }

    fn ring(&self, why: &AtomicBool) {
        why.store(true, Ordering::Release);
        // A bell that rings already is enough.
        let _ = self.bell.try_send(());
    }

    fn engine_event(&mut self, event: &Event) {
        let node = self.task.node;
        match *event {
            Event::StateChanged { to, .. } => {
                self.states.push(to);
                self.progress.changes.fetch_add(1, Ordering::Relaxed);
            }
            Event::Connected { .. } => self.connects += 1,
            Event::Lost { messages, .. } => self.fail(format!("node {node} gave up {messages} messages")),
            Event::PeerRestarted { .. } | Event::Incompatible { .. } => {
                self.fail(format!("node {node} says: {}", NodeEvent::Engine(*event)));
            }
            Event::ShutdownComplete { .. } => {
                self.promise.end(self.task.messages);
                self.ring(&self.progress.left);
            }
            Event::LinkWanted { .. }
            | Event::CloseLink { .. }
            | Event::Disconnected { .. }
            | Event::VersionDetected { .. }
            | Event::Writable { .. }
            | Event::PeerFinished { .. }
            | Event::FenceNeeded { .. }
            | Event::MembershipMissing { .. }
            | Event::Finished { .. }
            | Event::Violation { .. } => {}
        }
    }
}

impl Application for Party {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        match delivery.payload() {
            Some((_, payload)) => self.promise.take(payload),
            None => self.fail(format!("node {} got something that nobody sent", self.task.node)),
        }
    }

    fn event(&mut self, _: &mut Outbox<'_>, event: &NodeEvent) {
        if let NodeEvent::Engine(event) = event {
            self.engine_event(event);
        }
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        self.send(outbox);
        self.leave(outbox);
        let received = self.promise.counts().delivered;
        self.progress.received.store(received, Ordering::Relaxed);
        if self.promise.broken().is_some() {
            self.ring(&self.progress.broken);
        }
    }
}
