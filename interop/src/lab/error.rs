//! Why the lab could not do its job.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the lab could not do its job. Display is one line: the place, then the reason.
#[derive(Debug)]
pub enum LabError {
    /// A program that is needed is not installed.
    Tool {
        /// The program.
        tool: &'static str,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// A kernel that is known but not there.
    NotFetched {
        /// Its label.
        label: String,
    },
    /// No kernel goes by this label, and no file is there.
    UnknownKernel {
        /// What was asked for.
        label: String,
    },
    /// A kernel's files are not what they should be.
    Kernel {
        /// The file or directory.
        place: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system said no.
    Io {
        /// The file or directory.
        place: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A program that was run failed.
    Command {
        /// The program and what it was told.
        command: String,
        /// Its last lines, or why it could not be run.
        reason: String,
    },
    /// A package cannot be had.
    Package {
        /// Which packages, and where they are put when downloaded by hand.
        wanted: String,
        /// Why not.
        reason: String,
    },
    /// A path that cannot be told to a guest.
    Path {
        /// The path.
        place: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// It was told to stop.
    Stopped,
}

impl LabError {
    pub(super) fn io(place: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let place = place.to_owned();
        move |source| Self::Io { place, source }
    }

    pub(super) fn kernel(place: &Path, reason: impl Into<String>) -> Self {
        Self::Kernel {
            place: place.to_owned(),
            reason: reason.into(),
        }
    }

    /// Whether this is not a fault but something that can be had.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Tool { .. } | Self::NotFetched { .. })
    }
}

impl std::error::Error for LabError {}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool { tool, package } => write!(f, "{tool} is not installed (package {package})"),
            Self::NotFetched { label } => write!(f, "not fetched (dlmwire lab fetch {label})"),
            Self::UnknownKernel { label } => {
                write!(f, "{label:?}: no such kernel; see dlmwire lab kernels")
            }
            Self::Kernel { place, reason } => write!(f, "{}: {reason}", place.display()),
            Self::Io { place, source } => write!(f, "{}: {source}", place.display()),
            Self::Command { command, reason } => write!(f, "{command}: {reason}"),
            Self::Package { wanted, reason } => write!(f, "{reason}; {wanted}"),
            Self::Path { place, reason } => write!(f, "{}: {reason}", place.display()),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
