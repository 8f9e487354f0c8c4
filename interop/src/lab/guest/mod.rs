//! The agent: the first process of the guest, from the first mount to power-off.
//!
//! | room | what it does |
//! |---|---|
//! | [`init`] | mounts, modules, namespace, veth |
//! | [`manager`], [`lockspace`], [`uevents`] | the cluster manager of the kernel's node |
//! | [`control`], [`locks`], [`work`] | locks through the kernel's devices |
//! | [`stub`], [`raw_peer`], [`netns`] | our side, in the other namespace |
//! | [`kmsg`], [`debugfs`], [`tracefs`], [`capture`], `judge` | evidence |
//! | [`bench`](mod@bench), `runner` | what a case is given, and how it is run |
//! | `exec` | a command of somebody's own instead of cases |
//!
//! The kernel makes the DLM's sockets in the first namespace only and knows a peer by its source address alone:
//! so the kernel's side is at home in the first namespace and ours in the other one, never the other way round.
//! spec: kernel-lab.

pub mod bench;
pub mod capture;
pub mod command;
pub mod control;
pub mod debugfs;
pub mod error;
mod exec;
pub mod init;
pub mod journal;
mod judge;
pub mod kernel;
pub mod kmsg;
pub mod locks;
pub mod lockspace;
pub mod manager;
pub mod netns;
pub mod raw_peer;
mod runner;
pub mod stub;
pub mod tracefs;
pub mod uevents;
pub mod wait;
pub mod work;

use std::env;
use std::fs;
use std::io::Write;
use std::process::{ExitCode, Stdio, id};

use rustix::system::RebootCommand;

use super::cases;
use super::plan::{CaseResult, GUEST_MARK, RunPlan, RunResult, STATUS_FILE, Verdict};
use error::{At, LabError, Result};
use kernel::Kernel;
use runner::Guest;

/// All cases passed, or were not for this kernel.
const PASSED: u8 = 0;
/// A case failed.
const FAILED: u8 = 1;
/// No case could be begun.
const NOT_READY: u8 = 2;

/// Does what the plan says and powers the guest off; returns only if that is not possible.
///
/// Refuses unless it is the first process of a guest that the lab has booted: it mounts, and it powers off.
#[expect(clippy::print_stderr, reason = "the console is all there is to say it to")]
pub fn run(plan: &RunPlan) -> ExitCode {
    if id() != 1 || env::var_os(GUEST_MARK).is_none() {
        eprintln!("the lab's agent runs only as the first process of a guest that the lab has booted");
        return ExitCode::from(NOT_READY);
    }
    let mut results = RunResult {
        kernel_release: Kernel::running().release,
        ..RunResult::default()
    };
    let done = prepare(plan).and_then(|guest| match &plan.exec {
        Some(wanted) => exec::run(plan, wanted),
        None if plan.shell => Ok(shell(&guest)),
        None => Ok(run_cases(&guest, &mut results)),
    });
    let status = done.unwrap_or_else(|error| {
        eprintln!("lab: {error}");
        results.setup_error = Some(error.to_string());
        NOT_READY
    });
    if let Err(error) = results.write(&plan.out) {
        eprintln!("lab: write results: {error}");
    }
    if let Err(error) = write_status(plan, status) {
        eprintln!("lab: {error}");
    }
    power_off();
    ExitCode::from(status)
}

/// Everything that comes before the first case.
fn prepare(plan: &RunPlan) -> Result<Guest> {
    init::mount_all(plan)?;
    init::load_modules(plan)?;
    init::set_knobs();
    let peer = init::set_up_network(&plan.network)?;
    let uevents = uevents::listen()?;
    Ok(Guest {
        plan: plan.clone(),
        // Once more: now there is a /proc to look into.
        kernel: Kernel::running(),
        peer,
        uevents,
    })
}

#[expect(clippy::print_stdout, reason = "the console follows the run")]
fn run_cases(guest: &Guest, results: &mut RunResult) -> u8 {
    let plan = &guest.plan;
    for name in &plan.cases {
        let Some(case) = cases::find(name) else {
            results.results.push(unknown(name, &guest.kernel));
            continue;
        };
        results.running = Some(name.clone());
        let _ = results.write(&plan.out);
        let ended = guest.run(case);
        println!("lab: {name}: {}", words(&ended.result.verdict));
        let failed = ended.result.verdict.is_failure();
        results.running = None;
        results.results.push(ended.result);
        let _ = results.write(&plan.out);
        if !ended.usable || (failed && !plan.keep_going) {
            break;
        }
    }
    let failed = results.results.iter().any(|result| result.verdict.is_failure());
    if failed { FAILED } else { PASSED }
}

fn unknown(name: &str, kernel: &Kernel) -> CaseResult {
    CaseResult {
        case: name.to_owned(),
        verdict: Verdict::fail("unknown case"),
        seconds: 0.0,
        figures: Default::default(),
        findings: Vec::new(),
        kernel_release: kernel.release.clone(),
    }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Fail { reason } => format!("FAIL: {reason}"),
        Verdict::Unsupported { reason } => format!("unsupported: {reason}"),
    }
}

/// A shell on the console, in the prepared guest.
fn shell(guest: &Guest) -> u8 {
    let mut command = command::new("setsid");
    command.args(["-cw", "bash", "-i"]).current_dir(&guest.plan.out);
    command.env("HOME", "/run").env("TERM", "linux");
    if let Ok(console) = fs::File::options().read(true).write(true).open("/dev/ttyS0") {
        for set in [
            std::process::Command::stdin,
            std::process::Command::stdout,
            std::process::Command::stderr,
        ] {
            if let Ok(console) = console.try_clone() {
                set(&mut command, Stdio::from(console));
            }
        }
    }
    match command.status() {
        Ok(_) => PASSED,
        Err(_) => NOT_READY,
    }
}

fn write_status(plan: &RunPlan, status: u8) -> Result<()> {
    let path = plan.out.join(STATUS_FILE);
    let mut file = fs::File::create(&path).at("create", &path)?;
    writeln!(file, "{status}").at("write", &path)?;
    file.sync_all().at("write", &path)
}

fn power_off() {
    rustix::fs::sync();
    if rustix::system::reboot(RebootCommand::PowerOff).is_err() {
        let _ = init::write_file("/proc/sysrq-trigger", "o");
    }
}

/// The verdict on a case that ended with this.
impl From<LabError> for Verdict {
    fn from(error: LabError) -> Self {
        match error {
            LabError::Unsupported(reason) => Self::unsupported(reason),
            other => Self::fail(other.to_string()),
        }
    }
}
