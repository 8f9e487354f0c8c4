//! The only place that knows nom: fixed parts are taken whole, then read in place.
//!
//! One `take(N)` per fixed part and `from_le_bytes` on the array costs what a struct cast costs; nom's own
//! number parsers read byte by byte and are several times slower. Slices given to these functions are
//! complete frames, so "need more bytes" does not exist here.

use nom::Parser;
use nom::bytes::complete::take;
use nom::error::{ErrorKind as NomKind, ParseError};

/// A complete slice had too few bytes. What that means, the caller knows.
#[derive(Clone, Copy)]
pub(crate) struct Short;

impl ParseError<&[u8]> for Short {
    #[inline]
    fn from_error_kind(_: &[u8], _: NomKind) -> Self {
        Self
    }

    #[inline]
    fn append(_: &[u8], _: NomKind, _: Self) -> Self {
        Self
    }
}

/// The first `N` bytes and the rest, or `None`.
#[inline(always)]
pub(crate) fn fixed<const N: usize>(input: &[u8]) -> Option<(&[u8; N], &[u8])> {
    let (rest, head): (&[u8], &[u8]) = take::<_, _, Short>(N).parse_complete(input).ok()?;
    Some((head.try_into().ok()?, rest))
}

/// The first `count` bytes and the rest, or `None`.
#[inline(always)]
pub(crate) fn run(input: &[u8], count: usize) -> Option<(&[u8], &[u8])> {
    input.split_at_checked(count)
}

/// The little-endian `u16` at a constant offset of an array; out of bounds does not compile.
macro_rules! le16 {
    ($bytes:expr, $at:literal) => {
        u16::from_le_bytes([$bytes[$at], $bytes[$at + 1]])
    };
}

/// The little-endian `u32` at a constant offset of an array; out of bounds does not compile.
macro_rules! le32 {
    ($bytes:expr, $at:literal) => {
        u32::from_le_bytes([$bytes[$at], $bytes[$at + 1], $bytes[$at + 2], $bytes[$at + 3]])
    };
}

/// The little-endian `u64` at a constant offset of an array; out of bounds does not compile.
macro_rules! le64 {
    ($bytes:expr, $at:literal) => {
        u64::from_le_bytes([
            $bytes[$at],
            $bytes[$at + 1],
            $bytes[$at + 2],
            $bytes[$at + 3],
            $bytes[$at + 4],
            $bytes[$at + 5],
            $bytes[$at + 6],
            $bytes[$at + 7],
        ])
    };
}

pub(crate) use {le16, le32, le64};
