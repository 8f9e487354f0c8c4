//! What a capture shows, kept: pairing has to look ahead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use dlmwire_codec::NodeId;
use dlmwire_midcomms::Time;
use dlmwire_midcomms::observer::{
    self, At, Config, Ends, HalfSent, LinkEnd, LinkStart, Mark, Observer, StationId, Verdict,
};

use crate::capture::{Begun, Ending, Event, LinkId, Side, Sink, Stamp};
use crate::check::stations::Stations;

/// How much of a capture is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Bytes of frames.
    pub frame_bytes_max: usize,
    /// Frames and links.
    pub frames_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            frame_bytes_max: 512 << 20,
            frames_max: 4 << 20,
        }
    }
}

/// Keeps the frames of a capture while it is read.
///
/// Memory is bounded by [`Bounds`]: what comes after that much is left out, and [`Wire::is_whole`] says so.
#[derive(Debug)]
pub struct WireRecorder {
    bounds: Bounds,
    observer: Observer,
    wire: Wire,
}

/// The frames of a capture, each with what a receiver has to make of it.
#[derive(Debug, Default)]
pub struct Wire {
    frames: Vec<WireFrame>,
    bytes: Vec<u8>,
    pub(super) links: BTreeMap<LinkId, WireLink>,
    stations: Stations,
    is_whole: bool,
}

/// A frame of the capture.
#[derive(Clone, Debug)]
pub(super) struct WireFrame {
    pub(super) stamp: Stamp,
    pub(super) link: LinkId,
    from: StationId,
    to: StationId,
    range: Range<usize>,
    pub(super) verdict: Verdict,
    /// The conversation that it belongs to, counted from 1.
    pub(super) session: u32,
}

/// A connection or association of the capture.
#[derive(Clone, Copy, Debug)]
pub(super) struct WireLink {
    ends: [StationId; 2],
    /// When it was reset or aborted.
    pub(super) reset: Option<Stamp>,
    /// Bytes by side, frames and what was begun.
    bytes: [u64; 2],
    /// Whether all that went over it is in the capture.
    pub(super) is_whole: bool,
}

impl WireRecorder {
    /// A recorder that has seen nothing; `known` are node ids with their addresses, where the capture does not
    /// tell.
    pub fn new(known: &[(NodeId, IpAddr)], bounds: Bounds) -> Self {
        Self {
            bounds,
            observer: Observer::new(Config::default()),
            wire: Wire {
                stations: Stations::new(known),
                is_whole: true,
                ..Wire::default()
            },
        }
    }

    /// The capture has ended.
    pub fn finish(self) -> Wire {
        self.wire
    }

    fn frame(&mut self, stamp: Stamp, link: LinkId, from: Side, bytes: dlmwire_codec::RawFrame<'_>) {
        let Some(known) = self.wire.links.get_mut(&link) else {
            return;
        };
        let length = bytes.bytes().len();
        known.bytes[from.index()] += u64::try_from(length).unwrap_or(u64::MAX);
        let [sender, receiver] = [from, from.other()].map(|side| known.ends[side.index()]);
        let decoded = bytes.decode();
        if let Ok(decoded) = &decoded {
            self.wire.stations.learn(sender, decoded.node());
        }
        let judgement = self
            .observer
            .handle_frame(at(stamp), observed(link), sender, bytes.bytes(), decoded);
        let room = self.wire.frames.len() < self.bounds.frames_max
            && self.wire.bytes.len().saturating_add(length) <= self.bounds.frame_bytes_max;
        self.wire.is_whole &= room;
        if !self.wire.is_whole {
            return;
        }
        let start = self.wire.bytes.len();
        self.wire.bytes.extend_from_slice(bytes.bytes());
        self.wire.frames.push(WireFrame {
            stamp,
            link,
            from: sender,
            to: receiver,
            range: start..start.saturating_add(length),
            verdict: judgement.verdict,
            session: judgement.session,
        });
    }

    fn link_up(&mut self, stamp: Stamp, link: LinkId, begun: Begun, ends: [Option<StationId>; 2]) {
        let [Some(a), Some(b)] = ends else { return };
        if self.wire.links.len() >= self.bounds.frames_max {
            self.wire.is_whole = false;
            return;
        }
        let known = WireLink {
            ends: [a, b],
            reset: None,
            bytes: [0; 2],
            is_whole: begun == Begun::Handshake,
        };
        self.wire.links.insert(link, known);
        let ends = Ends {
            dialled: a,
            accepted: b,
        };
        let how = match begun {
            Begun::Handshake => LinkStart::Handshake,
            Begun::MidStream => LinkStart::Midway,
        };
        self.observer.handle_link_up(at(stamp), observed(link), ends, how);
    }

