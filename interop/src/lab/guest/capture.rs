//! Everything on the lines between the kernel and us, captured while a case runs.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::command;
use super::error::{At, LabError, Result};
use super::wait::Log;

/// The capture's buffer in the kernel, in MiB, for each device.
const BUFFER_MIB: &str = "32";
/// With several devices the tool queues packets between its threads, 1000 of them unless told: too few for a guest with one
/// processor. Packets, and bytes.
const QUEUE_PACKETS: &str = "200000";
const QUEUE_BYTES: &str = "67108864";
/// What the tool says once it captures.
const STARTED: &str = "File: ";
/// What the tool says of what it got, at the end.
const DROPPED: &str = "received/dropped";
/// How long the tool may take to start; an emulated guest reads it page by page from the host.
const START: Duration = Duration::from_secs(90);
/// How long the tool may take to end.
const END: Duration = Duration::from_secs(20);
/// Packets reach the file in blocks; the last block closes by itself after this time.
const SETTLE: Duration = Duration::from_millis(400);
/// Lines of the tool that are kept.
const LINES_MAX: usize = 1000;

/// A capture under way.
pub struct Capture {
    child: Child,
    words: Log<String>,
}

impl Capture {
    /// Begins to capture `devices` into `file`, and waits until nothing more can be missed.
    ///
    /// # Errors
    ///
    /// When the tool is not there or does not start.
    pub fn start(devices: &[&str], file: &Path) -> Result<Self> {
        // dumpcap gives up its rights before it opens the file, and the folder may be another user's.
        fs::File::create(file).on("create the capture's file")?;
        fs::set_permissions(file, Permissions::from_mode(0o666)).on("open the capture's file to dumpcap")?;
        let mut tool = command::new("dumpcap");
        for device in devices {
            tool.args(["-i", device]);
        }
        if devices.len() > 1 {
            tool.args(["-N", QUEUE_PACKETS, "-C", QUEUE_BYTES]);
        }
        tool.args(["-B", BUFFER_MIB, "-w"]).arg(file);
        tool.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = tool.spawn().on("start dumpcap")?;
        let words = Log::new(LINES_MAX);
        if let Some(stderr) = child.stderr.take() {
            let filled = words.clone();
            thread::Builder::new()
                .name("capture".into())
                .spawn(move || listen(stderr, &filled))
                .on("start a thread")?;
        }
        let capture = Self { child, words };
        let started = capture
            .words
            .wait_from("dumpcap to start", 0, START, |line| line.contains(STARTED));
        started.map_err(|error| {
            LabError::unexpected(format!("{error}; it said: {}", capture.words.from(0).join(" | ")))
        })?;
        Ok(capture)
    }

    /// Ends it, when the last packets are in the file, and returns how many packets were dropped.
    ///
    /// # Errors
    ///
    /// When it does not end, or does not say.
    pub fn stop(mut self) -> Result<u64> {
        thread::sleep(SETTLE);
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::INT).on("stop dumpcap")?;
        command::ended(&mut self.child, "dumpcap", END)?;
        let said = self
            .words
            .wait_from("what dumpcap got", 0, END, |line| line.contains(DROPPED));
        said?;
        let lines = self.words.from(0);
        Ok(lines.iter().filter_map(|line| dropped(line)).sum())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn listen(stderr: ChildStderr, words: &Log<String>) {
    // Progress is told with carriage returns.
    for part in BufReader::new(stderr).split(b'\n') {
        let Ok(part) = part else { break };
        let part = String::from_utf8_lossy(&part);
        for line in part.split('\r').filter(|line| !line.is_empty()) {
            words.push(line.to_owned());
        }
    }
    words.close();
}

/// `Packets received/dropped on interface 'k0': 12/3 (...)`.
fn dropped(line: &str) -> Option<u64> {
    let (_, counts) = line.split_once(DROPPED)?;
    let (_, counts) = counts.rsplit_once("': ")?;
    let (_, dropped) = counts.split_whitespace().next()?.split_once('/')?;
    dropped.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_packets_are_read_from_the_tools_last_words() {
        let line = "Packets received/dropped on interface 'k0': 41/2 (pcap:2/dumpcap:0/flushed:0/ps_ifdrop:0) (95.3%)";
        assert_eq!(dropped(line), Some(2));
        assert_eq!(dropped("Packets: 41"), None);
        assert_eq!(dropped("Packets received/dropped on interface 'k0': many"), None);
    }
}
