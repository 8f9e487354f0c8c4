//! What came of holding a trace against a capture.

use std::collections::BTreeMap;
use std::fmt;

use dlmwire_codec::NodeId;
use serde::{Serialize, Serializer};

use super::latency::Latency;
use crate::capture::Stamp;
use crate::check::Severity;
use crate::trace::Direction;

/// Findings kept of each kind; more are counted only.
pub const KEPT_PER_KIND: usize = 100;

/// Declares the kinds with their names and severities.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $severity:ident,)+) => {
        /// What is found.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The name in reports; stable.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$kind => Severity::$severity,)+
                }
            }
        }
    };
}

kinds! {
    /// The kernel says that it took or sent a message that the capture does not show.
    EventWithoutFrame "event-without-frame" Error,
    /// The capture shows a message that the kernel says nothing of, though nothing else explains that.
    FrameWithoutEvent "frame-without-event" Error,
    /// An event and its frame differ in a field.
    FieldDiffers "field-differs" Error,
    /// The kernel took messages in another order than they came.
    OrderDiffers "order-differs" Error,
    /// The kernel took or committed a number twice.
    EventTwice "event-twice" Error,
    /// The bytes that the kernel's socket calls moved are not those on the wire.
    SocketBytes "socket-bytes" Error,
    /// Events lie before their cause by the two clocks.
    Clock "clock" Warn,
    /// Lines of the trace cannot be read.
    TraceLines "trace-lines" Warn,
    /// The capture or the trace is longer than what is kept of it.
    LeftOut "left-out" Warn,
    /// A message was delivered and thrown away unread when its link was reset.
    ThrownAway "thrown-away" Note,
    /// A message was committed and never came to the wire.
    NeverSent "never-sent" Note,
    /// Messages were committed in another order than they were numbered.
    CommitOrder "commit-order" Note,
    /// The kernel lost events: what has none may have had one.
    EventsLost "events-lost" Note,
    /// An event is missing that is too long for the kernel's trace.
    TooLongForTrace "too-long-for-trace" Note,
    /// Frames were captured before the trace began or after it ended.
    OutsideTrace "outside-trace" Note,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing found, in one sentence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Copied from the kind, so that a line of JSON stands alone.
    pub severity: Severity,
    /// The other node, if it is about one.
    #[serde(serialize_with = "node_id")]
    pub peer: Option<NodeId>,
    /// The packet of the capture, as Wireshark's `frame.number`.
    pub packet: Option<u64>,
    /// When that packet was captured.
    #[serde(skip)]
    pub at: Option<Stamp>,
    /// The line of the trace.
    pub line: Option<u64>,
    /// The sentence, with its numbers.
    pub text: String,
}

fn node_id<S: Serializer>(node: &Option<NodeId>, serializer: S) -> Result<S::Ok, S::Error> {
    node.map(NodeId::get).serialize(serializer)
}

/// Findings, a bounded number of each kind.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<Kind, u64>,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.kind).or_default();
        *count += 1;
        if usize::try_from(*count).is_ok_and(|count| count <= KEPT_PER_KIND) {
            self.kept.push(finding);
        }
    }

    /// Those that were kept, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.kept.iter()
    }

    /// How many there are of a kind, kept or not.
    pub fn of(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// How many there are of a severity, kept or not.
    pub fn count(&self, severity: Severity) -> u64 {
        let of_severity = self.counts.iter().filter(|(kind, _)| kind.severity() == severity);
        of_severity.map(|(_, count)| count).sum()
    }

    /// Counts by kind, of those that there are.
    pub fn counts(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.counts.iter().map(|(kind, count)| (*kind, *count))
    }
}

/// How it is known what time of the capture a time of the trace is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "known", content = "offset_ns")]
pub enum ClockSource {
    /// The trace says it in its `# clock:` line. Nanoseconds to add to the trace's times.
    Told(i64),
    /// From the message that was taken fastest: latencies are what is above its own.
    Estimated(i64),
    /// Nothing could be paired.
    Unknown,
}

impl ClockSource {
    /// Nanoseconds to add to a time of the trace.
    pub const fn offset(self) -> Option<i64> {
        match self {
            Self::Told(offset) | Self::Estimated(offset) => Some(offset),
            Self::Unknown => None,
        }
    }
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The kernel took it, or committed it: there is an event.
    Paired,
    /// An `ACK` or a `FIN`: there are no events for them.
    Control,
    /// A message that travels bare: kernels have events for numbered ones only.
    Bare,
    /// Its number had been taken already.
    Duplicate,
    /// It was sent again.
    Resent,
    /// Its number was too high; dropped.
    Gap,
    /// It makes no sense, or not between these versions; dropped.
    Refused,
    /// Delivered, and thrown away unread at a reset.
    ThrownAway,
    /// Its event is too long for the kernel's trace.
    TooLong,
    /// The trace lost events, perhaps this one.
    EventLost,
    /// Captured before the trace began or after it ended.
    Outside,
    /// Without an event and without a reason.
    Unexplained,
}

impl Outcome {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paired => "paired",
            Self::Control => "control",
            Self::Bare => "bare",
            Self::Duplicate => "duplicate",
            Self::Resent => "resent",
            Self::Gap => "gap",
            Self::Refused => "refused",
            Self::ThrownAway => "thrown-away",
            Self::TooLong => "too-long",
            Self::EventLost => "event-lost",
            Self::Outside => "outside",
            Self::Unexplained => "unexplained",
        }
    }
}

/// One direction between the kernel and a peer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DirectionReport {
    /// Frames in the capture.
    pub frames: u64,
    /// Events of messages in the trace.
    pub events: u64,
    /// Pairs of an event and a frame that agree in every field.
    pub identical: u64,
    /// What became of the frames.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Bytes on the wire.
    pub wire_bytes: u64,
    /// Bytes that the kernel's socket calls moved; `None` if the trace has none.
    pub socket_bytes: Option<u64>,
    /// Whether both have to be the same: no link was reset, and all of every link is in capture and trace.
    pub bytes_comparable: bool,
    /// From the wire to the kernel's event, or from the event to the wire.
    pub latency: Latency,
}

impl DirectionReport {
    /// How many frames had this outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or_default()
    }
}

/// One peer of the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PeerReport {
    /// The peer.
    #[serde(serialize_with = "some_node_id")]
    pub peer: NodeId,
    /// What the kernel sent to it.
    pub sent: DirectionReport,
    /// What the kernel received from it.
    pub received: DirectionReport,
}

fn some_node_id<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(node.get())
}

impl PeerReport {
    /// One direction.
    pub const fn of(&self, direction: Direction) -> &DirectionReport {
        match direction {
            Direction::Sent => &self.sent,
            Direction::Received => &self.received,
        }
    }
}

/// The whole result.
#[derive(Clone, Debug)]
pub struct Report {
    /// The kernel that traced.
    pub node: NodeId,
    /// Its peers.
    pub peers: Vec<PeerReport>,
    /// How the two clocks go together.
    pub clock: ClockSource,
    /// What was found.
    pub findings: Findings,
}

impl Report {
    /// Whether nothing was found at or above `fail_on`.
    pub fn agrees(&self, fail_on: Severity) -> bool {
        Severity::ALL
            .into_iter()
            .filter(|severity| *severity >= fail_on)
            .all(|severity| self.findings.count(severity) == 0)
    }

    /// Whether there was anything to compare: a pair of an event and a frame.
    pub fn compared(&self) -> bool {
        let directions = self.peers.iter().flat_map(|peer| [&peer.sent, &peer.received]);
        directions.map(|one| one.of(Outcome::Paired)).sum::<u64>() > 0
    }
}
