//! The rules of `dlmwire check` over a case's capture: `check.txt`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufReader;
use std::net::IpAddr;
use std::path::Path;

use dlmwire_codec::NodeId;

use super::error::{At, LabError, Result};
use crate::capture;
use crate::check::{Checker, KernelLog, Known, Severity, Verdict};

/// What the rules say of a capture.
pub(super) struct Judgement {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// One line each, with severity and rule.
    pub(super) findings: Vec<String>,
}

/// Judges the capture in `folder`, with the kernel's log beside it, and writes what was found.
pub(super) fn judge(folder: &Path, nodes: &[(u32, IpAddr)]) -> Result<Judgement> {
    let known = Known {
        nodes: nodes
            .iter()
            .filter_map(|(id, address)| Some((NodeId::new(*id)?, *address)))
            .collect(),
        kernel_logs: kernel_log(&folder.join("dmesg.txt")).into_iter().collect(),
        ..Known::default()
    };
    let path = folder.join("link.pcapng");
    let mut checker = Checker::new(&known);
    let summary = capture::read_path(&path, &capture::Options::default(), &mut checker)
        .map_err(|error| LabError::unexpected(format!("{}: {error}", path.display())))?;
    let report = checker.finish(&summary);
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|one| {
            let packet = one.packets.first().copied().unwrap_or(0);
            format!("{} {} packet {packet}: {}", one.severity, one.rule.id, one.text)
        })
        .collect();
    let judgement = Judgement {
        verdict: report.verdict(Severity::Error),
        findings,
    };
    let path = folder.join("check.txt");
    fs::write(&path, judgement.text()).at("write", &path)?;
    Ok(judgement)
}

impl Judgement {
    fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let _ = writeln!(text, "{finding}");
        }
        let _ = writeln!(text, "verdict: {}", self.verdict.name());
        text
    }
}

fn kernel_log(path: &Path) -> Option<KernelLog> {
    let file = BufReader::new(File::open(path).ok()?);
    KernelLog::read(file, NodeId::new(1)).ok()
}
