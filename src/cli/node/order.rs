//! The lines of standard input.

use std::io::{self, BufRead};

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::PAYLOAD_BYTES_MAX;
use dlmwire_node::config::parse_lockspace;
use serde::Deserialize;
use serde_json::Value;

/// The longest line in bytes: the longest payload with every byte escaped, and room for the rest.
pub(in crate::cli) const LINE_BYTES_MAX: usize = 6 * PAYLOAD_BYTES_MAX + 1024;

/// What a line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Sends a message.
    Send {
        to: Target,
        lockspace: Option<LockspaceId>,
        payload: Vec<u8>,
    },
    /// Lists a member.
    Add(NodeId, Option<LockspaceId>),
    /// Takes a member off the list.
    Remove(NodeId, Option<LockspaceId>),
    /// Says that a node is gone.
    Fence(NodeId),
    /// Tells the status.
    Status,
    /// Leaves everything in order.
    Shutdown,
}

/// To whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Node(NodeId),
    All,
}

/// Every key that there is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    to: Option<Value>,
    data: Option<String>,
    hex: Option<String>,
    lockspace: Option<String>,
    add: Option<u32>,
    remove: Option<u32>,
    fence: Option<u32>,
    status: Option<bool>,
    shutdown: Option<bool>,
}

impl Order {
    /// What a line asks for, or what is wrong with it.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let keys: Keys = serde_json::from_slice(line).map_err(|error| without_place(&error))?;
        let verbs = [
            keys.to.is_some(),
            keys.add.is_some(),
            keys.remove.is_some(),
            keys.fence.is_some(),
            keys.status.is_some(),
            keys.shutdown.is_some(),
        ];
        if verbs.into_iter().filter(|there| *there).count() != 1 {
            return Err("expected one of to, add, remove, fence, status, shutdown".to_owned());
        }
        if keys.to.is_none() && (keys.data.is_some() || keys.hex.is_some()) {
            return Err("data and hex belong to a message, with to".to_owned());
        }
        let lockspace = keys.lockspace.as_deref().map(lockspace).transpose()?;
        if let Some(to) = keys.to {
            let payload = payload(keys.data, keys.hex.as_deref())?;
            return Ok(Self::Send {
                to: target(&to)?,
                lockspace,
                payload,
            });
        }
        if let Some(node) = keys.add {
            return Ok(Self::Add(node_id("add", node)?, lockspace));
        }
        if let Some(node) = keys.remove {
            return Ok(Self::Remove(node_id("remove", node)?, lockspace));
        }
        if lockspace.is_some() {
            return Err("lockspace belongs to to, add and remove".to_owned());
        }
        if let Some(node) = keys.fence {
            return Ok(Self::Fence(node_id("fence", node)?));
        }
        match (keys.status, keys.shutdown) {
            (Some(true), None) => Ok(Self::Status),
            (None, Some(true)) => Ok(Self::Shutdown),
            _ => Err("status and shutdown are true or left out".to_owned()),
        }
    }
}

fn target(to: &Value) -> Result<Target, String> {
    if to.as_str() == Some("all") {
        return Ok(Target::All);
    }
    let node = to
        .as_u64()
        .and_then(|id| u32::try_from(id).ok())
        .and_then(NodeId::new);
    node.map(Target::Node)
        .ok_or_else(|| format!("to = {to}: expected a node id or \"all\""))
}

fn node_id(key: &str, id: u32) -> Result<NodeId, String> {
    NodeId::new(id).ok_or_else(|| format!("{key} = 0: expected a node id from 1 on"))
}

fn lockspace(text: &str) -> Result<LockspaceId, String> {
    parse_lockspace(text).map_err(|expected| format!("lockspace = {text:?}: expected {expected}"))
}

fn payload(data: Option<String>, hex: Option<&str>) -> Result<Vec<u8>, String> {
    let bytes = match (data, hex) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => from_hex(text)?,
        _ => return Err("a message has data or hex, and not both".to_owned()),
    };
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(format!(
            "payload of {} bytes exceeds limit {PAYLOAD_BYTES_MAX}",
            bytes.len()
        ));
    }
    Ok(bytes)
}

/// Digits in pairs and nothing else: there is one way to write it.
pub(in crate::cli) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect();
    bytes
        .filter(|_| rest.is_empty())
        .ok_or_else(|| "hex: expected pairs of hexadecimal digits".to_owned())
}

/// What the JSON reader says: its line is always 1, its column is worth telling.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    match error.column() {
        0 => message.to_owned(),
        column => format!("column {column}: {message}"),
    }
}

/// Reads lines of bounded length and counts them.
pub(in crate::cli) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    count: u64,
}

/// A line of input.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::cli) enum Line<'a> {
    Whole(&'a [u8]),
    /// It is longer than [`LINE_BYTES_MAX`] and was skipped.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(in crate::cli) const fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            count: 0,
        }
    }

    /// The number of the last line, from 1 on.
    pub(in crate::cli) const fn count(&self) -> u64 {
        self.count
    }

    /// The next line without its end; `None` at the end of input.
    pub(in crate::cli) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut skipping = false;
        let mut begun = false;
        loop {
            let bytes = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if bytes.is_empty() {
                break;
            }
            begun = true;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let piece = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            if self.line.len() + piece.len() > LINE_BYTES_MAX {
                skipping = true;
            }
            if !skipping {
                self.line.extend_from_slice(piece);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !begun {
            return Ok(None);
        }
        self.count += 1;
        Ok(Some(if skipping {
            Line::TooLong
        } else {
            Line::Whole(&self.line)
        }))
    }
}

#[cfg(test)]
mod tests;
