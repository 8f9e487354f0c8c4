//! The command line: one verb a file.
//!
//! Every verb ends with one of three exit codes: 0 all is well, 1 something was found or a message is
//! damaged, 2 the job could not be done, or not to its end. What could be done is still shown, and one line on
//! standard error says why the rest could not.

mod bench;
mod carrier;
mod chaos;
mod check;
mod check_text;
mod cluster;
mod completions;
mod control;
mod cross;
mod decode;
mod demo;
mod dump;
mod error;
mod hex;
mod json;
#[cfg(target_os = "linux")]
mod lab;
mod man;
mod member;
mod message;
mod node;
mod nodes;
mod output;
mod reading;
mod replay;
mod sequence;
mod stats;
mod status;
mod stub;
mod time;
mod trace2pcap;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use self::error::Error;
use self::output::Output;

/// Exit code 1: something was found, or a message is damaged.
const FOUND: u8 = 1;
/// Exit code 2: the job could not be done, or not to its end. clap ends with the same for a command line it cannot take.
const FAILED: u8 = 2;

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  1  something was found, or a message is damaged
  2  the job could not be done, or not to its end; standard error says why";

/// The messaging layer of the Linux kernel's distributed lock manager (fs/dlm): a node on the line, captures judged,
/// connections broken on purpose.
#[derive(Parser)]
#[command(name = "dlmwire", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,

    /// Colours: auto means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto)]
    color: ColorWhen,
}

#[derive(Subcommand)]
enum Verb {
    Demo(demo::Args),
    Check(check::Args),
    Dump(dump::Args),
    Decode(decode::Args),
    Stats(stats::Args),
    Replay(replay::Args),
    Cross(cross::Args),
    Trace2pcap(trace2pcap::Args),
    Chaos(Box<chaos::Args>),
    Bench(Box<bench::Args>),
    Node(Box<node::Args>),
    Stub(Box<stub::Args>),
    Status(status::Args),
    Member(member::Args),
    #[cfg(target_os = "linux")]
    Lab(lab::Args),
    Completions(completions::Args),
    Man(man::Args),
}

#[derive(Clone, Copy, ValueEnum)]
enum ColorWhen {
    Auto,
    Always,
    Never,
}

/// Runs the command and says how it ended.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Output::to_stdout(cli.color);
    let outcome = run_verb(&cli.verb, &mut out).and_then(|code| match out.finish().map_err(Error::from) {
        Ok(()) | Err(Error::OutputClosed) => Ok(code),
        Err(error) => Err(error),
    });
    match outcome {
        Ok(code) => code,
        Err(Error::OutputClosed) => ExitCode::SUCCESS,
        Err(error) => {
            // It is standard output that fails, or it was written out: the code says what there is to say.
            let _ = out.complain(error);
            ExitCode::from(FAILED)
        }
    }
}

fn run_verb(verb: &Verb, out: &mut Output) -> Result<ExitCode, Error> {
    match verb {
        Verb::Demo(args) => demo::run(args, out),
        Verb::Check(args) => check::run(args, out),
        Verb::Dump(args) => dump::run(args, out),
        Verb::Decode(args) => decode::run(args, out),
        Verb::Stats(args) => stats::run(args, out),
        Verb::Replay(args) => replay::run(args, out),
        Verb::Cross(args) => cross::run(args, out),
        Verb::Trace2pcap(args) => trace2pcap::run(args, out),
        Verb::Chaos(args) => chaos::run(args, out),
        Verb::Bench(args) => bench::run(args, out),
        Verb::Node(args) => node::run(args, out),
        Verb::Stub(args) => stub::run(args, out),
        Verb::Status(args) => status::run(args, out),
        Verb::Member(args) => member::run(args),
        #[cfg(target_os = "linux")]
        Verb::Lab(args) => lab::run(args, out),
        Verb::Completions(args) => completions::run(args, out),
        Verb::Man(args) => man::run(args, out),
    }
}

/// The whole command line, for completions and manual pages.
fn command() -> clap::Command {
    Cli::command()
}
