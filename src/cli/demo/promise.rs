//! The promise that is put to the test: every message once, in order, as it was sent.

use std::collections::BTreeMap;
use std::fmt;

use dlmwire_codec::NodeId;

use super::random::Random;

/// The shortest message: its number, and as many bytes that depend on it.
pub(super) const MESSAGE_BYTES_MIN: usize = 2 * WORD;

/// Runs of missing messages that are remembered, in case they come late after all.
const MISSING_RUNS_MAX: usize = 1024;

const WORD: usize = size_of::<u64>();

/// The messages that one node sends: each begins with its number, the rest follows from number, sender and seed.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    sender: NodeId,
    seed: u64,
}

/// Looks at every message that comes from one node.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pattern: Pattern,
    message_bytes: usize,
    /// The number that has to come next.
    next: u64,
    /// Numbers that were left out, as first and behind the last of a run.
    missing: BTreeMap<u64, u64>,
    counts: Counts,
    /// The first thing that was wrong.
    broken: Option<Breach>,
}

/// What came, and what was wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    /// Messages that came whole, each number once.
    pub(super) delivered: u64,
    /// Messages that came again.
    pub(super) duplicated: u64,
    /// Messages that came behind a later one.
    pub(super) reordered: u64,
    /// Messages that are not what was sent.
    pub(super) damaged: u64,
}

/// How the promise was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Breach {
    sender: NodeId,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The first has to come, the second came.
    Missing { number: u64, instead: u64 },
    /// It was there already, and so was everything before the second.
    Twice { number: u64, next: u64 },
    /// It was missing and came behind the second.
    Late { number: u64, behind: u64 },
    /// A byte is not what was sent.
    Damaged {
        number: u64,
        at: usize,
        byte: u8,
        sent: u8,
    },
    /// It has not the length that was sent.
    Length { next: u64, bytes: usize, sent: usize },
    /// The end came before it.
    Never { number: u64, messages: u64 },
}

impl Pattern {
    pub(super) const fn new(sender: NodeId, seed: u64) -> Self {
        Self { sender, seed }
    }

    /// Writes message `number` over all of `payload`.
    pub(super) fn fill(&self, number: u64, payload: &mut [u8]) {
        let mut random = self.random(number);
        let Some((head, rest)) = payload.split_first_chunk_mut::<WORD>() else {
            return;
        };
        *head = number.to_le_bytes();
        let (words, rest) = rest.as_chunks_mut::<WORD>();
        for word in words {
            *word = random.next().to_le_bytes();
        }
        let last = random.next().to_le_bytes();
        for (byte, wanted) in rest.iter_mut().zip(last) {
            *byte = wanted;
        }
    }

    /// The first byte behind the number that is not message `number`'s: where, what is there, what was sent.
    fn difference(&self, number: u64, payload: &[u8]) -> Option<(usize, u8, u8)> {
        let mut random = self.random(number);
        let rest = payload.get(WORD..).unwrap_or_default();
        for (index, bytes) in rest.chunks(WORD).enumerate() {
            let wanted = random.next().to_le_bytes();
            if !wanted.starts_with(bytes) {
                let at = bytes
                    .iter()
                    .zip(wanted)
                    .position(|(byte, wanted)| *byte != wanted)?;
                return Some((WORD * (index + 1) + at, *bytes.get(at)?, *wanted.get(at)?));
            }
        }
        None
    }

    fn random(&self, number: u64) -> Random {
        let sender = u64::from(self.sender.get()).rotate_left(32);
        Random::new(self.seed ^ sender ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }
}

impl Promise {
    /// Nothing has come yet; everything that comes has to be `message_bytes` long.
    pub(super) const fn new(pattern: Pattern, message_bytes: usize) -> Self {
        Self {
            pattern,
            message_bytes,
            next: 0,
            missing: BTreeMap::new(),
            counts: Counts {
                delivered: 0,
                duplicated: 0,
                reordered: 0,
                damaged: 0,
            },
            broken: None,
        }
    }

