//! A command of somebody's own in the prepared guest, instead of cases.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::super::plan::{EXEC_ERR_FILE, EXEC_OUT_FILE, Exec, RunPlan};
use super::command;
use super::error::{At, LabError, Result};

/// The only places for files of the command's own: all else of the host is read-only.
const TEMPORARY: &str = "/run/tmp";
const HOME: &str = "/run/home";

/// Runs the command to its end and says its exit code as shells do: 128 and the signal for one that was killed.
///
/// # Errors
///
/// When it cannot be started, or does not end within its limit: then it is killed.
pub(super) fn run(plan: &RunPlan, wanted: &Exec) -> Result<u8> {
    let Some((program, args)) = wanted.words.split_first() else {
        return Err(LabError::unexpected("exec: no command"));
    };
    for folder in [TEMPORARY, HOME] {
        fs::create_dir_all(folder).at("make", Path::new(folder))?;
    }
    let output = |name: &str| -> Result<Stdio> {
        let path = plan.out.join(name);
        // Appending: whoever writes truncates nothing that the host has not read yet.
        let file = File::options().append(true).create(true).open(&path);
        file.map(Stdio::from).at("open", &path)
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(&wanted.folder)
        .stdin(Stdio::null())
        .stdout(output(EXEC_OUT_FILE)?)
        .stderr(output(EXEC_ERR_FILE)?)
        .env("HOME", HOME)
        .env("TMPDIR", TEMPORARY)
        .envs(&wanted.environment)
        .env("PATH", search_path(plan, wanted));
    let mut child = command.spawn().on(&format!("start {program}"))?;
    let status = command::ended(&mut child, program, Duration::from_secs(wanted.limit_s))?;
    Ok(code(status))
}

/// Where programs are looked for: our own first, then where the host's user looks, then where systems have them.
fn search_path(plan: &RunPlan, wanted: &Exec) -> String {
    let own = plan.program.parent().map(|place| place.display().to_string());
    let hosts = wanted.environment.get("PATH").cloned();
    let places = own.into_iter().chain(hosts).chain([command::PATH.to_owned()]);
    places.collect::<Vec<_>>().join(":")
}

fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_killed_by_a_signal_ends_as_shells_say_it() {
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
    }
}
