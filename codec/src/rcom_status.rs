//! The payload of `STATUS_REPLY`: a lockspace's configuration and its members' slots (spec: wire 4.1).
//!
//! | offset | size | C name | meaning |
//! |---|---|---|---|
//! | 0 | 4 | `rf_lvblen` | bytes of a lock value block |
//! | 4 | 4 | `rf_lsflags` | the lockspace's creation flags |
//! | 8 | 4 | `rf_flags` | unused, 0 |
//! | 12 | 2 | `rf_our_slot` | the sender's slot, 0 if none |
//! | 14 | 2 | `rf_num_slots` | slots that follow |
//! | 16 | 4 | `rf_generation` | of the slots |
//! | 20 | 12 | | unused, 0 |
//! | 32 | 16 each | `rcom_slot` | `ro_nodeid` (4), `ro_slot` (2), unused (10) |

use crate::encode::Writer;
use crate::error::{DecodeError, ErrorKind};
use crate::parse::{fixed, le16, le32, run};
use crate::rcom::{RCOM_LEN, RcomType, structure};

/// Bytes of the payload of `STATUS`: `rs_flags` and 12 unused.
pub(crate) const STATUS_LEN: usize = 16;

const CONFIG_LEN: usize = 32;
const SLOT_LEN: usize = 16;
const AT_NUM_SLOTS: usize = RCOM_LEN + 14;

/// A lockspace's configuration as its sender has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RcomConfig {
    /// `rf_lvblen`, bytes; the same on every member. `0xffffffff` from a node without the lockspace.
    pub lvblen: u32,
    /// `rf_lsflags`; the same on every member.
    pub lsflags: u32,
    /// `rf_flags`, unused.
    pub flags: u32,
    /// `rf_our_slot`, 0 for none.
    pub our_slot: u16,
    /// `rf_generation` of the slots.
    pub generation: u32,
}

impl RcomConfig {
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, Slots<'_>), DecodeError> {
        let (head, rest) = structure::<CONFIG_LEN>(RcomType::StatusReply, bytes)?;
        let slots = le16!(head, 14);
        let Some((slots, _)) = run(rest, usize::from(slots).saturating_mul(SLOT_LEN)) else {
            let kind = ErrorKind::SlotsBeyondPayload {
                slots,
                present: rest.len(),
            };
            return Err(DecodeError::new(kind, AT_NUM_SLOTS));
        };
        let config = Self {
            lvblen: le32!(head, 0),
            lsflags: le32!(head, 4),
            flags: le32!(head, 8),
            our_slot: le16!(head, 12),
            generation: le32!(head, 16),
        };
        Ok((
            config,
            Slots {
                source: Source::Wire(slots),
            },
        ))
    }

    pub(crate) fn encoded_len(slots: &Slots<'_>) -> usize {
        slots.len().saturating_mul(SLOT_LEN).saturating_add(CONFIG_LEN)
    }

    pub(crate) fn write(&self, slots: &Slots<'_>, out: &mut Writer<'_>) {
        // A frame whose slots this cannot count is longer than h_length can say and was refused before.
        let count = u16::try_from(slots.len()).unwrap_or(u16::MAX);
        out.put(&self.lvblen.to_le_bytes());
        out.put(&self.lsflags.to_le_bytes());
        out.put(&self.flags.to_le_bytes());
        out.put(&self.our_slot.to_le_bytes());
        out.put(&count.to_le_bytes());
        out.put(&self.generation.to_le_bytes());
        out.zeros(12);
        for slot in slots.iter() {
            out.put(&slot.nodeid.to_le_bytes());
            out.put(&slot.slot.to_le_bytes());
            out.zeros(10);
        }
    }
}

/// A member and its slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    /// `ro_nodeid`.
    pub nodeid: u32,
    /// `ro_slot`, from 1.
    pub slot: u16,
}

/// The slots of a lockspace's members: as they came, or a list to be written.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    source: Source<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(&'a [Slot]),
}

impl<'a> Slots<'a> {
    /// No slots.
    pub const NONE: Self = Self {
        source: Source::Wire(&[]),
    };

