//! Writing typed fields as frames.

use core::fmt;

/// Why a frame was not written. Nothing is written then.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EncodeError {
    /// The output is shorter than the frame.
    NoRoom {
        /// Bytes that the frame has.
        needed: usize,
        /// Bytes that the output has.
        room: usize,
    },
    /// The frame is longer than `h_length` can say.
    TooLong {
        /// Bytes that the frame would have.
        length: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom { needed, room } => write!(f, "frame of {needed} bytes does not fit into {room}"),
            Self::TooLong { length } => write!(f, "frame of {length} bytes exceeds 65535"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Fills an output whose length was checked once, at the start.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    /// A writer over the first `length` bytes of `out`.
    #[inline]
    pub(crate) fn new(out: &'a mut [u8], length: usize) -> Result<Self, EncodeError> {
        let room = out.len();
        match out.get_mut(..length) {
            Some(rest) => Ok(Self { rest }),
            None => Err(EncodeError::NoRoom { needed: length, room }),
        }
    }

    /// A writer for a frame of `length` bytes, and what `h_length` says of it.
    #[inline]
    pub(crate) fn frame(out: &'a mut [u8], length: usize) -> Result<(u16, Self), EncodeError> {
        let header_length = u16::try_from(length).map_err(|_| EncodeError::TooLong { length })?;
        Ok((header_length, Self::new(out, length)?))
    }

    /// Appends `N` bytes, which the caller fills.
    ///
    /// The length given to [`new`](Self::new) is computed from the same fields as what is appended, so that
    /// running out of room is a bug of this crate.
    #[inline(always)]
    pub(crate) fn fixed<const N: usize>(&mut self) -> &'a mut [u8; N] {
        let rest = core::mem::take(&mut self.rest);
        let Some((head, tail)) = rest.split_first_chunk_mut() else {
            unreachable!("encoded_len counts every byte that is put");
        };
        self.rest = tail;
        head
    }

    /// Appends `bytes`.
    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        let Some((head, tail)) = rest.split_at_mut_checked(bytes.len()) else {
            unreachable!("encoded_len counts every byte that is put");
        };
        head.copy_from_slice(bytes);
        self.rest = tail;
    }

    /// Appends `count` zero bytes.
    #[inline(always)]
    pub(crate) fn zeros(&mut self, count: usize) {
        let rest = core::mem::take(&mut self.rest);
        let Some((head, tail)) = rest.split_at_mut_checked(count) else {
            unreachable!("encoded_len counts every byte that is put");
        };
        head.fill(0);
        self.rest = tail;
    }

    /// Ends a frame: everything that `encoded_len` counted has been put.
    #[inline]
    pub(crate) fn finish(self) {
        debug_assert!(
            self.rest.is_empty(),
            "encoded_len counted {} bytes too many",
            self.rest.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec;

    use super::*;
    use crate::frame::{Content, FrameFields};
    use crate::ids::LockspaceId;
    use crate::msg::{MsgFields, MsgType, Tail};
    use crate::options::{Options, TlvOption};
    use crate::opts::{InnerFields, OptsFields};
    use crate::seq::Seq;
    use crate::testkit::{node, written};
    use crate::version::Version;

    fn frames<'a>(tail: &'a [u8], options: Options<'a>) -> [FrameFields<'a>; 4] {
        let msg = MsgFields {
            tail: Tail::Opaque(tail),
            ..MsgFields::new(LockspaceId::new(1), MsgType::Purge)
        };
        let opts = |inner| {
            Content::Opts(OptsFields {
                seq: Seq::new(1),
                options,
                inner,
            })
        };
        [
            Content::Ack(Seq::new(1)),
            Content::Msg(msg),
            opts(InnerFields::Msg(msg)),
            opts(InnerFields::Fin),
        ]
        .map(|content| FrameFields {
            version: Version::V3_2,
            node: node(1),
            content,
        })
    }

    #[test]
    fn frame_without_room_is_not_written_at_all() {
        for frame in frames(b"tail", Options::NONE) {
            let needed = frame.encoded_len();
            for room in 0..needed {
                let mut out = vec![0xaa; room];
                assert_eq!(
                    frame.encode_into(&mut out),
                    Err(EncodeError::NoRoom { needed, room })
                );
                assert!(out.iter().all(|byte| *byte == 0xaa));
            }
        }
    }

    #[test]
    fn bytes_behind_the_frame_are_left_alone() {
        for frame in frames(b"tail", Options::NONE) {
            let mut out = vec![0xaa; 200];
            let length = frame.encode_into(&mut out).expect("there is room");
            assert_eq!(out[..length], written(&frame));
            assert!(out[length..].iter().all(|byte| *byte == 0xaa));
        }
    }

    #[test]
    fn frame_may_have_65535_bytes_and_no_more() {
        let value = vec![7; 65_535];
        let too_long = |frame: &FrameFields<'_>| {
            let mut out = vec![0xaa; 140_000];
            let length = frame.encoded_len();
            assert_eq!(frame.encode_into(&mut out), Err(EncodeError::TooLong { length }));
            assert!(out.iter().all(|byte| *byte == 0xaa));
        };
        let [_, bare, ..] = frames(&value[88..], Options::NONE);
        assert_eq!(written(&bare).len(), 65_535);
        let [_, bare, ..] = frames(&value[87..], Options::NONE);
        too_long(&bare);
        let [_, _, wrapped, _] = frames(&value[88 + 24..], Options::NONE);
        assert_eq!(written(&wrapped).len(), 65_535);
        let [_, _, wrapped, _] = frames(&value[88 + 23..], Options::NONE);
        too_long(&wrapped);

        let option = |length| {
            [TlvOption {
                kind: 1,
                value: &value[..length],
            }]
        };
        let [.., fin] = frames(b"", Options::from_list(const { &[] }));
        assert_eq!(written(&fin).len(), 40);
        let longest = option(65_535 - 40 - 8);
        let [.., fin] = frames(b"", Options::from_list(&longest));
        assert_eq!(written(&fin).len(), 65_535);
        let longer = option(65_535 - 40 - 7);
        let [.., fin] = frames(b"", Options::from_list(&longer));
        too_long(&fin);
    }

    #[test]
    fn errors_show_the_numbers() {
        assert_eq!(
            EncodeError::NoRoom { needed: 16, room: 15 }.to_string(),
            "frame of 16 bytes does not fit into 15"
        );
        assert_eq!(
            EncodeError::TooLong { length: 65_536 }.to_string(),
            "frame of 65536 bytes exceeds 65535"
        );
    }
}
