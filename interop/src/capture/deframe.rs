//! From one direction's bytes to frames, over gaps and damage.
//!
//! While framing is known, `split` does the work on the caller's bytes and only an incomplete frame is
//! copied. A gap that lies within one frame does not lose it: the frame's length says where the next one
//! starts. Otherwise the bytes are searched for a header that is plausible and is followed by another one.

mod plausible;

use std::mem;

use dlmwire_codec::{DecodeError, Limits, RawFrame, Split, split};

use super::event::{Event, Gap, GapEvidence, HalfSent, Place, Stamp};
use super::reassembly::{Lane, Outlet};
pub(super) use plausible::Dialect;
use plausible::{Search, search};

const HEADER_LEN: usize = 16;

/// Which segment brought some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Origin {
    pub(super) stamp: Stamp,
    /// Number of the segment in its direction, from 1.
    pub(super) segment: u64,
}

/// Finds the frames of one direction.
#[derive(Debug)]
pub(super) struct Deframer {
    state: State,
    /// An incomplete frame, or what is being searched.
    tail: Vec<u8>,
    /// Offsets in `tail` from which on bytes come from a segment. Empty if `tail` is; at least the first while
    /// aligned, all while seeking.
    marks: Vec<(usize, Origin)>,
    /// Offset in the stream of what comes next, `tail` included.
    position: u64,
    /// The segment that frames are being completed by, and how many it has completed.
    completing: (u64, u32),
    /// What its frames have shown so far.
    dialect: Dialect,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The next byte behind `tail` belongs to it, or starts a frame.
    Aligned,
    /// A frame lost its middle; this many bytes of it are still to come.
    Discarding { left: u64 },
    /// Frame boundaries are not known.
    Seeking { skipped: u64, announce: bool },
}

impl Deframer {
    /// The next byte starts a frame.
    pub(super) const fn aligned() -> Self {
        Self::in_state(State::Aligned)
    }

    /// The next byte may lie anywhere.
    pub(super) const fn mid_stream() -> Self {
        Self::in_state(State::Seeking {
            skipped: 0,
            announce: false,
        })
    }

