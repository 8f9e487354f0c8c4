//! Kernels of three generations as small state machines, written from the specification (midcomms 1 to 7,
//! lowcomms 2 to 8) and faithful to their defects.

use std::collections::VecDeque;

use dlmwire_codec::{
    Content, Frame, FrameFields, Inner, InnerFields, Limits, MsgFields, MsgType, NodeId, Options, OptsFields,
    Payload, Rcom, RcomConfig, RcomFields, RcomType, Seq, Slots, Split, StatusFlags, Version, split,
};
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Close, LinkRole, Outcome};

use crate::driver::{Effect, LOCKSPACE};
use crate::side::Loss;

/// Which kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Linux {
    /// 5.14, where midcomms began: acknowledges everything at once.
    V5_14,
    /// 6.1: acknowledges at the end of a read run, in `ESTABLISHED` only.
    V6_1,
    /// 6.12 and later: hardly acknowledges, and any late message opens a conversation.
    V6_12,
}

/// A message that is sent and not acknowledged.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Handle {
    seq: Seq,
    fin: bool,
    frame: Vec<u8>,
}

/// A kernel's view of its one peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Kernel {
    linux: Linux,
    node: NodeId,
    /// What losses look like to it.
    losses: &'static [Loss],
    /// The peer's object exists.
    object: bool,
    /// The version is detected; it is always 3.2.
    version: bool,
    seq_send: Seq,
    seq_next: Seq,
    send_queue: VecDeque<Handle>,
    state: State,
    users: u8,
    stop_tx: bool,
    /// Something was delivered since the last `ACK`.
    delivered: bool,
    /// `STATUS` was sent and not answered: it is repeated.
    asking: bool,
    /// The last lockspace is being left.
    leaving: bool,
    /// The socket that is sent on.
    con: Option<u64>,
    /// The socket that is only received from.
    othercon: Option<u64>,
    /// A connection is to be made even with nothing to send.
    connects: bool,
    /// Frames without a connection, or that none has taken yet.
    writequeue: VecDeque<Vec<u8>>,
    out: Vec<Effect>,
}

impl Kernel {
    pub(crate) fn new(linux: Linux, node: NodeId, losses: &'static [Loss]) -> Self {
        Self {
            linux,
            node,
            losses,
            object: linux >= Linux::V6_12,
            version: false,
            seq_send: Seq::INITIAL,
            seq_next: Seq::INITIAL,
            send_queue: VecDeque::new(),
            state: State::Closed,
            users: 0,
            stop_tx: false,
            delivered: false,
            asking: false,
            leaving: false,
            con: None,
            othercon: None,
            connects: false,
            writequeue: VecDeque::new(),
            out: Vec::new(),
        }
    }

