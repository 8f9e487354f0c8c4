//! The kernel's log while a case runs: `dmesg.txt`, lines to wait for, lines that must not be there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::error::{At, Result};
use super::wait::Log;

/// Lines that are kept for waiting and judging; all go into the file.
const KEPT_MAX: usize = 200_000;
/// One record is never longer.
const RECORD_MAX: usize = 8192;
/// How long the reader sleeps before it looks whether it is to end.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// What makes a line bad wherever it stands.
const BAD: [&str; 11] = [
    "WARNING:",
    "BUG:",
    "BUG at",
    "Call Trace",
    "Oops",
    "ssertion failed",
    "general protection",
    "refcount_t",
    "unable to handle",
    "blocked for more than",
    "possible circular locking",
];
/// Reports of the kernel's that are explained: they name one of these functions. spec: kernel-lab 10.
pub const EXPLAINED: [&str; 3] = ["get_mhandle", "_receive_message", "process_send_sockets"];
/// A report of several lines begins with this,
const CUT_HERE: &str = "[ cut here ]";
/// and ends with this.
const END_TRACE: &str = "[ end trace";

/// The kernel's log, read from now on.
pub struct Kmsg {
    lines: Log<KmsgLine>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// A line of the kernel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsgLine {
    /// Microseconds since the boot.
    pub us: u64,
    /// What it says.
    pub text: String,
}

