//! What an `ACK` covers and the capture has not shown: late, lost in the capture, or never sent.
//!
//! An `ACK` often travels on another link than what it acknowledges, and a capture has no order between links
//! that could be relied on. Nothing is therefore said before the sender's next packets have come.

use dlmwire_codec::Seq;

use crate::observer::acks::Belief;
use crate::observer::facts::{FactKind, Span};
use crate::observer::side::{Direction, Report};
use crate::observer::stream::{OpenGap, Stream};
use crate::observer::{At, LinkId, Mark, Verdict};

/// How many packets of the sender may be captured late, and how many messages at a capture's end.
const LATE_MAX: u32 = 8;

/// How late they may be captured, in nanoseconds.
const LATE_NS_MAX: u64 = 1_000_000_000;

/// The shortest numbered message, in bytes: the header of an `OPTS`.
const MESSAGE_BYTES_MIN: u64 = 24;

/// An `ACK` ahead of everything seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Beyond {
    ack: Seq,
    /// The number behind the newest when it came.
    next: Seq,
    at: At,
    link: Option<LinkId>,
    /// How many such `ACK`s came.
    count: u32,
    packets: Packets,
    /// Bytes that the capture lacks since.
    missing: u64,
    /// Whether its messages may be on the wire and not in the capture.
    excused: bool,
}

/// A gap that an `ACK` closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Overtaken {
    gap: OpenGap,
    at: At,
    link: Option<LinkId>,
    packets: Packets,
}

/// The sender's packets since something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Packets {
    count: u32,
    last: Mark,
}

impl Packets {
    const fn since(mark: Mark) -> Self {
        Self { count: 0, last: mark }
    }

    /// Counts a packet once, and none from before.
    fn saw(&mut self, mark: Mark) {
        if self.last < mark {
            self.last = mark;
            self.count = self.count.saturating_add(1);
        }
    }

    const fn suffice(self) -> bool {
        self.count >= LATE_MAX
    }
}

impl Stream {
    /// An `ACK` of what was not seen: of what the capture lacks or shows late, or of what was never sent.
    #[cold]
    pub(super) fn beyond_sent(
        &mut self,
        report: &mut Report<'_>,
        of: Direction,
        ack: Seq,
        next: Seq,
    ) -> Belief {
        if self.hole {
            self.beyond.take_if(|beyond| !ack.before(beyond.ack));
            self.numbers.acks_beyond = self.numbers.acks_beyond.saturating_add(1);
            report.tell(
                of,
                FactKind::AckBeyondSent {
                    ack,
                    next,
                    in_hole: true,
                },
            );
            self.acked_on = report.link;
            self.acked = Some(ack);
            self.catch_up(report, of, ack);
            return Belief::Believed;
        }
        let beyond = self.beyond.get_or_insert(Beyond {
            ack,
            next,
            at: report.at,
            link: report.link,
            count: 0,
            packets: Packets::since(report.at.mark),
            missing: 0,
            excused: false,
        });
        beyond.count = beyond.count.saturating_add(1);
        if beyond.ack.before(ack) {
            beyond.ack = ack;
        }
        Belief::Disbelieved
    }

    /// The receiver has more than was seen.
    #[cold]
    pub(super) fn catch_up(&mut self, report: &mut Report<'_>, of: Direction, ack: Seq) {
        let from = self.expected.unwrap_or(ack);
        if let Some(mut gap) = self.gap {
            let end = gap.missing.last().next();
            let covered = !ack.before(end);
            gap.unseen = gap
                .unseen
                .saturating_add(self.unseen(from, if covered { end } else { ack }));
            self.gap = Some(gap).filter(|_| !covered);
            if covered {
                self.overtake(report, of, gap);
            }
        }
        if self.window.next().before(ack) {
            self.window.skip_to(ack);
        }
        let mut expected = ack;
        // What had seemed too early came in order.
        while self.window.get(expected).is_some() {
            expected = expected.next();
        }
        self.expected = Some(expected);
    }

    /// Weighs a message that was not seen before against what `ACK`s have said of it.
    #[cold]
    pub(super) fn weigh(&mut self, report: &mut Report<'_>, of: Direction, seq: Seq, verdict: Verdict) {
        if let Some(mut overtaken) = self.overtaken.take() {
            let gap = &mut overtaken.gap;
            if gap.missing.first.distance(seq) < gap.missing.count {
                gap.unseen = gap.unseen.saturating_sub(1);
            } else {
                overtaken.packets.saw(report.at.mark);
            }
            self.overtaken = Some(overtaken);
            if overtaken.gap.unseen == 0 || overtaken.packets.suffice() {
                self.tell_overtaken(report, of);
            }
        }
        let reached = self.sent_next();
        let Some(beyond) = &mut self.beyond else { return };
        let goes_on = verdict == Verdict::InOrder && !seq.before(beyond.next);
        if beyond.excused || !reached.before(beyond.ack) || !goes_on {
            return;
        }
        beyond.packets.saw(report.at.mark);
        let too_late = report.at.time.since(beyond.at.time) > LATE_NS_MAX && beyond.packets.count > 0;
        if too_late || beyond.packets.suffice() {
            self.tell_beyond(report, of, false);
        }
    }

