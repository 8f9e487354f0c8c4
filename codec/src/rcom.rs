//! `DLM_RCOM`: recovery messages (spec: wire 4).
//!
//! | offset | size | C name | meaning |
//! |---|---|---|---|
//! | 0 | 16 | header | command 2, the union is the lockspace id |
//! | 16 | 4 | `rc_type` | 1 to 8 |
//! | 20 | 4 | `rc_result` | status bits, node id or negative errno, by type |
//! | 24 | 8 | `rc_id` | chosen by the requester, copied into the reply |
//! | 32 | 8 | `rc_seq` | the sender's recovery number |
//! | 40 | 8 | `rc_seq_reply` | in replies: `rc_seq` of the request |
//! | 48 | .. | `rc_buf` | payload by type |

#[cfg(test)]
mod tests;

use core::fmt;

use crate::encode::Writer;
use crate::error::{DecodeError, ErrorKind};
use crate::frame::too_short;
use crate::header::{Header, HeaderUnion};
use crate::ids::{LockspaceId, NodeId};
use crate::name::{NAME_LEN_MAX, ResourceName};
use crate::names::NameBlock;
use crate::parse::{fixed, le32, le64};
use crate::rcom_lock::RcomLock;
use crate::rcom_status::{RcomConfig, STATUS_LEN, Slots};
use crate::version::{Command, Version};
use crate::words::{StatusFlags, named_number};

/// Bytes of a `DLM_RCOM` without its payload.
pub const RCOM_LEN: usize = 48;

/// `rc_result` of a `STATUS_REPLY` from a node that does not have the lockspace (yet): `-ESRCH`.
pub const NOT_READY: i32 = -3;

named_number! {
    /// What a recovery message is for: `rc_type`.
    RcomType: u32 {
        /// Asks how far recovery is.
        Status = 1 "STATUS",
        /// Asks for the names that the receiver masters.
        Names = 2 "NAMES",
        /// Asks the directory node for a resource's new master.
        Lookup = 3 "LOOKUP",
        /// Sends one lock to the new master.
        Lock = 4 "LOCK",
        /// Answers `STATUS`.
        StatusReply = 5 "STATUS_REPLY",
        /// Answers `NAMES`.
        NamesReply = 6 "NAMES_REPLY",
        /// Answers `LOOKUP`.
        LookupReply = 7 "LOOKUP_REPLY",
        /// Answers `LOCK`.
        LockReply = 8 "LOCK_REPLY",
    }
}

/// A `DLM_RCOM` as it stands in its frame. Fields are read when asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rcom<'a> {
    head: &'a [u8; RCOM_LEN],
    payload: &'a [u8],
    version: Version,
    node: NodeId,
}

impl<'a> Rcom<'a> {
    #[inline(always)]
    pub(crate) fn decode(bytes: &'a [u8], version: Version, node: NodeId) -> Result<Self, DecodeError> {
        match fixed::<RCOM_LEN>(bytes) {
            Some((head, payload)) => Ok(Self {
                head,
                payload,
                version,
                node,
            }),
            None => Err(too_short(Command::Rcom, bytes)),
        }
    }

    /// `h_version`.
    #[inline]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// `h_nodeid`, the sender.
    #[inline]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// `h_lockspace`.
    #[inline]
    pub const fn lockspace(&self) -> LockspaceId {
        LockspaceId::new(le32!(self.head, 4))
    }

    /// `rc_type`.
    #[inline]
    pub const fn rcom_type(&self) -> RcomType {
        RcomType::from_wire(le32!(self.head, 16))
    }

    /// `rc_result`: status bits or [`NOT_READY`] in `STATUS_REPLY`, the new master or a negative errno in
    /// `LOOKUP_REPLY`, else 0. Errno here is the sender's own, not the wire's numbering.
    #[inline]
    pub const fn result(&self) -> i32 {
        le32!(self.head, 20).cast_signed()
    }

    /// `rc_id`.
    #[inline]
    pub const fn id(&self) -> u64 {
        le64!(self.head, 24)
    }

