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

    /// Appends `bytes`.
    ///
    /// The length given to [`new`](Self::new) is computed from the same fields as what is put, so that
    /// running out of room is a bug of this crate.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        let Some((head, tail)) = rest.split_at_mut_checked(bytes.len()) else {
            unreachable!("encoded_len counts every byte that is put");
        };
        head.copy_from_slice(bytes);
        self.rest = tail;
    }

    /// Appends `count` zero bytes.
    #[inline]
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

/// `length` as `h_length`.
#[inline]
pub(crate) fn frame_length(length: usize) -> Result<u16, EncodeError> {
    u16::try_from(length).map_err(|_| EncodeError::TooLong { length })
}
