//! What a capture tells: links, frames, and what is missing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use dlmwire_codec::{DecodeError, RawFrame};

/// Takes what a capture tells, in the order of the capture.
pub trait Sink {
    /// One event. `at` is the packet that brought it about.
    fn event(&mut self, at: Stamp, event: Event<'_>);
}

/// Any closure that takes a stamp and an event is a sink.
impl<F: FnMut(Stamp, Event<'_>)> Sink for F {
    fn event(&mut self, at: Stamp, event: Event<'_>) {
        self(at, event);
    }
}

/// Nanoseconds since the Unix epoch, as the capture says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Takes nanoseconds since the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to this time, 0 if the capture's clock went backwards.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A packet of the capture.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Stamp {
    /// Its number in the file; the first packet is 1. The same as Wireshark's `frame.number`.
    pub packet: u64,
    /// When it was captured. Not promised to grow from packet to packet.
    pub time: Timestamp,
}

/// A link of the capture: one TCP connection or one SCTP association.
///
/// Numbers start at 0, grow in the order of [`Event::LinkUp`] and are never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(u64);

impl LinkId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The link's number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// An end of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The end that opened the link; where no handshake was seen, the one that is not on the DLM port.
    A,
    /// The other one.
    B,
}

impl Side {
    /// Both sides, in the order in which arrays by side are indexed.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other end.
    #[inline]
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The place of this side in an array by side.
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// What carries a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// A TCP connection.
    Tcp,
    /// An SCTP association.
    Sctp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Sctp => "SCTP",
        })
    }
}

/// How a link came into the capture.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Begun {
    /// Its opening was seen, so that its first byte starts a frame.
    Handshake,
    /// It was open before the capture began, or its opening is missing from the capture.
    MidStream,
}

/// One end of a link, as far as the capture knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint<'a> {
    /// Its addresses, the one first seen first. Never empty; TCP has one.
    pub addresses: &'a [IpAddr],
    /// Its port.
    pub port: u16,
}

impl Endpoint<'_> {
    /// The address first seen, with the port.
    pub fn primary(&self) -> Option<SocketAddr> {
        self.addresses
            .first()
            .map(|&address| SocketAddr::new(address, self.port))
    }
}

/// Where a frame lies in its direction's byte stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The packet that brought its first byte.
    pub first: Stamp,
    /// The segment (TCP) or chunk (SCTP) that brought its first byte, counted in its direction from 1.
    pub first_segment: u64,
    /// The segment or chunk that completed it.
    pub segment: u64,
    /// How many frames that segment has completed so far, this one included.
    pub nth: u32,
    /// Bytes of the direction before it, from the first one known. What is missing counts where its
    /// length is known.
    pub offset: u64,
}

/// Bytes of a frame whose end was never seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HalfSent {
    /// Bytes that are there, at least 1.
    pub have: usize,
    /// Bytes that the frame has; as long as its header is incomplete, the header's 16.
    pub needed: usize,
}

/// How much is not in the capture.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gap {
    /// This many bytes.
    Bytes(u64),
    /// This many SCTP chunks; how many bytes they had is not known.
    Chunks(u64),
}

/// How it is known that something is not in the capture.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GapEvidence {
    /// The other side acknowledged what the capture never showed.
    Acknowledged,
    /// The packet was cut when it was captured (snapshot length).
    Snapshot,
    /// So much came behind it that it was given up.
    Overflow,
    /// The link or the capture ended with what follows at hand.
    End,
    /// The sender said that it will never be sent (SCTP FORWARD-TSN).
    Forward,
}

/// Why a link is no longer there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    /// Both sides sent a TCP FIN.
    Fin,
    /// A TCP RST that the receiver must have believed.
    Reset {
        /// The side that it claims to come from.
        from: Side,
    },
    /// An SCTP ABORT.
    Abort {
        /// The side that it claims to come from.
        from: Side,
    },
    /// The SCTP shutdown was completed.
    Shutdown,
    /// The same ports opened a new link: TCP port reuse, SCTP association restart.
    Replaced,
    /// The capture ended first.
    EndOfCapture,
    /// The reader's own bounds: idle longest when room was needed.
    Evicted,
}

