//! Other ways to send framed messages over one connection, measured in turn with dlmwire's nodes and with the
//! hand-written yardstick; prints a Markdown table.
//!
//! `cargo run --release -- [--size BYTES] [--seconds SECONDS] [--repetitions COUNT] [--one-core]`

mod feed;
mod grpc;
mod nats;
mod quic;
mod zeromq;

#[path = "../../../src/cli/bench/nodes/mod.rs"]
#[allow(dead_code, reason = "the command uses the rest")]
mod nodes;
#[path = "../../../src/cli/bench/raw/mod.rs"]
#[allow(dead_code, reason = "the command uses the rest")]
mod raw;

use std::error::Error;
use std::fs;
use std::future::Future;
use std::io;
use std::time::Duration;

use clap::Parser;

use nodes::{Carrier, Traffic};
use raw::{End, HEAD_BYTES, Setup, Times};

/// Messages that are given to a peer between two flushes; as many as a node takes in one turn.
const BATCH: u64 = 512;

/// Of how many messages a receiver looks at the clock once.
const LOOK_EVERY: u64 = 256;

#[derive(Parser)]
struct Args {
    /// Bytes of a message
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// How long each measurement counts
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
    /// Repetitions, of which medians are taken
    #[arg(long, default_value_t = 5)]
    repetitions: u32,
    /// Both ends, and their threads, on one core: what repeats best
    #[arg(long)]
    one_core: bool,
    /// Measure these only, by their names in the table
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

type Outcome = Result<[End; 2], Box<dyn Error>>;

/// One way to send.
struct Program {
    name: &'static str,
    promise: &'static str,
    run: fn(&Setup, usize) -> Outcome,
}

const PROGRAMS: [Program; 8] = [
    Program {
        name: "raw-r1",
        promise: "order, acknowledgements; the yardstick",
        run: |setup, _| Ok(raw::stream::numbered(setup)?),
    },
    Program {
        name: "raw-r0",
        promise: "TCP's",
        run: |setup, _| Ok(raw::stream::unnumbered(setup)?),
    },
    Program {
        name: "dlmwire",
        promise: "exactly once, in order, across lost connections",
        run: |setup, size| {
            let ends = nodes::run(Carrier::Tcp, Traffic::Stream, size, setup);
            ends.map_err(|error| error.to_string().into())
        },
    },
    Program {
        name: "tokio-util",
        promise: "order within a connection",
        run: feed::run,
    },
    Program {
        name: "tonic",
        promise: "order within a stream",
        run: grpc::run,
    },
    Program {
        name: "quinn",
        promise: "order within a stream, encrypted",
        run: quic::run,
    },
    Program {
        name: "ZeroMQ",
        promise: "order; what is in flight may be lost",
        run: zeromq::run,
    },
    Program {
        name: "NATS",
        promise: "at most once, by a broker",
        run: nats::run,
    },
];

/// What repetitions of one program gave: messages per second, and processor seconds for a million.
type Results = Vec<[f64; 2]>;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let window = Duration::from_secs_f64(args.seconds);
    let setup = Setup {
        wire: raw::Wire::Tcp,
        frame_bytes: HEAD_BYTES + args.size,
        times: Times {
            warm_up: window / 2,
            window,
        },
        one_core: args.one_core,
        congestion: None,
    };
    let chosen = |program: &&Program| {
        let only = &args.only;
        only.is_empty() || program.name == "raw-r1" || only.iter().any(|name| name == program.name)
    };
    let mut programs: Vec<(&Program, Results)> = PROGRAMS
        .iter()
        .filter(chosen)
        .map(|program| (program, Vec::new()))
        .collect();
    for repetition in 1..=args.repetitions {
        for (program, results) in &mut programs {
            eprintln!("{repetition} of {}: {}", args.repetitions, program.name);
            match (program.run)(&setup, args.size) {
                Ok(ends) => results.push(figures(&ends)),
                Err(error) => eprintln!("SKIPPED {}: {error}", program.name),
            }
        }
    }
    print(&args, &programs);
    Ok(())
}

fn figures([sender, receiver]: &[End; 2]) -> [f64; 2] {
    let per_second = receiver.counts.messages as f64 / receiver.elapsed.as_secs_f64();
    let load = |end: &End| end.cpu.as_secs_f64() / end.elapsed.as_secs_f64();
    [per_second, (load(sender) + load(receiver)) / per_second * 1e6]
}

fn print(args: &Args, programs: &[(&Program, Results)]) {
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    let cores = if args.one_core {
        "both ends on one core"
    } else {
        "unpinned"
    };
    println!(
        "One connection, {} bytes, {cores}, {}, medians of {}.\n",
        args.size,
        congestion.trim(),
        args.repetitions
    );
    println!("| program | M msg/s | x raw-r1 | CPU s/M | x raw-r1 | promise |\n|---|---|---|---|---|---|");
    let base = programs
        .first()
        .map_or(&[][..], |(_, results)| results.as_slice());
    for (program, results) in programs {
        let of = |at: usize| median(results.iter().map(|result| result[at]));
        let ratio = |at: usize| median(results.iter().zip(base).map(|(own, base)| own[at] / base[at]));
        if results.is_empty() {
            println!("| {} | - | - | - | - | {} |", program.name, program.promise);
            continue;
        }
        println!(
            "| {} | {:.2} | {:.3} | {:.3} | {:.1} | {} |",
            program.name,
            of(0) / 1e6,
            ratio(0),
            of(1),
            ratio(1),
            program.promise
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or_default()
}

/// Runs a future, and all that it spawns, on this thread.
fn on_this_thread<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_background();
    outcome
}

fn other(error: impl ToString) -> io::Error {
    io::Error::other(error.to_string())
}
