//! The payload of `LOCK` and `LOCK_REPLY`: one lock on its way to a new master (spec: wire 4.1, peer 9).
//!
//! | offset | size | C name | | offset | size | C name |
//! |---|---|---|---|---|---|---|
//! | 0 | 4 | `rl_ownpid` | | 36 | 1 | `rl_rqmode` (signed) |
//! | 4 | 4 | `rl_lkid` | | 37 | 1 | `rl_grmode` (signed) |
//! | 8 | 4 | `rl_remid` | | 38 | 1 | `rl_status` |
//! | 12 | 4 | `rl_parent_lkid` | | 39 | 1 | `rl_asts` |
//! | 16 | 4 | `rl_parent_remid` | | 40 | 2 | `rl_wait_type` |
//! | 20 | 4 | `rl_exflags` | | 42 | 2 | `rl_namelen` |
//! | 24 | 4 | `rl_flags` | | 44 | 64 | `rl_name`, zero-filled |
//! | 28 | 4 | `rl_lvbseq` | | 108 | .. | `rl_lvb`, if any |
//! | 32 | 4 | `rl_result` | | | | |

use crate::encode::Writer;
use crate::error::{DecodeError, ErrorKind};
use crate::name::{NAME_LEN_MAX, ResourceName};
use crate::parse::{le16, le32, run};
use crate::rcom::{RCOM_LEN, RcomType, structure};
use crate::words::{ExFlags, MsgFlags};

const LOCK_LEN: usize = 108;
const AT_NAME_LEN: usize = RCOM_LEN + 42;

/// One lock as its holder knows it. `LOCK_REPLY` copies it back with `remid` and `result` filled in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RcomLock<'a> {
    /// `rl_ownpid`.
    pub ownpid: u32,
    /// `rl_lkid`: lock id at the holder.
    pub lkid: u32,
    /// `rl_remid`: lock id at the new master, in the reply.
    pub remid: u32,
    /// `rl_parent_lkid`, always 0.
    pub parent_lkid: u32,
    /// `rl_parent_remid`, always 0.
    pub parent_remid: u32,
    /// `rl_exflags`.
    pub exflags: ExFlags,
    /// `rl_flags`.
    pub flags: MsgFlags,
    /// `rl_lvbseq`.
    pub lvbseq: u32,
    /// `rl_result`: 0 or the sender's own negative errno, in the reply.
    pub result: i32,
    /// `rl_rqmode`; numbers as in [`Mode`](crate::Mode).
    pub rqmode: i8,
    /// `rl_grmode`; numbers as in [`Mode`](crate::Mode).
    pub grmode: i8,
    /// `rl_status`; numbers as in [`LockStatus`](crate::LockStatus).
    pub status: i8,
    /// `rl_asts`; bits as in [`Asts`](crate::Asts).
    pub asts: u8,
    /// `rl_wait_type`: `m_type` of the operation under way when the master failed, 0 if none.
    pub wait_type: u16,
    /// `rl_name`.
    pub name: ResourceName<'a>,
    /// `rl_lvb`, empty without one.
    pub lvb: &'a [u8],
}

impl<'a> RcomLock<'a> {
    pub(crate) fn decode(rcom_type: RcomType, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (head, lvb) = structure::<LOCK_LEN>(rcom_type, bytes)?;
        let name_length = usize::from(le16!(head, 42));
        let (_, name_field) = head.split_at(44);
        let name = match run(name_field, name_length) {
            Some((name, _)) => ResourceName::new(name),
            None => Err(ErrorKind::NameLength { length: name_length }),
        };
        Ok(Self {
            ownpid: le32!(head, 0),
            lkid: le32!(head, 4),
            remid: le32!(head, 8),
            parent_lkid: le32!(head, 12),
            parent_remid: le32!(head, 16),
            exflags: ExFlags::new(le32!(head, 20)),
            flags: MsgFlags::new(le32!(head, 24)),
            lvbseq: le32!(head, 28),
            result: le32!(head, 32).cast_signed(),
            rqmode: head[36].cast_signed(),
            grmode: head[37].cast_signed(),
            status: head[38].cast_signed(),
            asts: head[39],
            wait_type: le16!(head, 40),
            name: name.map_err(|kind| DecodeError::new(kind, AT_NAME_LEN))?,
            lvb,
        })
    }

    pub(crate) fn encoded_len(&self) -> usize {
        LOCK_LEN.saturating_add(self.lvb.len())
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        for word in [
            self.ownpid,
            self.lkid,
            self.remid,
            self.parent_lkid,
            self.parent_remid,
            self.exflags.bits(),
            self.flags.bits(),
            self.lvbseq,
            self.result.cast_unsigned(),
        ] {
            out.put(&word.to_le_bytes());
        }
        out.put(&[
            self.rqmode.cast_unsigned(),
            self.grmode.cast_unsigned(),
            self.status.cast_unsigned(),
            self.asts,
        ]);
        out.put(&self.wait_type.to_le_bytes());
        let name = self.name.bytes();
        // Names have at most 64 bytes.
        out.put(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.put(name);
        out.zeros(NAME_LEN_MAX.saturating_sub(name.len()));
        out.put(self.lvb);
    }
}
