//! The smallest driver around a real engine: what a node does, without sockets.
//!
//! It says hello: `STATUS` on every new sending link while the peer's version is unknown, again when nothing comes
//! of it, and `STATUS_REPLY` to every `STATUS`. Once at each link would not be enough: the reply may travel on
//! the peer's link and be lost with it while ours lives. Kernels ask again every 5 s.

use dlmwire_codec::{
    Frame, Limits, LockspaceId, MsgFields, MsgType, NodeId, Payload, RcomConfig, RcomFields, RcomType, Slots,
    Split, StatusFlags, split,
};
use dlmwire_midcomms::engine::{
    Close, Config, Content, Engine, Event, LinkLimits, LinkRole, LinkUp, Message, Outcome, Violation,
};
use dlmwire_midcomms::{LinkId, State, Time};

use crate::net::frame_length;

/// The one lockspace.
pub(crate) const LOCKSPACE: LockspaceId = LockspaceId::new(7);

/// Rounds of draining after which an engine is taken not to come to an end.
const ROUNDS_MAX: usize = 64;

/// What a side does to the world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Effect {
    /// Bytes go to a connection.
    Write { link: u64, bytes: Vec<u8> },
    /// A connection to send on is wanted.
    LinkWanted,
    /// A connection is to be closed.
    Close { link: u64, how: Close },
    /// An application message came out; what its sender called it.
    Delivered { tag: u32 },
    /// The conversation moved.
    Moved { from: State, to: State },
    /// The peer's `FIN` came.
    PeerFinished,
    /// The peer is said to have restarted.
    Restarted,
    /// The conversation is over.
    Finished(Outcome),
    /// The peer is said to have broken the protocol.
    Breach(Violation),
}

/// How much of what is ready a socket takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Take {
    /// Up to the next frame boundary.
    Frame,
    /// Half of what is missing to the next frame boundary.
    HalfFrame,
}

/// What a driver does wrong on purpose, to show that the model notices.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Flaw {
    /// Hands every application message out twice.
    DeliversTwice,
    /// Loses the numbered frames of its first connection on their way, and nobody notices.
    Swallows,
    /// Acknowledges one number more than it has.
    AcknowledgesAhead,
}

/// An engine, its clock, and what its driver remembers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Driver {
    engine: Engine,
    peer: NodeId,
    now: Time,
    /// Something happened after which hello is due if the version is still unknown.
    greets: bool,
    /// Sockets take bytes only when the model says so.
    lazy_sockets: bool,
    /// `STATUS` of a peer that is not a member yet is answered "not ready", which is numbered.
    answers_not_ready: bool,
    /// Numbers that its own answers took in this conversation.
    answers: u32,
    flaw: Option<Flaw>,
}

