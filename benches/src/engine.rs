//! Two engines without any I/O: what is sent by one is carried to the other as bytes.
//!
//! Four loops, each a function of its own, so that instructions can be counted for each: the sender takes messages,
//! lends what is to be written, the receiver takes frames, the sender takes the acknowledgement.

use dlmwire_codec::{Limits, LockspaceId, NodeId, Payload, RcomFields, Split, StatusFlags, split};
use dlmwire_midcomms::engine::{Config, Engine, LinkLimits, LinkRole, LinkUp, Message};
use dlmwire_midcomms::{LinkId, Time};

/// Messages between two acknowledgements: what a node sends in one turn.
pub const BATCH: usize = 512;

const GROUP: LockspaceId = LockspaceId::new(0x6265_6e63);

/// Two engines that know each other, and the bytes between them.
#[derive(Debug)]
pub struct Pair {
    sender: Engine,
    receiver: Engine,
    /// What is on its way to the receiver.
    there: Vec<u8>,
    back: Vec<u8>,
    link: LinkId,
    now: Time,
}

impl Pair {
    /// Two engines that know each other's version.
    ///
    /// # Panics
    ///
    /// When they do not find each other.
    #[must_use]
    pub fn connected() -> Self {
        let mut pair = Self {
            sender: engine(1),
            receiver: engine(2),
            there: Vec::with_capacity(BATCH * 4096),
            back: Vec::with_capacity(4096),
            link: LinkId(0),
            now: Time(1),
        };
        let (one, two) = (id(1), id(2));
        pair.sender
            .add_member(pair.now, two, GROUP)
            .expect("another node");
        pair.receiver
            .add_member(pair.now, one, GROUP)
            .expect("another node");
        pair.reconnect();
        // Versions show by STATUS.
        let status = Message::Rcom(RcomFields {
            lockspace: GROUP,
            result: 0,
            id: 1,
            seq: 1,
            seq_reply: 0,
            payload: Payload::Status {
                flags: StatusFlags::new(0),
            },
        });
        pair.sender.send(pair.now, two, &status).expect("STATUS opens");
        pair.lend();
        pair.receive();
        pair.receiver.send(pair.now, one, &status).expect("STATUS opens");
        pair.acknowledge();
        pair
    }

    /// Both lose their link, with what is on its way, and get another: what is not acknowledged is lent again.
    pub fn reconnect(&mut self) {
        let lost = self.link;
        self.link = LinkId(lost.0 + 1);
        self.there.clear();
        self.back.clear();
        for (engine, peer) in [(&mut self.sender, 2), (&mut self.receiver, 1)] {
            engine.handle_link_down(self.now, lost);
            let up = LinkUp {
                node: id(peer),
                role: LinkRole::Dialed,
                limits: LinkLimits::STREAM,
            };
            engine.handle_link_up(self.now, self.link, up);
        }
    }

    /// The sender takes [`BATCH`] messages.
    ///
    /// # Panics
    ///
    /// When it refuses one.
    #[inline(never)]
    pub fn send(&mut self, payload: &[u8]) {
        for _ in 0..BATCH {
            self.sender
                .send_payload(self.now, id(2), GROUP, payload)
                .expect("there is room");
        }
    }

    /// What the sender wants written, written, as many bytes.
    #[inline(never)]
    pub fn lend(&mut self) -> usize {
        write(&mut self.sender, self.link, &mut self.there, self.now)
    }

    /// The receiver takes what is on its way, and wants to acknowledge it. How many messages were delivered.
    ///
    /// # Panics
    ///
    /// When a frame is not taken.
    #[inline(never)]
    pub fn receive(&mut self) -> usize {
        let delivered = read(&mut self.receiver, self.link, &mut self.there, self.now);
        self.receiver.handle_read_done(self.now, self.link);
        delivered
    }

    /// The acknowledgement goes back and frees what it covers.
    ///
    /// # Panics
    ///
    /// When a frame is not taken.
    #[inline(never)]
    pub fn acknowledge(&mut self) {
        write(&mut self.receiver, self.link, &mut self.back, self.now);
        read(&mut self.sender, self.link, &mut self.back, self.now);
        self.now = Time(self.now.0 + 1_000);
    }

    /// All four. How many messages were delivered.
    pub fn turn(&mut self, payload: &[u8]) -> usize {
        self.send(payload);
        self.lend();
        let delivered = self.receive();
        self.acknowledge();
        delivered
    }

    /// Bytes of frames that the sender keeps, and the memory that it keeps them in.
    ///
    /// # Panics
    ///
    /// Never: the peer is known.
    #[must_use]
    pub fn unacknowledged(&self) -> [usize; 2] {
        let peer = self.sender.peer(self.now, id(2)).expect("a peer that is known");
        [peer.send_queue_bytes, peer.send_queue_memory_bytes]
    }
}

fn write(engine: &mut Engine, link: LinkId, to: &mut Vec<u8>, now: Time) -> usize {
    let before = to.len();
    while let Some(transmit) = engine.poll_transmit(link) {
        for slice in transmit.slices() {
            carry(to, slice);
        }
        let taken = transmit.len();
        engine.handle_transmitted(now, link, taken);
    }
    to.len() - before
}

/// What a link does; a function of its own, so that it need not be counted.
#[inline(never)]
fn carry(to: &mut Vec<u8>, slice: &[u8]) {
    to.extend_from_slice(slice);
}

fn read(engine: &mut Engine, link: LinkId, from: &mut Vec<u8>, now: Time) -> usize {
    let mut delivered = 0;
    let mut rest = from.as_slice();
    while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
        rest = behind;
        let delivery = engine.handle_frame(now, link, frame).expect("a sound frame");
        delivered += usize::from(delivery.is_some());
    }
    assert!(rest.is_empty(), "whole frames are carried");
    from.clear();
    while engine.poll_event().is_some() {}
    delivered
}

fn engine(node: u32) -> Engine {
    Engine::new(Config::new(id(node))).expect("the defaults work")
}

fn id(node: u32) -> NodeId {
    NodeId::new(node).expect("not 0")
}
