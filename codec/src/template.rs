//! Messages of which most is known before: encoded once, filled in for each.

use crate::encode::{EncodeError, Writer};
use crate::frame::{Content, FrameFields};
use crate::header::HEADER_LEN;
use crate::ids::{LockspaceId, NodeId};
use crate::msg::{MSG_LEN, MsgFields, Tail};
use crate::options::Options;
use crate::opts::{InnerFields, OPTS_HEADER_LEN, OptsFields};
use crate::seq::Seq;
use crate::version::Version;

/// Bytes before the tail of a wrapped message.
const WRAPPED_LEN: usize = OPTS_HEADER_LEN + MSG_LEN;

/// A `DLM_MSG` that is sent again and again with another number, lockspace, addressee and tail (spec: wire 3, 5.1).
///
/// It writes what [`FrameFields::encode_into`] writes of the same fields, for the price of a copy.
///
/// ```
/// use dlmwire_codec::{LockspaceId, MsgFields, MsgTemplate, MsgType, NodeId, Seq, Version};
///
/// let lockspace = LockspaceId::new(7);
/// let node = NodeId::new(1).unwrap();
/// let template = MsgTemplate::new(Version::V3_2, node, MsgFields::new(lockspace, MsgType::Other(99)));
/// let mut out = [0; 128];
/// assert_eq!(template.encode_wrapped(Seq::new(42), lockspace, 2, b"tail", &mut out), Ok(116));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MsgTemplate {
    wrapped: [u8; WRAPPED_LEN],
}

impl MsgTemplate {
    /// A template of everything in `fields` but `lockspace`, `nodeid` and `tail`.
    pub fn new(version: Version, node: NodeId, fields: MsgFields<'_>) -> Self {
        let tail = Tail::NONE;
        let frame = FrameFields {
            version,
            node,
            content: Content::Opts(OptsFields {
                seq: Seq::new(0),
                options: Options::NONE,
                inner: InnerFields::Msg(MsgFields { tail, ..fields }),
            }),
        };
        let mut wrapped = [0; WRAPPED_LEN];
        match frame.encode_into(&mut wrapped) {
            Ok(_) => Self { wrapped },
            Err(_) => unreachable!("a message without a tail has its fixed length"),
        }
    }

    /// Bytes that [`encode_wrapped`](Self::encode_wrapped) writes.
    #[inline]
    pub const fn wrapped_len(tail: &[u8]) -> usize {
        WRAPPED_LEN.saturating_add(tail.len())
    }

    /// Bytes that [`encode_bare`](Self::encode_bare) writes.
    #[inline]
    pub const fn bare_len(tail: &[u8]) -> usize {
        MSG_LEN.saturating_add(tail.len())
    }

    /// Writes the message in an `OPTS` to the start of `out` and returns its length; `nodeid` is `m_nodeid`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]; nothing has been written then.
    #[inline]
    pub fn encode_wrapped(
        &self,
        seq: Seq,
        lockspace: LockspaceId,
        nodeid: u32,
        tail: &[u8],
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let (length, mut out) = Writer::frame(out, Self::wrapped_len(tail))?;
        let head: &mut [u8; WRAPPED_LEN] = out.fixed();
        *head = self.wrapped;
        head[4..8].copy_from_slice(&seq.get().to_le_bytes());
        head[12..14].copy_from_slice(&length.to_le_bytes());
        let Some(msg) = head.last_chunk_mut() else {
            unreachable!("the head ends in the message's");
        };
        // The upper bytes are 0, for it is part of a length that fits into 16 bits.
        let [low, high, ..] = Self::bare_len(tail).to_le_bytes();
        fill_in(msg, [low, high], lockspace, nodeid);
        out.put(tail);
        out.finish();
        Ok(length.into())
    }

