//! One engine, and a peer that says what the test wants.

use dlmwire_codec::{
    Content, Frame, FrameFields, Inner, InnerFields, Limits, LockspaceId, MsgFields, MsgType, NodeId,
    Options, OptsFields, Payload, RawFrame, RcomConfig, RcomFields, Seq, Slots, Split, StatusFlags, Tail,
    Version, split,
};

use crate::engine::{
    APPLICATION_MSG, Close, Config, Engine, Event, LinkLimits, LinkRole, LinkUp, SendError, Sent, Violation,
};
use crate::state::State;
use crate::{LinkId, Time};

pub(super) const GROUP: LockspaceId = LockspaceId::new(0x45d1_d4f1);
/// Every scenario starts its numbers at each of these.
pub(super) const STARTS: [u32; 5] = [0, 1, 1 << 31, u32::MAX - 2, u32::MAX];
pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) fn us() -> NodeId {
    NodeId::new(1).unwrap()
}

pub(super) fn them() -> NodeId {
    NodeId::new(2).unwrap()
}

/// What the engine was seen to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wrote {
    Ack(u32),
    /// A numbered application message, by its number and payload.
    Message(u32, Vec<u8>),
    /// A bare application message.
    Bare(Vec<u8>),
    Fin(u32),
    Status,
    StatusReply,
    /// A numbered `STATUS_REPLY`.
    NotReady(u32),
    Names,
    /// A numbered `NAMES`.
    NumberedNames(u32),
}

/// An engine with what the test has already told it. Numbers in tests count from the configured start.
pub(super) struct Script {
    pub(super) engine: Engine,
    pub(super) now: Time,
    pub(super) start: u32,
    next_link: u64,
    pub(super) link: LinkId,
    /// The peer's next number.
    peer_seq: u32,
}

impl Script {
    pub(super) fn new(config: Config) -> Self {
        let start = config.start_seq.get();
        Self {
            engine: Engine::new(config).unwrap(),
            now: Time(SECOND),
            start,
            next_link: 1,
            link: LinkId(0),
            peer_seq: start,
        }
    }

    pub(super) fn starting_at(start: u32) -> Self {
        Self::new(Config {
            start_seq: Seq::new(start),
            // What comes is acknowledged at once, so that a script need not wait for it.
            ack_after_bytes: 0,
            ..Config::new(us())
        })
    }

    /// A member with a link whose version is known; nothing waits to be written or told.
    pub(super) fn established(start: u32) -> Self {
        let mut script = Self::starting_at(start);
        script.establish();
        script
    }

    pub(super) fn establish(&mut self) {
        self.engine.add_member(self.now, them(), GROUP).unwrap();
        self.connect(LinkRole::Dialed);
        self.receives(&status()).unwrap();
        self.quiet();
        assert_eq!(self.state(), State::Established);
    }

    /// In this state by the shortest way; nothing waits to be written or told. Our `FIN`, if it was sent, has
    /// number 0, the peer's too.
    pub(super) fn peer_in(state: State, start: u32) -> Self {
        let mut script = Self::established(start);
        match state {
            State::Established => {}
            State::Closed => return Self::starting_at(start),
            State::FinWait1 => script.shuts_down(),
            State::FinWait2 => {
                script.shuts_down();
                script.quiet();
                let ack = script.ack(1);
                script.receives(&ack).unwrap();
            }
            State::CloseWait => {
                script.receives_fin().unwrap();
            }
            State::LastAck => {
                script.receives_fin().unwrap();
                script.removes();
            }
            State::Closing => {
                script.shuts_down();
                script.quiet();
                script.receives_fin().unwrap();
            }
        }
        script.quiet();
        assert_eq!(script.state(), state);
        script
    }

    pub(super) fn state(&self) -> State {
        self.engine.state(them())
    }

    pub(super) fn shuts_down(&mut self) {
        self.engine.shutdown(self.now);
    }

    pub(super) fn removes(&mut self) {
        self.engine.remove_member(self.now, them(), GROUP);
    }

    pub(super) fn waits(&mut self, nanoseconds: u64) {
        self.now = Time(self.now.0 + nanoseconds);
        while self.engine.handle_timeout(self.now).is_some() {}
    }

    pub(super) fn connect(&mut self, role: LinkRole) -> LinkId {
        let link = self.comes_up(role);
        self.link = link;
        link
    }

