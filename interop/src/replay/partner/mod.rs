//! One real engine in a captured node's place.
//!
//! What the others sent to the node is fed to the engine at the capture's times; what the node itself sent is its
//! application's script. The driver here is the shortest that obeys the drive rule: links take all bytes at once.

mod heard;
mod membership;
mod own;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{Config, Engine, LinkLimits, LinkRole, LinkUp, Outcome};
use dlmwire_midcomms::{LinkId as EngineLink, Time};

use super::receiving::Receiving;
use super::recording::{Recording, What};
use super::report::{Class, Report};
use super::script::{Conversation, Script};
use super::sending::Sending;
use crate::capture::{Ending, LinkId, Side};

/// Seconds in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// As long as the older kernels wait: the peers are kernels.
const SHUTDOWN_DEADLINE: u64 = 180 * SECOND;

/// Kernels replace links themselves, and the capture shows which.
const LINKS_PER_PEER_MAX: usize = 64;

/// Bytes of a peer's queue: a stuck kernel's grows as long as the capture lasts.
const QUEUE_BYTES_MAX: usize = 256 << 20;

/// Times that timers may ring one by one between two events of the capture; beyond, those that are due ring at once.
const RINGS_MAX: u32 = 64;

/// Takes a node's place.
pub(crate) struct Partner<'a> {
    recording: &'a Recording,
    script: &'a Script,
    node: NodeId,
    engine: Engine,
    now: Time,
    /// The record that is being looked at.
    record: usize,
    links: BTreeMap<LinkId, Link>,
    links_of: BTreeMap<NodeId, BTreeSet<LinkId>>,
    talks: BTreeMap<NodeId, Talk>,
    /// The read run that goes on.
    run: Option<Run>,
    /// A conversation that did not end is being ended, and what was queued is given up.
    is_letting_go: bool,
    report: Report,
}

/// A link that our engine knows.
#[derive(Clone, Copy, Debug)]
struct Link {
    peer: NodeId,
    /// It is down in the capture, but frames still come on it.
    is_late: bool,
}

/// Frames of one packet.
#[derive(Clone, Copy, Debug)]
struct Run {
    link: LinkId,
    peer: NodeId,
    packet: u64,
    /// Something was taken or had come before: an `ACK` is due.
    wants_ack: bool,
    /// Something had come before.
    repeated: bool,
}

/// The conversation with a peer that goes on.
#[derive(Debug, Default)]
struct Talk {
    conversation: usize,
    receiving: Receiving,
    sending: Sending,
    outcome: Option<Outcome>,
    /// A run of frames was not acknowledged for want of a link.
    owes_ack: bool,
    /// The link that was written to last.
    written_on: Option<LinkId>,
}

impl<'a> Partner<'a> {
    /// An engine in the place of `node`.
    pub(crate) fn new(recording: &'a Recording, script: &'a Script, node: NodeId) -> Self {
        let mut config = Config::new(node);
        config.version = script.version;
        config.generation = script.generation.unwrap_or(config.generation);
        config.shutdown_deadline = SHUTDOWN_DEADLINE;
        config.tombstone_lifetime = SHUTDOWN_DEADLINE;
        config.links_per_peer_max = LINKS_PER_PEER_MAX;
        config.queue_bytes_max = QUEUE_BYTES_MAX;
        config.bare_bytes_max = QUEUE_BYTES_MAX;
        // Every run that a kernel acknowledged is to be compared.
        config.ack_after_bytes = 0;
        let engine = match Engine::new(config) {
            Ok(engine) => engine,
            Err(error) => unreachable!("these bounds are wide enough: {error}"),
        };
        let report = Report::new(node, script.version, script.generation);
        Self {
            recording,
            script,
            node,
            engine,
            now: Time(0),
            record: 0,
            links: BTreeMap::new(),
            links_of: BTreeMap::new(),
            talks: BTreeMap::new(),
            run: None,
            is_letting_go: false,
            report,
        }
    }

    /// Plays the whole capture.
    pub(crate) fn play(mut self) -> Report {
        let mut begins: BTreeMap<usize, Vec<(NodeId, usize)>> = BTreeMap::new();
        for (peer, conversations) in &self.script.peers {
            for (number, conversation) in conversations.iter().enumerate() {
                begins
                    .entry(conversation.begin)
                    .or_default()
                    .push((*peer, number));
            }
        }
        let recording = self.recording;
        for (record, of) in recording.records().iter().enumerate() {
            if !self.continues_run(record) {
                self.end_run();
            }
            self.record = record;
            self.pass_time(of.stamp.time.as_nanos());
            for (peer, conversation) in begins.get(&record).into_iter().flatten() {
                self.begin(*peer, *conversation);
            }
            self.step(&of.what);
        }
        self.end_run();
        let peers: Vec<NodeId> = self.talks.keys().copied().collect();
        for peer in peers {
            self.end_talk(peer);
        }
        self.report
    }