/// Something the capture tells.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A link is there: its handshake was answered, or data came on ports not known before.
    LinkUp {
        /// The link.
        link: LinkId,
        /// What carries it.
        transport: Transport,
        /// Whether its opening was seen.
        begun: Begun,
        /// Both ends, by [`Side`].
        ends: [Endpoint<'a>; 2],
    },
    /// An attempt to open a link was turned down. There is no link.
    Refused {
        /// What would have carried it.
        transport: Transport,
        /// Who tried.
        opener: SocketAddr,
        /// Who refused.
        target: SocketAddr,
    },
    /// A whole frame, as long as its length field says.
    Frame {
        /// The link.
        link: LinkId,
        /// Its sender.
        from: Side,
        /// The bytes.
        frame: RawFrame<'a>,
        /// Where it lies.
        place: Place,
    },
    /// A frame on a link that was reset before (TCP RST, SCTP ABORT).
    ///
    /// What the side sends that the reset claims to come from is not read by the other one any more. What the
    /// other side sends was under way when the reset reached it, and is read if the reset was forged.
    Late {
        /// The link, down already.
        link: LinkId,
        /// The sender.
        from: Side,
        /// The bytes.
        frame: RawFrame<'a>,
        /// Where it lies.
        place: Place,
    },
    /// A length field cannot be right. What follows is searched for the next plausible header.
    FramingLost {
        /// The link.
        link: LinkId,
        /// The sender.
        from: Side,
        /// What is wrong.
        error: DecodeError,
    },
    /// Part of the stream is not in the capture. The stream goes on behind it.
    ///
    /// May come for a link that is down already, if it was reset: then what is missing lies before, between or
    /// behind [`Late`](Self::Late) frames.
    Missing {
        /// The link.
        link: LinkId,
        /// The sender.
        from: Side,
        /// How much.
        gap: Gap,
        /// How that is known.
        evidence: GapEvidence,
        /// The frame that was under way and will not be reported, if there was one.
        broken: Option<HalfSent>,
    },
    /// Framing was found again after [`FramingLost`](Self::FramingLost), [`Missing`](Self::Missing) or a
    /// start in mid-stream (then only if bytes had to be skipped).
    Resynchronised {
        /// The link.
        link: LinkId,
        /// The sender.
        from: Side,
        /// Bytes that belong to no frame reported.
        skipped: u64,
    },
    /// Data that the capture has already shown. It is not used again.
    Retransmitted {
        /// The link.
        link: LinkId,
        /// The sender.
        from: Side,
        /// Bytes seen before.
        bytes: u64,
        /// Whether they differ from the first copy. Known only while that copy waits behind a hole.
        differs: bool,
    },
    /// This packet is a copy of an earlier one (both sides of a bridge captured); it was ignored.
    SeenTwice {
        /// The first copy.
        first: Stamp,
    },
    /// An IP fragment of DLM traffic. Fragments are not put together: what it held will be missing.
    Fragment {
        /// The sender's address.
        source: IpAddr,
        /// The receiver's address.
        destination: IpAddr,
    },
    /// An end uses an address that was not known yet (SCTP).
    AddressAdded {
        /// The link.
        link: LinkId,
        /// Whose address.
        side: Side,
        /// The address.
        address: IpAddr,
    },
    /// A side said that it sends no more (TCP FIN, all bytes before it seen or reported missing).
    HalfClosed {
        /// The link.
        link: LinkId,
        /// The side that stops.
        from: Side,
    },
    /// A link is no longer there.
    LinkDown {
        /// The link.
        link: LinkId,
        /// Why.
        why: Ending,
        /// Frames begun and not ended, by sender.
        half_sent: [Option<HalfSent>; 2],
    },
}
