//! `dlmwire cross`: a capture held against the kernel's own trace.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use dlmwire_codec::NodeId;
use dlmwire_interop::capture;
use dlmwire_interop::check::Severity;
use dlmwire_interop::cross::{
    Bounds, ClockSource, DirectionReport, Finding, Kind, Latency, Outcome, Report, WireRecorder, cross,
};
use dlmwire_interop::trace::{Direction, Trace};
use serde_json::{Value, json};

use super::error::Error;
use super::output::{Output, Paint};
use super::reading::{self, Stop};
use super::{FAILED, FOUND};

const EXAMPLES: &str = "\
Examples:
  dlmwire cross link.pcapng --trace trace.txt --node 1        what node 1's kernel says of the capture
  dlmwire cross c.pcap --trace t.txt --node 1 --peer 2        only what it has with node 2
  dlmwire cross c.pcap --trace t.txt --node 1 --node 2=10.0.0.2
                                                              node 2 is known by its address alone
  dlmwire cross --json c.pcap --trace t.txt --node 1 | jq 'select(.severity == \"error\")'

The trace is text of the kernel's dlm events, from tracefs or from trace-cmd:
  trace-cmd record -e dlm; trace-cmd report > t.txt
  cd /sys/kernel/tracing; echo 1 > events/dlm/enable; cat trace_pipe > t.txt
A line `# clock: trace=SECONDS realtime=SECONDS` in it (or the lab's `# clock mono ... = realtime ...`) tells one
moment on the trace's clock and on the capture's; without it the difference of the two is estimated.

Exit codes:
  0  capture and trace agree: every event has its frame, and every frame without one has a reason
  1  they do not
  2  capture or trace could not be read, or not to its end, or there is nothing in them to compare;
     standard error says which and why";

/// Findings shown of each kind unless all are wanted.
const SHOWN_PER_KIND: usize = 3;

/// Columns of the longest bar of a histogram.
const BAR_MAX: u64 = 40;

/// Holds a capture against the trace of a kernel that took part in it
///
/// The capture shows what was delivered, the kernel's trace events what it took and what it gave away to be sent. Every
/// event is paired with its frame and compared field by field. Frames without an event are explained (a duplicate, a gap,
/// thrown away unread at a reset), events without a frame are not. What is found is described in docs/cross.md.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A capture: pcap or pcapng, plain, .gz or .zst; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The kernel's trace: text of tracefs or of trace-cmd report, plain or .gz
    #[arg(long, value_name = "TRACE")]
    trace: PathBuf,

    /// `ID` is the node whose kernel traced; `ID=ADDRESS` tells which node has an address, where the capture does not
    #[arg(long, value_name = "ID[=ADDRESS]", required = true)]
    node: Vec<NodeArg>,

    /// Compare only what the kernel has with this node
    #[arg(long, value_name = "ID", value_parser = node_id)]
    peer: Option<NodeId>,

    /// JSON instead of text: one object per finding, one per peer, then one for the whole
    #[arg(long)]
    json: bool,

    /// Show every finding that is kept, not only the first few of each kind
    #[arg(long)]
    all: bool,

    /// The mildest severity that makes the comparison fail
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Error)]
    fail_on: FailOn,

    /// Port that means DLM, instead of 21064; may be given several times
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
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

#[derive(Clone, Copy)]
struct NodeArg {
    node: NodeId,
    address: Option<IpAddr>,
}

impl FromStr for NodeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, address) = match text.split_once('=') {
            None => (text, None),
            Some((node, address)) => {
                let error = |_| "behind = has to stand an IPv4 or IPv6 address".to_owned();
                (node, Some(address.parse().map_err(error)?))
            }
        };
        Ok(Self {
            node: node_id(node)?,
            address,
        })
    }
}

pub(super) fn node_id(text: &str) -> Result<NodeId, String> {
    let id = text.parse().ok().and_then(NodeId::new);
    id.ok_or_else(|| "a node id is a number from 1 to 4294967295".to_owned())
}

/// Compares and says how that went.
pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let path = args.file.as_path();
    let node = traced(args)?;
    let known: Vec<(NodeId, IpAddr)> = args
        .node
        .iter()
        .filter_map(|arg| Some((arg.node, arg.address?)))
        .collect();
    let trace = read_trace(&args.trace)?;
    let mut options = capture::Options::default();
    if !args.port.is_empty() {
        options.ports.clone_from(&args.port);
    }
    let mut recorder = WireRecorder::new(&known, Bounds::default());
    let summary = reading::read(path, &options, &Stop::default(), &mut recorder)?;
    let wire = recorder.finish();
    let report = cross(&wire, &trace, node, args.peer).map_err(|error| unread(path, error.to_string()))?;
    if args.json {
        write_json(out, args, &trace, &report)?;
    } else {
        write_text(out, args, &trace, &report)?;
    }
    let mut code = if report.agrees(args.fail_on.into()) {
        0
    } else {
        FOUND
    };
    let nothing = (!report.compared()).then(|| unread(&args.trace, incomparable(path, &report)));
    for error in reading::unread(path, &summary).into_iter().chain(nothing) {
        code = FAILED;
        out.complain(error)?;
    }
    Ok(ExitCode::from(code))
}

