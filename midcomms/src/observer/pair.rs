//! A pair of stations: their links, and what becomes of each frame between them.

use dlmwire_codec::{Ack, DecodeError, Effect, Frame, Inner, Opts, Seq, damage};

use crate::admission::{admit, class_of};
use crate::digest::digest;
use crate::observer::acks::Belief;
use crate::observer::facts::{Ending, FactKind, LostLink};
use crate::observer::link::{Lane, Link, LiveLink};
use crate::observer::side::{Both, Direction, Identities, Report, Side, SideView};
use crate::observer::stream::{Carrier, Sight, Stream};
use crate::observer::summary::DirectionSummary;
use crate::observer::{Judgement, StationId, Verdict};
use crate::time::Time;

/// How far the current conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing was said yet.
    Silent,
    /// It goes on.
    Open,
    /// Both sides are done; late frames may still come.
    Done,
}

/// Two stations and everything between them.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) stations: Both<StationId>,
    pub(super) phase: Phase,
    pub(super) session: u32,
    pub(super) sides: Both<SideView>,
    /// The messages that each side sends.
    pub(super) streams: Both<Stream>,
    /// The side that took a `FIN` in `ESTABLISHED`: its next frame shows whether it answers at once.
    pub(super) unsettled: Option<Side>,
    /// Whether the capture begins in the middle of the current conversation.
    pub(super) midway: bool,
    /// Whether a number was ever seen: not so with a 3.1 peer.
    pub(super) numbered: bool,
    pub(super) live: Vec<LiveLink>,
    pub(super) links: u32,
    pub(super) links_reset: u32,
    /// How many links have ended.
    pub(super) ends: u32,
    pub(super) last_end: Option<LostLink>,
    /// The last link that was reset or aborted, and how many had ended then.
    pub(super) last_cut: Option<LostLink>,
    pub(super) last_cut_ends: u32,
    pub(super) last_heard: Time,
    /// Its place among the pairs without a link.
    pub(super) parked: Option<u64>,
    tallies: Both<Tally>,
    pub(super) ending: Option<Ending>,
}

/// Frames of one side, by what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    frames: u64,
    damaged: u64,
    refused: u64,
}

/// A frame on its way through the pair.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) from: Side,
    pub(super) ordinal: u32,
    /// Links of the pair that had ended when it was sent.
    pub(super) ends: u32,
    /// Whether its sender had sent `STATUS` or `NAMES` on the same link.
    pub(super) after_opener: bool,
}

impl Pair {
    pub(super) fn new(low: StationId, high: StationId, window_messages: usize) -> Self {
        Self {
            stations: Both { low, high },
            phase: Phase::Silent,
            session: 1,
            sides: Both {
                low: SideView::new(),
                high: SideView::new(),
            },
            streams: Both {
                low: Stream::new(window_messages),
                high: Stream::new(window_messages),
            },
            unsettled: None,
            midway: false,
            numbered: false,
            live: Vec::new(),
            links: 0,
            links_reset: 0,
            ends: 0,
            last_end: None,
            last_cut: None,
            last_cut_ends: 0,
            last_heard: Time::default(),
            parked: None,
            tallies: Both::default(),
            ending: None,
        }
    }

    pub(super) fn side_of(&self, station: StationId) -> Option<Side> {
        Side::ALL
            .into_iter()
            .find(|side| *self.stations.of(*side) == station)
    }

    /// What facts about `from` are about.
    #[inline]
    pub(super) const fn direction(&self, from: Side) -> Direction {
        Direction {
            from: *self.stations.of(from),
            to: *self.stations.of(from.other()),
            session: self.session,
        }
    }

