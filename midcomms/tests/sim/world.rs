//! One run: nodes, connections, the virtual clock and what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use dlmwire_codec::{Generation, LockspaceId, NodeId, Seq, Version};
use dlmwire_midcomms::engine::{Config, ConfigError, Engine, Event, Outcome};
use dlmwire_midcomms::{State, Time};

use crate::coverage::Coverage;
use crate::faults::{Fault, Tally};
use crate::network::Pipe;
use crate::plant::Plant;
use crate::rng::{Rng, Trace};
use crate::schedule::{MS, NODES_MAX, Schedule, Setup};
use crate::verdict::Books;

/// Where every node's clock starts, so that it can be turned back.
const CLOCK_START: u64 = 1_000_000_000_000;

/// Things that may be due at most in one run; more is a storm that does not end.
const STEPS_MAX: u64 = 400_000;

/// The lockspaces of the cluster.
pub(crate) const LOCKSPACES: [LockspaceId; 2] =
    [LockspaceId::new(0x1111_0001), LockspaceId::new(0x2222_0002)];

/// Something that is due. `side` 0 of a connection is the node that dialed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// An action of the schedule.
    Action(usize),
    /// The reader of direction `dir` may find something.
    Arrive { conn: usize, dir: usize },
    /// The writer may have room again.
    Pump { conn: usize, side: usize },
    /// One end of a connection is established.
    Up { conn: usize, side: usize },
    /// A node dials if it has need.
    Dial { node: usize, peer: usize },
    /// A dial came to nothing.
    DialFailed { node: usize, peer: usize },
    /// One end notices that the connection is broken.
    Break { conn: usize, side: usize },
    /// The driver tells the engine that a link is gone.
    ReportDown { conn: usize, side: usize },
    /// The driver has waited long enough for the other end's EOF, or for room.
    LingerOver { conn: usize, side: usize },
    /// An engine's timeout.
    Timer { node: usize },
    /// Time to say hello again.
    Hello { node: usize, peer: usize },
    /// A fault ends.
    Heal { class: Fault, a: usize, b: usize },
    /// A step of the cluster manager.
    Order(crate::manager::Order),
}

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndState {
    /// Not established yet.
    Pending,
    /// The engine knows it.
    Up,
    /// The engine wants it closed as soon as everything is written.
    Closing,
    /// Everything is written, EOF included; the other end has not closed yet.
    ShutWrite,
    /// Gone.
    Gone,
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    /// The nodes at its ends, the one that dialed first.
    pub(crate) nodes: [usize; 2],
    /// Which incarnation of them.
    pub(crate) incarnations: [u32; 2],
    pub(crate) ends: [EndState; 2],
    /// `pipes[i]` leads from end `i` to the other.
    pub(crate) pipes: [Pipe; 2],
    /// When each direction's next look is scheduled.
    pub(crate) scheduled: [u64; 2],
    /// What is under way arrives late, after a newer link is up.
    pub(crate) stale: bool,
    /// The dial was part of a storm, of a crossing or seen late, or the connection was ended in order.
    pub(crate) marked: Option<Fault>,
    /// Each end has seen the other's EOF.
    pub(crate) eof_seen: [bool; 2],
    /// Abandoned by the network: nothing of it may come up any more.
    pub(crate) dead: bool,
}

impl Conn {
    /// Which end `node` is.
    pub(crate) fn side_of(&self, node: usize) -> usize {
        usize::from(self.nodes[0] != node)
    }

    /// Whether it connects these two.
    pub(crate) fn is_between(&self, a: usize, b: usize) -> bool {
        self.nodes == [a, b] || self.nodes == [b, a]
    }

    /// Whether both ends are gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.ends == [EndState::Gone; 2]
    }
}

/// What a node's driver and application remember about a peer.
#[derive(Clone, Debug)]
pub(crate) struct PeerSide {
    /// The lockspaces in which the peer was told to be a member.
    pub(crate) member: [bool; 2],
    /// The state as the events tell it.
    pub(crate) state: State,
    pub(crate) version: Option<Version>,
    /// It was told that the peer is gone, and not yet that it is back.
    pub(crate) fenced: bool,
    /// Messages that the application wants to send: how many, how long, in place.
    pub(crate) pending: Vec<(u64, usize, bool)>,
    /// A send was refused with `QueueFull` and `Writable` has not come.
    pub(crate) full: bool,
    /// A dial is under way.
    pub(crate) dialing: bool,
    /// A dial is scheduled.
    pub(crate) dial_due: bool,
    /// Dials and links in a row on which nothing was read.
    pub(crate) backoff: u32,
    pub(crate) hello_armed: bool,
}

