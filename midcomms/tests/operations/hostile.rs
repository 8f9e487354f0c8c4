//! One engine and a peer that sends anything: no panic, bounded memory, and numbers delivered in order.

use dlmwire_codec::{Limits, LockspaceId, NodeId, RawFrame, Seq, Split, split};
use dlmwire_midcomms::engine::{Config, Engine, Event, LinkLimits, LinkRole, LinkUp};
use dlmwire_midcomms::{LinkId, Time};

use super::Choices;

const GROUP: LockspaceId = LockspaceId::new(7);
/// Events that a single operation may lead to.
const EVENTS_MAX: usize = 64;
const FRAME_MAX: usize = 300;

/// Runs the operations that `bytes` stand for.
pub fn hostile(bytes: &[u8]) {
    let mut choices = Choices { bytes };
    let mut target = Target::new([0, u32::MAX - 2][choices.below(2)]);
    while let Some(operation) = choices.next() {
        target.operate(operation, &mut choices);
        target.check();
    }
}

struct Target {
    engine: Engine,
    peer: NodeId,
    now: Time,
    next: u64,
    links: Vec<LinkId>,
    /// The number that has to be delivered next, once one was in this conversation.
    expected: Option<Seq>,
}

impl Target {
    fn new(start: u32) -> Self {
        let [us, peer] = [1, 2].map(|id| NodeId::new(id).expect("not 0"));
        let config = Config {
            start_seq: Seq::new(start),
            queue_bytes_max: 128 << 10,
            ..Config::new(us)
        };
        let mut engine = Engine::new(config).expect("a segment or two");
        engine.add_member(Time(0), peer, GROUP).expect("another node");
        Self {
            engine,
            peer,
            now: Time(0),
            next: 1,
            links: Vec::new(),
            expected: None,
        }
    }

    fn operate(&mut self, operation: u8, choices: &mut Choices<'_>) {
        let link = self.links.get(choices.below(self.links.len())).copied();
        match operation % 12 {
            0 => {
                let _ = self
                    .engine
                    .send_payload(self.now, self.peer, GROUP, &[operation; 900]);
            }
            1 if self.links.len() < 8 => self.come_up(operation),
            2 => {
                if let Some(link) = link {
                    self.links.retain(|known| *known != link);
                    self.engine.handle_link_down(self.now, link);
                }
            }
            3 => {
                self.now = Time(self.now.0.saturating_add(u64::from(operation) << 26));
                while self.engine.handle_timeout(self.now).is_some() {}
            }
            4 => link
                .into_iter()
                .for_each(|link| self.engine.handle_link_end(self.now, link)),
            5 if operation > 240 => self.engine.shutdown(self.now),
            5 if operation > 200 => self.engine.fence(self.now, self.peer),
            5 if operation > 100 => self.engine.remove_member(self.now, self.peer, GROUP),
            5 => {
                // Refused while this node leaves.
                let _ = self.engine.add_member(self.now, self.peer, GROUP);
            }
            6 => {
                let count = choices.below(5000);
                if let Some(link) = link
                    && let Some(transmit) = self.engine.poll_transmit(link)
                {
                    let taken = transmit.len().min(count);
                    self.engine.handle_transmitted(self.now, link, taken);
                }
            }
            7 => link
                .into_iter()
                .for_each(|link| self.engine.handle_read_done(self.now, link)),
            _ => {
                let frame = self.make_frame(operation, choices);
                if let (Some(link), Split::Frame { frame, rest: [] }) = (link, split(&frame, Limits::KERNEL))
                {
                    self.receive(link, frame);
                }
            }
        }
    }

    fn come_up(&mut self, operation: u8) {
        let link = LinkId(self.next);
        self.next += 1;
        self.links.push(link);
        let role = if operation & 16 == 0 {
            LinkRole::Dialed
        } else {
            LinkRole::Accepted
        };
        let up = LinkUp {
            node: self.peer,
            role,
            limits: LinkLimits::STREAM,
        };
        self.engine.handle_link_up(self.now, link, up);
    }

    /// A header that is mostly right, so that the rest gets looked at.
    fn make_frame(&self, operation: u8, choices: &mut Choices<'_>) -> Vec<u8> {
        let length = 16 + choices.below(FRAME_MAX);
        let mut frame = vec![0; length];
        let made_up = choices.take(length);
        frame[..made_up.len()].copy_from_slice(made_up);
        frame[..4].copy_from_slice(&0x0003_0002_u32.to_le_bytes());
        frame[8..12].copy_from_slice(&2_u32.to_le_bytes());
        frame[12..14].copy_from_slice(&u16::try_from(length).expect("a short frame").to_le_bytes());
        frame[14] = [3, 4, 2, 1][usize::from(operation >> 4) % 4];
        let view = self.engine.peer(self.now, self.peer).expect("a member");
        let near = if frame[14] == 4 {
            view.send_seq
        } else {
            view.recv_next
        };
        let seq = near.plus(u32::from(operation >> 6)).plus(u32::MAX);
        if frame[14] != 1 {
            frame[4..8].copy_from_slice(&seq.get().to_le_bytes());
        }
        frame
    }

    fn receive(&mut self, link: LinkId, frame: RawFrame<'_>) {
        let Ok(Some(delivery)) = self.engine.handle_frame(self.now, link, frame) else {
            return;
        };
        let Some(seq) = delivery.seq else {
            return;
        };
        if let Some(expected) = self.expected {
            // Content that was dropped takes numbers with it, but they never go back.
            assert!(!seq.before(expected), "{seq} delivered where {expected} was due");
        }
        self.expected = Some(seq.next());
    }

    fn check(&mut self) {
        let mut count = 0;
        while let Some(event) = self.engine.poll_event() {
            count += 1;
            assert!(count <= EVENTS_MAX, "one operation tells no end of events");
            match event {
                Event::Finished { .. } | Event::StateChanged { .. } => self.expected = None,
                Event::CloseLink { link, .. } if link.0 % 2 == 0 => {
                    // Every other link is closed at once, the others linger.
                    self.links.retain(|known| *known != link);
                    self.engine.handle_link_down(self.now, link);
                }
                _ => {}
            }
        }
        let view = self.engine.peer(self.now, self.peer).expect("known");
        assert!(
            view.send_queue_memory_bytes <= (128 << 10) + (64 << 10),
            "one segment more for a FIN"
        );
        assert!(view.links.len() <= self.links.len());
        assert!(view.lockspaces.len() <= 1);
    }
}