impl Driver {
    pub(crate) fn new(config: Config, peer: NodeId) -> Self {
        Self {
            engine: Engine::new(config).expect("the model's configuration is sound"),
            peer,
            now: Time(0),
            greets: false,
            lazy_sockets: false,
            answers_not_ready: false,
            answers: 0,
            flaw: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.engine.state(self.peer)
    }

    pub(crate) fn wants_link(&self) -> bool {
        self.engine.wants_link(self.peer)
    }

    pub(crate) fn has_transmit(&self, link: u64) -> bool {
        self.engine.has_transmit(LinkId(link))
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.engine.poll_timeout()
    }

    /// Whether a message would be taken now: the version is known and our `FIN` is not queued.
    pub(crate) fn can_send(&self) -> bool {
        const STOP_TX: u32 = 4;
        self.engine
            .peer(self.now, self.peer)
            .is_some_and(|view| view.version.is_some() && view.flags & STOP_TX == 0)
    }

    /// How many numbers of the application and of our `FIN` are acknowledged by the peer, and how many numbers
    /// wait, in this conversation.
    pub(crate) fn acked_and_queued(&self) -> (u32, u32) {
        match self.engine.peer(self.now, self.peer) {
            Some(view) => {
                let given = self.engine.config().start_seq.distance(view.send_seq);
                let acked = given - view.send_queue_count;
                (acked.saturating_sub(self.answers), view.send_queue_count)
            }
            None => (0, 0),
        }
    }

    pub(crate) fn add(&mut self) {
        self.engine
            .add_member(self.now, self.peer, LOCKSPACE)
            .expect("the other node can be added");
        self.greets = true;
    }

    pub(crate) fn remove(&mut self) {
        self.engine.remove_member(self.now, self.peer, LOCKSPACE);
    }

    pub(crate) fn shutdown(&mut self) {
        self.engine.shutdown(self.now);
    }

    /// Sends an application message called `tag`; says whether it was taken.
    pub(crate) fn send(&mut self, tag: u32) -> bool {
        let mut fields = MsgFields::new(LOCKSPACE, MsgType::Grant);
        fields.lkid = tag;
        self.engine
            .send(self.now, self.peer, &Message::Msg(fields))
            .is_ok()
    }

    pub(crate) fn link_up(&mut self, link: u64, role: LinkRole) {
        let up = LinkUp {
            node: self.peer,
            role,
            limits: LinkLimits::STREAM,
        };
        self.engine.handle_link_up(self.now, LinkId(link), up);
    }

    pub(crate) fn link_end(&mut self, link: u64) {
        self.engine.handle_link_end(self.now, LinkId(link));
    }

    pub(crate) fn link_down(&mut self, link: u64) {
        self.engine.handle_link_down(self.now, LinkId(link));
    }

    /// Whether hello was said in vain so far.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.engine.peer(self.now, self.peer).is_some_and(|view| {
            view.version.is_none() && view.sending_link.is_some() && view.state != State::Closed
        })
    }

    /// Hello is said again.
    pub(crate) fn greet_again(&mut self) {
        self.greets = true;
    }

    /// `STATUS` of a peer that is not a member yet is answered "not ready".
    pub(crate) fn answer_not_ready(&mut self) {
        self.answers_not_ready = true;
    }

    /// Does something wrong from now on.
    pub(crate) fn be_wrong(&mut self, flaw: Flaw) {
        self.flaw = Some(flaw);
    }

    /// Sockets take bytes only when told.
    pub(crate) fn be_lazy(&mut self) {
        self.lazy_sockets = true;
    }

    /// A read run of these frames.
    pub(crate) fn read(&mut self, link: u64, frames: &[Vec<u8>], out: &mut Vec<Effect>) {
        for frame in frames {
            let Split::Frame { frame, .. } = split(frame, Limits::KERNEL) else {
                panic!("the net hands out whole frames");
            };
            let delivery = match self.engine.handle_frame(self.now, LinkId(link), frame) {
                Ok(Some(delivery)) => delivery,
                Ok(None) => continue,
                Err(violation) => {
                    out.push(Effect::Breach(violation));
                    continue;
                }
            };
            match delivery.content {
                Content::Msg(msg) => {
                    let times = if self.flaw == Some(Flaw::DeliversTwice) {
                        2
                    } else {
                        1
                    };
                    out.extend(std::iter::repeat_n(Effect::Delivered { tag: msg.lkid() }, times));
                }
                Content::Rcom(rcom) if rcom.rcom_type() == RcomType::Status => {
                    let (id, seq) = (rcom.id(), rcom.seq());
                    self.answer_status(id, seq);
                }
                Content::Rcom(_) => {}
            }
        }
        self.engine.handle_read_done(self.now, LinkId(link));
    }

    /// The moment that [`Driver::deadline`] names has come. Says whether the engine moved on from it.
    pub(crate) fn timeout(&mut self, at: Time) -> bool {
        self.now = at;
        while self.engine.handle_timeout(at).is_some() {}
        self.engine.poll_timeout().is_none_or(|next| next > at)
    }

    /// The socket of `link` takes bytes.
    pub(crate) fn transmit(&mut self, link: u64, take: Take, boundary: &[u8], out: &mut Vec<Effect>) {
        let Some(mut bytes) = self.peek(link) else { return };
        let missing = missing_to_boundary(boundary, &bytes);
        match take {
            Take::Frame => bytes.truncate(missing),
            Take::HalfFrame => bytes.truncate((missing / 2).max(1)),
        }
        self.engine
            .handle_transmitted(self.now, LinkId(link), bytes.len());
        out.push(Effect::Write { link, bytes });
    }

    /// Drains the engine, as the drive rule says.
    pub(crate) fn drain(&mut self, links: &[u64], out: &mut Vec<Effect>) {
        for _ in 0..ROUNDS_MAX {
            let mut still = true;
            if !self.lazy_sockets {
                for &link in links {
                    while let Some(bytes) = self.peek(link) {
                        self.engine
                            .handle_transmitted(self.now, LinkId(link), bytes.len());
                        let bytes = self.flaw.map_or(bytes.clone(), |flaw| flaw.spoil(link, &bytes));
                        out.push(Effect::Write { link, bytes });
                        still = false;
                    }
                }
            }
            while let Some(event) = self.engine.poll_event() {
                self.greets |= matches!(event, Event::Connected { .. });
                out.extend(effect(event));
                still = false;
            }
            if std::mem::take(&mut self.greets) && self.greet() {
                still = false;
            }
            if still {
                return;
            }
        }
        panic!("draining the engine does not end");
    }

    fn peek(&mut self, link: u64) -> Option<Vec<u8>> {
        let transmit = self.engine.poll_transmit(LinkId(link))?;
        let bytes: Vec<u8> = transmit
            .slices()
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        assert_eq!(
            bytes.len(),
            transmit.len(),
            "a transmit's length is that of its slices"
        );
        assert!(!bytes.is_empty(), "a transmit is never empty");
        Some(bytes)
    }

    fn greet(&mut self) -> bool {
        if !self.is_unanswered() {
            return false;
        }
        let status = RcomFields {
            lockspace: LOCKSPACE,
            result: 0,
            id: 1,
            seq: 1,
            seq_reply: 0,
            payload: Payload::Status {
                flags: StatusFlags::new(0),
            },
        };
        self.engine
            .send(self.now, self.peer, &Message::Rcom(status))
            .is_ok()
    }

    fn answer_status(&mut self, id: u64, seq: u64) {
        let member = self
            .engine
            .peer(self.now, self.peer)
            .is_some_and(|view| !view.lockspaces.is_empty());
        let mut reply = RcomFields {
            lockspace: LOCKSPACE,
            result: 0,
            id,
            seq: 1,
            seq_reply: seq,
            payload: Payload::StatusReply {
                config: RcomConfig::default(),
                slots: Slots::from_list(&[]),
            },
        };
        if self.answers_not_ready && !member {
            reply.result = dlmwire_codec::NOT_READY;
            if let Ok(sent) = self.engine.send(self.now, self.peer, &Message::Rcom(reply)) {
                self.answers += u32::from(sent.seq.is_some());
                return;
            }
            // Behind our FIN nothing can be numbered.
            reply.result = 0;
        }
        // Without a link to answer on there is no answer; the peer asks again.
        let _ = self.engine.send(self.now, self.peer, &Message::Rcom(reply));
    }
}

