//! A node's links: reading, writing, and how they end.

use std::io;

use dlmwire_codec::{Limits, NodeId, Split, split};
use dlmwire_midcomms::engine::{Close, LinkLimits, LinkRole, LinkUp};
use dlmwire_midcomms::{LinkId, Time};
use dlmwire_transport::{Accepted, Link, Received, Transport};

use super::Node;
use crate::application::Application;
use crate::clock::{after, earlier};
use crate::core::Core;
use crate::event::NodeEvent;
use crate::status::LinkStatus;

/// Writes to one link in one turn, before the others get theirs.
const WRITES_PER_TURN_MAX: usize = 16;

/// A link and what the loop knows of it.
#[derive(Debug)]
pub(super) struct Slot<L> {
    link: L,
    node: NodeId,
    role: LinkRole,
    phase: Phase,
    /// The start of a frame whose rest has not come, since `tail_since`.
    tail: Vec<u8>,
    tail_since: Time,
    /// The link is in the queue of links to read.
    queued: bool,
    /// Nothing can be written until the transport says so.
    blocked: bool,
    /// The peer has closed its direction.
    ended: bool,
    /// Nothing is read from it any more: its end is about to be told.
    over: bool,
}

/// The end of a link that has been read and not been told to the engine yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    link: LinkId,
    node: NodeId,
    in_order: bool,
    /// How many turns more it waits for the peer's other links.
    turns: u16,
}

/// Turns that the end of a link waits at most for what has come on the peer's other links: as many as it takes to read
/// the largest buffers that systems keep, 16 MiB a link, and still the end of a link cannot be kept back for ever.
const ENDING_TURNS_MAX: u16 = 256;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Not connected yet, unknown to the engine.
    Dialing,
    Up,
    /// To be closed once nothing is left to write.
    Flushing {
        by: Time,
    },
    /// Our direction is closed, the peer's is waited for.
    Draining {
        by: Time,
    },
    /// Writing failed: what the peer wrote before that is read, then the link is lost. Kernels do not write it again.
    Broken {
        by: Time,
    },
}

impl<L: Link> Slot<L> {
    pub(super) const fn dialing(node: NodeId, link: L) -> Self {
        Self::new(node, link, LinkRole::Dialed, Phase::Dialing)
    }

    const fn new(node: NodeId, link: L, role: LinkRole, phase: Phase) -> Self {
        Self {
            link,
            node,
            role,
            phase,
            tail: Vec::new(),
            tail_since: Time(0),
            queued: false,
            blocked: false,
            ended: false,
            over: false,
        }
    }

    pub(super) fn status(&self, id: LinkId, sending: Option<LinkId>) -> LinkStatus {
        let role = match self.role {
            LinkRole::Dialed => "dialed",
            LinkRole::Accepted => "accepted",
        };
        let phase = match self.phase {
            Phase::Dialing => "dialing",
            Phase::Up => "up",
            Phase::Flushing { .. } => "flushing",
            Phase::Draining { .. } => "draining",
            Phase::Broken { .. } => "broken",
        };
        LinkStatus {
            link: id.0,
            peer_address: self.link.peer_address(),
            role: role.to_owned(),
            sending: sending == Some(id),
            phase: phase.to_owned(),
        }
    }
}

/// The shared read buffer, and memory for partial frames that wait outside it.
#[derive(Debug)]
pub(super) struct Buffers {
    read: Vec<u8>,
    /// Empty tails with capacity, from links that needed theirs no more.
    spare: Vec<Vec<u8>>,
}

/// Tails kept for links to come.
const SPARE_TAILS_MAX: usize = 16;

impl Buffers {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            read: vec![0; bytes],
            spare: Vec::new(),
        }
    }

    /// Keeps `rest` as the link's tail.
    fn keep(&mut self, from: usize, to: usize, tail: &mut Vec<u8>) {
        let rest = self.read.get(from..to).unwrap_or_default();
        if rest.is_empty() {
            if tail.capacity() > 0 && self.spare.len() < SPARE_TAILS_MAX {
                tail.clear();
                self.spare.push(std::mem::take(tail));
            } else {
                *tail = Vec::new();
            }
            return;
        }
        if tail.capacity() == 0 {
            *tail = self
                .spare
                .pop()
                .unwrap_or_else(|| Vec::with_capacity(TAIL_BYTES_MAX));
        }
        tail.clear();
        tail.extend_from_slice(rest);
    }
}

