//! One case from its first to its last line of evidence.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::super::cases::{Case, Judge};
use super::super::plan::{CaseResult, Figure, RunPlan, Transport, Verdict};
use super::bench::{Bench, KERNEL_NODE, PEER_NODE};
use super::capture::Capture;
use super::debugfs::DebugFs;
use super::error::{At, LabError, Result};
use super::journal::Journal;
use super::judge;
use super::kernel::Kernel;
use super::kmsg::Kmsg;
use super::netns::Namespace;
use super::tracefs::{self, Trace};
use super::uevents::Uevent;
use super::wait::Log;
use crate::check;

/// What the capture tool calls them.
const ALL_DEVICES: &str = "any";

/// The prepared guest: what all cases share.
pub(super) struct Guest {
    pub(super) plan: RunPlan,
    pub(super) kernel: Kernel,
    pub(super) peer: Namespace,
    pub(super) uevents: Log<Uevent>,
}

/// How a case left the guest.
pub(super) struct Ended {
    pub(super) result: CaseResult,
    /// Whether another case can be run in this boot.
    pub(super) usable: bool,
}

/// What runs beside a case and is stopped at its end.
struct Evidence {
    capture: Capture,
    trace: Option<Trace>,
}

impl Guest {
    /// Runs a case; every way to end is a result.
    pub(super) fn run(&self, case: &Case) -> Ended {
        let begun = Instant::now();
        let missing = self.kernel.missing(case.needs, self.plan.transport);
        let mut figures = BTreeMap::new();
        let mut findings = Vec::new();
        let (verdict, usable) = match missing {
            Some(reason) => (Verdict::unsupported(reason), true),
            None => self.run_with_evidence(case, &mut figures, &mut findings),
        };
        let result = CaseResult {
            case: case.name.to_owned(),
            verdict,
            seconds: begun.elapsed().as_secs_f64(),
            figures,
            findings,
            kernel_release: self.kernel.release.clone(),
        };
        self.write_verdict(&result);
        Ended { result, usable }
    }

    fn run_with_evidence(
        &self,
        case: &Case,
        figures: &mut BTreeMap<String, Figure>,
        findings: &mut Vec<String>,
    ) -> (Verdict, bool) {
        let folder = self.plan.out.join(case.name);
        let begun = self.begin(case, &folder);
        let (bench, evidence) = match begun {
            Ok(begun) => begun,
            Err(error) => return (error.into(), true),
        };
        let Some((mut bench, outcome)) = self.run_in_thread(case, bench) else {
            let seconds = self.plan.case_deadline_s;
            let _ = evidence.stop();
            return (
                Verdict::fail(format!("did not end within {seconds} s, or panicked")),
                false,
            );
        };
        let mut troubles: Vec<LabError> = outcome.err().into_iter().collect();
        bench.debugfs.snapshot("at the end");
        troubles.extend(bad_log(&bench).err());
        let left = clean_up(&mut bench);
        let usable = left.is_ok();
        troubles.extend(left.err());
        troubles.extend(evidence.stop().err());
        bench.kmsg.stop();
        figures.append(&mut bench.figures);
        troubles.extend(self.judge(case, &folder, findings).err());
        (verdict(troubles), usable)
    }

    fn begin(&self, case: &Case, folder: &Path) -> Result<(Bench, Evidence)> {
        fs::create_dir_all(folder).at("make", folder)?;
        let journal = Journal::create(&folder.join("kernel.jsonl"))?;
        let kmsg = Kmsg::start(&folder.join("dmesg.txt"))?;
        let evidence = Evidence {
            capture: Capture::start(&self.devices(), &folder.join("link.pcapng"))?,
            trace: (case.trace && tracefs::is_there())
                .then(|| Trace::start(&folder.join("trace.txt")))
                .transpose()?,
        };
        journal.note(
            "begin",
            &[
                ("case", case.name.into()),
                ("kernel", self.kernel.release.clone().into()),
            ],
        );
        let bench = Bench {
            plan: self.plan.clone(),
            kernel: self.kernel.clone(),
            folder: folder.to_owned(),
            journal,
            kmsg,
            peer: self.peer.clone(),
            debugfs: DebugFs::with_evidence(folder.join("debugfs.txt")),
            uevents: self.uevents.clone(),
            deadline: Instant::now() + self.limit(),
            managers: Vec::new(),
            figures: BTreeMap::new(),
            allowed: Vec::new(),
        };
        Ok((bench, evidence))
    }

