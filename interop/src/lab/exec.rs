//! A command of somebody's own in a guest: its output as it comes, its exit code at the end.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::boot::{self, Console, Ended, Limits};
use super::error::LabError;
use super::kernels::Kernel;
use super::plan::{EXEC_ERR_FILE, EXEC_OUT_FILE, Exec, RunPlan, RunResult};
use super::run::{self, Claim, Job, SETUP_LIMIT};

/// How often the guest's output is looked for.
const TURN: Duration = Duration::from_millis(50);
/// A command that writes more is one in a loop, and the disk is not its own.
const OUTPUT_BYTES_MAX: u64 = 1 << 30;
/// How much of it is in memory at once.
const PIECE_BYTES: u64 = 64 << 10;
const CONSOLE_FILE: &str = "console.txt";

/// Where the command's output goes.
pub struct Outlets<'a> {
    /// Standard output.
    pub out: &'a mut (dyn Write + Send),
    /// Standard error.
    pub err: &'a mut (dyn Write + Send),
}

/// Boots a guest as for a job without cases, runs a command in it and says the command's exit code, 128 and the
/// signal for one that was killed by a signal.
///
/// # Errors
///
/// When the guest cannot be started, or dies; when the command cannot be started, or does not end within its
/// limit; when `stop` was set. What came of the output until then has been passed on.
pub fn exec(
    kernel: &Kernel,
    job: &Job,
    memory_mib: u32,
    command: &Exec,
    outlets: Outlets<'_>,
    stop: &AtomicBool,
) -> Result<u8, LabError> {
    let mut plan = run::prepare(kernel, job)?;
    let _ours = Claim::on(&plan.out)?;
    plan.memory_mib = memory_mib;
    plan.exec = Some(command.clone());
    plan.write().map_err(LabError::io(&plan.out))?;
    let out = Tail::of(&plan, EXEC_OUT_FILE)?;
    let err = Tail::of(&plan, EXEC_ERR_FILE)?;
    let total = SETUP_LIMIT + Duration::from_secs(command.limit_s);
    let limits = Limits {
        silence: total,
        total,
    };
    let (over, flooded) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut results = RunResult::default();
    let ended = thread::scope(|scope| {
        let (over, flooded) = (&over, &flooded);
        for (tail, outlet) in [(out, outlets.out), (err, outlets.err)] {
            scope.spawn(move || {
                if tail.follow(outlet, over).is_err() {
                    flooded.store(true, Ordering::Release);
                    stop.store(true, Ordering::Release);
                }
            });
        }
        let ended = boot::command(kernel, &plan, Console::File).and_then(|guest| {
            let console = plan.out.join(CONSOLE_FILE);
            boot::boot(&guest, &plan.out, &console, limits, stop, &mut |told| {
                results = told.clone();
            })
        });
        over.store(true, Ordering::Release);
        ended
    });
    let ended = match ended {
        Err(LabError::Stopped) if flooded.into_inner() => {
            return Err(failed(
                command,
                format!("more than {} MiB of output", OUTPUT_BYTES_MAX >> 20),
            ));
        }
        ended => ended?,
    };
    code(command, &ended, &results)
}

/// The command's exit code, or why there is none.
fn code(command: &Exec, ended: &Ended, results: &RunResult) -> Result<u8, LabError> {
    match (&results.setup_error, &ended.killed, ended.status) {
        (None, None, Some(status)) => Ok(status),
        (error, _, _) => {
            let trouble = || run::trouble(ended, None, 0).unwrap_or_default();
            Err(failed(command, error.clone().unwrap_or_else(trouble)))
        }
    }
}

fn failed(command: &Exec, reason: String) -> LabError {
    LabError::Command {
        command: command.words.join(" "),
        reason,
    }
}

/// A file that a guest appends to, followed to its end.
struct Tail {
    file: File,
    passed_on: u64,
}

/// The guest writes more than it may.
#[derive(Debug)]
struct Flood;

impl Tail {
    /// The file, empty.
    fn of(plan: &RunPlan, name: &str) -> Result<Self, LabError> {
        let place = plan.out.join(name);
        File::create(&place).map_err(LabError::io(&place))?;
        let file = File::open(&place).map_err(LabError::io(&place))?;
        Ok(Self { file, passed_on: 0 })
    }

    /// Passes on what comes until the guest is over.
    ///
    /// Where nobody takes it any more the rest is only counted: the command goes on.
    fn follow(mut self, outlet: &mut dyn Write, over: &AtomicBool) -> Result<(), Flood> {
        let mut taken = true;
        loop {
            // Looked at before the file: what comes in between is read by one more turn.
            let last = over.load(Ordering::Acquire);
            let mut piece = Vec::new();
            while self.read(&mut piece) {
                taken = taken && outlet.write_all(&piece).and_then(|()| outlet.flush()).is_ok();
                if self.passed_on > OUTPUT_BYTES_MAX {
                    return Err(Flood);
                }
            }
            if last {
                return Ok(());
            }
            thread::sleep(TURN);
        }
    }

    /// Reads the next piece; false at what is the end for now.
    fn read(&mut self, piece: &mut Vec<u8>) -> bool {
        piece.clear();
        let read = (&mut self.file).take(PIECE_BYTES).read_to_end(piece);
        self.passed_on += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        read.is_ok() && !piece.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn words() -> Exec {
        Exec {
            words: vec!["cmp".to_owned(), "a".to_owned()],
            folder: "/".into(),
            environment: Default::default(),
            limit_s: 1,
        }
    }

    #[test]
    fn exit_code_is_the_commands_unless_the_guest_or_the_command_did_not_come_to_it() {
        let ended = |status, killed: Option<&str>| Ended {
            status,
            killed: killed.map(str::to_owned),
            last_line: Some("its last words".to_owned()),
        };
        let told = |setup_error: Option<&str>| RunResult {
            setup_error: setup_error.map(str::to_owned),
            ..RunResult::default()
        };
        let code = |ended, told| code(&words(), &ended, &told).map_err(|error| error.to_string());
        assert_eq!(code(ended(Some(137), None), told(None)), Ok(137));
        assert_eq!(
            code(ended(None, None), told(None)),
            Err("cmp a: guest died; its console says: its last words".to_owned())
        );
        assert_eq!(
            code(ended(None, Some("not done after 9 s")), told(None)),
            Err("cmp a: guest killed: not done after 9 s; its console says: its last words".to_owned())
        );
        assert_eq!(
            code(ended(Some(2), None), told(Some("start cmp: not found"))),
            Err("cmp a: start cmp: not found".to_owned())
        );
    }

    #[test]
    fn file_followed_is_passed_on_to_its_end_also_where_nobody_takes_it() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let place = std::env::temp_dir().join(format!("dlmwire-tail-{}", std::process::id()));
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        std::fs::write(&place, &bytes).expect("written");
        let tail = || Tail {
            file: File::open(&place).expect("there"),
            passed_on: 0,
        };
        let mut out = Vec::new();
        tail().follow(&mut out, &AtomicBool::new(true)).expect("no flood");
        assert_eq!(out, bytes);
        tail()
            .follow(&mut Closed, &AtomicBool::new(true))
            .expect("no flood");
        std::fs::remove_file(&place).expect("removed");
    }
}