    /// A message came.
    pub(super) fn take(&mut self, payload: &[u8]) {
        let number = match payload.first_chunk::<WORD>() {
            Some(number) if payload.len() == self.message_bytes => u64::from_le_bytes(*number),
            _ => {
                self.counts.damaged += 1;
                return self.breach(Kind::Length {
                    next: self.next,
                    bytes: payload.len(),
                    sent: self.message_bytes,
                });
            }
        };
        if let Some((at, byte, sent)) = self.pattern.difference(number, payload) {
            self.counts.damaged += 1;
            // A number that is not to be believed says nothing about order.
            let number = self.next;
            return self.breach(Kind::Damaged {
                number,
                at,
                byte,
                sent,
            });
        }
        if number == self.next {
            self.next += 1;
            self.counts.delivered += 1;
        } else {
            self.take_unexpected(number);
        }
    }

    /// The sender has sent so many messages and will send no more.
    pub(super) fn end(&mut self, messages: u64) {
        let missing = self.missing.keys().next().copied();
        let number = missing.unwrap_or(self.next);
        if number < messages {
            self.breach(Kind::Never { number, messages });
        }
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// The first thing that was wrong; `None` while the promise is kept.
    pub(super) const fn broken(&self) -> Option<Breach> {
        self.broken
    }

    #[cold]
    fn take_unexpected(&mut self, number: u64) {
        if number > self.next {
            self.breach(Kind::Missing {
                number: self.next,
                instead: number,
            });
            if self.missing.len() >= MISSING_RUNS_MAX {
                self.missing.pop_last();
            }
            self.missing.insert(self.next, number);
            self.next = number + 1;
            self.counts.delivered += 1;
        } else if self.was_missing(number) {
            self.counts.reordered += 1;
            self.counts.delivered += 1;
            self.breach(Kind::Late {
                number,
                behind: self.next - 1,
            });
        } else {
            self.counts.duplicated += 1;
            self.breach(Kind::Twice {
                number,
                next: self.next,
            });
        }
    }

    /// Strikes a number off the missing ones.
    fn was_missing(&mut self, number: u64) -> bool {
        let run = self.missing.range(..=number).next_back();
        let Some((first, behind)) = run.map(|(first, behind)| (*first, *behind)) else {
            return false;
        };
        if number >= behind {
            return false;
        }
        self.missing.remove(&first);
        if first < number {
            self.missing.insert(first, number);
        }
        if number + 1 < behind {
            self.missing.insert(number + 1, behind);
        }
        true
    }

    fn breach(&mut self, kind: Kind) {
        let sender = self.pattern.sender;
        self.broken.get_or_insert(Breach { sender, kind });
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sender = self.sender;
        match self.kind {
            Kind::Missing { number, instead } => {
                write!(
                    f,
                    "message {number} of node {sender} did not come, {instead} came instead"
                )
            }
            Kind::Twice { number, next } => {
                write!(
                    f,
                    "message {number} of node {sender} came again where {next} was due"
                )
            }
            Kind::Late { number, behind } => {
                write!(f, "message {number} of node {sender} came behind {behind}")
            }
            Kind::Damaged {
                number,
                at,
                byte,
                sent,
            } => write!(
                f,
                "message {number} of node {sender} is damaged: byte {at} is {byte:#04x}, {sent:#04x} was sent"
            ),
            Kind::Length { next, bytes, sent } => write!(
                f,
                "{bytes} bytes came where message {next} of node {sender} was due, which has {sent}"
            ),
            Kind::Never { number, messages } => {
                write!(
                    f,
                    "message {number} of node {sender} never came, of {messages} that were sent"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 43;

    fn pattern() -> Pattern {
        Pattern::new(NodeId::new(1).expect("not 0"), 7)
    }

    fn message(number: u64) -> Vec<u8> {
        let mut payload = vec![0; BYTES];
        pattern().fill(number, &mut payload);
        payload
    }

    /// What is made of these messages, of which so many were sent.
    fn judge(numbers: &[u64], messages: u64) -> (Counts, Option<String>) {
        let mut promise = Promise::new(pattern(), BYTES);
        for number in numbers {
            promise.take(&message(*number));
        }
        promise.end(messages);
        (
            promise.counts(),
            promise.broken().map(|breach| breach.to_string()),
        )
    }

    fn counts(delivered: u64, duplicated: u64, reordered: u64) -> Counts {
        Counts {
            delivered,
            duplicated,
            reordered,
            damaged: 0,
        }
    }

    #[test]
    fn every_message_once_in_order_keeps_the_promise() {
        assert_eq!(judge(&[0, 1, 2, 3], 4), (counts(4, 0, 0), None));
        assert_eq!(judge(&[], 0), (counts(0, 0, 0), None));
    }

    #[test]
    fn message_left_out_breaks_it() {
        let said = "message 1 of node 1 did not come, 2 came instead";
        assert_eq!(judge(&[0, 2, 3], 4), (counts(3, 0, 0), Some(said.into())));
    }

    #[test]
    fn last_messages_left_out_break_it() {
        let said = "message 2 of node 1 never came, of 4 that were sent";
        assert_eq!(judge(&[0, 1], 4), (counts(2, 0, 0), Some(said.into())));
    }

    #[test]
    fn message_that_comes_again_breaks_it() {
        let said = "message 1 of node 1 came again where 2 was due";
        assert_eq!(judge(&[0, 1, 1, 2], 3), (counts(3, 1, 0), Some(said.into())));
    }

    #[test]
    fn messages_in_another_order_break_it() {
        let said = "message 1 of node 1 did not come, 2 came instead";
        assert_eq!(judge(&[0, 2, 1, 3], 4), (counts(4, 0, 1), Some(said.into())));
        assert_eq!(
            judge(&[0, 4, 2, 1, 3, 3], 5),
            (
                counts(5, 1, 3),
                Some("message 1 of node 1 did not come, 4 came instead".into())
            )
        );
    }

    #[test]
    fn every_changed_byte_breaks_it() {
        for at in 0..BYTES {
            let mut promise = Promise::new(pattern(), BYTES);
            promise.take(&message(0));
            let mut payload = message(1);
            payload[at] ^= 0x10;
            promise.take(&payload);
            assert_eq!(promise.counts().damaged, 1, "byte {at}");
            assert!(promise.broken().is_some(), "byte {at}");
        }
    }

    #[test]
    fn other_length_breaks_it() {
        for bytes in [0, 7, BYTES - 1, BYTES + 1] {
            let mut promise = Promise::new(pattern(), BYTES);
            let mut payload = vec![0; bytes];
            pattern().fill(0, &mut payload);
            promise.take(&payload);
            let said = promise.broken().expect("it is broken").to_string();
            let expected = format!("{bytes} bytes came where message 0 of node 1 was due, which has {BYTES}");
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn message_of_the_other_node_or_of_another_seed_breaks_it() {
        for other in [
            Pattern::new(NodeId::new(2).expect("not 0"), 7),
            Pattern::new(NodeId::new(1).expect("not 0"), 8),
        ] {
            let mut promise = Promise::new(pattern(), BYTES);
            let mut payload = vec![0; BYTES];
            other.fill(0, &mut payload);
            promise.take(&payload);
            assert_eq!(promise.counts().damaged, 1);
        }
    }

    #[test]
    fn memory_for_what_is_missing_is_bounded() {
        let mut promise = Promise::new(pattern(), BYTES);
        for number in (0..10_000).step_by(2) {
            promise.take(&message(number + 1));
        }
        assert_eq!(promise.missing.len(), MISSING_RUNS_MAX);
    }
}
