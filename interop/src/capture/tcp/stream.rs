//! One direction of a TCP connection: segments in order, without holes where there need be none.

use std::collections::BTreeMap;

use crate::capture::deframe::{Deframer, Dialect, Origin};
use crate::capture::event::{Event, Gap, GapEvidence, HalfSent};
use crate::capture::reassembly::{Lane, Outlet};

/// What a waiting segment costs beyond its bytes.
const WAITING_OVERHEAD: usize = 256;
/// Beyond this, what waits behind a hole that nobody acknowledged was never part of the stream.
const HOLE_BYTES_MAX: u64 = 16 << 20;
/// Waiting segments that one segment is held against where it has no bytes to compare any more: 64 KiB, the longest
/// there is, in segments of an Ethernet's size. Beyond, a few bytes of a file would cost a walk over everything that waits.
const SPANNED_MAX: usize = 64;
/// No window is larger (RFC 7323); an acknowledgement further ahead is garbage.
const WINDOW_BYTES_MAX: u64 = 1 << 30;

/// Bytes of a segment: what was captured, then what the snapshot length cut off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) cut: u64,
}

impl Piece<'_> {
    #[inline]
    pub(super) const fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.cut
    }

    /// Everything up to `at`, and the rest.
    fn split_at(self, at: u64) -> (Self, Self) {
        let in_bytes = usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        let (head, tail) = self.bytes.split_at(in_bytes);
        let cut_before = at.saturating_sub(in_bytes as u64).min(self.cut);
        (
            Self {
                bytes: head,
                cut: cut_before,
            },
            Self {
                bytes: tail,
                cut: self.cut - cut_before,
            },
        )
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Stream {
    /// The sequence number of the next byte. None until a segment was seen.
    next: Option<u32>,
    /// The same as a position that does not wrap; positions below count like this.
    position: u64,
    /// How far the other side acknowledged.
    acked: u64,
    /// Where the FIN stands.
    fin: Option<u64>,
    half_closed: bool,
    /// Segments behind a hole, by position; they do not overlap.
    waiting: BTreeMap<u64, Waiting>,
    waiting_bytes: usize,
    /// Segments with data.
    segments: u64,
    deframer: Deframer,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    cut: u64,
    origin: Origin,
}

impl Waiting {
    fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.cut
    }
}

impl Stream {
    /// A direction of which nothing is known.
    pub(super) const fn new() -> Self {
        Self {
            next: None,
            position: 0,
            acked: 0,
            fin: None,
            half_closed: false,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            segments: 0,
            deframer: Deframer::mid_stream(),
        }
    }

    /// The handshake says what the first byte's number is.
    pub(super) fn begin(&mut self, first: u32) {
        self.next = Some(first);
        self.deframer = Deframer::aligned();
    }

    pub(super) const fn is_begun(&self) -> bool {
        self.next.is_some()
    }

    /// A segment with data.
    #[inline]
    pub(super) fn data(
        &mut self,
        seq: u32,
        piece: Piece<'_>,
        limit: usize,
        lane: Lane,
        out: &mut Outlet<'_>,
    ) {
        debug_assert!(piece.len() > 0, "a segment without data is not data");
        out.stats.tcp.data_segments += 1;
        let next = *self.next.get_or_insert(seq);
        if seq == next && self.waiting.is_empty() {
            self.segments += 1;
            let origin = Origin {
                stamp: out.at,
                segment: self.segments,
            };
            self.deliver(piece, origin, lane, out);
            if self.fin.is_some() {
                self.close_if_due(lane, out);
            }
        } else {
            self.data_out_of_order(seq.wrapping_sub(next).cast_signed(), piece, limit, lane, out);
        }
    }

    /// A FIN behind data that ends at sequence number `at`.
    pub(super) fn fin(&mut self, at: u32, lane: Lane, out: &mut Outlet<'_>) {
        let next = *self.next.get_or_insert(at);
        let ahead = i64::from(at.wrapping_sub(next).cast_signed());
        if let (None, Some(position)) = (self.fin, self.position.checked_add_signed(ahead)) {
            self.fin = Some(position);
        }
        self.close_if_due(lane, out);
    }

    /// The other side has everything before `ack`.
    #[inline]
    pub(super) fn acked(&mut self, ack: u32, lane: Lane, out: &mut Outlet<'_>) {
        let Some(next) = self.next else { return };
        let ahead = ack.wrapping_sub(next);
        if u64::from(ahead) > WINDOW_BYTES_MAX {
            return;
        }
        self.acked = self.acked.max(self.position + u64::from(ahead));
        if !self.waiting.is_empty() {
            self.give_up_acked(lane, out);
        }
    }

    /// Whether a receiver would believe a RST with this number: one that it has not gone past.
    pub(super) fn is_in_window(&self, seq: u32) -> bool {
        let Some(next) = self.next else { return true };
        let ahead = seq.wrapping_sub(next).cast_signed();
        let at = self.position.checked_add_signed(i64::from(ahead));
        self.acked == 0 || at.is_some_and(|at| at >= self.acked.min(self.position))
    }

    /// Whether a segment of at most one byte just before the next one is a keepalive probe.
    pub(super) fn is_keepalive(&self, seq: u32, len: u64) -> bool {
        len <= 1 && self.next.is_some_and(|next| next.wrapping_sub(seq) == 1)
    }

