//! A capture held against the kernel's own trace.
//!
//! The capture says what was delivered, the trace what the kernel took and what it gave away to be sent. [`cross`]
//! pairs every event of a message with its frame, compares every field, and explains every frame that has no event:
//! a duplicate, a gap, something that was thrown away unread at a reset. What is left over on either side is a
//! finding.
//!
//! ```no_run
//! use std::fs::File;
//! use std::io::BufReader;
//!
//! use dlmwire_codec::NodeId;
//! use dlmwire_interop::capture;
//! use dlmwire_interop::check::Severity;
//! use dlmwire_interop::cross::{Bounds, WireRecorder, cross};
//! use dlmwire_interop::trace::Trace;
//!
//! let mut recorder = WireRecorder::new(&[], Bounds::default());
//! let _ = capture::read_path("link.pcapng".as_ref(), &capture::Options::default(), &mut recorder)?;
//! let trace = Trace::read(BufReader::new(File::open("trace.txt")?))?;
//! let node = NodeId::new(1).expect("not 0");
//! let report = cross(&recorder.finish(), &trace, node, None).expect("node 1 is in the capture");
//! assert!(report.agrees(Severity::Error));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod differ;
mod judge;
mod latency;
mod pairing;
mod report;
mod sockets;
mod traffic;
mod wire;

use std::collections::BTreeMap;

use dlmwire_codec::NodeId;

use self::judge::{Direct, Judge, PEERS_MAX};
use self::pairing::{Match, Pairing, Told};
use self::traffic::Traffic;
use self::wire::WireFrame;
use crate::replay::NoSuchNode;
use crate::trace::{Direction, EventKind, Message, Trace, TraceEvent};

pub use latency::Latency;
pub use report::{
    ClockSource, DirectionReport, Finding, Findings, KEPT_PER_KIND, Kind, Outcome, PeerReport, Report,
};
pub use wire::{Bounds, Wire, WireRecorder};

/// Holds the trace of `node` against a capture; `peer` leaves out all other peers.
///
/// # Errors
///
/// The node, or the peer, is not in the capture.
pub fn cross(wire: &Wire, trace: &Trace, node: NodeId, peer: Option<NodeId>) -> Result<Report, NoSuchNode> {
    let nodes = wire.nodes();
    for wanted in [Some(node), peer].into_iter().flatten() {
        if !nodes.contains(&wanted) {
            let node = wanted;
            return Err(NoSuchNode { node, nodes });
        }
    }
    let mut peers = wire.peers(node);
    let all_peers = peers.clone();
    peers.retain(|one| peer.is_none_or(|peer| *one == peer));
    let frames = Frames {
        wire,
        by_ends: wire.by_ends(),
    };
    // Every event without a receiver is looked for with every peer.
    let mut asked: Vec<NodeId> = all_peers.into_iter().take(PEERS_MAX).collect();
    asked.extend(peer.filter(|peer| !asked.contains(peer)));
    let addressed = addressed(&frames, trace, node, asked);
    let clock = clock(&frames, trace, node, &addressed);
    let mut judge = Judge::new(wire, trace, node, clock);
    judge.of_input(peers.len());
    for peer in peers.into_iter().take(PEERS_MAX) {
        let was_reset = wire.links_between([node, peer]).any(|link| link.reset.is_some());
        let directions = Direction::BOTH.map(|direction| {
            let (traffic, told, matches) = paired(&frames, node, peer, direction, &addressed, clock);
            Direct {
                peer,
                direction,
                traffic,
                told,
                matches,
                was_reset,
            }
        });
        judge.peer(peer, directions);
    }
    judge.strangers(&addressed, peer);
    Ok(judge.finish())
}

/// Events of messages by the node at the other end; `None` where that cannot be told.
type Addressed<'t> = BTreeMap<(Option<NodeId>, Direction), Vec<(&'t TraceEvent, &'t Message)>>;

