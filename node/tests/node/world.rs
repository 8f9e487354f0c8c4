//! Nodes of a group, turned one after the other by the test, or each in its own thread.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::{Delivery, Event, PeerView};
use dlmwire_node::{Application, Node, NodeConfig, NodeEvent, NodeHandle, Outbox};
use dlmwire_tcp::{Options, TcpTransport};
use dlmwire_transport::{MemoryNet, MemoryTransport, Roster, Transport};

use crate::probe::{Probe, Remote};

/// No wait of these tests is longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn id(node: u32) -> NodeId {
    NodeId::new(node).unwrap()
}

pub(crate) fn group() -> LockspaceId {
    LockspaceId::from_name(b"test")
}

/// Short times, so that nothing waits for seconds.
pub(crate) fn config(node: u32) -> NodeConfig {
    let mut config = NodeConfig::new(id(node), group());
    config.recover_timer = Duration::from_millis(50);
    config.redial_delay = Duration::from_millis(2);
    config.redial_delay_max = Duration::from_millis(16);
    config.dial_timeout = Duration::from_secs(2);
    config.drain_deadline = Duration::from_secs(10);
    config.engine.fin_resend_after = 50_000_000;
    config.engine.version_wait = 50_000_000;
    config.seed = u64::from(node);
    config
}

/// Keeps what came.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) got: BTreeMap<NodeId, Vec<Vec<u8>>>,
    pub(crate) events: Vec<NodeEvent>,
}

impl Recorder {
    pub(crate) fn count(&self, from: u32) -> usize {
        self.got.get(&id(from)).map_or(0, Vec::len)
    }

    pub(crate) fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, NodeEvent::Engine(event) if wanted(event)))
    }
}

impl Application for Recorder {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        if let Some((_, payload)) = delivery.payload() {
            self.got.entry(delivery.node).or_default().push(payload.to_vec());
        }
    }

    fn event(&mut self, _: &mut Outbox<'_>, event: &NodeEvent) {
        self.events.push(*event);
    }
}

/// A node with its application, and the test's hand on its transport.
pub(crate) struct Host<T: Transport, A = Recorder> {
    pub(crate) node: Node<Probe<T>>,
    pub(crate) app: A,
    pub(crate) remote: Remote,
    pub(crate) handle: NodeHandle,
}

impl<T: Transport, A: Application> Host<T, A> {
    pub(crate) fn new(config: NodeConfig, transport: T, app: A) -> Self {
        let transport = Probe::new(transport);
        let remote = transport.remote();
        let node = Node::new(config, transport).unwrap();
        let handle = node.handle();
        Self {
            node,
            app,
            remote,
            handle,
        }
    }

    pub(crate) fn turn(&mut self) {
        self.node.turn(&mut self.app, Duration::ZERO).unwrap();
    }

    pub(crate) fn join(&mut self, node: u32) {
        self.node.add_member(id(node), group()).unwrap();
    }

    pub(crate) fn peer(&self, node: u32) -> PeerView {
        self.node
            .engine()
            .peer(self.node.now(), id(node))
            .expect("a peer that is known")
    }

    pub(crate) fn knows_version(&self, node: u32) -> bool {
        self.node
            .engine()
            .peer(self.node.now(), id(node))
            .is_some_and(|peer| peer.version.is_some())
    }
}

/// Addresses that belong to nobody else: nodes of one net in memory need only differ.
pub(crate) fn memory_address(node: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node).unwrap()], 21064))
}

pub(crate) fn memory_transport(net: &MemoryNet, node: u32, of: u32) -> MemoryTransport {
    let peers = (1..=of)
        .filter(|other| *other != node)
        .map(|other| (id(other), vec![memory_address(other)]));
    net.transport(Roster::new(id(node), vec![memory_address(node)], peers).unwrap())
        .unwrap()
}

/// `of` nodes in memory that know each other's addresses and are nobody's members yet.
pub(crate) fn in_memory(of: u32) -> Vec<Host<MemoryTransport>> {
    in_memory_with(of, config)
}

pub(crate) fn in_memory_with(of: u32, config: impl Fn(u32) -> NodeConfig) -> Vec<Host<MemoryTransport>> {
    let net = MemoryNet::new();
    (1..=of)
        .map(|node| {
            Host::new(
                config(node),
                memory_transport(&net, node, of),
                Recorder::default(),
            )
        })
        .collect()
}

