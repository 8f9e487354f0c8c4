//! What can be done to a connection, where, and to which bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest time that any fault lasts, in milliseconds.
pub const FAULT_MS_MAX: u64 = 3_600_000;

/// The longest pause between two pieces of a [`Fault::Split`], in microseconds.
pub const GAP_US_MAX: u64 = 1_000_000;

/// The most pieces that one [`Fault::Split`] makes.
pub const PIECES_MAX: usize = 1024;

/// Which way bytes go through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the node that dialled the proxy to the one that the proxy dialled.
    Forward,
    /// From the node that the proxy dialled to the one that dialled the proxy.
    Back,
}

impl Direction {
    /// Both, in the order in which everything about them is stored and shown.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Back];

    /// Position in [`ALL`](Self::ALL).
    pub(super) fn index(self) -> usize {
        match self {
            Self::Forward => 0,
            Self::Back => 1,
        }
    }

    /// The word for it in options, schedules and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Back => "back",
        }
    }
}

/// Whose socket is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The node that dialled the proxy.
    Client,
    /// The node that the proxy dialled.
    Server,
    /// The two of them.
    Both,
}

impl Side {
    /// The word for it in options, schedules and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Both => "both",
        }
    }
}

/// One thing that is done to a connection when so and so many bytes have gone one way.
///
/// Offsets are promises, durations are only bounds from below. No byte changes, gets lost or changes places unless
/// it says so here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// From here on so many bytes a second and no more, this way.
    Bandwidth {
        /// Bytes a second, at least 1.
        bytes_per_s: u64,
        /// For so many bytes; to the end of the connection where it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
    },
    /// The next bytes go on in pieces of these lengths, each in a write of its own.
    Split {
        /// Lengths in bytes: 1 to [`PIECES_MAX`] of them, each at least 1.
        pieces: Vec<u32>,
        /// Pause behind each piece in microseconds, at most [`GAP_US_MAX`].
        gap_us: u64,
    },
    /// Bytes are held back until so many are there or the time is over, then go on together, in one write if no
    /// other fault lies among them.
    Coalesce {
        /// Bytes to wait for, at least 1; never more than the buffer takes.
        bytes: u32,
        /// How long to wait for them, in milliseconds.
        ms: u64,
    },
    /// What lies behind this place waits in the proxy, which goes on reading until its buffer is full.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Nothing is read or forwarded this way: the sender's window closes.
    Stall {
        /// Milliseconds.
        ms: u64,
    },
    /// Both ways everything is taken and thrown away, ends included, with both sockets open; then both are reset.
    HalfOpen {
        /// Milliseconds.
        ms: u64,
    },
    /// The connection is reset (`SO_LINGER` 0). The side that is not meant sees a clean end.
    Rst {
        /// Who sees the reset.
        side: Side,
    },
    /// This way ends (`shutdown`): what still comes is thrown away. The other way goes on.
    Fin {},
    /// Both ways end.
    Close {},
    /// The byte at this place is changed.
    Flip {
        /// Exclusive or with this, not 0.
        mask: u8,
    },
    /// The connection is reset as soon as it is accepted, and for a time nobody listens.
    Refuse {
        /// Milliseconds.
        ms: u64,
    },
}

impl Fault {
    /// The word for it in options, schedules and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bandwidth { .. } => "bandwidth",
            Self::Split { .. } => "split",
            Self::Coalesce { .. } => "coalesce",
            Self::Delay { .. } => "delay",
            Self::Stall { .. } => "stall",
            Self::HalfOpen { .. } => "half_open",
            Self::Rst { .. } => "rst",
            Self::Fin {} => "fin",
            Self::Close {} => "close",
            Self::Flip { .. } => "flip",
            Self::Refuse { .. } => "refuse",
        }
    }

    /// Whether every number is within its limits.
    ///
    /// # Errors
    ///
    /// The first that is not, by name, value and limit.
    pub fn check(&self) -> Result<(), FaultError> {
        match self {
            Self::Bandwidth { bytes_per_s, bytes } => {
                within("bytes_per_s", *bytes_per_s, 1, u64::MAX)?;
                bytes.map_or(Ok(()), |bytes| within("bytes", bytes, 1, u64::MAX))
            }
            Self::Split { pieces, gap_us } => {
                let count = u64::try_from(pieces.len()).unwrap_or(u64::MAX);
                within("number of pieces", count, 1, PIECES_MAX as u64)?;
                for &piece in pieces {
                    within("piece", piece.into(), 1, u32::MAX.into())?;
                }
                within("gap_us", *gap_us, 0, GAP_US_MAX)
            }
            Self::Coalesce { bytes, ms } => {
                within("bytes", (*bytes).into(), 1, u32::MAX.into())?;
                within("ms", *ms, 0, FAULT_MS_MAX)
            }
            Self::Delay { ms } | Self::Stall { ms } | Self::HalfOpen { ms } | Self::Refuse { ms } => {
                within("ms", *ms, 0, FAULT_MS_MAX)
            }
            Self::Flip { mask } => within("mask", (*mask).into(), 1, 255),
            Self::Rst { .. } | Self::Fin {} | Self::Close {} => Ok(()),
        }
    }
}

/// For people: the fault and its parameters.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bandwidth { bytes_per_s, bytes } => {
                write!(f, "bandwidth {bytes_per_s} bytes/s")?;
                bytes.map_or(Ok(()), |bytes| write!(f, " for {bytes} bytes"))
            }
            Self::Split { pieces, gap_us } => {
                let total: u64 = pieces.iter().map(|&piece| u64::from(piece)).sum();
                write!(
                    f,
                    "split {total} bytes in {} pieces, {gap_us} us apart",
                    pieces.len()
                )
            }
            Self::Coalesce { bytes, ms } => write!(f, "coalesce {bytes} bytes for at most {ms} ms"),
            Self::Delay { ms } => write!(f, "delay {ms} ms"),
            Self::Stall { ms } => write!(f, "stall {ms} ms"),
            Self::HalfOpen { ms } => write!(f, "half-open for {ms} ms"),
            Self::Rst { side } => write!(f, "rst to {}", side.name()),
            Self::Fin {} => f.write_str("fin"),
            Self::Close {} => f.write_str("close"),
            Self::Flip { mask } => write!(f, "flip with {mask:#04x}"),
            Self::Refuse { ms } => write!(f, "refuse for {ms} ms"),
        }
    }
}

/// A number in a fault is out of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultError {
    /// Which number.
    pub name: &'static str,
    /// What it is.
    pub value: u64,
    /// The smallest that is taken.
    pub min: u64,
    /// The largest that is taken.
    pub max: u64,
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            min,
            max,
        } = self;
        if *max == u64::MAX {
            write!(f, "{name} {value} is below {min}")
        } else {
            write!(f, "{name} {value} is not within {min}..{max}")
        }
    }
}

impl std::error::Error for FaultError {}

/// Whether a number is within its limits.
pub(super) fn within(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), FaultError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(FaultError {
            name,
            value,
            min,
            max,
        })
    }
}
