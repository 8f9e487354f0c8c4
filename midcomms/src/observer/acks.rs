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
        let seen = self.window.get(oldest).filter(|entry| entry.sightings > 0);
        let delay = seen
            .filter(|_| count > 0)
            .map(|entry| report.at.time.since(entry.first.time));
        self.acked = Some(ack);
        self.numbers.acked = self.numbers.acked.saturating_add(u64::from(count));
        report.tell(of, FactKind::AckAdvanced { ack, count, delay });
        if self.expected.is_some_and(|expected| expected.before(ack)) {
            self.catch_up(report, of, ack);
        }
    }

    /// The receiver has more than the capture shows.
    #[cold]
    fn catch_up(&mut self, report: &mut Report<'_>, of: Direction, ack: Seq) {
        self.expected = Some(ack);
        if self.window.next().before(ack) {
            self.window.skip_to(ack);
        }
        self.fill(report, of, ack, true);
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

    /// An `ACK` of what was not seen: of what the capture lacks, or of what was never sent.
    #[cold]
    fn beyond_sent(&mut self, report: &mut Report<'_>, of: Direction, ack: Seq, next: Seq) -> Belief {
        let in_hole = self.hole;
        self.numbers.acks_beyond = self.numbers.acks_beyond.saturating_add(1);
        report.tell(of, FactKind::AckBeyondSent { ack, next, in_hole });
        if !in_hole {
            return Belief::Disbelieved;
        }
        self.acked = Some(ack);
        self.acked_on = report.link;
        self.catch_up(report, of, ack);
        Belief::Believed
    }
}
