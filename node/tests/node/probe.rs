//! A transport that is watched and broken on purpose: it counts calls, and cuts or stalls links when told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

/// The transport that is watched.
pub(crate) struct Probe<T> {
    inner: T,
    remote: Remote,
}

pub(crate) struct ProbeLink<L> {
    inner: Option<L>,
    token: Token,
    peer_address: SocketAddr,
    remote: Remote,
}

/// What the test holds of it.
#[derive(Clone)]
pub(crate) struct Remote(Arc<State>);

struct State {
    waker: Waker,
    waits: AtomicU64,
    reads: AtomicU64,
    empty_reads: AtomicU64,
    writes: AtomicU64,
    dials: AtomicU64,
    wakes: AtomicU64,
    orders: Mutex<Orders>,
    released: Condvar,
}

#[derive(Default)]
struct Orders {
    live: BTreeMap<Token, NodeId>,
    cut: BTreeSet<Token>,
    stalled: BTreeSet<NodeId>,
    broken: BTreeSet<NodeId>,
    /// Nothing is accepted.
    deaf: bool,
    incoming_owed: bool,
    /// The loop stays in its wait although it is woken.
    held: bool,
    /// Links end in both directions at once, it says.
    whole: bool,
}

impl Remote {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.orders.lock().unwrap()
    }

    /// Breaks a link at the next chance, as a reset does.
    pub(crate) fn cut(&self, token: Token) {
        self.orders().cut.insert(token);
        self.0.waker.wake();
    }

    /// Breaks all links, and says how many.
    pub(crate) fn cut_all(&self) -> usize {
        let tokens = self.links();
        for token in &tokens {
            self.cut(*token);
        }
        tokens.len()
    }

    /// Links that exist, dialing ones among them.
    pub(crate) fn links(&self) -> Vec<Token> {
        self.orders().live.keys().copied().collect()
    }

    /// Accepts nothing until told otherwise.
    pub(crate) fn deaf(&self, deaf: bool) {
        self.orders().deaf = deaf;
        self.0.waker.wake();
    }

    /// Says that links have no half-close.
    pub(crate) fn without_half_close(&self) {
        self.orders().whole = true;
    }

    /// Keeps the loop in its wait until told otherwise.
    pub(crate) fn hold(&self, held: bool) {
        self.orders().held = held;
        self.0.released.notify_all();
    }

    pub(crate) fn wakes(&self) -> u64 {
        self.0.wakes.load(Relaxed)
    }

    /// Takes nothing for this peer any more, as a peer that does not read.
    pub(crate) fn stall(&self, node: NodeId) {
        self.orders().stalled.insert(node);
    }

    /// Fails to take anything for this peer, as a connection does whose other end is gone.
    pub(crate) fn break_writes(&self, node: NodeId) {
        self.orders().broken.insert(node);
    }

    pub(crate) fn waits(&self) -> u64 {
        self.0.waits.load(Relaxed)
    }

    pub(crate) fn reads(&self) -> u64 {
        self.0.reads.load(Relaxed)
    }

    pub(crate) fn empty_reads(&self) -> u64 {
        self.0.empty_reads.load(Relaxed)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.0.writes.load(Relaxed)
    }

    pub(crate) fn dials(&self) -> u64 {
        self.0.dials.load(Relaxed)
    }
}

impl<T: Transport> Probe<T> {
    pub(crate) fn new(inner: T) -> Self {
        let remote = Remote(Arc::new(State {
            waker: inner.waker(),
            waits: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            empty_reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            dials: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            orders: Mutex::default(),
            released: Condvar::new(),
        }));
        Self { inner, remote }
    }

    pub(crate) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    fn wrap(&self, link: T::Link, node: NodeId, token: Token) -> ProbeLink<T::Link> {
        self.remote.orders().live.insert(token, node);
        ProbeLink {
            peer_address: link.peer_address(),
            inner: Some(link),
            token,
            remote: self.remote.clone(),
        }
    }
}

impl<T: Transport> Transport for Probe<T> {
    type Link = ProbeLink<T::Link>;

    fn capabilities(&self) -> Capabilities {
        let inner = self.inner.capabilities();
        Capabilities {
            half_close: inner.half_close && !self.remote.orders().whole,
            ..inner
        }
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<Self::Link> {
        self.remote.0.dials.fetch_add(1, Relaxed);
        let link = self.inner.dial(peer, token)?;
        Ok(self.wrap(link, peer, token))
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<Self::Link>>> {
        if self.remote.orders().deaf {
            self.remote.orders().incoming_owed = true;
            return Ok(None);
        }
        let Some(Accepted { node, link }) = self.inner.accept(token)? else {
            return Ok(None);
        };
        Ok(Some(Accepted {
            node,
            link: self.wrap(link, node, token),
        }))
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        self.remote.0.waits.fetch_add(1, Relaxed);
        let cuts_wait = !self.remote.orders().cut.is_empty();
        self.inner
            .wait(ready, if cuts_wait { Some(Duration::ZERO) } else { timeout })?;
        let orders = self.remote.orders();
        let mut orders = self
            .remote
            .0
            .released
            .wait_while(orders, |orders| orders.held)
            .unwrap();
        if !orders.deaf && std::mem::take(&mut orders.incoming_owed) {
            ready.push(Ready::Incoming);
        }
        ready.extend(
            orders
                .cut
                .iter()
                .filter(|token| orders.live.contains_key(token))
                .map(|token| Ready::Readable(*token)),
        );
        Ok(())
    }

    fn waker(&self) -> Waker {
        let (inner, remote) = (self.inner.waker(), self.remote.clone());
        Waker::new(move || {
            remote.0.wakes.fetch_add(1, Relaxed);
            inner.wake();
        })
    }

    fn set_roster(&mut self, roster: Roster) {
        self.inner.set_roster(roster);
    }

    fn refused(&self) -> u64 {
        self.inner.refused()
    }

    fn local_address(&self) -> SocketAddr {
        self.inner.local_address()
    }
}

impl<L: Link> ProbeLink<L> {
    /// The link, unless it has been cut.
    fn alive(&mut self) -> io::Result<&mut L> {
        if self.remote.orders().cut.remove(&self.token)
            && let Some(inner) = self.inner.take()
        {
            inner.abort();
        }
        self.inner
            .as_mut()
            .ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl<L: Link> Link for ProbeLink<L> {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let received = self.alive()?.receive(buffer);
        self.remote.0.reads.fetch_add(1, Relaxed);
        if received
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            self.remote.0.empty_reads.fetch_add(1, Relaxed);
        }
        received
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        {
            let orders = self.remote.orders();
            let peer = orders.live.get(&self.token);
            if peer.is_some_and(|node| orders.stalled.contains(node)) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if peer.is_some_and(|node| orders.broken.contains(node)) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        let sent = self.alive()?.send(slices);
        self.remote.0.writes.fetch_add(1, Relaxed);
        sent
    }

    fn close_send(&mut self) -> io::Result<()> {
        self.alive()?.close_send()
    }

    fn abort(mut self) {
        if let Some(inner) = self.inner.take() {
            inner.abort();
        }
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }
}

impl<L> Drop for ProbeLink<L> {
    fn drop(&mut self) {
        let mut orders = self.remote.orders();
        orders.live.remove(&self.token);
        orders.cut.remove(&self.token);
    }
}
