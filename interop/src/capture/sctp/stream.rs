//! One direction of an SCTP association: chunks in the order of their numbers.
//!
//! The kernel reads SCTP as a byte stream, so that neither user messages nor their pieces mean anything: chunks
//! are strung together. An unordered user message in one chunk is used when it comes.

use std::collections::BTreeMap;

use super::chunks::Data;
use crate::capture::deframe::{Deframer, Dialect, Origin};
use crate::capture::event::{Event, Gap, GapEvidence, HalfSent};
use crate::capture::reassembly::{Lane, Outlet};

/// What a waiting chunk costs beyond its bytes.
const WAITING_OVERHEAD: usize = 256;
/// Beyond this, a number was never part of the association.
const HOLE_CHUNKS_MAX: u64 = 1 << 20;

/// One direction.
#[derive(Debug)]
pub(super) struct Stream {
    /// The number of the next chunk. None until one was seen.
    next: Option<u32>,
    /// The same as a count that does not wrap; numbers below count like this.
    position: u64,
    /// How far the other side acknowledged.
    acked: u64,
    /// Chunks behind a hole.
    waiting: BTreeMap<u64, Waiting>,
    waiting_bytes: usize,
    /// DATA chunks seen.
    chunks: u64,
    deframer: Deframer,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    cut: u64,
    origin: Origin,
}

impl Stream {
    /// A direction of which nothing is known.
    pub(super) const fn new() -> Self {
        Self {
            next: None,
            position: 0,
            acked: 0,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            chunks: 0,
            deframer: Deframer::mid_stream(),
        }
    }

    /// The handshake says what the first chunk's number is.
    pub(super) fn begin(&mut self, first: u32) {
        self.next = Some(first);
        self.deframer = Deframer::aligned();
    }

    #[inline]
    pub(super) fn data(&mut self, data: &Data<'_>, limit: usize, lane: Lane, out: &mut Outlet<'_>) {
        self.chunks += 1;
        let origin = Origin {
            stamp: out.at,
            segment: self.chunks,
        };
        let next = *self.next.get_or_insert(data.tsn);
        if data.tsn == next && self.waiting.is_empty() {
            self.deliver(data.bytes, data.cut, origin, lane, out);
        } else {
            self.data_out_of_order(
                data,
                data.tsn.wrapping_sub(next).cast_signed(),
                origin,
                limit,
                lane,
                out,
            );
        }
    }

    /// The other side has everything up to and with `cumulative`.
    #[inline]
    pub(super) fn acked(&mut self, cumulative: u32, lane: Lane, out: &mut Outlet<'_>) {
        let Some(next) = self.next else { return };
        let ahead = cumulative.wrapping_add(1).wrapping_sub(next);
        if ahead == 0 || u64::from(ahead) > HOLE_CHUNKS_MAX {
            return;
        }
        self.acked = self.acked.max(self.position + u64::from(ahead));
        self.give_up_acked(lane, out);
    }

    /// The sender will not send anything up to and with `cumulative`.
    pub(super) fn forward(&mut self, cumulative: u32, lane: Lane, out: &mut Outlet<'_>) {
        let Some(next) = self.next else { return };
        let ahead = u64::from(cumulative.wrapping_add(1).wrapping_sub(next));
        if ahead > HOLE_CHUNKS_MAX {
            return;
        }
        let until = self.position + ahead;
        while self.position < until {
            let first = self
                .waiting
                .first_key_value()
                .map_or(until, |(&at, _)| at.min(until));
            self.give_up(first, GapEvidence::Forward, lane, out);
        }
    }

    /// What its frames have shown so far.
    #[inline]
    pub(super) const fn dialect(&self) -> Dialect {
        self.deframer.dialect()
    }

