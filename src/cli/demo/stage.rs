//! Two nodes, each in its own thread, from the first connection to the end of both.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, io};

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::State;
use dlmwire_node::config::Carrier;
use dlmwire_node::{Node, NodeConfig, NodeHandle, NodeStatus};
use dlmwire_transport::{Roster, Transport};

use super::cut::{Cuts, Cutter, Cutting};
use super::party::{Party, Progress, Task, Turn};
use super::promise::Counts;
use super::record::{Recorded, Recorder};
use crate::cli::carrier::{self, Line};

/// The addresses of the two nodes.
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];

/// What a frame has besides an application's message: `OPTS` and the fixed part of `MSG`.
const FRAME_OVERHEAD_BYTES: usize = 112;

/// Memory of a send queue, and so the most that is sent again after a reset: fewer messages than `dlmwire check`
/// remembers to compare them with.
const QUEUE_BYTES: usize = 256 << 10;

/// The pause before a connection that broke at once is made anew: both ends are known to be there.
const REDIAL_DELAY: Duration = Duration::from_millis(1);

/// How often whoever looks on is told how far it is.
const GLANCE: Duration = Duration::from_millis(50);

/// How long a node may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// What is to be shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Messages that each node sends.
    pub(super) messages: u64,
    pub(super) message_bytes: usize,
    /// Messages that a node receives between two of its resets, on average; `None`: nothing is reset.
    pub(super) kill_every: Option<u64>,
    pub(super) seed: u64,
    /// What carries the messages.
    pub(super) carrier: Carrier,
    /// Where the nodes listen, if it is free; 0: anywhere.
    pub(super) port: u16,
    /// How long nothing may happen.
    pub(super) patience: Duration,
}

/// What was shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) elapsed: Duration,
    /// Nothing happened for as long as [`Plan::patience`].
    pub(super) stalled: bool,
    pub(super) nodes: [NodeShown; 2],
}

/// One of the two nodes.
#[derive(Debug)]
pub(super) struct NodeShown {
    pub(super) node: NodeId,
    pub(super) address: SocketAddr,
    /// What came from the other.
    pub(super) counts: Counts,
    pub(super) cuts: Cuts,
    pub(super) connects: u64,
    pub(super) sent_behind_fin: u64,
    pub(super) states: Vec<State>,
    /// What it says of itself at the end.
    pub(super) status: Option<NodeStatus>,
    /// How the promise was broken, in one sentence.
    pub(super) broken: Option<String>,
}

/// The nodes before they run.
pub(super) struct Stage {
    plan: Plan,
    transports: [Line; 2],
}

/// Why nothing can be shown.
#[derive(Debug)]
pub(super) enum StageError {
    /// An address cannot be listened on.
    Bind { address: SocketAddr, source: io::Error },
    /// The system, or the settings, say no.
    Setup(String),
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, source } => {
                write!(f, "{source}")?;
                if source.kind() == io::ErrorKind::AddrNotAvailable {
                    let address = address.ip();
                    write!(
                        f,
                        "; the demo needs {address} (macOS: sudo ifconfig lo0 alias {address})"
                    )?;
                }
                Ok(())
            }
            Self::Setup(reason) => f.write_str(reason),
        }
    }
}

impl From<io::Error> for StageError {
    fn from(error: io::Error) -> Self {
        Self::Setup(error.to_string())
    }
}

impl Stage {
    /// Makes both nodes listen.
    pub(super) fn new(plan: Plan) -> Result<Self, StageError> {
        let nodes = nodes()?;
        let [one, other] = ADDRESSES;
        let back = [nodes[1], nodes[0]];
        let mut transports = [
            listen(&plan, nodes, [one, other])?,
            listen(&plan, back, [other, one])?,
        ];
        // Only now is it known which ports were free.
        let addresses = transports.each_ref().map(Line::local_address);
        for (me, transport) in transports.iter_mut().enumerate() {
            transport.set_roster(roster(
                [nodes[me], nodes[1 - me]],
                addresses[me],
                addresses[1 - me],
            )?);
        }
        Ok(Self { plan, transports })
    }

    pub(super) fn addresses(&self) -> [SocketAddr; 2] {
        self.transports.each_ref().map(Line::local_address)
    }

    /// Runs both nodes to their end, recording or not; `glance` is told now and then how many messages arrived.
    pub(super) fn run(
        self,
        recorder: Option<&Recorder>,
        glance: impl FnMut(u64),
    ) -> Result<Shown, StageError> {
        let plan = self.plan;
        match recorder {
            None => run(plan, tasks(&plan)?, self.transports, glance),
            Some(recorder) => {
                let recorded = |transport| Recorded::new(transport, recorder.clone());
                run(plan, tasks(&plan)?, self.transports.map(recorded), glance)
            }
        }
    }
}

fn nodes() -> Result<[NodeId; 2], StageError> {
    match [1, 2].map(NodeId::new) {
        [Some(one), Some(other)] => Ok([one, other]),
        _ => Err(StageError::Setup("1 and 2 are no node ids".to_owned())),
    }
}

