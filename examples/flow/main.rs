//! Shows two processes and numbered messages, checked at the receiver: `cargo run --example flow -- --help`.
//!
//! Both ends send `--messages` messages at `--rate` a second and check that what comes is what the other one sent:
//! each once, in order, intact, whatever happens to their connections. Then they end the conversation by `FIN`. In
//! one terminal, and in another with 1 and 2 exchanged:
//!
//! `cargo run --example flow -- --id 1 --listen 127.0.0.1:21064 --peer 2=127.0.0.2:21064`
//!
//! Standard error tells what happens, standard output ends with one JSON line. Exits with 0 if all is well, else 1.

mod app;

use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_node::{Node, NodeConfig};
use dlmwire_tcp::{Options, TcpTransport};
use dlmwire_transport::Roster;

use app::{Flow, Plan};

/// Two processes, numbered messages, checked at the receiver
#[derive(Parser)]
struct Args {
    /// Our own node id
    #[arg(long)]
    id: u32,
    /// Our own address and port
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// The other end
    #[arg(long, value_name = "ID=ADDR:PORT", value_parser = peer)]
    peer: (NodeId, SocketAddr),
    /// Another configured node, which is no member and gets nothing
    #[arg(long, value_name = "ID=ADDR:PORT", value_parser = peer)]
    known: Vec<(NodeId, SocketAddr)>,
    /// How many messages each end sends
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    messages: u64,
    /// How many a second
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    rate: u64,
    /// Stay when everything has come, until standard input ends
    #[arg(long)]
    hold: bool,
    /// How long sent bytes may stay unacknowledged before a connection counts as lost
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    user_timeout: u64,
    /// When it is too late for everything
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    deadline: u64,
}

fn peer(text: &str) -> Result<(NodeId, SocketAddr), String> {
    let parts = text.split_once('=');
    let found = parts.and_then(|(id, address)| Some((NodeId::new(id.parse().ok()?)?, address.parse().ok()?)));
    found.ok_or_else(|| "a node id, = and an address with its port".to_owned())
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let deadline = Instant::now() + Duration::from_secs(args.deadline);
    let own = NodeId::new(args.id).ok_or("no node has id 0")?;
    let lockspace = LockspaceId::from_name(b"flow");

    let peers = args.known.iter().chain([&args.peer]);
    let peers = peers.map(|(id, address)| (*id, vec![*address]));
    let roster = Roster::new(own, vec![args.listen], peers)?;
    let options = Options {
        user_timeout: Some(Duration::from_millis(args.user_timeout)),
        ..Options::default()
    };
    let mut config = NodeConfig::new(own, lockspace);
    config.redial_delay = Duration::from_millis(20);
    config.redial_delay_max = Duration::from_millis(250);

    let mut node = Node::new(config, TcpTransport::bind(roster, options)?)?;
    node.add_member(args.peer.0, lockspace)?;
    if args.hold {
        let handle = node.handle();
        thread::spawn(move || {
            let _ended = std::io::stdin().read_to_end(&mut Vec::new());
            handle.shutdown(deadline.saturating_duration_since(Instant::now()))
        });
    }
    let mut flow = Flow::new(Plan {
        own,
        peer: args.peer.0,
        lockspace,
        messages: args.messages,
        rate: args.rate,
        hold: args.hold,
    })?;
    while !node.is_stopped() && Instant::now() < deadline {
        node.turn(&mut flow, deadline.saturating_duration_since(Instant::now()))?;
    }
    let report = flow.report(&node.status());
    println!("{}", serde_json::to_string(&report)?);
    Ok(if report.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
