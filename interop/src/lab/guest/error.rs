//! What goes wrong in the guest, said so that one line of a report is enough to find it.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What a step of the lab ends with.
pub type Result<T> = std::result::Result<T, LabError>;

/// Why a step could not be done, or did not show what it was to show.
#[derive(Debug)]
pub enum LabError {
    /// The system said no.
    System {
        /// What was tried, on what.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something did not happen in time.
    Deadline {
        /// What was waited for.
        waited_for: String,
        /// For how long.
        after: Duration,
        /// What was there instead, if that helps.
        seen: String,
    },
    /// Something else happened than was to happen.
    Unexpected(String),
    /// This kernel or this guest cannot do it: no failure.
    Unsupported(String),
}

impl LabError {
    /// The system's refusal of `what`, which names the object too.
    pub fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System {
            what: what.into(),
            source: source.into(),
        }
    }

    /// A failed expectation, in words.
    pub fn unexpected(what: impl Into<String>) -> Self {
        Self::Unexpected(what.into())
    }

    /// What is missing, in words.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { what, source } => write!(f, "{what}: {source}"),
            Self::Deadline {
                waited_for,
                after,
                seen,
            } => {
                write!(f, "waited {} ms for {waited_for}", after.as_millis())?;
                if !seen.is_empty() {
                    write!(f, "; seen: {seen}")?;
                }
                Ok(())
            }
            Self::Unexpected(what) => f.write_str(what),
            Self::Unsupported(what) => write!(f, "unsupported: {what}"),
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            Self::Deadline { .. } | Self::Unexpected(_) | Self::Unsupported(_) => None,
        }
    }
}

/// Names the place of a system's refusal.
pub(super) trait At<T> {
    /// `what` was tried on `path`.
    fn at(self, what: &str, path: &Path) -> Result<T>;
    /// `what` was tried.
    fn on(self, what: &str) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, what: &str, path: &Path) -> Result<T> {
        self.map_err(|source| LabError::system(format!("{what} {}", path.display()), source))
    }

    fn on(self, what: &str) -> Result<T> {
        self.map_err(|source| LabError::system(what, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_missed_names_what_was_waited_for_and_what_was_there() {
        let error = LabError::Deadline {
            waited_for: "state ESTABLISHED of node 2".to_owned(),
            after: Duration::from_millis(1500),
            seen: "CLOSED".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "waited 1500 ms for state ESTABLISHED of node 2; seen: CLOSED"
        );
    }
}