    /// Bytes that wait.
    #[inline]
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes + self.deframer.waiting_bytes()
    }

    /// What there is of a frame, with more of it to come.
    pub(super) fn half_sent(&self, out: &Outlet<'_>) -> Option<HalfSent> {
        self.deframer.half_sent(out.limits)
    }

    /// Ends the direction: what waits is used, what is known to be missing is told.
    pub(super) fn finish(&mut self, lane: Lane, out: &mut Outlet<'_>) -> Option<HalfSent> {
        while let Some((&first, _)) = self.waiting.first_key_value() {
            self.give_up(first, GapEvidence::End, lane, out);
        }
        if self.acked > self.position {
            self.skip(self.acked - self.position, GapEvidence::Acknowledged, lane, out);
        }
        self.deframer.finish(lane, out)
    }

    #[inline]
    fn deliver(&mut self, bytes: &[u8], cut: u64, origin: Origin, lane: Lane, out: &mut Outlet<'_>) {
        self.advance(1);
        self.push(bytes, cut, origin, lane, out);
    }

    #[inline]
    fn push(&mut self, bytes: &[u8], cut: u64, origin: Origin, lane: Lane, out: &mut Outlet<'_>) {
        self.deframer.push(bytes, origin, lane, out);
        if cut > 0 {
            self.deframer
                .gap(Gap::Bytes(cut), GapEvidence::Snapshot, lane, out);
        }
    }

    #[inline]
    fn advance(&mut self, count: u64) {
        self.position += count;
        // Truncation is the wrap of transmission sequence numbers.
        let [a, b, c, d, ..] = count.to_le_bytes();
        self.next = self
            .next
            .map(|next| next.wrapping_add(u32::from_le_bytes([a, b, c, d])));
    }

    #[cold]
    #[inline(never)]
    fn data_out_of_order(
        &mut self,
        data: &Data<'_>,
        ahead: i32,
        origin: Origin,
        limit: usize,
        lane: Lane,
        out: &mut Outlet<'_>,
    ) {
        let at = self.position.saturating_add_signed(i64::from(ahead));
        if ahead < 0 || self.waiting.contains_key(&at) {
            let differs = self
                .waiting
                .get(&at)
                .is_some_and(|first| ahead > 0 && first.bytes != data.bytes);
            out.stats.sctp.retransmitted_data += 1;
            let bytes = data.bytes.len() as u64 + data.cut;
            out.emit_on(
                lane,
                Event::Retransmitted {
                    link: lane.link,
                    from: lane.from,
                    bytes,
                    differs,
                },
            );
            return;
        }
        if at - self.position > HOLE_CHUNKS_MAX {
            out.stats.sctp.bad_chunks += 1;
            out.stats.unplaced_bytes += data.bytes.len() as u64 + data.cut;
            return;
        }
        let at_once = data.unordered && data.begins && data.ends;
        let (bytes, cut) = if at_once {
            (Vec::new(), 0)
        } else {
            (data.bytes.to_vec(), data.cut)
        };
        self.waiting_bytes += bytes.len() + WAITING_OVERHEAD;
        self.waiting.insert(at, Waiting { bytes, cut, origin });
        if at_once {
            self.push(data.bytes, data.cut, origin, lane, out);
        }
        self.drain(lane, out);
        self.give_up_acked(lane, out);
        while self.waiting_bytes > limit
            && let Some((&first, _)) = self.waiting.first_key_value()
        {
            self.give_up(first, GapEvidence::Overflow, lane, out);
        }
    }

    /// Delivers what waits and is due.
    fn drain(&mut self, lane: Lane, out: &mut Outlet<'_>) {
        while let Some(entry) = self
            .waiting
            .first_entry()
            .filter(|entry| *entry.key() <= self.position)
        {
            let waiting = entry.remove();
            self.waiting_bytes -= waiting.bytes.len() + WAITING_OVERHEAD;
            self.deliver(&waiting.bytes, waiting.cut, waiting.origin, lane, out);
        }
        debug_assert_eq!(
            self.waiting.is_empty(),
            self.waiting_bytes == 0,
            "what waits is accounted for"
        );
    }

    /// What the other side acknowledged is not to come any more.
    fn give_up_acked(&mut self, lane: Lane, out: &mut Outlet<'_>) {
        while let Some((&first, _)) = self.waiting.first_key_value() {
            if self.acked <= self.position {
                return;
            }
            self.give_up(first.min(self.acked), GapEvidence::Acknowledged, lane, out);
        }
    }

    fn give_up(&mut self, until: u64, evidence: GapEvidence, lane: Lane, out: &mut Outlet<'_>) {
        debug_assert!(until > self.position, "there is a hole before what waits");
        self.skip(until - self.position, evidence, lane, out);
        self.drain(lane, out);
    }

    fn skip(&mut self, chunks: u64, evidence: GapEvidence, lane: Lane, out: &mut Outlet<'_>) {
        self.advance(chunks);
        self.deframer.gap(Gap::Chunks(chunks), evidence, lane, out);
    }
}