    fn link_down(
        &mut self,
        stamp: Stamp,
        link: LinkId,
        why: Ending,
        half_sent: [Option<crate::capture::HalfSent>; 2],
    ) {
        let Some(known) = self.wire.links.get_mut(&link) else {
            return;
        };
        for side in Side::BOTH {
            let have = half_sent[side.index()].map_or(0, |half| half.have);
            known.bytes[side.index()] += u64::try_from(have).unwrap_or(u64::MAX);
        }
        let why = match why {
            Ending::EndOfCapture => return,
            Ending::Fin | Ending::Shutdown => LinkEnd::Closed,
            Ending::Reset { .. } => LinkEnd::Reset,
            Ending::Abort { .. } => LinkEnd::Aborted,
            Ending::Replaced | Ending::Evicted => LinkEnd::Vanished,
        };
        if why != LinkEnd::Closed {
            known.reset = Some(stamp);
        }
        let [dialled, accepted] =
            half_sent.map(|half| half.map_or(0, |half| u32::try_from(half.have).unwrap_or(u32::MAX)));
        let half = HalfSent { dialled, accepted };
        self.observer
            .handle_link_down(at(stamp), observed(link), why, half);
    }

    /// Tells the observer of what concerns one direction of a link.
    fn of_direction(
        &mut self,
        link: LinkId,
        side: Side,
        tell: impl FnOnce(&mut Observer, observer::LinkId, StationId),
    ) {
        if let Some(known) = self.wire.links.get(&link) {
            tell(&mut self.observer, observed(link), known.ends[side.index()]);
        }
    }
}

impl Sink for WireRecorder {
    fn event(&mut self, stamp: Stamp, event: Event<'_>) {
        match event {
            Event::LinkUp {
                link, begun, ends, ..
            } => {
                let ends = ends.map(|end| self.wire.stations.resolve(end.addresses));
                self.link_up(stamp, link, begun, ends);
            }
            Event::Frame {
                link, from, frame, ..
            }
            | Event::Late {
                link, from, frame, ..
            } => self.frame(stamp, link, from, frame),
            Event::LinkDown { link, why, half_sent } => self.link_down(stamp, link, why, half_sent),
            Event::Missing { link, from, .. } => {
                self.of_direction(link, from, |observer, link, station| {
                    observer.handle_missing(at(stamp), link, station, 1);
                });
                if let Some(known) = self.wire.links.get_mut(&link) {
                    known.is_whole = false;
                }
            }
            Event::FramingLost { link, from, error } => {
                self.of_direction(link, from, |observer, link, station| {
                    observer.handle_framing_lost(at(stamp), link, station, error);
                });
                if let Some(known) = self.wire.links.get_mut(&link) {
                    known.is_whole = false;
                }
            }
            Event::HalfClosed { link, from } => self.of_direction(link, from, |observer, link, station| {
                observer.handle_half_closed(at(stamp), link, station);
            }),
            Event::AddressAdded { link, side, address } => {
                if let Some(known) = self.wire.links.get(&link) {
                    self.wire.stations.add_address(known.ends[side.index()], address);
                }
            }
            Event::Refused { .. }
            | Event::Resynchronised { .. }
            | Event::Retransmitted { .. }
            | Event::SeenTwice { .. }
            | Event::Fragment { .. } => {}
        }
        while self.observer.poll_fact().is_some() {}
    }
}

impl Wire {
    /// Whether all of the capture is kept.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The nodes that sent something or that were told.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        let ends = self.links.values().flat_map(|link| link.ends);
        ends.filter_map(|station| self.stations.node(station)).collect()
    }

    /// The bytes of a frame.
    pub(super) fn bytes(&self, frame: &WireFrame) -> &[u8] {
        self.bytes.get(frame.range.clone()).unwrap_or(&[])
    }

    /// The links between two nodes.
    pub(super) fn links_between(&self, nodes: [NodeId; 2]) -> impl Iterator<Item = &WireLink> {
        self.links.values().filter(move |link| {
            let ends = link.ends.map(|station| self.stations.node(station));
            nodes.iter().all(|node| ends.contains(&Some(*node)))
        })
    }

    /// The frames by sender and receiver, where both are known.
    pub(super) fn by_ends(&self) -> BTreeMap<[NodeId; 2], Vec<&WireFrame>> {
        let mut by_ends: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for frame in &self.frames {
            if let [Some(from), Some(to)] = [frame.from, frame.to].map(|station| self.stations.node(station))
            {
                by_ends.entry([from, to]).or_default().push(frame);
            }
        }
        by_ends
    }

    /// The nodes that share a link with `node`.
    pub(super) fn peers(&self, node: NodeId) -> BTreeSet<NodeId> {
        let ends = self
            .links
            .values()
            .map(|link| link.ends.map(|station| self.stations.node(station)));
        ends.filter(|ends| ends.contains(&Some(node)))
            .flatten()
            .flatten()
            .filter(|peer| *peer != node)
            .collect()
    }

    /// Bytes that `from` sent on a link.
    pub(super) fn bytes_from(&self, link: &WireLink, from: NodeId) -> u64 {
        let sides = Side::BOTH.into_iter();
        sides
            .filter(|side| self.stations.node(link.ends[side.index()]) == Some(from))
            .map(|side| link.bytes[side.index()])
            .sum()
    }
}

const fn at(stamp: Stamp) -> At {
    At {
        time: Time(stamp.time.as_nanos()),
        mark: Mark(stamp.packet),
    }
}

const fn observed(link: LinkId) -> observer::LinkId {
    observer::LinkId(link.get())
}
