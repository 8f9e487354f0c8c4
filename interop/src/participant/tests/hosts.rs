//! Hosts on real nodes, over links in memory, with a meddler in between: in one thread, turn by turn.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use dlmwire_codec::{ExFlags, LockspaceId, Mode, NodeId, Version};
use dlmwire_node::{Node, NodeConfig};
use dlmwire_transport::{MemoryNet, MemoryTransport, Roster};

use super::world::{name, node, wish};
use crate::participant::meddler::Meddler;
use crate::participant::{
    Command, Config, Event, Heard, Host, Listener, LockId, Order, Told, What, Work, Worked,
};

/// When a test has failed, instead of hanging.
const LIMIT: Duration = Duration::from_secs(60);

/// What a host said, as far as tests look at it.
#[derive(Clone, PartialEq, Debug)]
enum Said {
    Event(Event),
    Worked(Worked),
    Cut(usize),
    Left,
    Error(String),
}

struct Ear(SyncSender<Said>);

impl Listener for Ear {
    fn hear(&mut self, heard: Heard<'_>) {
        let said = match heard.what {
            What::Lockspace(event) => Said::Event(event.clone()),
            What::Worked(worked) => Said::Worked(worked),
            What::Cut { links, .. } => Said::Cut(links),
            What::Left(_) => Said::Left,
            What::Error { text, .. } => Said::Error(text),
            _ => return,
        };
        let _full = self.0.try_send(said);
    }
}

struct Site {
    node: Node<Meddler<MemoryTransport>>,
    host: Host<Ear>,
    commands: SyncSender<Told>,
    heard: Receiver<Said>,
    said: Vec<Said>,
}

struct Sites(Vec<Site>);

impl Sites {
    /// Nodes 1, 2, ... of one lockspace, all of which speak these versions.
    fn speaking(versions: &[Version]) -> Self {
        let net = MemoryNet::new();
        let addresses: Vec<_> = (1..)
            .zip(versions)
            .map(|(id, _)| {
                (
                    node(id),
                    ([10, 0, 0, u8::try_from(id).expect("few")], 21064).into(),
                )
            })
            .collect();
        let site = |(own, version): (u32, &Version)| {
            let own = node(own);
            let address = |of: NodeId| addresses.iter().find(|(node, _)| *node == of).expect("listed").1;
            let others: Vec<NodeId> = addresses
                .iter()
                .map(|(node, _)| *node)
                .filter(|node| *node != own)
                .collect();
            let peers = others.iter().map(|node| (*node, vec![address(*node)]));
            let roster = Roster::new(own, vec![address(own)], peers).expect("distinct addresses");
            let (transport, meddling) = Meddler::new(net.transport(roster).expect("a free address"));
            let lockspace = LockspaceId::new(7);
            let mut config = NodeConfig::new(own, lockspace);
            config.hello = false;
            config.engine.version = *version;
            config.redial_delay = Duration::from_millis(5);
            config.redial_delay_max = Duration::from_millis(20);
            let (commands, receiver) = sync_channel(1000);
            let (sender, heard) = sync_channel(100_000);
            let lockspaces = vec![("ls".to_owned(), Config::new(own, lockspace))];
            let host = Host::new(Ear(sender), lockspaces, others, receiver, meddling).expect("a lockspace");
            Site {
                node: Node::new(config, transport).expect("sound settings"),
                host,
                commands,
                heard,
                said: Vec::new(),
            }
        };
        Self((1..).zip(versions).map(site).collect())
    }

    fn joined(versions: &[Version]) -> Self {
        let mut sites = Self::speaking(versions);
        for at in 0..versions.len() {
            sites.tell(at, Command::Join(Vec::new()));
        }
        for at in 0..versions.len() {
            sites.wait(at, "joined", |said| {
                matches!(said, Said::Event(Event::Joined { .. }))
            });
        }
        sites
    }

    fn tell(&self, at: usize, command: Command) {
        let told = Told {
            tag: None,
            line: 1,
            lockspace: None,
            command,
        };
        self.0[at].commands.send(told).expect("room");
    }