    /// The bytes that come next, and the segment that brings them.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8], origin: Origin, lane: Lane, out: &mut Outlet<'_>) {
        if self.state == State::Aligned && self.tail.is_empty() {
            self.frames(bytes, origin, lane, out);
        } else {
            self.push_behind(bytes, origin, lane, out);
        }
    }

    /// Bytes that the capture does not have come next.
    pub(super) fn gap(&mut self, gap: Gap, evidence: GapEvidence, lane: Lane, out: &mut Outlet<'_>) {
        let have = self.tail.len();
        let (state, broken) = match (self.state, gap) {
            (State::Aligned, Gap::Bytes(bytes)) => self.behind_gap(bytes, out.limits),
            (State::Aligned, Gap::Chunks(_)) => (SEEKING, self.behind_gap(0, out.limits).1),
            (State::Discarding { left }, Gap::Bytes(bytes)) if bytes < left => {
                (State::Discarding { left: left - bytes }, None)
            }
            (State::Discarding { left }, Gap::Bytes(bytes)) if bytes == left => (State::Aligned, None),
            (State::Discarding { .. }, _) => (SEEKING, None),
            (State::Seeking { skipped, .. }, _) => (
                State::Seeking {
                    skipped: skipped + have as u64,
                    announce: true,
                },
                None,
            ),
        };
        out.stats.skipped_bytes += have as u64;
        self.state = state;
        self.position += have as u64;
        if let Gap::Bytes(bytes) = gap {
            self.position += bytes;
        }
        self.drop_tail(out);
        out.missing(lane, gap, evidence, broken);
    }

    /// No more bytes come. What is left of a frame.
    pub(super) fn finish(&mut self, lane: Lane, out: &mut Outlet<'_>) -> Option<HalfSent> {
        if let State::Seeking { .. } = self.state {
            self.seek(Search::Final, lane, out);
        }
        let half_sent = self.half_sent(out.limits);
        if let State::Seeking { .. } = self.state {
            out.stats.skipped_bytes += self.tail.len() as u64;
        }
        self.drop_tail(out);
        half_sent
    }

    /// What there is of a frame, with more of it to come.
    pub(super) fn half_sent(&self, limits: Limits) -> Option<HalfSent> {
        match self.state {
            State::Aligned => self.half_frame(limits),
            State::Discarding { .. } | State::Seeking { .. } => None,
        }
    }

    /// What its frames have shown so far.
    #[inline]
    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Bytes taken by what waits.
    #[inline]
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.tail.capacity() + self.marks.capacity() * size_of::<(usize, Origin)>()
    }

    const fn in_state(state: State) -> Self {
        Self {
            state,
            tail: Vec::new(),
            marks: Vec::new(),
            position: 0,
            completing: (0, 0),
            dialect: Dialect::Unknown,
        }
    }

    /// Cuts off frames as long as there are whole ones. Nothing waits before `bytes`.
    #[inline]
    fn frames(&mut self, mut bytes: &[u8], origin: Origin, lane: Lane, out: &mut Outlet<'_>) {
        loop {
            match split(bytes, out.limits) {
                Split::Frame { frame, rest } => {
                    let place = self.place(origin, origin);
                    self.position += frame.bytes().len() as u64;
                    self.tell(frame, place, lane, out);
                    bytes = rest;
                }
                Split::NeedMore { .. } => {
                    if !bytes.is_empty() {
                        self.wait(bytes, origin, out);
                    }
                    return;
                }
                Split::Lost(error) => {
                    self.lose(error, lane, out);
                    self.wait(bytes.get(1..).unwrap_or_default(), origin, out);
                    self.seek(Search::Ongoing, lane, out);
                    return;
                }
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn push_behind(&mut self, mut bytes: &[u8], origin: Origin, lane: Lane, out: &mut Outlet<'_>) {
        if let State::Discarding { left } = self.state {
            let (discarded, rest) =
                bytes.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
            let count = discarded.len() as u64;
            out.stats.skipped_bytes += count;
            self.position += count;
            self.state = if count == left {
                State::Aligned
            } else {
                State::Discarding { left: left - count }
            };
            bytes = rest;
        }
        match self.state {
            State::Aligned if self.tail.is_empty() => self.frames(bytes, origin, lane, out),
            State::Aligned => self.complete(bytes, origin, lane, out),
            State::Discarding { .. } => debug_assert!(bytes.is_empty(), "all of them were discarded"),
            State::Seeking { .. } => {
                self.wait(bytes, origin, out);
                self.seek(Search::Ongoing, lane, out);
            }
        }
    }

    /// Adds to the frame that waits what it lacks, and no more.
    fn complete(&mut self, mut bytes: &[u8], origin: Origin, lane: Lane, out: &mut Outlet<'_>) {
        loop {
            match split(&self.tail, out.limits) {
                Split::NeedMore { missing } => {
                    let Some((more, rest)) = bytes.split_at_checked(missing.min(bytes.len())) else {
                        return;
                    };
                    if more.is_empty() {
                        return;
                    }
                    self.wait(more, origin, out);
                    bytes = rest;
                }
                Split::Frame { .. } => break,
                Split::Lost(error) => {
                    self.lose(error, lane, out);
                    self.cut_tail(1);
                    self.wait(bytes, origin, out);
                    self.seek(Search::Ongoing, lane, out);
                    return;
                }
            }
        }
        let tail = mem::take(&mut self.tail);
        let first = self.marks.first().map_or(origin, |&(_, origin)| origin);
        self.marks.clear();
        if let Split::Frame { frame, .. } = split(&tail, out.limits) {
            let place = self.place(first, origin);
            self.position += tail.len() as u64;
            self.tell(frame, place, lane, out);
        }
        out.recycle(tail);
        self.frames(bytes, origin, lane, out);
    }

    /// Looks for a plausible header in what waits and, once found, cuts off frames from there.
    #[cold]
    fn seek(&mut self, how: Search, lane: Lane, out: &mut Outlet<'_>) {
        while let State::Seeking { skipped, announce } = self.state {
            let dialect = self.dialect.max(lane.dialect);
            let found = search(&self.tail, how, dialect, out.limits);
            let skipped = skipped + found.skip as u64;
            out.stats.skipped_bytes += found.skip as u64;
            self.position += found.skip as u64;
            self.cut_tail(found.skip);
            if !found.aligned {
                self.state = State::Seeking { skipped, announce };
                return;
            }
            self.state = State::Aligned;
            if announce || skipped > 0 {
                out.emit_on(
                    lane,
                    Event::Resynchronised {
                        link: lane.link,
                        from: lane.from,
                        skipped,
                    },
                );
            }
            self.frames_of_tail(lane, out);
        }
    }

    /// Cuts off the frames among what was searched; each keeps the segments that it came from. Framing may be
    /// lost again.
    fn frames_of_tail(&mut self, lane: Lane, out: &mut Outlet<'_>) {
        let tail = mem::take(&mut self.tail);
        let marks = mem::take(&mut self.marks);
        let origin_of = |at: usize| {
            marks
                .iter()
                .rev()
                .find(|&&(mark, _)| mark <= at)
                .map_or(Origin::default(), |&(_, origin)| origin)
        };
        let mut at = 0;
        let lost = loop {
            match split(tail.get(at..).unwrap_or_default(), out.limits) {
                Split::Frame { frame, .. } => {
                    let next = at + frame.bytes().len();
                    let place = self.place(origin_of(at), origin_of(next - 1));
                    self.position += frame.bytes().len() as u64;
                    self.tell(frame, place, lane, out);
                    at = next;
                }
                Split::NeedMore { .. } => break None,
                Split::Lost(error) => break Some(error),
            }
        };
        self.tail = tail;
        self.marks = marks;
        self.cut_tail(at);
        if let Some(error) = lost {
            self.lose(error, lane, out);
            self.cut_tail(1);
        }
    }

    #[inline]
    fn tell(&mut self, frame: RawFrame<'_>, place: Place, lane: Lane, out: &mut Outlet<'_>) {
        if self.dialect != Dialect::Numbered {
            self.dialect = self.dialect.max(Dialect::of(frame.bytes()));
        }
        out.frame(lane, frame, place);
    }

    fn lose(&mut self, error: DecodeError, lane: Lane, out: &mut Outlet<'_>) {
        out.stats.framing_lost += 1;
        out.stats.skipped_bytes += 1;
        out.emit_on(
            lane,
            Event::FramingLost {
                link: lane.link,
                from: lane.from,
                error,
            },
        );
        self.position += 1;
        self.state = State::Seeking {
            skipped: 1,
            announce: true,
        };
    }

    /// Keeps bytes until more come.
    fn wait(&mut self, bytes: &[u8], origin: Origin, out: &mut Outlet<'_>) {
        if bytes.is_empty() {
            return;
        }
        if self.tail.capacity() == 0 {
            self.tail = out.buffer();
        }
        // A frame that merely lacks its end needs to know its first segment only.
        if self.tail.is_empty() || self.state != State::Aligned {
            self.marks.push((self.tail.len(), origin));
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Forgets the first bytes of what waits.
    fn cut_tail(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.tail.drain(..count.min(self.tail.len()));
        let behind = self
            .marks
            .iter()
            .rposition(|&(mark, _)| mark <= count)
            .unwrap_or(0);
        self.marks.drain(..behind);
        for (mark, _) in &mut self.marks {
            *mark = mark.saturating_sub(count);
        }
        if self.tail.is_empty() {
            self.tail = Vec::new();
            self.marks = Vec::new();
        }
    }

    fn drop_tail(&mut self, out: &mut Outlet<'_>) {
        out.recycle(mem::take(&mut self.tail));
        self.marks.clear();
    }

    #[inline]
    fn place(&mut self, first: Origin, last: Origin) -> Place {
        let (segment, completed) = self.completing;
        let nth = if segment == last.segment { completed + 1 } else { 1 };
        self.completing = (last.segment, nth);
        Place {
            first: first.stamp,
            first_segment: first.segment,
            segment: last.segment,
            nth,
            offset: self.position,
        }
    }

    fn half_frame(&self, limits: Limits) -> Option<HalfSent> {
        let have = self.tail.len();
        match split(&self.tail, limits) {
            _ if have == 0 => None,
            Split::NeedMore { .. } if have < HEADER_LEN => Some(HalfSent {
                have,
                needed: HEADER_LEN,
            }),
            Split::NeedMore { missing } => Some(HalfSent {
                have,
                needed: have + missing,
            }),
            Split::Frame { .. } | Split::Lost(_) => None,
        }
    }

    /// Where framing stands behind so many missing bytes, and the frame that they break.
    fn behind_gap(&self, bytes: u64, limits: Limits) -> (State, Option<HalfSent>) {
        let Some(half_sent) = self.half_frame(limits) else {
            return (SEEKING, None);
        };
        if half_sent.have < HEADER_LEN {
            return (SEEKING, Some(half_sent));
        }
        let left = (half_sent.needed - half_sent.have) as u64;
        let state = match left.checked_sub(bytes) {
            Some(0) => State::Aligned,
            Some(left) => State::Discarding { left },
            None => SEEKING,
        };
        (state, Some(half_sent))
    }
}

const SEEKING: State = State::Seeking {
    skipped: 0,
    announce: true,
};
