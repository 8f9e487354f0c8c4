//! The DLM's tracepoints while a case runs: every message the kernel sends and receives, in `trace.txt`.
//!
//! The clock is the kernel's monotonic one; the first line of the file pairs it with the wall clock that captures
//! have: `# clock mono MONOTONIC = realtime REALTIME +- UNCERTAINTY`, all in seconds.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::error::{At, LabError, Result};
use super::init::write_file;
use super::wait;

const ROOT: &str = "/sys/kernel/tracing";
/// The tracepoints of messages; locks have others.
const EVENTS: [&str; 6] = [
    "dlm_send",
    "dlm_recv",
    "dlm_send_message",
    "dlm_recv_message",
    "dlm_send_rcom",
    "dlm_recv_rcom",
];
/// The ring of each CPU.
const BUFFER_KB: u32 = 8192;
/// How long the reader sleeps when there is nothing.
const PAUSE: Duration = Duration::from_millis(10);
/// How long what is left in the rings may take at the end.
const DRAIN: Duration = Duration::from_secs(20);

/// Tracing under way.
pub struct Trace {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

/// Whether this kernel has the tracepoints.
pub fn is_there() -> bool {
    EVENTS.iter().all(|event| event_path(event).exists())
}

impl Trace {
    /// Begins to trace into `file`.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a step; [`LabError::Unsupported`] when it has no such tracepoints.
    pub fn start(file: &Path) -> Result<Self> {
        if !is_there() {
            return Err(LabError::unsupported("no tracepoints of messages in this kernel"));
        }
        set("tracing_on", "0")?;
        set("trace_clock", "mono")?;
        set("buffer_size_kb", &BUFFER_KB.to_string())?;
        // Truncating is how the rings are emptied.
        let trace = Path::new(ROOT).join("trace");
        File::create(&trace).at("empty", &trace)?;
        for event in EVENTS {
            write_file(event_path(event), "1")?;
        }
        let pipe = Path::new(ROOT).join("trace_pipe");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let pipe = File::from(rustix::fs::open(&pipe, flags, Mode::empty()).at("open", &pipe)?);
        let mut file = BufWriter::new(File::create(file).at("create", file)?);
        file.write_all(clocks().as_bytes()).on("write the trace")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        set("tracing_on", "1")?;
        let reader = thread::Builder::new().name("trace".into());
        let reader = reader
            .spawn(move || copy(&pipe, file, &stopped))
            .on("start a thread")?;
        Ok(Self { stop, reader })
    }

    /// Ends it and returns how many events were lost: overwritten before they were read.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or what is left cannot be read in time.
    pub fn stop(self) -> Result<u64> {
        set("tracing_on", "0")?;
        self.stop.store(true, Ordering::Release);
        wait::join("the end of the trace", self.reader, DRAIN)?;
        let lost = lost_events();
        for event in EVENTS {
            write_file(event_path(event), "0")?;
        }
        Ok(lost)
    }
}

fn copy(pipe: &File, mut file: impl Write, stop: &AtomicBool) {
    let mut bytes = vec![0; 65_536];
    loop {
        let last = stop.load(Ordering::Acquire);
        match rustix::io::read(pipe, &mut bytes) {
            Ok(0) | Err(Errno::AGAIN) if last => break,
            Ok(0) | Err(Errno::AGAIN | Errno::INTR) => thread::sleep(PAUSE),
            Ok(len) => {
                let _ = file.write_all(&bytes[..len]);
            }
            Err(_) => break,
        }
    }
    let _ = file.flush();
}

/// Both clocks at one moment.
fn clocks() -> String {
    let before = seconds(clock_gettime(ClockId::Monotonic));
    let wall = clock_gettime(ClockId::Realtime);
    let after = seconds(clock_gettime(ClockId::Monotonic));
    let mono = f64::midpoint(before, after);
    let uncertain = (after - before) / 2.0;
    format!(
        "# clock mono {mono:.6} = realtime {}.{:06} +- {uncertain:.6}\n",
        wall.tv_sec,
        wall.tv_nsec / 1000
    )
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of an uptime fit")]
fn seconds(time: Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Events that no longer were in the rings when they were to be read.
fn lost_events() -> u64 {
    let mut lost = 0;
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join("per_cpu")) else {
        return lost;
    };
    for entry in entries.flatten() {
        let stats = fs::read_to_string(entry.path().join("stats")).unwrap_or_default();
        lost += lost_in(&stats);
    }
    lost
}

/// The overruns and drops in one CPU's `stats`.
fn lost_in(stats: &str) -> u64 {
    let lines = stats.lines().filter_map(|line| line.split_once(':'));
    let lost = lines.filter(|(name, _)| matches!(*name, "overrun" | "commit overrun" | "dropped events"));
    lost.filter_map(|(_, count)| count.trim().parse::<u64>().ok())
        .sum()
}

fn set(file: &str, value: &str) -> Result<()> {
    write_file(Path::new(ROOT).join(file), value)
}

fn event_path(event: &str) -> PathBuf {
    Path::new(ROOT).join("events/dlm").join(event).join("enable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_lost_are_added_from_all_their_kinds() {
        let stats =
            "entries: 7\noverrun: 3\ncommit overrun: 1\nbytes: 9\ndropped events: 2\nread events: 5\n";
        assert_eq!(lost_in(stats), 6);
        assert_eq!(lost_in(""), 0);
    }

    #[test]
    fn clocks_are_paired_in_one_comment() {
        let line = clocks();
        assert!(
            line.starts_with("# clock mono ") && line.ends_with('\n'),
            "{line}"
        );
    }
}
