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
