//! Two engines over links that are cut anywhere: whatever happens, messages arrive once and in order, and when the
//! faults stop they all arrive.

use std::collections::{BTreeMap, VecDeque};

use dlmwire_codec::{
    Limits, LockspaceId, NodeId, Payload, RcomConfig, RcomFields, Seq, Slots, Split, StatusFlags, split,
};
use dlmwire_midcomms::engine::{
    Close, Config, Content, Engine, Event, LinkLimits, LinkRole, LinkUp, Message,
};
use dlmwire_midcomms::{LinkId, State, Time};

use super::Choices;

const GROUP: LockspaceId = LockspaceId::new(7);
const LINKS_MAX: usize = 40;
const MILLISECOND: u64 = 1_000_000;
/// Far more than the slowest case needs: a livelock is a finding.
const SETTLING_ROUNDS_MAX: usize = 2_000;

/// Runs the operations that `bytes` stand for.
pub fn pair(bytes: &[u8]) {
    let mut choices = Choices { bytes };
    let start = [0, 1, 1 << 31, u32::MAX - 2][choices.below(4)];
    let mut world = World::new(start);
    while let Some(operation) = choices.next() {
        world.operate(operation, &mut choices);
    }
    world.settle();
    world.judge();
}

/// One direction of a link.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    tail: Vec<u8>,
}

/// A link between both; index 0 is the node that dialed.
struct Line {
    dialer: usize,
    up: [bool; 2],
    cut: bool,
    ended: bool,
    /// By the side that reads.
    pipes: [Pipe; 2],
}

struct Side {
    engine: Engine,
    sent: u32,
    got: u32,
    /// A conversation ended here: what came afterwards is not counted.
    left: bool,
}

struct World {
    now: Time,
    sides: [Side; 2],
    lines: BTreeMap<LinkId, Line>,
    next: u64,
}

fn node(side: usize) -> NodeId {
    NodeId::new([1, 2][side]).expect("not 0")
}

impl World {
    fn new(start: u32) -> Self {
        let sides = [0, 1].map(|side| {
            let config = Config {
                start_seq: Seq::new(start),
                ..Config::new(node(side))
            };
            let mut engine = Engine::new(config).expect("the defaults");
            engine
                .add_member(Time(0), node(1 - side), GROUP)
                .expect("another node");
            Side {
                engine,
                sent: 0,
                got: 0,
                left: false,
            }
        });
        let mut world = Self {
            now: Time(1),
            sides,
            lines: BTreeMap::new(),
            next: 1,
        };
        world.drain();
        world
    }

    fn operate(&mut self, operation: u8, choices: &mut Choices<'_>) {
        let side = usize::from(operation & 1);
        let link = self.lines.keys().nth(choices.below(self.lines.len())).copied();
        match (operation >> 1) % 12 {
            0 | 1 => self.send(side),
            2 => self.dial(side),
            3 => link.into_iter().for_each(|link| self.come_up(side, link)),
            4 | 5 => {
                let count = choices.below(700);
                link.into_iter().for_each(|link| self.transmit(side, link, count));
            }
            6 | 7 => {
                let count = choices.below(700);
                link.into_iter().for_each(|link| self.read(side, link, count));
            }
            8 => {
                if let Some(line) = link.and_then(|link| self.lines.get_mut(&link)) {
                    line.cut = true;
                }
            }
            9 => link.into_iter().for_each(|link| self.notice(side, link)),
            10 => self.wait(u64::from(operation) * MILLISECOND),
            _ => {
                // Rarely: half of all runs should have no end in them.
                if choices.below(8) == 0 {
                    self.leave(side);
                }
            }
        }
        self.drain();
    }

    fn send(&mut self, side: usize) {
        let Side { engine, sent, .. } = &mut self.sides[side];
        let payload = sent.to_le_bytes().repeat(1 + (*sent as usize % 50));
        if engine
            .send_payload(self.now, node(1 - side), GROUP, &payload)
            .is_ok()
        {
            *sent += 1;
        }
    }

    fn dial(&mut self, side: usize) {
        if self.lines.len() >= LINKS_MAX || !self.sides[side].engine.wants_link(node(1 - side)) {
            return;
        }
        let link = LinkId(self.next);
        self.next += 1;
        self.lines.insert(
            link,
            Line {
                dialer: side,
                up: [false; 2],
                cut: false,
                ended: false,
                pipes: Default::default(),
            },
        );
    }

    fn come_up(&mut self, side: usize, link: LinkId) {
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        if line.up[side] || line.ended {
            return;
        }
        line.up[side] = true;
        let role = if line.dialer == side {
            LinkRole::Dialed
        } else {
            LinkRole::Accepted
        };
        let up = LinkUp {
            node: node(1 - side),
            role,
            limits: LinkLimits::STREAM,
        };
        self.sides[side].engine.handle_link_up(self.now, link, up);
    }

    fn transmit(&mut self, side: usize, link: LinkId, count: usize) {
        let Some(line) = self.lines.get_mut(&link).filter(|line| line.up[side]) else {
            return;
        };
        let engine = &mut self.sides[side].engine;
        let Some(transmit) = engine.poll_transmit(link) else {
            return;
        };
        let lent = transmit.slices().iter().flat_map(|slice| slice.iter().copied());
        let taken: Vec<u8> = lent.take(count).collect();
        engine.handle_transmitted(self.now, link, taken.len());
        if !line.cut {
            line.pipes[1 - side].bytes.extend(taken);
        }
    }

