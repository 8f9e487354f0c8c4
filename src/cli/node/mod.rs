//! `dlmwire node`: a node of a group as a process, with messages as JSON lines.
//!
//! Four threads: the node's loop, the reader of standard input, the one that leaves in order, and this one, which
//! writes. What they say goes through one bounded [`Outlet`].

mod app;
pub(super) mod event;
mod feed;
mod leave;
mod line;
pub(super) mod linger;
pub(super) mod order;
pub(super) mod outlet;
pub(super) mod setup;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::ValueEnum;
use dlmwire_codec::NodeId;
use dlmwire_node::config::Protocol;
use dlmwire_node::control::Server;
use dlmwire_node::{Node, NodeError};
use tracing::level_filters::LevelFilter;

use self::app::App;
use self::leave::Leave;
use self::line::Told;
use self::outlet::Outlet;
use self::setup::{Peer, Setup};
use super::FOUND;
use super::carrier::{self, Line, protocol};
use super::control::node_id;
use super::error::Error;
use super::output::Output;

const MANUAL: &str = "\
Standard input, one JSON object a line:
  {\"to\":2,\"data\":\"text\"}   a message to node 2; \"hex\" instead of \"data\" for bytes, \"all\" instead of 2 for all
  {\"add\":2} {\"remove\":2} {\"fence\":2}   what a cluster manager says
  {\"status\":true} {\"shutdown\":true}

Standard output, one JSON object a line:
  {\"from\":2,\"seq\":17,\"data\":\"text\"}   a message; \"hex\" where it is no text
  {\"event\":\"connected\",\"node\":2,...}   what happened
  {\"status\":{...}}
  {\"error\":\"...\",\"line\":3}   a line of standard input that could not be carried out

  While the queue of a peer is full nothing more is read. docs/node.md has all of it.

Examples:
  dlmwire node --config node.toml
  dlmwire node --id 1 --listen 10.0.0.1 --peer 2=10.0.0.2 --peer 3=10.0.0.3
  echo '{\"to\":\"all\",\"data\":\"hello\"}' | dlmwire node --config node.toml --exit-on-eof

Exit codes:
  0  everybody was left in order
  1  messages were lost, or the deadline came first
  2  it could not start, or the system stopped it; standard error says why";

/// A node of a group: exactly once, in order, over lost connections
///
/// Runs until SIGTERM or SIGINT, then ends every conversation by FIN; a second signal ends it at once. A peer that is
/// gone for good is not noticed by itself: say so by `dlmwire member` or on standard input.
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(crate) struct Args {
    /// All settings from a file in TOML
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "id",
        conflicts_with_all = ["id", "listen", "transport", "lockspace", "corosync_conf", "dlm_conf"]
    )]
    config: Option<PathBuf>,

    /// Our own node id
    #[arg(long, value_name = "N", value_parser = node_id)]
    id: Option<NodeId>,

    /// Our own address; the port is 21064 unless told. May be given several times, for SCTP
    #[arg(
        long,
        value_name = "ADDR[:PORT]",
        value_parser = setup::address,
        required_unless_present_any = ["config", "corosync_conf"]
    )]
    listen: Vec<std::net::SocketAddr>,

    /// Another node; may be given several times. With --config: dials a node of it elsewhere, as at a proxy's port
    #[arg(long, value_name = "ID=ADDR[:PORT],..")]
    peer: Vec<Peer>,

    /// What carries the messages: tcp, sctp, or detect, sctp if we have several addresses; tcp unless told
    #[arg(long, value_name = "TRANSPORT", value_parser = protocol)]
    transport: Option<Protocol>,

    /// The group, by name or id (0x...); `dlmwire` unless told
    #[arg(long, value_name = "NAME")]
    lockspace: Option<String>,

    /// Takes the nodes from a cluster's corosync.conf
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "peer"])]
    corosync_conf: Option<PathBuf>,

    /// Takes protocol and mark from a cluster's dlm.conf
    #[arg(long, value_name = "FILE")]
    dlm_conf: Option<PathBuf>,

    /// The control socket, for `dlmwire status` and `dlmwire member`; node-N.sock in $XDG_RUNTIME_DIR/dlmwire or
    /// /run/dlmwire unless told
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// How long leaving in order may take; 10 unless told
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    shutdown_deadline: Option<u64>,

    /// Leave when standard input ends
    #[arg(long)]
    exit_on_eof: bool,

    /// What is told on standard error
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Log::Warn)]
    log: Log,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Log {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Runs a node and says how it ended.
pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    start_log(args.log);
    let setup = Setup::read(args)?;
    // From here on a signal means to leave.
    let signals = leave::signals().map_err(cannot)?;
    let mut node = node(&setup)?;
    let handle = node.handle();
    let _control = start_control(&setup, &handle)?;
    let outlet = Arc::new(Outlet::default());
    outlet.tell(&Told::Started {
        node: setup.node().get(),
        listen: node.status().local_address,
        control: &setup.control,
    });
    let leave = Leave::start(
        handle.clone(),
        setup.shutdown_deadline,
        setup.control.clone(),
        signals,
    )
    .map_err(cannot)?;
    feed::start(
        handle,
        &setup,
        Arc::clone(&outlet),
        leave.clone(),
        args.exit_on_eof,
    )
    .map_err(cannot)?;

    let mut app = App::new(setup.file.node.lockspace, setup.peers(), Arc::clone(&outlet));
    let looping = thread::Builder::new()
        .name("dlmwire-loop".to_owned())
        .spawn(move || {
            let ended = node.run(&mut app);
            app.finish(&node.status());
            (ended, app.is_clean())
        });
    let looping = looping.map_err(cannot)?;
    let written = outlet.write_to(out);
    if written.is_err() {
        // Nobody reads what we deliver: leave, so that the others know.
        leave.begin();
    }
    let Ok((ended, clean)) = looping.join() else {
        return Err(cannot(io::Error::other("the node's loop has failed")));
    };
    ended.map_err(|error| cannot_node(&setup, &error))?;
    match written {
        Ok(()) if clean => Ok(ExitCode::SUCCESS),
        Ok(()) => Ok(ExitCode::from(FOUND)),
        Err(error) => {
            // The exit code says it too, should standard error be closed as well.
            let _ = out.complain(format_args!("{error}; messages that came are lost"));
            Ok(ExitCode::from(FOUND))
        }
    }
}

