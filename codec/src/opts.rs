//! `DLM_OPTS`: the numbered wrapper of 3.2 (spec: wire 5.1).
//!
//! | offset | size | C name | meaning |
//! |---|---|---|---|
//! | 0 | 16 | header | command 3, the union is this frame's number |
//! | 16 | 1 | `o_nextcmd` | copy of the inner message's command: 1, 2 or 5 |
//! | 17 | 1 | `o_pad` | 0 |
//! | 18 | 2 | `o_optlen` | bytes of options |
//! | 20 | 4 | `o_pad2` | 0 |
//! | 24 | `o_optlen` | `o_opts` | options, see [`Options`] |
//! | 24 + `o_optlen` | .. | | the inner message with its own header |

#[cfg(test)]
mod tests;

use crate::encode::{EncodeError, Writer};
use crate::error::{DecodeError, ErrorKind};
use crate::frame::too_short;
use crate::header::{AT_COMMAND, AT_LENGTH, AT_NODE, AT_VERSION, HEADER_LEN, Header, HeaderUnion};
use crate::ids::NodeId;
use crate::msg::{Msg, MsgFields};
use crate::options::Options;
use crate::parse::{fixed, le16, le32, run};
use crate::rcom::{Rcom, RcomFields};
use crate::seq::Seq;
use crate::version::{Command, Version};

/// Bytes of an `OPTS` header; what kernels call `DLM_MIDCOMMS_OPT_LEN`.
pub const OPTS_HEADER_LEN: usize = 24;

const AT_NEXT_COMMAND: usize = 16;
const AT_OPTION_BYTES: usize = 18;

/// `DLM_OPTS`: a number, options, and the message that they are about.
///
/// The number stands even if the rest is unreadable, because a receiver may have to consume it: see
/// [`damage`](crate::damage).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opts<'a> {
    /// `h_version`, 3.2.
    pub version: Version,
    /// `h_nodeid`, the sender.
    pub node: NodeId,
    /// `h_seq`, this frame's number.
    pub seq: Seq,
    /// The options, not read yet; empty where `inner` says that they run behind the frame's end.
    pub options: Options<'a>,
    /// What is wrapped, or why it cannot be read. Offsets in the error count from the start of the frame.
    pub inner: Result<Inner<'a>, DecodeError>,
}

/// What an `OPTS` wraps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inner<'a> {
    /// `DLM_MSG`.
    Msg(Msg<'a>),
    /// `DLM_RCOM`.
    Rcom(Rcom<'a>),
    /// `DLM_FIN`: the sender's last number.
    Fin,
}

impl<'a> Opts<'a> {
    #[inline(always)]
    pub(crate) fn decode(bytes: &'a [u8], version: Version, node: NodeId) -> Result<Self, DecodeError> {
        let Some((head, rest)) = fixed::<OPTS_HEADER_LEN>(bytes) else {
            return Err(too_short(Command::Opts, bytes));
        };
        let seq = Seq::new(le32!(head, 4));
        let option_bytes = le16!(head, 18);
        let Some((options, rest)) = run(rest, usize::from(option_bytes)) else {
            let kind = ErrorKind::OptionsBeyondFrame {
                option_bytes,
                present: rest.len(),
            };
            let inner = Err(DecodeError::new(kind, AT_OPTION_BYTES));
            return Ok(Self {
                version,
                node,
                seq,
                options: Options::NONE,
                inner,
            });
        };
        let base = OPTS_HEADER_LEN.saturating_add(options.len());
        let inner = Inner::decode(head[16], rest, base, version, node);
        Ok(Self {
            version,
            node,
            seq,
            options: Options::from_wire(options),
            inner,
        })
    }

    /// Reads everything that is wrapped, and the options.
    ///
    /// # Errors
    ///
    /// Damage in the options or in the inner message.
    pub fn fields(&self) -> Result<OptsFields<'a>, DecodeError> {
        let inner = match self.inner? {
            Inner::Msg(msg) => InnerFields::Msg(msg.fields().map_err(|error| self.locate(error))?),
            Inner::Rcom(rcom) => InnerFields::Rcom(rcom.fields().map_err(|error| self.locate(error))?),
            Inner::Fin => InnerFields::Fin,
        };
        self.options.check()?;
        Ok(OptsFields {
            seq: self.seq,
            options: self.options,
            inner,
        })
    }

    /// Moves an offset within the inner message to one within the frame.
    #[cold]
    fn locate(&self, error: DecodeError) -> DecodeError {
        error.behind(OPTS_HEADER_LEN.saturating_add(self.options.encoded_len()))
    }
}

impl<'a> Inner<'a> {
    /// Reads the inner message from exactly the bytes that the outer frame has for it, which start at `base`.
    ///
    /// Deviation: kernels check neither the inner command, version and node id nor the inner length against
    /// what is there, and read what follows the frame.
    #[inline(always)]
    fn decode(
        announced: u8,
        bytes: &'a [u8],
        base: usize,
        version: Version,
        node: NodeId,
    ) -> Result<Self, DecodeError> {
        if let Some((head, _)) = fixed::<16>(bytes)
            && head[14] == announced
            && usize::from(le16!(head, 12)) == bytes.len()
            && le32!(head, 0) == version.wire()
            && le32!(head, 8) == node.get()
        {
            // First what there is most of; see Frame::decode.
            let inner = if announced == Command::Msg.wire() {
                Msg::decode(bytes, version, node).map(Self::Msg).ok()
            } else if announced == Command::Rcom.wire() {
                Rcom::decode(bytes, version, node).map(Self::Rcom).ok()
            } else {
                (announced == Command::Fin.wire()).then_some(Self::Fin)
            };
            if let Some(inner) = inner {
                return Ok(inner);
            }
        }
        Err(refuse(announced, bytes, base, version, node))
    }

