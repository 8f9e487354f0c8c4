//! The lines of standard output.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use dlmwire_node::NodeStatus;
use serde::{Serialize, Serializer};

/// A message that came.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) from: u32,
    /// None for what travels bare, as everything of a 3.1 peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seq: Option<u32>,
    /// Only of another group than ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lockspace: Option<String>,
    #[serde(flatten)]
    pub(super) content: Content<'a>,
}

/// What is in a message.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content<'a> {
    /// Text.
    Data(&'a str),
    /// Bytes that are no text.
    Hex(Hex<'a>),
    /// A lock manager's message with its header: no application message.
    Frame(Hex<'a>),
}

impl<'a> Content<'a> {
    pub(super) fn of(payload: &'a [u8]) -> Self {
        str::from_utf8(payload).map_or(Self::Hex(Hex(payload)), Self::Data)
    }
}

/// Bytes, shown in hexadecimal.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the process itself says, besides messages and the node's events.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Told<'a> {
    /// It listens: the first line.
    Started {
        node: u32,
        listen: SocketAddr,
        control: &'a Path,
    },
    /// It is over: the last line. `lost` counts what was accepted and not acknowledged, `outcome` is none if the
    /// deadline came first.
    Stopped { outcome: Option<&'a str>, lost: u64 },
}

/// The answer to `{"status":true}`.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    pub(super) status: &'a NodeStatus,
}

/// A line of standard input that could not be carried out.
#[derive(Serialize)]
pub(super) struct Failed<'a> {
    pub(super) error: &'a str,
    pub(super) line: u64,
}
