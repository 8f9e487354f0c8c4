//! Two nodes over TCP on 127.0.0.1 and 127.0.0.2: messages both ways from other threads, then an orderly end.
//! `cargo run --example tcp_pair`

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use dlmwire::codec::{LockspaceId, NodeId};
use dlmwire::midcomms::engine::Delivery;
use dlmwire::node::{Application, Node, NodeConfig, NodeEvent, NodeHandle, Outbox};
use dlmwire::tcp::{Options, TcpTransport};
use dlmwire::transport::{Roster, Transport};

const PATIENCE: Duration = Duration::from_secs(20);

/// Prints what comes.
struct Printer(&'static str);

impl Application for Printer {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        if let Some((_, payload)) = delivery.payload() {
            let (name, node) = (self.0, delivery.node);
            println!(
                "{name} got {:?} from node {node}",
                String::from_utf8_lossy(payload)
            );
        }
    }

    fn event(&mut self, _: &mut Outbox<'_>, event: &NodeEvent) {
        println!("{}: {event}", self.0);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let group = LockspaceId::from_name(b"example");
    let [one, two] = [1, 2].map(|id| NodeId::new(id).expect("not 0"));

    // Both listen first, so that each can be told the other's port. A cluster has one port, 21064, for all.
    let mut first = TcpTransport::bind(roster(one, two, 0, 0)?, Options::default())?;
    let mut second = TcpTransport::bind(roster(two, one, 0, 0)?, Options::default())?;
    let ports = [first.local_address().port(), second.local_address().port()];
    first.set_roster(roster(one, two, ports[0], ports[1])?);
    second.set_roster(roster(two, one, ports[1], ports[0])?);

    let first = Node::new(NodeConfig::new(one, group), first)?;
    let second = Node::new(NodeConfig::new(two, group), second)?;
    let handles = [first.handle(), second.handle()];
    let threads = [run(first, Printer("one")), run(second, Printer("two"))];

    // The cluster manager's part.
    handles[0].add_member(two, group)?;
    handles[1].add_member(one, group)?;
    handles[0].wait_connected(two, PATIENCE)?;
    handles[1].wait_connected(one, PATIENCE)?;

    handles[0].send_payload(two, group, b"hello, two")?;
    handles[1].send_payload(one, group, b"hello, one")?;

    leave_both(&handles)?;
    for thread in threads {
        thread.join().expect("the loop does not panic");
    }
    Ok(())
}

/// Each ends when the other has its `FIN`, so both leave at once.
fn leave_both([first, second]: &[NodeHandle; 2]) -> Result<(), Box<dyn Error>> {
    let outcomes = thread::scope(|scope| {
        let other = scope.spawn(|| second.shutdown(PATIENCE));
        [
            first.shutdown(PATIENCE),
            other.join().expect("waiting does not panic"),
        ]
    });
    for (name, outcome) in ["one", "two"].into_iter().zip(outcomes) {
        println!("{name} ended: {:?}", outcome?);
    }
    first.stop();
    second.stop();
    Ok(())
}

fn run(mut node: Node<TcpTransport>, mut app: Printer) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        if let Err(error) = node.run(&mut app) {
            println!("{} failed: {error}", app.0);
        }
    })
}

/// Node N lives on 127.0.0.N: the address is a node's identity.
fn roster(own: NodeId, peer: NodeId, own_port: u16, peer_port: u16) -> Result<Roster, Box<dyn Error>> {
    let address = |node: NodeId, port: u16| -> Result<SocketAddr, Box<dyn Error>> {
        Ok(SocketAddr::from(([127, 0, 0, u8::try_from(node.get())?], port)))
    };
    let peers = [(peer, vec![address(peer, peer_port)?])];
    Ok(Roster::new(own, vec![address(own, own_port)?], peers)?)
}
