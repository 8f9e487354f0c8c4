//! What travels bare to a peer and so stands beside its send queue: the next `ACK`, and `STATUS` and its like.
//!
//! It is written at the next frame boundary, before what is queued. Of `ACK`s only the newest counts.

use dlmwire_codec::{Content, FrameFields, HEADER_LEN, NodeId, Seq, Version};

use super::send_queue::frame_length;

/// Bare frames of one peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Outlet {
    ack: Option<[u8; HEADER_LEN]>,
    ack_sent: usize,
    /// An `ACK` that came to be wanted while the one before it was half-written.
    later: Option<[u8; HEADER_LEN]>,
    frames: Vec<u8>,
    frames_sent: usize,
}

impl Outlet {
    /// An `ACK` is to go out; an older one that has not begun to is replaced.
    pub(super) fn set_ack(&mut self, frame: [u8; HEADER_LEN]) {
        if self.ack_sent > 0 {
            self.later = Some(frame);
        } else {
            self.ack = Some(frame);
        }
    }

    /// No `ACK` is to go out but one that is half-written.
    pub(super) const fn forget_ack(&mut self) {
        self.later = None;
        if self.ack_sent == 0 {
            self.ack = None;
        }
    }

    /// Appends room for a bare frame, or `None` if too many wait.
    pub(super) fn room(&mut self, length: usize, limit_bytes: usize) -> Option<&mut [u8]> {
        let end = self
            .frames
            .len()
            .checked_add(length)
            .filter(|end| *end <= limit_bytes)?;
        let start = self.frames.len();
        self.frames.resize(end, 0);
        self.frames.get_mut(start..)
    }

    /// Takes back the room of a frame that was not written after all.
    pub(super) fn take_back(&mut self, length: usize) {
        self.frames.truncate(self.frames.len().saturating_sub(length));
    }

    /// Bytes of bare frames that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.frames.len().saturating_sub(self.frames_sent)
    }

    pub(super) const fn has_ack(&self) -> bool {
        self.ack.is_some()
    }

    pub(super) const fn wants_to_write(&self) -> bool {
        self.ack.is_some() || !self.frames.is_empty()
    }

    /// Whether a bare frame is half-written, so that nothing else may come before its rest.
    pub(super) const fn is_cut(&self) -> bool {
        self.ack_sent > 0 || self.frames_sent > 0
    }

    pub(super) fn ack_bytes(&self) -> &[u8] {
        match &self.ack {
            // Half-written frames go first; an ACK that came to be wanted meanwhile waits for them.
            Some(frame) if self.ack_sent > 0 || self.frames_sent == 0 => {
                frame.get(self.ack_sent..).unwrap_or_default()
            }
            Some(_) | None => &[],
        }
    }

    pub(super) fn frame_bytes(&self) -> &[u8] {
        self.frames.get(self.frames_sent..).unwrap_or_default()
    }

    /// The link took so much of the `ACK`; whether it is whole now.
    pub(super) fn advance_ack(&mut self, taken: usize) -> bool {
        self.ack_sent = self.ack_sent.saturating_add(taken);
        if self.ack_sent < HEADER_LEN {
            return false;
        }
        self.ack = self.later.take();
        self.ack_sent = 0;
        true
    }

    pub(super) fn advance_frames(&mut self, taken: usize) {
        self.frames_sent = self.frames_sent.saturating_add(taken);
        if self.frames_sent >= self.frames.len() {
            // Bare frames are few once a conversation has begun: an idle peer keeps no memory for them.
            self.frames = Vec::new();
            self.frames_sent = 0;
        }
    }

    /// The link is gone: what it took whole is not written again, a half-written frame is, from its start.
    pub(super) fn begin_anew(&mut self) {
        if self.ack_sent > 0 {
            self.ack = self.later.take().or(self.ack);
            self.ack_sent = 0;
        }
        let mut whole = 0;
        while whole < self.frames_sent {
            let end = frame_length(&self.frames, whole).saturating_add(whole);
            if end > self.frames_sent {
                break;
            }
            whole = end;
        }
        self.frames.drain(..whole.min(self.frames.len()));
        self.frames_sent = 0;
    }

    /// The link that it is written to is left: the unwritten rest of a half-written frame, which that link still
    /// has to get.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        if self.ack_sent > 0 {
            rest.extend_from_slice(self.ack_bytes());
            self.ack = self.later.take();
            self.ack_sent = 0;
        }
        let mut end = 0;
        while end < self.frames_sent {
            end = frame_length(&self.frames, end).saturating_add(end);
        }
        rest.extend_from_slice(self.frames.get(self.frames_sent..end).unwrap_or_default());
        self.frames.drain(..end.min(self.frames.len()));
        self.frames_sent = 0;
        rest
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// An `ACK` of everything before `expected`.
pub(super) fn ack_frame(node: NodeId, expected: Seq) -> [u8; HEADER_LEN] {
    let mut frame = [0; HEADER_LEN];
    let fields = FrameFields {
        version: Version::V3_2,
        node,
        content: Content::Ack(expected),
    };
    match fields.encode_into(&mut frame) {
        Ok(_) => frame,
        Err(error) => unreachable!("an ACK is a header: {error}"),
    }
}
