//! `DLM_MSG`: lock traffic (spec: wire 3).
//!
//! | offset | size | C name | | offset | size | C name |
//! |---|---|---|---|---|---|---|
//! | 0 | 16 | header | | 52 | 4 | `m_flags` |
//! | 16 | 4 | `m_type` | | 56 | 4 | `m_lvbseq` |
//! | 20 | 4 | `m_nodeid` | | 60 | 4 | `m_hash` |
//! | 24 | 4 | `m_pid` | | 64 | 4 | `m_status` |
//! | 28 | 4 | `m_lkid` | | 68 | 4 | `m_grmode` |
//! | 32 | 4 | `m_remid` | | 72 | 4 | `m_rqmode` |
//! | 36 | 4 | `m_parent_lkid` | | 76 | 4 | `m_bastmode` |
//! | 40 | 4 | `m_parent_remid` | | 80 | 4 | `m_asts` |
//! | 44 | 4 | `m_exflags` | | 84 | 4 | `m_result` |
//! | 48 | 4 | `m_sbflags` | | 88 | .. | `m_extra`: name, lock value block or nothing |

#[cfg(test)]
mod tests;

use core::fmt;

use crate::encode::Writer;
use crate::error::DecodeError;
use crate::frame::too_short;
use crate::header::{HEADER_LEN, Header, HeaderUnion};
use crate::ids::{LockspaceId, NodeId};
use crate::name::ResourceName;
use crate::parse::{fixed, le32};
use crate::version::{Command, Version};
use crate::words::{Asts, ExFlags, LockStatus, Mode, MsgFlags, MsgResult, SbFlags, named_number};

/// Bytes of a `DLM_MSG` without its tail.
pub const MSG_LEN: usize = 88;

named_number! {
    /// What a lock message is for: `m_type`.
    MsgType: u32 {
        /// Holder asks the master for a lock.
        Request = 1 "REQUEST",
        /// Holder asks the master for another mode.
        Convert = 2 "CONVERT",
        /// Holder gives a lock back to the master.
        Unlock = 3 "UNLOCK",
        /// Holder takes a request or a conversion back.
        Cancel = 4 "CANCEL",
        /// Master answers `REQUEST` (or `LOOKUP`, being directory as well).
        RequestReply = 5 "REQUEST_REPLY",
        /// Master answers `CONVERT`, unless it was to a lower mode.
        ConvertReply = 6 "CONVERT_REPLY",
        /// Master answers `UNLOCK`.
        UnlockReply = 7 "UNLOCK_REPLY",
        /// Master answers `CANCEL`.
        CancelReply = 8 "CANCEL_REPLY",
        /// Master grants what was queued.
        Grant = 9 "GRANT",
        /// Master tells a holder that it blocks another.
        Bast = 10 "BAST",
        /// Holder asks the directory node who the master is.
        Lookup = 11 "LOOKUP",
        /// Master tells the directory node that it forgets a resource.
        Remove = 12 "REMOVE",
        /// Directory node answers `LOOKUP`.
        LookupReply = 13 "LOOKUP_REPLY",
        /// Drop the orphan locks of a process.
        Purge = 14 "PURGE",
    }
}

impl MsgType {
    /// What `m_extra` holds in messages of this type.
    pub const fn tail(self) -> TailKind {
        match self {
            Self::Request | Self::Lookup | Self::Remove => TailKind::Name,
            Self::Convert | Self::Unlock | Self::RequestReply | Self::ConvertReply | Self::Grant => {
                TailKind::Lvb
            }
            Self::Cancel
            | Self::UnlockReply
            | Self::CancelReply
            | Self::Bast
            | Self::LookupReply
            | Self::Purge
            | Self::Other(_) => TailKind::Opaque,
        }
    }
}

/// What the tail of a lock message is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TailKind {
    /// A resource name, 1 to 64 bytes.
    Name,
    /// A lock value block of the lockspace's size, or nothing.
    Lvb,
    /// No kernel looks at it; normally empty.
    Opaque,
}

/// A `DLM_MSG` as it stands in its frame. Fields are read when asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Msg<'a> {
    head: &'a [u8; MSG_LEN],
    extra: &'a [u8],
    version: Version,
    node: NodeId,
}

