//! The dlm lines of a kernel log: what a node says it did with what the capture shows was delivered to it.
//!
//! Delivered is not processed: after a reset a kernel may throw away what it has received, and only its log
//! tells. Lines are found anywhere in the text, whatever prefix `dmesg` or `journalctl` put in front.
//!
//! The log of several nodes may stand in one file when each part is headed by a line that contains
//! `node N` and `kernel log`; otherwise a file is the log of one node.

use std::io::{self, BufRead, Read};

use dlmwire_codec::{NodeId, Seq};

/// The longest line that is looked at, in bytes; what follows is skipped.
const LINE_BYTES_MAX: u64 = 4096;

/// Entries kept per file; kernels rate-limit these lines, so that more means a file of another kind.
const ENTRIES_MAX: usize = 65_536;

/// What a node logged about one message or one peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogEntry {
    /// `ignore dlm msg because seq mismatch`: dropped.
    SeqMismatch {
        /// The message's number.
        seq: Seq,
        /// The number that the node expected.
        expected: Seq,
    },
    /// `version ... for node ... detected`, as the raw `h_version`.
    VersionDetected {
        /// `h_version`.
        version: u32,
    },
    /// `reset node N`: the conversation was given up or ended.
    Reset,
    /// `reset node N because shutdown stuck`.
    ShutdownStuck,
}

/// One line's meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// Line number, from 1.
    pub line: u64,
    /// The node that logged, where the file says so.
    pub logged_by: Option<NodeId>,
    /// The node that it is about.
    pub about: NodeId,
    /// What it says.
    pub entry: LogEntry,
}

/// The dlm lines of one file.
#[derive(Clone, Debug, Default)]
pub struct KernelLog {
    /// Lines in order.
    pub lines: Vec<LogLine>,
    /// Lines of the file, dlm or not.
    pub lines_read: u64,
    /// Lines of fs/dlm, with a meaning here or not; 0 in a file of another kind.
    pub dlm_lines: u64,
    /// Lines left out because there were more than 65536 with a meaning.
    pub left_out: u64,
}

impl KernelLog {
    /// Reads a log. `node` is who logged, where the file itself does not say.
    ///
    /// # Errors
    ///
    /// What reading gives. Text that is not UTF-8 is read all the same.
    pub fn read(mut input: impl BufRead, node: Option<NodeId>) -> io::Result<Self> {
        let mut log = Self::default();
        let mut logged_by = node;
        let mut line = Vec::new();
        while read_line(&mut input, &mut line)? {
            log.lines_read += 1;
            let text = String::from_utf8_lossy(&line);
            log.dlm_lines += u64::from(text.contains("dlm: "));
            if let Some(heading) = heading(&text) {
                logged_by = Some(heading);
            }
            let Some((about, entry)) = parse(&text) else {
                continue;
            };
            if log.lines.len() < ENTRIES_MAX {
                log.lines.push(LogLine {
                    line: log.lines_read,
                    logged_by,
                    about,
                    entry,
                });
            } else {
                log.left_out += 1;
            }
        }
        Ok(log)
    }

    /// The lines about messages that were dropped because their numbers were higher than expected, each with
    /// that number.
    pub fn dropped_as_too_high(&self) -> impl Iterator<Item = (&LogLine, Seq)> {
        self.lines.iter().filter_map(|line| match line.entry {
            LogEntry::SeqMismatch { seq, expected } if expected.before(seq) => Some((line, seq)),
            LogEntry::SeqMismatch { .. }
            | LogEntry::VersionDetected { .. }
            | LogEntry::Reset
            | LogEntry::ShutdownStuck => None,
        })
    }
}

/// Reads one line of bounded length; `false` at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = Read::take(&mut *input, LINE_BYTES_MAX).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(false);
    }
    if line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
    }
    Ok(true)
}

/// The node that a heading such as `--- node 1 (...) kernel log (dlm lines)` names.
fn heading(text: &str) -> Option<NodeId> {
    let text = text.trim_start().strip_prefix("---")?;
    if text.contains("kernel log") {
        number_after(text, "node ")
    } else {
        None
    }
}