    /// `rc_seq`: the sender's recovery number; not a sequence number of `OPTS`.
    #[inline]
    pub const fn seq(&self) -> u64 {
        le64!(self.head, 32)
    }

    /// `rc_seq_reply`: in replies the request's `rc_seq`.
    #[inline]
    pub const fn seq_reply(&self) -> u64 {
        le64!(self.head, 40)
    }

    /// `rc_buf`: the payload, not read yet.
    #[inline]
    pub const fn payload_bytes(&self) -> &'a [u8] {
        self.payload
    }

    /// The payload by the message's type. Bytes behind what the type needs are ignored, as kernels do.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PayloadTooShort`], [`NameLength`](ErrorKind::NameLength),
    /// [`SlotsBeyondPayload`](ErrorKind::SlotsBeyondPayload) or [`NamesOverrun`](ErrorKind::NamesOverrun).
    pub fn payload(&self) -> Result<Payload<'a>, DecodeError> {
        let bytes = self.payload;
        Ok(match self.rcom_type() {
            RcomType::Status => {
                let (head, _) = structure::<STATUS_LEN>(RcomType::Status, bytes)?;
                Payload::Status {
                    flags: StatusFlags::new(le32!(head, 0)),
                }
            }
            RcomType::Names => Payload::Names {
                resume: resume_name(bytes)?,
            },
            RcomType::Lookup => match ResourceName::new(bytes) {
                Ok(name) => Payload::Lookup { name },
                Err(kind) => return Err(DecodeError::new(kind, RCOM_LEN)),
            },
            RcomType::Lock => Payload::Lock(RcomLock::decode(RcomType::Lock, bytes)?),
            RcomType::StatusReply => {
                let (config, slots) = RcomConfig::decode(bytes)?;
                Payload::StatusReply { config, slots }
            }
            RcomType::NamesReply => Payload::NamesReply(NameBlock::decode(bytes)?),
            RcomType::LookupReply => Payload::LookupReply,
            RcomType::LockReply => Payload::LockReply(RcomLock::decode(RcomType::LockReply, bytes)?),
            RcomType::Other(rcom_type) => Payload::Other { rcom_type, bytes },
        })
    }

    /// Reads every field.
    ///
    /// # Errors
    ///
    /// As [`payload`](Self::payload).
    pub fn fields(&self) -> Result<RcomFields<'a>, DecodeError> {
        Ok(RcomFields {
            lockspace: self.lockspace(),
            result: self.result(),
            id: self.id(),
            seq: self.seq(),
            seq_reply: self.seq_reply(),
            payload: self.payload()?,
        })
    }
}

impl fmt::Debug for Rcom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rcom")
            .field("version", &self.version)
            .field("node", &self.node)
            .field("fields", &self.fields())
            .finish()
    }
}

/// The fixed structure at the start of a payload and what follows it.
pub(crate) fn structure<const N: usize>(
    rcom_type: RcomType,
    bytes: &[u8],
) -> Result<(&[u8; N], &[u8]), DecodeError> {
    fixed::<N>(bytes).ok_or_else(|| {
        let kind = ErrorKind::PayloadTooShort {
            rcom_type: rcom_type.wire(),
            length: bytes.len(),
            needed: N,
        };
        DecodeError::new(kind, RCOM_LEN)
    })
}

/// The last name of the previous block, or `None` at the first request.
fn resume_name(bytes: &[u8]) -> Result<Option<ResourceName<'_>>, DecodeError> {
    match bytes.len() {
        0 => Ok(None),
        1..=NAME_LEN_MAX => Ok(ResourceName::new(bytes).ok()),
        length => Err(DecodeError::new(ErrorKind::NameLength { length }, RCOM_LEN)),
    }
}

