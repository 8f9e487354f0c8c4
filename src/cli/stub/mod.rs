//! `dlmwire stub`: a DLM participant that real kernels recover with, told what to do by lines.
//!
//! Three threads besides this one, which writes: the node's loop, the reader of standard input, the one that waits
//! for signals.

mod app;
mod command;
mod event;
mod feed;
mod setup;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use dlmwire_codec::NodeId;
use dlmwire_interop::participant::Host;
use dlmwire_interop::participant::meddler::Meddler;
use dlmwire_node::config::Protocol;
use dlmwire_node::{Node, NodeError};

use self::app::App;
use self::event::{Started, Voice};
use self::feed::{COMMANDS_MAX, Feed};
use self::setup::{LockspaceArg, Setup, Weight};
use super::FOUND;
use super::carrier::{self, protocol};
use super::control::node_id;
use super::error::Error;
use super::node::outlet::Outlet;
use super::node::setup::{Peer, address};
use super::node::{Log, start_log};
use super::output::Output;

const MANUAL: &str = "\
Standard input, one command a line; `@TAG` in front comes back with every event that the line causes:
  join [N ...]  leave  add N  remove N  fence N        what a cluster manager says; `ls=NAME` for another lockspace
  lock NAME MODE [noqueue] [valblk] [lvb=HEX] [quiet]  MODE is NL, CR, CW, PR, PW or EX
  convert ID MODE [...]  unlock ID [lvb=HEX]  cancel ID
  work COUNT [names=N] [outstanding=N] [lvb]           locks and unlocks in turn
  status  quit
  cut [N] [every=MS] [for=MS]  eof [N]  deaf on|off  mute on|off  noack on|off  slow MS  notready COUNT
  lie ack|slot|lvblen|lsflags|nodeid N  raw HEX [N]  raw opts SEQ|+K HEX [N]

Standard output, one JSON object a line: started, joined, granted, ..., ended. docs/stub.md has all of it.

Examples:
  dlmwire stub --testing --id 2 --listen 10.77.0.2 --peer 1=10.77.0.1 --lockspace ls1=0x1234
  echo 'lock test1 EX' | dlmwire stub --testing --config node.toml --lockspace ls1=0x1234

Exit codes:
  0  everybody was left in order
  1  messages were lost, or the deadline came first
  2  it could not start, or the system stopped it; standard error says why";

/// Why it does not start without being asked for.
const REFUSED: &str = "this process grants locks that nothing stands behind, which can corrupt a real cluster's file \
     system: --testing says that there is none";

/// A DLM participant for tests with real kernels: recovers, masters, holds, and misbehaves when told to
///
/// Reads commands from standard input and leaves in order at its end, or on SIGTERM.
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(crate) struct Args {
    /// Says that no real cluster is on the line: this process grants locks that nothing stands behind
    #[arg(long)]
    testing: bool,

    /// Node, addresses and peers from a file in TOML, as for `dlmwire node`
    #[arg(long, value_name = "FILE", required_unless_present = "id", conflicts_with_all = ["id", "listen", "peer", "transport"])]
    config: Option<PathBuf>,

    /// Our own node id
    #[arg(long, value_name = "N", value_parser = node_id, requires = "listen")]
    id: Option<NodeId>,

    /// Our own address; the port is 21064 unless told. May be given several times, for SCTP
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = address)]
    listen: Vec<std::net::SocketAddr>,

    /// Another node; may be given several times
    #[arg(long, value_name = "ID=ADDR[:PORT],..")]
    peer: Vec<Peer>,

    /// What carries the messages: tcp, sctp, or detect, sctp if we have several addresses; tcp unless told
    #[arg(long, value_name = "TRANSPORT", value_parser = protocol)]
    transport: Option<Protocol>,

    /// A lockspace and its id, 0x... or decimal; may be given several times. With --config: its group unless told
    #[arg(long, value_name = "NAME=ID", required_unless_present = "config")]
    lockspace: Vec<LockspaceArg>,

    /// The newest version to speak
    #[arg(long, value_enum, value_name = "VERSION")]
    speak: Option<Speak>,

    /// The kernels to send like: whether NAMES travels in OPTS
    #[arg(long, value_enum, value_name = "KERNEL")]
    generation: Option<Kernel>,

    /// The first number of every conversation
    #[arg(long, value_name = "N")]
    start_seq: Option<u32>,

    /// A node's share of the directory; 1 unless told. May be given several times
    #[arg(long, value_name = "N=WEIGHT")]
    weight: Vec<Weight>,

    /// Bytes of a lock value block
    #[arg(long, value_name = "BYTES", default_value_t = 32, value_parser = clap::value_parser!(u16).range(0..=1024))]
    lvblen: u16,

    /// The lockspaces' creation flags
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    lsflags: u32,

    /// As directory, become master of what nobody masters, instead of who asks
    #[arg(long)]
    claim: bool,

    /// Claim at once to have finished every phase of a recovery
    #[arg(long)]
    lazy: bool,

    /// Wait for `join` instead of joining every lockspace at the start
    #[arg(long)]
    no_join: bool,

    /// How long leaving in order may take; 10 unless told
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    shutdown_deadline: Option<u64>,

    /// What is told on standard error; from debug on, other nodes' questions are told as events
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Log::Warn)]
    log: Log,
}

