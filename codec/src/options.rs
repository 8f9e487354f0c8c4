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
    pub const fn is_empty(&self) -> bool {
        match self.source {
            Source::Wire(bytes) => bytes.is_empty(),
            Source::List(list) => list.is_empty(),
        }
    }

    /// `o_optlen`.
    pub fn encoded_len(&self) -> usize {
        match self.source {
            Source::Wire(bytes) => bytes.len(),
            Source::List(list) => list.iter().fold(0, |sum: usize, option| {
                sum.saturating_add(OPTION_HEADER_LEN)
                    .saturating_add(option.value.len())
            }),
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

    /// Writes options that [`check`](Self::check) has passed or that were given as a list.
    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        for option in self.iter().flatten() {
            let mut head = [0; OPTION_HEADER_LEN];
            head[0..2].copy_from_slice(&option.kind.to_le_bytes());
            let length = u16::try_from(option.value.len()).unwrap_or(u16::MAX);
            head[2..4].copy_from_slice(&length.to_le_bytes());
            out.put(&head);
            out.put(option.value);
        }
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
