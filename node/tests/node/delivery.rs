//! Every message once and in order, whatever becomes of the links.

use std::time::Duration;

use dlmwire_midcomms::engine::SendError;
use dlmwire_node::{Application, NodeEvent, Outbox};
use dlmwire_transport::{Faulty, MemoryNet, Plan, Transport};

use crate::world::{
    Host, config, group, id, in_memory, join_all, memory_transport, over_tcp, tcp_transports, until,
};

/// Sends numbered messages and checks those that come.
pub(crate) struct Flow {
    to: u32,
    goal: u64,
    sent: u64,
    came: u64,
}

impl Flow {
    pub(crate) const fn new(to: u32, goal: u64) -> Self {
        Self {
            to,
            goal,
            sent: 0,
            came: 0,
        }
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.came == self.goal
    }
}

/// What message `number` looks like: short and long ones, so that reads end inside them.
fn payload(number: u64) -> Vec<u8> {
    let length = 8 + usize::try_from(number * 37 % 900).unwrap();
    let mut bytes = vec![u8::try_from(number % 251).unwrap(); length];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

impl Application for Flow {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &dlmwire_midcomms::engine::Delivery<'_>) {
        let (_, bytes) = delivery.payload().expect("a message of ours");
        assert_eq!(
            bytes,
            payload(self.came),
            "message {} once, in order, intact",
            self.came
        );
        self.came += 1;
    }

    fn event(&mut self, _: &mut Outbox<'_>, event: &NodeEvent) {
        use dlmwire_midcomms::engine::Event;

        let bad = matches!(
            event,
            NodeEvent::Engine(Event::Violation { .. } | Event::Lost { .. } | Event::PeerRestarted { .. })
        );
        assert!(!bad, "{event}");
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        for _ in 0..64 {
            if self.sent == self.goal {
                return;
            }
            match outbox.send_payload(id(self.to), group(), &payload(self.sent)) {
                Ok(_) => self.sent += 1,
                Err(SendError::NotConnected | SendError::QueueFull | SendError::UnknownNode) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn pair<T: Transport>(transports: [T; 2], goal: u64) -> [Host<T, Flow>; 2] {
    let mut node = 0;
    let mut pair = transports.map(|transport| {
        node += 1;
        Host::new(config(node), transport, Flow::new(3 - node, goal))
    });
    pair[0].join(2);
    pair[1].join(1);
    pair
}

fn run<T: Transport>(mut pair: [Host<T, Flow>; 2], cut_every: Option<u32>) -> [Host<T, Flow>; 2] {
    let mut turns = 0;
    until(&mut pair, "all messages there", |pair| {
        turns += 1;
        if cut_every.is_some_and(|every| turns % every == 0) {
            pair[usize::from(turns % 2 == 0)].remote.cut_all();
        }
        pair.iter().all(|host| host.app.is_done())
    });
    for (host, other) in pair.iter().zip([2, 1]) {
        assert_eq!(host.peer(other).counters.unexpected, 0);
        assert_eq!(host.peer(other).counters.gaps, 0);
    }
    pair
}

/// Proves C36.
#[test]
fn established_flow_both_ways_arrives_without_anything_unexpected() {
    // Links that hold a few messages, so that most reads end inside one.
    let net = MemoryNet::with_buffer_bytes(5000);
    let pair = run(
        pair(
            [memory_transport(&net, 1, 2), memory_transport(&net, 2, 2)],
            20_000,
        ),
        None,
    );
    assert_eq!(
        pair[0].peer(2).counters.resent,
        0,
        "nothing is sent again without a loss"
    );
    assert_eq!(pair[0].peer(2).counters.duplicates, 0);
}

/// Proves A3, C21, D12.
#[test]
fn cut_links_cost_no_message_and_no_order() {
    let net = MemoryNet::with_buffer_bytes(2000);
    let transports = [memory_transport(&net, 1, 2), memory_transport(&net, 2, 2)];
    let pair = run(pair(transports, 20_000), Some(97));
    assert!(pair[0].peer(2).counters.resent > 0, "cuts hit something");
    assert!(pair[0].peer(2).counters.links_down > 3);
}

/// Proves C30.
#[test]
fn injected_faults_cost_no_message_and_no_order() {
    let mut duplicates = 0;
    for seed in 0..4 {
        let net = MemoryNet::with_buffer_bytes(3000);
        let mut node = 0;
        let transports = [(); 2].map(|()| {
            node += 1;
            let plan = Plan {
                seed: seed * 2 + u64::from(node),
                short_send: 100,
                short_receive: 100,
                would_block: 50,
                would_block_calls_max: 3,
                reset_after_bytes: 20_000..60_000,
                refused_dial: 200,
                delayed_accept: 100,
            };
            Faulty::new(memory_transport(&net, node, 2), plan)
        });
        let pair = run(pair(transports, 2_000), None);
        duplicates += pair
            .iter()
            .zip([2, 1])
            .map(|(host, other)| host.peer(other).counters.duplicates)
            .sum::<u64>();
    }
    assert!(duplicates > 0, "the faults cause duplicates, which are dropped");
}

#[test]
fn tcp_links_that_are_reset_cost_no_message_and_no_order() {
    let Ok(transports) = <[_; 2]>::try_from(tcp_transports(2)) else {
        panic!("two transports")
    };
    let pair = run(pair(transports, 100_000), Some(50));
    assert!(pair[0].peer(2).counters.links_down > 0, "cuts hit something");
}

/// Proves C20.
#[test]
fn both_dial_at_once_and_use_one_or_two_links() {
    for _ in 0..20 {
        let mut hosts = over_tcp(2);
        join_all(&mut hosts);
        until(&mut hosts, "dials settled", |hosts| {
            hosts
                .iter()
                .all(|host| host.node.status().peers[0].dial == "idle")
        });
        for host in &hosts {
            let links = host.node.status().peers[0].links.len();
            assert!((1..=2).contains(&links), "{links} links");
        }
        hosts[0].handle.send_payload(id(2), group(), b"to 2").unwrap();
        hosts[1].handle.send_payload(id(1), group(), b"to 1").unwrap();
        until(&mut hosts, "both messages", |hosts| {
            hosts[0].app.count(2) == 1 && hosts[1].app.count(1) == 1
        });
    }
}

#[test]
fn three_nodes_talk_to_each_other() {
    let mut hosts = in_memory(3);
    join_all(&mut hosts);
    for (node, host) in (1..).zip(&hosts) {
        for other in (1..=3).filter(|other| *other != node) {
            host.handle
                .send_payload(id(other), group(), &[u8::try_from(node).unwrap()])
                .unwrap();
        }
    }
    until(&mut hosts, "six messages", |hosts| {
        (1..).zip(hosts.iter()).all(|(node, host)| {
            (1..=3)
                .filter(|other| *other != node)
                .all(|other| host.app.count(other) == 1)
        })
    });
    crate::world::during(&mut hosts, Duration::from_millis(20));
    assert!(
        hosts
            .iter()
            .all(|host| host.app.got.values().all(|got| got.len() == 1)),
        "and none twice"
    );
}
