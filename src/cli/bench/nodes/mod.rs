//! The project's nodes, measured like the yardstick: the same threads, the same windows, the same clocks.

mod carrier;
mod counted;
mod feeder;
mod party;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dlmwire_codec::{MSG_LEN, NodeId, OPTS_HEADER_LEN};
use dlmwire_node::{Node, NodeConfig, NodeError};
use dlmwire_transport::Transport;

use self::counted::{Calls, Counted};
use self::feeder::Feeder;
use self::party::{GROUP, Party, Role};
use super::raw::{Counts, End, Meter, Setup, Start, meter::stay};

pub(crate) use self::carrier::Carrier;

/// Bytes of a frame besides its payload: `OPTS` and the fixed part of `MSG`.
pub(crate) const FRAME_OVERHEAD_BYTES: usize = OPTS_HEADER_LEN + MSG_LEN;

/// The bound of a send queue: a few writes more than the sockets hold, so that what waits stays in the processor's
/// cache. The yardstick never has more, as it waits for its socket.
const QUEUE_BYTES: usize = 1 << 20;

/// Messages that are given to the engine in one turn of a stream, so that what comes is read in between.
const STREAM_PER_TURN: u64 = 512;

/// Nodes that have not met by then will not.
const MEET_DEADLINE: Duration = Duration::from_secs(20);

/// How long a turn may wait: nodes look at the end of their window as often.
const TURN: Duration = Duration::from_millis(20);

/// How messages go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Traffic {
    /// One node sends, another receives.
    Stream,
    /// The same, but another thread gives the messages to the sending node, one by one.
    Handle,
    /// One node sends a message, another answers it.
    PingPong,
    /// Many nodes send to one, so many messages at a time.
    FanIn { senders: usize, per_turn: u64 },
}

/// Why nodes could not be measured.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Sockets, threads or their processor.
    Io(io::Error),
    /// A node.
    Node(NodeError),
    /// They did not find each other.
    NotMet,
    /// A message was refused that should not have been.
    Refused(dlmwire_midcomms::engine::SendError),
    /// The same, by a handle.
    Handle(dlmwire_node::HandleError),
    /// A thread panicked.
    Panicked,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Node(error) => error.fmt(f),
            Self::NotMet => write!(f, "the nodes did not meet within {} s", MEET_DEADLINE.as_secs()),
            Self::Refused(error) => write!(f, "a message was refused: {error}"),
            Self::Handle(error) => write!(f, "a message was refused: {error}"),
            Self::Panicked => f.write_str("a thread panicked"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        Self::Node(error)
    }
}

/// Runs nodes over a carrier; the sending end's figures first. `setup.frame_bytes` is that of the yardstick.
pub(crate) fn run(
    carrier: Carrier,
    traffic: Traffic,
    payload_bytes: usize,
    setup: &Setup,
) -> Result<[End; 2], Failure> {
    let of = match traffic {
        Traffic::Stream | Traffic::Handle | Traffic::PingPong => 2,
        Traffic::FanIn { senders, .. } => senders + 1,
    };
    match carrier {
        Carrier::Mem => run_over(carrier::memory(of)?, traffic, payload_bytes, setup),
        #[cfg(feature = "tcp")]
        Carrier::Tcp => {
            let transports = carrier::tcp(of, setup.congestion.as_deref())?;
            run_over(transports, traffic, payload_bytes, setup)
        }
        #[cfg(feature = "sctp")]
        Carrier::Sctp => run_over(carrier::sctp(of)?, traffic, payload_bytes, setup),
        #[cfg(not(all(feature = "tcp", feature = "sctp")))]
        _ => Err(Failure::Io(io::ErrorKind::Unsupported.into())),
    }
}

/// Node 1 receives or answers, the others send.
fn run_over<T: Transport + Send>(
    mut transports: Vec<T>,
    traffic: Traffic,
    payload_bytes: usize,
    setup: &Setup,
) -> Result<[End; 2], Failure> {
    let senders = transports.split_off(1);
    let start = Arc::new(Start::new(2, setup.times));
    let running = AtomicUsize::new(2);
    let (send, receive) = match traffic {
        Traffic::Stream => (
            Role::Source {
                per_turn: STREAM_PER_TURN,
            },
            Role::Sink,
        ),
        Traffic::Handle => (Role::Fed, Role::Sink),
        Traffic::PingPong => (Role::Caller, Role::Answerer),
        Traffic::FanIn { per_turn, .. } => (Role::Source { per_turn }, Role::Sink),
    };
    let others: Vec<NodeId> = (2..).map(id).take(senders.len()).collect();
    thread::scope(|scope| {
        let (start, running) = (&start, &running);
        let end = |transports, ids: Vec<NodeId>, role, peers: Vec<NodeId>| {
            scope.spawn(move || {
                stay(setup.one_core)?;
                Side::new(transports, &ids, role, &peers, payload_bytes, start)?.run(running)
            })
        };
        let sending = end(senders, others.clone(), send, vec![id(1)]);
        let receiving = end(transports, vec![id(1)], receive, others);
        let sending = sending.join().map_err(|_| Failure::Panicked)?;
        let receiving = receiving.join().map_err(|_| Failure::Panicked)?;
        Ok([sending?, receiving?])
    })
}

fn add<T: Transport>(node: &mut Node<T>, peer: NodeId) -> Result<(), Failure> {
    let added = node.add_member(peer, GROUP);
    Ok(added.map_err(|error| io::Error::other(error.to_string()))?)
}

fn id(node: u32) -> NodeId {
    NodeId::new(node).unwrap_or_else(|| unreachable!("nodes are counted from 1"))
}

