//! Connections between nodes: bytes, not frames, with everything that can go wrong with them.

use std::collections::VecDeque;

use crate::faults::Fault;

/// How a direction of a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// In order: everything before it arrives.
    Eof,
    /// Broken.
    Reset,
}

/// What a reader finds when it looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// New bytes, which lie behind what is not consumed yet.
    Bytes,
    /// Nothing (yet).
    Nothing,
    /// The end.
    End(End),
}

/// One direction of a connection.
///
/// `bytes` holds, in this order: what the reader has not consumed (a half frame), and what is under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipe {
    bytes: Vec<u8>,
    consumed: usize,
    arrived: usize,
    chunks: VecDeque<(u64, usize)>,
    end: Option<(u64, End)>,
    /// Bytes that may be under way.
    pub(crate) window: usize,
    /// Nanoseconds from writer to reader.
    pub(crate) latency: u64,
    /// Bytes that one write takes at most; 0: no limit.
    pub(crate) write_max: usize,
    /// Writes that this limit still holds for.
    pub(crate) write_max_count: u64,
    /// Bytes that one read takes at most; 0: no limit.
    pub(crate) read_max: usize,
    /// Nothing arrives before this moment.
    pub(crate) held_until: u64,
    /// What is written is taken and gone, because of this fault.
    pub(crate) vanishing: Option<Fault>,
    /// How much later than the bytes the end of the direction is noticed, in nanoseconds.
    pub(crate) end_delay: u64,
    vanished: usize,
    /// The writer was refused room and wants to be told.
    pub(crate) writer_waits: bool,
    /// Bytes before this position in the stream do not belong to a whole frame yet, for the injection of
    /// others.
    frame_left: usize,
    header: Vec<u8>,
    /// Whole frames that were written, kept for a replay.
    pub(crate) recent: VecDeque<Vec<u8>>,
    keep_recent: bool,
    current: Vec<u8>,
    /// Frames to send again at the next frame boundary.
    pub(crate) replay: usize,
    /// Bits to flip in what is written next: bytes from now, mask.
    pub(crate) flips: Vec<(usize, u8)>,
    flipped: VecDeque<u64>,
    base: u64,
    /// The length of a frame was flipped: nothing behind it can be trusted.
    pub(crate) garbled: bool,
}

/// Frames that are kept for a replay.
const RECENT: usize = 6;

impl Pipe {
    /// A direction without faults.
    pub(crate) fn reset(&mut self, window: usize, latency: u64, keep_recent: bool) {
        let mut fresh = Self {
            window,
            latency,
            keep_recent,
            ..Self::default()
        };
        std::mem::swap(&mut fresh.bytes, &mut self.bytes);
        std::mem::swap(&mut fresh.chunks, &mut self.chunks);
        fresh.bytes.clear();
        fresh.chunks.clear();
        *self = fresh;
    }

    /// How many of `wanted` bytes a write takes now.
    pub(crate) fn room(&mut self, wanted: usize) -> usize {
        if self.end.is_some() {
            return 0;
        }
        let used = self.under_way() + self.vanished;
        let mut room = wanted.min(self.window.saturating_sub(used));
        if self.write_max > 0 && self.write_max_count > 0 && room > 0 {
            self.write_max_count -= 1;
            room = room.min(self.write_max);
        }
        room
    }

    /// Takes bytes at `now`; returns when they arrive, `None` if they vanish.
    pub(crate) fn write(&mut self, now: u64, bytes: &[u8]) -> Option<u64> {
        if self.vanishing.is_some() {
            self.vanished += bytes.len();
            return None;
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.flip(at);
        if self.keep_recent {
            self.follow_frames(bytes);
        }
        Some(self.push_chunk(now))
    }

    /// Writes earlier frames again if a frame has just ended and a replay waits.
    pub(crate) fn write_replay(&mut self, now: u64) -> Option<u64> {
        if self.replay == 0
            || !self.current.is_empty()
            || self.recent.is_empty()
            || self.end.is_some()
            || self.vanishing.is_some()
        {
            return None;
        }
        let skip = self.recent.len().saturating_sub(self.replay);
        for frame in self.recent.iter().skip(skip) {
            self.bytes.extend_from_slice(frame);
        }
        self.replay = 0;
        Some(self.push_chunk(now))
    }

    fn push_chunk(&mut self, now: u64) -> u64 {
        let mut at = now + self.latency;
        if let Some((last, _)) = self.chunks.back() {
            at = at.max(*last);
        }
        match self.chunks.back_mut() {
            Some((last, end)) if *last == at => *end = self.bytes.len(),
            _ => self.chunks.push_back((at, self.bytes.len())),
        }
        at
    }

    /// Keeps the last whole frames; `current` is empty at a frame boundary.
    fn follow_frames(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.frame_left == 0 {
                let missing = 16 - self.header.len();
                let (head, rest) = bytes.split_at(missing.min(bytes.len()));
                self.header.extend_from_slice(head);
                self.current.extend_from_slice(head);
                bytes = rest;
                if self.header.len() < 16 {
                    return;
                }
                let length = usize::from(u16::from_le_bytes([self.header[12], self.header[13]]));
                self.frame_left = length.saturating_sub(16);
            }
            let (body, rest) = bytes.split_at(self.frame_left.min(bytes.len()));
            self.current.extend_from_slice(body);
            self.frame_left -= body.len();
            bytes = rest;
            if self.frame_left == 0 {
                self.header.clear();
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(std::mem::take(&mut self.current));
            }
        }
    }

