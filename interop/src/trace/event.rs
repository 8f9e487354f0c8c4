//! Events, decoded.

use std::fmt;

use dlmwire_codec::{NodeId, Seq};

/// Nanoseconds on the clock of a trace; what its zero is depends on the kernel's `trace_clock`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TraceTime(u64);

impl TraceTime {
    /// Takes nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

/// Seconds and microseconds, as traces show them.
impl fmt::Display for TraceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06}",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000 / 1000
        )
    }
}

/// One event of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceEvent {
    /// Its line in the file, from 1.
    pub line: u64,
    /// When it happened.
    pub time: TraceTime,
    /// The processor, where the line says it.
    pub cpu: Option<u32>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// A message was given to the messaging layer, or was taken from it.
    Message(Message),
    /// A call on a socket.
    Socket(SocketCall),
}

/// Which way something goes, seen from the kernel that traces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// From this kernel.
    Sent,
    /// To this kernel.
    Received,
}

impl Direction {
    /// Both directions.
    pub const BOTH: [Self; 2] = [Self::Sent, Self::Received];

    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A message of the lock layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Which way it went.
    pub direction: Direction,
    /// The number that it travels under in an `OPTS`: what travels bare has no events.
    pub seq: Seq,
    /// The receiver, where the kernel says it (not 6.1).
    pub to: Option<NodeId>,
    /// The message as a frame of its own, written from the event's fields by our encoder; `h_pad`, which no event
    /// tells, is 0.
    pub frame: Vec<u8>,
    /// `h_length` as the event says it. Sound kernels say the frame's length.
    pub stated_length: u16,
    /// The resource's name as the sender knows it; empty where the event has none.
    pub resource: Vec<u8>,
}

/// A call on a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketCall {
    /// Which way.
    pub direction: Direction,
    /// The other node, if it is one.
    pub peer: Option<NodeId>,
    /// Bytes, or a negative errno.
    pub result: i32,
}
