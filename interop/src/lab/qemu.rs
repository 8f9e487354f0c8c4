//! QEMU without acceleration: any kernel, its root the host's own tree over 9p. spec: kernel-lab 1

use std::fs;
use std::process::Command;

use super::boot::Console;
use super::error::LabError;
use super::image::{self, HOST_TAG};
use super::kernels::Kernel;
use super::plan::RunPlan;
use super::tools::{self, Tool};

/// The 9p tag of the evidence folder.
pub(super) const OUT_TAG: &str = "out";

/// The command that boots the guest, behind making its initramfs.
pub(super) fn command(
    kernel: &Kernel,
    plan: &RunPlan,
    program: &str,
    words: &[&str],
    console: Console,
) -> Result<Command, LabError> {
    let image = plan.out.join("boot/initramfs.cpio");
    let agent: Vec<String> = [program].iter().chain(words).map(ToString::to_string).collect();
    fs::write(&image, image::initramfs(kernel, &agent)?).map_err(LabError::io(&image))?;

    let quiet = if console == Console::Terminal {
        "quiet"
    } else {
        "loglevel=7"
    };
    let mut command = tools::command(Tool::Qemu)?;
    // One thread for both processors: with a thread each, a processor was seen to run into code that the kernel was
    // just patching for its tracepoints (a panic by int3).
    command.args(["-accel", "tcg,thread=single", "-smp", "2", "-m"]);
    command.arg(plan.memory_mib.to_string());
    command.arg("-kernel").arg(&kernel.image);
    command.arg("-initrd").arg(&image);
    command.arg("-append").arg(format!(
        "console=ttyS0 {quiet} panic=-1 no_timer_check rdinit=/init"
    ));
    command.args(["-display", "none", "-no-reboot", "-nodefaults", "-serial"]);
    command.arg(if console == Console::Terminal {
        "mon:stdio"
    } else {
        "stdio"
    });
    let out = tools::speakable(&plan.out)?;
    share(&mut command, HOST_TAG, "path=/,readonly=on");
    share(&mut command, OUT_TAG, &format!("path={out}"));
    Ok(command)
}

/// Shares a directory of the host. Inode numbers of several file systems are kept apart.
fn share(command: &mut Command, tag: &str, what: &str) {
    let options = "security_model=none,multidevs=remap";
    command
        .arg("-fsdev")
        .arg(format!("local,id={tag},{what},{options}"));
    command
        .arg("-device")
        .arg(format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"));
}
