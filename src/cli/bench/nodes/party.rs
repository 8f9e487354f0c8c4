//! What runs on the nodes that are measured.

use std::sync::Arc;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{Delivery, SendError};
use dlmwire_node::{Application, NodeHandle, Outbox};
use hdrhistogram::Histogram;

use super::super::raw::{Start, meter::latencies};
use super::feeder::Feeder;

/// The group of the measured nodes.
pub(super) const GROUP: LockspaceId = LockspaceId::new(0x6265_6e63);

/// Of how many messages one is timed.
const TIMED_EVERY: u64 = 256;

/// Sends, receives or answers; counts, and stamps what it sends.
pub(super) struct Party {
    role: Role,
    peer: NodeId,
    payload: Vec<u8>,
    /// Whether it may send.
    pub(super) open: bool,
    pub(super) sent: u64,
    pub(super) came: u64,
    /// Whether messages are timed.
    pub(super) timing: bool,
    /// Nanoseconds that they took.
    pub(super) latency: Histogram<u64>,
    start: Arc<Start>,
    /// What could not be sent, if that should not happen.
    pub(super) trouble: Option<SendError>,
}

/// What a node does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Sends so many messages a turn, as long as they are taken.
    Source { per_turn: u64 },
    /// Sends nothing itself: another thread does.
    Fed,
    /// Takes what comes.
    Sink,
    /// Sends one message when the answer to the last has come.
    Caller,
    /// Answers every message.
    Answerer,
}

impl Role {
    /// Whether it dials; the others wait for who does.
    pub(super) const fn dials(self) -> bool {
        match self {
            Self::Source { .. } | Self::Fed | Self::Caller => true,
            Self::Sink | Self::Answerer => false,
        }
    }
}

impl Party {
    pub(super) fn new(role: Role, peer: NodeId, payload_bytes: usize, start: Arc<Start>) -> Self {
        Self {
            role,
            peer,
            payload: vec![7; payload_bytes],
            open: false,
            sent: 0,
            came: 0,
            timing: false,
            latency: latencies(),
            start,
            trouble: None,
        }
    }

    /// The thread that sends for it, if that is its role.
    pub(super) fn feeder(&self, handle: NodeHandle) -> Option<Feeder> {
        (self.role == Role::Fed)
            .then(|| Feeder::new(handle, self.peer, self.payload.clone(), Arc::clone(&self.start)))
    }

    /// The messages that count for its window.
    pub(super) const fn messages(&self) -> u64 {
        match self.role {
            Role::Source { .. } => self.sent,
            Role::Fed | Role::Sink | Role::Caller | Role::Answerer => self.came,
        }
    }

    fn stamp(&mut self) {
        if let Some(place) = self.payload.first_chunk_mut() {
            *place = self.start.now().to_le_bytes();
        }
    }

    fn send(&mut self, outbox: &mut Outbox<'_>) -> bool {
        match outbox.send_payload(self.peer, GROUP, &self.payload) {
            Ok(_) => {
                self.sent += 1;
                true
            }
            Err(SendError::QueueFull) => false,
            Err(error) => {
                self.trouble = Some(error);
                false
            }
        }
    }

    fn took(&mut self, payload: &[u8]) {
        if let (true, Some(stamp)) = (self.timing, payload.first_chunk()) {
            let took = self.start.now().saturating_sub(u64::from_le_bytes(*stamp));
            self.latency.saturating_record(took.max(1));
        }
    }
}

impl Application for Party {
    #[inline]
    fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        let Some((_, payload)) = delivery.payload() else {
            return;
        };
        match self.role {
            Role::Source { .. } | Role::Fed => return,
            Role::Sink if self.came.is_multiple_of(TIMED_EVERY) => self.took(payload),
            Role::Caller => self.took(payload),
            Role::Answerer => {
                if let Err(error) = outbox.send_payload(self.peer, GROUP, payload) {
                    self.trouble = Some(error);
                }
            }
            Role::Sink => {}
        }
        self.came += 1;
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        if !self.open {
            return;
        }
        match self.role {
            Role::Source { per_turn } => {
                self.stamp();
                if (0..per_turn).all(|_| self.send(outbox)) {
                    outbox.wake_after(Duration::ZERO);
                }
            }
            Role::Caller if self.sent == self.came => {
                self.stamp();
                self.send(outbox);
            }
            Role::Fed | Role::Caller | Role::Sink | Role::Answerer => {}
        }
    }
}
