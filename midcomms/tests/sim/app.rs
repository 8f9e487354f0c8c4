//! The application and the node's hello: numbered payloads out, checked payloads in, `STATUS` and its reply.

use dlmwire_codec::{Payload, RcomConfig, RcomFields, RcomType, Slots, StatusFlags, Version};
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Content, Delivery, Message, SendError, Sent};

use crate::faults::Fault;
use crate::plant::Plant;
use crate::rng::mix;
use crate::schedule::MS;
use crate::verdict::Label;
use crate::world::{Due, LOCKSPACES, World, node_id};

/// The first bytes of every payload.
const MAGIC: u32 = 0x5347_4950;

/// Bytes before the filling: magic, sender, receiver, conversation, id.
const LABEL_BYTES: usize = 24;

/// How often the hello is said again while nobody answers.
const HELLO_AGAIN: u64 = 400 * MS;

/// A delivered `STATUS` that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) peer: usize,
    lockspace: usize,
    id: u64,
    seq: u64,
}

impl World {
    /// The application wants to send; what cannot go now waits.
    pub(crate) fn want_send(&mut self, node: usize, peer: usize, count: u64, bytes: usize, in_place: bool) {
        if !self.nodes[node].running || !self.nodes[node].peers[peer].is_member() {
            return;
        }
        self.nodes[node].peers[peer]
            .pending
            .push((count, bytes.max(LABEL_BYTES), in_place));
        self.send_pending(node, peer);
    }

    /// Sends what waits, as far as the engine takes it.
    pub(crate) fn send_pending(&mut self, node: usize, peer: usize) {
        let mut payload = Vec::new();
        while let Some((count, bytes, in_place)) = self.nodes[node].peers[peer].pending.first().copied() {
            let label = self.books.next_label(node, peer);
            fill(&mut payload, node, peer, label, bytes);
            let sent = self.send_payload(node, peer, &payload, in_place);
            match sent {
                Ok(sent) => {
                    let verdict = self.books.accept(node, peer, sent.seq);
                    self.judge(verdict);
                    let pending = &mut self.nodes[node].peers[peer].pending;
                    match count {
                        1 => drop(pending.remove(0)),
                        _ => pending[0].0 -= 1,
                    }
                }
                Err(SendError::NotConnected) => break,
                Err(SendError::QueueFull) => {
                    self.nodes[node].peers[peer].full = true;
                    self.tally.count(Fault::QueueFull);
                    break;
                }
                Err(SendError::UnknownNode | SendError::ShuttingDown | SendError::Halted) => {
                    self.nodes[node].peers[peer].pending.clear();
                    break;
                }
                Err(error) => {
                    self.fail(format!("{bytes} bytes {node}->{peer} refused: {error:?}"));
                    break;
                }
            }
            if self.failure.is_some() {
                break;
            }
        }
        self.drive(node);
    }

    fn send_payload(
        &mut self,
        node: usize,
        peer: usize,
        payload: &[u8],
        in_place: bool,
    ) -> Result<Sent, SendError> {
        let now = self.local(node);
        let engine = &mut self.nodes[node].engine;
        let (to, lockspace) = (node_id(peer), LOCKSPACES[0]);
        if !in_place {
            return engine.send_payload(now, to, lockspace, payload);
        }
        if payload[8] & 3 == 0 {
            // A reservation that is given up leaves no trace.
            let mut given_up = engine.reserve_payload(now, to, lockspace, payload.len())?;
            given_up.bytes_mut().fill(0xee);
        }
        let mut reservation = engine.reserve_payload(now, to, lockspace, payload.len())?;
        reservation.bytes_mut().copy_from_slice(payload);
        Ok(reservation.commit())
    }

    /// Says hello to a peer whose version is unknown, and again after a while.
    pub(crate) fn say_hello(&mut self, node: usize, peer: usize) {
        let side = &self.nodes[node].peers[peer];
        // A peer that is no member any more may still have a FIN to bring, which needs its version.
        if side.version.is_some() || !(side.is_member() || side.state != State::Closed) {
            return;
        }
        let status = RcomFields {
            lockspace: LOCKSPACES[0],
            result: 0,
            id: self.rng.next(),
            seq: 7,
            seq_reply: 0,
            payload: Payload::Status {
                flags: StatusFlags::new(0),
            },
        };
        let now = self.local(node);
        let sent = self.nodes[node]
            .engine
            .send(now, node_id(peer), &Message::Rcom(status));
        self.say(|| format!("node {node} says hello to {peer}: {sent:?}"));
        if !std::mem::replace(&mut self.nodes[node].peers[peer].hello_armed, true) {
            self.after(HELLO_AGAIN, Due::Hello { node, peer });
        }
    }

    /// The moment to say hello again has come.
    pub(crate) fn on_hello(&mut self, node: usize, peer: usize) {
        self.nodes[node].peers[peer].hello_armed = false;
        self.say_hello(node, peer);
        self.drive(node);
    }