    /// The command of what is wrapped.
    pub const fn command(&self) -> Command {
        match self {
            Self::Msg(_) => Command::Msg,
            Self::Rcom(_) => Command::Rcom,
            Self::Fin => Command::Fin,
        }
    }
}

/// Names the first thing that is wrong with an inner message, in the order in which kernels check.
#[cold]
fn refuse(announced: u8, bytes: &[u8], base: usize, outer: Version, node: NodeId) -> DecodeError {
    let announced = match Command::from_wire(announced) {
        Some(command @ (Command::Msg | Command::Rcom | Command::Fin)) => command,
        Some(Command::Opts | Command::Ack) | None => {
            return DecodeError::new(ErrorKind::NextCommand { command: announced }, AT_NEXT_COMMAND);
        }
    };
    let present = bytes.len();
    let Some((head, _)) = fixed::<16>(bytes) else {
        return DecodeError::new(ErrorKind::InnerHeaderMissing { present }, base);
    };
    let length = le16!(head, 12);
    let (kind, at) = if head[14] != announced.wire() {
        (
            ErrorKind::InnerCommandDiffers {
                inner: head[14],
                announced,
            },
            AT_COMMAND,
        )
    } else if length < announced.length_min() {
        (
            ErrorKind::InnerTooShort {
                command: announced,
                length,
            },
            AT_LENGTH,
        )
    } else if usize::from(length) > present {
        (ErrorKind::InnerBeyondFrame { length, present }, AT_LENGTH)
    } else if usize::from(length) < present {
        (ErrorKind::InnerShorterThanFrame { length, present }, AT_LENGTH)
    } else if le32!(head, 0) != outer.wire() {
        (
            ErrorKind::InnerVersionDiffers {
                inner: le32!(head, 0),
                outer,
            },
            AT_VERSION,
        )
    } else {
        (
            ErrorKind::InnerNodeDiffers {
                inner: le32!(head, 8),
                outer: node.get(),
            },
            AT_NODE,
        )
    };
    DecodeError::new(kind, base.saturating_add(at))
}

/// The fields of an `OPTS`; lengths and `o_nextcmd` follow from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptsFields<'a> {
    /// `h_seq`, this frame's number.
    pub seq: Seq,
    /// The options; every kernel so far sends none.
    pub options: Options<'a>,
    /// What is wrapped.
    pub inner: InnerFields<'a>,
}

/// The fields of what an `OPTS` wraps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InnerFields<'a> {
    /// `DLM_MSG`.
    Msg(MsgFields<'a>),
    /// `DLM_RCOM`.
    Rcom(RcomFields<'a>),
    /// `DLM_FIN`, a header alone.
    Fin,
}

impl InnerFields<'_> {
    #[inline]
    const fn command(&self) -> Command {
        match self {
            Self::Msg(_) => Command::Msg,
            Self::Rcom(_) => Command::Rcom,
            Self::Fin => Command::Fin,
        }
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        match self {
            Self::Msg(msg) => msg.encoded_len(),
            Self::Rcom(rcom) => rcom.encoded_len(),
            Self::Fin => HEADER_LEN,
        }
    }
}

impl OptsFields<'_> {
    #[inline]
    pub(crate) fn encoded_len(&self) -> usize {
        OPTS_HEADER_LEN
            .saturating_add(self.options.encoded_len())
            .saturating_add(self.inner.encoded_len())
    }

    #[inline]
    pub(crate) fn encode_into(
        &self,
        version: Version,
        node: NodeId,
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let begin = |inner_length, out| self.begin(version, node, inner_length, out);
        match &self.inner {
            InnerFields::Msg(msg) => {
                let (outer, length, out) = begin(msg.encoded_len(), out)?;
                msg.write(version, node, length, out);
                Ok(outer.into())
            }
            InnerFields::Rcom(rcom) => {
                let (outer, length, out) = begin(rcom.encoded_len(), out)?;
                rcom.write(version, node, length, out);
                Ok(outer.into())
            }
            InnerFields::Fin => {
                let (outer, length, mut out) = begin(HEADER_LEN, out)?;
                Header {
                    version,
                    union: HeaderUnion::Unused,
                    node,
                    length,
                    command: Command::Fin,
                }
                .write(&mut out);
                out.finish();
                Ok(outer.into())
            }
        }
    }

    /// Writes all that comes before the inner message; returns the outer and the inner `h_length`, and what
    /// is left to be written.
    #[inline(always)]
    fn begin<'o>(
        &self,
        version: Version,
        node: NodeId,
        inner_length: usize,
        out: &'o mut [u8],
    ) -> Result<(u16, u16, Writer<'o>), EncodeError> {
        let option_bytes = self.options.encoded_len();
        let length = OPTS_HEADER_LEN
            .saturating_add(option_bytes)
            .saturating_add(inner_length);
        let (length, mut out) = Writer::frame(out, length)?;
        // The upper bytes are 0, for both are parts of a length that fits into 16 bits.
        let [low, high, ..] = option_bytes.to_le_bytes();
        let [inner_low, inner_high, ..] = inner_length.to_le_bytes();
        Header {
            version,
            union: HeaderUnion::Seq(self.seq),
            node,
            length,
            command: Command::Opts,
        }
        .write(&mut out);
        *out.fixed() = [self.inner.command().wire(), 0, low, high, 0, 0, 0, 0];
        let inner_length = u16::from_le_bytes([inner_low, inner_high]);
        Ok((length, inner_length, self.options.write(out)))
    }
}