    /// `None` when the case does not come back: it waits in the kernel, or panicked.
    fn run_in_thread(&self, case: &Case, mut bench: Bench) -> Option<(Bench, Result<()>)> {
        let (done, ended) = sync_channel(1);
        let run = case.run;
        let thread = thread::Builder::new().name(case.name.into());
        let spawned = thread.spawn(move || {
            let outcome = run(&mut bench);
            let _ = done.send((bench, outcome));
        });
        spawned.ok()?;
        // Every wait of the case ends by itself before this.
        ended.recv_timeout(self.limit() + Duration::from_secs(30)).ok()
    }

    fn judge(&self, case: &Case, folder: &Path, findings: &mut Vec<String>) -> Result<()> {
        let judgement = judge::judge(folder, &self.addresses())?;
        let verdict = judgement.verdict;
        *findings = judgement.findings;
        match (case.judge, verdict) {
            (Judge::Recorded, _) | (Judge::Conforms, check::Verdict::Conforms) => Ok(()),
            (
                Judge::Conforms,
                check::Verdict::Fails | check::Verdict::Incomplete | check::Verdict::NothingToJudge,
            ) => {
                let first = findings.iter().find(|finding| finding.starts_with("error"));
                let first = first.map_or("", String::as_str);
                Err(LabError::unexpected(format!(
                    "the capture: {} {first}",
                    verdict.name()
                )))
            }
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.plan.case_deadline_s)
    }

    /// The line between the two; all devices of the kernel's side where there are several lines. One capture of all
    /// keeps the order of the packets, which one of each does not.
    fn devices(&self) -> Vec<&str> {
        match self.plan.transport {
            Transport::Tcp => {
                let link = self.plan.network.links.first();
                link.map(|link| link.kernel_device.as_str()).into_iter().collect()
            }
            Transport::Sctp => vec![ALL_DEVICES],
        }
    }

    fn addresses(&self) -> Vec<(u32, std::net::IpAddr)> {
        let links = self.plan.network.links.iter();
        let nodes = links.flat_map(|link| {
            let kernel = link.kernel.iter().map(|address| (KERNEL_NODE, *address));
            kernel.chain(link.peer.iter().map(|address| (PEER_NODE, *address)))
        });
        nodes.collect()
    }

    fn write_verdict(&self, result: &CaseResult) {
        let folder: PathBuf = self.plan.out.join(&result.case);
        // The same stands in the run's results; a folder that cannot be written has said so before.
        if fs::create_dir_all(&folder).is_ok()
            && let Ok(text) = serde_json::to_string_pretty(result)
        {
            let _ = fs::write(folder.join("verdict.json"), text + "\n");
        }
    }
}

impl Evidence {
    /// Ends what runs beside the case; nothing may have been lost.
    fn stop(self) -> Result<()> {
        let dropped = self.capture.stop()?;
        let lost = self.trace.map_or(Ok(0), Trace::stop)?;
        if dropped + lost == 0 {
            return Ok(());
        }
        Err(LabError::unexpected(format!(
            "evidence lost: {dropped} packets dropped, {lost} trace events overwritten"
        )))
    }
}

/// Takes away what the case left in the kernel.
fn clean_up(bench: &mut Bench) -> Result<()> {
    let managers = std::mem::take(&mut bench.managers);
    for manager in managers.iter().rev() {
        manager
            .clean_up()
            .map_err(|error| LabError::unexpected(format!("cleaning up: {error}")))?;
    }
    Ok(())
}

fn bad_log(bench: &Bench) -> Result<()> {
    let allowed: Vec<_> = bench.allowed.iter().map(|(text, _)| text.as_str()).collect();
    match bench.kmsg.bad_lines(0, &allowed).as_slice() {
        [] => Ok(()),
        [first, rest @ ..] => Err(LabError::unexpected(format!(
            "the kernel's log: {first} (and {} more)",
            rest.len()
        ))),
    }
}

fn verdict(troubles: Vec<LabError>) -> Verdict {
    match troubles.as_slice() {
        [] => Verdict::Pass,
        [LabError::Unsupported(reason)] => Verdict::unsupported(reason),
        _ => {
            let troubles: Vec<_> = troubles.iter().map(ToString::to_string).collect();
            Verdict::fail(troubles.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_is_unsupported_only_if_nothing_else_went_wrong() {
        assert_eq!(verdict(Vec::new()), Verdict::Pass);
        let unsupported = || LabError::unsupported("no rawmsg");
        assert_eq!(verdict(vec![unsupported()]), Verdict::unsupported("no rawmsg"));
        let both = verdict(vec![unsupported(), LabError::unexpected("a bad line")]);
        assert_eq!(both, Verdict::fail("unsupported: no rawmsg; a bad line"));
    }
}