/// The node with its members, listening.
fn node(setup: &Setup) -> Result<Node<Line>, Error> {
    let file = &setup.file;
    let transport = carrier::bind(file.carrier, file.roster.clone(), file.mark).map_err(cannot)?;
    let mut node =
        Node::new(setup.file.node.clone(), transport).map_err(|error| cannot_node(setup, &error))?;
    for peer in setup.file.peers() {
        node.add_member(peer, setup.file.node.lockspace)
            .map_err(|error| Error::Unread {
                place: "node".into(),
                reason: format!("node {peer} cannot be a member: {error}"),
            })?;
    }
    Ok(node)
}

fn start_control(setup: &Setup, handle: &dlmwire_node::NodeHandle) -> Result<Server, Error> {
    let path = &setup.control;
    if setup.control_is_default
        && let Some(directory) = path.parent()
    {
        setup::private_directory(directory).map_err(|error| Error::write(directory, error))?;
    }
    Server::start(path, handle.clone()).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => "a node listens there already".to_owned(),
            _ => error.to_string(),
        };
        Error::Unread {
            place: path.clone(),
            reason: format!("control socket: {reason}"),
        }
    })
}

/// What the libraries log goes to standard error, a line each.
pub(super) fn start_log(level: Log) {
    let level = match level {
        Log::Off => LevelFilter::OFF,
        Log::Error => LevelFilter::ERROR,
        Log::Warn => LevelFilter::WARN,
        Log::Info => LevelFilter::INFO,
        Log::Debug => LevelFilter::DEBUG,
        Log::Trace => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .with_writer(io::stderr)
        .init();
}

fn cannot(error: io::Error) -> Error {
    Error::read("node".as_ref(), error)
}

fn cannot_node(setup: &Setup, error: &NodeError) -> Error {
    Error::Unread {
        place: setup.place.clone(),
        reason: error.to_string(),
    }
}
