//! Exact counters of memory: copies, bookkeeping, what an idle peer holds, and that it wakes nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "node/probe.rs"]
mod probe;
#[path = "counters_memory/spy.rs"]
mod spy;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "node/world.rs"]
mod world;

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use dlmwire_midcomms::engine::{Config, Delivery, Engine, FRAME_BYTES_MAX};
use dlmwire_midcomms::{LinkId, Time, engine};
use dlmwire_node::{Application, Node, NodeConfig, Outbox};
use dlmwire_tcp::{Options, TcpTransport};
use dlmwire_transport::{MemoryNet, Roster, Transport};

use spy::{Seen, Spy};
use world::{DEADLINE, Host, config, group, id, join_all, tcp_transports, until};

/// Sends one message, built in place, and notes where messages lie.
#[derive(Default)]
struct Places {
    send: bool,
    built: Option<Range<usize>>,
    delivered: Option<Range<usize>>,
}

fn place(bytes: &[u8]) -> Range<usize> {
    let start = bytes.as_ptr().addr();
    start..start + bytes.len()
}

fn holds(places: &[Range<usize>], part: &Range<usize>) -> bool {
    places
        .iter()
        .any(|whole| whole.start <= part.start && part.end <= whole.end)
}

impl Application for Places {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        if let Some((_, payload)) = delivery.payload() {
            self.delivered = Some(place(payload));
        }
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        if std::mem::take(&mut self.send) {
            let mut message = outbox.reserve(id(2), group(), 128).unwrap();
            message.bytes_mut().fill(5);
            self.built = Some(place(message.bytes_mut()));
            message.commit();
        }
    }
}

/// A message that is built in place is copied nowhere on its way; one that is given as a slice is copied there once.
#[test]
fn message_is_built_where_it_is_sent_from_and_delivered_where_it_was_read_to() {
    let seen = [Seen::default(), Seen::default()];
    let mut node = 0;
    let mut pair: Vec<_> = tcp_transports(2)
        .into_iter()
        .zip(&seen)
        .map(|(transport, seen)| {
            node += 1;
            Host::new(config(node), Spy::new(transport, seen.clone()), Places::default())
        })
        .collect();
    join_all(&mut pair);
    for seen in &seen {
        seen.forget();
    }
    pair[0].app.send = true;
    until(&mut pair, "the message", |pair| pair[1].app.delivered.is_some());
    let built = pair[0].app.built.clone().unwrap();
    assert!(
        holds(&seen[0].sent(), &built),
        "sent from another place than {built:?}"
    );
    let delivered = pair[1].app.delivered.clone().unwrap();
    assert!(
        holds(&seen[1].received(), &delivered),
        "delivered from another place than {delivered:?}"
    );
}

/// Fills an engine's queue and gives the bytes of its frames and the bytes it took from the allocator.
fn queue_of(messages: usize, payload: &[u8]) -> (usize, i64) {
    let mut config = Config::new(id(1));
    config.queue_bytes_max = 1 << 30;
    let mut engine = Engine::new(config).unwrap();
    let now = Time(1);
    engine.add_member(now, id(2), group()).unwrap();
    let up = engine::LinkUp {
        node: id(2),
        role: engine::LinkRole::Dialed,
        limits: engine::LinkLimits::STREAM,
    };
    engine.handle_link_up(now, LinkId(1), up);
    // The peer's version shows by any message of it: here by another engine's STATUS.
    let mut other = Engine::new(Config::new(id(2))).unwrap();
    other.add_member(now, id(1), group()).unwrap();
    other.handle_link_up(now, LinkId(1), engine::LinkUp { node: id(1), ..up });
    other.send(now, id(1), &spy::status()).unwrap();
    let transmit = other.poll_transmit(LinkId(1)).unwrap();
    let bytes: Vec<u8> = transmit
        .slices()
        .iter()
        .flat_map(|slice| slice.to_vec())
        .collect();
    let dlmwire_codec::Split::Frame { frame, .. } =
        dlmwire_codec::split(&bytes, dlmwire_codec::Limits::KERNEL)
    else {
        panic!("STATUS is one frame");
    };
    engine.handle_frame(now, LinkId(1), frame).unwrap();
    let info = allocation_counter::measure(|| {
        for _ in 0..messages {
            engine.send_payload(now, id(2), group(), payload).unwrap();
        }
    });
    let peer = engine.peer(now, id(2)).unwrap();
    assert_eq!(peer.send_queue_count as usize, messages);
    (peer.send_queue_bytes, info.bytes_current)
}

#[test]
fn unacknowledged_messages_cost_no_more_than_8_bytes_beside_their_frames() {
    for bytes in [16, 128] {
        let messages = 100_000;
        let (frames, held) = queue_of(messages, &vec![7; bytes]);
        let beside = held - i64::try_from(frames).unwrap();
        let most = 8 * i64::try_from(messages).unwrap();
        assert!(
            beside <= most,
            "{beside} bytes beside {frames} bytes of {messages} frames"
        );
    }
}

