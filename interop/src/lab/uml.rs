//! User-Mode Linux: the kernel is a program, its root the host's own tree. spec: kernel-lab 1

use std::path::Path;
use std::process::Command;

use super::boot::Console;
use super::error::LabError;
use super::kernels::Kernel;
use super::plan::{GUEST_MARK, RunPlan};
use super::tools;

/// Where the guest's memory lies if nobody says otherwise: a file that is gone as soon as it is opened.
const MEMORY: &str = "/dev/shm";

/// The command that boots the guest; its first process is the agent itself.
pub(super) fn command(
    kernel: &Kernel,
    plan: &RunPlan,
    program: &str,
    words: &[&str],
    console: Console,
) -> Result<Command, LabError> {
    let mut command = Command::new(&kernel.image);
    // Without a root and a console of ours it appends its own, and they would become the agent's arguments.
    command.arg(format!("mem={}M", plan.memory_mib));
    command.args([
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "console=tty0",
    ]);
    command.arg(format!("init={program}"));
    command.arg(format!("uml_dir={}", tools::speakable(&plan.out.join("boot"))?));
    command.args(["umid=uml", "con=null", "con0=fd:0,fd:1", "panic=-1"]);
    command.arg(if console == Console::Terminal {
        "quiet"
    } else {
        "loglevel=7"
    });
    command.arg(format!("{GUEST_MARK}=1")).arg("--").args(words);
    if Path::new(MEMORY).is_dir() {
        command.env("TMPDIR", MEMORY);
    } else {
        command.env("TMPDIR", plan.out.join("boot"));
    }
    Ok(command)
}
