//! What the captured node said: the script of its application.

use dlmwire_codec::{Frame, Inner, NodeId, Seq};
use dlmwire_midcomms::engine::Message;

use super::Partner;
use crate::capture::LinkId;
use crate::replay::recording::raw;
use crate::replay::report::Class;

impl Partner<'_> {
    pub(super) fn own_frame(&mut self, link: LinkId, peer: NodeId) {
        let (script, recording, record) = (self.script, self.recording, self.record);
        let Some(conversation) = self.current(link) else {
            return;
        };
        let Some(Ok(frame)) = raw(recording.frame_bytes(record)).map(|frame| frame.decode()) else {
            return;
        };
        match frame {
            Frame::Ack(ack) => {
                let told = self.talks.get_mut(&peer).and_then(|talk| {
                    talk.receiving
                        .kernel_acks(record, ack.seq.get(), script.generation)
                });
                if let Some((class, at, text)) = told {
                    self.differs_at(class, peer, at, text);
                }
            }
            Frame::Opts(opts) => {
                self.give_until(peer, opts.seq.get().wrapping_add(1));
                let first = conversation.own.numbers.get(&opts.seq.get());
                if first.is_some_and(|first| recording.frame_bytes(*first) != recording.frame_bytes(record)) {
                    let text = format!(
                        "the captured node sent number {} again with other bytes",
                        opts.seq
                    );
                    self.differs(Class::Unlisted, peer, text);
                }
            }
            Frame::Msg(_) | Frame::Rcom(_) => self.give_bare(peer, &frame),
        }
    }

    /// Sends the numbered messages before `until` that have not been sent yet.
    pub(super) fn give_until(&mut self, peer: NodeId, until: u32) {
        let (script, recording) = (self.script, self.recording);
        while let Some(talk) = self.talks.get(&peer) {
            let number = talk.sending.given;
            let all = script.peers.get(&peer);
            let conversation = all.and_then(|all| all.get(talk.conversation));
            let Some(record) = conversation.and_then(|said| said.own.numbers.get(&number)) else {
                return;
            };
            if number >= until {
                return;
            }
            let decoded = raw(recording.frame_bytes(*record)).map(|frame| frame.decode());
            let Some(Ok(Frame::Opts(opts))) = decoded else {
                return;
            };
            match opts.inner {
                Ok(Inner::Fin) => self.leave(peer),
                Ok(inner) => self.give(peer, &inner, Some(number)),
                Err(_) => return,
            }
        }
    }

    fn give_bare(&mut self, peer: NodeId, frame: &Frame<'_>) {
        self.report.peer(peer).bare += 1;
        let record = self.record;
        if let Some(talk) = self.talks.get_mut(&peer) {
            talk.sending.give_bare(record);
        }
        match frame {
            Frame::Msg(msg) => self.give(peer, &Inner::Msg(*msg), None),
            Frame::Rcom(rcom) => self.give(peer, &Inner::Rcom(*rcom), None),
            Frame::Opts(_) | Frame::Ack(_) => {}
        }
    }

    /// Sends one message as the node's application would, and looks at the number that it gets.
    fn give(&mut self, peer: NodeId, message: &Inner<'_>, wanted: Option<u32>) {
        if wanted.is_some()
            && let Some(talk) = self.talks.get_mut(&peer)
        {
            talk.sending.given = talk.sending.given.wrapping_add(1);
        }
        let sent = match message {
            Inner::Msg(msg) => match msg.fields() {
                Ok(fields) => self.engine.send(self.now, peer, &Message::Msg(fields)),
                // Such conversations are not begun.
                Err(_) => return,
            },
            Inner::Rcom(rcom) => match rcom.fields() {
                Ok(fields) => self.engine.send(self.now, peer, &Message::Rcom(fields)),
                Err(_) => return,
            },
            Inner::Fin => return,
        };
        let name =
            |seq: Option<u32>| seq.map_or_else(|| "no number".to_owned(), |seq| format!("number {seq}"));
        match sent {
            Ok(sent) => {
                let got = sent.seq.map(Seq::get);
                if got != wanted {
                    let text = format!(
                        "our engine gave {} to a message that had {}",
                        name(got),
                        name(wanted)
                    );
                    self.differs(Class::Unlisted, peer, text);
                }
            }
            Err(error) => {
                let text = format!(
                    "our engine does not take the message with {}: {error:?}",
                    name(wanted)
                );
                self.differs(Class::Unlisted, peer, text);
            }
        }
        self.drain(peer, None);
    }
}