/// Declares an accessor for the four bytes at an offset.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident -> u32, $at:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub const fn $name(&self) -> u32 {
            le32!(self.head, $at)
        }
    };
    ($(#[$doc:meta])* $name:ident -> $type:ty, $make:path, $at:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub const fn $name(&self) -> $type {
            $make(le32!(self.head, $at))
        }
    };
    ($(#[$doc:meta])* $name:ident -> $type:ty, signed $make:path, $at:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub const fn $name(&self) -> $type {
            $make(le32!(self.head, $at).cast_signed())
        }
    };
}

impl<'a> Msg<'a> {
    #[inline(always)]
    pub(crate) fn decode(bytes: &'a [u8], version: Version, node: NodeId) -> Result<Self, DecodeError> {
        match fixed::<MSG_LEN>(bytes) {
            Some((head, extra)) => Ok(Self {
                head,
                extra,
                version,
                node,
            }),
            None => Err(too_short(Command::Msg, bytes)),
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

    word!(/// `h_lockspace`.
        lockspace -> LockspaceId, LockspaceId::new, 4);
    word!(/// `m_type`.
        msg_type -> MsgType, MsgType::from_wire, 16);
    word!(/// `m_nodeid`: the master as the sender sees it, `0xffffffff` if unknown; `LOOKUP_REPLY`: the answer;
        /// `PURGE`: the target.
        nodeid -> u32, 20);
    word!(/// `m_pid`: process that owns the lock, on the holder's node.
        pid -> u32, 24);
    word!(/// `m_lkid`: lock id at the sender.
        lkid -> u32, 28);
    word!(/// `m_remid`: lock id at the receiver, 0 if unknown.
        remid -> u32, 32);
    word!(/// `m_parent_lkid`: always 0.
        parent_lkid -> u32, 36);
    word!(/// `m_parent_remid`: always 0.
        parent_remid -> u32, 40);
    word!(/// `m_exflags`.
        exflags -> ExFlags, ExFlags::new, 44);
    word!(/// `m_sbflags`.
        sbflags -> SbFlags, SbFlags::new, 48);
    word!(/// `m_flags`.
        flags -> MsgFlags, MsgFlags::new, 52);
    word!(/// `m_lvbseq`: counts changes of the lock value block.
        lvbseq -> u32, 56);
    word!(/// `m_hash`: [`resource_hash`](crate::resource_hash) of the name, where the sender knows it.
        hash -> u32, 60);
    word!(/// `m_status`: the sender's queue; nobody acts on it.
        status -> LockStatus, signed LockStatus::from_wire, 64);
    word!(/// `m_grmode`: granted mode.
        grmode -> Mode, signed Mode::from_wire, 68);
    word!(/// `m_rqmode`: requested mode.
        rqmode -> Mode, signed Mode::from_wire, 72);
    word!(/// `m_bastmode`: mode that somebody else wants.
        bastmode -> Mode, signed Mode::from_wire, 76);
    word!(/// `m_asts`: callbacks wanted.
        asts -> Asts, Asts::new, 80);
    word!(/// `m_result`.
        result -> MsgResult, signed MsgResult::from_wire, 84);

    /// `m_extra`: the tail, up to 65447 bytes.
    #[inline]
    pub const fn extra(&self) -> &'a [u8] {
        self.extra
    }

    /// The tail by the message's type.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NameLength`](crate::ErrorKind::NameLength) where a name of 1 to 64 bytes has to stand.
    pub fn tail(&self) -> Result<Tail<'a>, DecodeError> {
        Ok(match self.msg_type().tail() {
            TailKind::Name => match ResourceName::new(self.extra) {
                Ok(name) => Tail::Name(name),
                Err(kind) => return Err(DecodeError::new(kind, MSG_LEN)),
            },
            TailKind::Lvb => Tail::Lvb(self.extra),
            TailKind::Opaque => Tail::Opaque(self.extra),
        })
    }

    /// Reads every field.
    ///
    /// # Errors
    ///
    /// As [`tail`](Self::tail).
    #[inline]
    pub fn fields(&self) -> Result<MsgFields<'a>, DecodeError> {
        Ok(MsgFields {
            lockspace: self.lockspace(),
            msg_type: self.msg_type(),
            nodeid: self.nodeid(),
            pid: self.pid(),
            lkid: self.lkid(),
            remid: self.remid(),
            parent_lkid: self.parent_lkid(),
            parent_remid: self.parent_remid(),
            exflags: self.exflags(),
            sbflags: self.sbflags(),
            flags: self.flags(),
            lvbseq: self.lvbseq(),
            hash: self.hash(),
            status: self.status(),
            grmode: self.grmode(),
            rqmode: self.rqmode(),
            bastmode: self.bastmode(),
            asts: self.asts(),
            result: self.result(),
            tail: self.tail()?,
        })
    }
}

