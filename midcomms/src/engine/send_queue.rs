//! The send queue is the wire: a peer's frames, encoded once, as the bytes that will be written.
//!
//! Frames stand in segments, in order. Three positions divide them: what is acknowledged has been released at the
//! front; up to the *cursor* bytes have been given to the link; behind it nothing has been. A new link moves the
//! cursor back to the front, so that a resend writes the very same bytes. The queue keeps nothing per frame:
//! lengths are read from the frames themselves.
//!
//! Kernels keep this queue without a bound, because holding messages back could deadlock the recovery that they
//! belong to: the cluster manager has to decide about a peer that takes nothing. Deviation (V5): here it is bounded
//! in memory and its owner is told, so that somebody can decide in time. A kernel peer sees nothing of it.

use std::hash::{Hash, Hasher};

use dlmwire_codec::Seq;

pub(crate) use super::segment_pool::SEGMENT_BYTES;
use super::segment_pool::SegmentPool;

/// Where `h_length` stands in every frame.
const AT_LENGTH: usize = 12;

/// Frames that lie next to each other.
#[derive(Clone, Debug)]
struct Segment {
    /// All of the segment's memory: behind `end` stands what nobody has committed, or old bytes.
    bytes: Vec<u8>,
    /// The first byte that is not released.
    start: usize,
    /// Behind the last committed byte.
    end: usize,
    /// The number of the frame at `start`, so that whole segments need not be walked through.
    first: Seq,
}

impl Segment {
    fn held(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Bytes that it can still take.
    #[inline]
    const fn room(&self) -> usize {
        SEGMENT_BYTES.wrapping_sub(self.end)
    }
}

/// A place in the queue: a segment's index and a byte in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Position {
    segment: usize,
    byte: usize,
}

/// What is queued for a peer and not acknowledged.
#[derive(Clone, Debug)]
pub(super) struct SendQueue {
    /// Released only whole and all that are at once, so that what moves up is less than what is written.
    segments: Vec<Segment>,
    /// The next byte for the link.
    cursor: Position,
    /// A frame boundary at or before the cursor, not before the frame that the cursor is in.
    boundary: Position,
    /// The number of the frame at `boundary`.
    boundary_seq: Seq,
    /// The next number to give.
    next_seq: Seq,
    /// Behind the last number that was ever given to a link whole.
    sent_seq: Seq,
    count: u32,
    bytes: usize,
    /// Frames that a link got whole after an earlier one had, since this was last asked for.
    resent: u64,
}

impl SendQueue {
    pub(super) const fn new(start: Seq) -> Self {
        Self {
            segments: Vec::new(),
            cursor: Position { segment: 0, byte: 0 },
            boundary: Position { segment: 0, byte: 0 },
            boundary_seq: start,
            next_seq: start,
            sent_seq: start,
            count: 0,
            bytes: 0,
            resent: 0,
        }
    }

    /// The number that the next committed frame gets.
    pub(super) const fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// The number of the oldest frame, or the next one if there is none.
    pub(super) const fn first_seq(&self) -> Seq {
        self.next_seq.plus(0_u32.wrapping_sub(self.count))
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.segments.len().saturating_mul(SEGMENT_BYTES)
    }

    /// Room for a frame at the tail, or `None` if the queue may not grow. Nothing happens before
    /// [`commit`](Self::commit).
    #[inline(always)]
    pub(super) fn room(
        &mut self,
        length: usize,
        limit_bytes: usize,
        pool: &mut SegmentPool,
    ) -> Option<&mut [u8]> {
        let fits = self.segments.last().is_some_and(|last| last.room() >= length);
        if !fits && !self.grow(limit_bytes, pool) {
            return None;
        }
        Some(self.uncommitted(length))
    }

    /// Appends a segment, if the queue may have another.
    #[cold]
    fn grow(&mut self, limit_bytes: usize, pool: &mut SegmentPool) -> bool {
        if self.memory_bytes().saturating_add(SEGMENT_BYTES) > limit_bytes {
            return false;
        }
        if self.segments.capacity() == 0 {
            // Most queues never have more than one.
            self.segments.reserve_exact(1);
        }
        self.segments.push(Segment {
            bytes: pool.take(),
            start: 0,
            end: 0,
            first: self.next_seq,
        });
        true
    }

    /// The `length` bytes that [`room`](Self::room) gave last and that are not committed.
    #[inline]
    pub(super) fn uncommitted(&mut self, length: usize) -> &mut [u8] {
        let Some(last) = self.segments.last_mut() else {
            return &mut [];
        };
        let end = last.end.wrapping_add(length);
        last.bytes.get_mut(last.end..end).unwrap_or_default()
    }

    /// The frame of `length` bytes that was written into [`room`](Self::room) is sent in its turn. Its number.
    #[inline]
    pub(super) fn commit(&mut self, length: usize) -> Seq {
        let Some(last) = self.segments.last_mut() else {
            unreachable!("room comes before commit");
        };
        debug_assert!(
            frame_length(&last.bytes, last.end) == length,
            "a frame says how long it is"
        );
        // None of them can wrap: they count what stands in memory.
        last.end = last.end.wrapping_add(length);
        debug_assert!(last.end <= last.bytes.len(), "room was for this frame");
        self.bytes = self.bytes.wrapping_add(length);
        self.count = self.count.wrapping_add(1);
        let seq = self.next_seq;
        self.next_seq = seq.next();
        seq
    }

