//! The payload of `NAMES_REPLY`: resource names in a block of fixed size (spec: wire 6.3).
//!
//! | size | meaning |
//! |---|---|
//! | 2, **big-endian** | length of a name, 1 to 64 |
//! | that many | the name; then the next length |
//! | 2 | `0x0000`: more blocks follow; `0xffff`: that was the last name |
//! | rest | 0 |

use core::iter::FusedIterator;

use crate::encode::Writer;
use crate::error::{DecodeError, ErrorKind};
use crate::name::ResourceName;
use crate::parse::{fixed, run};
use crate::rcom::RCOM_LEN;

const MORE: u16 = 0x0000;
const LAST: u16 = 0xffff;

/// What stands behind the last name of a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BlockEnd {
    /// `0x0000`: ask again with the last name.
    More,
    /// `0xffff`: there are no more names.
    Last,
}

/// One block of names.
///
/// Kernels always send a full-sized payload: 4024 bytes, 5.10 one of its buffer size less 48.
#[derive(Clone, Copy, Debug)]
pub struct NameBlock<'a> {
    source: Source<'a>,
    end: BlockEnd,
    length: usize,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// Length-prefixed names, checked, without the terminator.
    Wire(&'a [u8]),
    List(&'a [ResourceName<'a>]),
}

impl<'a> NameBlock<'a> {
    /// A block to be written, filled up with zeros to `length` bytes of payload.
    ///
    /// A block that is too short for its names grows to what they need.
    pub fn new(names: &'a [ResourceName<'a>], end: BlockEnd, length: usize) -> Self {
        let needed = names.iter().fold(2_usize, |sum, name| {
            sum.saturating_add(2).saturating_add(name.bytes().len())
        });
        Self {
            source: Source::List(names),
            end,
            length: length.max(needed),
        }
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        loop {
            let read = bytes.len().saturating_sub(rest.len());
            let at = RCOM_LEN.saturating_add(read);
            let overrun =
                |needed, present| Err(DecodeError::new(ErrorKind::NamesOverrun { needed, present }, at));
            let Some((&prefix, behind)) = fixed::<2>(rest) else {
                return overrun(2, rest.len());
            };
            let end = match u16::from_be_bytes(prefix) {
                MORE => BlockEnd::More,
                LAST => BlockEnd::Last,
                name_length => {
                    let name_length = usize::from(name_length);
                    let Some((name, behind)) = run(behind, name_length) else {
                        return overrun(name_length, behind.len());
                    };
                    ResourceName::new(name).map_err(|kind| DecodeError::new(kind, at))?;
                    rest = behind;
                    continue;
                }
            };
            let names = bytes.get(..read).unwrap_or_default();
            return Ok(Self {
                source: Source::Wire(names),
                end,
                length: bytes.len(),
            });
        }
    }

    /// What stands behind the last name.
    pub const fn end(&self) -> BlockEnd {
        self.end
    }

    /// The names in order.
    pub const fn iter(&self) -> NameIter<'a> {
        NameIter { source: self.source }
    }

    /// Bytes of the payload, filling included.
    pub const fn encoded_len(&self) -> usize {
        self.length
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        let mut written = 2_usize;
        for name in self.iter() {
            let bytes = name.bytes();
            // Names have at most 64 bytes.
            out.put(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.put(bytes);
            written = written.saturating_add(2).saturating_add(bytes.len());
        }
        let end = match self.end {
            BlockEnd::More => MORE,
            BlockEnd::Last => LAST,
        };
        out.put(&end.to_be_bytes());
        out.zeros(self.length.saturating_sub(written));
    }
}

/// Blocks are equal when they say the same, wherever they come from.
impl PartialEq for NameBlock<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.end == other.end && self.length == other.length && self.iter().eq(other.iter())
    }
}

impl Eq for NameBlock<'_> {}

/// Iterates over the names of a [`NameBlock`].
#[derive(Clone, Debug)]
pub struct NameIter<'a> {
    source: Source<'a>,
}

impl<'a> Iterator for NameIter<'a> {
    type Item = ResourceName<'a>;

    fn next(&mut self) -> Option<ResourceName<'a>> {
        match &mut self.source {
            Source::Wire(bytes) => {
                let (&prefix, rest) = fixed::<2>(bytes)?;
                let (name, rest) = run(rest, usize::from(u16::from_be_bytes(prefix)))?;
                *bytes = rest;
                ResourceName::new(name).ok()
            }
            Source::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
        }
    }
}

impl FusedIterator for NameIter<'_> {}
