//! The programs of the host that the lab needs, and running one to its end.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::LabError;

/// What `timeout` ends with when it had to kill.
const TIMED_OUT: i32 = 124;
/// Administrators' programs are not in everybody's PATH.
const MORE_PLACES: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];

/// A program of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// User-Mode Linux.
    Uml,
    /// The emulator.
    Qemu,
    /// The shell and tools of the first seconds in QEMU, linked statically.
    Busybox,
    /// What bounds a guest's life even if this process dies.
    Timeout,
    /// Lists packages.
    AptCache,
    /// Gets packages.
    AptGet,
    /// Unpacks packages.
    DpkgDeb,
    /// Lists what modules depend on.
    Depmod,
    /// Unpacks modules.
    Xz,
}

impl Tool {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Uml => ("linux.uml", "user-mode-linux"),
            Self::Qemu => ("qemu-system-x86_64", "qemu-system-x86"),
            Self::Busybox => ("busybox", "busybox-static"),
            Self::Timeout => ("timeout", "coreutils"),
            Self::AptCache => ("apt-cache", "apt"),
            Self::AptGet => ("apt-get", "apt"),
            Self::DpkgDeb => ("dpkg-deb", "dpkg"),
            Self::Depmod => ("depmod", "kmod"),
            Self::Xz => ("xz", "xz-utils"),
        }
    }
}

/// Finds a program.
///
/// # Errors
///
/// When it is not installed; the error names Debian's package.
pub fn find(tool: Tool) -> Result<PathBuf, LabError> {
    let (name, package) = tool.names();
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(MORE_PLACES.iter().map(PathBuf::from))
        .map(|place| place.join(name))
        .find(|path| path.is_file())
        .ok_or(LabError::Tool { tool: name, package })
}

/// A command of one of the programs.
pub(super) fn command(tool: Tool) -> Result<Command, LabError> {
    Ok(Command::new(find(tool)?))
}

/// Runs a program to its end and gives what it wrote on standard output; whoever is not done at the limit is
/// killed, with all its children.
pub(super) fn output(command: &Command, limit: Duration) -> Result<Vec<u8>, LabError> {
    let failed = |reason: String| LabError::Command {
        command: shown(command),
        reason,
    };
    let mut limited = under_limit(command, limit)?;
    let output = limited
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    if output.status.code() == Some(TIMED_OUT) {
        return Err(failed(format!("not done after {} s", limit.as_secs())));
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    Err(failed(format!(
        "{}: {}",
        output.status,
        last.unwrap_or("no word")
    )))
}

/// The same command, in a process group of its own, which is killed at the limit even if this process is gone.
pub(super) fn under_limit(command: &Command, limit: Duration) -> Result<Command, LabError> {
    let mut limited = self::command(Tool::Timeout)?;
    limited
        .arg("--kill-after=5")
        .arg(format!("{:.3}", limit.as_secs_f64()))
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    if let Some(place) = command.get_current_dir() {
        limited.current_dir(place);
    }
    Ok(limited)
}

/// The first bytes of a file, fewer if it is shorter.
pub(super) fn head(path: &Path, bytes: u64) -> Result<Vec<u8>, LabError> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes).read_to_end(&mut head))
        .map_err(LabError::io(path))?;
    Ok(head)
}

/// A program and its arguments on a line.
pub(super) fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut line = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// A path as it is told to a guest or to QEMU: neither command line has a quoting that all kernels know.
pub(super) fn speakable(path: &Path) -> Result<&str, LabError> {
    let reason = match path.to_str() {
        None => "not UTF-8: a guest cannot be told about it",
        Some(text) if text.contains(|c: char| c.is_whitespace() || c == '"' || c == ',') => {
            "has a space, a quote or a comma: a guest cannot be told about it"
        }
        Some(text) => return Ok(text),
    };
    Err(LabError::Path {
        place: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_that_fails_gives_its_last_line() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo second >&2; exit 3"]);
        let error = output(&command, Duration::from_secs(20)).expect_err("it fails");
        assert!(error.to_string().ends_with("exit status: 3: second"), "{error}");
    }

    #[test]
    fn program_past_its_limit_is_killed() {
        let mut command = Command::new("sleep");
        let error = output(command.arg("600"), Duration::from_millis(50)).expect_err("killed");
        assert_eq!(error.to_string(), "sleep 600: not done after 0 s");
    }
}
