//! What handles and the loop share: one lock, held for an append or a swap and never across a callback.
//!
//! Messages wait in one byte arena per peer, commands in one queue. A handle wakes the loop only if the loop
//! sleeps, so a burst of sends costs one wake; a loop for which nothing waits does not take the lock ([`bell`]).
//! Everything is bounded: arenas in bytes, commands in number.

mod bell;
mod command;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::Outcome;
use dlmwire_transport::Waker;

use crate::HandleError;
use crate::arena::{self, ENTRY_BYTES, entries};
use bell::Bell;

pub(crate) use command::{Command, Taken};

/// Commands that may wait for the loop at once.
const COMMANDS_MAX: usize = 1024;

/// Buffers of message handles kept for the next.
const SPARE_BUFFERS_MAX: usize = 64;

/// The part of a node that handles see.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: NodeId,
    queue_bytes_max: usize,
    waker: Waker,
    mailbox: Mutex<Mailbox>,
    /// Whether the loop has to look into the mailbox.
    bell: Bell,
    changed: Condvar,
}

/// What is behind the lock.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    peers: BTreeMap<NodeId, Box<Outgoing>>,
    /// Peers whose arena is not empty, each once.
    filled: Vec<NodeId>,
    commands: VecDeque<Command>,
    spare: Vec<Vec<u8>>,
    waiting: usize,
    phase: Phase,
    shutdown: Option<Outcome>,
}

/// How far the node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Phase {
    #[default]
    Running,
    ShuttingDown,
    Stopping,
    Ended,
}

/// What is on its way to one peer.
#[derive(Debug, Default)]
struct Outgoing {
    arena: Vec<u8>,
    /// Of messages that are being built, and in commands.
    reserved_bytes: usize,
    standing: Standing,
    /// Additions that were posted and not carried out: until then what the engine says of the peer is old.
    additions: u32,
}

/// What a handle may do with a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Standing {
    /// A member; what is sent waits.
    #[default]
    Pending,
    /// Its version is known: messages go out.
    Ready,
    /// Fenced and not added again.
    Fenced,
}

impl Shared {
    pub(crate) fn new(node: NodeId, queue_bytes_max: usize, waker: Waker) -> Self {
        Self {
            node,
            queue_bytes_max,
            waker,
            mailbox: Mutex::default(),
            bell: Bell::default(),
            changed: Condvar::new(),
        }
    }

    /// No callback runs under the lock, so a poisoned one guards whole data all the same.
    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Handles' side.

    /// Appends a payload to the peer's arena.
    pub(crate) fn send(
        &self,
        node: NodeId,
        lockspace: LockspaceId,
        payload: &[u8],
    ) -> Result<(), HandleError> {
        let mut mailbox = self.lock();
        mailbox.push(node, lockspace, payload, self.queue_bytes_max)?;
        self.wake(mailbox);
        Ok(())
    }

