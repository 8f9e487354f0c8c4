//! Reading: whole frames are handed out, and the end of a link comes behind what its peer's other links bring.

use std::io;

use dlmwire_codec::{Limits, NodeId, Split, split};
use dlmwire_midcomms::LinkId;
use dlmwire_transport::{Link, Received, Transport};

use super::{Phase, Slot};
use crate::application::Application;
use crate::clock::{after, earlier};
use crate::core::Core;
use crate::node::Node;

/// The end of a link that has been read and not been told to the engine yet.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Ending {
    link: LinkId,
    node: NodeId,
    in_order: bool,
    /// How many turns more it waits for the peer's other links.
    turns: u16,
}

/// Turns that the end of a link waits at most for what has come on the peer's other links: as many as it takes to read
/// the largest buffers that systems keep, 16 MiB a link, and still the end of a link cannot be kept back for ever.
const ENDING_TURNS_MAX: u16 = 256;

/// The shared read buffer, and memory for partial frames that wait outside it.
#[derive(Debug)]
pub(in crate::node) struct Buffers {
    read: Vec<u8>,
    /// Empty tails with capacity, from links that needed theirs no more.
    spare: Vec<Vec<u8>>,
}

/// Tails kept for links to come.
const SPARE_TAILS_MAX: usize = 16;

impl Buffers {
    pub(in crate::node) fn new(bytes: usize) -> Self {
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
    pub(in crate::node) fn queue_read(&mut self, id: LinkId) {
        if let Some(slot) = self.links.get_mut(&id)
            && !slot.queued
        {
            slot.queued = true;
            self.readable.push_back(id);
        }
    }

    /// Reads once from every link that has something, and hands the messages out; ends come behind them.
    pub(in crate::node) fn read<A: Application + ?Sized>(&mut self, app: &mut A) {
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
