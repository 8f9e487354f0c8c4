//! `dlmwire check`: a verdict on captures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use clap::ValueEnum;
use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_interop::check::{Checker, Finding, KernelLog, Known, Party, Report, Severity};
use serde_json::json;

use super::check_text;
use super::cluster::NamingArgs;
use super::cross;
use super::error::Error;
use super::output::Output;
use super::reading::{self, Stop};
use super::{FAILED, FOUND};

const EXAMPLES: &str = "\
Examples:
  dlmwire check cluster.pcapng                     a summary, what was found, a verdict
  dlmwire check --fail-on warn *.pcap.zst          be strict: a known weakness is a failure too
  tcpdump -w - port 21064 | dlmwire check -        what is being captured, until tcpdump ends
  dlmwire check --kernel-log 2=dmesg.txt c.pcap    tell what node 2 took from what it was only sent
  dlmwire check --trace 1=trace.txt c.pcap         the same from node 1's trace events, exactly
  dlmwire check --format jsonl c.pcap | jq 'select(.severity == \"error\")'

Exit codes:
  0  the capture conforms: nothing was found at or above --fail-on
  1  something was
  2  a capture could not be read, or not to its end, or holds no DLM frame, or a kernel log or trace
     says nothing of dlm; standard error says which and why";

/// Judges captures of DLM traffic: a summary, what was found, a verdict
///
/// Every finding has a stable id (DLM-AREA-NNN), the packets where it shows and one sentence. A note is what
/// healthy kernels do, a warn is a weakness or a known defect, an error is a broken protocol or lost messages.
/// What each rule means is in docs/rules.md.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Captures: pcap or pcapng, plain, .gz or .zst; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What comes out
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// The mildest severity that makes a capture fail
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Error)]
    fail_on: FailOn,

    /// Show every finding, not only the first few of each rule
    #[arg(long)]
    all: bool,

    /// A node's kernel log (dmesg, journalctl -k): `ID=FILE`, or `FILE` if it has headings that name the node. May
    /// be given several times
    #[arg(long, value_name = "[ID=]FILE")]
    kernel_log: Vec<LogArg>,

    /// A node's kernel trace: `ID=FILE`, text of its dlm events (dlmwire cross --help says how to make it). May be
    /// given several times
    #[arg(long, value_name = "ID=FILE", value_parser = TraceArg::from_str)]
    trace: Vec<TraceArg>,

    #[command(flatten)]
    cluster: NamingArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object per finding, then one with the summary
    Jsonl,
}

#[derive(Clone, Copy, ValueEnum)]
enum FailOn {
    Note,
    Warn,
    Error,
}

impl From<FailOn> for Severity {
    fn from(fail_on: FailOn) -> Self {
        match fail_on {
            FailOn::Note => Self::Note,
            FailOn::Warn => Self::Warn,
            FailOn::Error => Self::Error,
        }
    }
}

/// A kernel log and whose it is.
#[derive(Clone)]
struct LogArg {
    node: Option<NodeId>,
    path: PathBuf,
}

impl FromStr for LogArg {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let told = text
            .split_once('=')
            .and_then(|(id, path)| Some((NodeId::new(id.parse().ok()?)?, path)));
        Ok(match told {
            Some((node, path)) => Self {
                node: Some(node),
                path: path.into(),
            },
            None => Self {
                node: None,
                path: text.into(),
            },
        })
    }
}

/// A kernel trace and whose it is.
#[derive(Clone)]
struct TraceArg {
    node: NodeId,
    path: PathBuf,
}

impl FromStr for TraceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, path) = text
            .split_once('=')
            .ok_or("a trace has to say whose it is: ID=FILE")?;
        Ok(Self {
            node: cross::node_id(node)?,
            path: path.into(),
        })
    }
}

