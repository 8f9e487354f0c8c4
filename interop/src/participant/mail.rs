//! Messages on their way out.

use dlmwire_codec::{Content, Frame, FrameFields, Limits, NodeId, RcomFields, Split, Version, split};
use dlmwire_midcomms::engine::Message;

/// The longest message in bytes, so that it still fits into `OPTS` (spec: wire 6).
const MESSAGE_BYTES_MAX: usize = 4072;

/// A message to another node, for the engine to number and send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    to: NodeId,
    /// As a bare frame, which owns what the message borrows.
    frame: Vec<u8>,
    false_sender: bool,
}

impl Mail {
    /// `None` for a message that is longer than a frame may be: nobody could read it.
    pub(super) fn new(from: NodeId, to: NodeId, message: &Message<'_>) -> Option<Self> {
        let content = match *message {
            Message::Msg(fields) => Content::Msg(fields),
            Message::Rcom(fields) => Content::Rcom(fields),
        };
        let fields = FrameFields {
            version: Version::V3_2,
            node: from,
            content,
        };
        let length = fields.encoded_len();
        if length > MESSAGE_BYTES_MAX {
            return None;
        }
        let mut frame = vec![0; length];
        fields.encode_into(&mut frame).ok()?;
        Some(Self {
            to,
            frame,
            false_sender: false,
        })
    }

    /// An answer that names a sender that we are not.
    pub(super) fn lie(from: NodeId, to: NodeId, message: RcomFields<'_>) -> Option<Self> {
        let mail = Self::new(from, to, &Message::Rcom(message))?;
        Some(Self {
            false_sender: true,
            ..mail
        })
    }

    /// Where it goes.
    pub const fn to(&self) -> NodeId {
        self.to
    }

    /// As a bare frame of ours.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Whether the frame names a sender that we are not: no engine sends it, it has to go past it as it is.
    pub const fn has_false_sender(&self) -> bool {
        self.false_sender
    }

    /// What is to be sent.
    pub fn message(&self) -> Message<'_> {
        let read = match split(&self.frame, Limits::KERNEL) {
            Split::Frame { frame, .. } => frame.decode(),
            Split::NeedMore { .. } | Split::Lost(_) => unreachable!("we have written it"),
        };
        let message = match read {
            Ok(Frame::Msg(msg)) => msg.fields().map(Message::Msg),
            Ok(Frame::Rcom(rcom)) => rcom.fields().map(Message::Rcom),
            Ok(Frame::Opts(_) | Frame::Ack(_)) => unreachable!("only messages are written"),
            Err(error) => Err(error),
        };
        message.unwrap_or_else(|error| unreachable!("we have written it: {error}"))
    }
}
