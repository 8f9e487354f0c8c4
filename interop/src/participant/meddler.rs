//! A transport that can be told, while it runs, to do to its links what networks and broken peers do.
//!
//! [`Meddler`] wraps any transport, a [`Meddling`] tells it what to do. Unlike
//! [`Faulty`](dlmwire_transport::Faulty), which draws by a seed what any caller must bear, this does what it is told,
//! and also what no transport does: withhold acknowledgements, and put frames between those of the node.

#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dlmwire_codec::NodeId;
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

use self::wire::Wire;

/// Bytes that a link takes from the node at once.
const TAKEN_BYTES_MAX: usize = 64 << 10;
/// How long the peer may take to close its direction too: Linux 6.1 under load keeps a connection half open for ever if
/// it notes the end just when its last bytes have gone out.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of frames of one's own that wait for a link's room.
const INJECTED_BYTES_MAX: usize = 1 << 20;

/// A transport that does what a [`Meddling`] says.
#[derive(Debug)]
pub struct Meddler<T: Transport> {
    inner: T,
    meddling: Meddling,
    wires: BTreeMap<Token, Wire<T::Link>>,
    /// Links that were closed, and until when they may take to end; the oldest first.
    closing: VecDeque<(Instant, Token)>,
}

/// Tells a [`Meddler`] what to do. It is done before the transport's next wait. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Meddling(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    /// Links that are up, and to whom.
    up: BTreeMap<Token, NodeId>,
    deaf: bool,
    withhold_acks: bool,
    acts: VecDeque<Act>,
    owed: BTreeSet<Owed>,
}

#[derive(Debug)]
enum Act {
    Cut(Token),
    Close(Token),
    Inject(Token, Vec<u8>),
}

/// Readiness that the node has to be told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Owed {
    Readable(Token),
    Writable(Token),
}

impl Meddling {
    /// Resets all links to a node, or all links. Says how many.
    pub fn cut(&self, node: Option<NodeId>) -> usize {
        self.act_on(node, Act::Cut)
    }

    /// Closes all links to a node, or all links, in order and without a `FIN` of DLM. Says how many. One with a
    /// half-close that has not taken everything, or that the peer has not ended, within a second is reset.
    pub fn close(&self, node: Option<NodeId>) -> usize {
        self.act_on(node, Act::Close)
    }

    fn act_on(&self, node: Option<NodeId>, act: fn(Token) -> Act) -> usize {
        let board = &mut *self.lock();
        let links = board
            .up
            .iter()
            .filter(|(_, to)| node.is_none_or(|node| **to == node));
        let before = board.acts.len();
        board.acts.extend(links.map(|(token, _)| act(*token)));
        board.acts.len() - before
    }