/// Judges every file; the worst decides how it ends.
pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let mut code = 0;
    let known = known(args, |complaint| {
        code = FAILED;
        out.complain(complaint)
    })?;
    for (number, path) in args.files.iter().enumerate() {
        let judged = judge(path, args, &known);
        let (report, unread) = match judged {
            Ok(Judged { report, unread }) => (Some(report), unread),
            Err(error) => (None, Some(error)),
        };
        let mut shown = Ok(());
        if let Some(report) = report {
            if !report.conforms(args.fail_on.into()) {
                code = code.max(FOUND);
            }
            shown = show(args, out, number, path, &report);
        }
        if let Some(unread) = unread {
            code = FAILED;
            shown = shown.and(out.complain(unread).map_err(Error::from));
        }
        match shown {
            // Who reads no more may still want to know how it ends.
            Ok(()) | Err(Error::OutputClosed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ExitCode::from(code))
}

/// The report on one file, and what kept it from being about the whole file, or about anything.
struct Judged {
    report: Report,
    unread: Option<Error>,
}

fn judge(path: &Path, args: &Args, known: &Known) -> Result<Judged, Error> {
    let mut checker = Checker::new(known);
    let options = args.cluster.options();
    let summary = reading::read(path, &options, &Stop::default(), &mut checker)?;
    let report = checker.finish(&summary);
    let unread = reading::unread(path, &summary)
        .or_else(|| (!report.judged()).then(|| nothing_to_judge(path, &options.ports, &report)));
    Ok(Judged { report, unread })
}

fn nothing_to_judge(path: &Path, ports: &[u16], report: &Report) -> Error {
    let plural = if ports.len() == 1 { "" } else { "s" };
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let (ports, packets) = (ports.join(", "), report.summary.packets);
    Error::Unread {
        place: path.to_owned(),
        reason: format!("no DLM frames on port{plural} {ports} in {packets} packets"),
    }
}

fn show(args: &Args, out: &mut Output, number: usize, path: &Path, report: &Report) -> Result<(), Error> {
    let fail_on = args.fail_on.into();
    match args.format {
        Format::Text => {
            if number > 0 {
                writeln!(out)?;
            }
            check_text::write(out, path, report, fail_on, args.all)
        }
        Format::Jsonl => write_jsonl(out, path, report, fail_on),
    }
}

/// What was told; kernel logs that tell nothing are complained of.
fn known(args: &Args, mut complain: impl FnMut(Error) -> io::Result<()>) -> Result<Known, Error> {
    let nodes = args.cluster.addresses()?;
    let lockspaces: BTreeMap<LockspaceId, String> = args.cluster.lockspace_names()?.into();
    let mut kernel_logs = Vec::new();
    for log in &args.kernel_log {
        let error = |error| Error::read(&log.path, error);
        let file = File::open(&log.path).map_err(error)?;
        let read = KernelLog::read(BufReader::new(file), log.node).map_err(error)?;
        if read.dlm_lines == 0 {
            complain(Error::Unread {
                place: log.path.clone(),
                reason: format!("no dlm lines in {} lines", read.lines_read),
            })?;
        }
        kernel_logs.push(read);
    }
    let mut traces = Vec::new();
    for trace in &args.trace {
        traces.push((trace.node, Arc::new(cross::read_trace(&trace.path)?)));
    }
    Ok(Known {
        nodes: nodes.into_iter().map(|(address, node)| (node, address)).collect(),
        lockspaces,
        kernel_logs,
        traces,
    })
}

fn write_jsonl(out: &mut Output, path: &Path, report: &Report, fail_on: Severity) -> Result<(), Error> {
    let file = path.display().to_string();
    for finding in &report.findings {
        let mut line = to_json(finding)?;
        line["kind"] = json!("finding");
        line["file"] = json!(file);
        writeln!(out, "{line}")?;
    }
    let mut line = serde_json::to_value(&report.summary).map_err(std::io::Error::other)?;
    line["kind"] = json!("summary");
    line["file"] = json!(file);
    line["verdict"] = json!(report.verdict(fail_on).name());
    line["findings_left_out"] = json!(report.findings.left_out());
    writeln!(out, "{line}")?;
    Ok(())
}

fn to_json(finding: &Finding) -> Result<serde_json::Value, Error> {
    Ok(serde_json::to_value(finding).map_err(std::io::Error::other)?)
}

/// The nodes of a finding, sender first.
pub(super) fn parties(nodes: &[Party]) -> String {
    let names: Vec<String> = nodes.iter().map(Party::to_string).collect();
    names.join(" -> ")
}
