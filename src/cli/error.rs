//! Why a job could not be done.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use dlmwire_codec::{LockspaceId, NodeId};

use super::hex::HexError;

/// Why a job could not be done. Display is the line for standard error: the place, then the reason.
#[derive(Debug)]
pub(crate) enum Error {
    /// Whoever read our output has heard enough: not a failure.
    OutputClosed,
    /// Our output cannot be written.
    Output(io::Error),
    /// A file cannot be read.
    Read { place: PathBuf, source: io::Error },
    /// A file cannot be written.
    Write { place: PathBuf, source: io::Error },
    /// A capture cannot be read.
    Capture {
        place: PathBuf,
        source: dlmwire_interop::capture::CaptureError,
    },
    /// A capture cannot be read to its end, or there is nothing in it to work on.
    Unread { place: PathBuf, reason: String },
    /// Not hexadecimal.
    Hex { place: &'static str, source: HexError },
    /// Nothing to decode.
    NoBytes { place: &'static str },
    /// More than is taken at once.
    TooMuch { place: &'static str, limit_bytes: u64 },
    /// A node's settings cannot be used.
    Config(dlmwire_node::config::FileError),
    /// Nobody listens where a node should.
    NoNode { place: PathBuf },
    /// `--node` gives an address to two nodes.
    TwoNodes { address: IpAddr, nodes: [NodeId; 2] },
    /// The kernel lab could not do it.
    #[cfg(target_os = "linux")]
    Lab(dlmwire_interop::lab::error::LabError),
    /// `--lockspace` gives an id two names.
    TwoNames { id: LockspaceId, names: [String; 2] },
}

impl Error {
    pub(crate) fn read(place: &Path, source: io::Error) -> Self {
        Self::Read {
            place: place.to_owned(),
            source,
        }
    }

    pub(crate) fn write(place: &Path, source: io::Error) -> Self {
        Self::Write {
            place: place.to_owned(),
            source,
        }
    }
}

/// From writing our output, the only thing that is written without naming a place.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Output(error)
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputClosed => f.write_str("standard output: closed"),
            Self::Output(source) => write!(f, "standard output: {source}"),
            Self::Read { place, source } | Self::Write { place, source } => {
                write!(f, "{}: {source}", place.display())
            }
            Self::Capture { place, source } => write!(f, "{}: {source}", place.display()),
            Self::Unread { place, reason } => write!(f, "{}: {reason}", place.display()),
            Self::Hex { place, source } => write!(f, "{place}: {source}"),
            Self::NoBytes { place } => write!(f, "{place}: no bytes to decode"),
            Self::TooMuch { place, limit_bytes } => {
                let limit = limit_bytes >> 20;
                write!(f, "{place}: more than {limit} MiB of text, which is the limit")
            }
            Self::Config(source) => source.fmt(f),
            Self::NoNode { place } => write!(f, "no node listens at {}", place.display()),
            Self::TwoNodes {
                address,
                nodes: [one, other],
            } => write!(f, "--node: {address} cannot be both node {one} and node {other}"),
            #[cfg(target_os = "linux")]
            Self::Lab(source) => source.fmt(f),
            Self::TwoNames {
                id,
                names: [one, other],
            } => write!(f, "--lockspace: {id} cannot be both {one:?} and {other:?}"),
        }
    }
}