    pub(super) const fn is_half_closed(&self) -> bool {
        self.half_closed
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
        while let Some(first) = self.waiting.first_key_value().map(|(&at, _)| at) {
            if first.saturating_sub(self.position.max(self.acked)) > HOLE_BYTES_MAX {
                out.stats.unplaced_bytes += self.waiting.values().map(Waiting::len).sum::<u64>();
                break;
            }
            self.give_up(first, GapEvidence::End, lane, out);
        }
        let end = self.fin.unwrap_or(u64::MAX).min(self.acked);
        // An acknowledgement one ahead is that of a FIN that is not in the capture.
        if end > self.position + u64::from(self.fin.is_none()) {
            self.skip(end - self.position, GapEvidence::Acknowledged, lane, out);
        }
        self.deframer.finish(lane, out)
    }

    #[inline]
    fn deliver(&mut self, piece: Piece<'_>, origin: Origin, lane: Lane, out: &mut Outlet<'_>) {
        self.advance(piece.len());
        self.deframer.push(piece.bytes, origin, lane, out);
        if piece.cut > 0 {
            self.deframer
                .gap(Gap::Bytes(piece.cut), GapEvidence::Snapshot, lane, out);
        }
    }

    #[inline]
    fn advance(&mut self, count: u64) {
        self.position += count;
        // Truncation is the wrap of sequence numbers.
        let [a, b, c, d, ..] = count.to_le_bytes();
        self.next = self
            .next
            .map(|next| next.wrapping_add(u32::from_le_bytes([a, b, c, d])));
    }

    #[cold]
    #[inline(never)]
    fn data_out_of_order(
        &mut self,
        ahead: i32,
        piece: Piece<'_>,
        limit: usize,
        lane: Lane,
        out: &mut Outlet<'_>,
    ) {
        self.segments += 1;
        let origin = Origin {
            stamp: out.at,
            segment: self.segments,
        };
        let old = if ahead < 0 {
            u64::from(ahead.unsigned_abs()).min(piece.len())
        } else {
            0
        };
        let (_, fresh) = piece.split_at(old);
        let start = self.position + u64::try_from(ahead).unwrap_or(0);
        out.stats.tcp.out_of_order_segments += u64::from(start > self.position);
        let held = self.hold(start, fresh, origin);
        self.drain(lane, out);
        let seen = old + held.seen;
        out.stats.tcp.retransmitted_segments += u64::from(seen == piece.len());
        out.stats.tcp.differing_segments += u64::from(held.differs);
        if seen > 0 {
            out.emit_on(
                lane,
                Event::Retransmitted {
                    link: lane.link,
                    from: lane.from,
                    bytes: seen,
                    differs: held.differs,
                },
            );
        }
        self.give_up_acked(lane, out);
        while self.waiting_bytes > limit
            && let Some((&first, _)) = self.waiting.first_key_value()
        {
            self.give_up(first, GapEvidence::Overflow, lane, out);
        }
    }

    /// Keeps what is new of a piece. What waits already wins over later copies.
    fn hold(&mut self, mut start: u64, mut piece: Piece<'_>, origin: Origin) -> Held {
        let mut held = Held {
            seen: 0,
            differs: false,
        };
        let mut spanned = 0;
        while piece.len() > 0 && spanned < SPANNED_MAX {
            spanned += usize::from(piece.bytes.is_empty());
            if let Some((&at, before)) = self.waiting.range(..=start).next_back()
                && at + before.len() > start
            {
                let (known, rest) = piece.split_at(at + before.len() - start);
                let skip = usize::try_from(start - at).unwrap_or(usize::MAX);
                let first_copy = before.bytes.get(skip..).unwrap_or_default();
                held.differs |= first_copy.iter().zip(known.bytes).any(|(a, b)| a != b);
                held.seen += known.len();
                start += known.len();
                piece = rest;
                continue;
            }
            let room = self
                .waiting
                .range(start..)
                .next()
                .map_or(u64::MAX, |(&at, _)| at - start);
            let (fresh, rest) = piece.split_at(room);
            self.waiting_bytes += fresh.bytes.len() + WAITING_OVERHEAD;
            self.waiting.insert(
                start,
                Waiting {
                    bytes: fresh.bytes.to_vec(),
                    cut: fresh.cut,
                    origin,
                },
            );
            start += fresh.len();
            piece = rest;
        }
        held
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
            self.deliver(
                Piece {
                    bytes: &waiting.bytes,
                    cut: waiting.cut,
                },
                waiting.origin,
                lane,
                out,
            );
        }
        debug_assert_eq!(
            self.waiting.is_empty(),
            self.waiting_bytes == 0,
            "what waits is accounted for"
        );
        self.close_if_due(lane, out);
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

    fn skip(&mut self, count: u64, evidence: GapEvidence, lane: Lane, out: &mut Outlet<'_>) {
        self.advance(count);
        self.deframer.gap(Gap::Bytes(count), evidence, lane, out);
    }

    fn close_if_due(&mut self, lane: Lane, out: &mut Outlet<'_>) {
        if !self.half_closed && self.fin.is_some_and(|fin| fin <= self.position) {
            self.half_closed = true;
            out.emit_on(
                lane,
                Event::HalfClosed {
                    link: lane.link,
                    from: lane.from,
                },
            );
        }
    }
}

struct Held {
    /// Bytes that wait already.
    seen: u64,
    /// Whether some of them were others.
    differs: bool,
}
