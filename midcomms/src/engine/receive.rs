//! What comes in (spec: midcomms 3, 5).

use dlmwire_codec::{
    Ack, DecodeError, Disposition, Effect, Frame, Inner, Opts, RawFrame, Rcom, RcomType, Seq, Version, damage,
};

use super::delivery::{Content, Delivery};
use super::incarnation::Received;
use super::outlet::ack_frame;
use super::turn::Turn;
use super::view::count;
use super::{Close, Event, Evidence, FenceCause, Outcome, Violation};
use crate::LinkId;
use crate::admission::{Known, Refusal, admit};
use crate::receive::{Acked, Arrival, acked, arrival};
use crate::state::{Input, Membership, State};

/// What became of a frame.
type Taken<'a> = Result<Option<Delivery<'a>>, Violation>;

impl Turn<'_> {
    /// A frame came on a live link of this peer.
    #[inline]
    pub(super) fn frame<'a>(&mut self, link: LinkId, raw: RawFrame<'a>) -> Taken<'a> {
        // What nearly every frame is. Whatever is decoded here stays in registers, as nobody else gets to see it: the
        // others are decoded once more.
        if let Ok(Frame::Opts(opts)) = raw.decode()
            && opts.seq == self.peer.recv_next
            && opts.node == self.peer.node
            && self.peer.is_numbered(self.common.config.version)
            && !self.peer.halted
        {
            debug_assert!(!self.peer.is_finished(), "a finished peer has no version");
            debug_assert!(
                self.admits(&Frame::Opts(opts)).is_ok(),
                "nothing is left to refuse"
            );
            return self.in_order(link, &opts, raw.bytes());
        }
        self.other_frame(link, raw)
    }

    /// A frame that is not simply the next number.
    #[inline(never)]
    fn other_frame<'a>(&mut self, link: LinkId, raw: RawFrame<'a>) -> Taken<'a> {
        let frame = match raw.decode() {
            Ok(frame) => frame,
            Err(error) => return Err(self.unreadable(link, error)),
        };
        if self.peer.halted {
            return Err(self.violation(link, Violation::Halted));
        }
        if self.peer.is_finished() {
            self.frame_of_finished(link, &frame);
            return Ok(None);
        }
        if let Err(refusal) = self.admits(&frame) {
            self.refused(link, &frame, refusal);
            return Err(self.violation(link, Violation::Refused(refusal)));
        }
        if self.peer.version.is_none() && !self.detect(link, frame.version()) {
            return Ok(None);
        }
        match frame {
            Frame::Opts(opts) => self.numbered(link, &opts, raw.bytes()),
            Frame::Ack(ack) => self.ack(link, ack),
            Frame::Msg(msg) => Ok(Some(self.deliver(None, Content::Msg(msg), raw.bytes()))),
            // A peer behind its FIN has no reason to ask, unless it has begun a new conversation: answering it from
            // the old one would let what we still resend into the new one.
            Frame::Rcom(rcom) if self.peer.peer_finished && is_question(&rcom) => Ok(None),
            Frame::Rcom(rcom) => Ok(Some(self.deliver(None, Content::Rcom(rcom), raw.bytes()))),
        }
    }

    fn admits(&self, frame: &Frame<'_>) -> Result<(), Refusal> {
        let known = Known {
            sender: self.peer.version,
            receiver: Some(self.common.config.version),
            sender_node: Some(self.peer.node),
            receiver_node: Some(self.common.config.node),
        };
        admit(frame, &known)
    }

    /// A frame of a finished peer that is no member, on a link that came up since, perhaps long after it was made.
    ///
    /// Only its repeated `FIN` is answered. Nothing late may begin a conversation: a number would be delivered a
    /// second time. A peer that has really begun anew sends again when it is made a member here too.
    #[cold]
    fn frame_of_finished(&mut self, link: LinkId, frame: &Frame<'_>) {
        if self.is_repeated_fin(frame) {
            self.answer_repeated_fin(link);
        } else if let Some(known) = self.common.links.get_mut(&link) {
            known.spoke_early |= match frame {
                Frame::Opts(_) => true,
                Frame::Ack(_) => false,
                // It is said again after a while, wherever; a link that no kernel replaces stays for it.
                Frame::Msg(_) | Frame::Rcom(_) => known.resets_make_resend(),
            };
        }
    }

    /// A frame is sound and cannot be taken now.
    ///
    /// Deviation: kernels count and acknowledge the number of a message that names another node. Whoever sends one is
    /// not the peer, and its numbers are not the peer's: here the link is aborted. A kernel peer sends none.
    #[cold]
    fn refused(&mut self, link: LinkId, frame: &Frame<'_>, refusal: Refusal) {
        if matches!(refusal, Refusal::OwnNode { .. } | Refusal::OtherNode { .. }) {
            self.close_link(link, Close::Abort);
        }
        if !matches!(refusal, Refusal::CannotOpen { .. }) {
            return;
        }
        match frame {
            Frame::Opts(_) => {
                if let Some(known) = self.common.links.get_mut(&link) {
                    known.spoke_early = true;
                }
            }
            Frame::Ack(ack) if !self.peer.rejoined && self.peer.membership() == Membership::Member => {
                // We have sent nothing yet: the peer remembers a conversation that we do not.
                let send_seq = self.peer.queue.next_seq();
                if ack.seq != send_seq {
                    self.restarted(Evidence::AckBeyondSent {
                        ack: ack.seq,
                        send_seq,
                    });
                }
            }
            Frame::Ack(_) | Frame::Msg(_) | Frame::Rcom(_) => {}
        }
    }

    /// The peer begins another conversation on this link. On those that came up before, its last one may still be on
    /// its way, and the numbers would fit: they are no part of the new one. They are closed in order, and one on which
    /// the peer still says something is aborted; a reset of every one would make a kernel lose its own connection too.
    fn leave_links_before(&mut self, link: LinkId) {
        if !std::mem::take(&mut self.peer.rejoined) {
            return;
        }
        let earlier = self.peer.links.iter().copied().take_while(|known| *known != link);
        for known in earlier.collect::<Vec<_>>() {
            if let Some(known) = self.common.links.get_mut(&known) {
                known.stale = true;
            }
            if self.peer.sending == Some(known) {
                self.leave_rest_on(known);
                self.send_on(link);
            }
            self.close_link(known, Close::AfterFlush);
        }
    }

    /// What the peer has sent was refused because we did not know its version, or had not begun anew: it has to send
    /// it again, which it does on a new link.
    pub(super) fn give_back_early_links(&mut self) {
        for link in self.peer.links.clone() {
            if self
                .common
                .links
                .get(&link)
                .is_some_and(|known| known.spoke_early)
            {
                self.give_back(link);
            }
        }
    }

    /// Ends a link of which we have not taken everything, so that the peer sends it again on another: by a reset, which
    /// kernels resend after, or else in order, which our own nodes resend after, too.
    fn give_back(&mut self, link: LinkId) {
        let reset = self
            .common
            .links
            .get(&link)
            .is_some_and(|known| known.resets_make_resend());
        self.close_link(link, if reset { Close::Abort } else { Close::AfterFlush });
    }

    /// A frame came on a link of a conversation that is over: only a repeated `FIN` still means something, and what
    /// was on its way when the conversation ended is harmless.
    ///
    /// Anything else belongs to a conversation that the peer has begun on the old link, as kernels do. The link is
    /// given back, so that the peer sends it again on a new one.
    #[cold]
    pub(super) fn stale_frame(&mut self, link: LinkId, raw: RawFrame<'_>) {
        match raw.decode() {
            Ok(Frame::Ack(_)) => {}
            Ok(frame) if self.is_repeated_fin(&frame) => self.answer_repeated_fin(link),
            Ok(Frame::Opts(opts)) if self.is_buried(opts.seq) => {}
            Ok(_) | Err(_) => self.give_back(link),
        }
    }

    #[cold]
    fn unreadable(&mut self, link: LinkId, error: DecodeError) -> Violation {
        if error.disposition() == Disposition::CloseLink {
            return self.framing_lost(link, error);
        }
        self.violation(link, Violation::Unreadable(error))
    }

    /// No frame can be found on the link any more (V8).
    pub(super) fn framing_lost(&mut self, link: LinkId, error: DecodeError) -> Violation {
        self.close_link(link, Close::Abort);
        self.violation(link, Violation::FramingLost(error))
    }

    /// The peer's first message. Whether it is taken.
    #[cold]
    fn detect(&mut self, link: LinkId, version: Version) -> bool {
        let node = self.peer.node;
        if version == Version::V3_1 && !self.common.config.accept_3_1 {
            self.tell(Event::Incompatible { node, version });
            self.close_link(link, Close::Abort);
            return false;
        }
        self.peer.version = Some(version);
        self.tell(Event::VersionDetected { node, version });
        let spoken = match self.common.config.version {
            Version::V3_1 => Version::V3_1,
            Version::V3_2 => version,
        };
        // Detection breaks no rule: the table has no violation in that column.
        let _ = self.apply(Input::VersionDetected(spoken), Outcome::Clean);
        self.give_back_early_links();
        self.leave_links_before(link);
        if self.peer.alarms.version_wait.take() {
            self.leave();
        }
        true
    }

    fn numbered<'a>(&mut self, link: LinkId, opts: &Opts<'a>, frame: &'a [u8]) -> Taken<'a> {
        let seq = opts.seq;
        match arrival(self.peer.recv_next, seq) {
            Arrival::InOrder => self.in_order(link, opts, frame),
            Arrival::Duplicate { .. } => self.duplicate(link, opts, frame),
            Arrival::Gap { .. } => {
                self.gap();
                Ok(None)
            }
        }
    }

    /// A number came too early: dropped, as it comes again behind the missing ones. If those never come the pair is
    /// dead, and somebody should know: kernels lose messages with a connection closed in order, and a peer whose
    /// restart nobody told goes on where we never were.
    fn gap(&mut self) {
        self.peer.counters.gaps = self.peer.counters.gaps.saturating_add(1);
        if self.peer.alarms.gap.is_none() {
            let pause = self.common.config.gap_reset_after;
            self.peer
                .alarms
                .gap
                .set(self.later(self.common.config.unacked_age_max));
            self.peer.alarms.gap_reset.set(self.later(pause));
            self.peer.alarms.gap_pause = pause;
            self.rearm();
        }
    }

    #[inline(always)]
    fn in_order<'a>(&mut self, link: LinkId, opts: &Opts<'a>, frame: &'a [u8]) -> Taken<'a> {
        let seq = opts.seq;
        let inner = match opts.inner {
            Ok(inner) => inner,
            Err(error) => return Err(self.damaged(link, seq, error, frame)),
        };
        self.count(seq, frame);
        let content = match inner {
            Inner::Fin => return self.fin(link),
            Inner::Msg(msg) => Content::Msg(msg),
            Inner::Rcom(rcom) => Content::Rcom(rcom),
        };
        if self.peer.peer_finished {
            return Err(self.violation(link, Violation::MessageAfterFin { seq }));
        }
        let skipped = frame.len().saturating_sub(content.encoded_len());
        Ok(Some(self.deliver(
            Some(seq),
            content,
            frame.get(skipped..).unwrap_or_default(),
        )))
    }

    /// The number counts and will be acknowledged.
    #[inline(always)]
    fn count(&mut self, seq: Seq, frame: &[u8]) {
        self.peer.received.count(seq, frame);
        self.peer.recv_next = seq.next();
        self.peer.owed.count(frame.len());
        if self.peer.alarms.gap.is_some() || self.peer.alarms.gap_reset.is_some() {
            self.gap_is_over();
        }
    }

    #[cold]
    fn gap_is_over(&mut self) {
        self.peer.alarms.gap.clear();
        self.peer.alarms.gap_reset.clear();
        self.rearm();
    }

    #[cold]
    fn damaged(&mut self, link: LinkId, seq: Seq, error: DecodeError, frame: &[u8]) -> Violation {
        let consumed = match damage(&error.kind).map(|row| row.ours) {
            Some(Effect::Consumed | Effect::Delivered) => true,
            Some(Effect::NotConsumed) | None => false,
        };
        if consumed {
            self.count(seq, frame);
        }
        self.violation(link, Violation::Damaged { seq, error, consumed })
    }

    #[inline]
    fn deliver<'a>(&mut self, seq: Option<Seq>, content: Content<'a>, bytes: &'a [u8]) -> Delivery<'a> {
        count(&mut self.peer.counters.delivered);
        Delivery {
            node: self.peer.node,
            seq,
            version: self.peer.version.unwrap_or(Version::V3_1),
            content,
            bytes,
        }
    }

    /// A number that was counted before: dropped, and acknowledged again, unless its bytes show that the peer
    /// counts anew (V6).
    #[cold]
    fn duplicate<'a>(&mut self, link: LinkId, opts: &Opts<'a>, frame: &'a [u8]) -> Taken<'a> {
        let seq = opts.seq;
        self.peer.counters.duplicates = self.peer.counters.duplicates.saturating_add(1);
        if !self.peer.received.differs(self.peer.recv_next, seq, frame) {
            self.peer.owed.at_once();
            return Ok(None);
        }
        if self.peer.state == State::Closed && seq == self.common.config.start_seq {
            // No conversation was promised to anybody yet: the peer died before it was made a member.
            self.begin_again();
            return self.in_order(link, opts, frame);
        }
        self.restarted(Evidence::OtherBytes { seq });
        Err(self.violation(link, Violation::Halted))
    }

    /// Numbers begin again, in both directions, before any conversation.
    fn begin_again(&mut self) {
        if let Some(sending) = self.peer.sending {
            self.leave_rest_on(sending);
        }
        self.give_up_queue();
        let start = self.common.config.start_seq;
        self.peer.queue.reset(start, &mut self.common.pool);
        self.after_release();
        self.peer.recv_next = start;
        self.peer.received = Received::new(start);
        self.peer.forget_acks();
    }

    /// The peer, or we, began again without the cluster manager's knowledge: nothing of it is taken any more, and if
    /// it is a member the cluster manager has to decide.
    ///
    /// Of a peer behind its `FIN` nothing is delivered anyhow, and its `ACK` of ours is still wanted.
    fn restarted(&mut self, evidence: Evidence) {
        let member = self.peer.membership() == Membership::Member;
        if !member && (self.peer.peer_finished || self.peer.state == State::Closed) {
            return;
        }
        self.peer.halted = true;
        self.peer.forget_acks();
        if member {
            let node = self.peer.node;
            self.tell(Event::PeerRestarted { node, evidence });
            self.fence_needed(FenceCause::Restarted);
        }
    }

    /// The peer's `FIN` came in its turn; its number has been counted.
    #[cold]
    fn fin<'a>(&mut self, link: LinkId) -> Taken<'a> {
        let twice = self.peer.peer_finished;
        self.peer.peer_finished = true;
        if !twice {
            let node = self.peer.node;
            self.tell(Event::PeerFinished { node });
        }
        match self.apply(Input::Fin, Outcome::Clean) {
            Ok(()) => {
                self.move_farewell_to(link);
                Ok(None)
            }
            Err(violation) => Err(self.violation(link, Violation::Termination(violation))),
        }
    }

    fn ack<'a>(&mut self, link: LinkId, ack: Ack) -> Taken<'a> {
        self.peer.counters.acks_received = self.peer.counters.acks_received.saturating_add(1);
        let ack = ack.seq;
        let sent = self.peer.queue.sent_seq();
        match acked(self.peer.queue.first_seq(), sent, ack) {
            Acked::Advances { .. } => self.release_before(ack),
            Acked::Repeats | Acked::GoesBack { .. } => {}
            Acked::BeyondSent { .. } => {
                let send_seq = self.peer.queue.next_seq();
                self.restarted(Evidence::AckBeyondSent { ack, send_seq });
                return Err(self.violation(link, Violation::AckBeyondSent { ack, send_seq }));
            }
        }
        Ok(None)
    }

    fn release_before(&mut self, ack: Seq) {
        if let Some(sending) = self.peer.sending
            && self.peer.queue.cursor_seq().before(ack)
        {
            // A frame that is acknowledged while it is half-written again still has to be written whole.
            self.leave_rest_on(sending);
        }
        self.peer.queue.release_before(ack, &mut self.common.pool);
        self.after_release();
        if let Some(fin) = self.peer.fin
            && fin.before(ack)
            && self.peer.alarms.fin_resend.take()
        {
            // Told once, in a state that waits for it: the alarm runs exactly while the FIN is unacknowledged.
            let _ = self.apply(Input::AckOfFin, Outcome::Clean);
        }
    }

    /// Something left the queue.
    pub(super) fn after_release(&mut self) {
        if self.peer.queue.count() == 0 {
            self.peer.ages.clear();
        } else {
            self.peer.ages.release_before(self.peer.queue.first_seq());
        }
        let queue_has_room = self.peer.queue.memory_bytes() <= self.common.config.queue_bytes_max / 2;
        let outlet_has_room = self.peer.outlet.waiting_bytes() <= self.common.config.bare_bytes_max / 2;
        if self.peer.refused_full && queue_has_room && outlet_has_room {
            self.peer.refused_full = false;
            self.peer.alarms.full.clear();
            self.rearm();
            let node = self.peer.node;
            self.tell(Event::Writable { node });
        }
    }

    /// Whether this is the `FIN` of the conversation that is over, once more.
    fn is_repeated_fin(&self, frame: &Frame<'_>) -> bool {
        let Some(tombstone) = self.peer.tombstone else {
            return false;
        };
        matches!(frame, Frame::Opts(opts) if opts.inner == Ok(Inner::Fin) && opts.seq.next() == tombstone.recv_next)
    }

    /// Whether the conversation that is over had counted this number.
    fn is_buried(&self, seq: Seq) -> bool {
        self.peer
            .tombstone
            .is_some_and(|tombstone| seq.before(tombstone.recv_next))
    }

    /// Answers a repeated `FIN` on the link that it came on (V2): the conversation has no other any more.
    fn answer_repeated_fin(&mut self, link: LinkId) {
        let Some(tombstone) = self.peer.tombstone else {
            return;
        };
        self.peer.counters.duplicates = self.peer.counters.duplicates.saturating_add(1);
        if let Some(known) = self.common.links.get_mut(&link) {
            let frame = ack_frame(self.common.config.node, tombstone.recv_next);
            known.farewell.get_or_insert(frame);
        }
    }
}

/// Whether the sender waits for an answer that says how we are.
const fn is_question(rcom: &Rcom<'_>) -> bool {
    matches!(rcom.rcom_type(), RcomType::Status | RcomType::Names)
}