    fn flip(&mut self, from: usize) {
        if self.flips.is_empty() {
            return;
        }
        let length = self.bytes.len() - from;
        let mut later = Vec::new();
        self.flips.sort_unstable();
        for (ahead, mask) in std::mem::take(&mut self.flips) {
            if ahead < length {
                self.bytes[from + ahead] ^= mask;
                self.flipped.push_back(self.base + (from + ahead) as u64);
            } else {
                later.push((ahead - length, mask));
            }
        }
        self.flips = later;
    }

    /// Ends the direction at `now` from the writer's side; returns when the reader notices.
    pub(crate) fn close(&mut self, now: u64, end: End) -> u64 {
        let mut at = now + self.latency + self.end_delay;
        if let Some((last, _)) = self.chunks.back() {
            at = at.max(*last);
        }
        match self.end {
            Some((before, _)) if before <= at => before,
            _ => {
                self.end = Some((at, end));
                at
            }
        }
    }

    /// Cuts what is under way behind `keep` bytes; returns how many were lost.
    pub(crate) fn cut(&mut self, keep: usize) -> usize {
        let kept = (self.arrived + keep).min(self.bytes.len());
        let lost = self.bytes.len() - kept;
        self.bytes.truncate(kept);
        while let Some((_, end)) = self.chunks.back_mut() {
            if *end <= kept {
                break;
            }
            *end = kept;
            let before = self
                .chunks
                .len()
                .checked_sub(2)
                .map_or(self.arrived, |at| self.chunks[at].1);
            if before < kept {
                break;
            }
            self.chunks.pop_back();
        }
        lost
    }

    /// Lets everything that is under way arrive `by` nanoseconds later; whether there is anything.
    pub(crate) fn delay_all(&mut self, by: u64) -> bool {
        for (at, _) in &mut self.chunks {
            *at += by;
        }
        !self.chunks.is_empty()
    }

    /// How many writes wait for the reader.
    pub(crate) fn writes_under_way(&self) -> usize {
        self.chunks.len()
    }

    /// Moves what has come by `now` to the reader.
    pub(crate) fn arrive(&mut self, now: u64) -> Arrival {
        if now < self.held_until {
            return Arrival::Nothing;
        }
        let mut target = self.arrived;
        while let Some((at, end)) = self.chunks.front().copied() {
            if at > now {
                break;
            }
            if self.read_max > 0 && end > self.arrived + self.read_max {
                target = self.arrived + self.read_max;
                break;
            }
            target = end;
            self.chunks.pop_front();
        }
        if target > self.arrived {
            self.arrived = target;
            return Arrival::Bytes;
        }
        match self.end {
            Some((at, End::Eof)) if at <= now && self.chunks.is_empty() => Arrival::End(End::Eof),
            Some((at, End::Reset)) if at <= now => Arrival::End(End::Reset),
            _ => Arrival::Nothing,
        }
    }

    /// When the reader should look again, if anything is to be seen.
    pub(crate) fn next_arrival(&self, now: u64) -> Option<u64> {
        let chunk = self.chunks.front().map(|(at, _)| *at);
        let end = self.end.map(|(at, _)| at);
        let next = match (chunk, end) {
            (Some(chunk), Some(end)) => chunk.min(end),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => return None,
        };
        Some(next.max(self.held_until).max(now))
    }

    /// What the reader has and has not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.consumed..self.arrived]
    }

    /// Bytes under way.
    pub(crate) fn under_way(&self) -> usize {
        self.bytes.len() - self.arrived
    }

    /// Whether a bit of the next `length` unread bytes was flipped, `skip` bytes on; the marks before are
    /// dropped.
    pub(crate) fn is_flipped(&mut self, skip: usize, length: usize) -> bool {
        if self.garbled {
            return true;
        }
        let from = self.base + (self.consumed + skip) as u64;
        let mut hit = false;
        while let Some(at) = self.flipped.front().copied() {
            if at >= from + length as u64 {
                break;
            }
            self.flipped.pop_front();
            if at >= from {
                hit = true;
                self.garbled |= (12..14).contains(&(at - from));
            }
        }
        hit
    }

    /// Marks bytes as consumed.
    pub(crate) fn consume(&mut self, length: usize) {
        self.consumed += length;
        if self.consumed == self.bytes.len() {
            self.base += self.consumed as u64;
            self.bytes.clear();
            self.consumed = 0;
            self.arrived = 0;
        } else if self.consumed > 1 << 16 {
            self.bytes.drain(..self.consumed);
            for (_, end) in &mut self.chunks {
                *end -= self.consumed;
            }
            self.base += self.consumed as u64;
            self.arrived -= self.consumed;
            self.consumed = 0;
        }
    }

    /// Throws away what the reader would not look at any more.
    pub(crate) fn discard_arrived(&mut self) {
        let length = self.arrived - self.consumed;
        self.consume(length);
    }
}
