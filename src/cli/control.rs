//! How `status` and `member` reach a running node: its control socket.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_node::config;
use dlmwire_node::control::{self, Answer, ControlError, Request};

use super::error::Error;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sockets that are named when there are several to choose from.
const SHOWN_MAX: usize = 5;

/// Which node is asked.
#[derive(clap::Args)]
#[command(next_help_heading = "Which node")]
pub(crate) struct ControlArgs {
    /// The node's control socket; else the only one in the default directory
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// The node that has this id and the default socket
    #[arg(long, value_name = "N", value_parser = node_id, conflicts_with = "control")]
    id: Option<NodeId>,

    /// The node that was started with this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["control", "id"])]
    config: Option<PathBuf>,
}

impl ControlArgs {
    /// Where the node listens.
    pub(crate) fn path(&self) -> Result<PathBuf, Error> {
        if let Some(path) = &self.control {
            return Ok(path.clone());
        }
        if let Some(path) = &self.config {
            let file = config::read_toml(path).map_err(Error::Config)?;
            return Ok(file
                .control
                .unwrap_or_else(|| default_path(file.node.engine.node)));
        }
        match self.id {
            Some(node) => Ok(default_path(node)),
            None => only_socket(&default_directory()),
        }
    }
}

/// A node id of a command line.
pub(crate) fn node_id(text: &str) -> Result<NodeId, String> {
    let id = text.parse().ok().and_then(NodeId::new);
    id.ok_or_else(|| "a node id is a number from 1 to 4294967295".to_owned())
}

/// Where a node listens unless it is told otherwise.
pub(crate) fn default_path(node: NodeId) -> PathBuf {
    default_directory().join(format!("node-{node}.sock"))
}

fn default_directory() -> PathBuf {
    let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty());
    let runtime = runtime.map_or_else(|| PathBuf::from("/run"), PathBuf::from);
    runtime.join("dlmwire")
}

/// Asks the node at `path`. An answer that says no is an error here.
pub(crate) fn ask(path: &Path, request: &Request) -> Result<Answer, Error> {
    let answer = control::request(path, request, TIMEOUT).map_err(|error| match error {
        ControlError::Io(error) => unreachable_node(path, error),
        error @ ControlError::Answer(_) => refused(path, error.to_string()),
    })?;
    match answer {
        Answer::Error { message } => Err(refused(path, message)),
        answer => Ok(answer),
    }
}

/// The node's answer makes no sense here, or is no.
pub(crate) fn refused(path: &Path, reason: String) -> Error {
    Error::Unread {
        place: path.to_owned(),
        reason,
    }
}

fn unreachable_node(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::NoNode {
            place: path.to_owned(),
        },
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            refused(path, format!("no answer within {} seconds", TIMEOUT.as_secs()))
        }
        _ => Error::read(path, error),
    }
}

/// The one socket in `directory`.
fn only_socket(directory: &Path) -> Result<PathBuf, Error> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoNode {
                place: directory.join("node-*.sock"),
            });
        }
        Err(error) => return Err(Error::read(directory, error)),
    };
    let is_socket = |name: &str| name.starts_with("node-") && name.ends_with(".sock");
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_socket(name))
        .collect();
    names.sort();
    match names.as_slice() {
        [] => Err(Error::NoNode {
            place: directory.join("node-*.sock"),
        }),
        [name] => Ok(directory.join(name)),
        [..] => {
            let shown: Vec<&str> = names.iter().take(SHOWN_MAX).map(String::as_str).collect();
            let reason = format!(
                "{} nodes ({}): choose by --id or --control",
                names.len(),
                shown.join(", ")
            );
            Err(refused(directory, reason))
        }
    }
}
