//! Two nodes over links in memory, turned by one thread: everything but the operating system.

use std::net::SocketAddr;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::Delivery;
use dlmwire_node::{Application, Node, NodeConfig, Outbox};
use dlmwire_transport::{MemoryNet, MemoryTransport, Roster};

const GROUP: LockspaceId = LockspaceId::new(0x6265_6e63);

/// Turns after which two nodes in one process have met.
const TURNS_MAX: usize = 10_000;

/// Two nodes that know each other.
#[derive(Debug)]
pub struct Pair {
    sender: (Node<MemoryTransport>, Party),
    receiver: (Node<MemoryTransport>, Party),
}

/// Sends what it is told to, counts what comes.
#[derive(Debug, Default)]
struct Party {
    to: Option<NodeId>,
    payload: Vec<u8>,
    left: usize,
    came: usize,
}

impl Application for Party {
    fn deliver(&mut self, _: &mut Outbox<'_>, _: &Delivery<'_>) {
        self.came += 1;
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        while let (1.., Some(to)) = (self.left, self.to) {
            if outbox.send_payload(to, GROUP, &self.payload).is_err() {
                return;
            }
            self.left -= 1;
        }
    }
}

impl Pair {
    /// Two nodes that know each other's version.
    ///
    /// # Panics
    ///
    /// When they do not find each other.
    #[must_use]
    pub fn connected(payload: &[u8]) -> Self {
        let net = MemoryNet::with_buffer_bytes(1 << 20);
        let mut pair = Self {
            sender: party(&net, 1, 2, payload),
            receiver: party(&net, 2, 1, payload),
        };
        pair.sender.1.to = Some(id(2));
        for _ in 0..TURNS_MAX {
            pair.turn();
            let knows = |(node, _): &(Node<_>, Party)| {
                let mut peers = node.engine().peers(node.now());
                peers.all(|peer| peer.version.is_some())
            };
            if knows(&pair.sender) && knows(&pair.receiver) {
                return pair;
            }
        }
        panic!("the nodes do not meet");
    }

    /// Sends so many messages and turns both until they have come.
    ///
    /// # Panics
    ///
    /// When they do not.
    pub fn send(&mut self, messages: usize) {
        let goal = self.receiver.1.came + messages;
        self.sender.1.left += messages;
        for _ in 0..messages.max(TURNS_MAX) {
            self.turn();
            if self.receiver.1.came >= goal {
                return;
            }
        }
        panic!("the messages do not come");
    }

    fn turn(&mut self) {
        for (node, party) in [&mut self.sender, &mut self.receiver] {
            node.turn(party, Duration::ZERO).expect("links in memory work");
        }
    }
}

fn party(net: &MemoryNet, own: u8, other: u8, payload: &[u8]) -> (Node<MemoryTransport>, Party) {
    let address = |node: u8| SocketAddr::from(([10, 0, 0, node], 21064));
    let roster = Roster::new(id(own), vec![address(own)], [(id(other), vec![address(other)])]);
    let transport = net
        .transport(roster.expect("two addresses"))
        .expect("a free address");
    let mut config = NodeConfig::new(id(own), GROUP);
    config.recover_timer = Duration::from_millis(20);
    config.redial_delay = Duration::from_millis(1);
    let mut node = Node::new(config, transport).expect("the defaults work");
    node.add_member(id(other), GROUP).expect("another node");
    let party = Party {
        payload: payload.to_vec(),
        ..Party::default()
    };
    (node, party)
}

fn id(node: u8) -> NodeId {
    NodeId::new(node.into()).expect("not 0")
}