    /// A link that the test does not talk on.
    pub(super) fn comes_up(&mut self, role: LinkRole) -> LinkId {
        self.comes_up_with(role, LinkLimits::STREAM)
    }

    pub(super) fn comes_up_with(&mut self, role: LinkRole, limits: LinkLimits) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        let up = LinkUp {
            node: them(),
            role,
            limits,
        };
        self.engine.handle_link_up(self.now, link, up);
        link
    }

    pub(super) fn goes_down(&mut self, link: LinkId) {
        self.engine.handle_link_down(self.now, link);
    }

    /// Sends an application message; its number, counted from the start.
    pub(super) fn sends(&mut self, payload: &[u8]) -> u32 {
        let sent = self.tries_to_send(payload).unwrap();
        sent.seq.unwrap().get().wrapping_sub(self.start)
    }

    pub(super) fn tries_to_send(&mut self, payload: &[u8]) -> Result<Sent, SendError> {
        self.engine.send_payload(self.now, them(), GROUP, payload)
    }

    /// The peer's frames come in one read run. What was delivered of each.
    pub(super) fn receives_run(&mut self, frames: &[Vec<u8>]) -> Vec<Result<Option<Vec<u8>>, Violation>> {
        let link = self.link;
        let taken = frames.iter().map(|frame| self.takes(link, frame)).collect();
        self.engine.handle_read_done(self.now, link);
        taken
    }

    pub(super) fn receives(&mut self, frame: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
        self.receives_on(self.link, frame)
    }

    pub(super) fn receives_on(&mut self, link: LinkId, frame: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
        let taken = self.takes(link, frame);
        self.engine.handle_read_done(self.now, link);
        taken
    }

    /// Payloads of application messages, all bytes of others.
    fn takes(&mut self, link: LinkId, frame: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
        let delivery = self.engine.handle_frame(self.now, link, raw(frame))?;
        Ok(delivery.map(|delivery| match delivery.payload() {
            Some((_, payload)) => payload.to_vec(),
            None => delivery.bytes.to_vec(),
        }))
    }

    /// The peer's next message comes; what was delivered.
    pub(super) fn receives_next(&mut self, payload: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
        let frame = self.message(self.peer_seq.wrapping_sub(self.start), payload);
        self.peer_seq = self.peer_seq.wrapping_add(1);
        self.receives(&frame)
    }

    pub(super) fn receives_fin(&mut self) -> Result<Option<Vec<u8>>, Violation> {
        let frame = self.fin(self.peer_seq.wrapping_sub(self.start));
        self.peer_seq = self.peer_seq.wrapping_add(1);
        self.receives(&frame)
    }

    /// The peer's message of this number, counted from the start.
    pub(super) fn message(&self, number: u32, payload: &[u8]) -> Vec<u8> {
        numbered(self.seq(number), InnerFields::Msg(application(payload)))
    }

    pub(super) fn fin(&self, number: u32) -> Vec<u8> {
        numbered(self.seq(number), InnerFields::Fin)
    }

    /// The peer's `ACK` of everything before this number of ours.
    pub(super) fn ack(&self, number: u32) -> Vec<u8> {
        encode(&FrameFields {
            version: Version::V3_2,
            node: them(),
            content: Content::Ack(self.seq(number)),
        })
    }

    pub(super) fn seq(&self, number: u32) -> Seq {
        Seq::new(self.start).plus(number)
    }

    /// Everything that is written on the link, frame by frame, with nothing before or behind.
    pub(super) fn transmits_on(&mut self, link: LinkId) -> Vec<Wrote> {
        let bytes = self.writes(link, usize::MAX);
        self.reads(&bytes)
    }

    pub(super) fn transmits(&mut self) -> Vec<Wrote> {
        self.transmits_on(self.link)
    }

    /// The link takes at most so many bytes.
    pub(super) fn writes(&mut self, link: LinkId, mut bytes_max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes_max > 0
            && let Some(transmit) = self.engine.poll_transmit(link)
        {
            let lent: Vec<u8> = transmit
                .slices()
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            assert_eq!(lent.len(), transmit.len());
            let taken = lent.len().min(bytes_max);
            bytes.extend_from_slice(&lent[..taken]);
            bytes_max -= taken;
            self.engine.handle_transmitted(self.now, link, taken);
        }
        bytes
    }

    pub(super) fn reads(&self, bytes: &[u8]) -> Vec<Wrote> {
        let mut wrote = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) else {
                panic!("half a frame was written: {rest:02x?}");
            };
            rest = behind;
            wrote.push(self.names(frame.decode().unwrap()));
        }
        wrote
    }

    fn names(&self, frame: Frame<'_>) -> Wrote {
        let number = |seq: Seq| seq.get().wrapping_sub(self.start);
        match frame {
            Frame::Ack(ack) => Wrote::Ack(number(ack.seq)),
            Frame::Opts(opts) => match opts.inner.unwrap() {
                Inner::Msg(msg) => Wrote::Message(number(opts.seq), msg.extra().to_vec()),
                Inner::Fin => Wrote::Fin(number(opts.seq)),
                Inner::Rcom(rcom) => match rcom.payload().unwrap() {
                    Payload::StatusReply { .. } => Wrote::NotReady(number(opts.seq)),
                    _ => Wrote::NumberedNames(number(opts.seq)),
                },
            },
            Frame::Msg(msg) => Wrote::Bare(msg.extra().to_vec()),
            Frame::Rcom(rcom) => match rcom.payload().unwrap() {
                Payload::Status { .. } => Wrote::Status,
                Payload::StatusReply { .. } => Wrote::StatusReply,
                _ => Wrote::Names,
            },
        }
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.poll_event()).collect()
    }

    pub(super) fn closes(&mut self) -> Vec<(LinkId, Close)> {
        let closed = self.events().into_iter().filter_map(|event| match event {
            Event::CloseLink { link, how } => Some((link, how)),
            _ => None,
        });
        closed.collect()
    }

    /// Writes and tells whatever waits, and looks at none of it.
    pub(super) fn quiet(&mut self) {
        let links = self
            .engine
            .peer(self.now, them())
            .map_or_else(Vec::new, |peer| peer.links);
        for link in links {
            self.writes(link, usize::MAX);
        }
        self.events();
    }

    /// Nothing waits to be written or told.
    pub(super) fn is_silent(&mut self) {
        let links = self
            .engine
            .peer(self.now, them())
            .map_or_else(Vec::new, |peer| peer.links);
        for link in links {
            assert!(!self.engine.has_transmit(link));
            assert_eq!(self.transmits_on(link), []);
        }
        assert_eq!(self.events(), []);
    }
}

