//! What can be wrong with bytes, and what to do about it (spec: wire 7).

use core::fmt;

use crate::version::{Command, Version};

/// Bytes that make no sense, and where.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Offset of the offending field from the start of the frame, in bytes.
    pub offset: usize,
}

impl DecodeError {
    #[cold]
    pub(crate) const fn new(kind: ErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// The same error in a frame that has `base` more bytes in front.
    #[cold]
    pub(crate) const fn behind(self, base: usize) -> Self {
        Self {
            kind: self.kind,
            offset: self.offset.saturating_add(base),
        }
    }

    /// What a receiver does with such a frame.
    pub const fn disposition(&self) -> Disposition {
        self.kind.disposition()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at offset {})", self.kind, self.offset)
    }
}

impl core::error::Error for DecodeError {}

/// What a receiver does with a frame that it cannot take.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Disposition {
    /// Drop this frame; its length is sound, so the next one still decodes.
    SkipFrame,
    /// Framing is lost: nothing behind this point can be trusted, close the link.
    ///
    /// Deviation: kernels leave the link open, out of step (up to 6.1) or never read again (6.12 and later).
    CloseLink,
}

/// The kinds of damage, each with the numbers that show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `h_length` is smaller than the header that holds it.
    LengthBelowHeader {
        /// `h_length`.
        length: u16,
    },
    /// `h_length` is larger than any frame may be.
    LengthAboveLimit {
        /// `h_length`.
        length: u16,
        /// The limit in force, see [`Limits`](crate::Limits).
        limit: u16,
    },
    /// The upper half of `h_version` is not 3.
    UnknownMajor {
        /// The major number.
        major: u16,
    },
    /// The lower half of `h_version` is neither 1 nor 2.
    UnknownMinor {
        /// The minor number.
        minor: u16,
    },
    /// `h_cmd` names no command.
    UnknownCommand {
        /// `h_cmd`.
        command: u8,
    },
    /// `h_nodeid` is 0.
    NodeZero,
    /// `h_length` is smaller than the fixed part of its command.
    BodyTooShort {
        /// The frame's command.
        command: Command,
        /// `h_length`.
        length: u16,
    },
    /// An `ACK` is longer than its header.
    AckTooLong {
        /// `h_length`.
        length: u16,
    },
    /// A `FIN` stands outside `OPTS`.
    BareFin,
    /// `OPTS`, `ACK` and `FIN` do not exist in 3.1.
    NotIn3_1 {
        /// The frame's command.
        command: Command,
    },
    /// `o_optlen` points behind the frame's end.
    OptionsBeyondFrame {
        /// `o_optlen`.
        option_bytes: u16,
        /// Bytes that follow the `OPTS` header.
        present: usize,
    },
    /// `o_nextcmd` is not `MSG`, `RCOM` or `FIN`.
    NextCommand {
        /// `o_nextcmd`.
        command: u8,
    },
    /// Fewer bytes than a header remain for the inner message.
    InnerHeaderMissing {
        /// Bytes that remain.
        present: usize,
    },
    /// The inner `h_length` is smaller than the fixed part of its command.
    InnerTooShort {
        /// The inner command.
        command: Command,
        /// The inner `h_length`.
        length: u16,
    },
    /// The inner `h_length` points behind the outer frame's end.
    InnerBeyondFrame {
        /// The inner `h_length`.
        length: u16,
        /// Bytes that the outer frame has for it.
        present: usize,
    },
    /// The inner `h_length` leaves bytes of the outer frame unused.
    InnerShorterThanFrame {
        /// The inner `h_length`.
        length: u16,
        /// Bytes that the outer frame has for it.
        present: usize,
    },
    /// The inner `h_cmd` is not what `o_nextcmd` says.
    InnerCommandDiffers {
        /// The inner `h_cmd`.
        inner: u8,
        /// `o_nextcmd`.
        announced: Command,
    },
    /// The inner `h_version` is not the outer one.
    InnerVersionDiffers {
        /// The inner `h_version`.
        inner: u32,
        /// The outer version.
        outer: Version,
    },
    /// The inner `h_nodeid` is not the outer one.
    InnerNodeDiffers {
        /// The inner `h_nodeid`.
        inner: u32,
        /// The outer `h_nodeid`.
        outer: u32,
    },
    /// A resource name is empty or longer than 64 bytes.
    NameLength {
        /// The name's length in bytes.
        length: usize,
    },
    /// An `RCOM` payload is shorter than the structure that it must hold.
    PayloadTooShort {
        /// `rc_type`.
        rcom_type: u32,
        /// Bytes of payload.
        length: usize,
        /// Bytes that the structure has.
        needed: usize,
    },
    /// `rf_num_slots` counts more slots than the payload holds.
    SlotsBeyondPayload {
        /// `rf_num_slots`.
        slots: u16,
        /// Bytes that follow the configuration.
        present: usize,
    },
    /// A name in a `NAMES_REPLY` runs behind the payload's end, or no terminator follows the last one.
    NamesOverrun {
        /// Bytes that the name or the terminator needs.
        needed: usize,
        /// Bytes that remain.
        present: usize,
    },
    /// The header of an option runs behind the options' end.
    OptionHeaderTruncated {
        /// Bytes that remain.
        present: usize,
    },
    /// `t_length` is 0 or points behind the options' end.
    OptionLength {
        /// `t_length`.
        length: u16,
        /// Bytes that remain for the value.
        present: usize,
    },
}

