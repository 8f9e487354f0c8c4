//! Finding frames in a byte stream (spec: wire 1, 7).

use crate::error::{DecodeError, ErrorKind};
use crate::frame::Frame;
use crate::header::{AT_LENGTH, HEADER_LEN};
use crate::parse::{fixed, le16};

/// What a receiver takes at most.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// The largest `h_length`, in bytes. Below 16 no frame fits.
    pub frame_bytes_max: u16,
}

impl Limits {
    /// What every kernel uses in both directions: 4096 bytes (`DLM_MAX_SOCKET_BUFSIZE`).
    pub const KERNEL: Self = Self {
        frame_bytes_max: 4096,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::KERNEL
    }
}

/// The bytes of one whole frame, as long as its `h_length` says and within the limits.
///
/// Nothing else about them has been checked: [`decode`](Self::decode) does that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RawFrame<'a> {
    bytes: &'a [u8],
}

impl<'a> RawFrame<'a> {
    /// The frame's bytes, header first; at least 16.
    #[inline]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Reads the header and, in `OPTS`, the inner header; bodies are read on demand.
    ///
    /// # Errors
    ///
    /// Damage that leaves nothing to hand out. An `OPTS` that is sound up to its number is handed out even if
    /// what it holds is not: see [`Opts::inner`](crate::Opts::inner).
    #[inline(always)]
    pub fn decode(self) -> Result<Frame<'a>, DecodeError> {
        Frame::decode(self.bytes)
    }
}

/// What [`split`] found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Split<'a> {
    /// A whole frame, and what follows it.
    Frame {
        /// The frame.
        frame: RawFrame<'a>,
        /// The bytes behind it.
        rest: &'a [u8],
    },
    /// No whole frame yet.
    NeedMore {
        /// How many bytes are known to be missing; more may be once the header is there.
        missing: usize,
    },
    /// The length cannot be right: no later frame can be found, the link has to be closed.
    Lost(DecodeError),
}

/// The first frame of `bytes`, or what is missing.
///
/// Stateless: the caller owns the buffer and keeps the tail. The length field alone decides; with fewer than
/// 16 bytes there is nothing to decide on, so that the smallest answer is 16 minus what is there.
///
/// ```
/// use dlmwire_codec::{Frame, Limits, Split, split};
///
/// let stream = [2, 0, 3, 0, 42, 0, 0, 0, 2, 0, 0, 0, 16, 0, 4, 0, 2, 0, 3, 0];
/// let Split::Frame { frame, rest } = split(&stream, Limits::KERNEL) else { panic!() };
/// assert!(matches!(frame.decode(), Ok(Frame::Ack(ack)) if ack.seq.get() == 42));
/// assert_eq!(split(rest, Limits::KERNEL), Split::NeedMore { missing: 12 });
/// ```
#[inline(always)]
pub fn split(bytes: &[u8], limits: Limits) -> Split<'_> {
    let Some((head, _)) = fixed::<HEADER_LEN>(bytes) else {
        return Split::NeedMore {
            missing: HEADER_LEN.saturating_sub(bytes.len()),
        };
    };
    let length = le16!(head, 12);
    let needed = usize::from(length);
    if needed < HEADER_LEN {
        let kind = ErrorKind::LengthBelowHeader { length };
        return Split::Lost(DecodeError::new(kind, AT_LENGTH));
    }
    let limit = limits.frame_bytes_max;
    if needed > usize::from(limit) {
        let kind = ErrorKind::LengthAboveLimit { length, limit };
        return Split::Lost(DecodeError::new(kind, AT_LENGTH));
    }
    match bytes.split_at_checked(needed) {
        Some((frame, rest)) => Split::Frame {
            frame: RawFrame { bytes: frame },
            rest,
        },
        None => Split::NeedMore {
            missing: needed.saturating_sub(bytes.len()),
        },
    }
}