/// Finds out who is at the other end of each event.
///
/// 6.1 does not say whom a message is for: with several peers it goes to the one that the capture shows it on the way to.
fn addressed<'t>(frames: &Frames<'t>, trace: &'t Trace, node: NodeId, peers: Vec<NodeId>) -> Addressed<'t> {
    let mut addressed = Addressed::new();
    let mut unaddressed = Vec::new();
    for event in &trace.events {
        let EventKind::Message(message) = &event.kind else {
            continue;
        };
        let peer = match message.direction {
            Direction::Received => sender(message),
            Direction::Sent => message.to,
        };
        match (message.direction, peer, peers.as_slice()) {
            (Direction::Sent, None, [only]) => {
                let events = addressed.entry((Some(*only), Direction::Sent)).or_default();
                events.push((event, message));
            }
            (Direction::Sent, None, [_, _, ..]) => unaddressed.push((event, message)),
            (direction, peer, _) => addressed
                .entry((peer, direction))
                .or_default()
                .push((event, message)),
        }
    }
    // It is for the peer that it is on the way to, byte for byte.
    let told = told(&unaddressed, None);
    let mut traffics: Vec<_> = peers
        .iter()
        .map(|peer| (*peer, frames.traffic([node, *peer])))
        .collect();
    let mut pairings: Vec<_> = traffics
        .iter_mut()
        .map(|(peer, traffic)| (*peer, Pairing::new(traffic, frames.wire, Direction::Sent)))
        .collect();
    for (one, told) in unaddressed.into_iter().zip(&told) {
        let peer = pairings
            .iter_mut()
            .find_map(|(peer, pairing)| pairing.claim(told).then_some(*peer));
        addressed.entry((peer, Direction::Sent)).or_default().push(one);
    }
    addressed
}

/// `h_nodeid` of a message.
fn sender(message: &Message) -> Option<NodeId> {
    let bytes = message.frame.get(8..12)?.try_into().ok()?;
    NodeId::new(u32::from_le_bytes(bytes))
}

/// The frames of a capture, by their ends.
struct Frames<'w> {
    wire: &'w Wire,
    by_ends: BTreeMap<[NodeId; 2], Vec<&'w WireFrame>>,
}

impl<'w> Frames<'w> {
    /// What one node sent to another.
    fn traffic(&self, ends: [NodeId; 2]) -> Traffic<'w> {
        let mut traffic = Traffic::default();
        for frame in self.by_ends.get(&ends).into_iter().flatten() {
            traffic.push(self.wire, frame);
        }
        traffic
    }
}

fn told<'t>(events: &[(&'t TraceEvent, &'t Message)], offset: Option<i64>) -> Vec<Told<'t>> {
    let one = |(event, message): &(&'t TraceEvent, &'t Message)| Told {
        line: event.line,
        time: offset.and_then(|offset| event.time.as_nanos().checked_add_signed(offset)),
        message,
    };
    events.iter().map(one).collect()
}

/// One direction between two nodes, paired.
fn paired<'a>(
    frames: &Frames<'a>,
    node: NodeId,
    peer: NodeId,
    direction: Direction,
    addressed: &Addressed<'a>,
    clock: ClockSource,
) -> (Traffic<'a>, Vec<Told<'a>>, Vec<Match>) {
    let ends = match direction {
        Direction::Sent => [node, peer],
        Direction::Received => [peer, node],
    };
    let mut traffic = frames.traffic(ends);
    let events = addressed
        .get(&(Some(peer), direction))
        .map_or(&[][..], Vec::as_slice);
    let told = told(events, clock.offset());
    let matches = Pairing::new(&mut traffic, frames.wire, direction).pair(&told);
    (traffic, told, matches)
}

/// How the two clocks go together: as the trace says, or so that no message was taken before it had come.
fn clock<'t>(frames: &Frames<'t>, trace: &Trace, node: NodeId, addressed: &Addressed<'t>) -> ClockSource {
    if let Some(pair) = trace.clock {
        let offset = difference(pair.realtime, pair.trace);
        return offset.map_or(ClockSource::Unknown, ClockSource::Told);
    }
    let mut taken: Option<i64> = None;
    let mut sent: Option<i64> = None;
    for peer in frames.wire.peers(node) {
        for direction in Direction::BOTH {
            let (traffic, _, matches) =
                paired(frames, node, peer, direction, addressed, ClockSource::Unknown);
            let events = addressed
                .get(&(Some(peer), direction))
                .map_or(&[][..], Vec::as_slice);
            for ((event, _), found) in events.iter().zip(matches) {
                let Match::Frame(frame) = found else { continue };
                let Some(sighting) = traffic.sightings.get(frame) else {
                    continue;
                };
                let Some(offset) = difference(sighting.frame.stamp.time.as_nanos(), event.time.as_nanos())
                else {
                    continue;
                };
                match direction {
                    Direction::Received => taken = Some(taken.map_or(offset, |known| known.max(offset))),
                    Direction::Sent => sent = Some(sent.map_or(offset, |known| known.min(offset))),
                }
            }
        }
    }
    taken
        .or(sent)
        .map_or(ClockSource::Unknown, ClockSource::Estimated)
}

fn difference(one: u64, other: u64) -> Option<i64> {
    i64::try_from(i128::from(one) - i128::from(other)).ok()
}
