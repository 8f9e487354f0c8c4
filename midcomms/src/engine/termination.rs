//! How a conversation begins and ends: the transition table applied (spec: midcomms 6).

use dlmwire_codec::Version;

use super::common::Departure;
use super::incarnation::Received;
use super::link::Link;
use super::outlet::ack_frame;
use super::owed::Owed;
use super::peer::{Alarms, Tombstone};
use super::turn::Turn;
use super::{Close, Event, FenceCause, Outcome};
use crate::state::{Input, State, Violation, step};
use crate::{LinkId, Time};

impl Turn<'_> {
    /// Does what the table says. `outcome` is how the conversation ended if this ends it.
    ///
    /// # Errors
    ///
    /// The input is nothing that the peer may cause in this state.
    pub(super) fn apply(&mut self, input: Input, outcome: Outcome) -> Result<(), Violation> {
        let from = self.peer.state;
        let cell = step(from, input, self.peer.membership());
        if let Some(violation) = cell.violation {
            return Err(violation);
        }
        if cell.ack {
            self.peer.owed.at_once();
        }
        if cell.reset {
            self.reset(outcome, cell.next);
        } else {
            self.enter(cell.next);
        }
        if cell.fin {
            self.queue_fin();
        }
        match cell.next {
            State::CloseWait if from != State::CloseWait => {
                let warning = self.later(self.common.config.close_wait_warning_after);
                self.peer.alarms.close_wait.set(warning);
            }
            State::CloseWait => {}
            State::Closed
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::LastAck
            | State::Closing => self.peer.alarms.close_wait.clear(),
        }
        self.rearm();
        Ok(())
    }

    /// A first lockspace lists the peer, or it is added again after it was fenced.
    pub(super) fn join(&mut self) {
        if self.peer.halted {
            let _ = self.apply(Input::Fence, Outcome::Readded);
        }
        self.peer.fenced = false;
        self.peer.rejoined |= self.peer.tombstone.take().is_some();
        // Adding never breaks a rule: the table has no violation in that column.
        let _ = self.apply(Input::Add, Outcome::Readded);
        self.give_back_early_links();
        match self.peer.sending {
            Some(link) => {
                let node = self.peer.node;
                self.tell(Event::Connected { node, link });
            }
            None => self.ask_for_link(),
        }
    }

    /// No lockspace lists the peer any more.
    pub(super) fn part(&mut self) {
        let _ = self.apply(Input::Remove, Outcome::Clean);
    }

    /// We leave: ends the conversation as far as the peer's version allows.
    pub(super) fn leave(&mut self) {
        if self.peer.state == State::Closed {
            return;
        }
        if self.peer.halted {
            // Nothing of it is taken, the ACK of a FIN neither.
            let _ = self.apply(Input::Fence, Outcome::Fenced);
            return;
        }
        let deadline = self.later(self.common.config.shutdown_deadline);
        match (self.common.config.version, self.peer.version) {
            (Version::V3_2, Some(Version::V3_2)) => {
                self.peer.alarms.deadline.set_first(deadline);
                let _ = self.apply(Input::Shutdown, Outcome::Clean);
            }
            (_, Some(Version::V3_1)) | (Version::V3_1, Some(Version::V3_2)) => {
                let _ = self.apply(Input::Fence, Outcome::WithoutFin);
            }
            (_, None) => {
                // The peer may have seen us already and expect a FIN (spec: midcomms 3, version wait).
                self.peer
                    .alarms
                    .version_wait
                    .set(self.later(self.common.config.version_wait));
                self.ask_for_link();
            }
        }
    }

    /// The cluster manager says that the peer is gone.
    pub(super) fn fence(&mut self) {
        self.peer.fenced = true;
        self.peer.tombstone = None;
        self.peer.rejoined = false;
        let _ = self.apply(Input::Fence, Outcome::Fenced);
        self.close_all_links(Close::Abort);
        self.rearm();
    }

    /// Something that was to be done at this moment.
    pub(super) fn ring(&mut self) {
        let now = self.now;
        if self
            .peer
            .tombstone
            .is_some_and(|tombstone| tombstone.expires <= now)
        {
            self.peer.tombstone = None;
            if self.peer.is_stranger() {
                self.give_back_early_links();
                self.close_all_links(Close::AfterFlush);
            }
        }
        if self.peer.alarms.gap.is_due(now) {
            self.peer.alarms.gap.clear();
            self.fence_needed(FenceCause::Gap);
        }
        if self.peer.alarms.gap_reset.is_due(now) {
            self.reset_for_gap();
        }
        if self.peer.alarms.full.is_due(now) {
            self.peer.alarms.full.clear();
            self.fence_needed(FenceCause::QueueFull);
        }
        if self.peer.alarms.close_wait.is_due(now) {
            self.peer.alarms.close_wait.clear();
            let node = self.peer.node;
            self.tell(Event::MembershipMissing { node });
        }
        if self.peer.alarms.version_wait.is_due(now) {
            let _ = self.apply(Input::Fence, Outcome::WithoutFin);
        }
        if self.peer.alarms.age.is_due(now) {
            self.look_at_age();
        }
        if self.peer.alarms.ack.is_due(now) {
            self.tick();
        }
        if self.peer.alarms.deadline.is_due(now) {
            self.peer.alarms.deadline.clear();
            self.fence_needed(FenceCause::ShutdownDeadline);
            let _ = self.apply(Input::Timeout, Outcome::TimedOut);
        } else if self.peer.alarms.fin_resend.is_due(now) {
            self.resend_for_fin();
        }
        self.rearm();
    }

    /// A number has been missing for some time (V10): links that are reset make the peer send again.
    ///
    /// Deviation: kernels drop what follows the gap for ever. A kernel peer sends again only after an error report,
    /// so that what it lost with a connection closed in order would never come. Over SCTP it would send nothing, and
    /// up to 6.1 not even connect again: there the links stay.
    fn reset_for_gap(&mut self) {
        let resets = |link: &LinkId| self.common.links.get(link).is_some_and(Link::resets_make_resend);
        let links: Vec<LinkId> = self.peer.links.iter().copied().filter(resets).collect();
        let is_usable = |link| self.common.links.get(link).is_some_and(Link::is_usable);
        if links.iter().any(is_usable) {
            let pause = self.peer.alarms.gap_pause.saturating_mul(2);
            self.peer.alarms.gap_pause = pause;
            self.peer.alarms.gap_reset.set(self.later(pause));
        } else {
            // Whoever loses every link before it is due would never be reset.
            self.peer.alarms.gap_reset.hold();
        }
        for link in links {
            self.close_link(link, Close::Abort);
        }
    }

    /// Our `FIN` is not acknowledged for some time (V3).
    ///
    /// Deviation: kernels run no timer, so that a final exchange whose loss nobody reports ends at their
    /// timeout. A kernel peer drops what it has, and acknowledges it again.
    fn resend_for_fin(&mut self) {
        if self.peer.queue.is_drained() && self.peer.sending.is_some() {
            self.peer.queue.rewind();
        }
        let pause = self.peer.alarms.fin_pause.saturating_mul(2);
        self.peer.alarms.fin_pause = pause;
        self.peer.alarms.fin_resend.set(self.later(pause));
    }

    /// Whether the oldest unacknowledged message is so old that somebody should decide about the peer.
    fn look_at_age(&mut self) {
        self.peer.alarms.age.clear();
        let Some(oldest) = self.peer.ages.oldest() else {
            return;
        };
        let age_max = self.common.config.unacked_age_max;
        let mut again = Time(oldest.0.saturating_add(age_max));
        if again <= self.now {
            // Newer kernels leave so many unacknowledged on a live link for ever (spec: midcomms 5.1).
            let excused = self.peer.sending.is_some() && self.peer.queue.count() <= LEGALLY_UNACKED;
            if !excused {
                self.fence_needed(FenceCause::UnackedAge);
            }
            again = self.later(age_max);
        }
        self.peer.alarms.age.set(again);
    }

    /// Entering `CLOSED`, or beginning anew: forgets numbers, version and queue.
    fn reset(&mut self, outcome: Outcome, next: State) {
        let clean = matches!(outcome, Outcome::Clean | Outcome::WithoutFin);
        if clean {
            self.bury();
        }
        self.give_up_queue();
        let start = self.common.config.start_seq;
        self.peer.outlet.clear();
        self.peer.queue.reset(start, &mut self.common.pool);
        self.peer.ages.clear();
        self.peer.recv_next = start;
        self.peer.received = Received::new(start);
        self.peer.version = None;
        self.peer.fin = None;
        self.peer.peer_finished = false;
        self.peer.owed = Owed::default();
        self.peer.halted = false;
        self.peer.refused_full = false;
        self.peer.alarms = Alarms::default();
        self.close_all_links(if clean { Close::AfterFlush } else { Close::Abort });
        let ended = self.peer.state != State::Closed;
        self.enter(next);
        if ended {
            let node = self.peer.node;
            self.tell(Event::Finished { node, outcome });
            if let Departure::Leaving(worst) = &mut self.common.departure {
                *worst = outcome.max(*worst);
            }
        }
    }

    /// Leaves what a clean end still needs: the last `ACK` on its way, and the memory that repeats it.
    fn bury(&mut self) {
        let last_ack = ack_frame(self.common.config.node, self.peer.recv_next);
        if self.peer.peer_finished {
            self.peer.tombstone = Some(Tombstone {
                recv_next: self.peer.recv_next,
                expires: self.later(self.common.config.tombstone_lifetime),
            });
        }
        let Some(sending) = self.peer.sending else {
            return;
        };
        self.leave_rest_on(sending);
        let owes = self.peer.owed.is_some() || self.peer.outlet.has_ack();
        let numbered = self.peer.is_numbered(self.common.config.version);
        if let Some(link) = self.common.links.get_mut(&sending) {
            if owes && numbered {
                link.farewell = Some(last_ack);
            }
            if !numbered {
                // Nobody acknowledges: what waits is all that can still be done for the peer.
                for slice in self.peer.queue.unsent(0) {
                    link.rest.extend_from_slice(slice);
                }
                self.peer.queue.advance_to_end();
            }
        }
    }

    /// Counts what was accepted and can no longer arrive.
    pub(super) fn give_up_queue(&mut self) {
        if !self.peer.is_numbered(self.common.config.version) && self.peer.version.is_some() {
            self.peer.queue.release_transmitted(&mut self.common.pool);
        }
        let fin_waits = self
            .peer
            .fin
            .is_some_and(|fin| !fin.before(self.peer.queue.first_seq()));
        let waiting = u64::from(self.peer.queue.count()).saturating_sub(u64::from(fin_waits));
        if waiting > 0 {
            self.peer.counters.lost = self.peer.counters.lost.saturating_add(waiting);
            let node = self.peer.node;
            self.tell(Event::Lost {
                node,
                messages: waiting,
            });
        }
    }
}

/// Messages that newer kernels may leave unacknowledged.
const LEGALLY_UNACKED: u32 = 256;
