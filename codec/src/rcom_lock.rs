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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::frame::Content;
    use crate::opts::InnerFields;
    use crate::rcom::Payload;
    use crate::testkit::{fields, frame, hex};

    /// `tcp-3.2-linux6.1-3node-heldlocks`, frame 11010: `LOCK` with a lock value block, in `OPTS`.
    const LOCK: &str = "
        02 00 03 00 c5 03 00 00 02 00 00 00 d4 00 03 00
        02 00 00 00 00 00 00 00 02 00 03 00 0a a4 ff 8c
        02 00 00 00 bc 00 02 00 04 00 00 00 00 00 00 00
        f8 fa db 1b 8f dd 23 ff 05 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 ba 00 00 00 4d 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 08 00 00 00
        01 00 00 00 03 00 00 00 00 00 00 00 ff 00 02 03
        00 00 18 00 00 00 00 00 4b 00 00 00 00 00 00 00
        00 00 00 00 db a6 40 5a 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00";

    /// `tcp-3.2-linux6.1-3node-heldlocks`, frame 11012: the reply to it.
    const LOCK_REPLY: &str = "
        02 00 03 00 d0 03 00 00 01 00 00 00 b4 00 03 00
        02 00 00 00 00 00 00 00 02 00 03 00 0a a4 ff 8c
        01 00 00 00 9c 00 02 00 08 00 00 00 00 00 00 00
        f8 fa db 1b 8f dd 23 ff 07 00 00 00 00 00 00 00
        05 00 00 00 00 00 00 00 ba 00 00 00 4d 00 00 00
        3e 00 00 00 00 00 00 00 00 00 00 00 08 00 00 00
        01 00 00 00 03 00 00 00 00 00 00 00 ff 00 02 03
        00 00 18 00 00 00 00 00 4b 00 00 00 00 00 00 00
        00 00 00 00 db a6 40 5a 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00";

    /// Where `rl_namelen` stands in the frames above.
    const NAME_LEN: usize = 24 + AT_NAME_LEN;

    const NAME: &[u8] = b"\0\0\0\0\x4b\0\0\0\0\0\0\0\0\0\0\0\xdb\xa6\x40\x5a\0\0\0\0";

    fn payload(bytes: &[u8]) -> Payload<'_> {
        match fields(bytes).content {
            Content::Opts(opts) => match opts.inner {
                InnerFields::Rcom(rcom) => rcom.payload,
                other => panic!("not RCOM: {other:?}"),
            },
            other => panic!("not OPTS: {other:?}"),
        }
    }

    #[test]
    fn lock_and_its_reply_field_by_field() {
        let lock = RcomLock {
            ownpid: 0xba,
            lkid: 0x4d,
            remid: 0,
            parent_lkid: 0,
            parent_remid: 0,
            exflags: ExFlags::VALBLK,
            flags: MsgFlags::USER,
            lvbseq: 3,
            result: 0,
            rqmode: -1,
            grmode: 0,
            status: 2,
            asts: 3,
            wait_type: 0,
            name: ResourceName::new(NAME).expect("24 bytes"),
            lvb: &[0; 32],
        };
        assert_eq!(payload(&hex(LOCK)), Payload::Lock(lock));
        let reply = RcomLock {
            remid: 0x3e,
            lvb: &[],
            ..lock
        };
        assert_eq!(payload(&hex(LOCK_REPLY)), Payload::LockReply(reply));
    }

    #[test]
    fn every_field_has_its_own_place() {
        let mut bytes = hex(LOCK);
        for (value, byte) in (1..).zip(&mut bytes[24 + RCOM_LEN..24 + RCOM_LEN + 42]) {
            *byte = value;
        }
        let Payload::Lock(lock) = payload(&bytes) else {
            panic!("not LOCK");
        };
        let words = [
            lock.ownpid,
            lock.lkid,
            lock.remid,
            lock.parent_lkid,
            lock.parent_remid,
            lock.exflags.bits(),
            lock.flags.bits(),
            lock.lvbseq,
            lock.result.cast_unsigned(),
        ];
        let mut read: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        read.extend([lock.rqmode.cast_unsigned(), lock.grmode.cast_unsigned()]);
        read.extend([lock.status.cast_unsigned(), lock.asts]);
        read.extend(lock.wait_type.to_le_bytes());
        assert!(read.iter().copied().eq(1..43), "{read:?}");
    }

    #[test]
    fn name_may_fill_its_field_and_no_more() {
        for (length, sound) in [
            (0_u16, false),
            (1, true),
            (64, true),
            (65, false),
            (u16::MAX, false),
        ] {
            let mut bytes = hex(LOCK);
            bytes[NAME_LEN..NAME_LEN + 2].copy_from_slice(&length.to_le_bytes());
            bytes[NAME_LEN + 2..NAME_LEN + 66].fill(0);
            bytes[NAME_LEN + 2..][..usize::from(length).min(64)].fill(b'n');
            let length = usize::from(length);
            if sound {
                assert!(matches!(payload(&bytes), Payload::Lock(lock) if lock.name.bytes().len() == length));
            } else {
                let error = DecodeError {
                    kind: ErrorKind::NameLength { length },
                    offset: NAME_LEN,
                };
                assert_eq!(frame(&bytes).and_then(|frame| frame.fields()), Err(error));
            }
        }
    }

    #[test]
    fn bytes_behind_the_name_are_not_kept() {
        let mut bytes = hex(LOCK);
        bytes[NAME_LEN + 2 + 24] = 1;
        let padded = frame(&bytes).and_then(|frame| frame.fields()).expect("sound");
        assert_eq!(padded, fields(&hex(LOCK)));
    }
}