    /// Whether everything was given to the link.
    pub(super) fn is_drained(&self) -> bool {
        self.unsent(0).next().is_none()
    }

    fn unsent_bytes(&self) -> usize {
        let mut unsent = 0_usize;
        for (index, segment) in self.segments.iter().enumerate().skip(self.cursor.segment) {
            let from = if index == self.cursor.segment {
                self.cursor.byte
            } else {
                segment.start
            };
            unsent = unsent.saturating_add(segment.end.saturating_sub(from));
        }
        unsent
    }

    /// Behind the last number that was ever given to a link whole: nobody can have more.
    pub(super) fn sent_seq(&mut self) -> Seq {
        self.settle();
        self.sent_seq
    }

    /// The same, looked up from as far as the positions were brought.
    fn reached(&self) -> Seq {
        let (_, seq) = self.settled();
        if self.sent_seq.before(seq) {
            seq
        } else {
            self.sent_seq
        }
    }

    /// The number of the frame that the cursor is at or in, or the next one.
    pub(super) fn cursor_seq(&mut self) -> Seq {
        self.settle();
        self.boundary_seq
    }

    /// How many frames a link got whole that an earlier one had got, since this was last asked for.
    pub(super) fn take_resent(&mut self) -> u64 {
        self.settle();
        std::mem::take(&mut self.resent)
    }

    /// The bytes of the frame that the link has begun and not finished.
    pub(super) fn cut_rest(&mut self) -> &[u8] {
        self.settle();
        if self.boundary == self.cursor {
            return &[];
        }
        let Some(segment) = self.segments.get(self.boundary.segment) else {
            return &[];
        };
        let end = self
            .boundary
            .byte
            .saturating_add(frame_length(&segment.bytes, self.boundary.byte));
        segment.bytes.get(self.cursor.byte..end).unwrap_or_default()
    }

    /// What to write next, a slice per segment, from `skip` bytes behind the cursor; within its segment.
    pub(super) fn unsent(&self, skip: usize) -> impl Iterator<Item = &[u8]> {
        let cursor = self.cursor;
        self.segments
            .iter()
            .enumerate()
            .skip(cursor.segment)
            .filter_map(move |(index, segment)| {
                let from = if index == cursor.segment {
                    cursor.byte.saturating_add(skip)
                } else {
                    segment.start
                };
                segment
                    .bytes
                    .get(from..segment.end)
                    .filter(|slice| !slice.is_empty())
            })
    }

    /// The link took so many bytes more.
    pub(super) fn advance(&mut self, mut taken: usize) {
        while taken > 0 {
            let Some(segment) = self.segments.get(self.cursor.segment) else {
                debug_assert!(false, "a link takes no more than it was lent");
                return;
            };
            let left = segment.end.saturating_sub(self.cursor.byte);
            if taken < left {
                self.cursor.byte = self.cursor.byte.saturating_add(taken);
                return;
            }
            taken = taken.saturating_sub(left);
            self.cursor.byte = segment.end;
            if !self.step_over_segment_end() {
                debug_assert!(taken == 0, "a link takes no more than it was lent");
                return;
            }
        }
    }

    /// The link took everything.
    pub(super) fn advance_to_end(&mut self) {
        self.advance(self.unsent_bytes());
    }

    /// A cursor at a segment's end stands at the next one's start, if there is a next one: whether there is.
    fn step_over_segment_end(&mut self) -> bool {
        let next = self.cursor.segment.saturating_add(1);
        if let Some(segment) = self.segments.get(next) {
            self.cursor = Position {
                segment: next,
                byte: segment.start,
            };
            return true;
        }
        false
    }

    /// Moves `boundary` to the last frame boundary that is not behind the cursor.
    fn settle(&mut self) {
        let (boundary, seq) = self.settled();
        if self.boundary_seq.before(self.sent_seq) {
            let again = if self.sent_seq.before(seq) {
                self.sent_seq
            } else {
                seq
            };
            self.resent = self
                .resent
                .saturating_add(u64::from(self.boundary_seq.distance(again)));
        }
        (self.boundary, self.boundary_seq) = (boundary, seq);
        if self.sent_seq.before(seq) {
            self.sent_seq = seq;
        }
    }

    /// The last frame boundary that is not behind the cursor, and the number of the frame there.
    fn settled(&self) -> (Position, Seq) {
        let Some(segment) = self.segments.get(self.cursor.segment) else {
            return (self.boundary, self.boundary_seq);
        };
        if self.cursor.byte == segment.end {
            return (self.cursor, self.seq_behind(self.cursor.segment));
        }
        let (mut byte, mut seq) = if self.boundary.segment == self.cursor.segment {
            (self.boundary.byte, self.boundary_seq)
        } else {
            (segment.start, segment.first)
        };
        loop {
            let end = byte.saturating_add(frame_length(&segment.bytes, byte));
            if end > self.cursor.byte {
                break;
            }
            byte = end;
            seq = seq.next();
        }
        let segment = self.cursor.segment;
        (Position { segment, byte }, seq)
    }

