//! The example `flow` as a process in a node's namespace.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Lab, PORT};
use crate::tools::wait;

/// Lines of a process that a failed test shows.
const SHOWN: usize = 40;

/// One end of a flow. Killed at the end, whatever the end.
pub(crate) struct Flow {
    node: u8,
    child: Child,
    input: Option<ChildStdin>,
    told: Arc<Mutex<Vec<String>>>,
    result: Arc<Mutex<String>>,
}

/// How a flow ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    pub(crate) report: Value,
}

impl Flow {
    /// Starts `node`'s end of a flow with `peer`, with more arguments.
    pub(crate) fn start(lab: &Lab, node: u8, peer: u8, more: &str) -> Self {
        Self::start_at(lab, node, lab.address(node), peer, more)
    }

    /// As [`start`](Self::start), at another address of the node's.
    pub(crate) fn start_at(lab: &Lab, node: u8, address: Ipv4Addr, peer: u8, more: &str) -> Self {
        let mut command = lab.command(node, program());
        command
            .args(["--id", &node.to_string()])
            .args(["--listen", &format!("{address}:{PORT}")])
            .args(["--peer", &format!("{peer}={}:{PORT}", lab.address(peer))])
            .args(more.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("ip is there");
        let (told, result) = (Arc::default(), Arc::default());
        let errors = child.stderr.take().expect("standard error is a pipe");
        let heard: Arc<Mutex<Vec<String>>> = Arc::clone(&told);
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                lock(&heard).push(line);
            }
        });
        let mut output = child.stdout.take().expect("standard output is a pipe");
        let read: Arc<Mutex<String>> = Arc::clone(&result);
        thread::spawn(move || {
            let mut text = String::new();
            // What is no text is no report either.
            let _ = output.read_to_string(&mut text);
            *lock(&read) = text;
        });
        Self {
            node,
            input: child.stdin.take(),
            child,
            told,
            result,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How often a line with this text was told.
    pub(crate) fn count(&self, text: &str) -> usize {
        lock(&self.told).iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until lines with this text were told so often.
    pub(crate) fn wait_for(&self, text: &str, times: usize, limit: Duration) {
        wait(
            &format!("node {} tells {text:?}\n{self}", self.node),
            limit,
            || (self.count(text) >= times).then_some(()),
        );
    }

    /// Ends its standard input, and thereby a flow that holds.
    pub(crate) fn release(&mut self) {
        self.input = None;
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self, limit: Duration) -> End {
        let mut status = None;
        let end = Instant::now() + limit;
        while status.is_none() && Instant::now() < end {
            status = self.child.try_wait().expect("it is our child");
            thread::sleep(Duration::from_millis(10));
        }
        let status = status.unwrap_or_else(|| panic!("it does not end within {limit:?}\n{self}"));
        let report = wait("the report", Duration::from_secs(5), || {
            let text = lock(&self.result);
            text.lines()
                .last()
                .map(|line| serde_json::from_str(line).unwrap_or(Value::Null))
        });
        End { status, report }
    }

    /// Waits for the end, which has to be a good one: everything came once, in order and intact, and both `FIN`s.
    pub(crate) fn assert_sound(&mut self, limit: Duration) -> Value {
        let End { status, report } = self.end(limit);
        for wrong in ["lost", "doubled", "reordered", "damaged", "given_up"] {
            assert_eq!(report[wrong], 0, "{wrong} in {report}\n{self}");
        }
        assert_eq!(report["closed"], true, "{report}\n{self}");
        assert!(status.success(), "{status} {report}\n{self}");
        report
    }

    /// A line of `/proc/PID/status` in numbers.
    pub(crate) fn status_of(&self, key: &str) -> u64 {
        number_in(&format!("/proc/{}/status", self.pid()), key)
    }

    /// How often all its threads have gone to sleep of their own accord.
    pub(crate) fn sleeps(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it lives");
        let status = |thread: fs::DirEntry| thread.path().join("status").display().to_string();
        threads
            .filter_map(Result::ok)
            .map(|thread| number_in(&status(thread), "voluntary_ctxt_switches:"))
            .sum()
    }

    /// Its open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it lives");
        entries.count()
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = lock(&self.told);
        writeln!(f, "node {} told {} lines, the last:", self.node, told.len())?;
        for line in told.iter().skip(told.len().saturating_sub(SHOWN)) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number in a field of two reports together.
pub(crate) fn sum(reports: &[Value], field: &str) -> u64 {
    reports.iter().filter_map(|report| report[field].as_u64()).sum()
}

/// Where cargo puts examples: beside the directory of this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its file");
    let directory = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("it lies in target/PROFILE/deps");
    let program = directory.join("examples/flow");
    assert!(
        program.is_file(),
        "{} is missing: cargo build --example flow --profile test",
        program.display()
    );
    program
}

fn number_in(path: &str, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("{path} has no {key}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
