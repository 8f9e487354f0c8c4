//! `dlmwire chaos`: a proxy between nodes that breaks their connections on purpose.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, LineWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use dlmwire_interop::chaos::{
    BUFFER_BYTES_MAX, CONNECTIONS_MAX, Config, Handle, Kind, Plan, Proxy, ROUTES_MAX, Rate, Report, Route,
    Schedule, Source, Summary,
};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::error::Error;
use super::output::{Output, Paint};

/// A year.
const SECONDS_MAX: u64 = 31_536_000;

const MANUAL: &str = "\
Two nodes behind the proxy:
  A node knows another by the address from which it connects, never by a port. So the proxy listens
  on a node's own address at another port, and dials onward from the address of the node that dialled.

  Node A is 127.0.0.1, node B is 127.0.0.2, both listen on port 21064. A's configuration says that B
  is at 127.0.0.2:31064, B's says that A is at 127.0.0.1:31064. Each dials the other, hence two routes:

    dlmwire chaos --route 127.0.0.2:31064=127.0.0.2:21064,127.0.0.1 \\
                  --route 127.0.0.1:31064=127.0.0.1:21064,127.0.0.2 --rst 64K

  A dials what it takes for B, and B sees a connection from A; route 2 the other way round.

How faults are asked for:
  WHEN is the mean distance between two in bytes of one direction (K, M, G are 1024 each), or @BYTE:
  once at that byte, in each direction of every connection. For --refuse it counts connections.
  NAME=VALUE sets a parameter; a number may be a range, MIN..MAX, to draw from. All but --refuse
  take way=forward|back|both; forward is from the node that dialled the proxy. Each option may be
  given several times. Where nothing is asked for, nothing is broken.

  The same seed draws the same faults for the same connection, direction and byte, whatever the
  time; so does a schedule, one JSON object a line:

    {\"route\":1,\"connection\":2,\"direction\":\"back\",\"at_byte\":9,\"fault\":{\"kind\":\"delay\",\"ms\":5}}

  --write-schedule writes what was done in the same form, to be done again with --schedule.

Examples:
  dlmwire chaos --listen 127.0.0.2:31064 --to 127.0.0.2:21064 --from 127.0.0.1 --split 1K
  dlmwire chaos --route 127.0.0.2:31064=127.0.0.2:21064,127.0.0.1 --stall 1M,ms=500 --seed 7
  dlmwire chaos --listen 127.0.0.2:31064 --to 127.0.0.2:21064 --rst @1000,side=both --for 60
  dlmwire chaos --listen 127.0.0.2:31064 --to 127.0.0.2:21064 --schedule found.jsonl --log json

If nobody reads what it tells, it waits, and so do the connections.

Exit codes: 0 it ran until it was told to stop (SIGINT, SIGTERM, --for); 2 it could not.";

/// Breaks connections between nodes on purpose, the same way every time: a proxy
///
/// Stands between nodes, dials onward from the address of the node that dialled, and splits, holds back, stalls,
/// cuts or corrupts what goes through, as drawn from a seed or as a schedule says. Tells what it does as it does
/// it, and sums up at the end.
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(crate) struct Args {
    /// Where to listen; port 0 lets the system choose
    #[arg(
        long,
        value_name = "ADDR:PORT",
        requires = "to",
        required_unless_present = "route"
    )]
    listen: Option<SocketAddr>,

    /// Whom to dial for each connection
    #[arg(long, value_name = "ADDR:PORT", requires = "listen")]
    to: Option<SocketAddr>,

    /// From which address of this host to dial; `client`: the one that dialled; `any`: the system's choice
    #[arg(long, value_name = "ADDR", requires = "listen", default_value = "any")]
    from: Source,

    /// The three in one; may be given several times. Routes are numbered in this order, --listen first
    #[arg(long, value_name = "LISTEN=TO[,FROM]")]
    route: Vec<Route>,

    /// Do what this file says, and nothing else; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "Drawn")]
    schedule: Option<PathBuf>,

    /// Write what was done, to be done again
    #[arg(long, value_name = "FILE")]
    write_schedule: Option<PathBuf>,

    /// Stop after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: Option<u64>,

    /// What comes out
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    log: LogFormat,

    /// Bytes that each direction of a connection holds; the sender waits when it is full
    #[arg(long, value_name = "BYTES", default_value_t = 65536, value_parser = clap::value_parser!(u64).range(1..=BUFFER_BYTES_MAX as u64))]
    buffer: u64,

    /// Connections at once; who dials beyond waits
    #[arg(long, value_name = "COUNT", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX as u64))]
    connections: u64,

    #[command(flatten)]
    drawn: Drawn,
}

