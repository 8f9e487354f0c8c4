//! `dlmwire bench`: what a message costs here, always beside what plain sockets cost in the same minute.

mod host;
mod nodes;
mod plan;
mod plot;
mod raw;
mod report;
mod table;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use dlmwire_midcomms::engine::PAYLOAD_BYTES_MAX;
use indicatif::{ProgressBar, ProgressStyle};

use self::host::Network;
use self::nodes::Carrier;
use self::plan::{Cores, Pattern, Plan};
use self::report::Report;
use super::error::Error;
use super::output::Output;

/// A stamp has to fit into a message.
const PAYLOAD_BYTES_MIN: usize = 8;

const CONNECTIONS_MAX: usize = 1000;

const MANUAL: &str = "\
What is measured:
  Nodes of this library, and beside each the same traffic over plain sockets, taken in turn, several
  times; shown are medians. What counts are the columns marked x: the median of the ratios to the row
  marked 1.00, each taken within one repetition. Absolute figures are this machine's, this minute's.
  One of two nodes dials, so that each pair has one connection, as the plain sockets have.

  raw-r0       writes of 64 KiB, the receiver splits frames: no protocol at all
  raw-r1       24 bytes of head, numbers, a ring of what is unacknowledged, an acknowledgement per
               read: what one would write by hand for the same promise
  raw-r1-wide  the same with frames as long as ours, which carry a DLM_MSG of 88 bytes each; in a
               fan-in an acknowledgement per 32 KiB, as ours
  raw          ping-pong by epoll, read and write; fan-in of 32 messages per write
  raw-wide     the same with frames as long as ours

  Measured alone (--transport sctp), SCTP is compared with plain SCTP sockets that write 4096 bytes at
  once, as nodes and kernels do; else the plain sockets are TCP's.

  CPU s/M      processor seconds of both ends, kernel included, for a million messages
  recv x       the same ratio, of the receiving end alone: in a fan-in the one node that takes all
  p50 p99 ...  ping-pong: there and back; stream and fan-in: from the send call to the delivery, which is
               mostly the queue before a saturated connection

Where it may (root, or user namespaces), it runs in a network namespace of its own, under reno: others,
bbr above all, pace loopback down to half.

Examples:
  dlmwire bench --transport mem,tcp --svg bench.svg
  dlmwire bench --pattern pingpong --sizes 128 --seconds 1
  dlmwire bench --pattern fanin --connections 10,100,1000
  dlmwire bench --save base.json && dlmwire bench --against base.json

Exit codes:
  0  measured
  2  nothing could be measured, or a file not be read or written";

/// Measures messages per second, processor time and latency, beside plain sockets in the same run
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(crate) struct Args {
    /// What carries the messages
    #[arg(long, value_name = "NAME", value_enum, value_delimiter = ',', default_values_t = [Carrier::Mem, Carrier::Tcp])]
    transport: Vec<Carrier>,

    /// How they go
    #[arg(long, value_name = "NAME", value_enum, value_delimiter = ',',
          default_values_t = [Pattern::Stream, Pattern::Handle, Pattern::Pingpong, Pattern::Fanin])]
    pattern: Vec<Pattern>,

    /// Bytes of a message, from 8 to 3984; the other patterns take the first
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [128, 16, 512, 2048], value_parser = payload_bytes)]
    sizes: Vec<usize>,

    /// Senders of a fan-in, up to 1000
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [10], value_parser = connections)]
    connections: Vec<usize>,

    /// How long each measurement counts; as much again as a quarter of it runs before
    #[arg(long, value_name = "SECONDS", default_value = "0.4", value_parser = seconds)]
    seconds: Duration,

    /// Repetitions, of which medians are taken
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repetitions: u32,

    /// Where both ends run: auto puts ping-pong and fan-in on one core and leaves the others free
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = Cores::Auto)]
    cores: Cores,

    /// A network namespace of its own, or this one
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Network::Auto, overrides_with = "network")]
    network: Network,

    /// Write plots
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Write the figures, for --against
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Compare with figures that were saved, by their ratios to plain sockets
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

fn payload_bytes(text: &str) -> Result<usize, String> {
    within(text, PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX)
}

fn connections(text: &str) -> Result<usize, String> {
    within(text, 1, CONNECTIONS_MAX)
}

fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("not a number from {least} to {most}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.05..=60.0).contains(seconds));
    let seconds: f64 = seconds.ok_or("not a number from 0.05 to 60")?;
    Ok(Duration::from_secs_f64(seconds))
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let before = args.against.as_deref().map(read).transpose()?;
    if let Some(code) = host::run_apart(args.network) {
        return Ok(code);
    }
    let congestion = host::congestion();
    if let Some(warning) = congestion.warning() {
        out.complain(warning)?;
    }
    let mut carriers = args.transport.clone();
    carriers.sort();
    carriers.dedup();
    let mut present = Vec::new();
    for carrier in carriers {
        match carrier.missing() {
            None => present.push(carrier),
            Some(reason) => out.complain(format_args!("bench: {} is left out: {reason}", carrier.name()))?,
        }
    }
    if present.is_empty() {
        return Err(failed("no transport is left to measure"));
    }
    let plan = Plan {
        carriers: present,
        patterns: args.pattern.clone(),
        payload_bytes: args.sizes.clone(),
        connections: args.connections.clone(),
        window: args.seconds,
        repetitions: args.repetitions,
        cores: args.cores,
        congestion: congestion.wanted.clone(),
    };
    let bar = progress(plan.steps());
    let rows = plan.run(|case| {
        bar.set_message(case.to_string());
        bar.inc(1);
    });
    bar.finish_and_clear();
    let report = Report::new(&plan, &congestion, rows.map_err(failed)?);
    if let Some(path) = &args.save {
        let text = serde_json::to_string_pretty(&report).map_err(failed)?;
        fs::write(path, text + "\n").map_err(|error| Error::write(path, error))?;
    }
    if let Some(path) = &args.svg {
        let text = plot::draw(&report).map_err(failed)?;
        fs::write(path, text).map_err(|error| Error::write(path, error))?;
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report).map_err(failed)?)?;
    } else {
        table::show(&report, before.as_ref(), out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Report, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::read(path, error))?;
    Report::parse(&text).map_err(|reason| Error::Unread {
        place: path.to_owned(),
        reason,
    })
}

fn failed(reason: impl ToString) -> Error {
    Error::Unread {
        place: "bench".into(),
        reason: reason.to_string(),
    }
}

fn progress(steps: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("  {bar:30} {pos}/{len} {eta:>4}  {msg}");
    let bar = ProgressBar::new(steps);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
