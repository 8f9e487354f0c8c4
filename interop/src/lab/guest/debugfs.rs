//! What the kernel shows of itself: the midcomms state of each peer and the locks of each lockspace.
//!
//! From 3.2 on, and only with debugfs; without, every look is [`LabError::Unsupported`].

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{At, LabError, Result};
use super::init::{read_file, write_file};
use super::wait;

/// The longest file that is shown in the evidence.
const SHOWN_MAX: usize = 1 << 20;

/// The DLM's directory in debugfs.
#[derive(Clone, Debug)]
pub struct DebugFs {
    root: PathBuf,
    evidence: Option<PathBuf>,
}

impl Default for DebugFs {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/sys/kernel/debug/dlm"),
            evidence: None,
        }
    }
}

impl DebugFs {
    /// The same, with a file for [`snapshot`](Self::snapshot).
    pub(super) fn with_evidence(path: PathBuf) -> Self {
        Self {
            evidence: Some(path),
            ..Self::default()
        }
    }

    /// Whether this kernel shows locks.
    pub fn is_there(&self) -> bool {
        self.root.is_dir()
    }

    /// Whether this kernel shows the midcomms state.
    pub fn has_peers(&self) -> bool {
        self.root.join("comms").is_dir()
    }

    /// The midcomms state of a node, `ESTABLISHED`.
    ///
    /// # Errors
    ///
    /// When the kernel does not show it, or does not know the node.
    pub fn state(&self, node: u32) -> Result<String> {
        self.peer(node, "state")
    }

    /// The flags of a node, as the kernel writes them.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state).
    pub fn flags(&self, node: u32) -> Result<String> {
        self.peer(node, "flags")
    }

    /// The version of a node: 0x30002 is 3.2, 0 not detected yet.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state).
    pub fn version(&self, node: u32) -> Result<u32> {
        let text = self.peer(node, "version")?;
        let number = u32::from_str_radix(text.trim_start_matches("0x"), 16);
        number.map_err(|_| LabError::unexpected(format!("version of node {node} in debugfs: {text:?}")))
    }

    /// How many messages to a node are not acknowledged.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state).
    pub fn queued(&self, node: u32) -> Result<u64> {
        let text = self.peer(node, "send_queue_count")?;
        let number = text.parse();
        number.map_err(|_| LabError::unexpected(format!("send queue of node {node} in debugfs: {text:?}")))
    }

    /// Waits for a state.
    ///
    /// # Errors
    ///
    /// When it is not reached within `limit`; the state seen last is in the error.
    pub fn wait_state(&self, node: u32, state: &str, limit: Duration) -> Result<()> {
        let waited_for = format!("state {state} of node {node} in debugfs");
        wait::until_value(&waited_for, limit, || self.state(node), |seen| seen == state).map(drop)
    }

    /// The locks of a lockspace, as the kernel lists them.
    ///
    /// # Errors
    ///
    /// When the kernel does not show them.
    pub fn locks(&self, lockspace: &str) -> Result<String> {
        self.present(self.root.join(format!("{lockspace}_locks")))
    }

    /// Lets the kernel send these bytes to a node as a message of its own.
    ///
    /// # Errors
    ///
    /// When the kernel cannot, or refuses.
    pub fn raw_message(&self, node: u32, bytes: &[u8]) -> Result<()> {
        let path = self.comm(node).join("rawmsg");
        if !path.exists() {
            return Err(LabError::unsupported("no rawmsg in this kernel's debugfs"));
        }
        write_file(path, bytes)
    }

    /// Appends everything there is to the case's `debugfs.txt`, under this heading.
    pub fn snapshot(&self, heading: &str) {
        let Some(path) = &self.evidence else { return };
        let mut text = format!("# {heading}\n");
        show_directory(&self.root, &mut text);
        let file = fs::File::options().create(true).append(true).open(path);
        // Evidence only: a case does not fail because of it.
        let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
    }

    fn peer(&self, node: u32, file: &str) -> Result<String> {
        self.present(self.comm(node).join(file))
    }

    fn comm(&self, node: u32) -> PathBuf {
        self.root.join("comms").join(node.to_string())
    }

    fn present(&self, path: PathBuf) -> Result<String> {
        if !path.exists() && !self.has_peers() {
            return Err(LabError::unsupported(
                "no midcomms state in this kernel's debugfs",
            ));
        }
        read_file(path)
    }
}

/// Every file in and below a directory, each with its name; `rawmsg` can only be written.
fn show_directory(directory: &Path, text: &mut String) {
    let Ok(entries) = fs::read_dir(directory).at("list", directory) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    for path in paths {
        if text.len() > SHOWN_MAX {
            text.push_str("# and more\n");
            return;
        }
        if path.is_dir() {
            show_directory(&path, text);
        } else if let Ok(content) = fs::read_to_string(&path) {
            let _ = writeln!(text, "== {}\n{}", path.display(), content.trim_end());
        }
    }
}
