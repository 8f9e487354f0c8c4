//! A Unix socket that tells a node's status and takes commands: one JSON object per line, each answered by one.
//!
//! | request | answer |
//! |---|---|
//! | `{"v":1,"do":"status"}` | `{"v":1,"answer":"status","status":{..}}`, see [`NodeStatus`] |
//! | `{"v":1,"do":"add","node":2,"lockspace":"0x12aabd2d"}` | `{"v":1,"answer":"done"}` |
//! | `{"v":1,"do":"remove","node":2,"lockspace":"lvm_global"}` | `{"v":1,"answer":"done"}` |
//! | `{"v":1,"do":"fence","node":2}` | `{"v":1,"answer":"done"}` |
//! | `{"v":1,"do":"shutdown","timeout_ms":10000}` | `{"v":1,"answer":"shut_down","outcome":"clean"}` |
//! | `{"v":1,"do":"stop"}` | `{"v":1,"answer":"done"}` |
//! | anything that cannot be done | `{"v":1,"answer":"error","message":".."}` |
//!
//! `lockspace` is an id in hexadecimal behind `0x`, or a name, from which the id is made as `dlm_controld` does.
//! `v` is [`STATUS_VERSION`]; a request of another version is refused. Lines are bounded by
//! [`LINE_BYTES_MAX`], a connection that says nothing for two seconds is closed. Whoever may write to the socket
//! may do all this: it is made for its owner only.

mod server;

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{NodeStatus, STATUS_VERSION};

pub use server::Server;

/// The longest line of a request, in bytes.
pub const LINE_BYTES_MAX: usize = 4096;

/// The longest answer that a client reads, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Tells the status.
    Status,
    /// Lists a member.
    Add {
        /// The member's node id.
        node: u32,
        /// The lockspace, by id or name.
        lockspace: String,
    },
    /// Takes a member off the list.
    Remove {
        /// The member's node id.
        node: u32,
        /// The lockspace, by id or name.
        lockspace: String,
    },
    /// Says that a node is gone.
    Fence {
        /// Its node id.
        node: u32,
    },
    /// Leaves everything in order.
    Shutdown {
        /// How long to wait for the end, in milliseconds, at most a minute.
        timeout_ms: u64,
    },
    /// Ends the node's loop without goodbye.
    Stop,
}

/// What a node answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The status.
    Status {
        /// The node and its peers.
        status: Box<NodeStatus>,
    },
    /// It was taken; `add`, `remove` and `fence` do not wait for what follows.
    Done,
    /// Everything was left.
    ShutDown {
        /// How: `clean`, or the worst that happened.
        outcome: String,
    },
    /// It was not done.
    Error {
        /// Why, for people.
        message: String,
    },
}

/// A request or an answer with its version.
#[derive(Debug, Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    content: T,
}

/// Asks the node at `path` and waits for its answer.
///
/// # Errors
///
/// [`ControlError::Io`] if nobody listens there or no answer comes within `timeout`,
/// [`ControlError::Answer`] if the answer makes no sense.
pub fn request(path: &Path, request: &Request, timeout: Duration) -> Result<Answer, ControlError> {
    let mut stream = UnixStream::connect(path).map_err(ControlError::Io)?;
    stream.set_read_timeout(Some(timeout)).map_err(ControlError::Io)?;
    stream
        .set_write_timeout(Some(timeout))
        .map_err(ControlError::Io)?;
    let line = to_line(request);
    stream.write_all(line.as_bytes()).map_err(ControlError::Io)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX))
        .read_line(&mut answer)
        .map_err(ControlError::Io)?;
    from_line(&answer).map_err(|error| ControlError::Answer(error.to_string()))
}

fn to_line<T: Serialize>(content: &T) -> String {
    let versioned = Versioned {
        v: STATUS_VERSION,
        content,
    };
    // Only maps with keys that are no strings and failing serializers cannot be written; there are none here.
    let mut line = serde_json::to_string(&versioned)
        .unwrap_or_else(|error| unreachable!("answers can be written: {error}"));
    line.push('\n');
    line
}

fn from_line<T: for<'a> Deserialize<'a>>(line: &str) -> Result<T, serde_json::Error> {
    use serde::de::Error as _;

    let versioned: Versioned<T> = serde_json::from_str(line)?;
    if versioned.v != STATUS_VERSION {
        let message = format!("v is {}, this is version {STATUS_VERSION}", versioned.v);
        return Err(serde_json::Error::custom(message));
    }
    Ok(versioned.content)
}

/// Why a node could not be asked.
#[derive(Debug)]
pub enum ControlError {
    /// The socket failed, or no answer came in time.
    Io(io::Error),
    /// The answer makes no sense.
    Answer(String),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "control socket: {error}"),
            Self::Answer(error) => write!(f, "answer of the control socket: {error}"),
        }
    }
}

impl std::error::Error for ControlError {}
