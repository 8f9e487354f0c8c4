//! One node has finished and still listens, the other goes on talking, then both are closed.
//! `cargo run --example half_close`

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dlmwire::codec::{LockspaceId, NodeId};
use dlmwire::midcomms::engine::{Delivery, Event};
use dlmwire::node::{Application, Node, NodeConfig, NodeEvent, Outbox};
use dlmwire::transport::{MemoryNet, MemoryTransport, Roster};

const GROUP: LockspaceId = LockspaceId::new(7);
const PATIENCE: Duration = Duration::from_secs(20);

/// Leaves as soon as it is connected, and prints what still comes.
#[derive(Default)]
struct Leaver {
    closed: bool,
}

impl Application for Leaver {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        if let Some((_, payload)) = delivery.payload() {
            println!(
                "leaver: behind our FIN came {:?}",
                String::from_utf8_lossy(payload)
            );
        }
    }

    fn event(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        match event {
            NodeEvent::Engine(Event::VersionDetected { .. }) => outbox.shutdown(),
            NodeEvent::Engine(Event::StateChanged { from, to, .. }) => println!("leaver: {from} -> {to}"),
            NodeEvent::Engine(Event::ShutdownComplete { .. }) => self.closed = true,
            _ => {}
        }
    }
}

/// Goes on talking after the other's `FIN`, then is told that the other is no member any more.
#[derive(Default)]
struct Stayer {
    closed: bool,
}

impl Application for Stayer {
    fn deliver(&mut self, _: &mut Outbox<'_>, _: &Delivery<'_>) {}

    fn event(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        match event {
            NodeEvent::Engine(Event::PeerFinished { node }) => {
                for text in ["one more thing", "and another"] {
                    if let Err(error) = outbox.send_payload(*node, GROUP, text.as_bytes()) {
                        println!("stayer: {text:?} was refused: {error}");
                    }
                }
                outbox.remove_member(*node, GROUP);
            }
            NodeEvent::Engine(Event::StateChanged { from, to, .. }) => println!("stayer: {from} -> {to}"),
            NodeEvent::Engine(Event::Finished { .. }) => self.closed = true,
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let net = MemoryNet::new();
    let [one, two] = [1, 2].map(|id| NodeId::new(id).expect("not 0"));
    let (mut leaving, mut leaver) = (node(&net, one, two)?, Leaver::default());
    let (mut staying, mut stayer) = (node(&net, two, one)?, Stayer::default());

    let deadline = Instant::now() + PATIENCE;
    while !(leaver.closed && stayer.closed) {
        leaving.turn(&mut leaver, Duration::from_millis(1))?;
        staying.turn(&mut stayer, Duration::from_millis(1))?;
        if Instant::now() > deadline {
            return Err("the end did not come".into());
        }
    }
    Ok(())
}

/// A node that lives in memory and has one member.
fn node(net: &MemoryNet, own: NodeId, peer: NodeId) -> Result<Node<MemoryTransport>, Box<dyn Error>> {
    let address = |node: NodeId| SocketAddr::from(([10, 0, 0, u8::try_from(node.get()).unwrap_or(0)], 21064));
    let transport = net.transport(Roster::new(
        own,
        vec![address(own)],
        [(peer, vec![address(peer)])],
    )?)?;
    let mut node = Node::new(NodeConfig::new(own, GROUP), transport)?;
    node.add_member(peer, GROUP)?;
    Ok(node)
}