    fn turn(&mut self) {
        for site in &mut self.0 {
            site.node
                .turn(&mut site.host, Duration::from_millis(1))
                .expect("links in memory");
            site.said.extend(site.heard.try_iter());
        }
    }

    fn turns(&mut self, count: usize) {
        (0..count).for_each(|_| self.turn());
    }

    /// Turns until a host has said this; forgets what it said before.
    fn wait(&mut self, at: usize, what: &str, is_it: impl Fn(&Said) -> bool) -> Said {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            let said = &mut self.0[at].said;
            if let Some(found) = said.iter().position(&is_it) {
                return said.drain(..=found).next_back().expect("found");
            }
            self.turn();
        }
        panic!("node {}: no {what} in time, but {:?}", at + 1, self.0[at].said);
    }

    fn granted(&mut self, at: usize) -> LockId {
        let said = self.wait(at, "granted", |said| {
            matches!(said, Said::Event(Event::Granted { .. }))
        });
        match said {
            Said::Event(Event::Granted { lock, .. }) => lock,
            other => panic!("{other:?}"),
        }
    }

    fn has_said(&self, at: usize, is_it: impl Fn(&Said) -> bool) -> bool {
        self.0[at].said.iter().any(is_it)
    }

    fn resent(&self) -> u64 {
        let peers = self.0.iter().flat_map(|site| site.node.status().peers);
        peers.map(|peer| peer.resent).sum()
    }

    fn lost(&self) -> u64 {
        let peers = self.0.iter().flat_map(|site| site.node.status().peers);
        peers.map(|peer| peer.lost).sum()
    }
}

fn lock(text: &str, mode: Mode) -> Command {
    Command::Lock {
        name: name(text),
        wish: wish(mode, ExFlags::new(0)),
        quiet: false,
    }
}

fn work(pairs: u64) -> Command {
    Command::Work(Work {
        pairs,
        names: 5,
        prefix: "w".to_owned(),
        outstanding: 3,
        lvb: true,
    })
}

const NEW: Version = Version::V3_2;
const OLD: Version = Version::V3_1;

fn is_worked(said: &Said) -> bool {
    matches!(said, Said::Worked(_))
}

#[test]
fn nodes_of_every_version_join_and_lock_both_ways() {
    for versions in [[NEW, NEW], [NEW, OLD], [OLD, NEW], [OLD, OLD]] {
        let mut sites = Sites::joined(&versions);
        for (holder, waiter) in [(0, 1), (1, 0)] {
            sites.tell(holder, lock("test1", Mode::Ex));
            let held = sites.granted(holder);
            sites.tell(waiter, lock("test1", Mode::Pr));
            sites.wait(holder, "bast", |said| {
                matches!(said, Said::Event(Event::Bast { .. }))
            });
            sites.tell(holder, Command::Order(held, Order::Unlock(None)));
            let got = sites.granted(waiter);
            sites.tell(waiter, Command::Order(got, Order::Unlock(None)));
            sites.wait(waiter, "unlocked", |said| {
                matches!(said, Said::Event(Event::Unlocked { .. }))
            });
        }
    }
}

#[test]
fn work_of_three_nodes_survives_cuts_of_all_links() {
    let mut sites = Sites::joined(&[NEW; 3]);
    for at in 0..3 {
        sites.tell(at, work(1500));
    }
    let cut = Command::Cut {
        node: None,
        every: Some(Duration::from_millis(10)),
        lasting: None,
    };
    sites.tell(0, cut);
    for at in 0..3 {
        let worked = sites.wait(at, "worked", is_worked);
        assert!(
            matches!(
                worked,
                Said::Worked(Worked {
                    pairs: 1500,
                    errors: 0,
                    ..
                })
            ),
            "{worked:?}"
        );
    }
    assert!(sites.resent() > 0, "no cut met a message");
    assert_eq!(sites.lost(), 0);
}