    /// As [`send`](Self::send), waiting for room.
    pub(crate) fn send_wait(
        &self,
        node: NodeId,
        lockspace: LockspaceId,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<(), HandleError> {
        let (mailbox, ()) = self.wait(timeout, |mailbox| {
            match mailbox.push(node, lockspace, payload, self.queue_bytes_max) {
                Err(HandleError::QueueFull) => None,
                other => Some(other),
            }
        })?;
        self.wake(mailbox);
        Ok(())
    }

    /// Sets room aside and lends a buffer of `len` zero bytes.
    pub(crate) fn reserve(&self, node: NodeId, len: usize) -> Result<Vec<u8>, HandleError> {
        let mut mailbox = self.lock();
        mailbox.room(node, len, self.queue_bytes_max)?.reserved_bytes += len + ENTRY_BYTES;
        let mut buffer = mailbox.spare.pop().unwrap_or_default();
        drop(mailbox);
        buffer.resize(len, 0);
        Ok(buffer)
    }

    /// Puts a reserved message behind everything that was committed before it, or gives the room back.
    pub(crate) fn finish(
        &self,
        node: NodeId,
        lockspace: Option<LockspaceId>,
        mut buffer: Vec<u8>,
    ) -> Result<(), HandleError> {
        let mut mailbox = self.lock();
        let mut outcome = mailbox.open();
        if let Some(outgoing) = mailbox.peers.get_mut(&node) {
            outgoing.reserved_bytes = outgoing.reserved_bytes.saturating_sub(buffer.len() + ENTRY_BYTES);
        }
        if let (Some(lockspace), Ok(())) = (lockspace, outcome) {
            outcome = mailbox.push(node, lockspace, &buffer, usize::MAX);
        }
        buffer.clear();
        if mailbox.spare.len() < SPARE_BUFFERS_MAX {
            mailbox.spare.push(buffer);
        }
        if lockspace.is_none() && mailbox.waiting > 0 {
            self.changed.notify_all();
        }
        self.wake(mailbox);
        outcome
    }

    /// Posts a command.
    pub(crate) fn post(&self, mut command: Command) -> Result<(), HandleError> {
        let mut mailbox = self.lock();
        mailbox.running()?;
        if mailbox.commands.len() >= COMMANDS_MAX {
            return Err(HandleError::QueueFull);
        }
        match &mut command {
            Command::AddMember(node, _) => {
                mailbox.open()?;
                mailbox.announce(*node);
            }
            Command::RemoveMember(node, _, before) => mailbox.part(*node, before),
            Command::Fence(node, dropped) => *dropped = mailbox.fence(*node),
            Command::Shutdown => {
                mailbox.phase = Phase::ShuttingDown;
                mailbox.shutdown = None;
            }
            Command::SetRoster(_) | Command::Status(_) => {}
        }
        mailbox.commands.push_back(command);
        if mailbox.waiting > 0 {
            self.changed.notify_all();
        }
        self.wake(mailbox);
        Ok(())
    }

    /// Makes the loop end.
    pub(crate) fn stop(&self) {
        let mut mailbox = self.lock();
        if mailbox.phase != Phase::Ended {
            mailbox.phase = Phase::Stopping;
        }
        self.changed.notify_all();
        self.wake(mailbox);
    }

    /// Waits until the peer's version is known.
    pub(crate) fn wait_ready(&self, node: NodeId, timeout: Duration) -> Result<(), HandleError> {
        self.wait(timeout, |mailbox| {
            match mailbox.open().and_then(|()| mailbox.standing(node)) {
                Ok(Standing::Ready) => Some(Ok(())),
                Ok(Standing::Pending | Standing::Fenced) => None,
                Err(error) => Some(Err(error)),
            }
        })
        .map(|(_, ())| ())
    }

    /// Waits until a shutdown is over.
    pub(crate) fn wait_shutdown(&self, timeout: Duration) -> Result<Outcome, HandleError> {
        self.wait(timeout, |mailbox| match mailbox.shutdown {
            Some(outcome) => Some(Ok(outcome)),
            None => mailbox.running().err().map(Err),
        })
        .map(|(_, outcome)| outcome)
    }

    /// Waits until `decide` says something, which it is asked again after every change.
    fn wait<R>(
        &self,
        timeout: Duration,
        mut decide: impl FnMut(&mut Mailbox) -> Option<Result<R, HandleError>>,
    ) -> Result<(MutexGuard<'_, Mailbox>, R), HandleError> {
        // The clock is looked at only when there is something to wait for.
        let mut deadline = None;
        let mut mailbox = self.lock();
        loop {
            if let Some(decision) = decide(&mut mailbox) {
                return decision.map(|decided| (mailbox, decided));
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now().checked_add(timeout));
            let left = deadline.map_or(timeout, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Err(HandleError::TimedOut);
            }
            mailbox.waiting += 1;
            let (guard, _) = self
                .changed
                .wait_timeout(mailbox, left)
                .unwrap_or_else(PoisonError::into_inner);
            mailbox = guard;
            mailbox.waiting -= 1;
        }
    }

    /// Tells the loop of what has been added, and wakes it if it sleeps, after the lock is gone.
    fn wake(&self, mailbox: MutexGuard<'_, Mailbox>) {
        let asleep = self.bell.ring();
        drop(mailbox);
        if asleep {
            self.waker.wake();
        }
    }

    // The loop's side.

    /// Whether the loop may sleep; from now on handles wake it.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.bell.fall_asleep()
    }

