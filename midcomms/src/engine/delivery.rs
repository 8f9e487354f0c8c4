//! What an engine hands to its application.

use dlmwire_codec::{LockspaceId, MSG_LEN, Msg, MsgType, NodeId, RCOM_LEN, Rcom, Seq, Version};

use super::APPLICATION_MSG;

/// A message for the application, borrowed from the bytes that were handed in.
///
/// Numbered ones come in order, each once per conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery<'a> {
    /// The sender.
    pub node: NodeId,
    /// Its number; `None` if it came bare: then it may be missing or come again.
    pub seq: Option<Seq>,
    /// The version that the sender was detected as.
    pub version: Version,
    /// The message.
    pub content: Content<'a>,
    /// The message's bytes, its own header first.
    pub bytes: &'a [u8],
}

/// A delivered message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content<'a> {
    /// `DLM_MSG`.
    Msg(Msg<'a>),
    /// `DLM_RCOM`.
    Rcom(Rcom<'a>),
}

impl<'a> Delivery<'a> {
    /// The payload of an application message between our own nodes, and its group.
    pub fn payload(&self) -> Option<(LockspaceId, &'a [u8])> {
        match &self.content {
            Content::Msg(msg) if msg.msg_type() == MsgType::Other(APPLICATION_MSG) => {
                Some((msg.lockspace(), msg.extra()))
            }
            Content::Msg(_) | Content::Rcom(_) => None,
        }
    }
}

impl Content<'_> {
    /// Bytes of the message, its own header included.
    #[inline]
    pub(super) const fn encoded_len(&self) -> usize {
        match self {
            Self::Msg(msg) => MSG_LEN.saturating_add(msg.extra().len()),
            Self::Rcom(rcom) => RCOM_LEN.saturating_add(rcom.payload_bytes().len()),
        }
    }
}
