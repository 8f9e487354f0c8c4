//! Members come and go as the capture shows, and what is compared when a conversation ends.

use dlmwire_codec::NodeId;
use dlmwire_midcomms::engine::Outcome;
use dlmwire_midcomms::state::State;

use super::{Partner, Talk, lockspaces};
use crate::replay::report::Class;
use crate::replay::script::Conversation;

impl Partner<'_> {
    pub(super) fn begin(&mut self, peer: NodeId, number: usize) {
        self.end_talk(peer);
        let script = self.script;
        let Some(conversation) = script.peers.get(&peer).and_then(|all| all.get(number)) else {
            return;
        };
        let row = self.report.peer(peer);
        row.conversations += 1;
        row.acks_captured += count(conversation.own.acks.len());
        row.own += count(conversation.own.numbers.len());
        row.resent_captured += conversation.own.resent;
        if let Some(partial) = conversation.partial {
            row.partial.push((row.conversations, partial));
            return;
        }
        row.lockspaces.extend(&conversation.lockspaces);
        for lockspace in lockspaces(conversation) {
            if let Err(error) = self.engine.add_member(self.now, peer, lockspace) {
                self.differs(
                    Class::Unlisted,
                    peer,
                    format!("node {peer} cannot be added: {error}"),
                );
            }
        }
        let talk = Talk {
            conversation: number,
            ..Talk::default()
        };
        self.talks.insert(peer, talk);
        self.drain(peer, None);
    }

    /// The captured node sent its `FIN`: it left all its lockspaces, or had removed the peer.
    pub(super) fn leave(&mut self, peer: NodeId) {
        match self.engine.state(peer) {
            State::CloseWait => self.remove(peer),
            State::Established => {
                // Whoever leaves has said everything to everybody.
                let script = self.script;
                for (other, conversation) in self.talking() {
                    if let Some(said) = script.peers.get(&other).and_then(|all| all.get(conversation)) {
                        let until = said.own.fin.unwrap_or_else(|| said.own.behind());
                        self.give_until(other, until);
                    }
                }
                self.engine.shutdown(self.now);
                self.drain_all(None);
            }
            // It is on its way already.
            State::Closed | State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing => {}
        }
        let Some(talk) = self.talks.get_mut(&peer) else {
            return;
        };
        talk.sending.given = talk.sending.given.wrapping_add(1);
    }

    /// No lockspace lists the peer any more.
    pub(super) fn remove(&mut self, peer: NodeId) {
        let script = self.script;
        let number = self.talks.get(&peer).map(|talk| talk.conversation);
        let all = script.peers.get(&peer);
        if let Some(conversation) = number.and_then(|number| all?.get(number)) {
            for lockspace in lockspaces(conversation) {
                self.engine.remove_member(self.now, peer, lockspace);
            }
            self.drain(peer, None);
        }
    }

    fn talking(&self) -> Vec<(NodeId, usize)> {
        let talks = self.talks.iter();
        talks.map(|(peer, talk)| (*peer, talk.conversation)).collect()
    }

    /// Compares what can only be compared at the end, and lets the peer go if it is not gone.
    pub(super) fn end_talk(&mut self, peer: NodeId) {
        self.end_run();
        let script = self.script;
        let all = script.peers.get(&peer);
        let Some(talk) = self.talks.get(&peer) else {
            return;
        };
        let Some(conversation) = all.and_then(|all| all.get(talk.conversation)) else {
            return;
        };
        let received = talk.receiving.compare(conversation);
        let sent = self.end_of_sending(peer, conversation, talk);
        let (sending, is_over) = (&talk.sending, talk.outcome.is_some());
        let row = self.report.peer(peer);
        row.own_identical += sending.identical;
        row.bare_identical += sending.bare_identical;
        row.resent_ours += sending.resent;
        for (class, at, text) in received {
            self.differs_at(class, peer, at, text);
        }
        for (class, text) in sent {
            self.differs(class, peer, text);
        }
        if !is_over {
            self.is_letting_go = true;
            self.engine.fence(self.now, peer);
            self.remove(peer);
            self.is_letting_go = false;
        }
        self.talks.remove(&peer);
    }

    fn end_of_sending(&self, peer: NodeId, conversation: &Conversation, talk: &Talk) -> Vec<(Class, String)> {
        let mut told = Vec::new();
        let mut wrong = Vec::new();
        let view = self.engine.peer(self.now, peer);
        match (conversation.end, talk.outcome) {
            (Some(_), Some(Outcome::Clean)) | (None, None) => {}
            (Some(_), other) => wrong.push(format!(
                "the conversation ended by both FINs, for our engine {other:?}"
            )),
            // Both FINs came for our engine, of which the kernel threw one away.
            (None, Some(Outcome::Clean))
                if conversation
                    .peer
                    .fin
                    .is_some_and(|fin| conversation.own.acked <= fin) =>
            {
                let class = talk.receiving.beyond(conversation.own.acked, false);
                told.push((
                    class,
                    "the conversation ended, for the kernel it did not".to_owned(),
                ));
            }
            (None, Some(other)) => {
                wrong.push(format!("the conversation ended for our engine alone: {other:?}"))
            }
        }
        if let Some(view) = view.filter(|_| talk.outcome.is_none() && !conversation.own.numbers.is_empty()) {
            let unacked = talk.sending.unacked();
            if view.send_queue_count != unacked {
                let text = format!(
                    "our engine keeps {} messages, {unacked} are unacknowledged",
                    view.send_queue_count
                );
                wrong.push(text);
            }
            if view.sending_link.is_some() && !talk.sending.is_written() {
                wrong.push("our engine has not written everything".to_owned());
            }
        }
        if talk.sending.bare_waiting() > 0 {
            wrong.push(format!(
                "our engine has not written {} messages on their own",
                talk.sending.bare_waiting()
            ));
        }
        let (ours, by_timer) = (talk.sending.resent, talk.sending.resent_by_timer);
        if by_timer > 0 {
            told.push((
                Class::FinTimer,
                format!("our engine sent {by_timer} messages again by the timer of its FIN"),
            ));
        }
        if ours.saturating_sub(by_timer) != conversation.own.resent {
            let text = format!(
                "our engine sent {ours} messages again, the kernel {}",
                conversation.own.resent
            );
            told.push((Class::Resend, text));
        }
        told.extend(wrong.into_iter().map(|text| (Class::Unlisted, text)));
        told
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