impl Kmsg {
    /// Begins to read; what was logged before is left out.
    ///
    /// # Errors
    ///
    /// When the log cannot be read or the file cannot be made.
    pub fn start(file: &Path) -> Result<Self> {
        let path = Path::new("/dev/kmsg");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = rustix::fs::open(path, flags, Mode::empty()).at("open", path)?;
        rustix::fs::seek(&source, SeekFrom::End(0)).at("seek", path)?;
        let file = BufWriter::new(File::create(file).at("create", file)?);
        let lines = Log::new(KEPT_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let (filled, stopped) = (lines.clone(), Arc::clone(&stop));
        let reader = thread::Builder::new().name("kmsg".into());
        let reader = reader
            .spawn(move || read(&File::from(source), file, &filled, &stopped))
            .on("start a thread")?;
        Ok(Self {
            lines,
            stop,
            reader: Some(reader),
        })
    }

    /// A place in the log, for [`wait`](Self::wait) and [`from`](Self::from).
    pub fn mark(&self) -> usize {
        self.lines.mark()
    }

    /// The first line from `mark` on that contains `text`.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`.
    pub fn wait(&self, text: &str, mark: usize, limit: Duration) -> Result<KmsgLine> {
        let waited_for = format!("a kernel log line with {text:?}");
        let found = self
            .lines
            .wait_from(&waited_for, mark, limit, |line| line.text.contains(text));
        Ok(found?.1)
    }

    /// The lines from `mark` on.
    pub fn from(&self, mark: usize) -> Vec<KmsgLine> {
        self.lines.from(mark)
    }

    /// The first line of every report from `mark` on that is not explained, neither by [`EXPLAINED`] nor by `allowed`.
    pub fn bad_lines(&self, mark: usize, allowed: &[&str]) -> Vec<String> {
        let lines = self.from(mark);
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        bad(&texts, allowed)
    }

    /// Ends the reading; what is in the log by now is in the file.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Kmsg {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read(source: &File, mut file: impl Write, lines: &Log<KmsgLine>, stop: &AtomicBool) {
    let mut record = [0; RECORD_MAX];
    loop {
        match rustix::io::read(source, &mut record) {
            Ok(len) => {
                if let Some(line) = record.get(..len).and_then(parse) {
                    let _ = writeln!(
                        file,
                        "[{:5}.{:06}] {}",
                        line.us / 1_000_000,
                        line.us % 1_000_000,
                        line.text
                    );
                    lines.push(line);
                }
            }
            Err(Errno::AGAIN) if stop.load(Ordering::Acquire) => break,
            Err(Errno::AGAIN) => {
                let _ = file.flush();
                let mut fds = [PollFd::new(source, PollFlags::IN)];
                let _ = rustix::event::poll(&mut fds, Some(&TICK));
            }
            Err(Errno::PIPE) => {
                let _ = writeln!(file, "# lines were overwritten before they were read");
            }
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    let _ = file.flush();
    lines.close();
}

/// `PRIORITY,NUMBER,MICROSECONDS,FLAGS[,...];TEXT`, a line's end, and lines for machines.
fn parse(record: &[u8]) -> Option<KmsgLine> {
    let record = String::from_utf8_lossy(record);
    let (head, text) = record.split_once(';')?;
    let us = head.split(',').nth(2)?.parse().ok()?;
    let text = text.lines().next().unwrap_or_default().to_owned();
    Some(KmsgLine { us, text })
}

/// The first line of every report that neither [`EXPLAINED`] nor `allowed` explains.
fn bad(lines: &[&str], allowed: &[&str]) -> Vec<String> {
    let is_bad = |line: &str| BAD.iter().any(|bad| line.contains(bad));
    let explained = |line: &str| EXPLAINED.iter().chain(allowed).any(|known| line.contains(known));
    let mut found = Vec::new();
    let mut rest = lines;
    while let Some(first) = rest.first() {
        let len = if first.contains(CUT_HERE) {
            let end = rest.iter().position(|line| line.contains(END_TRACE));
            end.map_or(rest.len(), |end| end + 1)
        } else {
            1
        };
        let (report, after) = rest.split_at(len);
        rest = after;
        if report.iter().any(|line| explained(line)) {
            continue;
        }
        found.extend(
            report
                .iter()
                .find(|line| is_bad(line))
                .map(|line| (*line).to_owned()),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: [&str; 5] = [
        "------------[ cut here ]------------",
        "WARNING: CPU: 0 PID: 44 at fs/dlm/midcomms.c:1205 dlm_midcomms_get_mhandle+0x1f0/0x200 [dlm]",
        "Call Trace:",
        " <TASK>",
        "---[ end trace 0000000000000000 ]---",
    ];

    #[test]
    fn record_is_read_with_its_time() {
        let line = parse(b"6,339,5140900,-,caller=T1;dlm: node 1: x; y\n SUBSYSTEM=dlm\n").expect("a line");
        let expected = KmsgLine {
            us: 5_140_900,
            text: "dlm: node 1: x; y".to_owned(),
        };
        assert_eq!(line, expected);
        assert_eq!(parse(b"nonsense"), None);
        assert_eq!(parse(b"6,1;x"), None);
    }

    #[test]
    fn report_that_is_explained_is_passed_over_with_its_call_trace() {
        assert!(bad(&REPORT, &[]).is_empty());
    }

    #[test]
    fn report_that_is_not_explained_is_found_once() {
        let mut lines = REPORT;
        lines[1] = "WARNING: CPU: 0 PID: 44 at fs/dlm/lock.c:77 something_else+0x1/0x2 [dlm]";
        assert_eq!(bad(&lines, &[]), [lines[1]]);
        assert!(bad(&lines, &["something_else"]).is_empty());
    }

    #[test]
    fn report_that_does_not_end_is_found_too() {
        let lines = [
            "------------[ cut here ]------------",
            "kernel BUG at fs/dlm/lock.c:1!",
        ];
        assert_eq!(bad(&lines, &[]), [lines[1]]);
    }

    #[test]
    fn bad_line_alone_is_found_and_a_good_one_is_not() {
        let lines = [
            "dlm: ls1: dlm_recover 1",
            "DLM:  Assertion failed on line 3 of file x",
            "dlm: debug: BUGgy",
        ];
        assert_eq!(bad(&lines, &[]), [lines[1]]);
    }
}