    /// Takes what waits: commands and the names of the peers with filled arenas.
    pub(crate) fn take(&self, taken: &mut Taken) {
        if !self.bell.get_up() {
            return;
        }
        let mut mailbox = self.lock();
        // Whoever is to stop does not sleep any more.
        if mailbox.phase != Phase::Stopping {
            self.bell.answer();
        }
        std::mem::swap(&mut mailbox.commands, &mut taken.commands);
        for command in &taken.commands {
            if let Command::RemoveMember(node, _, before) = command
                && let Some(outgoing) = mailbox.peers.get_mut(node)
            {
                outgoing.reserved_bytes = outgoing.reserved_bytes.saturating_sub(before.len());
            }
        }
        taken.filled.append(&mut mailbox.filled);
        taken.stop = mailbox.phase == Phase::Stopping;
    }

    /// Exchanges the peer's arena for the empty `bytes`.
    pub(crate) fn take_arena(&self, node: NodeId, bytes: &mut Vec<u8>) {
        debug_assert!(bytes.is_empty(), "what was taken before is used up");
        let mut mailbox = self.lock();
        if let Some(outgoing) = mailbox.peers.get_mut(&node) {
            std::mem::swap(&mut outgoing.arena, bytes);
            if mailbox.waiting > 0 && !bytes.is_empty() {
                self.changed.notify_all();
            }
        }
    }

    /// The peer is a member now, by a command that was `posted` here or otherwise.
    pub(crate) fn added(&self, node: NodeId, posted: bool, ready: bool) {
        let mut mailbox = self.lock();
        let outgoing = mailbox.peers.entry(node).or_default();
        if posted {
            outgoing.additions = outgoing.additions.saturating_sub(1);
        }
        if ready {
            outgoing.standing = Standing::Ready;
        } else if outgoing.standing == Standing::Fenced {
            outgoing.standing = Standing::Pending;
        }
        self.changed.notify_all();
    }

    /// A posted addition was refused.
    pub(crate) fn not_added(&self, node: NodeId) {
        if let Some(outgoing) = self.lock().peers.get_mut(&node) {
            outgoing.additions = outgoing.additions.saturating_sub(1);
        }
    }

    /// What handles may do with the peer from now on; `None` for a node that is no member any more. What can no
    /// longer be sent is given back.
    pub(crate) fn set_standing(&self, node: NodeId, standing: Option<Standing>) -> Vec<u8> {
        let mut mailbox = self.lock();
        let mut dropped = Vec::new();
        if let Some(outgoing) = mailbox.peers.get_mut(&node)
            && outgoing.additions == 0
        {
            let reserved = outgoing.reserved_bytes > 0;
            outgoing.standing = standing.unwrap_or(Standing::Fenced);
            if outgoing.standing == Standing::Fenced {
                dropped = std::mem::take(&mut outgoing.arena);
            }
            if standing.is_none() && !reserved {
                mailbox.peers.remove(&node);
            }
        }
        self.changed.notify_all();
        dropped
    }

    /// A shutdown began, whoever asked for it.
    pub(crate) fn shutting_down(&self) {
        let mut mailbox = self.lock();
        if mailbox.phase == Phase::Running {
            mailbox.phase = Phase::ShuttingDown;
        }
        mailbox.shutdown = None;
        self.changed.notify_all();
    }

    /// A shutdown is over.
    pub(crate) fn shut_down(&self, outcome: Outcome) {
        let mut mailbox = self.lock();
        mailbox.shutdown = Some(outcome);
        if mailbox.phase == Phase::ShuttingDown {
            mailbox.phase = Phase::Running;
        }
        self.changed.notify_all();
    }