#[test]
fn withheld_acknowledgement_comes_with_the_next_link() {
    let mut sites = Sites::joined(&[NEW; 2]);
    sites.tell(1, Command::NoAck(true));
    sites.tell(0, lock("test1", Mode::Ex));
    sites.granted(0);
    sites.tell(0, lock("testlock", Mode::Ex));
    sites.granted(0);
    sites.turns(20);
    let unacknowledged = |sites: &Sites| sites.0[0].node.status().peers[0].send_queue_count;
    assert!(unacknowledged(&sites) > 0);
    sites.tell(1, Command::NoAck(false));
    sites.tell(
        0,
        Command::Cut {
            node: None,
            every: None,
            lasting: None,
        },
    );
    sites.wait(0, "cut", |said| matches!(said, Said::Cut(links) if *links > 0));
    let end = Instant::now() + LIMIT;
    while unacknowledged(&sites) > 0 {
        assert!(Instant::now() < end, "never acknowledged");
        sites.turn();
    }
}

#[test]
fn deaf_node_hears_everything_later() {
    let mut sites = Sites::joined(&[NEW; 2]);
    sites.tell(1, Command::Deaf(true));
    sites.turns(3);
    // Node 2 is the directory node of this name.
    sites.tell(0, lock("test1", Mode::Ex));
    sites.turns(50);
    let is_granted = |said: &Said| matches!(said, Said::Event(Event::Granted { .. }));
    assert!(!sites.has_said(0, is_granted));
    sites.tell(1, Command::Deaf(false));
    sites.granted(0);
}

#[test]
fn mute_node_acknowledges_and_answers_later() {
    let mut sites = Sites::joined(&[NEW; 2]);
    sites.tell(1, Command::Mute(true));
    sites.turns(3);
    sites.tell(0, lock("test1", Mode::Ex));
    sites.turns(50);
    assert!(!sites.has_said(0, |said| matches!(said, Said::Event(Event::Granted { .. }))));
    assert_eq!(
        sites.0[0].node.status().peers[0].send_queue_count,
        0,
        "acknowledged"
    );
    sites.tell(1, Command::Mute(false));
    sites.granted(0);
}

#[test]
fn closed_links_are_made_anew_and_nothing_is_lost() {
    let mut sites = Sites::joined(&[NEW; 2]);
    sites.tell(0, work(2000));
    sites.turns(5);
    sites.tell(0, Command::Close(None));
    sites.turns(5);
    sites.tell(1, Command::Close(None));
    sites.wait(0, "worked", is_worked);
    assert_eq!(sites.lost(), 0);
}

#[test]
fn frames_of_ones_own_go_between_the_nodes() {
    let mut sites = Sites::joined(&[NEW; 2]);
    // An ACK of what was never sent shows as a restart at the other side.
    let lie = Command::Lie(crate::participant::Lie::Ack(1000));
    sites.tell(0, lie);
    let end = Instant::now() + LIMIT;
    while !sites.0[1].node.status().peers[0].halted {
        assert!(Instant::now() < end, "the ACK never came");
        sites.turn();
    }
}

#[test]
fn leave_and_rejoin_begin_anew() {
    let mut sites = Sites::joined(&[NEW; 2]);
    sites.tell(1, lock("test1", Mode::Ex));
    sites.granted(1);
    sites.tell(0, lock("test1", Mode::Ex));
    sites.turns(20);
    sites.tell(1, Command::Leave);
    sites.turns(20);
    sites.tell(0, Command::Remove(node(2)));
    sites.wait(1, "left", |said| *said == Said::Left);
    // Who waited has it now.
    sites.granted(0);
    sites.tell(0, Command::Add(node(2)));
    sites.tell(1, Command::Join(Vec::new()));
    sites.wait(1, "joined", |said| {
        matches!(said, Said::Event(Event::Joined { .. }))
    });
    sites.tell(1, lock("testlock", Mode::Ex));
    sites.granted(1);
}

#[test]
fn fenced_node_is_removed_everywhere() {
    let mut sites = Sites::joined(&[NEW; 3]);
    sites.tell(2, lock("test1", Mode::Ex));
    sites.granted(2);
    sites.tell(0, lock("test1", Mode::Ex));
    sites.turns(20);
    sites.tell(0, Command::Fence(node(3)));
    sites.tell(1, Command::Fence(node(3)));
    sites.granted(0);
    sites.tell(0, Command::Remove(node(3)));
    let error = sites.wait(0, "error", |said| matches!(said, Said::Error(_)));
    assert_eq!(error, Said::Error("node 3 is no member".to_owned()));
}