/// A node: its engine and its driver.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) incarnation: u32,
    /// Whether connections to it are taken.
    pub(crate) listening: bool,
    /// Whether the manager lets its application send.
    pub(crate) running: bool,
    /// Its clock minus the simulated one.
    pub(crate) offset: i64,
    /// Its clock stands still at this time.
    pub(crate) stalled: Option<u64>,
    /// When its timer is scheduled.
    pub(crate) armed: u64,
    /// When the timer fired last and how often at that moment.
    pub(crate) fired: (u64, u32),
    /// Connections of which the engine knows this end.
    pub(crate) links: Vec<usize>,
    pub(crate) peers: [PeerSide; NODES_MAX],
    /// It was told to leave.
    pub(crate) leaving: bool,
    /// `ShutdownComplete` came, and what it said.
    pub(crate) shut_down: Option<Outcome>,
}

/// A run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    pub(crate) books: Books,
    pub(crate) tally: Tally,
    pub(crate) coverage: Coverage,
    pub(crate) plant: Plant,
    /// Dials between these nodes are refused until then.
    pub(crate) refused_until: [[u64; NODES_MAX]; NODES_MAX],
    /// Nothing gets through between these nodes until then.
    pub(crate) parted_until: [[u64; NODES_MAX]; NODES_MAX],
    /// The manager is in the middle of a change.
    pub(crate) busy: bool,
    /// Changes so far.
    pub(crate) change: u32,
    /// Orders that a pair be fenced as soon as it says hello.
    pub(crate) fence_at_hello: Option<(usize, usize)>,
    /// Who stops as soon as it terminates towards whom.
    pub(crate) stop_mid_fin: Option<(usize, usize)>,
    /// The schedule's actions are over.
    pub(crate) calm: bool,
    pub(crate) calm_since: u64,
    /// A clock leapt so far that tombstones expired before their time.
    pub(crate) leapt: bool,
    pub(crate) failure: Option<String>,
    /// Print what happens.
    pub(crate) verbose: bool,
    pub(crate) events: Vec<Event>,
    pub(crate) keep_recent: bool,
    heap: BinaryHeap<Reverse<(u64, u64, DueOrd)>>,
    order: u64,
    steps: u64,
}

/// Only time and order decide what comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct DueOrd(Due);

impl PartialOrd for DueOrd {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DueOrd {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// The id of the node with an index.
pub(crate) fn node_id(index: usize) -> NodeId {
    NodeId::new(index as u32 + 1).expect("above 0")
}

/// The index of the node with an id.
pub(crate) fn index_of(node: NodeId) -> usize {
    node.get() as usize - 1
}

impl World {
    /// A cluster in which nobody knows anybody yet.
    pub(crate) fn new(schedule: &Schedule, plant: Plant, verbose: bool) -> Self {
        let setup = schedule.setup.clone();
        let keep_recent = schedule.actions.iter().any(|action| {
            matches!(
                action.what,
                crate::schedule::What::Fault {
                    class: Fault::Replay,
                    ..
                }
            )
        });
        let mut world = Self {
            now: 0,
            nodes: Vec::new(),
            conns: Vec::new(),
            rng: Rng::new(setup.seed),
            trace: Trace::new(),
            books: Books::new(&setup),
            tally: Tally::new(),
            coverage: Coverage::new(),
            plant,
            refused_until: [[0; NODES_MAX]; NODES_MAX],
            parted_until: [[0; NODES_MAX]; NODES_MAX],
            busy: false,
            change: 0,
            fence_at_hello: None,
            stop_mid_fin: None,
            calm: false,
            calm_since: 0,
            leapt: false,
            failure: None,
            verbose,
            events: Vec::new(),
            keep_recent,
            heap: BinaryHeap::new(),
            order: 0,
            steps: 0,
            setup,
        };
        for index in 0..world.setup.nodes {
            let engine = world.new_engine(index);
            world.nodes.push(Node::new(engine, 0));
        }
        world
    }