    /// Answers a `STATUS`.
    pub(crate) fn answer(&mut self, node: usize, question: Question) {
        let reply = RcomFields {
            lockspace: LOCKSPACES[question.lockspace],
            result: 1,
            id: question.id,
            seq: 9,
            seq_reply: question.seq,
            payload: Payload::StatusReply {
                config: RcomConfig::default(),
                slots: Slots::NONE,
            },
        };
        let now = self.local(node);
        let sent = self.nodes[node]
            .engine
            .send(now, node_id(question.peer), &Message::Rcom(reply));
        self.say(|| format!("node {node} answers {}: {sent:?}", question.peer));
    }

    /// A message was delivered to `node` from the node at the link's other end; a `STATUS` is to be answered.
    pub(crate) fn on_delivery(&mut self, node: usize, peer: usize, delivery: &Delivered, intact: bool) {
        match delivery {
            Delivered::Status | Delivered::Other => {}
            Delivered::Payload(result) => {
                self.trace.word(result.as_ref().map_or(0, |label| label.id));
                self.say(|| format!("node {node} takes from {peer}: {result:?}"));
                match result {
                    Ok(label) => {
                        let verdict = self.books.deliver(peer, node, *label, intact);
                        self.judge(verdict);
                    }
                    Err(why) if intact => self.fail(format!("payload {peer}->{node}: {why}")),
                    Err(_) => {}
                }
            }
        }
    }

    /// Fails the run if the verdict says so.
    pub(crate) fn judge(&mut self, verdict: Result<(), String>) {
        if let Err(why) = verdict {
            self.fail(why);
        }
    }
}

/// What a delivery was, without its borrow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Delivered {
    /// A question.
    Status,
    /// Another message of the hello.
    Other,
    /// An application message: its label, or what is wrong with it.
    Payload(Result<Label, &'static str>),
}

/// Reads a delivery; also the question, if it is one.
pub(crate) fn read(
    delivery: &Delivery<'_>,
    node: usize,
    peer: usize,
    plant: Plant,
) -> (Delivered, Option<Question>) {
    if let Some((lockspace, payload)) = delivery.payload() {
        let label = if lockspace != LOCKSPACES[0] {
            Err("another lockspace")
        } else if plant == Plant::ChangesPayload
            && payload.first_chunk().is_some_and(|head: &[u8; 24]| head[16] == 3)
        {
            let mut changed = payload.to_vec();
            let last = changed.len() - 1;
            changed[last] ^= 1;
            check(&changed, peer, node)
        } else {
            check(payload, peer, node)
        };
        return (Delivered::Payload(label), None);
    }
    match delivery.content {
        Content::Rcom(rcom) if rcom.rcom_type() == RcomType::Status => {
            let lockspace = LOCKSPACES
                .iter()
                .position(|id| *id == rcom.lockspace())
                .unwrap_or(0);
            let question = Question {
                peer,
                lockspace,
                id: rcom.id(),
                seq: rcom.seq(),
            };
            (Delivered::Status, Some(question))
        }
        Content::Rcom(_) | Content::Msg(_) => (Delivered::Other, None),
    }
}

/// Writes a payload that can be told from every other.
fn fill(payload: &mut Vec<u8>, node: usize, peer: usize, label: Label, bytes: usize) {
    payload.clear();
    payload.extend_from_slice(&MAGIC.to_le_bytes());
    payload.extend_from_slice(&[node as u8, peer as u8, (bytes & 0xff) as u8, (bytes >> 8) as u8]);
    payload.extend_from_slice(&label.epoch.to_le_bytes());
    payload.extend_from_slice(&[0; 4]);
    payload.extend_from_slice(&label.id.to_le_bytes());
    let mut word = mix(label.id ^ ((node as u64) << 40) ^ ((peer as u64) << 48));
    while payload.len() + 8 <= bytes {
        payload.extend_from_slice(&word.to_le_bytes());
        word = word.wrapping_add(0x0101_0101_0101_0101);
    }
    payload.resize(bytes, 0x5a);
}

fn check(payload: &[u8], sender: usize, receiver: usize) -> Result<Label, &'static str> {
    let Some(head) = payload.first_chunk::<LABEL_BYTES>() else {
        return Err("too short");
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(0) != MAGIC {
        return Err("no payload of ours");
    }
    if head[4] != sender as u8 || head[5] != receiver as u8 {
        return Err("between other nodes");
    }
    if usize::from(head[6]) | usize::from(head[7]) << 8 != payload.len() {
        return Err("another length");
    }
    let label = Label {
        epoch: word(8),
        id: u64::from(word(16)) | u64::from(word(20)) << 32,
    };
    let mut filled = mix(label.id ^ ((sender as u64) << 40) ^ ((receiver as u64) << 48));
    let (words, rest) = payload[LABEL_BYTES..].as_chunks::<8>();
    for word in words {
        if u64::from_le_bytes(*word) != filled {
            return Err("changed bytes");
        }
        filled = filled.wrapping_add(0x0101_0101_0101_0101);
    }
    if rest.iter().any(|byte| *byte != 0x5a) {
        return Err("changed bytes");
    }
    Ok(label)
}

/// The version that a node's hello announces.
pub(crate) fn is_old(version: Version) -> bool {
    version == Version::V3_1
}
