//! Connections between the two nodes: bytes in flight, ends of streams, losses.
//!
//! A cut is seen by each end on its own: until an end notices, it can still read what had arrived, and what it
//! writes goes nowhere. So every prefix of what was in flight can be the last that a node saw, and bytes of an old
//! connection can come after a newer one is up.

/// One end of a connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct End {
    /// The node's side was told that the connection is there.
    pub(crate) up: bool,
    /// The node's side is done with it.
    pub(crate) gone: bool,
    /// The node wants to close in order, behind what it still has to write.
    pub(crate) closing: bool,
    /// The node closed its direction.
    pub(crate) eof_sent: bool,
    /// The node read the end of the other direction.
    pub(crate) eof_seen: bool,
    /// What can still be read here.
    pub(crate) inbox: Vec<u8>,
    /// What the node wrote of a frame that it has not written to its end.
    pub(crate) half_written: Vec<u8>,
}

impl End {
    /// Whether the node's side reads and writes here.
    pub(crate) const fn is_open(&self) -> bool {
        self.up && !self.gone
    }
}

/// A connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Connection {
    /// Its name at both nodes, never used again.
    pub(crate) id: u64,
    /// The node that made it.
    pub(crate) dialer: usize,
    /// Nothing gets through any more.
    pub(crate) cut: bool,
    /// Its ends, by node.
    pub(crate) ends: [End; 2],
}

impl Connection {
    pub(crate) fn new(id: u64, dialer: usize) -> Self {
        Self {
            id,
            dialer,
            cut: false,
            ends: [End::default(), End::default()],
        }
    }

    /// Whether both sides are done with it.
    pub(crate) const fn is_over(&self) -> bool {
        self.ends[0].gone && self.ends[1].gone
    }

    /// What `node` writes; lost if nothing gets through.
    pub(crate) fn write(&mut self, node: usize, bytes: &[u8]) {
        let sender = &mut self.ends[node];
        let writable = sender.is_open() && !sender.eof_sent;
        sender.half_written.extend_from_slice(bytes);
        while let Some(length) = frame_length(&sender.half_written) {
            sender.half_written.drain(..length);
        }
        let reader = &mut self.ends[1 - node];
        if writable && !self.cut && !reader.gone {
            reader.inbox.extend_from_slice(bytes);
        }
    }

    /// Whether a whole frame can be read at `node`'s end.
    pub(crate) fn is_readable(&self, node: usize) -> bool {
        let end = &self.ends[node];
        end.is_open() && !end.eof_seen && frame_length(&end.inbox).is_some()
    }

    /// Takes a frame that can be read at `node`'s end.
    pub(crate) fn read(&mut self, node: usize) -> Option<Vec<u8>> {
        let inbox = &mut self.ends[node].inbox;
        let length = frame_length(inbox)?;
        let rest = inbox.split_off(length);
        Some(std::mem::replace(inbox, rest))
    }

    /// Whether the end of the stream is the next thing to read at `node`'s end.
    pub(crate) fn is_at_eof(&self, node: usize) -> bool {
        let end = &self.ends[node];
        let other = &self.ends[1 - node];
        end.is_open() && !end.eof_seen && !self.cut && other.eof_sent && frame_length(&end.inbox).is_none()
    }
}

/// The length of the first frame if it is there as a whole.
pub(crate) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_le_bytes([*bytes.get(12)?, *bytes.get(13)?]));
    (bytes.len() >= length).then_some(length)
}

/// How many whole frames lie at the front.
pub(crate) fn frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(length) = frame_length(bytes) {
        bytes = &bytes[length..];
        count += 1;
    }
    count
}