    fn read(&mut self, side: usize, link: LinkId, count: usize) {
        let Some(line) = self.lines.get_mut(&link).filter(|line| line.up[side]) else {
            return;
        };
        let Pipe { bytes, tail } = &mut line.pipes[side];
        let count = count.min(bytes.len());
        tail.extend(bytes.drain(..count));
        let Side {
            engine, got, left, ..
        } = &mut self.sides[side];
        let mut hellos = Vec::new();
        let mut rest = &tail[..];
        while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
            rest = behind;
            match engine.handle_frame(self.now, link, frame) {
                Ok(Some(delivery)) => match (delivery.payload(), delivery.content) {
                    (Some((_, payload)), _) => {
                        assert!(delivery.seq.is_some(), "between 3.2 nodes it is numbered");
                        let number = u32::from_le_bytes(payload[..4].try_into().expect("four bytes"));
                        assert_eq!(payload, number.to_le_bytes().repeat(1 + (number as usize % 50)));
                        assert_eq!(number, *got, "delivered once and in order");
                        *got += 1;
                    }
                    (None, Content::Rcom(rcom)) => hellos.push((rcom.rcom_type(), rcom.id())),
                    (None, Content::Msg(msg)) => panic!("nobody sent {msg:?}"),
                },
                Ok(None) => {}
                Err(violation) => assert!(*left || is_excusable(violation), "{violation}"),
            }
        }
        let behind = rest.len();
        tail.drain(..tail.len() - behind);
        engine.handle_read_done(self.now, link);
        for (rcom_type, id) in hellos {
            if rcom_type == dlmwire_codec::RcomType::Status {
                let config = RcomConfig::default();
                let slots = Slots::NONE;
                self.say(side, id, Payload::StatusReply { config, slots });
            }
        }
    }

    fn say(&mut self, side: usize, id: u64, payload: Payload<'_>) {
        let fields = RcomFields {
            lockspace: GROUP,
            result: 0,
            id,
            seq: 1,
            seq_reply: 1,
            payload,
        };
        // Refused where it is no longer wanted.
        let _ = self.sides[side]
            .engine
            .send(self.now, node(1 - side), &Message::Rcom(fields));
    }

    fn notice(&mut self, side: usize, link: LinkId) {
        if let Some(line) = self.lines.get_mut(&link).filter(|line| line.cut && line.up[side]) {
            line.up[side] = false;
            line.ended = true;
            line.pipes[side] = Pipe::default();
            self.sides[side].engine.handle_link_down(self.now, link);
        }
        self.lines.retain(|_, line| !line.ended || line.up != [false; 2]);
    }

    fn wait(&mut self, nanoseconds: u64) {
        self.now = Time(self.now.0 + nanoseconds);
        for side in &mut self.sides {
            while side.engine.handle_timeout(self.now).is_some() {}
        }
    }

    /// Both leave, one after the other at times of their own: a departure that only one knows of is the sim's
    /// subject.
    fn leave(&mut self, side: usize) {
        self.sides[side].left = true;
        self.sides[side].engine.shutdown(self.now);
        self.sides[1 - side]
            .engine
            .remove_member(self.now, node(side), GROUP);
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(event) = self.sides[side].engine.poll_event() {
                match event {
                    Event::CloseLink { link, how } => self.close(side, link, how),
                    Event::PeerRestarted { .. } => panic!("nobody restarted: {event:?}"),
                    Event::Connected { .. } => {
                        let flags = StatusFlags::new(0);
                        self.say(side, 1, Payload::Status { flags });
                    }
                    _ => {}
                }
            }
        }
    }

    fn close(&mut self, side: usize, link: LinkId, how: Close) {
        if how == Close::AfterFlush {
            self.transmit(side, link, usize::MAX);
            // What was written before an orderly close still arrives.
            self.come_up(1 - side, link);
            self.read(1 - side, link, usize::MAX);
        }
        if let Some(line) = self.lines.get_mut(&link) {
            line.cut = true;
        }
        self.notice(side, link);
    }

    /// No more faults: everybody notices what is cut, dials what is wanted, and reads what is written.
    fn settle(&mut self) {
        for _ in 0..SETTLING_ROUNDS_MAX {
            for side in 0..2 {
                self.dial(side);
                for link in self.lines.keys().copied().collect::<Vec<_>>() {
                    self.notice(side, link);
                    if self.lines.get(&link).is_some_and(|line| !line.cut) {
                        self.come_up(side, link);
                    }
                    self.transmit(side, link, usize::MAX);
                    self.read(side, link, usize::MAX);
                    self.drain();
                }
            }
            if self.is_done() {
                return;
            }
            self.wait(20 * MILLISECOND);
            self.drain();
        }
        panic!(
            "not settled: {:?}",
            self.sides
                .each_ref()
                .map(|side| side.engine.peers(self.now).collect::<Vec<_>>())
        );
    }

    fn is_done(&self) -> bool {
        let left = self.sides.iter().any(|side| side.left);
        [0, 1].into_iter().all(|side| {
            let Side { engine, got, .. } = &self.sides[side];
            let peer = engine.peer(self.now, node(1 - side)).expect("a member");
            let all_came = *got == self.sides[1 - side].sent;
            match left {
                true => peer.state == State::Closed,
                false => all_came && peer.send_queue_count == 0,
            }
        })
    }

    fn judge(&self) {
        for side in &self.sides {
            let peer = side.engine.peers(self.now).next().expect("the other node");
            assert_eq!(peer.counters.unexpected, 0);
            assert!(peer.send_queue_memory_bytes <= side.engine.config().queue_bytes_max);
        }
    }
}

/// What an honest peer's frames can be called around lost links and ends.
fn is_excusable(violation: dlmwire_midcomms::engine::Violation) -> bool {
    use dlmwire_midcomms::Refusal;
    use dlmwire_midcomms::engine::Violation;
    matches!(
        violation,
        Violation::UnknownLink | Violation::Refused(Refusal::CannotOpen { .. })
    )
}
