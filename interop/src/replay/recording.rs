//! What a capture tells, kept: a replay has to look ahead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use dlmwire_codec::{DecodeError, Limits, NodeId, RawFrame, Split, split};
use dlmwire_midcomms::observer::StationId;

use crate::capture::{Ending, Event, LinkId, Side, Sink, Stamp};
use crate::check::stations::Stations;

/// How much of a capture is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Bytes of frames.
    pub frame_bytes_max: usize,
    /// Events: frames, links that come and go.
    pub events_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            frame_bytes_max: 512 << 20,
            events_max: 4 << 20,
        }
    }
}

/// Keeps what a capture tells while it is read.
///
/// Memory is bounded by [`Bounds`]: what comes after that much is left out, and
/// [`Recording::is_whole`] says so.
#[derive(Debug)]
pub struct Recorder {
    bounds: Bounds,
    recording: Recording,
}

impl Recorder {
    /// A recorder that has seen nothing; `known` are node ids with their addresses, where the capture does not
    /// tell.
    pub fn new(known: &[(NodeId, IpAddr)], bounds: Bounds) -> Self {
        Self {
            bounds,
            recording: Recording {
                records: Vec::new(),
                bytes: Vec::new(),
                links: BTreeMap::new(),
                stations: Stations::new(known),
                is_whole: true,
            },
        }
    }

    /// The capture has ended.
    pub fn finish(self) -> Recording {
        self.recording
    }

    fn keep(&mut self, stamp: Stamp, what: What, bytes: &[u8]) {
        let kept = &mut self.recording;
        let room = kept.records.len() < self.bounds.events_max
            && kept.bytes.len().saturating_add(bytes.len()) <= self.bounds.frame_bytes_max;
        kept.is_whole &= room;
        if kept.is_whole {
            kept.bytes.extend_from_slice(bytes);
            kept.records.push(Record { stamp, what });
        }
    }
}

impl Sink for Recorder {
    fn event(&mut self, stamp: Stamp, event: Event<'_>) {
        match event {
            Event::LinkUp { link, ends, .. } => {
                let stations = ends.map(|end| self.recording.stations.resolve(end.addresses));
                if let [Some(a), Some(b)] = stations {
                    self.recording.links.insert(link, [a, b]);
                    self.keep(stamp, What::LinkUp { link }, &[]);
                }
            }
            Event::Frame {
                link, from, frame, ..
            }
            | Event::Late {
                link, from, frame, ..
            } => {
                let Some(ends) = self.recording.links.get(&link) else {
                    return;
                };
                if let Ok(frame) = frame.decode() {
                    self.recording.stations.learn(ends[from.index()], frame.node());
                }
                let start = self.recording.bytes.len();
                let range = start..start.saturating_add(frame.bytes().len());
                self.keep(stamp, What::Frame { link, from, range }, frame.bytes());
            }
            Event::FramingLost { link, from, error } => {
                self.keep(stamp, What::FramingLost { link, from, error }, &[]);
            }
            Event::HalfClosed { link, from } => self.keep(stamp, What::HalfClosed { link, from }, &[]),
            Event::LinkDown { link, why, .. } => self.keep(stamp, What::LinkDown { link, why }, &[]),
            Event::AddressAdded { link, side, address } => {
                if let Some(ends) = self.recording.links.get(&link) {
                    self.recording.stations.add_address(ends[side.index()], address);
                }
            }
            // What is not in the capture shows in the numbers.
            Event::Missing { .. }
            | Event::Refused { .. }
            | Event::Resynchronised { .. }
            | Event::Retransmitted { .. }
            | Event::SeenTwice { .. }
            | Event::Fragment { .. } => {}
        }
    }
}

/// A capture, as far as a replay needs it.
#[derive(Debug)]
pub struct Recording {
    records: Vec<Record>,
    /// All frames, one behind the other.
    bytes: Vec<u8>,
    /// The hosts at both ends, by side.
    links: BTreeMap<LinkId, [StationId; 2]>,
    stations: Stations,
    is_whole: bool,
}

impl Recording {
    /// Whether all of the capture is kept.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The nodes that sent something or that were told, in the order of their ids.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        let ends = self.links.values().flatten();
        ends.filter_map(|station| self.stations.node(*station)).collect()
    }

    /// What happened, in the order of the capture.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// What happened by the number that it has here.
    pub(crate) fn stamp(&self, record: usize) -> Stamp {
        self.records
            .get(record)
            .map_or_else(Stamp::default, |record| record.stamp)
    }

    /// The bytes of a frame.
    pub(crate) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or(&[])
    }

    /// The bytes of the frame that a record is about; none if it is about something else.
    pub(crate) fn frame_bytes(&self, record: usize) -> &[u8] {
        match self.records.get(record).map(|record| &record.what) {
            Some(What::Frame { range, .. }) => self.bytes(range),
            _ => &[],
        }
    }

    /// The node at the other end of a link of `node`, and the side that `node` is at.
    pub(crate) fn peer(&self, node: NodeId, link: LinkId) -> Option<(NodeId, Side)> {
        let ends = self.links.get(&link)?;
        let nodes = ends.map(|station| self.stations.node(station));
        Side::BOTH.into_iter().find_map(|side| {
            let peer = nodes[side.other().index()]?;
            (nodes[side.index()] == Some(node) && peer != node).then_some((peer, side))
        })
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) stamp: Stamp,
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum What {
    LinkUp {
        link: LinkId,
    },
    Frame {
        link: LinkId,
        from: Side,
        range: Range<usize>,
    },
    FramingLost {
        link: LinkId,
        from: Side,
        error: DecodeError,
    },
    HalfClosed {
        link: LinkId,
        from: Side,
    },
    LinkDown {
        link: LinkId,
        why: Ending,
    },
}

/// The frame that these bytes are.
pub(crate) fn raw(bytes: &[u8]) -> Option<RawFrame<'_>> {
    // A capture may be read with other limits than a kernel's; what was kept as a frame is one.
    let limits = Limits {
        frame_bytes_max: u16::MAX,
    };
    match split(bytes, limits) {
        Split::Frame { frame, .. } => Some(frame),
        Split::NeedMore { .. } | Split::Lost(_) => None,
    }
}