/// Why there was nothing to compare.
fn incomparable(path: &Path, report: &Report) -> String {
    let mut directions = report.peers.iter().flat_map(|peer| [&peer.sent, &peer.received]);
    let is_bare = directions.all(|one| one.frames == one.of(Outcome::Bare));
    if is_bare {
        return format!(
            "nothing to compare: everything in {} travels bare, and kernels have events for numbered messages only",
            path.display()
        );
    }
    format!("no event of it has its frame in {}", path.display())
}

/// The one node that is given without an address.
fn traced(args: &Args) -> Result<NodeId, Error> {
    let alone: Vec<NodeId> = args
        .node
        .iter()
        .filter(|arg| arg.address.is_none())
        .map(|arg| arg.node)
        .collect();
    match alone.as_slice() {
        [one] => Ok(*one),
        several => Err(Error::Unread {
            place: "--node".into(),
            reason: format!("one ID says whose trace it is, not {}", several.len()),
        }),
    }
}

/// Reads a trace; one without any event of dlm is of no use.
pub(super) fn read_trace(path: &Path) -> Result<Trace, Error> {
    let trace = Trace::read_path(path).map_err(|error| Error::read(path, error))?;
    if trace.events.is_empty() {
        let reason = match trace.bad.first() {
            Some(bad) => format!("no dlm event in {} lines; {bad}", trace.lines_read),
            None => format!("no dlm event in {} lines", trace.lines_read),
        };
        return Err(unread(path, reason));
    }
    Ok(trace)
}

fn unread(path: &Path, reason: String) -> Error {
    Error::Unread {
        place: path.to_owned(),
        reason,
    }
}

fn write_text(out: &mut Output, args: &Args, trace: &Trace, report: &Report) -> Result<(), Error> {
    let heading = format!("{} against {}", args.file.display(), args.trace.display());
    let heading = out.paint(Paint::Heading, heading);
    writeln!(out, "{heading}")?;
    row(out, "node", &report.node.to_string())?;
    row(out, "trace", &trace_words(trace))?;
    row(out, "clock", &clock_words(report.clock))?;
    for peer in &report.peers {
        row(out, "peer", &peer.peer.to_string())?;
        for direction in Direction::BOTH {
            write_direction(out, direction, peer.of(direction))?;
        }
    }
    write_findings(out, report, args.all)?;
    let agrees = report.agrees(args.fail_on.into());
    let (paint, verdict) = if agrees {
        (Paint::Lock, "agree")
    } else {
        (Paint::Bad, "differ")
    };
    let verdict = out.paint(paint, verdict);
    let [notes, warns, errors] = Severity::ALL.map(|severity| report.findings.count(severity));
    writeln!(
        out,
        "  {:<11}{verdict}: {errors} error, {warns} warn, {notes} note",
        "verdict"
    )?;
    Ok(())
}

fn row(out: &mut Output, label: &str, text: &str) -> Result<(), Error> {
    if !text.is_empty() {
        writeln!(out, "  {label:<11}{text}")?;
    }
    Ok(())
}

fn trace_words(trace: &Trace) -> String {
    let mut words = format!("{} events in {} lines", trace.events.len(), trace.lines_read);
    let counts = [
        (trace.other_events, "of other kinds"),
        (trace.bad_lines, "bad lines"),
        (trace.too_big, "events too long for the kernel's trace"),
        (
            u64::try_from(trace.losses.len()).unwrap_or(u64::MAX),
            "places where events were lost",
        ),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        words.push_str(&format!(", {count} {what}"));
    }
    words
}

fn clock_words(clock: ClockSource) -> String {
    match clock {
        ClockSource::Told(_) => "as the trace says".to_owned(),
        ClockSource::Estimated(_) => {
            "estimated from the message that was taken fastest: times to the kernel are above its own"
                .to_owned()
        }
        ClockSource::Unknown => "not known: nothing could be paired".to_owned(),
    }
}

