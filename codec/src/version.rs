//! Protocol versions and commands (spec: wire 2).

use core::fmt;

use crate::error::ErrorKind;

/// The major number shared by both versions, in the upper half of `h_version`.
pub(crate) const MAJOR: u16 = 3;

/// A protocol version: what a peer is taken for decides how frames travel to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// 3.1: bare `DLM_MSG` and `DLM_RCOM`, nothing resent. Linux up to 5.13.
    V3_1,
    /// 3.2: numbered, acknowledged and resent in `DLM_OPTS`. Linux 5.14 and later.
    V3_2,
}

impl Version {
    /// The value of `h_version`.
    #[inline]
    pub const fn wire(self) -> u32 {
        match self {
            Self::V3_1 => 0x0003_0001,
            Self::V3_2 => 0x0003_0002,
        }
    }

    /// Reads `h_version`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownMajor`] or [`ErrorKind::UnknownMinor`].
    #[inline]
    pub const fn from_wire(version: u32) -> Result<Self, ErrorKind> {
        match version {
            0x0003_0001 => Ok(Self::V3_1),
            0x0003_0002 => Ok(Self::V3_2),
            _ => Err(Self::unknown(version)),
        }
    }

    #[cold]
    const fn unknown(version: u32) -> ErrorKind {
        let [minor_low, minor_high, major_low, major_high] = version.to_le_bytes();
        let minor = u16::from_le_bytes([minor_low, minor_high]);
        let major = u16::from_le_bytes([major_low, major_high]);
        if major == MAJOR {
            ErrorKind::UnknownMinor { minor }
        } else {
            ErrorKind::UnknownMajor { major }
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_1 => "3.1",
            Self::V3_2 => "3.2",
        })
    }
}

/// What a frame is: `h_cmd`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Command {
    /// `DLM_MSG`: lock traffic.
    Msg = 1,
    /// `DLM_RCOM`: recovery.
    Rcom = 2,
    /// `DLM_OPTS`: a numbered wrapper around one `MSG`, `RCOM` or `FIN`. 3.2 only.
    Opts = 3,
    /// `DLM_ACK`: everything before a number was accepted. 3.2 only.
    Ack = 4,
    /// `DLM_FIN`: the last numbered message of its sender. 3.2 only, never bare.
    Fin = 5,
}

impl Command {
    /// All commands, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Msg, Self::Rcom, Self::Opts, Self::Ack, Self::Fin];

    /// The value of `h_cmd`.
    #[inline]
    pub const fn wire(self) -> u8 {
        self as u8
    }

    /// Reads `h_cmd`, or `None` for a number that names no command.
    #[inline]
    pub const fn from_wire(command: u8) -> Option<Self> {
        match command {
            1 => Some(Self::Msg),
            2 => Some(Self::Rcom),
            3 => Some(Self::Opts),
            4 => Some(Self::Ack),
            5 => Some(Self::Fin),
            _ => None,
        }
    }

    /// The kernel's name without its `DLM_`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Msg => "MSG",
            Self::Rcom => "RCOM",
            Self::Opts => "OPTS",
            Self::Ack => "ACK",
            Self::Fin => "FIN",
        }
    }

    /// The smallest legal `h_length` of such a frame.
    #[inline]
    pub const fn length_min(self) -> u16 {
        match self {
            Self::Msg => 88,
            Self::Rcom => 48,
            Self::Opts => 24,
            Self::Ack | Self::Fin => 16,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_commands_read_back_what_they_write() {
        for version in [Version::V3_1, Version::V3_2] {
            assert_eq!(Version::from_wire(version.wire()), Ok(version));
        }
        for command in Command::ALL {
            assert_eq!(Command::from_wire(command.wire()), Some(command));
        }
        assert_eq!(Command::from_wire(0), None);
        assert_eq!(Command::from_wire(6), None);
    }

    #[test]
    fn unknown_versions_name_the_half_that_is_unknown() {
        assert_eq!(
            Version::from_wire(0x0003_0003),
            Err(ErrorKind::UnknownMinor { minor: 3 })
        );
        assert_eq!(
            Version::from_wire(0x0003_0000),
            Err(ErrorKind::UnknownMinor { minor: 0 })
        );
        assert_eq!(
            Version::from_wire(0x0004_0002),
            Err(ErrorKind::UnknownMajor { major: 4 })
        );
    }
}
