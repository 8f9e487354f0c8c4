//! What an `ACK` says about the numbers of the other direction (spec: midcomms 5.1).

use dlmwire_codec::Seq;

use crate::observer::facts::FactKind;
use crate::observer::side::{Direction, Report};
use crate::observer::stream::Stream;
use crate::receive::{Acked, acked};

/// Whether an `ACK` can be true.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Belief {
    /// It counts, also for a `FIN` that it covers.
    Believed,
    /// It lies behind an earlier one or beyond what was sent; nothing follows from it.
    Disbelieved,
}

impl Stream {
    /// Takes an `ACK` of this stream's messages.
    #[inline]
    pub(super) fn acknowledge(&mut self, report: &mut Report<'_>, of: Direction, ack: Seq) -> Belief {
        self.numbers.acks = self.numbers.acks.saturating_add(1);
        self.judge(report, of, ack)
    }

    /// What follows from an `ACK`.
    #[inline]
    pub(super) fn judge(&mut self, report: &mut Report<'_>, of: Direction, ack: Seq) -> Belief {
        let other_link = self.acked_on != report.link;
        if self.expected.is_none() {
            self.adopt_unseen(ack);
            return Belief::Believed;
        }
        let next = self.sent_next();
        let Some(before) = self.acked else {
            return self.first_ack(report, of, ack, next);
        };
        match acked(before, next, ack) {
            Acked::Advances { count } => {
                self.acked_on = report.link;
                self.advance(report, of, before, ack, count);
                Belief::Believed
            }
            Acked::Repeats => {
                self.repeat(report, of, ack);
                Belief::Believed
            }
            Acked::GoesBack { .. } => {
                self.numbers.acks_back = self.numbers.acks_back.saturating_add(1);
                report.tell(
                    of,
                    FactKind::AckWentBack {
                        ack,
                        was: before,
                        other_link,
                    },
                );
                Belief::Disbelieved
            }
            Acked::BeyondSent { .. } => self.beyond_sent(report, of, ack, next),
        }
    }

    /// No number of this direction was seen, so that any `ACK` may be right.
    #[cold]
    fn adopt_unseen(&mut self, ack: Seq) {
        if self.acked.is_none_or(|acked| acked.before(ack)) {
            self.acked = Some(ack);
        }
    }

    /// The first `ACK` of a conversation whose beginning was not seen: it may be about older messages.
    #[cold]
    fn first_ack(&mut self, report: &mut Report<'_>, of: Direction, ack: Seq, next: Seq) -> Belief {
        if next.before(ack) {
            return self.beyond_sent(report, of, ack, next);
        }
        self.acked_on = report.link;
        let oldest = self.window.base();
        let count = if oldest.before(ack) {
            oldest.distance(ack)
        } else {
            0
        };
        self.advance(report, of, oldest, ack, count);
        Belief::Believed
    }

    #[inline]
    fn advance(&mut self, report: &mut Report<'_>, of: Direction, oldest: Seq, ack: Seq, count: u32) {
        let delay = self
            .window
            .get(oldest)
            .filter(|_| count > 0)
            .map(|entry| report.at.time.since(entry.first.time));
        self.acked = Some(ack);
        self.numbers.acked = self.numbers.acked.saturating_add(u64::from(count));
        report.tell(of, FactKind::AckAdvanced { ack, count, delay });
        if !self.hole && self.holed.is_some_and(|holed| holed.before(ack)) {
            self.holed = None;
        }
        if self.expected.is_some_and(|expected| expected.before(ack)) {
            self.catch_up(report, of, ack);
        }
    }

    fn repeat(&mut self, report: &mut Report<'_>, of: Direction, ack: Seq) {
        self.numbers.acks_repeated = self.numbers.acks_repeated.saturating_add(1);
        let answers_duplicate = self.unanswered > 0;
        self.unanswered = self.unanswered.saturating_sub(1);
        report.tell(
            of,
            FactKind::AckRepeated {
                ack,
                answers_duplicate,
            },
        );
    }
}
