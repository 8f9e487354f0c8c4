//! The bytes of the kernel's socket calls held against those on the wire.

use std::collections::BTreeMap;

use dlmwire_codec::NodeId;

use super::wire::Wire;
use crate::capture::Stamp;
use crate::trace::{Direction, EventKind, Trace};

/// Both sums of one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    direction: Direction,
    pub(super) wire: u64,
    /// `None` if the trace has no socket calls with this peer.
    pub(super) socket: Option<u64>,
    /// Whether they have to be equal.
    pub(super) comparable: bool,
    /// Whether the capture has every byte.
    is_whole: bool,
}

impl Bytes {
    /// What is wrong with them.
    pub(super) fn fault(&self) -> Option<String> {
        let (socket, wire) = (self.socket?, self.wire);
        let wrong = match self.direction {
            _ if self.comparable => socket != wire,
            // What was thrown away at a reset was on the wire and not read; more than that cannot be read.
            Direction::Received => self.is_whole && socket > wire,
            // What was given to a socket that was reset may not have come to the wire.
            Direction::Sent => false,
        };
        let what = match self.direction {
            Direction::Received => "received",
            Direction::Sent => "sent",
        };
        wrong.then(|| format!("the kernel {what} {socket} bytes by its socket calls, the wire has {wire}"))
    }
}

/// What a trace's socket calls moved, by peer and direction.
pub(super) type Sums = BTreeMap<(NodeId, Direction), u64>;

/// Adds up the socket calls.
pub(super) fn sums(trace: &Trace) -> Sums {
    let mut sums = Sums::new();
    for event in &trace.events {
        if let EventKind::Socket(call) = event.kind
            && let Some(peer) = call.peer
            && let Ok(bytes) = u64::try_from(call.result)
        {
            *sums.entry((peer, call.direction)).or_default() += bytes;
        }
    }
    sums
}

/// Adds up the wire; `last` is the last frame of this direction.
pub(super) fn compare(
    wire: &Wire,
    [node, peer]: [NodeId; 2],
    direction: Direction,
    last: Option<Stamp>,
    window: Option<[u64; 2]>,
    (sums, trace_is_whole): (&Sums, bool),
) -> Bytes {
    let sender = match direction {
        Direction::Sent => node,
        Direction::Received => peer,
    };
    let links = || wire.links_between([node, peer]);
    let on_wire = links().map(|link| wire.bytes_from(link, sender)).sum();
    let socket = sums.get(&(peer, direction)).copied();
    let is_whole = wire.is_whole() && links().all(|link| link.is_whole);
    let is_inside = match (window, last) {
        // A call that reads comes after what it reads; one that writes before.
        (Some([_, end]), Some(last)) => direction == Direction::Sent || last.time.as_nanos() <= end,
        _ => false,
    };
    let no_reset = links().all(|link| link.reset.is_none());
    Bytes {
        direction,
        wire: on_wire,
        socket,
        comparable: is_whole && is_inside && no_reset && trace_is_whole,
        is_whole,
    }
}