impl Flaw {
    /// What is written instead of whole frames.
    fn spoil(self, link: u64, bytes: &[u8]) -> Vec<u8> {
        const FIRST: u64 = 1;
        let mut rest = bytes;
        let mut spoiled = Vec::new();
        while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
            rest = behind;
            match (self, frame.decode()) {
                (Self::Swallows, Ok(Frame::Opts(_))) if link == FIRST => {}
                (Self::AcknowledgesAhead, Ok(Frame::Ack(ack))) => {
                    let mut ahead = frame.bytes().to_vec();
                    ahead[4..8].copy_from_slice(&ack.seq.next().get().to_le_bytes());
                    spoiled.extend(ahead);
                }
                _ => spoiled.extend(frame.bytes()),
            }
        }
        spoiled
    }
}

/// Bytes of `ready` up to the next frame boundary, behind `written`, the half-written frame before it.
fn missing_to_boundary(written: &[u8], ready: &[u8]) -> usize {
    let mut whole = written.to_vec();
    whole.extend_from_slice(ready);
    frame_length(&whole).map_or(ready.len(), |length| length - written.len())
}

const fn effect(event: Event) -> Option<Effect> {
    match event {
        Event::LinkWanted { .. } => Some(Effect::LinkWanted),
        Event::CloseLink { link, how } => Some(Effect::Close { link: link.0, how }),
        Event::StateChanged { from, to, .. } => Some(Effect::Moved { from, to }),
        Event::PeerFinished { .. } => Some(Effect::PeerFinished),
        Event::PeerRestarted { .. } => Some(Effect::Restarted),
        Event::Finished { outcome, .. } => Some(Effect::Finished(outcome)),
        Event::Connected { .. }
        | Event::Disconnected { .. }
        | Event::VersionDetected { .. }
        | Event::Incompatible { .. }
        | Event::Writable { .. }
        | Event::FenceNeeded { .. }
        | Event::MembershipMissing { .. }
        | Event::Lost { .. }
        | Event::ShutdownComplete { .. }
        // Told by `handle_frame` as well, and there without a limit.
        | Event::Violation { .. } => None,
    }
}