/// Nodes 2 to `of`, each of which knows node 1 alone.
fn ring_of<T: Transport>(transports: Vec<T>) -> Vec<Node<T>> {
    let mut nodes = Vec::new();
    for (own, transport) in (2..).zip(transports) {
        let config = NodeConfig {
            read_buffer_bytes: FRAME_BYTES_MAX,
            ..config(own)
        };
        let mut node = Node::new(config, transport).unwrap();
        node.add_member(id(1), group()).unwrap();
        nodes.push(node);
    }
    nodes
}

/// Turns the hub and all others until the hub knows them all and nothing is unacknowledged.
fn meet<T: Transport, U: Transport>(
    hub: &mut Node<T>,
    others: &mut [Node<U>],
    mut turn: impl FnMut(&mut Node<T>),
) {
    let end = Instant::now() + DEADLINE;
    loop {
        turn(hub);
        for other in others.iter_mut() {
            other.turn(&mut (), Duration::ZERO).unwrap();
        }
        let known = hub
            .engine()
            .peers(hub.now())
            .filter(|peer| peer.version.is_some());
        if known.count() == others.len() {
            break;
        }
        assert!(Instant::now() < end, "not in time: all peers known");
    }
    // What the beginning of a connection still wants, answers to repeated questions among it.
    let quiet = Instant::now() + Duration::from_millis(200);
    while Instant::now() < quiet {
        turn(hub);
        for other in others.iter_mut() {
            other.turn(&mut (), Duration::ZERO).unwrap();
        }
    }
}

/// Addresses of nodes 1 to `of`.
fn address(node: u32, port: u16) -> SocketAddr {
    let [.., high, low] = node.to_be_bytes();
    SocketAddr::from(([127, 78, high, low], port))
}

#[test]
fn thousand_idle_peers_wake_nobody() {
    const PEERS: u32 = 1000;
    let net = MemoryNet::new();
    let transport = |own: u32, peers: Vec<u32>| {
        let peers = peers
            .into_iter()
            .map(|peer| (id(peer), vec![address(peer, 21064)]));
        net.transport(Roster::new(id(own), vec![address(own, 21064)], peers).unwrap())
            .unwrap()
    };
    let seen = Seen::default();
    let hub = Spy::new(transport(1, (2..=PEERS + 1).collect()), seen.clone());
    let mut others = ring_of((2..=PEERS + 1).map(|own| transport(own, vec![1])).collect());
    let mut hub = Node::new(config(1), hub).unwrap();
    for peer in 2..=PEERS + 1 {
        hub.add_member(id(peer), group()).unwrap();
    }
    meet(&mut hub, &mut others, |hub| {
        hub.turn(&mut (), Duration::ZERO).unwrap()
    });
    // Timers that the beginning of a connection has set, and that nobody needs any more, run out once.
    let day = Duration::from_secs(86_400);
    let end = Instant::now() + DEADLINE;
    seen.ask_only(true);
    loop {
        hub.turn(&mut (), day).unwrap();
        if seen.waits().last() == Some(&Some(day)) {
            break;
        }
        assert!(Instant::now() < end, "a timer is due again and again");
        std::thread::sleep(Duration::from_millis(5));
        seen.forget();
    }
    assert_eq!(hub.engine().poll_timeout(), None, "nothing is due in the engine");
}

/// What an idle peer may hold: node, engine and transport together.
const IDLE_PEER_BYTES_MAX: i64 = 1536;

#[test]
fn idle_peer_holds_no_more_than_a_kilobyte_and_a_half() {
    const PEERS: u32 = 200;
    let bind = |own: u32| {
        let roster = Roster::new(id(own), vec![address(own, 0)], []).unwrap();
        TcpTransport::bind(roster, Options::default()).unwrap()
    };
    let mut transports: Vec<_> = (1..=PEERS + 1).map(bind).collect();
    let bound: Vec<_> = (1..)
        .map(id)
        .zip(transports.iter().map(|transport| vec![transport.local_address()]))
        .collect();
    for (at, transport) in transports.iter_mut().enumerate() {
        let (own, local) = bound[at].clone();
        let peers = bound.iter().filter(|(node, _)| *node != own).cloned();
        transport.set_roster(Roster::new(own, local, peers).unwrap());
    }
    let others = transports.split_off(1);
    let mut others = ring_of(others);
    let mut hub = Node::new(config(1), transports.pop().unwrap()).unwrap();
    let mut held = 0;
    for peer in 2..=PEERS + 1 {
        held += allocation_counter::measure(|| hub.add_member(id(peer), group()).unwrap()).bytes_current;
    }
    meet(&mut hub, &mut others, |hub| {
        let info = allocation_counter::measure(|| hub.turn(&mut (), Duration::ZERO).unwrap());
        held += info.bytes_current;
    });
    let each = held / i64::from(PEERS);
    eprintln!("{each} bytes for each idle peer");
    assert!(
        each <= IDLE_PEER_BYTES_MAX,
        "{each} bytes for each of {PEERS} idle peers"
    );
}
