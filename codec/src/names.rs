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

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;
    use crate::frame::{Content, FrameFields};
    use crate::rcom::Payload;
    use crate::testkit::{fields, frame, hex, written};

    /// `tcp-3.2-linux6.1-3node-heldlocks`, frame 51: 24 names; zeros follow up to 4072 bytes.
    const REPLY: &str = "
        02 00 03 00 0a a4 ff 8c 01 00 00 00 e8 0f 02 00
        06 00 00 00 00 00 00 00 c6 32 4e 5f 58 d7 55 e4
        03 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00
        00 04 72 65 73 32 00 05 72 65 73 38 34 00 40 6c
        6f 6e 67 2d 30 31 30 31 2d 70 71 72 73 74 75 76
        77 78 79 7a 61 62 63 64 65 66 67 68 69 6a 6b 6c
        6d 6e 6f 70 71 72 73 74 75 76 77 78 79 7a 61 62
        63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70 71 00
        05 72 65 73 34 32 00 05 72 65 73 36 34 00 18 00
        00 00 00 4b 00 00 00 00 00 00 00 00 00 00 00 db
        a6 40 5a 00 00 00 00 00 05 72 65 73 31 33 00 18
        00 00 00 00 71 00 00 00 00 00 00 00 00 00 00 00
        21 b7 7c d6 00 00 00 00 00 05 72 65 73 35 33 00
        05 72 65 73 37 30 00 02 33 32 00 40 6c 6f 6e 67
        2d 30 30 39 33 2d 78 79 7a 61 62 63 64 65 66 67
        68 69 6a 6b 6c 6d 6e 6f 70 71 72 73 74 75 76 77
        78 79 7a 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d
        6e 6f 70 71 72 73 74 75 76 77 78 79 00 02 39 34
        00 05 72 65 73 31 31 00 05 72 65 73 36 31 00 02
        34 37 00 18 00 00 00 00 16 00 00 00 00 00 00 00
        00 00 00 00 36 75 c4 98 00 00 00 00 ff ff";

    /// The header of a reply whose payload the test puts behind it.
    fn with_payload(payload: &[u8]) -> Vec<u8> {
        let mut bytes = hex(REPLY);
        bytes.truncate(RCOM_LEN);
        bytes.extend(payload);
        let length = u16::try_from(bytes.len()).expect("a short payload");
        bytes[12..14].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<FrameFields<'_>, DecodeError> {
        frame(bytes).and_then(|frame| frame.fields())
    }

    fn block<'a>(fields: &FrameFields<'a>) -> NameBlock<'a> {
        match fields.content {
            Content::Rcom(rcom) => match rcom.payload {
                Payload::NamesReply(block) => block,
                other => panic!("not NAMES_REPLY: {other:?}"),
            },
            other => panic!("not RCOM: {other:?}"),
        }
    }

    fn name(bytes: &[u8]) -> ResourceName<'_> {
        ResourceName::new(bytes).expect("1 to 64 bytes")
    }

    #[test]
    fn captured_block_field_by_field() {
        let mut bytes = hex(REPLY);
        bytes.resize(4072, 0);
        let fields = fields(&bytes);
        let block = block(&fields);
        assert_eq!((block.end(), block.encoded_len()), (BlockEnd::Last, 4024));
        let names: Vec<String> = block.iter().map(|name| name.to_string()).collect();
        assert_eq!(
            names,
            [
                "res2",
                "res84",
                "long-0101-pqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopq",
                "res42",
                "res64",
                r"\x00\x00\x00\x00K\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xdb\xa6@Z\x00\x00\x00\x00",
                "res13",
                r"\x00\x00\x00\x00q\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00!\xb7|\xd6\x00\x00\x00\x00",
                "res53",
                "res70",
                "32",
                "long-0093-xyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxy",
                "94",
                "res11",
                "res61",
                "47",
                r"\x00\x00\x00\x00\x16\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x006u\xc4\x98\x00\x00\x00\x00",
            ]
        );
    }

    #[test]
    fn block_from_a_list_is_the_block_read() {
        let bytes = with_payload(b"\0\x02r1\0\x05test1\0\0\0\0\0");
        let read = fields(&bytes);
        let names = [name(b"r1"), name(b"test1")];
        let built = NameBlock::new(&names, BlockEnd::More, 16);
        assert_eq!(block(&read), built);

        let Content::Rcom(mut rcom) = read.content else {
            panic!("not RCOM");
        };
        rcom.payload = Payload::NamesReply(built);
        let content = Content::Rcom(rcom);
        assert_eq!(written(&FrameFields { content, ..read }), bytes);
    }

    #[test]
    fn block_too_short_for_its_names_grows() {
        let names = [name(b"r1"), name(&[b'x'; 64])];
        for (length, grown) in [(0, 72), (71, 72), (72, 72), (73, 73), (4024, 4024)] {
            assert_eq!(
                NameBlock::new(&names, BlockEnd::Last, length).encoded_len(),
                grown
            );
        }
        assert_eq!(NameBlock::new(&[], BlockEnd::Last, 0).encoded_len(), 2);
    }

    #[test]
    fn blocks_differ_by_names_end_and_length() {
        let names = [name(b"r1"), name(b"r2")];
        let block = NameBlock::new(&names, BlockEnd::More, 16);
        assert_ne!(block, NameBlock::new(&names[..1], BlockEnd::More, 16));
        assert_ne!(block, NameBlock::new(&names, BlockEnd::Last, 16));
        assert_ne!(block, NameBlock::new(&names, BlockEnd::More, 17));
    }

    #[test]
    fn block_that_does_not_end_or_overruns_is_refused() {
        let overrun = |needed, present| ErrorKind::NamesOverrun { needed, present };
        let rows: [(&[u8], ErrorKind, usize); 8] = [
            (b"", overrun(2, 0), 0),
            (b"\0", overrun(2, 1), 0),
            (b"\0\x02r1", overrun(2, 0), 4),
            (b"\0\x02r1\0", overrun(2, 1), 4),
            (b"\0\x03r1", overrun(3, 2), 0),
            (b"\0\x02r1\x01\0r2", overrun(256, 2), 4),
            // Little-endian, as everything else is: 512 bytes.
            (b"\x02\0r1\xff\xff", overrun(512, 4), 0),
            (
                &[&[0, 65], [b'x'; 65].as_slice(), &[0xff; 2]].concat(),
                ErrorKind::NameLength { length: 65 },
                0,
            ),
        ];
        for (payload, kind, at) in rows {
            let offset = RCOM_LEN + at;
            assert_eq!(read(&with_payload(payload)), Err(DecodeError { kind, offset }));
        }
    }

    #[test]
    fn bytes_behind_the_terminator_are_not_read() {
        let bytes = with_payload(b"\0\x02r1\xff\xff\0\xffjunk");
        let fields = read(&bytes).expect("sound");
        assert!(block(&fields).iter().eq([name(b"r1")]));
        assert_eq!(block(&fields).encoded_len(), 12);
    }
}
