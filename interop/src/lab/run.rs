//! One kernel's run: as many boots as it takes to give every case a verdict.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::boot::{self, Console, Ended, Limits};
use super::error::LabError;
use super::kernels::{Kernel, Machine};
use super::plan::{CaseResult, MEMORY_MIB, Network, RunPlan, RunResult, Share, Transport, Verdict};
use super::qemu::OUT_TAG;

/// From the start of a guest to its first case, on a machine that has other things to do.
pub(super) const SETUP_LIMIT: Duration = Duration::from_secs(180);
/// What a case may take beyond its own deadline: evidence is gathered behind it.
const EVIDENCE_LIMIT: Duration = Duration::from_secs(60);
/// The case's folder holds nothing that is worth keeping from an earlier run.
const VERDICT_FILE: &str = "verdict.json";

/// What is to be run on a kernel.
#[derive(Clone, Debug)]
pub struct Job {
    /// What the kernel's DLM is to speak.
    pub transport: Transport,
    /// The cases by name; none boots, sets up and powers off.
    pub cases: Vec<String>,
    /// How long a case may take.
    pub case_deadline: Duration,
    /// The `dlmwire` program that is the agent.
    pub program: PathBuf,
    /// The evidence folder of this kernel; made when it is not there.
    pub out: PathBuf,
    /// More on the console.
    pub verbose: bool,
}

