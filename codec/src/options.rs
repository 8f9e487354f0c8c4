//! Options in front of the message that an `OPTS` wraps (spec: wire 5.1).
//!
//! | offset | size | C name | meaning |
//! |---|---|---|---|
//! | 0 | 2 | `t_type` | kind; none is defined |
//! | 2 | 2 | `t_length` | bytes of value |
//! | 4 | 4 | `t_pad` | 0 |
//! | 8 | `t_length` | `t_value` | value; the next option follows at once |
//!
//! No kernel sends options and every kernel skips all `o_optlen` bytes unread. Reading them here is therefore
//! strict, and nothing but a caller who asks for them reads them.

use core::iter::FusedIterator;

use crate::encode::Writer;
use crate::error::{DecodeError, ErrorKind};
use crate::opts::OPTS_HEADER_LEN;
use crate::parse::{fixed, le16, run};

const OPTION_HEADER_LEN: usize = 8;

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TlvOption<'a> {
    /// `t_type`.
    pub kind: u16,
    /// `t_value`, 1 to 65535 bytes.
    pub value: &'a [u8],
}

/// The options of one `OPTS`: as they came, or a list to be written.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    source: Source<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(&'a [TlvOption<'a>]),
}

impl<'a> Options<'a> {
    /// No options, as every kernel sends.
    pub const NONE: Self = Self {
        source: Source::Wire(&[]),
    };

    /// Options to be written in this order.
    pub const fn from_list(list: &'a [TlvOption<'a>]) -> Self {
        Self {
            source: Source::List(list),
        }
    }

    #[inline(always)]
    pub(crate) const fn from_wire(bytes: &'a [u8]) -> Self {
        Self {
            source: Source::Wire(bytes),
        }
    }

    /// The options in order; an unreadable one is an error and ends the list.
    pub const fn iter(&self) -> OptionIter<'a> {
        OptionIter {
            source: self.source,
            offset: OPTS_HEADER_LEN,
        }
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        match self.source {
            Source::Wire(bytes) => bytes.is_empty(),
            Source::List(list) => list.is_empty(),
        }
    }

    /// `o_optlen`.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        match self.source {
            Source::Wire(bytes) => bytes.len(),
            Source::List(list) => list_len(list),
        }
    }

    /// Reads all options.
    ///
    /// # Errors
    ///
    /// The first unreadable one: [`ErrorKind::OptionHeaderTruncated`] or [`ErrorKind::OptionLength`].
    pub fn check(&self) -> Result<(), DecodeError> {
        self.iter().try_for_each(|option| option.map(drop))
    }

    /// Writes `o_optlen` bytes. Options that came unreadable go out as they came.
    #[inline]
    pub(crate) fn write<'o>(&self, out: Writer<'o>) -> Writer<'o> {
        if self.is_empty() { out } else { self.write_all(out) }
    }

    #[cold]
    fn write_all<'o>(&self, mut out: Writer<'o>) -> Writer<'o> {
        match self.source {
            Source::List(list) => list.iter().for_each(|option| option.write(&mut out)),
            Source::Wire(mut bytes) => {
                while let Ok((option, rest)) = read(bytes) {
                    option.write(&mut out);
                    bytes = rest;
                }
                out.put(bytes);
            }
        }
        out
    }
}

/// Kept apart: hardly a frame has options, and this would be copied to wherever frames are encoded.
#[cold]
fn list_len(list: &[TlvOption<'_>]) -> usize {
    list.iter().fold(0, |sum: usize, option| {
        sum.saturating_add(OPTION_HEADER_LEN)
            .saturating_add(option.value.len())
    })
}

impl TlvOption<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        // A longer value makes a frame that h_length cannot count and that was refused before.
        let length = u16::try_from(self.value.len()).unwrap_or(u16::MAX);
        out.put(&self.kind.to_le_bytes());
        out.put(&length.to_le_bytes());
        out.zeros(4);
        out.put(self.value);
    }
}

/// Options are equal when they say the same, wherever they come from.
impl PartialEq for Options<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Options<'_> {}

/// Iterates over [`Options`].
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    source: Source<'a>,
    offset: usize,
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<TlvOption<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(Ok(*first))
            }
            Source::Wire([]) => None,
            Source::Wire(bytes) => {
                let option = read(bytes);
                match option {
                    Ok((option, rest)) => {
                        let read = bytes.len().saturating_sub(rest.len());
                        *bytes = rest;
                        self.offset = self.offset.saturating_add(read);
                        Some(Ok(option))
                    }
                    Err((kind, at)) => {
                        *bytes = &[];
                        Some(Err(DecodeError::new(kind, self.offset.saturating_add(at))))
                    }
                }
            }
        }
    }
}

impl FusedIterator for OptionIter<'_> {}

