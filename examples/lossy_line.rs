//! A line that resets, stutters and refuses: every message still arrives, once and in order.
//! `cargo run --example lossy_line`, or with a seed as argument.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dlmwire::codec::{LockspaceId, NodeId};
use dlmwire::midcomms::engine::Delivery;
use dlmwire::node::{Application, Node, NodeConfig, Outbox};
use dlmwire::transport::{Faulty, MemoryNet, MemoryTransport, Plan, Roster};

const GROUP: LockspaceId = LockspaceId::new(7);
const MESSAGES: u32 = 5_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends numbers, as fast as they are taken.
#[derive(Default)]
struct Counter {
    next: u32,
}

impl Application for Counter {
    fn deliver(&mut self, _: &mut Outbox<'_>, _: &Delivery<'_>) {}

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        let two = NodeId::new(2).expect("not 0");
        for _ in 0..20 {
            // Refused until the peer's version is known, and while its queue is full: try again next turn.
            if self.next == MESSAGES || outbox.send_payload(two, GROUP, &self.next.to_le_bytes()).is_err() {
                return;
            }
            self.next += 1;
        }
    }
}

/// Knows which number has to come next.
#[derive(Default)]
struct Checker {
    expected: u32,
}

impl Application for Checker {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        if let Some((_, payload)) = delivery.payload() {
            assert_eq!(payload, self.expected.to_le_bytes(), "each once and in order");
            self.expected += 1;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seed = match std::env::args().nth(1) {
        Some(seed) => seed.parse().map_err(|error| format!("seed {seed:?}: {error}"))?,
        None => 1,
    };
    let net = MemoryNet::new();
    let [one, two] = [1, 2].map(|id| NodeId::new(id).expect("not 0"));
    let (mut sending, mut counter) = (node(&net, one, two, seed)?, Counter::default());
    let (mut receiving, mut checker) = (node(&net, two, one, seed + 1)?, Checker::default());

    let deadline = Instant::now() + PATIENCE;
    while checker.expected < MESSAGES {
        sending.turn(&mut counter, Duration::from_millis(1))?;
        receiving.turn(&mut checker, Duration::from_millis(1))?;
        if Instant::now() > deadline {
            return Err(format!("{} of {MESSAGES} came", checker.expected).into());
        }
    }
    for peer in sending.engine().peers(sending.now()) {
        let count = peer.counters;
        println!(
            "{MESSAGES} messages came once and in order, over {} connections; {} were sent again",
            count.links_up, count.resent
        );
    }
    Ok(())
}

fn node(
    net: &MemoryNet,
    own: NodeId,
    peer: NodeId,
    seed: u64,
) -> Result<Node<Faulty<MemoryTransport>>, Box<dyn Error>> {
    let address = |node: NodeId| SocketAddr::from(([10, 0, 0, u8::try_from(node.get()).unwrap_or(0)], 21064));
    let transport = net.transport(Roster::new(
        own,
        vec![address(own)],
        [(peer, vec![address(peer)])],
    )?)?;
    let plan = Plan {
        seed,
        short_send: 200,
        short_receive: 200,
        would_block: 100,
        would_block_calls_max: 3,
        reset_after_bytes: 500..20_000,
        refused_dial: 100,
        ..Plan::default()
    };
    let mut config = NodeConfig::new(own, GROUP);
    config.redial_delay = Duration::from_millis(5);
    config.redial_delay_max = Duration::from_millis(20);
    let mut node = Node::new(config, Faulty::new(transport, plan))?;
    node.add_member(peer, GROUP)?;
    Ok(node)
}