    /// The loop is over: every waiter is let go, nothing is taken any more.
    pub(crate) fn end(&self) {
        let mut mailbox = self.lock();
        mailbox.phase = Phase::Ended;
        self.bell.get_up();
        mailbox.commands.clear();
        mailbox.filled.clear();
        mailbox.peers.clear();
        self.changed.notify_all();
    }
}

impl Mailbox {
    /// Whether commands are taken.
    const fn running(&self) -> Result<(), HandleError> {
        match self.phase {
            Phase::Running | Phase::ShuttingDown => Ok(()),
            Phase::Stopping | Phase::Ended => Err(HandleError::Stopped),
        }
    }

    /// Whether messages are taken.
    const fn open(&self) -> Result<(), HandleError> {
        match self.phase {
            Phase::Running => Ok(()),
            Phase::ShuttingDown => Err(HandleError::ShuttingDown),
            Phase::Stopping | Phase::Ended => Err(HandleError::Stopped),
        }
    }

    fn standing(&self, node: NodeId) -> Result<Standing, HandleError> {
        match self.peers.get(&node).map(|outgoing| outgoing.standing) {
            None => Err(HandleError::UnknownNode),
            Some(Standing::Fenced) => Err(HandleError::Fenced),
            Some(standing) => Ok(standing),
        }
    }

    /// The peer's messages, if one of `len` bytes more may be among them now.
    fn room(
        &mut self,
        node: NodeId,
        len: usize,
        queue_bytes_max: usize,
    ) -> Result<&mut Outgoing, HandleError> {
        use dlmwire_midcomms::engine::PAYLOAD_BYTES_MAX as LIMIT;

        if len > LIMIT {
            return Err(HandleError::TooLarge {
                bytes: len,
                limit: LIMIT,
            });
        }
        self.open()?;
        let outgoing = match self.peers.get_mut(&node) {
            None => return Err(HandleError::UnknownNode),
            Some(outgoing) if outgoing.standing == Standing::Fenced => return Err(HandleError::Fenced),
            Some(outgoing) => outgoing,
        };
        if outgoing.arena.len() + outgoing.reserved_bytes + len + ENTRY_BYTES > queue_bytes_max {
            return Err(HandleError::QueueFull);
        }
        Ok(outgoing)
    }

    /// Appends a payload to the peer's arena, if there is room.
    fn push(
        &mut self,
        node: NodeId,
        lockspace: LockspaceId,
        payload: &[u8],
        queue_bytes_max: usize,
    ) -> Result<(), HandleError> {
        let outgoing = self.room(node, payload.len(), queue_bytes_max)?;
        let first = outgoing.arena.is_empty();
        arena::append(&mut outgoing.arena, lockspace, payload);
        if first {
            self.filled(node);
        }
        Ok(())
    }

    /// The peer's arena is not empty any more.
    #[cold]
    fn filled(&mut self, node: NodeId) {
        if !self.filled.contains(&node) {
            self.filled.push(node);
        }
    }

    /// Moves what waits for the peer to `before`; it stays reserved until the loop takes it.
    fn part(&mut self, node: NodeId, before: &mut Vec<u8>) {
        if let Some(outgoing) = self.peers.get_mut(&node) {
            *before = std::mem::take(&mut outgoing.arena);
            outgoing.reserved_bytes += before.len();
        }
    }

    /// Drops what waits for the peer, and says how many messages that was.
    fn fence(&mut self, node: NodeId) -> u64 {
        let Some(outgoing) = self.peers.get_mut(&node) else {
            return 0;
        };
        outgoing.standing = Standing::Fenced;
        let dropped = entries(&outgoing.arena);
        outgoing.arena.clear();
        dropped
    }

    /// A member to be: sends are taken from now on, and a shutdown before this is history.
    fn announce(&mut self, node: NodeId) {
        let outgoing = self.peers.entry(node).or_default();
        outgoing.additions += 1;
        if outgoing.standing == Standing::Fenced {
            outgoing.standing = Standing::Pending;
        }
        if self.phase == Phase::Running {
            self.shutdown = None;
        }
    }
}
