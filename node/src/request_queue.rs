//! What comes while a lockspace is stopped (spec: peer 3; the kernel's `requestqueue`).
//!
//! A member that recovers later than its peers gets their requests before it can process them. They are kept until
//! it starts again, and dropped if the members changed once more meanwhile: then their senders ask again.

use std::collections::VecDeque;

use dlmwire_codec::{Limits, NodeId, RawFrame, Seq, Split, split};
use dlmwire_midcomms::engine::Delivery;

/// The number of a membership: every stop and start moves it (the kernel's `recovery_seq`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation(pub u64);

/// Messages that wait for a start, in the order in which they came. Bounded in bytes.
#[derive(Clone, Debug)]
#[doc(alias = "requestqueue")]
pub struct RequestQueue {
    /// The generation that is being prepared, while stopped.
    stopped_for: Option<Generation>,
    kept: VecDeque<KeptMessage>,
    bytes: usize,
    bytes_max: usize,
}

/// A message that waited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptMessage {
    /// The sender.
    pub node: NodeId,
    /// Its number, if it had one.
    pub seq: Option<Seq>,
    /// The message, its own header first.
    pub bytes: Vec<u8>,
}

/// What is to be done with a message now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Offered {
    /// The lockspace runs: process it.
    Process,
    /// It is kept for the start.
    Kept,
    /// No room: it is not kept. It was acknowledged already, so the lockspace cannot go on as if nothing happened:
    /// stop reading, or stop for another generation.
    NoRoom,
}

impl RequestQueue {
    /// A queue of a running lockspace that keeps at most `bytes_max` bytes of messages.
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            stopped_for: None,
            kept: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// The lockspace stops and prepares `generation`. What was kept for another one is dropped; how many that were.
    pub fn stop(&mut self, generation: Generation) -> usize {
        let moved = self.stopped_for != Some(generation);
        self.stopped_for = Some(generation);
        if moved { self.clear() } else { 0 }
    }

    /// A message came.
    pub fn offer(&mut self, delivery: &Delivery<'_>) -> Offered {
        if self.stopped_for.is_none() {
            return Offered::Process;
        }
        if self.bytes.saturating_add(delivery.bytes.len()) > self.bytes_max {
            return Offered::NoRoom;
        }
        self.bytes = self.bytes.saturating_add(delivery.bytes.len());
        self.kept.push_back(KeptMessage {
            node: delivery.node,
            seq: delivery.seq,
            bytes: delivery.bytes.to_vec(),
        });
        Offered::Kept
    }

    /// The lockspace starts in `generation`: what was kept for it, in order, to be processed before anything new.
    /// What was kept for another generation is dropped.
    pub fn start(&mut self, generation: Generation) -> impl Iterator<Item = KeptMessage> + use<> {
        if self.stopped_for.take() != Some(generation) {
            self.clear();
        }
        self.bytes = 0;
        std::mem::take(&mut self.kept).into_iter()
    }

    /// Drops what a member sent that is no member any more; how many messages that were.
    pub fn forget(&mut self, node: NodeId) -> usize {
        let before = self.kept.len();
        self.kept.retain(|message| message.node != node);
        self.bytes = self.kept.iter().map(|message| message.bytes.len()).sum();
        before.saturating_sub(self.kept.len())
    }

    /// Whether the lockspace is stopped.
    pub const fn is_stopped(&self) -> bool {
        self.stopped_for.is_some()
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn clear(&mut self) -> usize {
        let dropped = self.kept.len();
        self.kept.clear();
        self.bytes = 0;
        dropped
    }
}

impl KeptMessage {
    /// The message as a frame, to be decoded; `None` for bytes that were never one.
    pub fn frame(&self) -> Option<RawFrame<'_>> {
        match split(&self.bytes, Limits::KERNEL) {
            Split::Frame { frame, rest: [] } => Some(frame),
            Split::Frame { .. } | Split::NeedMore { .. } | Split::Lost(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use dlmwire_codec::{Content, Frame, FrameFields, LockspaceId, MsgFields, MsgType, Tail, Version};
    use dlmwire_midcomms::engine;

    use super::*;

    fn message(node: u32, name: &[u8]) -> Vec<u8> {
        let fields = FrameFields {
            version: Version::V3_2,
            node: NodeId::new(node).unwrap(),
            content: Content::Msg(MsgFields {
                tail: Tail::Opaque(name),
                ..MsgFields::new(LockspaceId::new(7), MsgType::Request)
            }),
        };
        let mut bytes = vec![0; fields.encoded_len()];
        fields.encode_into(&mut bytes).unwrap();
        bytes
    }

    fn offer(queue: &mut RequestQueue, bytes: &[u8]) -> Offered {
        let Split::Frame { frame, .. } = split(bytes, Limits::KERNEL) else {
            panic!("a frame");
        };
        let Ok(Frame::Msg(msg)) = frame.decode() else {
            panic!("a message");
        };
        queue.offer(&Delivery {
            node: msg.node(),
            seq: None,
            version: Version::V3_2,
            content: engine::Content::Msg(msg),
            bytes,
        })
    }

    /// Proves C11.
    #[test]
    fn stopped_messages_wait_for_the_start_of_the_same_generation() {
        let mut queue = RequestQueue::new(1000);
        assert_eq!(offer(&mut queue, &message(2, b"early")), Offered::Process);
        queue.stop(Generation(4));
        for name in [b"one", b"two"] {
            assert_eq!(offer(&mut queue, &message(2, name)), Offered::Kept);
        }
        let kept: Vec<KeptMessage> = queue.start(Generation(4)).collect();
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[1].bytes, message(2, b"two"));
        assert!(kept[0].frame().is_some());
        assert!(!queue.is_stopped() && queue.is_empty());
        assert_eq!(offer(&mut queue, &message(2, b"later")), Offered::Process);
    }

    /// Proves C11.
    #[test]
    fn stopped_messages_are_dropped_when_the_generation_moves() {
        let mut queue = RequestQueue::new(1000);
        queue.stop(Generation(4));
        offer(&mut queue, &message(2, b"one"));
        assert_eq!(queue.stop(Generation(4)), 0);
        assert_eq!(queue.stop(Generation(5)), 1);
        offer(&mut queue, &message(2, b"two"));
        assert_eq!(queue.start(Generation(6)).count(), 0);
    }

    #[test]
    fn stopped_messages_of_a_node_that_left_are_forgotten_and_the_room_is_bounded() {
        let (mine, other) = (message(2, b"x"), message(3, b"x"));
        let mut queue = RequestQueue::new(mine.len() * 2);
        queue.stop(Generation(1));
        assert_eq!(offer(&mut queue, &mine), Offered::Kept);
        assert_eq!(offer(&mut queue, &other), Offered::Kept);
        assert_eq!(offer(&mut queue, &other), Offered::NoRoom);
        assert_eq!(queue.forget(NodeId::new(2).unwrap()), 1);
        assert_eq!(offer(&mut queue, &other), Offered::Kept);
        assert_eq!(queue.len(), 2);
    }
}
