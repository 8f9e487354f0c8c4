//! A pair's links, as far as conversations depend on them.

use dlmwire_codec::DecodeError;

use crate::observer::facts::{FactKind, LostLink};
use crate::observer::pair::Pair;
use crate::observer::side::{Both, Report, Side};
use crate::observer::{Ends, HalfSent, LinkEnd, LinkId, LinkStart};

/// A link of a pair.
#[derive(Debug)]
pub(super) struct Link {
    /// The pair's position.
    pub(super) pair: usize,
    /// Counts the pair's links as they come up, from 1: a younger link has a larger one.
    pub(super) ordinal: u32,
    pub(super) dialled: Side,
    /// Once the link has ended: how many of the pair had ended before. What is seen on it later was sent before.
    pub(super) ended: Option<u32>,
    pub(super) lanes: Both<Lane>,
}

/// One direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Lane {
    pub(super) frames: u64,
    /// Whether `STATUS` or `NAMES` was sent on it.
    pub(super) opener: bool,
    /// New numbers before the first resent one.
    pub(super) new: u32,
    /// Whether any message was sent again on it.
    pub(super) repeated: bool,
    /// Whether a message of an older link was sent again on it.
    pub(super) resent: bool,
}

/// What the pair remembers of a link that is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LiveLink {
    pub(super) id: LinkId,
    pub(super) ordinal: u32,
    pub(super) dialled: Side,
    /// Whether a side has stopped sending.
    pub(super) closing: bool,
    /// Whether its beginning was not seen.
    pub(super) midway: bool,
}

impl Pair {
    pub(super) fn link_up(
        &mut self,
        report: &mut Report<'_>,
        id: LinkId,
        pair: usize,
        ends: Ends,
        how: LinkStart,
    ) -> Link {
        let dialled = if *self.stations.of(Side::Low) == ends.dialled {
            Side::Low
        } else {
            Side::High
        };
        let crosses = self
            .live
            .iter()
            .rev()
            .find(|link| link.dialled != dialled)
            .map(|link| link.id);
        self.links = self.links.saturating_add(1);
        let ordinal = self.links;
        self.live.push(LiveLink {
            id,
            ordinal,
            dialled,
            closing: false,
            midway: how == LinkStart::Midway,
        });
        if how == LinkStart::Midway {
            self.excuse_beyond();
        }
        let live = u32::try_from(self.live.len()).unwrap_or(u32::MAX);
        report.tell(self.direction(dialled), FactKind::LinkUp { how, crosses, live });
        Link {
            pair,
            ordinal,
            dialled,
            ended: None,
            lanes: Both::default(),
        }
    }

    pub(super) fn half_closed(&mut self, report: &mut Report<'_>, link: &Link, from: Side) {
        self.settle(report);
        for live in &mut self.live {
            live.closing |= live.ordinal == link.ordinal;
        }
        report.tell(self.direction(from), FactKind::HalfClosed);
    }

    pub(super) fn link_down(
        &mut self,
        report: &mut Report<'_>,
        link: &mut Link,
        why: LinkEnd,
        half_sent: HalfSent,
    ) {
        self.settle(report);
        for side in Side::ALL {
            let of = self.direction(side);
            self.streams.of_mut(side).flush_run(report, of);
        }
        for (side, bytes) in [
            (link.dialled, half_sent.dialled),
            (link.dialled.other(), half_sent.accepted),
        ] {
            if bytes > 0 {
                self.sides.of_mut(side).half_sent = report.link;
                report.tell(self.direction(side), FactKind::HalfSent { bytes, why });
            }
        }
        if why != LinkEnd::Closed {
            self.excuse_beyond();
        }
        self.live.retain(|live| live.ordinal != link.ordinal);
        link.ended = Some(self.ends);
        self.ends = self.ends.saturating_add(1);
        self.last_end = report.link.map(|link| LostLink {
            link,
            why,
            at: report.at,
        });
        if matches!(why, LinkEnd::Reset | LinkEnd::Aborted) {
            self.links_reset = self.links_reset.saturating_add(1);
            self.last_cut = self.last_end;
            self.last_cut_ends = self.ends;
        }
        let frames_dialled = link.lanes.of(link.dialled).frames;
        let frames_accepted = link.lanes.of(link.dialled.other()).frames;
        let down = FactKind::LinkDown {
            why,
            frames_dialled,
            frames_accepted,
        };
        report.tell(self.direction(link.dialled), down);
    }

    pub(super) fn missing(&mut self, report: &mut Report<'_>, from: Side, bytes: u64) {
        report.tell(self.direction(from), FactKind::CaptureHole { bytes });
        self.lack(report, from, bytes);
    }

    fn lack(&mut self, report: &mut Report<'_>, from: Side, bytes: u64) {
        self.sides.of_mut(from).hole = true;
        let of = self.direction(from);
        if let Some(ack) = self.streams.of_mut(from).lack(report, of, bytes) {
            self.fin_acked(report, from, ack);
        }
    }

    /// What was sent on other links, or before, may come for the first time now.
    fn excuse_beyond(&mut self) {
        for side in Side::ALL {
            self.streams.of_mut(side).excuse_beyond();
        }
    }

    pub(super) fn framing_lost(
        &mut self,
        report: &mut Report<'_>,
        link: &mut Link,
        from: Side,
        error: DecodeError,
    ) {
        self.after_half_sent(report, link.lanes.of(from), from, false);
        let lane = link.lanes.of_mut(from);
        lane.frames = lane.frames.saturating_add(1);
        report.tell(self.direction(from), FactKind::FramingLost { error });
        // Whole messages may follow that nobody can find, which is no gap of the sender's making.
        self.lack(report, from, u64::MAX);
    }

    /// Tells whether the first frame after a half-sent one, on a later link, starts on a boundary.
    #[cold]
    pub(super) fn after_half_sent(
        &mut self,
        report: &mut Report<'_>,
        lane: &Lane,
        from: Side,
        boundary: bool,
    ) {
        if lane.frames == 0
            && let Some(lost) = self.sides.of_mut(from).half_sent.take()
        {
            report.tell(self.direction(from), FactKind::AfterHalfSent { lost, boundary });
        }
    }
}
