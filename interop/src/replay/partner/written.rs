//! What the engine writes and tells.

use dlmwire_codec::{Frame, Inner, NodeId, Version};
use dlmwire_midcomms::engine::{Event, FenceCause};

use super::{Partner, Reason, engine_link};
use crate::capture::LinkId;
use crate::replay::receiving::Cause;
use crate::replay::recording::{Recording, raw};
use crate::replay::report::Class;
use crate::replay::script::Conversation;
use crate::replay::sending::{Wrote, differs};

impl Partner<'_> {
    pub(super) fn drain_all(&mut self, reason: Option<Reason>) {
        let peers: Vec<NodeId> = self.links_of.keys().copied().collect();
        for peer in peers {
            self.drain(peer, reason);
        }
        self.events();
    }

    pub(super) fn drain(&mut self, peer: NodeId, reason: Option<Reason>) {
        let links: Vec<LinkId> = self.links_of.get(&peer).into_iter().flatten().copied().collect();
        for link in links {
            let mut written = Vec::new();
            while let Some(transmit) = self.engine.poll_transmit(engine_link(link)) {
                let before = written.len();
                for slice in transmit.slices() {
                    written.extend_from_slice(slice);
                }
                let taken = written.len().saturating_sub(before);
                self.engine.handle_transmitted(self.now, engine_link(link), taken);
                if taken == 0 {
                    break;
                }
            }
            self.wrote(link, peer, &written, reason);
        }
        self.events();
    }

    fn events(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            self.event(event);
        }
    }

    /// Takes what the engine wrote on a link, which is whole frames.
    fn wrote(&mut self, link: LinkId, peer: NodeId, mut bytes: &[u8], reason: Option<Reason>) {
        while !bytes.is_empty() {
            let Some(frame) = raw(bytes) else {
                self.differs(Class::Unlisted, peer, "our engine wrote half a frame".to_owned());
                return;
            };
            let length = frame.bytes().len();
            match frame.decode() {
                Ok(decoded) => self.wrote_frame(link, peer, &decoded, frame.bytes(), reason),
                Err(error) => {
                    let text = format!("our engine wrote what makes no sense: {error}");
                    self.differs(Class::Unlisted, peer, text);
                }
            }
            bytes = &bytes[length..];
        }
    }

    fn wrote_frame(
        &mut self,
        link: LinkId,
        peer: NodeId,
        frame: &Frame<'_>,
        bytes: &[u8],
        reason: Option<Reason>,
    ) {
        let (script, recording, record) = (self.script, self.recording, self.record);
        let Some(talk) = self.talks.get_mut(&peer) else {
            self.differs(
                Class::Unlisted,
                peer,
                format!("our engine wrote {} to nobody", frame.command()),
            );
            return;
        };
        let all = script.peers.get(&peer);
        let Some(conversation) = all.and_then(|all| all.get(talk.conversation)) else {
            return;
        };
        let told = match frame {
            Frame::Ack(_) if script.version == Version::V3_1 || !script.spoke_3_2.contains(&peer) => Some((
                Class::Unlisted,
                "our engine acknowledged between nodes of which one speaks 3.1".to_owned(),
            )),
            Frame::Ack(ack) => {
                self.report.peer(peer).acks_ours += 1;
                if let Some(how) = ack_differs(recording, conversation, bytes) {
                    let text = format!("our engine wrote ACK {} otherwise than the node: {how}", ack.seq);
                    self.report
                        .differs(Class::Unlisted, peer, recording.stamp(record), text);
                }
                let cause = match reason {
                    _ if talk.written_on != Some(link) => Cause::NewLink,
                    Some(Reason::Run(run)) if run.peer == peer && run.repeated => Cause::Repeated,
                    Some(Reason::Run(run)) if run.peer == peer => Cause::Run,
                    Some(Reason::Run(_) | Reason::Timer) | None => Cause::NewLink,
                };
                let told = talk.receiving.engine_acks(record, ack.seq.get(), cause);
                told.map(|(class, _, text)| (class, text))
            }
            Frame::Opts(opts) => talk.sending.wrote_numbered(
                recording,
                conversation,
                Wrote {
                    seq: opts.seq.get(),
                    bytes,
                    link,
                    is_fin: opts.inner == Ok(Inner::Fin),
                    by_timer: matches!(reason, Some(Reason::Timer)),
                },
            ),
            Frame::Msg(_) | Frame::Rcom(_) => talk.sending.wrote_bare(recording, bytes),
        };
        talk.written_on = Some(link);
        if let Some((class, text)) = told {
            self.differs(class, peer, text);
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::CloseLink { link, .. } => {
                // Everything has been written: the link may go at once.
                self.let_go(LinkId::new(link.0));
            }
            Event::Finished { node, outcome } => {
                if let Some(talk) = self.talks.get_mut(&node) {
                    talk.outcome = Some(outcome);
                }
            }
            Event::PeerRestarted { node, evidence } => {
                let text = format!("our engine takes the peer for restarted: {evidence:?}");
                self.differs(Class::Unlisted, node, text);
            }
            Event::Incompatible { node, version } => {
                let text = format!("our engine refuses the peer's version {version}");
                self.differs(Class::Unlisted, node, text);
            }
            Event::FenceNeeded { node, cause } => {
                let is_wrong = matches!(cause, FenceCause::Restarted | FenceCause::ShutdownDeadline);
                let class = if is_wrong { Class::Unlisted } else { Class::FenceNeeded };
                self.differs(class, node, format!("our engine asks whether to fence the peer: {cause:?}"));
            }
            Event::VersionDetected { node, version } => {
                if (version == Version::V3_2) != self.spoke_3_2(node) {
                    self.differs(Class::Unlisted, node, format!("our engine takes the peer for {version}"));
                }
            }
            Event::Lost { node, messages } => {
                if !self.is_letting_go {
                    self.differs(Class::Unlisted, node, format!("our engine gave up {messages} messages"));
                }
            }
            Event::LinkWanted { .. }
            | Event::Connected { .. }
            | Event::Disconnected { .. }
            | Event::StateChanged { .. }
            | Event::Writable { .. }
            | Event::PeerFinished { .. }
            | Event::MembershipMissing { .. }
            | Event::ShutdownComplete { .. }
            // What it complains of is told where the frame is judged.
            | Event::Violation { .. } => {}
        }
    }
}

/// How an `ACK` of ours differs from one of the captured node, but for the number.
fn ack_differs(recording: &Recording, conversation: &Conversation, bytes: &[u8]) -> Option<String> {
    let (captured, _) = conversation.own.acks.first()?;
    let mut wanted = recording.frame_bytes(*captured).to_vec();
    let number = 4..8;
    wanted
        .get_mut(number.clone())?
        .copy_from_slice(bytes.get(number)?);
    differs(&wanted, bytes)
}