    pub(super) fn frame(
        &mut self,
        report: &mut Report<'_>,
        identities: &mut Identities,
        link: &mut Link,
        from: Side,
        bytes: &[u8],
        frame: Result<Frame<'_>, DecodeError>,
    ) -> Judgement {
        let lane = link.lanes.of_mut(from);
        self.last_heard = report.at.time;
        if self.sides.of(from).half_sent.is_some() {
            self.after_half_sent(report, lane, from, frame.is_ok());
        }
        lane.frames = lane.frames.saturating_add(1);
        let ends = link.ended.unwrap_or(self.ends);
        let sent = Sent {
            from,
            ordinal: link.ordinal,
            ends,
            after_opener: lane.opener,
        };
        let verdict = match frame {
            Ok(frame) => {
                self.settle_before(report, from, &frame);
                self.sound(report, identities, lane, sent, bytes, &frame)
            }
            Err(error) => self.damaged(
                report,
                from,
                FactKind::Damaged {
                    error,
                    seq: None,
                    consumed: false,
                },
            ),
        };
        let tally = self.tallies.of_mut(from);
        tally.frames = tally.frames.saturating_add(1);
        if let Verdict::Refused(_) = verdict {
            tally.refused = tally.refused.saturating_add(1);
        }
        let view = self.sides.of_mut(from);
        view.last_ordinal = view.last_ordinal.max(link.ordinal);
        Judgement {
            verdict,
            session: self.session,
        }
    }

    /// A frame that the codec could read.
    #[inline]
    fn sound(
        &mut self,
        report: &mut Report<'_>,
        identities: &mut Identities,
        lane: &mut Lane,
        sent: Sent,
        bytes: &[u8],
        frame: &Frame<'_>,
    ) -> Verdict {
        if self.phase == Phase::Done
            && let Some(verdict) = self.after_done(report, sent, bytes, frame)
        {
            return verdict;
        }
        if let Err(refusal) = admit(frame, &self.known(sent.from))
            && !self.excuse(report, sent, frame, refusal)
        {
            return self.refuse(report, lane, sent, bytes, frame, refusal);
        }
        self.attend(report, identities, sent.from, frame);
        match frame {
            Frame::Opts(opts) => self.numbered(report, lane, sent, bytes, opts),
            Frame::Ack(ack) => self.ack(report, sent.from, *ack),
            Frame::Rcom(_) => self.recovery(report, lane, sent.from, frame),
            Frame::Msg(_) => Verdict::Unnumbered,
        }
    }

    /// A bare recovery message.
    fn recovery(
        &mut self,
        report: &mut Report<'_>,
        lane: &mut Lane,
        from: Side,
        frame: &Frame<'_>,
    ) -> Verdict {
        if class_of(frame).is_some_and(|class| class.opens_conversation()) {
            lane.opener = true;
            let receiver = self.sides.of(from.other()).state;
            if receiver.is_terminating() {
                report.tell(
                    self.direction(from),
                    FactKind::StatusWhileTerminating { receiver },
                );
            }
        }
        Verdict::Unnumbered
    }

    #[inline]
    fn ack(&mut self, report: &mut Report<'_>, from: Side, ack: Ack) -> Verdict {
        let sender = from.other();
        let of = self.direction(sender);
        let belief = self.streams.of_mut(sender).acknowledge(report, of, ack.seq);
        if belief == Belief::Believed && self.sides.of(sender).fin.is_some() {
            self.fin_acked(report, sender, ack.seq);
        }
        Verdict::Unnumbered
    }

    #[inline]
    fn numbered(
        &mut self,
        report: &mut Report<'_>,
        lane: &mut Lane,
        sent: Sent,
        bytes: &[u8],
        opts: &Opts<'_>,
    ) -> Verdict {
        self.numbered = true;
        let (seq, digest) = (opts.seq, digest(bytes));
        match opts.inner {
            Ok(inner) => {
                let sight = self.sight(report, sent, seq, digest);
                let verdict = self.take(report, lane, sent, seq, digest, sight);
                self.after_number(report, sent.from, seq, &inner, sight, verdict);
                self.believe_late(report, sent.from);
                verdict
            }
            Err(error) => {
                let consumed = is_consumed(opts);
                let damaged = FactKind::Damaged {
                    error,
                    seq: Some(seq),
                    consumed,
                };
                let verdict = self.damaged(report, sent.from, damaged);
                if consumed {
                    self.count(report, lane, sent, seq, digest);
                }
                verdict
            }
        }
    }

    /// Takes a number whose content is dropped.
    #[cold]
    pub(super) fn count(
        &mut self,
        report: &mut Report<'_>,
        lane: &mut Lane,
        sent: Sent,
        seq: Seq,
        digest: u64,
    ) {
        let sight = self.sight(report, sent, seq, digest);
        self.take(report, lane, sent, seq, digest, sight);
        self.believe_late(report, sent.from);
    }