/// A tail is shorter than the longest frame.
const TAIL_BYTES_MAX: usize = dlmwire_midcomms::engine::FRAME_BYTES_MAX;

/// What a read left behind.
enum After {
    /// Nothing more for now.
    Quiet,
    /// The buffer was filled: there is likely more.
    More,
    /// The peer has closed its direction.
    End,
    /// The link is lost.
    Lost(io::Error),
}

impl<T: Transport> Node<T> {
    pub(super) fn accepted(&mut self, id: LinkId, accepted: Accepted<T::Link>) {
        let slot = Slot::new(accepted.node, accepted.link, LinkRole::Accepted, Phase::Up);
        self.links.insert(id, Box::new(slot));
        self.link_up(id, accepted.node, LinkRole::Accepted);
    }

    pub(super) fn dialed(&mut self, id: LinkId) {
        let Some(slot) = self.links.get_mut(&id) else {
            return;
        };
        slot.phase = Phase::Up;
        let node = slot.node;
        self.core.dialer.settled(node);
        self.link_up(id, node, LinkRole::Dialed);
    }

    fn link_up(&mut self, id: LinkId, node: NodeId, role: LinkRole) {
        let limits = LinkLimits {
            record_bytes_max: self.transport.capabilities().record_bytes_max,
        };
        self.core.link_up(node, id);
        self.core
            .engine
            .handle_link_up(self.core.now, id, LinkUp { node, role, limits });
    }

    pub(super) fn dial_failed(&mut self, id: LinkId, error: io::ErrorKind) {
        let Some(slot) = self.links.remove(&id) else {
            return;
        };
        self.retry(slot.node, error);
    }

    pub(super) fn queue_read(&mut self, id: LinkId) {
        if let Some(slot) = self.links.get_mut(&id)
            && !slot.queued
        {
            slot.queued = true;
            self.readable.push_back(id);
        }
    }

    pub(super) fn unblock(&mut self, id: LinkId) {
        if let Some(slot) = self.links.get_mut(&id) {
            slot.blocked = false;
            self.core.touch(slot.node);
        }
    }

    /// Reads once from every link that has something, and hands the messages out; ends come behind them.
    pub(super) fn read<A: Application + ?Sized>(&mut self, app: &mut A) {
        for _ in 0..self.readable.len() {
            let Some(id) = self.readable.pop_front() else {
                break;
            };
            let Some(slot) = self.links.get_mut(&id) else {
                continue;
            };
            slot.queued = false;
            if slot.over {
                continue;
            }
            let outcome = read_link(&mut self.core, &mut self.buffers, slot, id, app);
            if !slot.tail.is_empty() {
                let due = after(slot.tail_since, self.core.config.partial_frame_deadline);
                self.links_due = earlier(self.links_due, Some(due));
            }
            match outcome {
                After::Quiet if matches!(slot.phase, Phase::Broken { .. }) => self.is_over(id, false),
                After::Quiet => {}
                After::More => self.queue_read(id),
                After::End => self.is_over(id, true),
                After::Lost(error) => {
                    tracing::debug!("node {}: link {} lost: {error}", slot.node, id.0);
                    self.is_over(id, false);
                }
            }
        }
        self.tell_endings();
    }

    fn is_over(&mut self, id: LinkId, in_order: bool) {
        if let Some(slot) = self.links.get_mut(&id) {
            slot.over = true;
            self.endings.push_back(Ending {
                link: id,
                node: slot.node,
                in_order,
                turns: ENDING_TURNS_MAX,
            });
        }
    }

    /// Tells the ends of links whose peers have nothing else to be read. The `ACK` of what was sent on a link may wait on
    /// another: with the end before it, everything would be sent again, to a peer that may be done and would take it for
    /// the next conversation.
    fn tell_endings(&mut self) {
        for _ in 0..self.endings.len() {
            let Some(mut ending) = self.endings.pop_front() else {
                break;
            };
            if ending.turns > 0 && self.has_unread(ending.node) {
                ending.turns -= 1;
                self.endings.push_back(ending);
            } else if ending.in_order {
                self.ended(ending.link);
            } else {
                self.drop_link(ending.link);
            }
        }
    }