    /// The number of the first frame behind a segment.
    fn seq_behind(&self, segment: usize) -> Seq {
        let behind = self.segments.get(segment.saturating_add(1));
        behind.map_or(self.next_seq, |segment| segment.first)
    }

    /// Everything before `ack` has arrived. The caller has checked that `ack` lies between the oldest number and
    /// [`sent_seq`](Self::sent_seq), and has taken [`cut_rest`](Self::cut_rest) if the cursor may be passed.
    ///
    /// Returns whether the cursor was moved forward.
    pub(super) fn release_before(&mut self, ack: Seq, pool: &mut SegmentPool) -> bool {
        self.settle();
        let passed = self.boundary_seq.before(ack);
        self.release_to(ack, pool);
        if passed {
            self.point_to_front();
        }
        passed
    }

    /// Releases what was given to the link whole: for peers that acknowledge nothing.
    pub(super) fn release_transmitted(&mut self, pool: &mut SegmentPool) {
        self.settle();
        self.release_to(self.boundary_seq, pool);
    }

    /// Releases the frames before `seq`: whole segments at once, frame by frame only in the last one.
    fn release_to(&mut self, seq: Seq, pool: &mut SegmentPool) {
        if seq == self.next_seq {
            self.count = 0;
            self.bytes = 0;
            self.give_all(pool);
            return;
        }
        let behind = self.segments.iter().skip(1);
        let whole = behind.take_while(|segment| !seq.before(segment.first)).count();
        self.release_segments(whole, pool);
        while self.count > 0 && self.first_seq().before(seq) {
            self.release_first();
        }
    }

    /// The first `whole` segments, which are not all.
    fn release_segments(&mut self, whole: usize, pool: &mut SegmentPool) {
        for segment in self.segments.drain(..whole) {
            self.bytes = self.bytes.saturating_sub(segment.held().len());
            pool.give(segment.bytes);
        }
        let Some(first) = self.segments.first() else {
            return;
        };
        self.count = first.first.distance(self.next_seq);
        for position in [&mut self.cursor, &mut self.boundary] {
            *position = match position.segment.checked_sub(whole) {
                Some(segment) => Position {
                    segment,
                    byte: position.byte,
                },
                None => Position {
                    segment: 0,
                    byte: first.start,
                },
            };
        }
    }

    /// Of a segment that also holds a later one.
    fn release_first(&mut self) {
        let Some(segment) = self.segments.first_mut() else {
            unreachable!("a counted frame stands in a segment");
        };
        let length = frame_length(&segment.bytes, segment.start);
        segment.start = segment.start.saturating_add(length);
        segment.first = segment.first.next();
        self.bytes = self.bytes.saturating_sub(length);
        self.count = self.count.saturating_sub(1);
    }

    fn point_to_front(&mut self) {
        let byte = self.segments.first().map_or(0, |first| first.start);
        self.cursor = Position { segment: 0, byte };
        self.boundary = self.cursor;
        self.boundary_seq = self.first_seq();
    }

    fn give_all(&mut self, pool: &mut SegmentPool) {
        for segment in self.segments.drain(..) {
            pool.give(segment.bytes);
        }
        self.cursor = Position::default();
        self.boundary = self.cursor;
        self.boundary_seq = self.next_seq;
    }

    /// Everything is sent again, oldest first.
    pub(super) fn rewind(&mut self) {
        self.settle();
        self.point_to_front();
    }

    /// Drops everything; numbers begin again at `start`.
    pub(super) fn reset(&mut self, start: Seq, pool: &mut SegmentPool) {
        self.give_all(pool);
        *self = Self::new(start);
    }
}

/// The length that the frame at `at` says it has. Frames in a queue are our own.
pub(super) fn frame_length(bytes: &[u8], at: usize) -> usize {
    let field = at.saturating_add(AT_LENGTH);
    match bytes.get(field..field.saturating_add(2)) {
        Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
        _ => unreachable!("a frame in the queue is whole"),
    }
}

/// By what is queued and how far it is sent, not by where it stands in memory.
impl PartialEq for SendQueue {
    fn eq(&self, other: &Self) -> bool {
        self.logical_content() == other.logical_content() && self.held().eq(other.held())
    }
}

impl Eq for SendQueue {}

impl Hash for SendQueue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.logical_content().hash(state);
        for byte in self.held() {
            byte.hash(state);
        }
    }
}

impl SendQueue {
    fn logical_content(&self) -> (Seq, Seq, u32, usize) {
        (self.next_seq, self.reached(), self.count, self.unsent_bytes())
    }

    fn held(&self) -> impl Iterator<Item = &u8> {
        self.segments.iter().flat_map(|segment| segment.held())
    }
}
