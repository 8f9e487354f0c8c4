//! Why a job could not be done.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

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
    /// Not hexadecimal.
    Hex { place: &'static str, source: HexError },
    /// Nothing to decode.
    NoBytes { place: &'static str },
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
            Self::Hex { place, source } => write!(f, "{place}: {source}"),
            Self::NoBytes { place } => write!(f, "{place}: no bytes to decode"),
        }
    }
}
