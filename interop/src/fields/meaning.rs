//! What a number says, in the kernel's words.

use std::fmt;

use dlmwire_codec::{Asts, ExFlags, MsgFlags, RecoveryStatus, ResourceName, SbFlags, StatusFlags, Version};

/// What a field's value says to a person. Display gives the text, empty where the number says it all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning<'a> {
    /// The value says it all.
    None,
    /// The value has a name in no kernel.
    Unknown,
    /// A name: command, type, mode, queue, result.
    Word(&'static str),
    /// A protocol version.
    Version(Version),
    /// A number that people know in hexadecimal.
    Hex {
        /// The number.
        number: u64,
        /// How many digits it has on the wire.
        digits: usize,
    },
    /// A node.
    Node(u32),
    /// A resource name.
    Name(ResourceName<'a>),
    /// A negative errno of the sender's own numbering, without a name here.
    Errno(i32),
    /// `m_exflags`, `rl_exflags`.
    ExFlags(ExFlags),
    /// `m_sbflags`.
    SbFlags(SbFlags),
    /// `m_flags`, `rl_flags`.
    MsgFlags(MsgFlags),
    /// `rs_flags`.
    StatusFlags(StatusFlags),
    /// `m_asts`, `rl_asts`.
    Asts(Asts),
    /// `rc_result` of a `STATUS_REPLY`.
    RecoveryStatus(RecoveryStatus),
}

impl<'a> Meaning<'a> {
    pub(super) fn word(name: Option<&'static str>) -> Self {
        name.map_or(Self::Unknown, Self::Word)
    }

    pub(super) fn name(bytes: &'a [u8]) -> Self {
        ResourceName::new(bytes).map_or(Self::None, Self::Name)
    }

    pub(super) fn recovery(result: i32) -> Self {
        match u32::try_from(result) {
            Ok(bits) => Self::RecoveryStatus(RecoveryStatus::new(bits)),
            Err(_) => Self::errno(result),
        }
    }

    /// Recovery messages carry the sender's own errno; those that kernels are known to send have names.
    pub(super) fn errno(result: i32) -> Self {
        match result {
            0.. => Self::None,
            -2 => Self::Word("-ENOENT"),
            -3 => Self::Word("-ESRCH"),
            -11 => Self::Word("-EAGAIN"),
            -12 => Self::Word("-ENOMEM"),
            -17 => Self::Word("-EEXIST"),
            -22 => Self::Word("-EINVAL"),
            -53 => Self::Word("-EBADR"),
            -71 => Self::Word("-EPROTO"),
            _ => Self::Errno(result),
        }
    }

    /// Calls `take` with the name of each flag, lowest first, then with the bits that have none.
    ///
    /// `false` if this is not a set of flags.
    pub fn each_flag(&self, mut take: impl FnMut(Flag)) -> bool {
        macro_rules! each {
            ($set:expr) => {{
                $set.names().for_each(|name| take(Flag::Named(name)));
                if $set.unnamed() != 0 {
                    take(Flag::Unnamed($set.unnamed()));
                }
                true
            }};
        }
        match self {
            Self::ExFlags(set) => each!(set),
            Self::SbFlags(set) => each!(set),
            Self::MsgFlags(set) => each!(set),
            Self::StatusFlags(set) => each!(set),
            Self::Asts(set) => each!(set),
            Self::RecoveryStatus(set) => each!(set),
            Self::None
            | Self::Unknown
            | Self::Word(_)
            | Self::Version(_)
            | Self::Hex { .. }
            | Self::Node(_)
            | Self::Name(_)
            | Self::Errno(_) => false,
        }
    }
}

/// One of the flags that [`Meaning::each_flag`] names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flag {
    /// A flag by the kernel's name.
    Named(&'static str),
    /// All bits that no kernel names.
    Unnamed(u32),
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Unnamed(bits) => write!(f, "{bits:#x}"),
        }
    }
}

impl fmt::Display for Meaning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Unknown => f.write_str("no known value"),
            Self::Word(word) => f.write_str(word),
            Self::Version(version) => fmt::Display::fmt(version, f),
            Self::Hex { number, digits } => write!(f, "{number:#0width$x}", width = digits.saturating_add(2)),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Name(name) => write!(f, "\"{name}\""),
            Self::Errno(errno) => write!(f, "errno {}", errno.unsigned_abs()),
            Self::ExFlags(set) => fmt::Display::fmt(set, f),
            Self::SbFlags(set) => fmt::Display::fmt(set, f),
            Self::MsgFlags(set) => fmt::Display::fmt(set, f),
            Self::StatusFlags(set) => fmt::Display::fmt(set, f),
            Self::Asts(set) => fmt::Display::fmt(set, f),
            Self::RecoveryStatus(set) => fmt::Display::fmt(set, f),
        }
    }
}