    /// Puts bytes between two frames of a link: the newest to the node unless told. Says whether there is one.
    pub fn inject(&self, node: NodeId, link: Option<Token>, bytes: Vec<u8>) -> bool {
        let board = &mut *self.lock();
        let newest = board.up.iter().rev().find(|(_, to)| **to == node);
        let chosen = link
            .filter(|token| board.up.contains_key(token))
            .or(newest.map(|(token, _)| *token));
        let waiting: usize = board.acts.iter().map(Act::bytes).sum();
        match chosen {
            Some(token) if waiting + bytes.len() <= INJECTED_BYTES_MAX => {
                board.acts.push_back(Act::Inject(token, bytes));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Reads nothing from any link.
    pub fn set_deaf(&self, deaf: bool) {
        let board = &mut *self.lock();
        board.deaf = deaf;
        if !deaf {
            let up = board.up.keys().map(|token| Owed::Readable(*token));
            board.owed.extend(up);
        }
    }

    /// Withholds acknowledgements: they are dropped on their way out.
    pub fn set_withhold_acks(&self, withhold: bool) {
        self.lock().withhold_acks = withhold;
    }

    /// Nothing panics while it holds the board, so a poisoned one is sound all the same.
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Act {
    const fn bytes(&self) -> usize {
        match self {
            Self::Cut(_) | Self::Close(_) => 0,
            Self::Inject(_, bytes) => bytes.len(),
        }
    }
}

/// A link of a [`Meddler`].
#[derive(Debug)]
pub struct MeddledLink<L: Link> {
    wire: Wire<L>,
    meddling: Meddling,
    token: Token,
    peer_address: SocketAddr,
}

impl<T: Transport> Meddler<T> {
    /// Wraps a transport, and gives what tells it what to do.
    pub fn new(inner: T) -> (Self, Meddling) {
        let meddling = Meddling::default();
        let meddler = Self {
            inner,
            meddling: meddling.clone(),
            wires: BTreeMap::new(),
            closing: VecDeque::new(),
        };
        (meddler, meddling)
    }

    fn wrap(&mut self, link: T::Link, node: NodeId, token: Token) -> MeddledLink<T::Link> {
        let peer_address = link.peer_address();
        let by_frame = self.inner.capabilities().record_bytes_max.is_some();
        let wire = Wire::new(link, node, by_frame);
        self.wires.insert(token, wire.clone());
        MeddledLink {
            wire,
            meddling: self.meddling.clone(),
            token,
            peer_address,
        }
    }

    fn carry_out(&mut self) {
        let acts = std::mem::take(&mut self.meddling.lock().acts);
        for act in acts {
            let (Act::Cut(token) | Act::Close(token) | Act::Inject(token, _)) = &act;
            let token = *token;
            let Some(wire) = self.wires.get(&token) else {
                continue;
            };
            let mut wire = wire.lock();
            match act {
                Act::Cut(_) => {
                    if let Some(link) = wire.link.take() {
                        link.abort();
                    }
                }
                Act::Close(_) => {
                    wire.closing = true;
                    wire.flush();
                    // What has no half-close ends by itself.
                    if self.inner.capabilities().half_close {
                        self.closing.push_back((Instant::now() + CLOSE_PATIENCE, token));
                    }
                }
                Act::Inject(_, bytes) => {
                    if wire.out.len() <= INJECTED_BYTES_MAX {
                        wire.out.extend_from_slice(&bytes);
                    }
                    wire.flush();
                }
            }
            if wire.link.is_none() || wire.closing {
                self.meddling.lock().owed.insert(Owed::Readable(token));
            }
        }
    }

    /// Loses links whose peers take too long to close their direction. Says how long the next one may still take.
    fn lose_half_open(&mut self) -> Option<Duration> {
        let now = Instant::now();
        while let Some((by, token)) = self.closing.front().copied() {
            if by > now {
                return Some(by - now);
            }
            self.closing.pop_front();
            let Some(link) = self.wires.get(&token).and_then(|wire| wire.lock().link.take()) else {
                continue;
            };
            link.abort();
            self.meddling.lock().owed.insert(Owed::Readable(token));
        }
        None
    }
}

impl<T: Transport> Transport for Meddler<T> {
    type Link = MeddledLink<T::Link>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<Self::Link> {
        let link = self.inner.dial(peer, token)?;
        Ok(self.wrap(link, peer, token))
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<Self::Link>>> {
        let Some(Accepted { node, link }) = self.inner.accept(token)? else {
            return Ok(None);
        };
        self.meddling.lock().up.insert(token, node);
        let link = self.wrap(link, node, token);
        Ok(Some(Accepted { node, link }))
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        self.carry_out();
        let patience = self.lose_half_open();
        let owed = std::mem::take(&mut self.meddling.lock().owed);
        let timeout = if owed.is_empty() {
            timeout.into_iter().chain(patience).min()
        } else {
            Some(Duration::ZERO)
        };
        self.inner.wait(ready, timeout)?;
        self.wires.retain(|_, wire| wire.is_shared());
        for told in &*ready {
            match told {
                Ready::Dialed(token) => {
                    if let Some(wire) = self.wires.get(token) {
                        let node = wire.lock().node;
                        self.meddling.lock().up.insert(*token, node);
                    }
                }
                Ready::Writable(token) => {
                    if let Some(wire) = self.wires.get(token) {
                        let mut wire = wire.lock();
                        wire.flush();
                        if wire.closing {
                            self.meddling.lock().owed.insert(Owed::Readable(*token));
                        }
                    }
                }
                Ready::Incoming | Ready::Failed(..) | Ready::Readable(_) => {}
            }
        }
        ready.extend(owed.into_iter().map(|owed| match owed {
            Owed::Readable(token) => Ready::Readable(token),
            Owed::Writable(token) => Ready::Writable(token),
        }));
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
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

impl<L: Link> Link for MeddledLink<L> {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.meddling.lock().deaf {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut wire = self.wire.lock();
        let received = wire.link.as_mut().ok_or_else(gone)?.receive(buffer)?;
        if wire.closing && received == Received::End {
            return Err(gone());
        }
        Ok(received)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let withhold_acks = self.meddling.lock().withhold_acks;
        let mut wire = self.wire.lock();
        wire.flush();
        if wire.link.is_none() {
            return Err(gone());
        }
        if wire.closing || !wire.out.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut taken = 0;
        for slice in slices {
            let part = slice
                .get(..slice.len().min(TAKEN_BYTES_MAX - taken))
                .unwrap_or(slice);
            wire.begun.extend_from_slice(part);
            taken += part.len();
        }
        wire.take_whole_frames(withhold_acks);
        wire.flush();
        if taken < offered && wire.out.is_empty() {
            self.meddling.lock().owed.insert(Owed::Writable(self.token));
        }
        if wire.closing {
            // It was taken: the node learns of the loss when it reads.
            self.meddling.lock().owed.insert(Owed::Readable(self.token));
        }
        Ok(taken)
    }

    fn close_send(&mut self) -> io::Result<()> {
        let mut wire = self.wire.lock();
        wire.flush();
        wire.link.as_mut().ok_or_else(gone)?.close_send()
    }

    fn abort(self) {
        let link = self.wire.lock().link.take();
        if let Some(link) = link {
            link.abort();
        }
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }
}

impl<L: Link> Drop for MeddledLink<L> {
    fn drop(&mut self) {
        self.wire.lock().link = None;
        let board = &mut *self.meddling.lock();
        board.up.remove(&self.token);
        board.owed.remove(&Owed::Readable(self.token));
        board.owed.remove(&Owed::Writable(self.token));
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the link was cut on purpose")
}