    /// Slots to be written in this order. A kernel's reply has room for 249.
    pub const fn from_list(list: &'a [Slot]) -> Self {
        Self {
            source: Source::List(list),
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        match self.source {
            Source::Wire(bytes) => bytes.len() / SLOT_LEN,
            Source::List(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots in order.
    pub const fn iter(&self) -> SlotIter<'a> {
        SlotIter { source: self.source }
    }
}

/// Slots are equal when they say the same, wherever they come from.
impl PartialEq for Slots<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Slots<'_> {}

/// Iterates over [`Slots`].
#[derive(Clone, Debug)]
pub struct SlotIter<'a> {
    source: Source<'a>,
}

impl Iterator for SlotIter<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        match &mut self.source {
            Source::Wire(bytes) => {
                let (head, rest) = fixed::<SLOT_LEN>(bytes)?;
                *bytes = rest;
                Some(Slot {
                    nodeid: le32!(head, 0),
                    slot: le16!(head, 4),
                })
            }
            Source::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::encode::EncodeError;
    use crate::frame::{Content, FrameFields};
    use crate::ids::LockspaceId;
    use crate::rcom::{NOT_READY, Payload, RcomFields};
    use crate::testkit::{fields, frame, hex, node, written};
    use crate::version::Version;
    use crate::words::RecoveryStatus;

    /// `STATUS_REPLY` with two slots (spec: wire 10).
    const REPLY: &str = "
        02 00 03 00 52 7a 1f 6b 01 00 00 00 70 00 02 00
        05 00 00 00 03 00 00 00 88 77 66 55 44 33 22 11
        02 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00
        20 00 00 00 00 00 00 00 00 00 00 00 01 00 02 00
        07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        01 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00
        02 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00";

    /// `tcp-3.2-linux6.1-3node-heldlocks`, frame 2125.
    const THREE_SLOTS: &str = "
        02 00 03 00 0a a4 ff 8c 01 00 00 00 80 00 02 00
        05 00 00 00 07 00 00 00 d1 32 4e 5f 58 d7 55 e4
        05 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00
        20 00 00 00 00 00 00 00 00 00 00 00 01 00 03 00
        03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        01 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00
        02 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00
        03 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00";

    /// `tcp-3.1-linux5.10-2node-workload`, frame 12: a reply without slots.
    const NO_SLOTS: &str = "
        01 00 03 00 0a a4 ff 8c 02 00 00 00 50 00 02 00
        05 00 00 00 00 00 00 00 ce c6 57 ef 3e dd 06 71
        01 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00
        20 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00";

    fn rcom(bytes: &[u8]) -> RcomFields<'_> {
        match fields(bytes).content {
            Content::Rcom(rcom) => rcom,
            other => panic!("not RCOM: {other:?}"),
        }
    }

    fn reply<'a>(slots: Slots<'a>) -> FrameFields<'a> {
        let config = RcomConfig {
            lvblen: 32,
            our_slot: 1,
            generation: 7,
            ..RcomConfig::default()
        };
        FrameFields {
            version: Version::V3_2,
            node: node(1),
            content: Content::Rcom(RcomFields {
                lockspace: LockspaceId::new(0x6b1f_7a52),
                result: 3,
                id: 0x1122_3344_5566_7788,
                seq: 2,
                seq_reply: 2,
                payload: Payload::StatusReply { config, slots },
            }),
        }
    }

    fn slots(nodes: u32) -> Vec<Slot> {
        (1..=nodes)
            .map(|nodeid| Slot {
                nodeid,
                slot: u16::try_from(nodeid).expect("few nodes"),
            })
            .collect()
    }

    #[test]
    fn reply_from_a_list_of_slots_is_the_reply_read() {
        let list = slots(2);
        let built = reply(Slots::from_list(&list));
        assert_eq!(written(&built), hex(REPLY));
        assert_eq!(fields(&hex(REPLY)), built);
        let status = RecoveryStatus::NODES.with(RecoveryStatus::NODES_ALL);
        assert_eq!(rcom(&hex(REPLY)).result.cast_unsigned(), status.bits());
    }

    #[test]
    fn captured_reply_field_by_field() {
        let bytes = hex(THREE_SLOTS);
        let Payload::StatusReply { config, slots: read } = rcom(&bytes).payload else {
            panic!("not STATUS_REPLY");
        };
        let expected = RcomConfig {
            lvblen: 32,
            lsflags: 0,
            flags: 0,
            our_slot: 1,
            generation: 3,
        };
        assert_eq!(config, expected);
        assert_eq!((read.len(), read.is_empty()), (3, false));
        assert!(read.iter().eq(slots(3)));
    }

    #[test]
    fn reply_without_slots_and_one_without_the_lockspace() {
        let mut bytes = hex(NO_SLOTS);
        let Payload::StatusReply { slots, .. } = rcom(&bytes).payload else {
            panic!("not STATUS_REPLY");
        };
        assert!(slots.is_empty());
        assert_eq!(slots, Slots::NONE);
        assert_eq!(slots, Slots::from_list(&[]));

        bytes[20..24].copy_from_slice(&NOT_READY.to_le_bytes());
        bytes[RCOM_LEN..RCOM_LEN + 4].fill(0xff);
        let reply = rcom(&bytes);
        assert_eq!(reply.result, NOT_READY);
        assert!(matches!(reply.payload, Payload::StatusReply { config, .. } if config.lvblen == u32::MAX));
    }

    #[test]
    fn more_slots_than_the_payload_holds_are_refused() {
        for (slots, present) in [(3, 32), (u16::MAX, 32)] {
            let mut bytes = hex(REPLY);
            bytes[AT_NUM_SLOTS..AT_NUM_SLOTS + 2].copy_from_slice(&slots.to_le_bytes());
            let error = DecodeError {
                kind: ErrorKind::SlotsBeyondPayload { slots, present },
                offset: AT_NUM_SLOTS,
            };
            assert_eq!(frame(&bytes).and_then(|frame| frame.fields()), Err(error));
        }
    }

    #[test]
    fn a_kernels_reply_has_room_for_249_slots() {
        let list = slots(249);
        assert_eq!(written(&reply(Slots::from_list(&list))).len(), 4064);
    }

    #[test]
    fn more_slots_than_a_frame_can_count_are_not_written() {
        let list = slots(4092);
        let mut out = vec![0xaa; 70_000];
        let error = EncodeError::TooLong {
            length: 80 + 4092 * 16,
        };
        assert_eq!(reply(Slots::from_list(&list)).encode_into(&mut out), Err(error));
        assert!(out.iter().all(|byte| *byte == 0xaa));
    }
}
