//! Two nodes in threads of their own, and what they have seen.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine::Delivery;
use dlmwire_node::{Application, HandleError, Node, NodeConfig, NodeEvent, NodeHandle, Outbox, PeerStatus};
use dlmwire_transport::Transport;

/// For one wait of a test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn id(node: u32) -> NodeId {
    NodeId::new(node).expect("not 0")
}

pub(crate) fn lockspace() -> LockspaceId {
    LockspaceId::from_name(b"test")
}

/// Checks numbered messages as they come.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Messages that came; the next one must carry this number.
    pub(crate) count: u64,
    /// The first that carried another.
    pub(crate) wrong: Option<String>,
    /// The longest time between two messages since it was last set to zero.
    pub(crate) longest_gap: Duration,
    last: Option<Instant>,
    pub(crate) events: Vec<NodeEvent>,
}

impl Ledger {
    fn note(&mut self, payload: &[u8]) {
        let number = payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if number != Some(self.count) && self.wrong.is_none() {
            self.wrong = Some(format!("{number:?} came where {} was due", self.count));
        }
        self.count += 1;
        let now = Instant::now();
        let gap = self.last.map_or(Duration::ZERO, |last| now - last);
        self.longest_gap = self.longest_gap.max(gap);
        self.last = Some(now);
    }
}

/// A ledger that the test can read.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Ledger>>);

impl Book {
    pub(crate) fn read(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Application for Book {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        if let Some((_, payload)) = delivery.payload() {
            self.read().note(payload);
        }
    }

    fn event(&mut self, _: &mut Outbox<'_>, event: &NodeEvent) {
        let mut ledger = self.read();
        // Only what a failure is explained by.
        if ledger.events.len() < 1000 {
            ledger.events.push(*event);
        }
    }
}

/// A node that runs in a thread of its own.
pub(crate) struct Running {
    pub(crate) handle: NodeHandle,
    pub(crate) book: Book,
    peer: NodeId,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts node `own` on a thread that `enter` prepares, with the transport that `make` gives there.
    pub(crate) fn start<T: Transport>(
        own: u32,
        enter: impl FnOnce() + Send + 'static,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let book = Book::default();
        let (tell, told) = sync_channel(1);
        let thread = std::thread::spawn({
            let mut book = book.clone();
            move || {
                enter();
                let mut node = Node::new(config(own), make()).expect("a sound configuration");
                tell.send(node.handle()).expect("the test waits for it");
                node.run(&mut book).expect("the loop ends in order");
            }
        });
        let handle = told.recv_timeout(DEADLINE).expect("the node starts");
        let (peer, thread) = (id(3 - own), Some(thread));
        Self {
            handle,
            book,
            peer,
            thread,
        }
    }

    /// Makes two nodes members of each other and waits until messages flow.
    pub(crate) fn join(pair: &[Self; 2]) {
        for node in pair {
            node.handle.add_member(node.peer, lockspace()).expect("a member");
        }
        for node in pair {
            node.handle
                .wait_connected(node.peer, DEADLINE)
                .expect("they connect");
        }
    }

    /// Sends one message of this number and length.
    pub(crate) fn send(&self, number: u64, length: usize) {
        let mut payload = vec![0; length];
        payload[..8].copy_from_slice(&number.to_le_bytes());
        match self.handle.send_wait(self.peer, lockspace(), &payload, DEADLINE) {
            Ok(()) => {}
            Err(error @ HandleError::TimedOut) => panic!("{error}: {:?}", self.status()),
            Err(error) => panic!("{error}"),
        }
    }

    /// What the node knows of the other.
    pub(crate) fn status(&self) -> PeerStatus {
        let status = self.handle.status(DEADLINE).expect("a status");
        status.peers.into_iter().next().expect("it has a peer")
    }

    /// Waits until so many messages have come, each once and in order.
    pub(crate) fn has_all(&self, count: u64) {
        until("all messages have come", || {
            let ledger = self.book.read();
            assert_eq!(ledger.wrong, None, "node {}", 3 - self.peer.get());
            (ledger.count >= count).then_some(())
        });
        assert_eq!(self.book.read().count, count);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        let joined = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            joined.expect("dropped once").expect("the loop ends in order");
        } else {
            for event in &self.book.read().events {
                eprintln!("node {}: {event}", 3 - self.peer.get());
            }
        }
    }
}

/// Looks until something is so; fails at the deadline.
pub(crate) fn until<R>(what: &str, mut so: impl FnMut() -> Option<R>) -> R {
    let start = Instant::now();
    loop {
        if let Some(value) = so() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Prints past the capture of the test harness what was measured.
pub(crate) fn report(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("FIGURE {text}\n").as_bytes());
}

fn config(node: u32) -> NodeConfig {
    let mut config = NodeConfig::new(id(node), lockspace());
    config.redial_delay = Duration::from_millis(5);
    config.redial_delay_max = Duration::from_millis(200);
    config.seed = u64::from(node);
    config
}
