//! What is on its way to one link.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dlmwire_codec::{Command, HEADER_LEN, Limits, NodeId, Split, split};
use dlmwire_transport::Link;

/// A link's own transport link and what is on its way to it, shared by link and transport.
#[derive(Debug)]
pub(super) struct Wire<L>(Arc<Mutex<WireState<L>>>);

impl<L> Clone for Wire<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
pub(super) struct WireState<L> {
    /// `None` once it was cut, closed or lost.
    pub(super) link: Option<L>,
    pub(super) node: NodeId,
    /// The beginning of a frame that the node has not given whole.
    pub(super) begun: Vec<u8>,
    /// Whole frames to be written, and how much of them is.
    pub(super) out: Vec<u8>,
    written: usize,
    /// It is to be closed behind the node's back: nothing more is taken, and what the peer has still sent is read.
    pub(super) closing: bool,
    /// Our direction is closed.
    closed: bool,
    /// Records carry whole frames, and are written one frame at a time.
    by_frame: bool,
}

impl<L> Wire<L> {
    /// The beginning of a link.
    pub(super) fn new(link: L, node: NodeId, by_frame: bool) -> Self {
        Self(Arc::new(Mutex::new(WireState {
            link: Some(link),
            node,
            begun: Vec::new(),
            out: Vec::new(),
            written: 0,
            closing: false,
            closed: false,
            by_frame,
        })))
    }

    /// Whether the link is still somebody's.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WireState<L>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Link> WireState<L> {
    /// Moves whole frames to what is written, without acknowledgements if those are withheld.
    pub(super) fn take_whole_frames(&mut self, withhold_acks: bool) {
        let mut rest = self.begun.as_slice();
        loop {
            match split(rest, Limits::KERNEL) {
                Split::Frame { frame, rest: behind } => {
                    if !(withhold_acks && is_ack(frame.bytes())) {
                        self.out.extend_from_slice(frame.bytes());
                    }
                    rest = behind;
                }
                Split::NeedMore { .. } => break,
                // Not the node's: it writes frames.
                Split::Lost(_) => {
                    self.out.extend_from_slice(rest);
                    rest = &[];
                    break;
                }
            }
        }
        let used = self.begun.len() - rest.len();
        self.begun.drain(..used);
    }

    /// Writes what there is room for, and closes our direction behind it if that is asked for. A link that takes
    /// nothing any more is read until it is at its end.
    pub(super) fn flush(&mut self) {
        while let Some(link) = &mut self.link
            && self.written < self.out.len()
        {
            let rest = self.out.get(self.written..).unwrap_or_default();
            let piece = if self.by_frame { first_frame(rest) } else { rest };
            match link.send(&[IoSlice::new(piece)]) {
                Ok(taken) if taken < piece.len() => {
                    self.written += taken;
                    return;
                }
                Ok(taken) => self.written += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closing = true;
                    break;
                }
            }
        }
        self.out.clear();
        self.written = 0;
        if self.closing && !self.closed {
            self.closed = true;
            // What cannot be closed is at its end, which shows when it is read.
            let _ended = self.link.as_mut().map(Link::close_send);
        }
    }
}

fn first_frame(bytes: &[u8]) -> &[u8] {
    match split(bytes, Limits::KERNEL) {
        Split::Frame { rest, .. } => bytes.get(..bytes.len() - rest.len()).unwrap_or(bytes),
        Split::NeedMore { .. } | Split::Lost(_) => bytes,
    }
}

/// `h_cmd` says it.
fn is_ack(frame: &[u8]) -> bool {
    frame
        .get(HEADER_LEN - 2)
        .is_some_and(|byte| *byte == Command::Ack.wire())
}
