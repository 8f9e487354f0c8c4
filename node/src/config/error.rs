//! What is wrong with a configuration file: which file, which line, which key, which value.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use dlmwire_transport::RosterError;

use super::ConfigError;

/// Why a configuration file cannot be used.
#[derive(Debug)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1 on, if it is about one.
    pub line: Option<usize>,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What is wrong with a configuration file.
#[derive(Debug)]
pub enum Flaw {
    /// It cannot be read.
    Io(io::Error),
    /// It is not written in its language, or holds a key that nobody knows.
    Syntax(String),
    /// A key has a value that it cannot have.
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A key is missing.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// The settings cannot work.
    Config(ConfigError),
    /// The nodes' addresses make no roster.
    Roster(RosterError),
}

impl FileError {
    pub(super) fn new(path: &Path, line: Option<usize>, flaw: Flaw) -> Self {
        Self {
            path: path.to_owned(),
            line,
            flaw,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.flaw {
            Flaw::Io(error) => write!(f, ": {error}"),
            Flaw::Syntax(message) => write!(f, ": {message}"),
            Flaw::Value { key, value, expected } => write!(f, ": {key} = {value}: expected {expected}"),
            Flaw::Missing { key } => write!(f, ": {key} is missing"),
            Flaw::Config(error) => write!(f, ": {error}"),
            Flaw::Roster(error) => write!(f, ": {error}"),
        }
    }
}

impl std::error::Error for FileError {}
