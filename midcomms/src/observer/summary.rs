//! Figures about one direction of a pair.

use dlmwire_codec::{NodeId, Seq, Version};

use crate::observer::StationId;
use crate::observer::facts::Ending;
use crate::state::State;

/// What one station sent to another, over all their conversations and links.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectionSummary {
    /// The sender.
    pub from: StationId,
    /// The receiver.
    pub to: StationId,
    /// The node that the sender speaks as.
    pub node: Option<NodeId>,
    /// The sender's version, as last detected.
    pub version: Option<Version>,
    /// Conversations of the pair.
    pub sessions: u32,
    /// Links of the pair.
    pub links: u32,
    /// Links of the pair that were reset or aborted.
    pub links_reset: u32,
    /// Frames of the sender, damaged ones included.
    pub frames: u64,
    /// Frames that make no sense.
    pub damaged: u64,
    /// Sound frames that the receiver drops, but for duplicates and early ones.
    pub refused: u64,
    /// Figures about numbers.
    pub numbers: Numbers,
    /// The sender's states, in order; long paths are told by their beginning.
    pub states: Vec<State>,
    /// How the last conversation ended; `None` as long as it has not.
    pub ending: Option<Ending>,
}

/// Figures about the numbered messages of one direction, and about the `ACK`s for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// The first number seen in the last conversation.
    pub first: Option<Seq>,
    /// The highest number seen in the last conversation.
    pub last: Option<Seq>,
    /// Messages, each counted once however often it came.
    pub sent: u64,
    /// Messages that came again with the same bytes, counted as often as they did.
    pub resent: u64,
    /// How many different messages those were.
    pub resent_distinct: u64,
    /// Messages behind the expected number, which the receiver drops.
    pub duplicates: u64,
    /// Messages ahead of the expected number, which the receiver drops.
    pub early: u64,
    /// Gaps.
    pub gaps: u64,
    /// Gaps that were filled.
    pub gaps_filled: u64,
    /// Gaps where the capture lacks bytes.
    pub gaps_in_capture: u64,
    /// `ACK`s of the receiver.
    pub acks: u64,
    /// `ACK`s that acknowledged nothing new.
    pub acks_repeated: u64,
    /// `ACK`s that acknowledged less than an earlier one.
    pub acks_back: u64,
    /// `ACK`s beyond what was seen.
    pub acks_beyond: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// The most messages ever unacknowledged.
    pub unacked_max: u32,
    /// Messages unacknowledged when the last conversation ended.
    pub unacked_at_end: u32,
}

impl Numbers {
    pub(super) const fn new() -> Self {
        Self {
            first: None,
            last: None,
            sent: 0,
            resent: 0,
            resent_distinct: 0,
            duplicates: 0,
            early: 0,
            gaps: 0,
            gaps_filled: 0,
            gaps_in_capture: 0,
            acks: 0,
            acks_repeated: 0,
            acks_back: 0,
            acks_beyond: 0,
            acked: 0,
            unacked_max: 0,
            unacked_at_end: 0,
        }
    }

    /// A new conversation: what is about the last one only begins anew.
    pub(super) const fn restart(&mut self) {
        self.first = None;
        self.last = None;
        self.unacked_at_end = 0;
    }

    #[inline]
    pub(super) fn saw_new(&mut self, seq: Seq) {
        self.sent = self.sent.saturating_add(1);
        self.first.get_or_insert(seq);
        if self.last.is_none_or(|last| last.before(seq)) {
            self.last = Some(seq);
        }
    }

    /// A message came again that had been seen `sightings` times.
    pub(super) fn saw_again(&mut self, sightings: u32) {
        self.resent = self.resent.saturating_add(1);
        if sightings == 1 {
            self.resent_distinct = self.resent_distinct.saturating_add(1);
        }
    }

    #[inline]
    pub(super) fn unacked(&mut self, count: u32) {
        self.unacked_max = self.unacked_max.max(count);
    }
}