    fn step(&mut self, what: &What) {
        match what {
            What::LinkUp { link } => self.link_up(*link),
            What::Frame { link, from, range } => {
                let Some((peer, side)) = self.recording.peer(self.node, *link) else {
                    return;
                };
                if *from == side {
                    self.own_frame(*link, peer);
                } else {
                    let recording = self.recording;
                    self.peer_frame(*link, peer, recording.bytes(range));
                }
                self.forget_late(*link);
            }
            What::FramingLost { link, from, error } => {
                if let Some(peer) = self.sender(*link, *from) {
                    self.engine
                        .handle_framing_lost(self.now, engine_link(*link), *error);
                    self.drain(peer, None);
                }
            }
            What::HalfClosed { link, from } => {
                if let Some(peer) = self.sender(*link, *from) {
                    self.engine.handle_link_end(self.now, engine_link(*link));
                    self.drain(peer, None);
                }
            }
            What::LinkDown { link, why } => self.link_down(*link, *why),
        }
    }

    /// The peer at this side of a link that the engine knows.
    fn sender(&self, link: LinkId, from: Side) -> Option<NodeId> {
        let (peer, side) = self.recording.peer(self.node, link)?;
        (self.links.contains_key(&link) && side != from).then_some(peer)
    }

    /// Lets the timers ring that are due before the next event.
    fn pass_time(&mut self, nanoseconds: u64) {
        let until = Time(nanoseconds.max(self.now.0));
        for ring in 0..=RINGS_MAX {
            let Some(at) = self.engine.poll_timeout().filter(|at| *at <= until) else {
                break;
            };
            self.now = if ring == RINGS_MAX {
                until
            } else {
                self.now.max(at)
            };
            while self.engine.handle_timeout(self.now).is_some() {}
            self.drain_all(Some(Reason::Timer));
        }
        self.now = until;
    }

    fn link_up(&mut self, link: LinkId) {
        let Some((peer, side)) = self.recording.peer(self.node, link) else {
            return;
        };
        let role = match side {
            Side::A => LinkRole::Dialed,
            Side::B => LinkRole::Accepted,
        };
        let up = LinkUp {
            node: peer,
            role,
            limits: LinkLimits::STREAM,
        };
        self.links.insert(link, Link { peer, is_late: false });
        self.links_of.entry(peer).or_default().insert(link);
        self.engine.handle_link_up(self.now, engine_link(link), up);
        self.drain(peer, None);
    }

    fn link_down(&mut self, link: LinkId, why: Ending) {
        // The end of the capture is not the end of its links.
        if why == Ending::EndOfCapture {
            return;
        }
        let Some(known) = self.links.get_mut(&link) else {
            return;
        };
        if matches!(why, Ending::Reset { .. } | Ending::Abort { .. })
            && let Some(talk) = self.talks.get_mut(&known.peer)
        {
            talk.receiving.link_reset(link);
        }
        // What was under way when a link was reset was perhaps read all the same.
        known.is_late = true;
        self.forget_late(link);
    }

    /// Lets go of a link that is down once the last frame has come on it.
    fn forget_late(&mut self, link: LinkId) {
        let last = self.script.links.get(&link).map(|part| part.last);
        let is_done = last.is_none_or(|last| last <= self.record);
        if is_done && self.links.get(&link).is_some_and(|known| known.is_late) {
            self.end_run();
            self.let_go(link);
        }
    }

    fn let_go(&mut self, link: LinkId) {
        if let Some(known) = self.links.remove(&link) {
            if let Some(links) = self.links_of.get_mut(&known.peer) {
                links.remove(&link);
            }
            self.engine.handle_link_down(self.now, engine_link(link));
            self.drain(known.peer, None);
        }
    }

    /// The conversation of a link's frame, if it is the one that goes on.
    fn current(&self, link: LinkId) -> Option<&'a Conversation> {
        let part = *self.script.links.get(&link)?;
        let talk = self.talks.get(&part.peer)?;
        let conversation = self.script.conversation(part)?;
        (talk.conversation == part.conversation).then_some(conversation)
    }

    fn spoke_3_2(&self, peer: NodeId) -> bool {
        self.script.spoke_3_2.contains(&peer)
    }

    fn differs(&mut self, class: Class, peer: NodeId, text: String) {
        self.differs_at(class, peer, self.record, text);
    }

    fn differs_at(&mut self, class: Class, peer: NodeId, record: usize, text: String) {
        let at = self.recording.stamp(record);
        self.report.differs(class, peer, at, text);
    }
}

/// Why the engine may have something to write.
#[derive(Clone, Copy, Debug)]
enum Reason {
    /// A run of frames ended.
    Run(Run),
    /// A timer rang.
    Timer,
}

const fn engine_link(link: LinkId) -> EngineLink {
    EngineLink(link.get())
}

/// The lockspaces that list the peer as a member during a conversation; a conversation that is about none has one
/// all the same.
fn lockspaces(conversation: &Conversation) -> impl Iterator<Item = LockspaceId> {
    let none = conversation.lockspaces.is_empty().then_some(LockspaceId::new(0));
    conversation.lockspaces.iter().copied().chain(none)
}
