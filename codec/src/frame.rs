//! One frame, whichever it is: views that borrow, and the fields that they stand for.

use crate::ack::Ack;
use crate::encode::{EncodeError, Writer};
use crate::error::{DecodeError, ErrorKind};
use crate::header::{AT_COMMAND, AT_LENGTH, AT_NODE, AT_VERSION, HEADER_LEN, Header, HeaderUnion};
use crate::ids::NodeId;
use crate::msg::{Msg, MsgFields};
use crate::opts::{Opts, OptsFields};
use crate::parse::{fixed, le32};
use crate::rcom::{Rcom, RcomFields};
use crate::seq::Seq;
use crate::version::{Command, Version};

/// A decoded frame that borrows the bytes it was read from.
///
/// A `FIN` is not among them: it travels only inside `OPTS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// `DLM_MSG`, bare.
    Msg(Msg<'a>),
    /// `DLM_RCOM`, bare.
    Rcom(Rcom<'a>),
    /// `DLM_OPTS` around one message.
    Opts(Opts<'a>),
    /// `DLM_ACK`.
    Ack(Ack),
}

impl<'a> Frame<'a> {
    /// Reads a frame from exactly its bytes (at least a header, as long as `h_length`).
    #[inline(always)]
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((head, _)) = fixed::<16>(bytes) else {
            unreachable!("a raw frame has at least its header");
        };
        let Some(node) = NodeId::new(le32!(head, 8)) else {
            return Err(refuse(head));
        };
        // First what there is most of: two comparisons, where a match on all commands becomes a jump through a
        // table, which is predicted worse.
        if le32!(head, 0) == Version::V3_2.wire() {
            if head[14] == Command::Opts.wire() {
                return Ok(Self::Opts(Opts::decode(bytes, Version::V3_2, node)?));
            }
            if head[14] == Command::Ack.wire() {
                return Ok(Self::Ack(Ack::decode(bytes, Version::V3_2, node)?));
            }
        }
        Self::decode_bare(head, bytes, node)
    }

    /// Reads a frame that exists in both versions.
    #[inline(always)]
    fn decode_bare(head: &[u8; HEADER_LEN], bytes: &'a [u8], node: NodeId) -> Result<Self, DecodeError> {
        let Ok(version) = Version::from_wire(le32!(head, 0)) else {
            return Err(refuse(head));
        };
        if head[14] == Command::Msg.wire() {
            Ok(Self::Msg(Msg::decode(bytes, version, node)?))
        } else if head[14] == Command::Rcom.wire() {
            Ok(Self::Rcom(Rcom::decode(bytes, version, node)?))
        } else {
            Err(refuse(head))
        }
    }

    /// The version in the header.
    #[inline]
    pub const fn version(&self) -> Version {
        match self {
            Self::Msg(msg) => msg.version(),
            Self::Rcom(rcom) => rcom.version(),
            Self::Opts(opts) => opts.version,
            Self::Ack(ack) => ack.version,
        }
    }

    /// The sender in the header.
    #[inline]
    pub const fn node(&self) -> NodeId {
        match self {
            Self::Msg(msg) => msg.node(),
            Self::Rcom(rcom) => rcom.node(),
            Self::Opts(opts) => opts.node,
            Self::Ack(ack) => ack.node,
        }
    }

    /// The command in the header.
    #[inline]
    pub const fn command(&self) -> Command {
        match self {
            Self::Msg(_) => Command::Msg,
            Self::Rcom(_) => Command::Rcom,
            Self::Opts(_) => Command::Opts,
            Self::Ack(_) => Command::Ack,
        }
    }

    /// Reads everything: every field, name, list and option of the frame.
    ///
    /// # Errors
    ///
    /// Damage anywhere in the frame, also what [`Opts::inner`] holds back.
    pub fn fields(&self) -> Result<FrameFields<'a>, DecodeError> {
        let content = match self {
            Self::Msg(msg) => Content::Msg(msg.fields()?),
            Self::Rcom(rcom) => Content::Rcom(rcom.fields()?),
            Self::Opts(opts) => Content::Opts(opts.fields()?),
            Self::Ack(ack) => Content::Ack(ack.seq),
        };
        Ok(FrameFields {
            version: self.version(),
            node: self.node(),
            content,
        })
    }
}

