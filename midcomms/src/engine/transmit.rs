//! What to write next, and what has been (design: the send queue is the wire).
//!
//! The order on a link: the rest of a frame that it has begun; then, at a frame boundary, what travels bare; then
//! the queue.

use dlmwire_codec::{HEADER_LEN, NodeId};

use super::Transmit;
use super::link::{Lent, Link, Phase};
use super::peer::Peer;
use super::send_queue::frame_length;
use super::turn::Turn;
use crate::LinkId;
use crate::state::State;

/// Lends what is to be written next on `link`, and notes it there. `own` is the sender.
pub(super) fn lend<'e>(
    own: NodeId,
    id: LinkId,
    link: &'e mut Link,
    peer: &'e mut Peer,
) -> Option<Transmit<'e>> {
    link.lent = Lent::default();
    if link.phase == Phase::Aborting {
        return None;
    }
    let sends = peer.sending == Some(id);
    if sends && peer.owed.is_some() && (peer.outlet.wants_to_write() || !peer.queue.is_drained()) {
        peer.queue_ack(own);
    }
    let mut transmit = Transmit::new();
    let Link {
        rest,
        rest_sent,
        farewell,
        farewell_sent,
        lent,
        limits,
        ..
    } = link;
    let rest = rest.get(*rest_sent..).unwrap_or_default();
    lent.rest = match limits.record_bytes_max {
        None => rest.len(),
        Some(bytes_max) => whole_frames(rest, bytes_max),
    };
    transmit.push(rest.get(..lent.rest).unwrap_or_default());
    if lent.rest < rest.len() {
        return Some(transmit);
    }
    let farewell = match farewell {
        // Nothing comes between the halves of a frame.
        Some(frame) if !(sends && peer.outlet.is_cut()) => frame.get(*farewell_sent..).unwrap_or_default(),
        Some(_) | None => &[],
    };
    if sends && !peer.outlet.is_cut() && (!farewell.is_empty() || peer.outlet.wants_to_write()) {
        lent.cut = peer.queue.cut_rest().len();
    }
    let peer = &*peer;
    if lent.cut > 0 {
        let cut = peer
            .queue
            .unsent(0)
            .next()
            .and_then(|slice| slice.get(..lent.cut));
        transmit.push(cut.unwrap_or_default());
    }
    lent.farewell = farewell.len();
    transmit.push(farewell);
    if sends {
        match limits.record_bytes_max {
            None => lend_stream(peer, lent, &mut transmit),
            Some(bytes_max) => lend_record(peer, bytes_max, lent, &mut transmit),
        }
    }
    (transmit.len() > 0).then_some(transmit)
}

fn lend_stream<'e>(peer: &'e Peer, lent: &mut Lent, transmit: &mut Transmit<'e>) {
    let Peer { queue, outlet, .. } = peer;
    let ack = ack_bytes(peer);
    lent.ack = ack.len();
    transmit.push(ack);
    lent.bare = outlet.frame_bytes().len();
    transmit.push(outlet.frame_bytes());
    for slice in queue.unsent(lent.cut) {
        if !transmit.push(slice) {
            break;
        }
        lent.queue = lent.queue.saturating_add(slice.len());
    }
}

/// The `ACK` that may be written now.
///
/// One that ends the peer's side of the conversation goes behind what it still has to acknowledge: a kernel that gets
/// it forgets what it has received, and would take what comes again for new.
fn ack_bytes(peer: &Peer) -> &[u8] {
    let outlet = &peer.outlet;
    let is_last = peer.state == State::Closing && !peer.queue.is_drained();
    if is_last && !outlet.is_cut() {
        &[]
    } else {
        outlet.ack_bytes()
    }
}

/// Whole frames, as many as a record takes.
fn lend_record<'e>(peer: &'e Peer, bytes_max: usize, lent: &mut Lent, transmit: &mut Transmit<'e>) {
    let Peer { queue, outlet, .. } = peer;
    let mut left = bytes_max.saturating_sub(transmit.len());
    let mut take = |bytes: &'e [u8]| {
        let whole = whole_frames(bytes, left);
        left = left.saturating_sub(whole);
        let taken = bytes.get(..whole).unwrap_or_default();
        (transmit.push(taken), whole)
    };
    (_, lent.ack) = take(ack_bytes(peer));
    (_, lent.bare) = take(outlet.frame_bytes());
    for slice in queue.unsent(lent.cut) {
        let (pushed, whole) = take(slice);
        if !pushed {
            break;
        }
        lent.queue = lent.queue.saturating_add(whole);
        if whole < slice.len() {
            break;
        }
    }
}

/// Bytes of the frames at the start of `bytes` that fit into `room` together.
fn whole_frames(bytes: &[u8], room: usize) -> usize {
    let mut end = 0;
    while end < bytes.len() {
        let next = frame_length(bytes, end).saturating_add(end);
        if next > room {
            break;
        }
        end = next;
    }
    end
}

impl Turn<'_> {
    /// The link took `bytes` of what it was lent last.
    pub(super) fn transmitted(&mut self, link: LinkId, bytes: usize) {
        let Some(known) = self.common.links.get_mut(&link) else {
            return;
        };
        let mut lent = std::mem::take(&mut known.lent);
        if self.peer.sending != Some(link) {
            // The queue was given another link, or reset, since it was lent.
            lent = Lent {
                rest: lent.rest,
                farewell: lent.farewell,
                ..Lent::default()
            };
        }
        let mut left = bytes;
        let mut share = |lent: usize| {
            let taken = lent.min(left);
            left = left.saturating_sub(taken);
            taken
        };
        known.advance_rest(share(lent.rest));
        self.peer.queue.advance(share(lent.cut));
        let farewell = share(lent.farewell);
        known.farewell_sent = known.farewell_sent.saturating_add(farewell);
        if farewell > 0 && known.farewell_sent >= HEADER_LEN {
            known.farewell = None;
            known.farewell_sent = 0;
            self.peer.counters.acks_sent = self.peer.counters.acks_sent.saturating_add(1);
        }
        let ack = share(lent.ack);
        if ack > 0 && self.peer.outlet.advance_ack(ack) {
            self.peer.counters.acks_sent = self.peer.counters.acks_sent.saturating_add(1);
        }
        let bare = share(lent.bare);
        if bare > 0 {
            self.peer.outlet.advance_frames(bare);
            self.after_release();
        }
        self.peer.queue.advance(share(lent.queue));
        let resent = self.peer.queue.take_resent();
        self.peer.counters.resent = self.peer.counters.resent.saturating_add(resent);
        if !self.peer.is_numbered(self.common.config.version) {
            self.peer.queue.release_transmitted(&mut self.common.pool);
            self.after_release();
        }
    }
}