fn write_direction(out: &mut Output, direction: Direction, report: &DirectionReport) -> Result<(), Error> {
    let outcomes: Vec<String> = report
        .outcomes
        .iter()
        .map(|(outcome, count)| format!("{count} {}", outcome.name()))
        .collect();
    let words = format!(
        "{} frames ({}), {} events, {} alike in every field",
        report.frames,
        outcomes.join(", "),
        report.events,
        report.identical
    );
    row(out, &format!("  {direction}"), &words)?;
    if let Some(socket) = report.socket_bytes {
        let comparison = match (socket == report.wire_bytes, report.bytes_comparable) {
            (true, _) => "the same",
            (false, true) => "which have to be the same",
            (false, false) => "not comparable: links were reset, or not all of it was seen",
        };
        let words = format!(
            "{socket} by socket calls, {} on the wire, {comparison}",
            report.wire_bytes
        );
        row(out, "  bytes", &words)?;
    }
    write_latency(out, direction, &report.latency)
}

fn write_latency(out: &mut Output, direction: Direction, latency: &Latency) -> Result<(), Error> {
    if latency.count == 0 {
        return Ok(());
    }
    let way = match direction {
        Direction::Sent => "from event to wire",
        Direction::Received => "from wire to event",
    };
    let words = format!(
        "{way}: {} half, {} of 90 %, {} of 99 %, {} at most",
        micros(latency.p50_ns),
        micros(latency.p90_ns),
        micros(latency.p99_ns),
        micros(latency.max_ns)
    );
    row(out, "  time", &words)?;
    let most = latency.buckets.iter().copied().max().unwrap_or(1).max(1);
    for (below, count) in latency.histogram() {
        let label = match below {
            Some(below) => format!("< {below} us"),
            None => "longer".to_owned(),
        };
        let bar = usize::try_from(count.saturating_mul(BAR_MAX).div_ceil(most)).unwrap_or_default();
        let bar = "#".repeat(bar);
        writeln!(out, "            {label:>12} {count:>8} {bar}")?;
    }
    Ok(())
}

fn micros(nanos: u64) -> String {
    format!("{}.{} us", nanos / 1000, nanos % 1000 / 100)
}

fn write_findings(out: &mut Output, report: &Report, all: bool) -> Result<(), Error> {
    for (kind, count) in report.findings.counts() {
        let paint = match kind.severity() {
            Severity::Note => Paint::Dim,
            Severity::Warn => Paint::Recovery,
            Severity::Error => Paint::Bad,
        };
        let name = out.paint(paint, kind.name());
        writeln!(out, "  {} {name}: {count}", kind.severity())?;
        let kept = report.findings.iter().filter(|finding| finding.kind == kind);
        let shown = if all { usize::MAX } else { SHOWN_PER_KIND };
        for finding in kept.take(shown) {
            writeln!(out, "    {}", sentence(finding))?;
        }
    }
    Ok(())
}

fn sentence(finding: &Finding) -> String {
    let mut places = Vec::new();
    if let Some(peer) = finding.peer {
        places.push(format!("node {peer}"));
    }
    if let Some(packet) = finding.packet {
        places.push(format!("packet {packet}"));
    }
    if let Some(line) = finding.line {
        places.push(format!("line {line}"));
    }
    if places.is_empty() {
        return finding.text.clone();
    }
    format!("{}: {}", places.join(", "), finding.text)
}

fn write_json(out: &mut Output, args: &Args, trace: &Trace, report: &Report) -> Result<(), Error> {
    let other = std::io::Error::other;
    for finding in report.findings.iter() {
        let mut line = serde_json::to_value(finding).map_err(other)?;
        line["finding"] = line["kind"].take();
        line["kind"] = json!("finding");
        writeln!(out, "{line}")?;
    }
    for peer in &report.peers {
        let mut line = serde_json::to_value(peer).map_err(other)?;
        line["kind"] = json!("peer");
        writeln!(out, "{line}")?;
    }
    let counts: serde_json::Map<String, Value> = report
        .findings
        .counts()
        .map(|(kind, count): (Kind, u64)| (kind.name().to_owned(), json!(count)))
        .collect();
    let line = json!({
        "kind": "summary",
        "file": args.file.display().to_string(),
        "trace": args.trace.display().to_string(),
        "node": report.node.get(),
        "events": trace.events.len(),
        "lines": trace.lines_read,
        "other_events": trace.other_events,
        "bad_lines": trace.bad_lines,
        "too_big": trace.too_big,
        "losses": trace.losses.len(),
        "clock": serde_json::to_value(report.clock).map_err(other)?,
        "findings": counts,
        "agrees": report.agrees(args.fail_on.into()),
    });
    writeln!(out, "{line}")?;
    Ok(())
}
