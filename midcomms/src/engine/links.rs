//! A peer's links: which one is sent on, and what moves when it is lost (spec: lowcomms 3, 6).
//!
//! Both nodes dial, so a peer may have several links. Data is taken from every one; we send on one. Which one the
//! peer sends on is its own affair, and an `ACK` for what came on one may go out on another.

use super::link::{Link, LinkRole, LinkUp, Phase};
use super::turn::Turn;
use super::{Close, Event};
use crate::LinkId;

impl Turn<'_> {
    /// A link to this peer came up.
    pub(super) fn link_up(&mut self, link: LinkId, up: LinkUp) {
        let late = self.peer.state.is_terminating();
        let known = Link {
            late,
            ..Link::new(up)
        };
        let resets_make_resend = known.resets_make_resend();
        self.common.links.insert(link, known);
        self.peer.links.reserve_exact(1);
        self.peer.links.push(link);
        self.peer.counters.links_up = self.peer.counters.links_up.saturating_add(1);
        if self.peer.fenced || self.peer.halted {
            // In order: a kernel that is reset connects again at once, and so without end.
            self.close_link(link, Close::AfterFlush);
            return;
        }
        if up.role == LinkRole::Dialed && self.peer.is_stranger() {
            // The dial took longer than the reason for it.
            self.close_link(link, Close::AfterFlush);
            return;
        }
        self.make_place();
        match self.peer.sending {
            None => self.send_on(link),
            Some(old) if self.is_replaced(old, up.role) => {
                self.leave_rest_on(old);
                self.send_on(link);
            }
            Some(_) => {}
        }
        if self.peer.alarms.gap_reset.is_held() && resets_make_resend {
            // Not at once: a kernel that has not accepted the link yet would take no notice.
            let soon = self.later(self.common.config.gap_reset_after / 8);
            self.peer.alarms.gap_reset.set(soon);
        }
    }

    /// A peer dials only when it has no connection of its own: if we send on one that it made and it makes
    /// another, it has lost the first.
    fn is_replaced(&self, old: LinkId, new: LinkRole) -> bool {
        let old = self.common.links.get(&old).map(|old| old.role);
        (old, new) == (Some(LinkRole::Accepted), LinkRole::Accepted)
    }

    /// The peer closed its direction in order. What waits is still written, then the link goes.
    pub(super) fn link_end(&mut self, link: LinkId) {
        let unnumbered = self.peer.version.is_some() && !self.peer.is_numbered(self.common.config.version);
        if unnumbered && self.peer.sending == Some(link) {
            // Nobody would send again what this link still takes: only what it has begun.
            self.leave_rest_on(link);
            self.close_link(link, Close::AfterFlush);
            self.send_elsewhere();
        } else {
            self.close_link(link, Close::AfterFlush);
        }
    }

    /// The link is gone.
    pub(super) fn link_down(&mut self, link: LinkId) {
        let known = self.common.links.remove(&link);
        self.peer.links.retain(|known| *known != link);
        self.peer.counters.links_down = self.peer.counters.links_down.saturating_add(1);
        if self.peer.owed.is_some() {
            // Its read run will not be told as done any more.
            self.queue_ack();
        }
        if self.peer.sending != Some(link) {
            return;
        }
        let association_ended =
            known.is_some_and(|known| known.phase == Phase::Draining && !known.resets_make_resend());
        if association_ended && self.waits_for_ack_of_fin() {
            self.wait_elsewhere();
        } else {
            self.send_elsewhere();
        }
    }

    /// Whether all that is left of our side is the `ACK` of a `FIN` that a link has taken whole.
    fn waits_for_ack_of_fin(&self) -> bool {
        self.peer.alarms.fin_resend.is_some() && self.peer.queue.is_drained()
    }

    /// The peer ended in order the association that our `FIN` went out on, as a kernel does that is done: its `ACK` may
    /// still be on its way on another, as nothing orders the two. Nothing is sent there before the alarm of the
    /// `FIN` rings, as a kernel from 6.12 on would take it for the next conversation.
    fn wait_elsewhere(&mut self) {
        let Some(next) = self.spare_link() else {
            self.send_elsewhere();
            return;
        };
        self.peer.outlet.begin_anew();
        self.peer.sending = Some(next);
        let node = self.peer.node;
        self.tell(Event::Connected { node, link: next });
    }

    /// The sending link is lost to us: another takes its place, or is asked for.
    fn send_elsewhere(&mut self) {
        self.peer.sending = None;
        self.peer.outlet.begin_anew();
        self.begin_queue_anew();
        match self.spare_link() {
            Some(next) => self.send_on(next),
            None => {
                if self.peer.is_stranger() {
                    // An answer to a question that nobody waits for any more.
                    self.peer.outlet.clear();
                }
                let node = self.peer.node;
                self.tell(Event::Disconnected { node });
                self.ask_for_link();
            }
        }
    }

    /// The link to send on when the present one is lost: one that we made, else the newest.
    fn spare_link(&self) -> Option<LinkId> {
        let usable = |link: &&LinkId| self.common.links.get(link).is_some_and(|link| link.is_usable());
        let dialed = |link: &&LinkId| {
            self.common
                .links
                .get(link)
                .is_some_and(|known| known.role == LinkRole::Dialed)
        };
        let newest_first = || self.peer.links.iter().rev().filter(usable);
        newest_first()
            .find(dialed)
            .or_else(|| newest_first().next())
            .copied()
    }

    /// Sends on this link from now on, from the oldest unacknowledged message.
    ///
    /// Deviation (V1): kernels send again only after an error report, so that a connection closed in order loses
    /// what was in flight for ever. A kernel peer drops what it has, and acknowledges it again.
    pub(super) fn send_on(&mut self, link: LinkId) {
        self.peer.sending = Some(link);
        self.begin_queue_anew();
        let start = self.common.config.start_seq;
        let began = self.peer.recv_next != start || self.peer.queue.next_seq() != start;
        if self.peer.is_numbered(self.common.config.version) && began {
            // An ACK may have been lost with the old link while the peer's own one stands. Before the first number it
            // would be one of nothing, and open the conversation in the place of what tells our version.
            self.queue_ack();
        }
        let node = self.peer.node;
        self.tell(Event::Connected { node, link });
    }

    /// Moves the cursor back to the oldest message that may not have arrived. What was given to a link whole is
    /// never given to another if nobody acknowledges it.
    fn begin_queue_anew(&mut self) {
        if !self.peer.is_numbered(self.common.config.version) {
            self.peer.queue.release_transmitted(&mut self.common.pool);
        }
        self.peer.queue.rewind();
    }

    /// The link is not sent on any more, or the queue is about to go: what it has begun it still finishes.
    pub(super) fn leave_rest_on(&mut self, link: LinkId) {
        let Some(known) = self
            .common
            .links
            .get_mut(&link)
            .filter(|known| known.phase != Phase::Aborting)
        else {
            return;
        };
        let cut = self.peer.queue.cut_rest();
        let length = cut.len();
        known.rest.extend_from_slice(cut);
        self.peer.queue.advance(length);
        known.rest.extend_from_slice(&self.peer.outlet.take_rest());
    }

    /// The last `ACK` goes out on the link on which the `FIN` came, if that came up late: then the peer has made it
    /// because it lost the one that we send on. Otherwise it stays behind what we have sent before it.
    pub(super) fn move_farewell_to(&mut self, link: LinkId) {
        if !self.common.links.get(&link).is_some_and(|known| known.late) {
            return;
        }
        let holds = |id: &&LinkId| {
            self.common
                .links
                .get(id)
                .is_some_and(|known| known.farewell.is_some())
        };
        let Some(holder) = self.peer.links.iter().find(holds).copied() else {
            return;
        };
        let farewell = self
            .common
            .links
            .get_mut(&holder)
            .and_then(|known| known.farewell.take());
        if let Some(known) = self.common.links.get_mut(&link) {
            known.farewell = farewell;
        }
    }

    /// No more links than are allowed: the oldest that is only received from gives way, in such a way that its
    /// maker notices.
    fn make_place(&mut self) {
        let counts = |link: &&LinkId| {
            self.common
                .links
                .get(link)
                .is_some_and(|known| known.phase != Phase::Aborting)
        };
        let open = self.peer.links.iter().filter(counts).count();
        if open <= self.common.config.links_per_peer_max {
            return;
        }
        let spare = self
            .peer
            .links
            .iter()
            .filter(counts)
            .find(|link| Some(**link) != self.peer.sending);
        if let Some(oldest) = spare.copied() {
            self.close_link(oldest, Close::Abort);
        }
    }

    /// The conversation is over, and its links with it: a new one needs new links, so that nothing that comes late
    /// is taken for a part of it.
    ///
    /// Kernels keep their connections and begin the next conversation on them; they dial again when ours are
    /// closed.
    pub(super) fn close_all_links(&mut self, how: Close) {
        let had_link = self.peer.sending.take().is_some();
        for link in self.peer.links.clone() {
            if let Some(known) = self.common.links.get_mut(&link) {
                known.stale = true;
            }
            self.close_link(link, how);
        }
        if had_link {
            let node = self.peer.node;
            self.tell(Event::Disconnected { node });
        }
    }
}