    /// Believes an `ACK` that came ahead of its messages, once they have come; returns it.
    #[inline]
    pub(super) fn believe_late(&mut self, report: &mut Report<'_>, of: Direction) -> Option<Seq> {
        let reached = self.sent_next();
        let beyond = self.beyond.take_if(|beyond| !reached.before(beyond.ack))?;
        let belief = self.judge(report, of, beyond.ack);
        self.acked_on = beyond.link;
        (belief == Belief::Believed).then_some(beyond.ack)
    }

    /// The capture lacks bytes of this direction; returns the `ACK` that they make believable.
    #[cold]
    pub(super) fn lack(&mut self, report: &mut Report<'_>, of: Direction, bytes: u64) -> Option<Seq> {
        self.hole = true;
        let reached = self.sent_next();
        self.holed = Some(reached);
        if let Some(gap) = &mut self.gap {
            gap.in_hole = true;
        }
        if let Some(overtaken) = &mut self.overtaken {
            overtaken.gap.in_hole = true;
            self.tell_overtaken(report, of);
        }
        let beyond = self.beyond.as_mut()?;
        beyond.missing = beyond.missing.saturating_add(bytes);
        beyond.excused = true;
        let ack = beyond.ack;
        let unseen = u64::from(reached.distance(ack));
        if unseen.saturating_mul(MESSAGE_BYTES_MIN) > beyond.missing {
            return None;
        }
        self.acked_on = beyond.link;
        self.acked = Some(ack);
        self.tell_beyond(report, of, true);
        self.catch_up(report, of, ack);
        Some(ack)
    }

    /// Messages may come for the first time that were sent long ago.
    pub(super) const fn excuse_beyond(&mut self) {
        if let Some(beyond) = &mut self.beyond {
            beyond.excused = true;
        }
    }

    /// Nothing more comes that could explain an `ACK`.
    pub(super) fn tell_unexplained(&mut self, report: &mut Report<'_>, of: Direction) {
        self.tell_overtaken(report, of);
        // Of a direction that was not seen nothing can be said.
        if let (Some(beyond), true) = (self.beyond, self.first.is_some()) {
            let unseen = self.sent_next().distance(beyond.ack);
            self.tell_beyond(report, of, beyond.excused || unseen <= LATE_MAX);
        }
        self.beyond = None;
    }

    /// Tells that a gap is filled, by its messages or by what an `ACK` says of them.
    pub(super) fn tell_filled(
        &mut self,
        report: &mut Report<'_>,
        of: Direction,
        gap: &OpenGap,
        by_ack: bool,
    ) {
        self.numbers.gaps_filled = self.numbers.gaps_filled.saturating_add(1);
        let filled = FactKind::GapFilled {
            missing: gap.missing,
            opened: gap.opened,
            dropped: gap.dropped,
            by_ack,
        };
        report.tell(of, filled);
    }

    /// Tells that a gap may be of the capture's making.
    pub(super) fn tell_gap_in_capture(&mut self, report: &mut Report<'_>, of: Direction, missing: Span) {
        self.numbers.gaps_in_capture = self.numbers.gaps_in_capture.saturating_add(1);
        report.tell(of, FactKind::GapInCapture { missing });
    }

    /// An `ACK` closes a gap: its messages were sent, whether they were seen or not.
    fn overtake(&mut self, report: &mut Report<'_>, of: Direction, gap: OpenGap) {
        self.tell_overtaken(report, of);
        self.overtaken = Some(Overtaken {
            gap,
            at: report.at,
            link: report.link,
            packets: Packets::since(report.at.mark),
        });
        if gap.unseen == 0 || gap.in_hole {
            self.tell_overtaken(report, of);
        }
    }

    fn tell_overtaken(&mut self, report: &mut Report<'_>, of: Direction) {
        let Some(Overtaken { gap, at, link, .. }) = self.overtaken.take() else {
            return;
        };
        if gap.unseen == 0 {
            self.tell_filled(report, of, &gap, false);
        } else if gap.in_hole {
            self.tell_gap_in_capture(report, of, gap.missing);
        } else {
            let mut then = report.back_at(at, link);
            self.tell_filled(&mut then, of, &gap, true);
        }
    }

    fn tell_beyond(&mut self, report: &mut Report<'_>, of: Direction, in_hole: bool) {
        let Some(Beyond {
            ack,
            next,
            at,
            link,
            count,
            ..
        }) = self.beyond.take()
        else {
            return;
        };
        self.numbers.acks_beyond = self.numbers.acks_beyond.saturating_add(u64::from(count));
        report.tell_at(at, link, of, FactKind::AckBeyondSent { ack, next, in_hole });
    }

    /// How many numbers from `from` up to `end` were not seen.
    fn unseen(&self, from: Seq, end: Seq) -> u32 {
        if !from.before(end) {
            return 0;
        }
        let count = from.distance(end);
        let seen = (0..count.min(self.window.span()))
            .filter(|offset| self.window.get(from.plus(*offset)).is_some())
            .count();
        count.saturating_sub(u32::try_from(seen).unwrap_or(u32::MAX))
    }
}