/// Listens on this port, or on any other if it is taken.
fn listen(plan: &Plan, nodes: [NodeId; 2], [own, other]: [Ipv4Addr; 2]) -> Result<Line, StageError> {
    let bind = |port| {
        let address = SocketAddr::from((own, port));
        let roster = roster(nodes, address, SocketAddr::from((other, port)))?;
        carrier::bind(plan.carrier, roster, 0).map_err(|source| StageError::Bind { address, source })
    };
    match bind(plan.port) {
        Err(StageError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => bind(0),
        outcome => outcome,
    }
}

fn roster([own, peer]: [NodeId; 2], address: SocketAddr, peers: SocketAddr) -> Result<Roster, StageError> {
    Roster::new(own, vec![address], [(peer, vec![peers])])
        .map_err(|error| StageError::Setup(error.to_string()))
}

/// A node that runs.
struct Running {
    node: NodeId,
    address: SocketAddr,
    handle: NodeHandle,
    progress: Arc<Progress>,
    cutter: Cutter,
    ended: Receiver<Ended>,
}

/// What a node's thread leaves behind.
struct Ended {
    party: Party,
    status: NodeStatus,
    error: Option<String>,
}

/// What both nodes are to do.
fn tasks(plan: &Plan) -> Result<[Task; 2], StageError> {
    let nodes = nodes()?;
    let task = |me: usize, turn| Task {
        node: nodes[me],
        peer: nodes[1 - me],
        lockspace: LockspaceId::from_name(b"demo"),
        messages: plan.messages,
        kept: (plan.messages / 100).clamp(1, 1000),
        message_bytes: plan.message_bytes,
        seed: plan.seed,
        turn,
    };
    Ok([task(0, Turn::First), task(1, Turn::Second)])
}

/// Runs two nodes over these transports.
fn run<T>(
    plan: Plan,
    tasks: [Task; 2],
    transports: [T; 2],
    glance: impl FnMut(u64),
) -> Result<Shown, StageError>
where
    T: Transport + Send + 'static,
    T::Link: Send,
{
    // A bell rings or it does not.
    let (bell, rung) = mpsc::sync_channel(1);
    let started = Instant::now();
    let ([first, second], [here, there]) = (tasks, transports);
    let running = [
        start(&plan, first, here, bell.clone())?,
        start(&plan, second, there, bell)?,
    ];
    let stalled = watch(&running, &rung, plan.patience, glance);
    let elapsed = started.elapsed();
    let last_words = running.each_ref().map(|running| match stalled {
        true => running.handle.status(STOP_DEADLINE).ok(),
        false => None,
    });
    for running in &running {
        running.handle.stop();
    }
    let [first, second] = running;
    let [first_words, second_words] = last_words;
    Ok(Shown {
        elapsed,
        stalled,
        nodes: [first.shown(first_words), second.shown(second_words)],
    })
}

fn start<T>(plan: &Plan, task: Task, transport: T, bell: SyncSender<()>) -> Result<Running, StageError>
where
    T: Transport + Send + 'static,
    T::Link: Send,
{
    let setup = |error: &dyn fmt::Display| StageError::Setup(error.to_string());
    let Task {
        node: own,
        peer,
        lockspace,
        ..
    } = task;
    let frame_bytes = u64::try_from(FRAME_OVERHEAD_BYTES + plan.message_bytes).unwrap_or(u64::MAX);
    let mean_bytes = plan
        .kill_every
        .map(|messages| messages.saturating_mul(frame_bytes));
    let cutter = Cutter::new(plan.seed.rotate_left(own.get()), mean_bytes);
    let mut config = NodeConfig::new(own, lockspace);
    config.engine.queue_bytes_max = QUEUE_BYTES;
    config.redial_delay = REDIAL_DELAY;
    config.redial_delay_max = 4 * REDIAL_DELAY;
    config.seed = plan.seed;
    let address = transport.local_address();
    let transport = Cutting::new(transport, cutter.clone());
    let mut node = Node::new(config, transport).map_err(|error| setup(&error))?;
    node.add_member(peer, lockspace).map_err(|error| setup(&error))?;
    let handle = node.handle();
    let progress = Arc::new(Progress::default());
    let mut party = Party::new(task, Arc::clone(&progress), bell);
    let (sender, ended) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name(format!("node {own}"))
        .spawn(move || {
            let error = node
                .run(&mut party)
                .err()
                .map(|error| format!("node {own}: {error}"));
            let status = node.status();
            if error.is_some() {
                party.give_up();
            }
            // Whoever waits may have given up.
            let _ = sender.try_send(Ended { party, status, error });
        })?;
    Ok(Running {
        node: own,
        address,
        handle,
        progress,
        cutter,
        ended,
    })
}

/// Waits until both nodes have left, or there is no point in going on; says whether nothing happened any more.
fn watch(
    running: &[Running; 2],
    rung: &Receiver<()>,
    patience: Duration,
    mut glance: impl FnMut(u64),
) -> bool {
    let sum = |of: fn(&Progress) -> u64| running.iter().map(|running| of(&running.progress)).sum::<u64>();
    let mut before = (0, 0);
    let mut since = Instant::now();
    loop {
        // The bell rings for ever only if both threads are gone, which they are not while nodes run.
        if let Err(RecvTimeoutError::Disconnected) = rung.recv_timeout(GLANCE) {
            thread::sleep(GLANCE);
        }
        let received = sum(|progress| progress.received.load(Ordering::Relaxed));
        let now = (received, sum(|progress| progress.changes.load(Ordering::Relaxed)));
        glance(received);
        let [left, broken] = [
            running
                .iter()
                .all(|running| running.progress.left.load(Ordering::Acquire)),
            running
                .iter()
                .any(|running| running.progress.broken.load(Ordering::Acquire)),
        ];
        if left || broken {
            return false;
        }
        if now != before {
            (before, since) = (now, Instant::now());
        } else if since.elapsed() > patience {
            return true;
        }
    }
}

impl Running {
    /// Waits for the end of a node that was told to stop.
    fn shown(self, last_words: Option<NodeStatus>) -> NodeShown {
        let cuts = self.cutter.cuts();
        let mut shown = NodeShown {
            node: self.node,
            address: self.address,
            counts: Counts::default(),
            cuts,
            connects: 0,
            sent_behind_fin: 0,
            states: Vec::new(),
            status: last_words,
            broken: None,
        };
        let Ok(Ended { party, status, error }) = self.ended.recv_timeout(STOP_DEADLINE) else {
            shown.broken = Some(format!("node {} does not stop", self.node));
            return shown;
        };
        let breach = party.promise.broken().map(|breach| breach.to_string());
        NodeShown {
            counts: party.promise.counts(),
            connects: party.connects,
            sent_behind_fin: party.sent_behind_fin,
            states: party.states,
            status: shown.status.or(Some(status)),
            broken: breach.or(party.trouble).or(error),
            ..shown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            messages: 2000,
            message_bytes: 64,
            kill_every: Some(500),
            seed: 1,
            carrier: Carrier::Tcp,
            port: 0,
            patience: Duration::from_secs(20),
        }
    }

    /// Runs nodes of which one does not do as told.
    fn run_with(plan: Plan, change: impl FnOnce(&mut [Task; 2])) -> Shown {
        let stage = Stage::new(plan).expect("loopback has these addresses");
        let mut tasks = tasks(&plan).expect("they are the same each time");
        change(&mut tasks);
        run(plan, tasks, stage.transports, |_| ()).expect("the nodes start")
    }

    fn said(shown: &Shown) -> Vec<&str> {
        shown
            .nodes
            .iter()
            .filter_map(|node| node.broken.as_deref())
            .collect()
    }

    /// Proves A1, D6.
    #[test]
    fn nodes_whose_links_are_reset_keep_the_promise_and_close() {
        let shown = run_with(plan(), |_| ());
        assert_eq!(said(&shown), [""; 0]);
        assert!(!shown.stalled);
        let resets: u64 = shown.nodes.iter().map(|node| node.cuts.resets).sum();
        assert!(resets > 0);
        for node in &shown.nodes {
            assert_eq!(
                node.counts,
                Counts {
                    delivered: 2000,
                    ..Counts::default()
                }
            );
            assert_eq!(node.states.last(), Some(&State::Closed));
        }
        assert!(
            shown.nodes[0].states.contains(&State::FinWait2),
            "{:?}",
            shown.nodes[0].states
        );
        assert!(
            shown.nodes[1].states.contains(&State::CloseWait),
            "{:?}",
            shown.nodes[1].states
        );
        assert_eq!(shown.nodes[1].sent_behind_fin, 20);
    }

    #[test]
    fn node_that_sends_something_else_breaks_it() {
        let shown = run_with(plan(), |[_, two]| two.seed += 1);
        let said = said(&shown);
        assert!(
            said.iter()
                .any(|said| said.contains("message 0 of node ") && said.contains("is damaged")),
            "{said:?}"
        );
    }

    #[test]
    fn node_that_leaves_its_last_messages_out_breaks_it() {
        let shown = run_with(plan(), |[one, two]| {
            one.kept += 5;
            two.messages -= 5;
        });
        let missing = "message 1995 of node 2 never came, of 2000 that were sent";
        assert!(said(&shown).contains(&missing), "{:?}", said(&shown));
    }

    #[test]
    fn node_that_waits_for_ever_stalls_and_both_say_how_they_stand() {
        let patience = Duration::from_millis(300);
        let shown = run_with(Plan { patience, ..plan() }, |[_, two]| two.messages -= 5);
        assert!(shown.stalled);
        for node in &shown.nodes {
            let status = node.status.as_ref().expect("it answers");
            assert_eq!(status.peers[0].state, "ESTABLISHED");
        }
    }
}