/// The payload of a recovery message by its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payload<'a> {
    /// `STATUS`.
    Status {
        /// `rs_flags`.
        flags: StatusFlags,
    },
    /// `NAMES`.
    Names {
        /// The last name of the block before, if this is not the first request.
        resume: Option<ResourceName<'a>>,
    },
    /// `LOOKUP`.
    Lookup {
        /// The resource.
        name: ResourceName<'a>,
    },
    /// `LOCK`.
    Lock(RcomLock<'a>),
    /// `STATUS_REPLY`.
    StatusReply {
        /// The sender's configuration of the lockspace.
        config: RcomConfig,
        /// The slots of all members, in replies that carry them.
        slots: Slots<'a>,
    },
    /// `NAMES_REPLY`.
    NamesReply(NameBlock<'a>),
    /// `LOOKUP_REPLY`: the answer is `rc_result`.
    LookupReply,
    /// `LOCK_REPLY`.
    LockReply(RcomLock<'a>),
    /// A type without a meaning.
    Other {
        /// `rc_type`.
        rcom_type: u32,
        /// The payload.
        bytes: &'a [u8],
    },
}

impl Payload<'_> {
    /// The type of the message that carries this payload.
    pub const fn rcom_type(&self) -> RcomType {
        match self {
            Self::Status { .. } => RcomType::Status,
            Self::Names { .. } => RcomType::Names,
            Self::Lookup { .. } => RcomType::Lookup,
            Self::Lock(_) => RcomType::Lock,
            Self::StatusReply { .. } => RcomType::StatusReply,
            Self::NamesReply(_) => RcomType::NamesReply,
            Self::LookupReply => RcomType::LookupReply,
            Self::LockReply(_) => RcomType::LockReply,
            Self::Other { rcom_type, .. } => RcomType::Other(*rcom_type),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Status { .. } => STATUS_LEN,
            Self::Names { resume } => resume.map_or(0, |name| name.bytes().len()),
            Self::Lookup { name } => name.bytes().len(),
            Self::Lock(lock) | Self::LockReply(lock) => lock.encoded_len(),
            Self::StatusReply { slots, .. } => RcomConfig::encoded_len(slots),
            Self::NamesReply(block) => block.encoded_len(),
            Self::LookupReply => 0,
            Self::Other { bytes, .. } => bytes.len(),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Status { flags } => {
                out.put(&flags.bits().to_le_bytes());
                out.zeros(STATUS_LEN.saturating_sub(4));
            }
            Self::Names { resume: None } | Self::LookupReply => {}
            Self::Names { resume: Some(name) } | Self::Lookup { name } => out.put(name.bytes()),
            Self::Lock(lock) | Self::LockReply(lock) => lock.write(out),
            Self::StatusReply { config, slots } => config.write(slots, out),
            Self::NamesReply(block) => block.write(out),
            Self::Other { bytes, .. } => out.put(bytes),
        }
    }
}

/// The fields of a `DLM_RCOM` besides its header's. See [`Rcom`] for what they mean; `rc_type` follows from
/// the payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RcomFields<'a> {
    /// `h_lockspace`.
    pub lockspace: LockspaceId,
    /// `rc_result`.
    pub result: i32,
    /// `rc_id`.
    pub id: u64,
    /// `rc_seq`.
    pub seq: u64,
    /// `rc_seq_reply`.
    pub seq_reply: u64,
    /// `rc_type` and `rc_buf`.
    pub payload: Payload<'a>,
}

impl RcomFields<'_> {
    pub(crate) fn encoded_len(&self) -> usize {
        RCOM_LEN.saturating_add(self.payload.encoded_len())
    }

    pub(crate) fn write(&self, version: Version, node: NodeId, length: u16, mut out: Writer<'_>) {
        let union = HeaderUnion::Lockspace(self.lockspace);
        Header {
            version,
            union,
            node,
            length,
            command: Command::Rcom,
        }
        .write(&mut out);
        out.put(&self.payload.rcom_type().wire().to_le_bytes());
        out.put(&self.result.to_le_bytes());
        out.put(&self.id.to_le_bytes());
        out.put(&self.seq.to_le_bytes());
        out.put(&self.seq_reply.to_le_bytes());
        self.payload.write(&mut out);
        out.finish();
    }
}
