//! Frames for the tests of all families.

use std::vec;
use std::vec::Vec;

use crate::error::DecodeError;
use crate::frame::{Frame, FrameFields};
use crate::ids::NodeId;
use crate::split::{Limits, Split, split};

/// Bytes from hexadecimal digits; white space between them does not count.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let (pairs, []) = digits.as_chunks() else {
        panic!("half a byte");
    };
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(high << 4 | low).expect("two digits"))
        .collect()
}

/// The one frame that `bytes` are.
pub(crate) fn frame(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    match split(bytes, Limits::KERNEL) {
        Split::Frame { frame, rest: [] } => frame.decode(),
        other => panic!("not one frame: {other:?}"),
    }
}

/// The fields of the one frame that `bytes` are, after proving that they encode to the same bytes.
pub(crate) fn fields(bytes: &[u8]) -> FrameFields<'_> {
    let fields = frame(bytes)
        .and_then(|frame| frame.fields())
        .expect("a sound frame");
    assert_eq!(written(&fields), bytes, "{fields:?}");
    fields
}

/// The bytes that the fields encode to.
pub(crate) fn written(fields: &FrameFields<'_>) -> Vec<u8> {
    let mut out = vec![0xaa; fields.encoded_len()];
    assert_eq!(fields.encode_into(&mut out), Ok(out.len()));
    out
}

pub(crate) fn node(id: u32) -> NodeId {
    NodeId::new(id).expect("not 0")
}
