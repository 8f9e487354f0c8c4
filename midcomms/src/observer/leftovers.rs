//! What never happened in a direction by the time its conversation ends.

use crate::observer::facts::{Ending, FactKind, LostLink, Span};
use crate::observer::link::LiveLink;
use crate::observer::side::{Direction, Report};
use crate::observer::stream::Stream;
use crate::observer::window::Entry;

/// What the pair looks like when a conversation ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish<'a> {
    pub(super) ending: Ending,
    pub(super) ends: u32,
    pub(super) last_end: Option<LostLink>,
    pub(super) live: &'a [LiveLink],
    pub(super) idle: u64,
    /// Whether the receiver was heard, so that missing `ACK`s mean something.
    pub(super) receiver_heard: bool,
    /// Whether the capture lacks bytes of the receiver.
    pub(super) receiver_hole: bool,
}

impl Stream {
    /// Tells what never happened, at a conversation's end.
    pub(super) fn finish(&mut self, report: &mut Report<'_>, of: Direction, finish: &Finish<'_>) {
        self.flush_run(report, of);
        self.tell_unexplained(report, of);
        if let Some(gap) = self.gap.take() {
            // An ACK that nobody captured may have covered it.
            if gap.in_hole || !finish.receiver_heard {
                self.tell_gap_in_capture(report, of, gap.missing);
                self.tell_unacked(report, of, finish);
                return;
            }
            report.tell(
                of,
                FactKind::GapNeverFilled {
                    missing: gap.missing,
                    expected: self.expected.unwrap_or(gap.missing.first),
                    opened: gap.opened,
                    dropped: gap.dropped,
                    links_lost: finish.ends.saturating_sub(gap.ends),
                    ending: finish.ending,
                },
            );
        }
        self.tell_unacked(report, of, finish);
    }

    fn tell_unacked(&mut self, report: &mut Report<'_>, of: Direction, finish: &Finish<'_>) {
        let (Some(first), true) = (self.first, finish.receiver_heard) else {
            return;
        };
        let oldest = self.acked.unwrap_or(first);
        let next = self.sent_next();
        if !oldest.before(next) {
            return;
        }
        let messages = Span {
            first: oldest,
            count: oldest.distance(next),
        };
        self.numbers.unacked_at_end = messages.count;
        let entry = self.window.get(oldest).copied();
        let links_lost = entry.map_or(0, |entry| finish.ends.saturating_sub(entry.ends_last));
        report.tell(
            of,
            FactKind::Unacked {
                messages,
                since: entry.map(|entry| entry.first),
                idle: finish.idle,
                link_up: finish.live.iter().any(|link| !link.closing),
                links_lost,
                in_hole: finish.receiver_hole,
                ending: finish.ending,
            },
        );
        if let Some(entry) = entry {
            self.tell_never_resent(report, of, finish, messages, &entry);
        }
    }

    /// Whether the oldest unacknowledged message went down with its link while newer ones went out later.
    fn tell_never_resent(
        &mut self,
        report: &mut Report<'_>,
        of: Direction,
        finish: &Finish<'_>,
        unacked: Span,
        oldest: &Entry,
    ) {
        let went_down = |entry: &Entry| finish.live.iter().all(|link| link.ordinal != entry.ordinal);
        let (Some(newest), Some(last)) = (self.window.newest().copied(), finish.last_end) else {
            return;
        };
        let lost = |entry: &Entry| went_down(entry) && entry.ordinal < newest.ordinal;
        if !lost(oldest) {
            return;
        }
        let mut messages = Span {
            first: unacked.first,
            count: 0,
        };
        while messages.count < unacked.count
            && self
                .window
                .get(messages.first.plus(messages.count))
                .is_some_and(lost)
        {
            messages.count = messages.count.saturating_add(1);
        }
        self.lost = true;
        let links_lost = finish.ends.saturating_sub(oldest.ends_last);
        report.tell(
            of,
            FactKind::NeverResent {
                messages,
                links_lost,
                last,
                ending: finish.ending,
            },
        );
    }
}