    fn has_unread(&self, node: NodeId) -> bool {
        let peer = self.core.peers.get(&node);
        let mut links = peer.into_iter().flat_map(|peer| &peer.links);
        links.any(|id| self.links.get(id).is_some_and(|slot| slot.queued && !slot.over))
    }

    /// The peer has closed its direction: what is queued still goes out.
    fn ended(&mut self, id: LinkId) {
        let Some(slot) = self.links.get_mut(&id) else {
            return;
        };
        slot.ended = true;
        slot.tail = Vec::new();
        match slot.phase {
            Phase::Draining { .. } => self.drop_link(id),
            Phase::Broken { .. } => {
                self.core.engine.handle_link_end(self.core.now, id);
                self.drop_link(id);
            }
            Phase::Dialing | Phase::Up | Phase::Flushing { .. } => {
                self.core.engine.handle_link_end(self.core.now, id);
                self.core.touch(slot.node);
            }
        }
    }

    /// Closes a link and says so to the engine.
    fn drop_link(&mut self, id: LinkId) {
        if let Some(slot) = self.links.remove(&id) {
            self.core.link_down(slot.node, id);
        }
    }

    /// Carries out the engine's order.
    pub(super) fn close(&mut self, id: LinkId, how: Close) {
        let Some(slot) = self.links.get_mut(&id) else {
            return;
        };
        match how {
            Close::Abort => {
                if let Some(slot) = self.links.remove(&id) {
                    slot.link.abort();
                    self.core.link_down(slot.node, id);
                }
            }
            Close::AfterFlush => {
                if slot.phase == Phase::Up {
                    let by = after(self.core.now, self.core.config.flush_deadline);
                    slot.phase = Phase::Flushing { by };
                    self.links_due = earlier(self.links_due, Some(by));
                }
                self.core.touch(slot.node);
            }
        }
    }

    /// Writes for every touched peer.
    pub(super) fn write(&mut self) {
        for _ in 0..self.core.touched.len() {
            let Some(node) = self.core.next_touched() else {
                break;
            };
            let mut at = 0;
            while let Some((id, links)) = self.core.link_of(node, at) {
                at = match self.write_link(id) {
                    Wrote::Fine => at + 1,
                    Wrote::Lost => 0,
                };
                // As nearly always: the peer is not looked up once more.
                if at == links {
                    break;
                }
            }
        }
    }

    fn write_link(&mut self, id: LinkId) -> Wrote {
        let Some(slot) = self.links.get_mut(&id) else {
            return Wrote::Fine;
        };
        if slot.blocked
            || matches!(
                slot.phase,
                Phase::Dialing | Phase::Draining { .. } | Phase::Broken { .. }
            )
        {
            return Wrote::Fine;
        }
        for _ in 0..WRITES_PER_TURN_MAX {
            let Some(transmit) = self.core.engine.poll_transmit(id) else {
                let Phase::Flushing { by } = slot.phase else {
                    return Wrote::Fine;
                };
                return self.flushed(id, by);
            };
            let offered = transmit.len();
            match slot.link.send(transmit.slices()) {
                Ok(taken) => {
                    self.core.engine.handle_transmitted(self.core.now, id, taken);
                    if taken < offered {
                        slot.blocked = true;
                        return Wrote::Fine;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    slot.blocked = true;
                    return Wrote::Fine;
                }
                Err(error) => {
                    self.write_failed(id, &error);
                    return Wrote::Fine;
                }
            }
        }
        self.core.touch(slot.node);
        Wrote::Fine
    }

    /// Nothing can be written any more. What came before is read first: its sender believes it taken.
    fn write_failed(&mut self, id: LinkId, error: &io::Error) {
        if let Some(slot) = self.links.get_mut(&id) {
            tracing::debug!("node {}: link {} takes nothing: {error}", slot.node, id.0);
            let by = after(self.core.now, self.core.config.flush_deadline);
            slot.phase = Phase::Broken { by };
            self.links_due = earlier(self.links_due, Some(by));
            self.queue_read(id);
        }
    }

    /// Nothing is left to write on a link that is to be closed: it is closed now, so that the peer gets everything.
    fn flushed(&mut self, id: LinkId, by: Time) -> Wrote {
        let Some(slot) = self.links.get_mut(&id) else {
            return Wrote::Fine;
        };
        // Without half-close the peer may still have sent what it now never sends again: it is heard to the end, too.
        if slot.ended || slot.link.close_send().is_err() {
            self.drop_link(id);
            return Wrote::Lost;
        }
        slot.phase = Phase::Draining { by };
        Wrote::Fine
    }

    pub(super) fn run_link_timers(&mut self) {
        let now = self.core.now;
        let half_close = self.transport.capabilities().half_close;
        let deadline = self.core.config.partial_frame_deadline;
        let due: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, slot)| slot.due(deadline).is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(slot) = self.links.remove(&id) else {
                continue;
            };
            let node = slot.node;
            match slot.phase {
                Phase::Flushing { .. } => {
                    self.core
                        .notices
                        .push_back(NodeEvent::FlushTimedOut { node, link: id });
                }
                Phase::Dialing | Phase::Up => {
                    let bytes = slot.tail.len();
                    self.core.notices.push_back(NodeEvent::PartialFrame {
                        node,
                        link: id,
                        bytes,
                    });
                }
                Phase::Draining { .. } | Phase::Broken { .. } => {}
            }
            if matches!(slot.phase, Phase::Draining { .. }) && !half_close {
                // It is closed already, as far as we can; the system sees to the rest.
                drop(slot.link);
            } else {
                slot.link.abort();
            }
            self.core.link_down(node, id);
        }
        self.links_due = self
            .links
            .values()
            .fold(None, |soonest, slot| earlier(soonest, slot.due(deadline)));
    }
}