/// What is drawn, and from what.
#[derive(clap::Args)]
#[command(next_help_heading = "Faults")]
struct Drawn {
    /// What all faults are drawn from; a new one each time if left out, told in the first line
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Forward in small pieces: pieces=1..8, bytes=1..16 of each, gap_us=200 between them
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Split, text))]
    split: Vec<Rate>,

    /// Hold back until bytes=4K are there or ms=20 are over, then forward them together
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Coalesce, text))]
    coalesce: Vec<Rate>,

    /// Hold back for ms=1..20, and go on reading
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Delay, text))]
    delay: Vec<Rate>,

    /// Neither read nor forward one way for ms=200..1000
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Stall, text))]
    stall: Vec<Rate>,

    /// Throw everything away both ways, sockets open, for ms=1000..5000; then reset both
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::HalfOpen, text))]
    half_open: Vec<Rate>,

    /// Reset: side=client|server|both, any if left out; the other side sees a clean end
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Rst, text))]
    rst: Vec<Rate>,

    /// End one way, throw away what still comes; the other way goes on
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Fin, text))]
    fin: Vec<Rate>,

    /// End both ways
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Close, text))]
    close: Vec<Rate>,

    /// From there on rate=64K bytes a second and no more, for `bytes` bytes if given
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Bandwidth, text))]
    bandwidth: Vec<Rate>,

    /// Change a byte: exclusive or with mask=1..255, any if left out
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Flip, text))]
    flip: Vec<Rate>,

    /// Reset a connection when it is accepted, and listen no more for ms=200..1000
    #[arg(long, value_name = "WHEN[,NAME=VALUE]...", value_parser = |text: &str| Rate::parse(Kind::Refuse, text))]
    refuse: Vec<Rate>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let plan = args.plan()?;
    let seed = match &plan {
        Plan::Seeded { seed, .. } => Some(*seed),
        Plan::Script(_) => None,
    };
    let config = Config {
        routes: args.routes()?,
        plan,
        buffer_bytes_max: usize::try_from(args.buffer).unwrap_or(BUFFER_BYTES_MAX),
        connections_max: usize::try_from(args.connections).unwrap_or(CONNECTIONS_MAX),
        run_time: args.seconds.map(Duration::from_secs),
    };
    let proxy = Proxy::bind(config).map_err(cannot)?;
    let handle = proxy.handle();
    // Before anything is told: whoever reads the first line may already send one.
    let signals = stop_on_signals(handle.clone()).map_err(cannot)?;
    let mut log = Log::new(args, out)?;
    log.start(seed, &proxy.routes())?;
    let mut failed = None;
    let summary = proxy.run(|report| {
        if failed.is_none()
            && let Err(error) = log.report(report)
        {
            failed = Some(error);
            // It ends at its next turn even if it cannot be woken: it is awake, this is its thread.
            let _ = handle.stop();
        }
    });
    signals.close();
    if let Some(error) = failed {
        return Err(error);
    }
    log.end(&summary.map_err(cannot)?)?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn routes(&self) -> Result<Vec<Route>, Error> {
        let first = self.listen.zip(self.to).map(|(listen, to)| Route {
            listen,
            to,
            from: self.from,
        });
        let routes: Vec<Route> = first.into_iter().chain(self.route.iter().copied()).collect();
        if routes.len() > ROUTES_MAX {
            return Err(Error::Unread {
                place: "--route".into(),
                reason: format!(
                    "{} routes, more than {ROUTES_MAX}, which is the limit",
                    routes.len()
                ),
            });
        }
        Ok(routes)
    }

    fn plan(&self) -> Result<Plan, Error> {
        let Some(path) = &self.schedule else {
            let seed = self.drawn.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
            return Ok(Plan::Seeded {
                seed,
                rates: self.drawn.rates(),
            });
        };
        let schedule = if path == Path::new("-") {
            Schedule::read(io::stdin().lock())
        } else {
            let file = File::open(path).map_err(|error| Error::read(path, error))?;
            Schedule::read(BufReader::new(file))
        };
        schedule.map(Plan::Script).map_err(|error| Error::Unread {
            place: path.clone(),
            reason: error.to_string(),
        })
    }
}