/// The first option and what follows it, or what is wrong and where.
fn read(bytes: &[u8]) -> Result<(TlvOption<'_>, &[u8]), (ErrorKind, usize)> {
    let Some((head, rest)) = fixed::<OPTION_HEADER_LEN>(bytes) else {
        return Err((ErrorKind::OptionHeaderTruncated { present: bytes.len() }, 0));
    };
    let length = le16!(head, 2);
    match run(rest, usize::from(length)) {
        Some((value, rest)) if length > 0 => Ok((
            TlvOption {
                kind: le16!(head, 0),
                value,
            },
            rest,
        )),
        _ => Err((
            ErrorKind::OptionLength {
                length,
                present: rest.len(),
            },
            2,
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::frame::{Content, Frame, FrameFields};
    use crate::opts::{InnerFields, OptsFields};
    use crate::seq::Seq;
    use crate::testkit::{fields, frame, hex, node, written};
    use crate::version::Version;

    /// `OPTS` around `FIN` with two options, types 0x0101 (3 bytes) and 0xffff (1 byte). Made by hand: no
    /// kernel sends options.
    const OPTIONS: &str = "
        02 00 03 00 2a 00 00 00 01 00 00 00 3c 00 03 00
        05 00 14 00 00 00 00 00 01 01 03 00 00 00 00 00
        61 62 63 ff ff 01 00 00 00 00 00 64 02 00 03 00
        00 00 00 00 01 00 00 00 10 00 05 00";

    const LIST: [TlvOption<'_>; 2] = [
        TlvOption {
            kind: 0x0101,
            value: b"abc",
        },
        TlvOption {
            kind: 0xffff,
            value: b"d",
        },
    ];

    fn fin<'a>(options: Options<'a>) -> FrameFields<'a> {
        FrameFields {
            version: Version::V3_2,
            node: node(1),
            content: Content::Opts(OptsFields {
                seq: Seq::new(42),
                options,
                inner: InnerFields::Fin,
            }),
        }
    }

    /// `OPTIONS` with other bytes for its options.
    fn with_options(options: &[u8]) -> Vec<u8> {
        let mut bytes = hex(OPTIONS);
        bytes.splice(24..44, options.iter().copied());
        bytes[12] = u8::try_from(bytes.len()).expect("few options");
        bytes[18] = u8::try_from(options.len()).expect("few options");
        bytes
    }

    /// Proves D2, C19.
    #[test]
    fn two_options_of_odd_length_and_unknown_type_field_by_field() {
        let bytes = hex(OPTIONS);
        assert_eq!(fields(&bytes), fin(Options::from_list(&LIST)));
        assert_eq!(written(&fin(Options::from_list(&LIST))), bytes);
    }

    /// Proves D2.
    #[test]
    fn any_number_of_options_comes_back() {
        for count in 0..=9 {
            let values: Vec<Vec<u8>> = (1..=count).map(|length| vec![7; length]).collect();
            let list: Vec<TlvOption<'_>> = (0..)
                .zip(&values)
                .map(|(kind, value)| TlvOption { kind, value })
                .collect();
            let sent = fin(Options::from_list(&list));
            let bytes = written(&sent);
            assert_eq!(fields(&bytes), sent, "{count} options");
            let Content::Opts(read) = fields(&bytes).content else {
                panic!("not OPTS");
            };
            assert_eq!(read.options.is_empty(), count == 0);
            assert_eq!(read.options.iter().count(), count);
            assert_eq!(read.options.encoded_len(), bytes.len() - 40);
        }
    }

    #[test]
    fn unreadable_option_is_refused_where_it_stands() {
        let length = |length, present| ErrorKind::OptionLength { length, present };
        let rows = [
            (
                "00 00 00 00 00 00 00",
                ErrorKind::OptionHeaderTruncated { present: 7 },
                24,
            ),
            ("01 00 00 00 00 00 00 00", length(0, 0), 26),
            ("01 00 01 00 00 00 00 00", length(1, 0), 26),
            ("01 00 02 00 00 00 00 00 61", length(2, 1), 26),
            (
                "01 00 01 00 00 00 00 00 61 62",
                ErrorKind::OptionHeaderTruncated { present: 1 },
                33,
            ),
            (
                "01 00 01 00 00 00 00 00 61 02 00 00 00 00 00 00 00 62",
                length(0, 1),
                35,
            ),
        ];
        for (options, kind, offset) in rows {
            let bytes = with_options(&hex(options));
            let error = DecodeError { kind, offset };
            let Ok(Frame::Opts(opts)) = frame(&bytes) else {
                panic!("not OPTS");
            };
            // Nothing but a caller who asks for the options meets the damage.
            assert!(opts.inner.is_ok(), "{options}");
            assert_eq!(opts.options.check(), Err(error), "{options}");
            assert_eq!(opts.fields(), Err(error), "{options}");
            assert_eq!(opts.options.iter().last(), Some(Err(error)), "{options}");

            // Whoever passes them on all the same passes them on unchanged.
            assert_eq!(written(&fin(opts.options)), bytes, "{options}");
        }
    }

    #[test]
    fn options_are_equal_by_what_they_say() {
        let mut padded = hex(OPTIONS);
        padded[28..32].fill(0xff);
        let padded_fields = frame(&padded).and_then(|frame| frame.fields());
        assert_eq!(padded_fields, Ok(fin(Options::from_list(&LIST))));
        assert_ne!(Options::from_list(&LIST), Options::from_list(&LIST[..1]));
        assert_eq!(Options::NONE, Options::from_list(&[]));
    }
}
