//! What one node said and heard in a capture, conversation by conversation: the script of a replay.
//!
//! A conversation begins with the first frame and ends when both `FIN`s are acknowledged (spec: midcomms 6);
//! what comes on later links is the next. Where a node began again without that, the first number on a new link
//! comes with other bytes than it had before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dlmwire_codec::{Carriage, Frame, Generation, Inner, LockspaceId, MessageClass, NodeId, Version};

use super::recording::{Recording, What, raw};
use crate::capture::LinkId;
use crate::exchange;

/// Lockspaces kept of a conversation; clusters have some dozens.
const LOCKSPACES_MAX: usize = 64;

/// The script of one node.
#[derive(Debug)]
pub(crate) struct Script {
    /// The newest version that the node was seen to speak.
    pub(crate) version: Version,
    /// The kernels that send as the node does, if what it sent tells.
    pub(crate) generation: Option<Generation>,
    /// Peers that were seen to speak 3.2.
    pub(crate) spoke_3_2: BTreeSet<NodeId>,
    /// Conversations by peer, in their order.
    pub(crate) peers: BTreeMap<NodeId, Vec<Conversation>>,
    /// The conversation that a link belongs to, by its place among the peer's.
    pub(crate) links: BTreeMap<LinkId, Part>,
}

/// A link's part in the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) peer: NodeId,
    pub(crate) conversation: usize,
    /// The record of its last frame.
    pub(crate) last: usize,
}

/// One conversation.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// The record at which it begins: the first link comes up, or the first frame.
    pub(crate) begin: usize,
    /// The record of the frame that ended it.
    pub(crate) end: Option<usize>,
    /// The lockspaces that it is about, the first [`LOCKSPACES_MAX`] of them.
    pub(crate) lockspaces: BTreeSet<LockspaceId>,
    /// What our node said.
    pub(crate) own: Said,
    /// What the peer said.
    pub(crate) peer: Said,
    /// Whether our node had removed the peer before its `FIN` came, as far as the order of frames tells.
    pub(crate) removed_before_fin: bool,
    /// Why it cannot be replayed.
    pub(crate) partial: Option<Partial>,
}

/// What one side of a conversation said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Numbered messages by number: the record of the first copy.
    pub(crate) numbers: BTreeMap<u32, usize>,
    /// Further copies.
    pub(crate) resent: u64,
    /// Its `FIN`'s number.
    pub(crate) fin: Option<u32>,
    /// What it acknowledged, record and number.
    pub(crate) acks: Vec<(usize, u32)>,
    /// The largest number acknowledged; what is replayed begins at 0 and is shorter than the wrap.
    pub(crate) acked: u32,
    /// All its frames.
    pub(crate) frames: u64,
    /// Whether its first frame was one that opens a conversation.
    opens: bool,
}

impl Said {
    /// The first number below `bound` that is not there.
    fn hole(&self, bound: u32) -> Option<u32> {
        let mut numbers = self.numbers.keys();
        (0..bound).find(|number| numbers.next() != Some(number))
    }

    /// The number behind the last.
    pub(crate) fn behind(&self) -> u32 {
        self.numbers
            .last_key_value()
            .map_or(0, |(number, _)| number.wrapping_add(1))
    }
}

/// Why a conversation cannot be replayed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Partial {
    /// Its beginning is not there.
    Midway,
    /// A message that the node sent is not there.
    OwnMissing {
        /// Its number.
        seq: u32,
    },
    /// A message that the node sent cannot be read, so that no application can send it again.
    OwnUnreadable {
        /// The packet that completed it.
        packet: u64,
    },
    /// A message that the node acknowledged is not there.
    PeerMissing {
        /// Its number.
        seq: u32,
    },
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Midway => f.write_str("its beginning is not in the capture"),
            Self::OwnMissing { seq } => write!(f, "the node's own number {seq} is not in the capture"),
            Self::OwnUnreadable { packet } => {
                write!(f, "the node's own message in packet {packet} cannot be read")
            }
            Self::PeerMissing { seq } => {
                write!(
                    f,
                    "number {seq}, which the node acknowledged, is not in the capture"
                )
            }
        }
    }
}

impl Script {
    /// Reads a node's script out of a recording.
    pub(crate) fn new(recording: &Recording, node: NodeId) -> Self {
        let mut reader = Reader {
            recording,
            node,
            script: Self {
                version: Version::V3_1,
                generation: None,
                spoke_3_2: BTreeSet::new(),
                peers: BTreeMap::new(),
                links: BTreeMap::new(),
            },
            links_up: BTreeMap::new(),
            first_numbered: first_numbered(recording),
            spoke: false,
            bare_names: None,
            wrapped_names: false,
        };
        for record in 0..recording.records().len() {
            reader.record(record);
        }
        reader.finish()
    }

