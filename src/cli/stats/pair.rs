//! What one node sends to another.

use std::collections::{BTreeMap, VecDeque};

use dlmwire_codec::{Command, Seq};
use dlmwire_interop::capture::{Place, Timestamp};
use dlmwire_interop::exchange::Ask;

use super::delays::Delays;
use crate::cli::message::Message;
use crate::cli::sequence::Turn;

/// Messages without an acknowledgement that are remembered; kernels leave at most some hundreds.
const UNACKED_MAX: usize = 1 << 16;

/// Counts of one ordered pair.
#[derive(Default)]
pub(super) struct PairStats {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) sent_again: u64,
    pub(super) left_out: u64,
    pub(super) by_type: BTreeMap<(Command, &'static str, bool), Count>,
    /// Segments or chunks that completed a message.
    pub(super) segments: u64,
    pub(super) frames_in_segment_max: u32,
    pub(super) ack_delay: Delays,
    pub(super) unacked_at_end: u64,
    pub(super) exchanges: BTreeMap<Ask, Answers>,
    unacked: VecDeque<(Seq, Timestamp)>,
}

/// How many, how large.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// What became of one kind of request.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) delays: Delays,
    pub(super) unanswered: u64,
    pub(super) unasked: u64,
}

impl PairStats {
    pub(super) fn count(
        &mut self,
        message: &Message<'_>,
        length: usize,
        place: Place,
        turn: Option<Turn>,
        time: Timestamp,
    ) {
        let bytes = u64::try_from(length).unwrap_or(u64::MAX);
        self.messages += 1;
        self.bytes += bytes;
        let kind = (message.command, message.type_name(), message.wrapped);
        let count = self.by_type.entry(kind).or_default();
        count.messages += 1;
        count.bytes += bytes;
        self.segments += u64::from(place.nth == 1);
        self.frames_in_segment_max = self.frames_in_segment_max.max(place.nth);
        match turn {
            Some(Turn::Again) => self.sent_again += 1,
            Some(Turn::Ahead(count)) => self.left_out += u64::from(count),
            Some(Turn::Restart) => self.unacked.clear(),
            Some(Turn::Next) | None => {}
        }
        if let Some(seq) = message
            .seq
            .filter(|_| message.wrapped && turn != Some(Turn::Again))
        {
            if self.unacked.len() >= UNACKED_MAX {
                self.unacked.pop_front();
            }
            self.unacked.push_back((seq, time));
        }
    }

    /// Takes an `ACK` for everything before `next`.
    pub(super) fn acknowledged(&mut self, next: Seq, time: Timestamp) {
        while let Some((seq, sent)) = self.unacked.front().copied()
            && seq.before(next)
        {
            self.unacked.pop_front();
            self.ack_delay.record(time.nanos_since(sent));
        }
    }

    pub(super) fn answered(&mut self, ask: Ask, nanos: u64) {
        self.exchanges.entry(ask).or_default().delays.record(nanos);
    }

    pub(super) fn unanswered(&mut self, ask: Ask) {
        self.exchanges.entry(ask).or_default().unanswered += 1;
    }

    pub(super) fn unasked(&mut self, ask: Ask) {
        self.exchanges.entry(ask).or_default().unasked += 1;
    }

    pub(super) fn end_of_file(&mut self) {
        self.unacked_at_end += u64::try_from(self.unacked.len()).unwrap_or(u64::MAX);
        self.unacked.clear();
    }
}