    /// Writes the message on its own to the start of `out` and returns its length; `nodeid` is `m_nodeid`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]; nothing has been written then.
    #[inline]
    pub fn encode_bare(
        &self,
        lockspace: LockspaceId,
        nodeid: u32,
        tail: &[u8],
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let (length, mut out) = Writer::frame(out, Self::bare_len(tail))?;
        let msg: &mut [u8; MSG_LEN] = out.fixed();
        msg.copy_from_slice(&self.wrapped[OPTS_HEADER_LEN..]);
        fill_in(msg, length.to_le_bytes(), lockspace, nodeid);
        out.put(tail);
        out.finish();
        Ok(length.into())
    }
}

/// What a message has of its own, in the fixed part of a `DLM_MSG`.
#[inline(always)]
fn fill_in(msg: &mut [u8; MSG_LEN], length: [u8; 2], lockspace: LockspaceId, nodeid: u32) {
    msg[4..8].copy_from_slice(&lockspace.get().to_le_bytes());
    msg[12..14].copy_from_slice(&length);
    msg[AT_NODEID..AT_NODEID + 4].copy_from_slice(&nodeid.to_le_bytes());
}

/// Where `m_nodeid` stands, behind `m_type`.
const AT_NODEID: usize = HEADER_LEN + 4;

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::msg::MsgType;
    use crate::testkit::{node, written};
    use crate::words::{LockStatus, Mode};

    /// A message in which no field of the template is what it would be anyhow.
    fn fields(tail: &[u8]) -> MsgFields<'_> {
        MsgFields {
            nodeid: 0x0102_0304,
            pid: 5,
            hash: 6,
            status: LockStatus::Granted,
            rqmode: Mode::Ex,
            tail: Tail::Opaque(tail),
            ..MsgFields::new(LockspaceId::new(0x0506_0708), MsgType::Other(9))
        }
    }

    fn template() -> MsgTemplate {
        let other = MsgFields {
            lockspace: LockspaceId::new(1),
            nodeid: 77,
            ..fields(b"another tail")
        };
        MsgTemplate::new(Version::V3_2, node(3), other)
    }

    #[test]
    fn template_writes_what_the_fields_say() {
        for tail in [vec![], vec![7; 1], vec![7; 3984], vec![7; 65_535 - WRAPPED_LEN]] {
            let msg = fields(&tail);
            let frame = |content| FrameFields {
                version: Version::V3_2,
                node: node(3),
                content,
            };
            let mut out = vec![0xaa; MsgTemplate::wrapped_len(&tail)];
            let seq = Seq::new(0x1112_1314);
            let length = template().encode_wrapped(seq, msg.lockspace, msg.nodeid, &tail, &mut out);
            assert_eq!(length, Ok(out.len()));
            let opts = OptsFields {
                seq,
                options: Options::NONE,
                inner: InnerFields::Msg(msg),
            };
            assert!(out == written(&frame(Content::Opts(opts))));

            let mut out = vec![0xaa; MsgTemplate::bare_len(&tail)];
            let length = template().encode_bare(msg.lockspace, msg.nodeid, &tail, &mut out);
            assert_eq!(length, Ok(out.len()));
            assert!(out == written(&frame(Content::Msg(msg))));
        }
    }

    #[test]
    fn message_without_room_or_too_long_is_not_written_at_all() {
        let lockspace = LockspaceId::new(1);
        let mut out = vec![0xaa; 115];
        let wrapped = template().encode_wrapped(Seq::new(1), lockspace, 2, b"tail", &mut out);
        assert_eq!(
            wrapped,
            Err(EncodeError::NoRoom {
                needed: 116,
                room: 115
            })
        );
        let bare = template().encode_bare(lockspace, 2, b"tail", &mut out[..91]);
        assert_eq!(bare, Err(EncodeError::NoRoom { needed: 92, room: 91 }));
        let tail = vec![7; 65_536 - WRAPPED_LEN];
        let wrapped = template().encode_wrapped(Seq::new(1), lockspace, 2, &tail, &mut out);
        assert_eq!(wrapped, Err(EncodeError::TooLong { length: 65_536 }));
        assert!(out.iter().all(|byte| *byte == 0xaa));
    }
}
