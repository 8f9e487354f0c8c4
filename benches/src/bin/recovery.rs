//! How long messages stay away when a connection is reset: a stream over loopback TCP whose connection is reset again
//! and again, from the receiver's notice of the loss to the next message.
//!
//! `recovery [RESETS]`

use std::env;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{Delivery, Event};
use dlmwire_node::{Application, Node, NodeConfig, NodeEvent, Outbox};
use dlmwire_tcp::{Options, TcpTransport};
use dlmwire_transport::{Faulty, Plan, Roster, Transport};

const GROUP: LockspaceId = LockspaceId::new(0x6265_6e63);

/// Bytes that a connection carries before it is reset.
const RESET_AFTER_BYTES: std::ops::Range<u64> = 1 << 20..16 << 20;

/// A run that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() {
    let resets = env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(500);
    let [to, from] = transports();
    let plan = Plan {
        seed: 1,
        reset_after_bytes: RESET_AFTER_BYTES,
        ..Plan::default()
    };
    let over = AtomicBool::new(false);
    let mut gaps = thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            turn(1, Faulty::new(to, plan), &mut Source::default(), |_| {
                over.load(Ordering::Acquire)
            })
        });
        let sink = scope.spawn(move || {
            let mut sink = Sink::default();
            turn(2, from, &mut sink, |sink| sink.gaps.len() >= resets);
            over.store(true, Ordering::Release);
            sink.gaps
        });
        sink.join().expect("the receiver does not panic")
    });
    gaps.sort();
    let at = |per_mille: usize| gaps[(gaps.len() - 1) * per_mille / 1000].as_secs_f64() * 1e3;
    println!("{} resets: from the loss to the next message, in ms", gaps.len());
    println!(
        "  p50 {:.2}  p99 {:.2}  greatest {:.2}",
        at(500),
        at(990),
        at(1000)
    );
}

/// Sends as much as it can.
#[derive(Default)]
struct Source {
    next: u64,
}

impl Application for Source {
    fn deliver(&mut self, _: &mut Outbox<'_>, _: &Delivery<'_>) {}

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        let mut payload = [7; 128];
        for _ in 0..512 {
            payload[..8].copy_from_slice(&self.next.to_le_bytes());
            if outbox.send_payload(id(2), GROUP, &payload).is_err() {
                return;
            }
            self.next += 1;
        }
        outbox.wake_after(Duration::ZERO);
    }
}

/// Checks the order of what comes and notes how long nothing came.
#[derive(Default)]
struct Sink {
    next: u64,
    lost_at: Option<Instant>,
    gaps: Vec<Duration>,
}

impl Application for Sink {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        let (_, payload) = delivery.payload().expect("nothing else is sent");
        let number = payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        assert_eq!(number, Some(self.next), "each once and in order");
        self.next += 1;
        if let Some(lost_at) = self.lost_at.take() {
            self.gaps.push(lost_at.elapsed());
        }
    }

    fn event(&mut self, _: &mut Outbox<'_>, event: &NodeEvent) {
        if matches!(event, NodeEvent::Engine(Event::Disconnected { .. })) {
            self.lost_at = Some(Instant::now());
        }
    }
}

/// Runs a node until its application is through.
fn turn<T: Transport, A: Application>(own: u32, transport: T, app: &mut A, through: impl Fn(&A) -> bool) {
    let mut node = Node::new(NodeConfig::new(id(own), GROUP), transport).expect("the defaults work");
    node.add_member(id(3 - own), GROUP).expect("another node");
    let deadline = Instant::now() + DEADLINE;
    while !through(app) {
        node.turn(app, Duration::from_millis(20))
            .expect("the system can wait");
        assert!(Instant::now() < deadline, "node {own} is not through in time");
    }
}

/// Transports of nodes 1 and 2 on free ports.
fn transports() -> [TcpTransport; 2] {
    let address = |node: u8| SocketAddr::from(([127, 98, 0, node], 0));
    let roster = |own: u32, local, peer: Option<SocketAddr>| {
        let peers = peer.map(|peer| (id(3 - own), vec![peer]));
        Roster::new(id(own), vec![local], peers).expect("sound addresses")
    };
    let bind = |own: u32, local| {
        TcpTransport::bind(roster(own, local, None), Options::default()).expect("a free port")
    };
    let mut one = bind(1, address(1));
    let mut other = bind(2, address(2));
    let [first, second] = [one.local_address(), other.local_address()];
    one.set_roster(roster(1, first, Some(second)));
    other.set_roster(roster(2, second, Some(first)));
    [one, other]
}

fn id(node: u32) -> NodeId {
    NodeId::new(node).expect("not 0")
}