/// The nodes of one end, in one thread.
struct Side<T: Transport> {
    nodes: Vec<(Node<Counted<T>>, Party)>,
    /// How many each of them is to meet.
    peers: usize,
    calls: Calls,
    start: Arc<Start>,
}

impl<T: Transport> Side<T> {
    fn new(
        transports: Vec<T>,
        ids: &[NodeId],
        role: Role,
        peers: &[NodeId],
        payload_bytes: usize,
        start: &Arc<Start>,
    ) -> Result<Self, Failure> {
        let calls = Calls::default();
        let first = peers.first().copied().unwrap_or_else(|| id(1));
        let mut nodes = Vec::with_capacity(transports.len());
        for (transport, own) in transports.into_iter().zip(ids) {
            let mut config = NodeConfig::new(*own, GROUP);
            config.engine.queue_bytes_max = QUEUE_BYTES;
            config.redial_delay = Duration::from_millis(5);
            config.recover_timer = Duration::from_millis(200);
            let mut node = Node::new(config, Counted::new(transport, calls.clone()))?;
            if role.dials() {
                peers.iter().try_for_each(|peer| add(&mut node, *peer))?;
            }
            nodes.push((node, Party::new(role, first, payload_bytes, Arc::clone(start))));
        }
        Ok(Self {
            nodes,
            peers: peers.len(),
            calls,
            start: Arc::clone(start),
        })
    }

    /// Goes on turning until the other end is done too, so that no link breaks inside its window.
    fn run(mut self, running: &AtomicUsize) -> Result<End, Failure> {
        let outcome = self.run_to_end();
        running.fetch_sub(1, Ordering::AcqRel);
        let patience = Instant::now() + MEET_DEADLINE;
        while outcome.is_ok() && running.load(Ordering::Acquire) > 0 && Instant::now() < patience {
            self.turn(Duration::from_millis(1))?;
        }
        outcome
    }

    fn run_to_end(&mut self) -> Result<End, Failure> {
        self.meet()?;
        let Some(feeder) = self.feeder() else {
            return self.run_window();
        };
        thread::scope(|scope| {
            let feeder = scope.spawn(|| feeder.run());
            let end = self.run_window();
            let fed = feeder.join().map_err(|_| Failure::Panicked)??;
            end.map(|end| fed.together_with(end))
        })
    }

    /// Who gives this side its messages, if it is somebody else.
    fn feeder(&self) -> Option<Feeder> {
        let (node, party) = self.nodes.first()?;
        party.feeder(node.handle())
    }

    fn run_window(&mut self) -> Result<End, Failure> {
        let mut meter = Meter::new(Arc::clone(&self.start));
        // Nodes that share a thread must not sleep, or they would wait for each other.
        let wait = if self.nodes.len() == 1 {
            TURN
        } else {
            Duration::ZERO
        };
        self.each_party(|party| party.open = true);
        while !meter.is_over(|| self.counts()) {
            self.turn(wait)?;
            let counting = meter.is_counting();
            self.each_party(|party| party.timing = counting);
        }
        self.each_party(|party| party.open = false);
        if let Some(error) = self.nodes.iter().find_map(|(_, party)| party.trouble) {
            return Err(Failure::Refused(error));
        }
        let mut end = meter.end(self.counts());
        for (_, party) in &self.nodes {
            // All have the same bounds.
            let _ = end.latency.add(&party.latency);
        }
        Ok(end)
    }

    /// Turns until everybody here knows everybody there, and the other way round.
    fn meet(&mut self) -> Result<(), Failure> {
        let patience = Instant::now() + MEET_DEADLINE;
        let mut met = false;
        while !self.start.has_begun() {
            self.turn(Duration::from_millis(1))?;
            self.take_in()?;
            if !met && self.everybody_is_known() {
                met = true;
                self.start.arrive();
            }
            if Instant::now() > patience {
                return Err(Failure::NotMet);
            }
        }
        Ok(())
    }

    /// Adds whoever has connected. If both ends dialed, each pair would have two connections with data on each in one
    /// direction only, where the yardstick has one.
    fn take_in(&mut self) -> Result<(), Failure> {
        for (node, _) in &mut self.nodes {
            let come: Vec<NodeId> = node
                .engine()
                .peers(node.now())
                .filter(|peer| peer.sending_link.is_some() && peer.lockspaces.is_empty())
                .map(|peer| peer.nodeid)
                .collect();
            come.iter().try_for_each(|peer| add(node, *peer))?;
        }
        Ok(())
    }

    fn everybody_is_known(&self) -> bool {
        self.nodes.iter().all(|(node, _)| {
            let known = node.engine().peers(node.now());
            known.filter(|peer| peer.version.is_some()).count() == self.peers
        })
    }

    fn turn(&mut self, wait: Duration) -> Result<(), Failure> {
        for (node, party) in &mut self.nodes {
            node.turn(party, wait)?;
        }
        Ok(())
    }

    fn each_party(&mut self, change: impl Fn(&mut Party)) {
        self.nodes.iter_mut().for_each(|(_, party)| change(party));
    }

    fn counts(&self) -> Counts {
        let acks = |node: &Node<Counted<T>>| -> u64 {
            let peers = node.engine().peers(node.now());
            peers.map(|peer| peer.counters.acks_sent).sum()
        };
        Counts {
            messages: self.nodes.iter().map(|(_, party)| party.messages()).sum(),
            writes: self.calls.writes(),
            reads: self.calls.reads(),
            acks: self.nodes.iter().map(|(node, _)| acks(node)).sum(),
        }
    }
}