/// Names the first thing in a header because of which its frame cannot be taken.
#[cold]
fn refuse(head: &[u8; HEADER_LEN]) -> DecodeError {
    let version = match Version::from_wire(le32!(head, 0)) {
        Ok(version) => version,
        Err(kind) => return DecodeError::new(kind, AT_VERSION),
    };
    if le32!(head, 8) == 0 {
        return DecodeError::new(ErrorKind::NodeZero, AT_NODE);
    }
    let kind = match (Command::from_wire(head[14]), version) {
        (None, _) => ErrorKind::UnknownCommand { command: head[14] },
        (Some(command), Version::V3_1) => ErrorKind::NotIn3_1 { command },
        (Some(_), Version::V3_2) => ErrorKind::BareFin,
    };
    DecodeError::new(kind, AT_COMMAND)
}

/// Says that a frame is shorter than the fixed part of its command.
#[cold]
pub(crate) fn too_short(command: Command, bytes: &[u8]) -> DecodeError {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    DecodeError::new(ErrorKind::BodyTooShort { command, length }, AT_LENGTH)
}

/// Everything a frame says, as typed fields: what [`Frame::fields`] reads and an encoder writes.
///
/// Encoding writes these fields alone, so that padding and unused bytes come out as 0 whatever was read.
///
/// ```
/// use dlmwire_codec::{Content, FrameFields, InnerFields, NodeId, Options, OptsFields, Seq, Version};
///
/// let fin = FrameFields {
///     version: Version::V3_2,
///     node: NodeId::new(1).unwrap(),
///     content: Content::Opts(OptsFields {
///         seq: Seq::new(42),
///         options: Options::NONE,
///         inner: InnerFields::Fin,
///     }),
/// };
/// let mut out = [0; 64];
/// assert_eq!(fin.encode_into(&mut out), Ok(40));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameFields<'a> {
    /// `h_version`, in `OPTS` of both headers.
    pub version: Version,
    /// `h_nodeid`, the sender, in `OPTS` of both headers.
    pub node: NodeId,
    /// What follows from the command.
    pub content: Content<'a>,
}

/// A frame's content by command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content<'a> {
    /// A bare `DLM_MSG`.
    Msg(MsgFields<'a>),
    /// A bare `DLM_RCOM`.
    Rcom(RcomFields<'a>),
    /// A `DLM_OPTS` and what it wraps.
    Opts(OptsFields<'a>),
    /// A `DLM_ACK`: the next number expected.
    Ack(Seq),
}

impl FrameFields<'_> {
    /// Bytes that [`encode_into`](Self::encode_into) writes.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        match &self.content {
            Content::Msg(msg) => msg.encoded_len(),
            Content::Rcom(rcom) => rcom.encoded_len(),
            Content::Opts(opts) => opts.encoded_len(),
            Content::Ack(_) => HEADER_LEN,
        }
    }

    /// Writes the frame to the start of `out` and returns its length.
    ///
    /// Lengths and `o_nextcmd` follow from the fields. The protocol's limit of 4096 bytes is not enforced
    /// here, that of `h_length` is.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]; nothing has been written then.
    #[inline]
    pub fn encode_into(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let (version, node) = (self.version, self.node);
        match &self.content {
            Content::Opts(opts) => opts.encode_into(version, node, out),
            Content::Ack(seq) => {
                let (length, mut out) = Writer::frame(out, HEADER_LEN)?;
                Header {
                    version,
                    union: HeaderUnion::Seq(*seq),
                    node,
                    length,
                    command: Command::Ack,
                }
                .write(&mut out);
                out.finish();
                Ok(length.into())
            }
            Content::Msg(_) | Content::Rcom(_) => self.encode_bare(out),
        }
    }

    /// Writes what is not of 3.2 alone; kept apart for the reason that [`kind`] gives.
    #[inline(never)]
    fn encode_bare(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let (length, out) = Writer::frame(out, self.encoded_len())?;
        match &self.content {
            Content::Msg(msg) => msg.write(self.version, self.node, length, out),
            Content::Rcom(rcom) => rcom.write(self.version, self.node, length, out),
            Content::Opts(_) | Content::Ack(_) => unreachable!("not a message on its own"),
        }
        Ok(length.into())
    }
}