impl fmt::Debug for Msg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Msg")
            .field("version", &self.version)
            .field("node", &self.node)
            .field("fields", &self.fields())
            .finish()
    }
}

/// The tail of a lock message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tail<'a> {
    /// A resource name.
    Name(ResourceName<'a>),
    /// A lock value block; empty where the sender's lock has none.
    Lvb(&'a [u8]),
    /// Bytes without a meaning.
    Opaque(&'a [u8]),
}

impl<'a> Tail<'a> {
    /// No tail.
    pub const NONE: Self = Self::Opaque(&[]);

    /// The tail as it stands on the wire.
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Name(name) => name.bytes(),
            Self::Lvb(bytes) | Self::Opaque(bytes) => bytes,
        }
    }
}

/// The fields of a `DLM_MSG` besides its header's. See [`Msg`] for what they mean.
///
/// The tail should be what [`MsgType::tail`] says; it is written as it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MsgFields<'a> {
    /// `h_lockspace`.
    pub lockspace: LockspaceId,
    /// `m_type`.
    pub msg_type: MsgType,
    /// `m_nodeid`.
    pub nodeid: u32,
    /// `m_pid`.
    pub pid: u32,
    /// `m_lkid`.
    pub lkid: u32,
    /// `m_remid`.
    pub remid: u32,
    /// `m_parent_lkid`.
    pub parent_lkid: u32,
    /// `m_parent_remid`.
    pub parent_remid: u32,
    /// `m_exflags`.
    pub exflags: ExFlags,
    /// `m_sbflags`.
    pub sbflags: SbFlags,
    /// `m_flags`.
    pub flags: MsgFlags,
    /// `m_lvbseq`.
    pub lvbseq: u32,
    /// `m_hash`.
    pub hash: u32,
    /// `m_status`.
    pub status: LockStatus,
    /// `m_grmode`.
    pub grmode: Mode,
    /// `m_rqmode`.
    pub rqmode: Mode,
    /// `m_bastmode`.
    pub bastmode: Mode,
    /// `m_asts`.
    pub asts: Asts,
    /// `m_result`.
    pub result: MsgResult,
    /// `m_extra`.
    pub tail: Tail<'a>,
}

impl<'a> MsgFields<'a> {
    /// A message of this type with everything else 0, as kernels start one, and no tail.
    pub const fn new(lockspace: LockspaceId, msg_type: MsgType) -> Self {
        MsgFields {
            lockspace,
            msg_type,
            nodeid: 0,
            pid: 0,
            lkid: 0,
            remid: 0,
            parent_lkid: 0,
            parent_remid: 0,
            exflags: ExFlags::new(0),
            sbflags: SbFlags::new(0),
            flags: MsgFlags::new(0),
            lvbseq: 0,
            hash: 0,
            status: LockStatus::None,
            grmode: Mode::Nl,
            rqmode: Mode::Nl,
            bastmode: Mode::Nl,
            asts: Asts::new(0),
            result: MsgResult::Success,
            tail: Tail::NONE,
        }
    }

    #[inline]
    pub(crate) const fn encoded_len(&self) -> usize {
        MSG_LEN.saturating_add(self.tail.bytes().len())
    }

    #[inline(always)]
    pub(crate) fn write(&self, version: Version, node: NodeId, length: u16, mut out: Writer<'_>) {
        let union = HeaderUnion::Lockspace(self.lockspace);
        Header {
            version,
            union,
            node,
            length,
            command: Command::Msg,
        }
        .write(&mut out);
        let words = [
            self.msg_type.wire(),
            self.nodeid,
            self.pid,
            self.lkid,
            self.remid,
            self.parent_lkid,
            self.parent_remid,
            self.exflags.bits(),
            self.sbflags.bits(),
            self.flags.bits(),
            self.lvbseq,
            self.hash,
            self.status.wire().cast_unsigned(),
            self.grmode.wire().cast_unsigned(),
            self.rqmode.wire().cast_unsigned(),
            self.bastmode.wire().cast_unsigned(),
            self.asts.bits(),
            self.result.wire().cast_unsigned(),
        ];
        let body: &mut [u8; MSG_LEN - HEADER_LEN] = out.fixed();
        for (to, word) in body.as_chunks_mut().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        out.put(self.tail.bytes());
        out.finish();
    }
}