    pub(crate) const fn losses(&self) -> &'static [Loss] {
        self.losses
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) fn wants_link(&self) -> bool {
        self.con.is_none() && (self.connects || !self.writequeue.is_empty())
    }

    /// 6.12 waits for it before it leaves.
    pub(crate) const fn knows_version(&self) -> bool {
        self.version || matches!(self.state, State::Closed)
    }

    pub(crate) const fn can_send(&self) -> bool {
        self.version && !self.stop_tx && matches!(self.state, State::Established | State::CloseWait)
    }

    pub(crate) fn add(&mut self) {
        self.object = true;
        self.users += 1;
        if self.users > 1 {
            return;
        }
        match self.state {
            State::Closed => self.go(State::Established),
            State::Established => {}
            State::FinWait1 | State::FinWait2 | State::CloseWait | State::LastAck | State::Closing => {
                self.stuck();
            }
        }
        self.connects = true;
        self.asking = true;
        self.ask();
    }

    pub(crate) fn remove(&mut self) {
        if self.users == 0 {
            return;
        }
        self.users -= 1;
        if self.users == 0 && self.state == State::CloseWait {
            self.go(State::LastAck);
            self.send_fin();
        }
        self.asking = false;
    }

    /// The cluster manager's hook comes first and removes the member.
    pub(crate) fn shutdown(&mut self) {
        self.remove();
        self.leaving = true;
        if self.state == State::Established && self.version {
            self.go(State::FinWait1);
            self.send_fin();
        }
    }

    /// Whether `STATUS` was sent in vain so far.
    pub(crate) const fn is_unanswered(&self) -> bool {
        self.asking && self.users > 0
    }

    pub(crate) fn greet_again(&mut self) {
        self.ask();
    }

    pub(crate) fn send(&mut self, tag: u32) -> bool {
        let mut fields = MsgFields::new(LOCKSPACE, MsgType::Grant);
        fields.lkid = tag;
        self.send_numbered(InnerFields::Msg(fields));
        true
    }

    pub(crate) fn link_up(&mut self, link: u64, role: LinkRole) {
        match (role, self.con) {
            (_, None) => {
                self.con = Some(link);
                self.connects = false;
            }
            (LinkRole::Dialed, Some(_)) => self.close(link),
            (LinkRole::Accepted, Some(_)) => {
                if let Some(older) = self.othercon.replace(link) {
                    self.close(older);
                }
            }
        }
        self.ask();
    }

    /// EOF is no error: the socket is closed and nothing is sent again.
    pub(crate) fn link_end(&mut self, link: u64) {
        self.close(link);
        self.forget(link);
    }

    pub(crate) fn link_down(&mut self, link: u64, loss: Loss) {
        let was_sending = self.con == Some(link);
        self.forget(link);
        match loss {
            Loss::Silent => {}
            Loss::Error => {
                self.resend();
                // Up to 6.1 the report on either socket replaces the one that is sent on.
                if let (Some(con), Linux::V5_14 | Linux::V6_1) = (self.con, self.linux) {
                    let how = Close::Abort;
                    self.out.push(Effect::Close { link: con, how });
                    self.con = None;
                    self.connects = true;
                }
                self.connects |= was_sending;
            }
        }
    }

    pub(crate) fn read(&mut self, link: u64, frames: &[Vec<u8>], out: &mut Vec<Effect>) {
        if self.con != Some(link) && self.othercon != Some(link) {
            return;
        }
        for frame in frames {
            let Split::Frame { frame, .. } = split(frame, Limits::KERNEL) else {
                panic!("the net hands out whole frames");
            };
            match frame.decode().expect("ours are sound") {
                Frame::Rcom(rcom) => self.on_bare(&rcom),
                Frame::Opts(opts) => self.on_opts(opts.seq, &opts.inner.expect("ours are sound")),
                Frame::Ack(ack) => self.on_ack(ack.seq),
                Frame::Msg(_) => panic!("between 3.2 nodes messages are wrapped"),
            }
        }
        if self.linux == Linux::V6_1 && self.delivered && self.version && self.state == State::Established {
            self.ack();
        }
        out.append(&mut self.out);
    }

    /// Lets the sending socket take everything, and tells what is wanted.
    pub(crate) fn drain(&mut self, links: &[u64], out: &mut Vec<Effect>) {
        if let Some(link) = self.con.filter(|link| links.contains(link)) {
            let frames = self.writequeue.drain(..);
            out.extend(frames.map(|bytes| Effect::Write { link, bytes }));
        }
        if self.leaving && self.state == State::Closed {
            self.leaving = false;
            self.object = self.linux >= Linux::V6_12;
            for link in [self.othercon.take(), self.con.take()].into_iter().flatten() {
                self.close(link);
            }
            self.writequeue.clear();
        }
        out.append(&mut self.out);
        if self.wants_link() {
            out.push(Effect::LinkWanted);
        }
    }

    fn close(&mut self, link: u64) {
        let how = Close::AfterFlush;
        self.out.push(Effect::Close { link, how });
    }

    fn forget(&mut self, link: u64) {
        for socket in [&mut self.con, &mut self.othercon] {
            if *socket == Some(link) {
                *socket = None;
            }
        }
    }

    fn go(&mut self, to: State) {
        let from = std::mem::replace(&mut self.state, to);
        self.out.push(Effect::Moved { from, to });
    }

    fn reset(&mut self, outcome: Outcome) {
        self.seq_send = Seq::INITIAL;
        self.seq_next = Seq::INITIAL;
        self.version = false;
        self.send_queue.clear();
        self.stop_tx = false;
        self.delivered = false;
        if self.state != State::Closed {
            self.go(State::Closed);
            self.out.push(Effect::Finished(outcome));
        }
    }

    /// "shutdown stuck": everything is forgotten and a conversation begun.
    fn stuck(&mut self) {
        self.reset(Outcome::Readded);
        self.go(State::Established);
    }

    /// Repeats `STATUS` until it is answered; kernels do it by a timer.
    fn ask(&mut self) {
        if !self.asking {
            return;
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
        let frame = self.encode(Content::Rcom(status));
        if !self.writequeue.contains(&frame) {
            self.writequeue.push_back(frame);
        }
    }

    fn encode(&self, content: Content<'_>) -> Vec<u8> {
        let fields = FrameFields {
            version: Version::V3_2,
            node: self.node,
            content,
        };
        let mut bytes = vec![0; fields.encoded_len()];
        fields.encode_into(&mut bytes).expect("the length is right");
        bytes
    }

    fn send_numbered(&mut self, inner: InnerFields<'_>) {
        let seq = self.seq_send;
        let frame = self.encode(Content::Opts(OptsFields {
            seq,
            options: Options::NONE,
            inner,
        }));
        self.seq_send = seq.next();
        let fin = matches!(inner, InnerFields::Fin);
        self.writequeue.push_back(frame.clone());
        self.send_queue.push_back(Handle { seq, fin, frame });
    }

    fn send_fin(&mut self) {
        self.stop_tx = true;
        self.send_numbered(InnerFields::Fin);
    }

    fn ack(&mut self) {
        let frame = self.encode(Content::Ack(self.seq_next));
        self.writequeue.push_back(frame);
        self.delivered = false;
    }

    /// Copies of everything unacknowledged, but for what is queued already.
    fn resend(&mut self) {
        if !self.version {
            return;
        }
        for handle in &self.send_queue {
            if !self.writequeue.contains(&handle.frame) {
                self.writequeue.push_back(handle.frame.clone());
            }
        }
    }

    fn on_bare(&mut self, rcom: &Rcom<'_>) {
        let existed = std::mem::replace(&mut self.object, true);
        self.detect();
        if self.linux <= Linux::V6_1 {
            self.version = true;
            match self.state {
                State::Closed if existed => self.go(State::Established),
                State::Closed | State::Established => {}
                State::FinWait1 | State::FinWait2 | State::CloseWait | State::LastAck | State::Closing => {
                    self.stuck();
                    self.version = true;
                }
            }
        }
        match rcom.rcom_type() {
            RcomType::Status => {
                let reply = RcomFields {
                    lockspace: LOCKSPACE,
                    result: 0,
                    id: rcom.id(),
                    seq: 1,
                    seq_reply: rcom.seq(),
                    payload: Payload::StatusReply {
                        config: RcomConfig::default(),
                        slots: Slots::from_list(&[]),
                    },
                };
                let frame = self.encode(Content::Rcom(reply));
                self.writequeue.push_back(frame);
            }
            RcomType::StatusReply => self.asking = false,
            _ => {}
        }
    }

    /// Any framed message of a known node sets the version; since 6.12 that opens a conversation.
    fn detect(&mut self) {
        if self.version || !self.object {
            return;
        }
        self.version = true;
        if self.linux >= Linux::V6_12 && self.state == State::Closed {
            self.go(State::Established);
        }
    }

    fn on_opts(&mut self, seq: Seq, inner: &Inner<'_>) {
        self.detect();
        if !self.object {
            return;
        }
        if seq != self.seq_next {
            // Defect: a plain comparison.
            if seq.get() < self.seq_next.get() {
                self.ack();
            }
            return;
        }
        self.seq_next = seq.next();
        if self.linux == Linux::V5_14 {
            self.ack();
        }
        match inner {
            Inner::Fin => self.on_fin(),
            Inner::Msg(msg) => {
                self.out.push(Effect::Delivered { tag: msg.lkid() });
                self.delivered = true;
            }
            Inner::Rcom(rcom) if rcom.rcom_type() == RcomType::StatusReply => self.asking = false,
            Inner::Rcom(_) => {}
        }
    }

    fn on_fin(&mut self) {
        self.out.push(Effect::PeerFinished);
        let acks = self.linux >= Linux::V6_1;
        match self.state {
            State::Established => {
                if acks {
                    self.ack();
                }
                if self.users == 0 {
                    self.go(State::LastAck);
                    self.send_fin();
                } else {
                    self.go(State::CloseWait);
                }
            }
            State::FinWait1 => {
                if acks {
                    self.ack();
                }
                self.go(State::Closing);
            }
            State::FinWait2 => {
                if acks {
                    self.ack();
                }
                self.reset(Outcome::Clean);
            }
            State::Closed | State::CloseWait | State::LastAck | State::Closing => {}
        }
    }

    /// Believed whatever it says.
    fn on_ack(&mut self, ack: Seq) {
        self.detect();
        let mut fin = false;
        while let Some(handle) = self.send_queue.front().filter(|handle| handle.seq.before(ack)) {
            fin |= handle.fin;
            self.send_queue.pop_front();
        }
        match self.state {
            State::FinWait1 if fin => self.go(State::FinWait2),
            State::LastAck | State::Closing if fin => self.reset(Outcome::Clean),
            State::Closed
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::LastAck
            | State::Closing => {}
        }
    }
}