#[derive(Clone, Copy, ValueEnum)]
enum Speak {
    #[value(name = "3.1")]
    V3_1,
    #[value(name = "3.2")]
    V3_2,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kernel {
    #[value(name = "2021")]
    Linux2021,
    #[value(name = "6.1")]
    Linux6_1,
    #[value(name = "6.12")]
    Linux6_12,
}

/// What the process gets beyond the deadline, to tell how it ended.
const GRACE: Duration = Duration::from_secs(8);

/// Runs a participant and says how it ended.
pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    if !args.testing {
        return Err(setup::refused("stub", REFUSED.to_owned()));
    }
    start_log(args.log);
    let setup = Setup::read(args)?;
    // From here on a signal means to leave.
    let signals = feed::signals().map_err(cannot)?;
    let file = &setup.file;
    let transport = carrier::bind(file.carrier, file.roster.clone(), file.mark).map_err(cannot)?;
    let (transport, meddling) = Meddler::new(transport);
    let waker = dlmwire_transport::Transport::waker(&transport);
    let mut node = Node::new(setup.file.node.clone(), transport).map_err(|error| cannot_node(&error))?;
    let began = Instant::now();

    let outlet = Arc::new(Outlet::default());
    outlet.tell(&Started::new(&setup, node.status().local_address));
    let (sender, commands) = sync_channel(COMMANDS_MAX);
    let feed = Feed::new(sender, waker, Arc::clone(&outlet), began);
    if !args.no_join {
        feed.join_all(&setup);
    }
    let voice = Voice::new(Arc::clone(&outlet), setup.tells_questions());
    let peers: Vec<NodeId> = setup.file.peers().collect();
    let host = Host::new(voice, setup.lockspaces.clone(), peers.clone(), commands, meddling);
    let host = host.ok_or_else(|| setup::refused("--lockspace", "at least one is needed".to_owned()))?;
    feed.start(signals, setup.shutdown_deadline + GRACE)
        .map_err(cannot)?;

    let mut app = App::new(host, peers);
    let looping = thread::Builder::new()
        .name("dlmwire-loop".to_owned())
        .spawn(move || {
            let ended = node.run(&mut app);
            (ended, app.finish(&node.status(), node.now()))
        });
    let looping = looping.map_err(cannot)?;
    let written = outlet.write_to(out);
    if written.is_err() {
        // Nobody reads what we tell: leave, so that the others know.
        feed.leave();
    }
    let Ok((ended, clean)) = looping.join() else {
        return Err(cannot(io::Error::other("the node's loop has failed")));
    };
    ended.map_err(|error| cannot_node(&error))?;
    written?;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND)
    })
}

fn cannot(error: io::Error) -> Error {
    Error::read("stub".as_ref(), error)
}

fn cannot_node(error: &NodeError) -> Error {
    setup::refused("stub", error.to_string())
}