    /// An `ACK` may have been captured before the message that was just taken.
    #[inline]
    fn believe_late(&mut self, report: &mut Report<'_>, from: Side) {
        let of = self.direction(from);
        if let Some(ack) = self.streams.of_mut(from).believe_late(report, of) {
            self.fin_acked(report, from, ack);
        }
    }

    /// What a number is, after a restart that it may show.
    #[inline]
    fn sight(&mut self, report: &mut Report<'_>, sent: Sent, seq: Seq, digest: u64) -> Sight {
        let sight = self.streams.of(sent.from).look(seq, digest);
        if self.begins_alone(sent, seq, sight) {
            self.begin_alone(report, sent.from);
            return Sight::New;
        }
        match self.restart_evidence(sent, seq, sight) {
            Some(evidence) => {
                self.restart(report, sent, evidence, Some(seq));
                Sight::New
            }
            None => sight,
        }
    }

    #[inline]
    fn take(
        &mut self,
        report: &mut Report<'_>,
        lane: &mut Lane,
        sent: Sent,
        seq: Seq,
        digest: u64,
        sight: Sight,
    ) -> Verdict {
        let of = self.direction(sent.from);
        let mut resending = lane.resent;
        match sight {
            Sight::New => lane.new = lane.new.saturating_add(1),
            Sight::Again(entry) => {
                resending |= !lane.repeated;
                lane.repeated = true;
                if entry.ordinal != sent.ordinal && !lane.resent {
                    lane.resent = true;
                    if lane.new > 0 {
                        report.tell(
                            of,
                            FactKind::ResentBehindNew {
                                new: lane.new,
                                first: seq,
                            },
                        );
                    }
                }
            }
            Sight::Changed(_) | Sight::Behind => {}
        }
        let view = self.sides.of_mut(sent.from);
        view.numbered_ordinal = view.numbered_ordinal.max(sent.ordinal);
        let carrier = self.carrier(sent, resending);
        self.streams
            .of_mut(sent.from)
            .take(report, of, carrier, seq, digest, sight)
    }

    /// What the stream needs to know about the link that carries a message.
    #[inline]
    pub(super) fn carrier(&self, sent: Sent, resending: bool) -> Carrier {
        Carrier {
            ordinal: sent.ordinal,
            ends: sent.ends,
            last_end: self.last_end,
            last_cut: self.last_cut,
            last_cut_ends: self.last_cut_ends,
            resending,
        }
    }

    #[cold]
    fn damaged(&mut self, report: &mut Report<'_>, from: Side, kind: FactKind) -> Verdict {
        let tally = self.tallies.of_mut(from);
        tally.damaged = tally.damaged.saturating_add(1);
        report.tell(self.direction(from), kind);
        Verdict::Damaged
    }

    pub(super) fn summaries(&self) -> impl Iterator<Item = DirectionSummary> {
        Side::ALL.into_iter().map(|side| {
            let (view, tally) = (self.sides.of(side), self.tallies.of(side));
            DirectionSummary {
                from: *self.stations.of(side),
                to: *self.stations.of(side.other()),
                node: view.node,
                version: view.version,
                sessions: self.session,
                links: self.links,
                links_reset: self.links_reset,
                frames: tally.frames,
                damaged: tally.damaged,
                refused: tally.refused,
                numbers: self.streams.of(side).numbers,
                states: view.path.clone(),
                ending: self.ending,
            }
        })
    }

    /// How many digests are kept for it.
    #[inline]
    pub(super) fn digests(&self) -> usize {
        let [low, high] = Side::ALL.map(|side| self.streams.of(side).window.len());
        low.saturating_add(high)
    }

    /// Gives the memory of the digests back: what was sent before is not recognised if it comes again.
    pub(super) fn forget(&mut self) {
        for side in Side::ALL {
            self.streams.of_mut(side).forget();
        }
    }

    /// Whether a side was ever heard.
    pub(super) const fn heard(&self, side: Side) -> bool {
        self.tallies.of(side).frames > 0
    }
}

/// Whether receivers count the number of an `OPTS`.
pub(super) fn is_consumed(opts: &Opts<'_>) -> bool {
    match opts.inner {
        Ok(Inner::Msg(_) | Inner::Rcom(_) | Inner::Fin) => true,
        Err(error) => damage(&error.kind).is_some_and(|row| row.kernels != Effect::NotConsumed),
    }
}