impl<L> Slot<L> {
    /// When the link is too late with something.
    fn due(&self, partial_frame_deadline: std::time::Duration) -> Option<Time> {
        let tail = (!self.tail.is_empty()).then(|| after(self.tail_since, partial_frame_deadline));
        match self.phase {
            Phase::Dialing | Phase::Up => tail,
            Phase::Flushing { by } | Phase::Draining { by } | Phase::Broken { by } => Some(by),
        }
    }
}

/// Whether the link is still there.
#[derive(PartialEq, Eq)]
enum Wrote {
    Fine,
    Lost,
}

/// Reads once and hands out the whole frames.
fn read_link<L: Link, A: Application + ?Sized>(
    core: &mut Core,
    buffers: &mut Buffers,
    slot: &mut Slot<L>,
    id: LinkId,
    app: &mut A,
) -> After {
    let kept = slot.tail.len();
    if let Some(start) = buffers.read.get_mut(..kept) {
        start.copy_from_slice(&slot.tail);
    }
    let room = buffers.read.get_mut(kept..).unwrap_or_default();
    let space = room.len();
    let read = match slot.link.receive(room) {
        Ok(Received::Bytes(read)) => read,
        Ok(Received::End) => return After::End,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return After::Quiet,
        Err(error) => return After::Lost(error),
    };
    let filled = kept + read;
    let whole = hand_out(core, buffers.read.get(..filled).unwrap_or_default(), id, app);
    core.engine.handle_read_done(core.now, id);
    core.touch(slot.node);
    buffers.keep(whole, filled, &mut slot.tail);
    if whole > 0 || kept == 0 {
        slot.tail_since = core.now;
    }
    if read == space { After::More } else { After::Quiet }
}

/// Hands out whole frames and says how many bytes they were. Once framing is lost the rest is nobody's.
fn hand_out<A: Application + ?Sized>(core: &mut Core, bytes: &[u8], id: LinkId, app: &mut A) -> usize {
    let mut rest = bytes;
    loop {
        match split(rest, Limits::KERNEL) {
            Split::Frame { frame, rest: behind } => {
                rest = behind;
                // Violations are counted, and told as events; a link that is to be aborted gives nothing more.
                if let Ok(Some(delivery)) = core.engine.handle_frame(core.now, id, frame) {
                    core.deliver(app, &delivery);
                }
            }
            Split::NeedMore { .. } => return bytes.len() - rest.len(),
            Split::Lost(error) => {
                core.engine.handle_framing_lost(core.now, id, error);
                return bytes.len();
            }
        }
    }
}