    /// An engine as node `index` starts it.
    pub(crate) fn new_engine(&self, index: usize) -> Engine {
        let mut config = Config::new(node_id(index));
        config.start_seq = Seq::new(self.setup.start_seq);
        config.generation = Generation::Linux6_12;
        if self.setup.old_node == Some(index) {
            config.version = Version::V3_1;
        }
        config.links_per_peer_max = self.setup.links_max;
        if self.setup.prompt_acks {
            config.ack_after_bytes = 0;
        }
        if self.setup.impatient {
            config.unacked_age_max = 400 * MS;
            config.fin_resend_after = 60 * MS;
            config.shutdown_deadline = 1_500 * MS;
            config.version_wait = 700 * MS;
            config.tombstone_lifetime = 2_500 * MS;
            config.close_wait_warning_after = 100 * MS;
        }
        if self.setup.tiny_queue {
            config.queue_bytes_max = 0;
            if let Err(ConfigError::TooSmall { least, .. }) = config.check() {
                config.queue_bytes_max = least;
            }
        }
        Engine::new(config).expect("these settings can work")
    }

    /// Schedules something.
    pub(crate) fn at(&mut self, at: u64, due: Due) {
        self.order += 1;
        self.heap
            .push(Reverse((at.max(self.now), self.order, DueOrd(due))));
    }

    /// Schedules something `after` nanoseconds from now.
    pub(crate) fn after(&mut self, after: u64, due: Due) {
        self.at(self.now + after, due);
    }

    /// The next thing that is due by `until`.
    pub(crate) fn pop(&mut self, until: u64) -> Option<Due> {
        let Reverse((at, _, _)) = self.heap.peek()?;
        if *at > until || self.failure.is_some() {
            return None;
        }
        let Reverse((at, _, DueOrd(due))) = self.heap.pop()?;
        self.now = at;
        self.steps += 1;
        if self.steps > STEPS_MAX {
            self.fail(format!("no end: {STEPS_MAX} steps"));
            return None;
        }
        Some(due)
    }

    /// A node's own time.
    pub(crate) fn local(&self, node: usize) -> Time {
        let state = &self.nodes[node];
        Time(state.stalled.unwrap_or_else(|| {
            CLOCK_START
                .wrapping_add(self.now)
                .wrapping_add_signed(state.offset)
        }))
    }

    /// Schedules a node's timer anew.
    pub(crate) fn arm(&mut self, node: usize) {
        let state = &self.nodes[node];
        if state.stalled.is_some() {
            return;
        }
        let Some(Time(timeout)) = state.engine.poll_timeout() else {
            return;
        };
        let at = timeout
            .wrapping_add_signed(-state.offset)
            .saturating_sub(CLOCK_START)
            .max(self.now);
        if at < state.armed {
            self.nodes[node].armed = at;
            self.at(at, Due::Timer { node });
        }
    }

    /// The verdict: this run has failed. Only the first failure counts.
    pub(crate) fn fail(&mut self, why: String) {
        if self.failure.is_none() {
            self.say(|| format!("FAILED {why}"));
            self.failure = Some(format!("at {:.3} ms: {why}", self.now as f64 / 1e6));
        }
    }

    /// Prints a line of the story if somebody listens.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>12.3} ms  {}", self.now as f64 / 1e6, line());
        }
    }

    /// How many things were due so far.
    pub(crate) const fn steps(&self) -> u64 {
        self.steps
    }

    /// The connections between two nodes that are not gone.
    pub(crate) fn between(&self, a: usize, b: usize) -> Vec<usize> {
        (0..self.conns.len())
            .filter(|conn| self.conns[*conn].is_between(a, b) && !self.conns[*conn].is_gone())
            .collect()
    }
}

impl Node {
    /// A node that is just started.
    pub(crate) fn new(engine: Engine, incarnation: u32) -> Self {
        Self {
            engine,
            incarnation,
            listening: true,
            running: true,
            offset: 0,
            stalled: None,
            armed: u64::MAX,
            fired: (0, 0),
            links: Vec::new(),
            peers: std::array::from_fn(|_| PeerSide::new()),
            leaving: false,
            shut_down: None,
        }
    }
}

impl PeerSide {
    /// Nothing is known.
    pub(crate) fn new() -> Self {
        Self {
            member: [false; 2],
            state: State::Closed,
            version: None,
            fenced: false,
            pending: Vec::new(),
            full: false,
            dialing: false,
            dial_due: false,
            backoff: 0,
            hello_armed: false,
        }
    }

    /// Whether any lockspace lists the peer.
    pub(crate) fn is_member(&self) -> bool {
        self.member.contains(&true)
    }
}