/// What happens during a run.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A guest is started, the first one or behind one that died.
    Boot {
        /// Counted from 1.
        number: usize,
    },
    /// A case begins.
    Begun(&'a str),
    /// A case has its verdict.
    Ended(&'a CaseResult),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelRun {
    /// The kernel's label.
    pub kernel: String,
    /// `uname -r`, as the guest said it; else as the modules' directory says it.
    pub release: String,
    /// The packages with their versions.
    pub packages: Vec<String>,
    /// What booted it.
    pub machine: Machine,
    /// The version of DLM's protocol that the kernel speaks.
    pub protocol: String,
    /// What carried it.
    pub transport: Transport,
    /// How often a guest was started.
    pub boots: usize,
    /// How long all of it took.
    pub seconds: f64,
    /// The evidence folder.
    pub out: PathBuf,
    /// Why the guest could not be used, if that is so although no case failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// A verdict for each case, in the order of the job.
    pub results: Vec<CaseResult>,
}

impl KernelRun {
    /// Whether no case failed and the guest worked.
    pub fn is_good(&self) -> bool {
        self.broken.is_none() && !self.results.iter().any(|result| result.verdict.is_failure())
    }
}

/// Runs a job on a kernel: one boot for all cases. Where a guest dies in a case, that case fails and the rest
/// goes on in a new guest.
///
/// # Errors
///
/// When no guest can be started, or `stop` was set. A case that fails and a guest that dies are no errors.
pub fn run(
    kernel: &Kernel,
    job: &Job,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(Progress<'_>),
) -> Result<KernelRun, LabError> {
    let commands = |plan: &RunPlan| boot::command(kernel, plan, Console::File);
    run_by(kernel, job, stop, watch, &commands, None)
}

/// Boots a kernel into a shell on this terminal, in the prepared guest; comes back when it is over.
///
/// # Errors
///
/// When no guest can be started.
pub fn shell(kernel: &Kernel, job: &Job) -> Result<(), LabError> {
    let mut plan = prepare(kernel, job)?;
    let _ours = Claim::on(&plan.out)?;
    plan.shell = true;
    plan.cases.clear();
    plan.write().map_err(LabError::io(&job.out))?;
    boot::boot_on_terminal(&mut boot::command(kernel, &plan, Console::Terminal)?)
}

/// Makes the guest's command from a plan.
type Commands<'a> = dyn Fn(&RunPlan) -> Result<Command, LabError> + 'a;

fn run_by(
    kernel: &Kernel,
    job: &Job,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(Progress<'_>),
    commands: &Commands<'_>,
    limits: Option<Limits>,
) -> Result<KernelRun, LabError> {
    let started = Instant::now();
    let mut plan = prepare(kernel, job)?;
    let _ours = Claim::on(&plan.out)?;
    let mut run = KernelRun {
        kernel: kernel.label.clone(),
        release: kernel.release.clone(),
        packages: kernel.packages.clone(),
        machine: kernel.machine,
        protocol: kernel.protocol().to_owned(),
        transport: job.transport,
        boots: 0,
        seconds: 0.0,
        out: plan.out.clone(),
        broken: None,
        results: Vec::new(),
    };
    let mut left: VecDeque<String> = job.cases.iter().cloned().collect();
    loop {
        run.boots += 1;
        plan.cases = left.iter().cloned().collect();
        plan.write().map_err(LabError::io(&plan.out))?;
        watch(Progress::Boot { number: run.boots });
        let mut heard = Heard::default();
        let ended = boot::boot(
            &commands(&plan)?,
            &plan.out,
            &console(&plan.out, run.boots),
            limits.unwrap_or_else(|| usual_limits(job, left.len())),
            stop,
            &mut |result| heard.hear(result, watch),
        )?;
        heard.settle(&ended, &mut left, &mut run, watch);
        if left.is_empty() {
            break;
        }
    }
    run.seconds = started.elapsed().as_secs_f64();
    Ok(run)
}

/// What one guest has told.
#[derive(Default)]
struct Heard {
    result: RunResult,
    /// Cases that were told to have begun.
    begun: Option<String>,
    /// How many of the results were passed on.
    passed_on: usize,
}

impl Heard {
    fn hear(&mut self, result: &RunResult, watch: &mut dyn FnMut(Progress<'_>)) {
        for ended in result.results.iter().skip(self.passed_on) {
            watch(Progress::Ended(ended));
        }
        self.passed_on = self.passed_on.max(result.results.len());
        if result.running != self.begun
            && let Some(case) = &result.running
        {
            watch(Progress::Begun(case));
        }
        self.begun.clone_from(&result.running);
        self.result = result.clone();
    }

    /// Moves what one guest said to the run, and takes every case off `left` that has its verdict.
    ///
    /// At least one is taken: what a guest does not come to grips with, the next one will not either.
    fn settle(
        self,
        ended: &Ended,
        left: &mut VecDeque<String>,
        run: &mut KernelRun,
        watch: &mut dyn FnMut(Progress<'_>),
    ) {
        if !self.result.kernel_release.is_empty() {
            run.release.clone_from(&self.result.kernel_release);
        }
        let before = left.len();
        for result in self.result.results {
            if let Some(at) = left.iter().position(|case| *case == result.case) {
                left.remove(at);
                run.results.push(result);
            }
        }
        let Some(reason) = trouble(ended, self.result.setup_error.as_deref(), left.len()) else {
            left.clear();
            return;
        };
        let killers: Vec<String> = match self.result.running {
            Some(case) if left.contains(&case) => vec![case],
            // It died between two cases, or at its end: the next guest shows whether that matters.
            _ if left.len() < before => Vec::new(),
            _ => left.iter().cloned().collect(),
        };
        if left.is_empty() {
            run.broken = Some(reason.clone());
        }
        for case in killers {
            left.retain(|other| *other != case);
            let result = CaseResult {
                case,
                verdict: Verdict::fail(&reason),
                seconds: 0.0,
                figures: Default::default(),
                findings: Vec::new(),
                kernel_release: run.release.clone(),
            };
            watch(Progress::Ended(&result));
            run.results.push(result);
        }
    }
}

/// What went wrong with a guest, in one line; nothing if it did what it was told to.
pub(super) fn trouble(ended: &Ended, setup_error: Option<&str>, left: usize) -> Option<String> {
    let last = || match &ended.last_line {
        Some(line) => format!("; its console says: {line}"),
        None => "; its console is empty".to_owned(),
    };
    match (setup_error, &ended.killed, ended.status) {
        (Some(error), _, _) => Some(format!("guest not set up: {error}")),
        (None, Some(killed), _) => Some(format!("guest killed: {killed}{}", last())),
        (None, None, None) => Some(format!("guest died{}", last())),
        (None, None, Some(status)) if left > 0 => {
            Some(format!("guest ended with status {status} before this case"))
        }
        (None, None, Some(status)) if status > 1 => Some(format!("guest ended with status {status}")),
        (None, None, Some(_)) => None,
    }
}

/// Makes the evidence folder and the plan for it.
pub(super) fn prepare(kernel: &Kernel, job: &Job) -> Result<RunPlan, LabError> {
    let boot = job.out.join("boot");
    fs::create_dir_all(&boot).map_err(LabError::io(&boot))?;
    let out = job.out.canonicalize().map_err(LabError::io(&job.out))?;
    for case in &job.cases {
        let _ = fs::remove_file(out.join(case).join(VERDICT_FILE));
    }
    Ok(RunPlan {
        kernel: kernel.label.clone(),
        transport: job.transport,
        cases: Vec::new(),
        case_deadline_s: job.case_deadline.as_secs().max(1),
        keep_going: true,
        network: Network::default(),
        share: match kernel.machine {
            Machine::Uml => Share::Hostfs,
            Machine::Qemu => Share::Ninep {
                tag: OUT_TAG.to_owned(),
            },
        },
        modules: link_modules(&kernel.modules, &out.join("boot/modules"))?,
        out,
        program: job.program.clone(),
        shell: false,
        exec: None,
        memory_mib: MEMORY_MIB,
        verbose: job.verbose,
    })
}

/// An evidence folder that no other run writes to; let go when dropped, and when the process ends.
pub(super) struct Claim {
    _locked: File,
}

impl Claim {
    pub(super) fn on(out: &Path) -> Result<Self, LabError> {
        let place = out.join("boot/lock");
        let file = File::create(&place).map_err(LabError::io(&place))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _locked: file }),
            Err(TryLockError::WouldBlock) => Err(LabError::Path {
                place: out.to_owned(),
                reason: "another run writes its evidence there; see --out",
            }),
            Err(TryLockError::Error(source)) => Err(LabError::Io { place, source }),
        }
    }
}

/// Makes a tree as `modprobe -d` wants it, wherever the modules lie.
fn link_modules(modules: &Path, base: &Path) -> Result<PathBuf, LabError> {
    let release = modules.file_name().unwrap_or_default();
    let place = base.join("lib/modules");
    let link = place.join(release);
    let made = fs::create_dir_all(&place).and_then(|()| {
        // Left by an earlier run in the same folder, perhaps of another build.
        let _ = fs::remove_file(&link);
        symlink(modules, &link)
    });
    made.map_err(LabError::io(&link))?;
    Ok(base.to_owned())
}

fn console(out: &Path, boot: usize) -> PathBuf {
    match boot {
        1 => out.join("console.txt"),
        more => out.join(format!("console-{more}.txt")),
    }
}

fn usual_limits(job: &Job, cases: usize) -> Limits {
    let case = job.case_deadline + EVIDENCE_LIMIT;
    let cases = u32::try_from(cases).unwrap_or(u32::MAX);
    Limits {
        silence: SETUP_LIMIT.max(case),
        total: SETUP_LIMIT.saturating_add(case.saturating_mul(cases)),
    }
}
