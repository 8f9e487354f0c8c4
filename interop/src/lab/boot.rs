//! One boot of a guest, from its start to its end, whatever that is.
//!
//! The guest runs under `timeout`, so it ends even if this process is killed. It is also watched: a guest that says nothing new for too long, or fills the disk with its console, is killed.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::error::LabError;
use super::kernels::{Kernel, Machine};
use super::plan::{PLAN_FILE, RESULT_FILE, RunPlan, RunResult, STATUS_FILE};
use super::{processes, qemu, tools, uml};

/// How often the guest is looked at.
const TURN: Duration = Duration::from_millis(50);
/// How long a guest that was told to end may take.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// A console longer than this is a guest in a loop.
const CONSOLE_BYTES_MAX: u64 = 256 << 20;
/// How much of a console is told when a guest dies.
const TAIL_BYTES: u64 = 64 << 10;
const LINE_CHARS_MAX: usize = 300;
/// What a line with the reason has in it, the best reason first.
const TELLING: [&str; 4] = ["panicked at", "BUG: ", "Kernel panic", "Oops: "];

/// How long a guest may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// From the start, or from the last thing that it told, to the next.
    pub(super) silence: Duration,
    /// From the start to the end.
    pub(super) total: Duration,
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// What the guest left as its exit code; none when it died.
    pub(super) status: Option<u8>,
    /// Why it was killed, if it was.
    pub(super) killed: Option<String>,
    /// The line of its console that tells most about its death: the last one of a panic, else the very last one.
    pub(super) last_line: Option<String>,
}

/// Whose terminal the guest's console is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Console {
    /// Nobody's: it is written to a file.
    File,
    /// Ours.
    Terminal,
}

/// The program that boots `kernel` into the agent, which finds its plan in the evidence folder.
pub(super) fn command(kernel: &Kernel, plan: &RunPlan, console: Console) -> Result<Command, LabError> {
    let program = tools::speakable(&plan.program)?;
    let file = plan.out.join(PLAN_FILE);
    let words = ["lab", "guest", "--plan", tools::speakable(&file)?];
    match kernel.machine {
        Machine::Uml => uml::command(kernel, plan, program, &words, console),
        Machine::Qemu => qemu::command(kernel, plan, program, &words, console),
    }
}

/// Boots a guest and waits for its end; `told` is given what it tells whenever that changes.
///
/// # Errors
///
/// When the guest cannot be started, or `stop` was set: then it is killed first. A guest that dies is no error.
pub(super) fn boot(
    command: &Command,
    out: &Path,
    console: &Path,
    limits: Limits,
    stop: &AtomicBool,
    told: &mut dyn FnMut(&RunResult),
) -> Result<Ended, LabError> {
    for old in [STATUS_FILE, RESULT_FILE] {
        // What an earlier boot left must not be taken for this one's.
        let _ = fs::remove_file(out.join(old));
    }
    let mut guest = Guest::start(command, console, limits.total)?;
    let started = Instant::now();
    let (mut heard, mut last) = (started, None);
    let killed = loop {
        if guest.is_over()? {
            break None;
        }
        if let Ok(result) = RunResult::read(out)
            && last.as_ref() != Some(&result)
        {
            told(&result);
            (heard, last) = (Instant::now(), Some(result));
        }
        if stop.load(Ordering::Relaxed) {
            guest.kill();
            return Err(LabError::Stopped);
        }
        if let Some(reason) = overdue(heard, started, limits, console) {
            guest.kill();
            break Some(reason);
        }
        thread::sleep(TURN);
    };
    if let Ok(result) = RunResult::read(out)
        && last.as_ref() != Some(&result)
    {
        told(&result);
    }
    Ok(Ended {
        status: status(out),
        killed,
        last_line: last_line(console),
    })
}

/// Boots a guest with its console on our terminal and waits for its end. The terminal's keys go to the guest.
pub(super) fn boot_on_terminal(command: &mut Command) -> Result<(), LabError> {
    // A guest takes every key as it is, and does not always give the terminal back as it was.
    let settings = stty("--save");
    let status = command.status().map_err(|error| LabError::Command {
        command: tools::shown(command),
        reason: error.to_string(),
    });
    if let Some(settings) = settings {
        let _ = stty(settings.trim());
    }
    status.map(drop)
}

/// What our terminal's settings are, or changes them; nothing without a terminal.
fn stty(what: &str) -> Option<String> {
    let output = Command::new("stty")
        .arg(what)
        .stdin(Stdio::inherit())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn overdue(heard: Instant, started: Instant, limits: Limits, console: &Path) -> Option<String> {
    if heard.elapsed() > limits.silence {
        return Some(format!("no word for {} s", limits.silence.as_secs()));
    }
    if started.elapsed() > limits.total {
        return Some(format!("not done after {} s", limits.total.as_secs()));
    }
    let written = fs::metadata(console).map_or(0, |file| file.len());
    (written > CONSOLE_BYTES_MAX).then(|| format!("more than {} MiB of console", CONSOLE_BYTES_MAX >> 20))
}

/// The guest's last word.
fn status(out: &Path) -> Option<u8> {
    fs::read_to_string(out.join(STATUS_FILE))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// What the end of a console tells, without what only moves a cursor.
fn last_line(console: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let mut file = File::open(console).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .ok()?;
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let line = TELLING
        .iter()
        .find_map(|telling| lines().rfind(|line| line.contains(telling)))
        .or_else(|| lines().next_back())?;
    Some(
        line.chars()
            .filter(|c| !c.is_control())
            .take(LINE_CHARS_MAX)
            .collect(),
    )
}

/// A running guest; killed when dropped.
struct Guest {
    child: Child,
    over: bool,
}

impl Guest {
    fn start(command: &Command, console: &Path, limit: Duration) -> Result<Self, LabError> {
        let log = File::create(console).map_err(LabError::io(console))?;
        let errors = log.try_clone().map_err(LabError::io(console))?;
        // Later than our own limit: it is for the case that we are gone.
        let mut limited = tools::under_limit(command, limit + KILL_LIMIT)?;
        let child = limited
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| LabError::Command {
                command: tools::shown(command),
                reason: error.to_string(),
            })?;
        Ok(Self { child, over: false })
    }

    fn is_over(&mut self) -> Result<bool, LabError> {
        let ended = self.child.try_wait().map_err(|error| LabError::Command {
            command: "guest".to_owned(),
            reason: error.to_string(),
        })?;
        self.over = ended.is_some();
        Ok(self.over)
    }

    /// Ends it with all its processes.
    fn kill(&mut self) {
        processes::kill_tree(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.over = true;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !self.over {
            self.kill();
        }
    }
}
