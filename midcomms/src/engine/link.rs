//! A link as the engine sees it: whom it leads to and what stands half-written on it.

use std::io::IoSlice;

use dlmwire_codec::{HEADER_LEN, NodeId};

/// A link that came up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkUp {
    /// The node at its other end, known by its configured address.
    pub node: NodeId,
    /// Who made it.
    pub role: LinkRole,
    /// How it can be written to.
    pub limits: LinkLimits,
}

/// Who made a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkRole {
    /// We did.
    Dialed,
    /// The peer did. While we send on another one it is only received from.
    #[doc(alias = "othercon")]
    Accepted,
}

/// How a link can be written to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkLimits {
    /// If set, at most so many bytes are lent at once, and only whole frames: at least 4096.
    pub record_bytes_max: Option<usize>,
}

impl LinkLimits {
    /// A byte stream.
    pub const STREAM: Self = Self {
        record_bytes_max: None,
    };
}

/// One link of a peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Link {
    pub(super) node: NodeId,
    pub(super) role: LinkRole,
    pub(super) limits: LinkLimits,
    pub(super) phase: Phase,
    /// The link belongs to a conversation that is over.
    pub(super) stale: bool,
    /// It came up while the conversation was being ended: the peer may have lost what we send on.
    pub(super) late: bool,
    /// A numbered frame was refused on it because the peer's version was not known.
    pub(super) spoke_early: bool,
    /// The rest of a frame that the link has begun and that no queue holds any more.
    pub(super) rest: Vec<u8>,
    pub(super) rest_sent: usize,
    /// The last `ACK` of a conversation that is over.
    pub(super) farewell: Option<[u8; HEADER_LEN]>,
    pub(super) farewell_sent: usize,
    pub(super) lent: Lent,
}

/// How far a link's end is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    Open,
    /// It is to be closed when nothing is left to write.
    Draining,
    /// It is to be aborted: nothing of it counts any more.
    Aborting,
}

/// What the last `poll_transmit` lent, part by part in the order of writing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Lent {
    pub(super) rest: usize,
    pub(super) cut: usize,
    pub(super) farewell: usize,
    pub(super) ack: usize,
    pub(super) bare: usize,
    pub(super) queue: usize,
}

impl Link {
    pub(super) const fn new(up: LinkUp) -> Self {
        Self {
            node: up.node,
            role: up.role,
            limits: up.limits,
            phase: Phase::Open,
            stale: false,
            late: false,
            spoke_early: false,
            rest: Vec::new(),
            rest_sent: 0,
            farewell: None,
            farewell_sent: 0,
            lent: Lent {
                rest: 0,
                cut: 0,
                farewell: 0,
                ack: 0,
                bare: 0,
                queue: 0,
            },
        }
    }

    /// What it has begun and has to finish.
    pub(super) fn rest_bytes(&self) -> &[u8] {
        self.rest.get(self.rest_sent..).unwrap_or_default()
    }

    pub(super) fn advance_rest(&mut self, taken: usize) {
        self.rest_sent = self.rest_sent.saturating_add(taken);
        if self.rest_sent >= self.rest.len() {
            self.rest.clear();
            self.rest_sent = 0;
        }
    }

    /// Whether a kernel at its other end sends again what it had sent on it, if we reset it. Over SCTP none does, and up
    /// to 6.1 it does not even connect again.
    pub(super) const fn resets_make_resend(&self) -> bool {
        self.limits.record_bytes_max.is_none()
    }

    /// Whether a conversation may use it.
    pub(super) const fn is_usable(&self) -> bool {
        matches!(self.phase, Phase::Open) && !self.stale
    }
}

/// Slices that a transmit has at most: what is left over, the side buffers, and segments of the queue.
pub(super) const SLICES_MAX: usize = 12;

/// What to write next on a link, borrowed from the engine.
///
/// Write it, or a part of it, in this order, and tell how much was taken by `handle_transmitted`.
#[derive(Debug)]
pub struct Transmit<'a> {
    slices: [IoSlice<'a>; SLICES_MAX],
    count: usize,
    bytes: usize,
}

impl<'a> Transmit<'a> {
    pub(super) fn new() -> Self {
        Self {
            slices: std::array::from_fn(|_| IoSlice::new(&[])),
            count: 0,
            bytes: 0,
        }
    }

    /// Appends a slice; `false` if it has no place.
    pub(super) fn push(&mut self, slice: &'a [u8]) -> bool {
        if slice.is_empty() {
            return true;
        }
        let Some(place) = self.slices.get_mut(self.count) else {
            return false;
        };
        *place = IoSlice::new(slice);
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(slice.len());
        true
    }

    /// The bytes, in order; at least one slice, none of them empty.
    pub fn slices(&self) -> &[IoSlice<'a>] {
        self.slices.get(..self.count).unwrap_or_default()
    }

    /// How many bytes these are, at least 1.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a transmit without bytes is not given out"
    )]
    pub const fn len(&self) -> usize {
        self.bytes
    }
}