/// `of` transports over TCP on free ports of the loopback, which know each other's addresses.
pub(crate) fn tcp_transports(of: u32) -> Vec<TcpTransport> {
    let address = |node: u32| SocketAddr::from(([127, 77, 1, u8::try_from(node).unwrap()], 0));
    let options = Options {
        user_timeout: Some(Duration::from_secs(2)),
        ..Options::default()
    };
    let mut transports: Vec<TcpTransport> = (1..=of)
        .map(|node| {
            let roster = Roster::new(id(node), vec![address(node)], []).unwrap();
            TcpTransport::bind(roster, options.clone()).unwrap()
        })
        .collect();
    let bound: Vec<(NodeId, SocketAddr)> = (1..)
        .map(id)
        .zip(transports.iter().map(Transport::local_address))
        .collect();
    for (transport, (own, local)) in transports.iter_mut().zip(&bound) {
        let peers = bound
            .iter()
            .filter(|(node, _)| node != own)
            .map(|(node, address)| (*node, vec![*address]));
        transport.set_roster(Roster::new(*own, vec![*local], peers).unwrap());
    }
    transports
}

pub(crate) fn over_tcp(of: u32) -> Vec<Host<TcpTransport>> {
    (1..)
        .zip(tcp_transports(of))
        .map(|(node, transport)| Host::new(config(node), transport, Recorder::default()))
        .collect()
}

/// Turns all nodes until something is so, or fails at the deadline.
pub(crate) fn until<T: Transport, A: Application>(
    hosts: &mut [Host<T, A>],
    what: &str,
    mut so: impl FnMut(&mut [Host<T, A>]) -> bool,
) {
    let end = Instant::now() + DEADLINE;
    while !so(hosts) {
        for host in hosts.iter_mut() {
            host.turn();
        }
        if Instant::now() >= end {
            for host in hosts.iter() {
                eprintln!("{}", serde_json::to_string_pretty(&host.node.status()).unwrap());
            }
            panic!("not in time: {what}");
        }
        std::thread::yield_now();
    }
}

/// Turns all nodes for a while.
pub(crate) fn during<T: Transport, A: Application>(hosts: &mut [Host<T, A>], time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        for host in hosts.iter_mut() {
            host.turn();
        }
        std::thread::yield_now();
    }
}

/// Makes everybody everybody's member, and waits until all versions are known.
pub(crate) fn join_all<T: Transport, A: Application>(hosts: &mut [Host<T, A>]) {
    let of = u32::try_from(hosts.len()).unwrap();
    for (node, host) in (1..).zip(hosts.iter_mut()) {
        for other in (1..=of).filter(|other| *other != node) {
            host.join(other);
        }
    }
    until(hosts, "everybody connected", |hosts| {
        (1..).zip(hosts.iter()).all(|(node, host)| {
            (1..=of)
                .filter(|other| *other != node)
                .all(|other| host.knows_version(other))
        })
    });
}

/// A node that runs in a thread of its own.
pub(crate) struct Running {
    pub(crate) handle: NodeHandle,
    pub(crate) remote: Remote,
    pub(crate) log: Log,
    thread: Option<JoinHandle<()>>,
}

/// What a running node's application has seen.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<(Mutex<Recorder>, Condvar)>);

impl Log {
    pub(crate) fn read<R>(&self, read: impl FnOnce(&Recorder) -> R) -> R {
        read(&self.0.0.lock().unwrap())
    }

    pub(crate) fn until(&self, what: &str, mut so: impl FnMut(&Recorder) -> bool) {
        let guard = self.0.0.lock().unwrap();
        let (_guard, timeout) = self
            .0
            .1
            .wait_timeout_while(guard, DEADLINE, |log| !so(log))
            .unwrap();
        assert!(!timeout.timed_out(), "not in time: {what}");
    }
}

impl Application for Log {
    fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        self.0.0.lock().unwrap().deliver(outbox, delivery);
        self.0.1.notify_all();
    }

    fn event(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        self.0.0.lock().unwrap().event(outbox, event);
        self.0.1.notify_all();
    }
}

impl Running {
    pub(crate) fn start<T>(config: NodeConfig, transport: T) -> Self
    where
        T: Transport + Send + 'static,
        T::Link: Send,
    {
        let log = Log::default();
        let mut host = Host::new(config, transport, log.clone());
        let (handle, remote) = (host.handle.clone(), host.remote.clone());
        let thread = std::thread::spawn(move || host.node.run(&mut host.app).unwrap());
        Self {
            handle,
            remote,
            log,
            thread: Some(thread),
        }
    }

    /// Two in memory that are each other's members.
    pub(crate) fn pair() -> [Self; 2] {
        let net = MemoryNet::new();
        let pair = [1, 2].map(|node| Self::start(config(node), memory_transport(&net, node, 2)));
        for (running, other) in pair.iter().zip([2, 1]) {
            running.handle.add_member(id(other), group()).unwrap();
        }
        for (running, other) in pair.iter().zip([2, 1]) {
            running.handle.wait_connected(id(other), DEADLINE).unwrap();
        }
        pair
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        let joined = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            joined.expect("dropped once").expect("the loop ends in order");
        }
    }
}
