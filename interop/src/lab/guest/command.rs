//! Small commands of the guest's system, with a limit and their words in the error.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::error::{At, LabError, Result};
use super::wait;

/// No small command takes longer.
const LIMIT: Duration = Duration::from_secs(20);
/// Where the guest's programs are; the first process of a system has no `PATH`.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Output kept of each stream.
const OUTPUT_MAX: u64 = 1 << 20;

/// A command whose program is looked for where the guest's programs are.
pub fn new(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", PATH);
    command
}

/// Whether the guest has this program.
pub fn is_there(program: &str) -> bool {
    PATH.split(':')
        .any(|directory| Path::new(directory).join(program).exists())
}

/// Runs `program` with `args` (split at blanks) and returns its standard output.
///
/// # Errors
///
/// When it cannot be started, does not end in time or ends with another status than 0.
pub fn run(program: &str, args: &str) -> Result<String> {
    let mut command = new(program);
    command.args(args.split_whitespace());
    output(command, &format!("{program} {args}"))
}

/// The same for a command with settings of its own; `what` names it.
///
/// # Errors
///
/// As [`run`].
pub fn output(mut command: Command, what: &str) -> Result<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().on(&format!("start {what}"))?;
    let out = reader(child.stdout.take());
    let err = reader(child.stderr.take());
    let status = ended(&mut child, what, LIMIT)?;
    let out = out.join().unwrap_or_default();
    if status.success() {
        return Ok(out);
    }
    let err = err.join().unwrap_or_default();
    Err(LabError::unexpected(format!("{what}: {status}: {}", err.trim())))
}

/// Waits for a child's end and kills it if that does not come within `limit`.
///
/// # Errors
///
/// [`LabError::Deadline`] when it had to be killed.
pub fn ended(child: &mut Child, what: &str, limit: Duration) -> Result<ExitStatus> {
    let waited = wait::until(&format!("the end of {what}"), limit, || {
        child.try_wait().on(&format!("wait for {what}"))
    });
    if waited.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    waited
}

fn reader(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let _ = stream.take(OUTPUT_MAX).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_that_fails_has_its_words_in_the_error() {
        assert_eq!(run("echo", "a b").expect("it runs"), "a b\n");
        let error = run("ls", "/does/not/exist").expect_err("no such file");
        assert!(error.to_string().contains("/does/not/exist: exit"), "{error}");
        assert!(run("/does/not/exist", "").is_err());
    }

    #[test]
    fn child_that_does_not_end_is_killed() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("it starts");
        let error = ended(&mut child, "sleep", Duration::ZERO).expect_err("too long");
        assert!(error.to_string().contains("the end of sleep"), "{error}");
        assert!(child.try_wait().expect("a status").is_some());
    }
}