fn parse(text: &str) -> Option<(NodeId, LogEntry)> {
    if text.contains("because seq mismatch") {
        let entry = LogEntry::SeqMismatch {
            seq: Seq::new(digits_after(text, "seq: ")?),
            expected: Seq::new(digits_after(text, "expected: ")?),
        };
        return Some((number_after(text, "nodeid: ")?, entry));
    }
    if text.contains("dlm: version 0x") && text.contains("detected") {
        let (_, hex) = text.split_once("version 0x")?;
        let version = u32::from_str_radix(hex.split(' ').next()?, 16).ok()?;
        return Some((
            number_after(text, "for node ")?,
            LogEntry::VersionDetected { version },
        ));
    }
    if text.contains("reset node ") {
        let stuck = text.contains("because shutdown stuck");
        let entry = if stuck {
            LogEntry::ShutdownStuck
        } else {
            LogEntry::Reset
        };
        return Some((number_after(text, "reset node ")?, entry));
    }
    None
}

fn number_after(text: &str, label: &str) -> Option<NodeId> {
    NodeId::new(digits_after(text, label)?)
}

fn digits_after(text: &str, label: &str) -> Option<u32> {
    let (_, rest) = text.split_once(label)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
--- node 1 (linux6.1) kernel log (dlm lines)
[    3.589272] reset node 2
[    3.629978] dlm: version 0x00030002 for node 2 detected
--- node 2 (linux6.1) kernel log (dlm lines)
Nov 21 host kernel: [    5.292003] dlm: ignore dlm msg because seq mismatch, seq: 181, expected: 180, nodeid: 1
[    5.3] dlm: ignore dlm msg because seq mismatch, seq: 7, expected: 180, nodeid: 1
[    6.0] reset node 1 because shutdown stuck
[    6.1] dlm: ls1: unrelated
";

    fn node(id: u32) -> NodeId {
        NodeId::new(id).expect("not 0")
    }

    #[test]
    fn lines_are_found_behind_any_prefix_and_belong_to_their_heading() {
        let log = KernelLog::read(LOG.as_bytes(), None).expect("memory does not fail");
        let said: Vec<_> = log
            .lines
            .iter()
            .map(|line| (line.logged_by, line.about, line.entry))
            .collect();
        let mismatch = |seq| LogEntry::SeqMismatch {
            seq: Seq::new(seq),
            expected: Seq::new(180),
        };
        assert_eq!(
            said,
            [
                (Some(node(1)), node(2), LogEntry::Reset),
                (
                    Some(node(1)),
                    node(2),
                    LogEntry::VersionDetected { version: 0x0003_0002 }
                ),
                (Some(node(2)), node(1), mismatch(181)),
                (Some(node(2)), node(1), mismatch(7)),
                (Some(node(2)), node(1), LogEntry::ShutdownStuck),
            ]
        );
        assert_eq!((log.lines_read, log.dlm_lines), (8, 4));
    }

    #[test]
    fn only_numbers_above_the_expected_count_as_too_high() {
        let log = KernelLog::read(LOG.as_bytes(), None).expect("memory does not fail");
        let dropped: Vec<_> = log
            .dropped_as_too_high()
            .map(|(line, seq)| (line.line, line.about, seq))
            .collect();
        assert_eq!(dropped, [(5, node(1), Seq::new(181))]);
    }

    #[test]
    fn endless_lines_and_broken_text_are_survived() {
        let mut text = vec![b'x'; 100_000];
        text.extend_from_slice(b" reset node 9\n\xff\xfe seq mismatch\nreset node 3\n");
        let log = KernelLog::read(text.as_slice(), Some(node(1))).expect("memory does not fail");
        assert_eq!(log.lines_read, 3);
        assert_eq!(log.lines.len(), 1);
        assert_eq!(
            (log.lines[0].logged_by, log.lines[0].about),
            (Some(node(1)), node(3))
        );
    }
}
