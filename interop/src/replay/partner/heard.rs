//! What the peers said: fed to the engine in runs, as a driver reads.

use dlmwire_codec::{DecodeError, Frame, Inner, NodeId, Seq, Version};

use super::{Partner, Reason, Run, engine_link};
use crate::capture::LinkId;
use crate::replay::receiving::{Did, Verdict};
use crate::replay::recording::{What, raw};
use crate::replay::report::Class;

impl<'a> Partner<'a> {
    pub(super) fn peer_frame(&mut self, link: LinkId, peer: NodeId, bytes: &'a [u8]) {
        let Some(frame) = raw(bytes) else {
            return;
        };
        let decoded = frame.decode();
        let part = self.script.links.get(&link);
        let conversation = part.and_then(|part| self.script.conversation(*part));
        if conversation.is_some_and(|conversation| conversation.partial.is_some()) {
            return;
        }
        let current = self.current(link);
        if current.is_none() || !self.links.contains_key(&link) {
            self.unread(peer, current.is_some(), &decoded);
            return;
        }
        let sender = if self.spoke_3_2(peer) {
            Version::V3_2
        } else {
            Version::V3_1
        };
        let versions = [self.script.version, sender];
        let Some(talk) = self.talks.get_mut(&peer) else {
            return;
        };
        let verdict = talk.receiving.verdict(&decoded, versions);
        if let Ok(Frame::Ack(ack)) = &decoded {
            talk.sending.peer_acks(ack.seq.get());
        }
        let is_fin = matches!(&decoded, Ok(Frame::Opts(opts)) if opts.inner == Ok(Inner::Fin));
        if verdict == Verdict::Count
            && is_fin
            && current.is_some_and(|conversation| conversation.removed_before_fin)
        {
            self.remove(peer);
        }
        let before = self.counters(peer);
        let result = self.engine.handle_frame(self.now, engine_link(link), frame);
        let (delivered, violation) = match result {
            Ok(delivery) => (delivery.map(|one| (one.seq.map(Seq::get), one.bytes)), None),
            Err(violation) => (None, Some(violation.to_string())),
        };
        let after = self.counters(peer);
        let did = Did {
            delivered,
            duplicates: after.0.saturating_sub(before.0),
            gaps: after.1.saturating_sub(before.1),
            violation,
        };
        self.note_run(link, peer, verdict);
        self.judge(peer, verdict, &did, &decoded, bytes, link);
    }

    fn judge(
        &mut self,
        peer: NodeId,
        verdict: Verdict,
        did: &Did<'_>,
        decoded: &Result<Frame<'_>, DecodeError>,
        bytes: &[u8],
        link: LinkId,
    ) {
        let Some(talk) = self.talks.get_mut(&peer) else {
            return;
        };
        let told = talk.receiving.judge(verdict, did, decoded, bytes, link);
        let once = match did.delivered {
            Some((Some(seq), _)) => talk.receiving.delivered(seq),
            Some((None, _)) | None => true,
        };
        let row = self.report.peer(peer);
        row.frames += 1;
        row.delivered += u64::from(did.delivered.is_some());
        row.delivered_twice += u64::from(!once);
        row.duplicates += did.duplicates;
        row.gaps += did.gaps;
        if let Some(text) = told {
            self.differs(Class::Unlisted, peer, text);
        }
    }

    /// A frame that no driver reads any more: its link or its conversation is over for our engine.
    fn unread(&mut self, peer: NodeId, is_current: bool, frame: &Result<Frame<'_>, DecodeError>) {
        self.report.peer(peer).unread += 1;
        let Some(talk) = self.talks.get(&peer).filter(|_| is_current) else {
            return;
        };
        if let Ok(Frame::Opts(opts)) = frame
            && opts.seq.get() >= talk.receiving.expected()
        {
            let text = format!("our engine let go of the link on which number {} came", opts.seq);
            self.differs(Class::Unlisted, peer, text);
        }
    }

    /// Duplicates and gaps that the engine has counted.
    fn counters(&self, peer: NodeId) -> (u64, u64) {
        let view = self.engine.peer(self.now, peer);
        view.map_or((0, 0), |view| (view.counters.duplicates, view.counters.gaps))
    }

    fn note_run(&mut self, link: LinkId, peer: NodeId, verdict: Verdict) {
        let packet = self.recording.stamp(self.record).packet;
        let run = self.run.get_or_insert(Run {
            link,
            peer,
            packet,
            wants_ack: false,
            repeated: false,
        });
        run.repeated |= verdict == Verdict::Duplicate;
        run.wants_ack |= match verdict {
            Verdict::Deliver(Some(_)) | Verdict::Count | Verdict::Duplicate => true,
            Verdict::Deliver(None) | Verdict::Gap | Verdict::Ack | Verdict::Refuse => false,
        };
    }

    /// Whether a record brings one more frame of the run that goes on.
    pub(super) fn continues_run(&self, record: usize) -> bool {
        let Some(run) = self.run else {
            return true;
        };
        match self.recording.records().get(record) {
            Some(next) => match &next.what {
                What::Frame { link, from, .. } => {
                    next.stamp.packet == run.packet
                        && run.link == *link
                        && self.sender(*link, *from).is_some()
                }
                What::LinkUp { .. }
                | What::FramingLost { .. }
                | What::HalfClosed { .. }
                | What::LinkDown { .. } => false,
            },
            None => false,
        }
    }

    /// The moment for one `ACK`, which has to cover everything that came in order.
    pub(super) fn end_run(&mut self) {
        let Some(run) = self.run.take() else {
            return;
        };
        let acks = |partner: &Self| {
            let talk = partner.talks.get(&run.peer);
            talk.map_or((0, 0), |talk| talk.receiving.acks())
        };
        let before = acks(self);
        self.engine.handle_read_done(self.now, engine_link(run.link));
        self.drain(run.peer, Some(Reason::Run(run)));
        let after = acks(self);
        let sent = after.0.saturating_sub(before.0);
        let for_run = after.1.saturating_sub(before.1);
        let view = self.engine.peer(self.now, run.peer);
        let can_send = view.is_some_and(|view| view.sending_link.is_some());
        let owes = run.wants_ack && !can_send;
        let talk = self.talks.get_mut(&run.peer);
        let owed = talk.is_some_and(|talk| std::mem::replace(&mut talk.owes_ack, owes));
        if for_run > 0 && !run.wants_ack && !owed {
            self.differs(
                Class::Unlisted,
                run.peer,
                "our engine sent an ACK for nothing".to_owned(),
            );
        } else if run.wants_ack && sent == 0 && can_send {
            self.differs(
                Class::Unlisted,
                run.peer,
                "our engine owes an ACK for what came".to_owned(),
            );
        } else if for_run > 1 {
            let text = format!("our engine sent {for_run} ACKs for one run of frames");
            self.differs(Class::Unlisted, run.peer, text);
        }
    }
}