pub(super) fn raw(bytes: &[u8]) -> RawFrame<'_> {
    match split(bytes, Limits::KERNEL) {
        Split::Frame { frame, rest: [] } => frame,
        other => panic!("not one frame: {other:?}"),
    }
}

pub(super) fn encode(fields: &FrameFields<'_>) -> Vec<u8> {
    let mut bytes = vec![0; fields.encoded_len()];
    fields.encode_into(&mut bytes).unwrap();
    bytes
}

pub(super) fn application(payload: &[u8]) -> MsgFields<'_> {
    MsgFields {
        tail: Tail::Opaque(payload),
        ..MsgFields::new(GROUP, MsgType::Other(APPLICATION_MSG))
    }
}

pub(super) fn numbered(seq: Seq, inner: InnerFields<'_>) -> Vec<u8> {
    encode(&FrameFields {
        version: Version::V3_2,
        node: them(),
        content: Content::Opts(OptsFields {
            seq,
            options: Options::NONE,
            inner,
        }),
    })
}

pub(super) fn rcom(payload: Payload<'_>) -> RcomFields<'_> {
    RcomFields {
        lockspace: GROUP,
        result: 0,
        id: 1,
        seq: 1,
        seq_reply: 0,
        payload,
    }
}

pub(super) const STATUS: Payload<'static> = Payload::Status {
    flags: StatusFlags::new(0),
};

/// The peer's `STATUS`.
pub(super) fn status() -> Vec<u8> {
    status_of(Version::V3_2)
}

pub(super) fn status_of(version: Version) -> Vec<u8> {
    encode(&FrameFields {
        version,
        node: them(),
        content: Content::Rcom(rcom(STATUS)),
    })
}

pub(super) fn status_reply() -> Payload<'static> {
    Payload::StatusReply {
        config: RcomConfig::default(),
        slots: Slots::NONE,
    }
}
