//! One peer's turn: everything that a change of it may touch.

use dlmwire_codec::{Content, FrameFields, InnerFields, Options, OptsFields, Seq, Version};

use super::common::Common;
use super::link::Phase;
use super::peer::Peer;
use super::send::check_length;
use super::send_queue::SEGMENT_BYTES;
use super::view::count;
use super::{Close, Event, FenceCause, SendError, Violation};
use crate::state::{self, State};
use crate::{LinkId, Time};

/// A peer, borrowed with what it shares with all others.
pub(super) struct Turn<'e> {
    pub(super) now: Time,
    pub(super) common: &'e mut Common,
    pub(super) peer: &'e mut Peer,
}

impl Turn<'_> {
    /// Tells the engine's timers about the peer's earliest alarm. Last thing in every turn that may move one.
    pub(super) fn rearm(&mut self) {
        let wanted = self.peer.next_alarm();
        self.common
            .timers
            .rearm(self.peer.node, &mut self.peer.armed, wanted);
    }

    pub(super) fn later(&self, nanoseconds: u64) -> Time {
        Time(self.now.0.saturating_add(nanoseconds))
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.common.events.push(event);
    }

    pub(super) fn enter(&mut self, next: State) {
        let from = std::mem::replace(&mut self.peer.state, next);
        if from != next {
            let node = self.peer.node;
            self.tell(Event::StateChanged { node, from, to: next });
        }
    }

    /// Counts a breach and tells it, unless too many were told lately.
    pub(super) fn violation(&mut self, link: LinkId, violation: Violation) -> Violation {
        let counters = &mut self.peer.counters;
        counters.violations = counters.violations.saturating_add(1);
        if is_unexpected(violation) {
            counters.unexpected = counters.unexpected.saturating_add(1);
        }
        if self.common.events.has_room_for_violations()
            && let Some(suppressed) = self.peer.limiter.admit(self.now)
        {
            self.tell(Event::Violation {
                node: self.peer.node,
                link,
                violation,
                suppressed,
            });
        }
        violation
    }

    /// The driver is to get rid of a link. Told once.
    pub(super) fn close_link(&mut self, link: LinkId, how: Close) {
        let Some(known) = self.common.links.get_mut(&link) else {
            return;
        };
        let phase = match how {
            Close::Abort => Phase::Aborting,
            Close::AfterFlush => Phase::Draining,
        };
        if known.phase == Phase::Aborting || known.phase == phase {
            return;
        }
        known.phase = phase;
        self.tell(Event::CloseLink { link, how });
    }

    /// A numbered frame at the queue's tail. `None` if there is no room.
    pub(super) fn queue_numbered(
        &mut self,
        inner: InnerFields<'_>,
        limit_bytes: usize,
    ) -> Result<Option<Seq>, SendError> {
        let frame = FrameFields {
            version: Version::V3_2,
            node: self.common.config.node,
            content: Content::Opts(OptsFields {
                seq: self.peer.queue.next_seq(),
                options: Options::NONE,
                inner,
            }),
        };
        let length = frame.encoded_len();
        check_length(length)?;
        let Some(room) = self.peer.queue.room(length, limit_bytes, &mut self.common.pool) else {
            return Ok(None);
        };
        frame.encode_into(room)?;
        Ok(Some(self.commit(length)))
    }

    /// The frame that was written into the queue's room is accepted.
    #[inline]
    pub(super) fn commit(&mut self, length: usize) -> Seq {
        let seq = self.peer.queue.commit(length);
        self.peer.ages.note(seq, self.now);
        count(&mut self.peer.counters.sent);
        if self.peer.queue.count() == 1 || self.peer.alarms.age.is_none() {
            self.begin_waiting();
        }
        seq
    }

    /// There is something unacknowledged again.
    #[cold]
    fn begin_waiting(&mut self) {
        if self.peer.alarms.age.is_none() {
            self.peer
                .alarms
                .age
                .set(self.later(self.common.config.unacked_age_max));
            self.rearm();
        }
        if self.peer.queue.count() == 1 {
            self.ask_for_link();
        }
    }

    /// Queues our `FIN`, also into a full queue: it is what frees it.
    pub(super) fn queue_fin(&mut self) {
        let limit = self.common.config.queue_bytes_max.saturating_add(SEGMENT_BYTES);
        match self.queue_numbered(InnerFields::Fin, limit) {
            Ok(Some(seq)) => self.peer.fin = Some(seq),
            Ok(None) | Err(_) => unreachable!("one more segment has room for a FIN"),
        }
        self.peer.alarms.fin_pause = self.common.config.fin_resend_after;
        self.peer
            .alarms
            .fin_resend
            .set(self.later(self.common.config.fin_resend_after));
        let deadline = self.later(self.common.config.shutdown_deadline);
        self.peer.alarms.deadline.set_first(deadline);
    }

    /// The cluster manager should decide.
    pub(super) fn fence_needed(&mut self, cause: FenceCause) {
        let node = self.peer.node;
        self.tell(Event::FenceNeeded { node, cause });
    }

    /// Asks for a link if there is none to send on.
    pub(super) fn ask_for_link(&mut self) {
        if self.peer.wants_link() {
            let node = self.peer.node;
            self.tell(Event::LinkWanted { node });
        }
    }
}

/// Whether something came when nothing should.
const fn is_unexpected(violation: Violation) -> bool {
    match violation {
        Violation::Termination(state::Violation::FinInState(_) | state::Violation::AckOfFinInState(_))
        | Violation::MessageAfterFin { .. } => true,
        Violation::Unreadable(_)
        | Violation::FramingLost(_)
        | Violation::Refused(_)
        | Violation::Damaged { .. }
        | Violation::AckBeyondSent { .. }
        | Violation::UnknownLink
        | Violation::Halted => false,
    }
}
