//! `dlmwire demo`: two nodes on this machine, connections broken on the way, and every message counted.

mod cut;
mod party;
mod promise;
mod random;
mod record;
mod report;
mod stage;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use dlmwire_midcomms::engine::PAYLOAD_BYTES_MAX;
use dlmwire_node::config::Carrier;
use indicatif::{ProgressBar, ProgressStyle};

use self::promise::MESSAGE_BYTES_MIN;
use self::record::Recorder;
use self::report::{Grouped, Summary};
use self::stage::{Plan, Stage, StageError};
use super::error::Error;
use super::output::{Output, Paint};
use super::{FOUND, carrier};

/// How long nothing may happen before the run counts as stuck.
const PATIENCE: Duration = Duration::from_secs(15);

const MESSAGES_MAX: u64 = 1_000_000_000;

const MANUAL: &str = "\
What happens:
  Node 1 is 127.0.0.1, node 2 is 127.0.0.2, each in its own thread. Both send numbered messages, and
  both reset their own connections on the way, most of them in the middle of a frame (over SCTP they
  abort them, behind a record). Every message is looked at when it arrives: it has to be the next
  one, and every byte has to be what was sent.

  Then node 1 leaves. Node 2 still sends its last messages over the half that is open, and leaves too.
  Both have to reach CLOSED.

Examples:
  dlmwire demo
  dlmwire demo --messages 1000000 --kill-every 5000 --seed 42
  dlmwire demo --record demo.pcapng && dlmwire check demo.pcapng
  dlmwire demo --json | jq '{kept, resets, resent}'

Exit codes:
  0  every message arrived once, in order, as it was sent, and both nodes reached CLOSED
  1  not so, or nothing happened for 15 seconds; the last lines say what was wrong first
  2  the demo could not be run, or the record not written";

/// Shows the promise being kept: two nodes, broken connections, no message lost, doubled or out of order
///
/// Runs two nodes on this machine that send to each other while their connections are reset again and
/// again, checks every message, ends with a four-way FIN, and tells what it took.
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(crate) struct Args {
    /// Messages that each node sends
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 200_000,
        value_parser = clap::value_parser!(u64).range(1..=MESSAGES_MAX)
    )]
    messages: u64,

    /// Bytes of a message, from 16 to 3984
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = message_bytes)]
    size: usize,

    /// Each node resets a connection, or all it has, about every COUNT messages that it receives; 0: never
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 20_000,
        value_parser = clap::value_parser!(u64).range(..=MESSAGES_MAX)
    )]
    kill_every: u64,

    /// Where both nodes listen, or on any other port if it is taken
    #[arg(long, value_name = "PORT", default_value_t = 21064)]
    port: u16,

    /// What carries the messages: tcp, or sctp where the kernel has it
    #[arg(long, value_name = "TRANSPORT", default_value = "tcp", value_parser = carrier::carrier)]
    transport: Carrier,

    /// What the contents and the resets are drawn from; a new one each time if left out, told in the first lines
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Write what the nodes send to each other over TCP as a capture (pcapng), with 21064 for the port
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// One JSON object instead of a text
    #[arg(long)]
    json: bool,
}

fn message_bytes(text: &str) -> Result<usize, String> {
    let range = MESSAGE_BYTES_MIN..=PAYLOAD_BYTES_MAX;
    let bytes = text.parse().ok().filter(|bytes| range.contains(bytes));
    bytes.ok_or_else(|| format!("not a number from {} to {}", range.start(), range.end()))
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let plan = Plan {
        messages: args.messages,
        message_bytes: args.size,
        kill_every: (args.kill_every > 0).then_some(args.kill_every),
        seed: args.seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
        carrier: args.transport,
        port: args.port,
        patience: PATIENCE,
    };
    let cannot = |error: StageError| Error::Unread {
        place: "demo".into(),
        reason: error.to_string(),
    };
    if args.record.is_some() && args.transport != Carrier::Tcp {
        return Err(cannot(StageError::Setup(
            "--record is for TCP; leave it out".to_owned(),
        )));
    }
    let stage = Stage::new(plan).map_err(cannot)?;
    let record = args.record.as_deref();
    let recorder = match record {
        Some(path) => Some(Recorder::create(path).map_err(|error| Error::write(path, error))?),
        None => None,
    };
    if !args.json {
        heading(&plan, &stage, out)?;
    }
    let bar = progress(&plan);
    let shown = stage.run(recorder.as_ref(), |received| bar.set_position(received));
    bar.finish_and_clear();
    let shown = shown.map_err(cannot)?;
    let recorded = match (&recorder, record) {
        (Some(recorder), Some(path)) => recorder.finish().map_err(|error| Error::write(path, error)),
        _ => Ok(()),
    };
    let summary = Summary::new(&plan, &shown, record.filter(|_| recorded.is_ok()));
    if args.json {
        summary.json(out)?;
    } else {
        summary.text(out)?;
    }
    recorded?;
    Ok(ExitCode::from(if summary.broken().is_some() { FOUND } else { 0 }))
}

fn heading(plan: &Plan, stage: &Stage, out: &mut Output) -> Result<(), Error> {
    let [one, two] = stage.addresses();
    let title = out.paint(Paint::Heading, format!("node 1 at {one}, node 2 at {two}"));
    writeln!(out, "{title}")?;
    let kills = match plan.kill_every {
        Some(messages) => format!("connections reset about every {}", Grouped(messages)),
        None => "no connection reset".to_owned(),
    };
    let (messages, bytes) = (Grouped(plan.messages), plan.message_bytes);
    let task = format!(
        "{messages} messages of {bytes} bytes each way, {kills}; --seed {}",
        plan.seed
    );
    writeln!(out, "  {:<10}{task}", "task")?;
    Ok(out.flush()?)
}

fn progress(plan: &Plan) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("  {bar:40} {human_pos}/{human_len} messages {per_sec} {eta}");
    let bar = ProgressBar::new(2 * plan.messages);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