impl ErrorKind {
    /// What a receiver does with a frame damaged like this.
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::LengthBelowHeader { .. } | Self::LengthAboveLimit { .. } => Disposition::CloseLink,
            Self::UnknownMajor { .. }
            | Self::UnknownMinor { .. }
            | Self::UnknownCommand { .. }
            | Self::NodeZero
            | Self::BodyTooShort { .. }
            | Self::AckTooLong { .. }
            | Self::BareFin
            | Self::NotIn3_1 { .. }
            | Self::OptionsBeyondFrame { .. }
            | Self::NextCommand { .. }
            | Self::InnerHeaderMissing { .. }
            | Self::InnerTooShort { .. }
            | Self::InnerBeyondFrame { .. }
            | Self::InnerShorterThanFrame { .. }
            | Self::InnerCommandDiffers { .. }
            | Self::InnerVersionDiffers { .. }
            | Self::InnerNodeDiffers { .. }
            | Self::NameLength { .. }
            | Self::PayloadTooShort { .. }
            | Self::SlotsBeyondPayload { .. }
            | Self::NamesOverrun { .. }
            | Self::OptionHeaderTruncated { .. }
            | Self::OptionLength { .. } => Disposition::SkipFrame,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LengthBelowHeader { length } => write!(f, "frame length {length} is below the header's 16"),
            Self::LengthAboveLimit { length, limit } => {
                write!(f, "frame length {length} exceeds limit {limit}")
            }
            Self::UnknownMajor { major } => write!(f, "unknown major version {major}"),
            Self::UnknownMinor { minor } => write!(f, "unknown minor version 3.{minor}"),
            Self::UnknownCommand { command } => write!(f, "unknown command {command}"),
            Self::NodeZero => f.write_str("node id is 0"),
            Self::BodyTooShort { command, length } => {
                write!(
                    f,
                    "{command} of {length} bytes is shorter than its fixed {}",
                    command.length_min()
                )
            }
            Self::AckTooLong { length } => write!(f, "ACK of {length} bytes is longer than its 16"),
            Self::BareFin => f.write_str("FIN outside OPTS"),
            Self::NotIn3_1 { command } => write!(f, "{command} does not exist in version 3.1"),
            Self::OptionsBeyondFrame {
                option_bytes,
                present,
            } => {
                write!(
                    f,
                    "{option_bytes} bytes of options exceed the {present} that follow the OPTS header"
                )
            }
            Self::NextCommand { command } => write!(f, "OPTS announces command {command}"),
            Self::InnerHeaderMissing { present } => {
                write!(f, "{present} bytes are left for the inner header of 16")
            }
            Self::InnerTooShort { command, length } => {
                write!(
                    f,
                    "inner {command} of {length} bytes is shorter than its fixed {}",
                    command.length_min()
                )
            }
            Self::InnerBeyondFrame { length, present } => {
                write!(
                    f,
                    "inner length {length} exceeds the {present} bytes that the frame has for it"
                )
            }
            Self::InnerShorterThanFrame { length, present } => {
                write!(
                    f,
                    "inner length {length} leaves part of the frame's {present} bytes unused"
                )
            }
            Self::InnerCommandDiffers { inner, announced } => {
                write!(f, "inner command {inner} is not the announced {announced}")
            }
            Self::InnerVersionDiffers { inner, outer } => {
                write!(f, "inner version {inner:#010x} is not the outer {outer}")
            }
            Self::InnerNodeDiffers { inner, outer } => {
                write!(f, "inner node id {inner} is not the outer {outer}")
            }
            Self::NameLength { length } => write!(f, "name of {length} bytes, must be 1 to 64"),
            Self::PayloadTooShort {
                rcom_type,
                length,
                needed,
            } => {
                write!(
                    f,
                    "payload of {length} bytes in RCOM type {rcom_type}, needs {needed}"
                )
            }
            Self::SlotsBeyondPayload { slots, present } => {
                write!(
                    f,
                    "{slots} slots exceed the {present} bytes that follow the configuration"
                )
            }
            Self::NamesOverrun { needed, present } => {
                write!(f, "name list needs {needed} bytes where {present} are left")
            }
            Self::OptionHeaderTruncated { present } => {
                write!(f, "{present} bytes are left for an option header of 8")
            }
            Self::OptionLength { length, present } => {
                write!(f, "option length {length} where {present} bytes are left")
            }
        }
    }
}