    /// A conversation by its place.
    pub(crate) fn conversation(&self, part: Part) -> Option<&Conversation> {
        self.peers.get(&part.peer)?.get(part.conversation)
    }
}

/// The first numbered frame of each link, by the side that sent it.
fn first_numbered(recording: &Recording) -> BTreeMap<LinkId, [Option<usize>; 2]> {
    let mut first: BTreeMap<LinkId, [Option<usize>; 2]> = BTreeMap::new();
    for (record, of) in recording.records().iter().enumerate() {
        if let What::Frame { link, from, range } = &of.what
            && let Some(Ok(Frame::Opts(_))) = raw(recording.bytes(range)).map(|frame| frame.decode())
        {
            first.entry(*link).or_default()[from.index()].get_or_insert(record);
        }
    }
    first
}

struct Reader<'a> {
    recording: &'a Recording,
    node: NodeId,
    script: Script,
    /// The records at which links came up.
    links_up: BTreeMap<LinkId, usize>,
    first_numbered: BTreeMap<LinkId, [Option<usize>; 2]>,
    /// Whether the node said anything.
    spoke: bool,
    /// A peer that the node sent `NAMES` on their own.
    bare_names: Option<NodeId>,
    /// Whether it sent some in `OPTS`.
    wrapped_names: bool,
}

impl Reader<'_> {
    fn record(&mut self, record: usize) {
        match &self.recording.records()[record].what {
            What::LinkUp { link } => {
                self.links_up.insert(*link, record);
            }
            What::Frame { link, from, range } => {
                let Some((peer, side)) = self.recording.peer(self.node, *link) else {
                    return;
                };
                let decoded = raw(self.recording.bytes(range)).map(|frame| frame.decode());
                let conversation = self.conversation(*link, peer, record);
                if let Some(Ok(frame)) = decoded {
                    self.frame(
                        &frame,
                        record,
                        [peer, self.node][usize::from(*from == side)],
                        conversation,
                    );
                }
            }
            What::FramingLost { .. } | What::HalfClosed { .. } | What::LinkDown { .. } => {}
        }
    }

    /// The conversation that a link belongs to: decided by its first frame.
    fn conversation(&mut self, link: LinkId, peer: NodeId, record: usize) -> Part {
        if let Some(part) = self.script.links.get_mut(&link) {
            part.last = record;
            return *part;
        }
        let all = self.script.peers.entry(peer).or_default();
        let up = self.links_up.get(&link).copied().unwrap_or(record);
        let begin = match all.last() {
            None => Some(up),
            Some(last) => match last.end {
                Some(end) => Some(if end < up { up } else { record }),
                None if restarts(self.recording, last, self.node, self.first_numbered.get(&link)) => Some(up),
                None => None,
            },
        };
        if let Some(begin) = begin {
            all.push(Conversation {
                begin,
                ..Conversation::default()
            });
        }
        let part = Part {
            peer,
            conversation: all.len().saturating_sub(1),
            last: record,
        };
        self.script.links.insert(link, part);
        part
    }

    fn frame(&mut self, frame: &Frame<'_>, record: usize, sender: NodeId, part: Part) {
        let own = sender == self.node;
        if own {
            self.style(frame, part.peer);
        } else if frame.version() == Version::V3_2 {
            self.script.spoke_3_2.insert(part.peer);
        }
        let all = self.script.peers.entry(part.peer).or_default();
        let Some(conversation) = all.get_mut(part.conversation) else {
            return;
        };
        let lockspace = exchange::message(frame).and_then(|message| lockspace(&message));
        if conversation.lockspaces.len() < LOCKSPACES_MAX {
            conversation.lockspaces.extend(lockspace);
        }
        if own && frame.fields().is_err() {
            let packet = self.recording.stamp(record).packet;
            conversation
                .partial
                .get_or_insert(Partial::OwnUnreadable { packet });
        }
        let said = if own {
            &mut conversation.own
        } else {
            &mut conversation.peer
        };
        if said.frames == 0 {
            said.opens = MessageClass::of_frame(frame).is_some_and(|(class, _)| class.opens_conversation());
        }
        said.frames += 1;
        match frame {
            Frame::Ack(ack) => {
                said.acks.push((record, ack.seq.get()));
                said.acked = said.acked.max(ack.seq.get());
            }
            Frame::Opts(opts) => {
                let seq = opts.seq.get();
                let first = *said.numbers.entry(seq).or_insert(record);
                if first == record {
                    if opts.inner == Ok(Inner::Fin) {
                        said.fin = Some(seq);
                    }
                } else {
                    said.resent += 1;
                }
            }
            Frame::Msg(_) | Frame::Rcom(_) => {}
        }
        if conversation.end.is_none() && conversation.is_over() {
            conversation.end = Some(record);
        }
    }

    /// Notes what tells how the node sends.
    fn style(&mut self, frame: &Frame<'_>, peer: NodeId) {
        self.spoke = true;
        if frame.version() == Version::V3_2 {
            self.script.version = Version::V3_2;
        }
        match MessageClass::of_frame(frame) {
            Some((MessageClass::Names, Carriage::Bare)) => self.bare_names = Some(peer),
            Some((MessageClass::Names, Carriage::Wrapped)) => self.wrapped_names = true,
            Some(_) | None => {}
        }
    }

    fn finish(mut self) -> Script {
        if !self.spoke {
            self.script.version = Version::V3_2;
        }
        // Towards a 3.1 peer every generation sends NAMES on their own.
        let peer_knows = |peer| self.script.spoke_3_2.contains(&peer);
        self.script.generation = match self.script.version {
            Version::V3_1 => Some(Generation::Linux5_10),
            Version::V3_2 if self.wrapped_names => Some(Generation::Linux6_12),
            Version::V3_2 if self.bare_names.is_some_and(peer_knows) => Some(Generation::Linux6_1),
            Version::V3_2 => None,
        };
        for conversation in self.script.peers.values_mut().flatten() {
            conversation.complete(self.recording);
        }
        self.script
    }
}