impl Drawn {
    fn rates(&self) -> Vec<Rate> {
        let kinds = [
            &self.split,
            &self.coalesce,
            &self.delay,
            &self.stall,
            &self.half_open,
            &self.rst,
            &self.fin,
            &self.close,
            &self.bandwidth,
            &self.flip,
            &self.refuse,
        ];
        kinds.into_iter().flatten().cloned().collect()
    }
}

/// What comes out while it runs.
struct Log<'a> {
    format: LogFormat,
    out: &'a mut Output,
    schedule: Option<(&'a Path, LineWriter<File>)>,
    started: Instant,
}

impl<'a> Log<'a> {
    fn new(args: &'a Args, out: &'a mut Output) -> Result<Self, Error> {
        let schedule = match &args.write_schedule {
            Some(path) => {
                let file = File::create(path).map_err(|error| Error::write(path, error))?;
                Some((path.as_path(), LineWriter::new(file)))
            }
            None => None,
        };
        Ok(Self {
            format: args.log,
            out,
            schedule,
            started: Instant::now(),
        })
    }

    fn start(&mut self, seed: Option<u64>, routes: &[Route]) -> Result<(), Error> {
        match self.format {
            LogFormat::Json => {
                let routes: Vec<String> = routes.iter().map(Route::to_string).collect();
                self.json(json!({ "kind": "start", "seed": seed, "routes": routes }))?;
            }
            LogFormat::Text => {
                for (index, Route { listen, to, from }) in routes.iter().enumerate() {
                    let from = match from {
                        Source::Any => String::new(),
                        Source::Client => " from the client's address".to_owned(),
                        Source::Address(address) => format!(" from {address}"),
                    };
                    let head = self
                        .out
                        .paint(Paint::Heading, format_args!("route {}", index + 1))
                        .to_string();
                    writeln!(self.out, "{head}: listens on {listen}, dials {to}{from}")?;
                }
                match seed {
                    Some(seed) => writeln!(self.out, "seed {seed}")?,
                    None => writeln!(self.out, "faults from the schedule")?,
                }
            }
        }
        Ok(self.out.flush()?)
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        if let (Report::Fault(event), Some((path, file))) = (report, &mut self.schedule) {
            let line = event.to_line().and_then(|line| writeln!(file, "{line}"));
            line.map_err(|error| Error::write(path, error))?;
        }
        match self.format {
            LogFormat::Json => self.json(serde_json::to_value(report).map_err(io::Error::other)?)?,
            LogFormat::Text => {
                let seconds = self.started.elapsed().as_secs_f64();
                let paint = match report {
                    Report::Fault(_) => Paint::Recovery,
                    Report::Trouble { .. } => Paint::Bad,
                    Report::Opened { .. } | Report::Ended { .. } => Paint::Control,
                };
                let line = self.out.paint(paint, report.to_string());
                let line = format!("{seconds:10.3} s  {line}");
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(self.out.flush()?)
    }

    fn end(&mut self, summary: &Summary) -> Result<(), Error> {
        if self.format == LogFormat::Json {
            let mut line = serde_json::to_value(summary).map_err(io::Error::other)?;
            line["kind"] = json!("summary");
            return self.json(line);
        }
        let Summary {
            connections,
            forward_bytes,
            back_bytes,
            dropped_bytes,
            faults,
            ..
        } = summary;
        let plural = if *connections == 1 { "" } else { "s" };
        writeln!(
            self.out,
            "{connections} connection{plural}, {forward_bytes} bytes forward, {back_bytes} back, {dropped_bytes} dropped"
        )?;
        let counts: Vec<String> = faults
            .iter()
            .map(|(fault, count)| format!("{fault} {count}"))
            .collect();
        let counts = if counts.is_empty() {
            "none".to_owned()
        } else {
            counts.join(", ")
        };
        writeln!(self.out, "faults: {counts}")?;
        Ok(())
    }

    fn json(&mut self, mut line: Value) -> Result<(), Error> {
        line["at_ms"] = json!(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        Ok(writeln!(self.out, "{line}")?)
    }
}

/// Stops the proxy at the first SIGINT or SIGTERM. To be closed when it has ended.
fn stop_on_signals(proxy: Handle) -> io::Result<signal_hook::iterator::Handle> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let handle = signals.handle();
    thread::spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count == 0 {
                // It sees the flag at its next turn, woken or not.
                let _ = proxy.stop();
            } else {
                // It may be waiting for whoever reads its output; a second signal waits for nobody.
                let _ = emulate_default_handler(signal);
            }
        }
    });
    Ok(handle)
}

/// The proxy cannot do its work.
fn cannot(error: io::Error) -> Error {
    Error::read(Path::new("chaos"), error)
}