/// The lockspace that a message is about.
const fn lockspace(message: &Inner<'_>) -> Option<LockspaceId> {
    match message {
        Inner::Msg(msg) => Some(msg.lockspace()),
        Inner::Rcom(rcom) => Some(rcom.lockspace()),
        Inner::Fin => None,
    }
}

/// Whether a new link begins again although the conversation is not over.
fn restarts(
    recording: &Recording,
    last: &Conversation,
    node: NodeId,
    first: Option<&[Option<usize>; 2]>,
) -> bool {
    let first = first.into_iter().flatten().flatten();
    first.copied().any(|record| {
        let bytes = recording.frame_bytes(record);
        let Some(Ok(Frame::Opts(opts))) = raw(bytes).map(|frame| frame.decode()) else {
            return false;
        };
        let said = if opts.node == node { &last.own } else { &last.peer };
        let before = said.numbers.get(&opts.seq.get());
        before.is_some_and(|before| recording.frame_bytes(*before) != bytes)
    })
}

impl Conversation {
    /// Whether both `FIN`s are acknowledged.
    fn is_over(&self) -> bool {
        let acked = |fin: Option<u32>, acks: &Said| fin.is_some_and(|fin| acks.acked > fin);
        acked(self.own.fin, &self.peer) && acked(self.peer.fin, &self.own)
    }

    /// Draws the conclusions once all of it is there.
    fn complete(&mut self, recording: &Recording) {
        self.partial = if self.begins_midway() {
            Some(Partial::Midway)
        } else if let Some(seq) = self.own.hole(self.own.behind()) {
            Some(Partial::OwnMissing { seq })
        } else if let Some(seq) = self.peer.hole(self.own.acked) {
            Some(Partial::PeerMissing { seq })
        } else {
            self.partial
        };
        self.removed_before_fin = self.answers_fin_at_once(recording);
    }

    /// Whether a side's first message is none that a kernel begins with, or its first number is not 0.
    fn begins_midway(&self) -> bool {
        [&self.own, &self.peer].into_iter().any(|said| {
            let first = said.numbers.keys().next();
            first.is_some_and(|first| *first != 0) || (said.frames > 0 && !said.opens)
        })
    }

    /// Whether the node's `FIN` came in the packet in which it acknowledged the peer's.
    fn answers_fin_at_once(&self, recording: &Recording) -> bool {
        let (Some(own), Some(peer)) = (self.own.fin, self.peer.fin) else {
            return false;
        };
        let packet = |record: usize| recording.stamp(record).packet;
        let ours = self.own.numbers.get(&own).map(|record| packet(*record));
        let mut acks = self.own.acks.iter();
        let ack = acks
            .find(|(_, ack)| *ack > peer)
            .map(|(record, _)| packet(*record));
        ours.is_some() && ours == ack
    }
}
