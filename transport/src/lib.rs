//! What carries DLM frames between nodes: two traits, and what every implementation of them shares.
//!
//! A [`Transport`] dials and accepts, a [`Link`] moves bytes. Both are non-blocking and driven by readiness; the
//! transport itself waits for readiness ([`Transport::wait`]), so that no event library shows in these traits and
//! links in memory run in the same loop as sockets.
//!
//! Readiness is told once, when it comes. The rule that saves a system call per turn: **a receive that gives fewer
//! bytes than the buffer holds has drained the link, and a send that takes fewer than it was given has filled it**;
//! both are followed by [`Ready::Readable`] or [`Ready::Writable`] when there is more, the end and errors included.
//! So a loop need not go on to `WouldBlock`.
//!
//! ```
//! use std::io::IoSlice;
//!
//! use dlmwire_codec::NodeId;
//! use dlmwire_transport::{Link, MemoryNet, Ready, Received, Roster, Token, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let [one, two] = [1, 2].map(|id| (NodeId::new(id.into()).expect("not 0"), ([10, 0, 0, id], 21064).into()));
//! let net = MemoryNet::new();
//! let mut a = net.transport(Roster::new(one.0, vec![one.1], [(two.0, vec![two.1])])?)?;
//! let mut b = net.transport(Roster::new(two.0, vec![two.1], [(one.0, vec![one.1])])?)?;
//!
//! let mut dialed = a.dial(two.0, Token(1))?;
//! let (mut ready, mut accepted, mut buffer) = (Vec::new(), None, [0; 1024]);
//! a.wait(&mut ready, None)?;
//! assert_eq!(ready, [Ready::Dialed(Token(1))]);
//! dialed.send(&[IoSlice::new(b"hello")])?;
//! let received = loop {
//!     b.wait(&mut ready, None)?;
//!     match (ready.pop(), &mut accepted) {
//!         (Some(Ready::Incoming), _) => accepted = b.accept(Token(2))?,
//!         (Some(Ready::Readable(Token(2))), Some(from)) => break from.link.receive(&mut buffer)?,
//!         _ => {}
//!     }
//! };
//! assert_eq!(received, Received::Bytes(5));
//! # Ok(())
//! # }
//! ```
//!
//! A link is a byte stream in both directions: order is kept within it, nothing is said about what survives its
//! loss. Exactly once and in order across lost links is the business of the engine above.
//!
//! Besides the traits: [`memory`] carries bytes without an operating system, [`fault`] wraps any transport and
//! injects faults by a seed, `conformance` (a feature) is the suite that any transport can run against itself, and
//! `sockets` (a feature) is what transports over sockets share: the event queue and the wait.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod fault;
pub mod memory;
mod random;
mod roster;
#[cfg(all(feature = "sockets", unix))]
pub mod sockets;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dlmwire_codec::NodeId;

pub use fault::{Faulty, FaultyLink, Plan};
pub use memory::{MemoryLink, MemoryNet, MemoryTransport};
pub use roster::{ADDRESSES_MAX, Roster, RosterError};

/// What a link is called in readiness events. The caller chooses tokens and never uses one twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// What a transport can do, the same for all its links.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Capabilities {
    /// [`Link::close_send`] ends one direction and the other goes on.
    pub half_close: bool,
    /// Bytes travel in records of at most this many bytes, each of whole frames; `None` for a plain stream.
    pub record_bytes_max: Option<usize>,
    /// A link survives the loss of one of several addresses.
    pub multihomed: bool,
    /// The peer's orderly close is told apart from a loss.
    pub close_signal: bool,
}

/// Makes links to and from configured nodes.
///
/// A transport and its links belong to one thread: readiness that a link remembers is told by the next
/// [`wait`](Self::wait), which another thread's wait would not notice. Only the [`Waker`] goes elsewhere.
pub trait Transport {
    /// The links that it makes.
    type Link: Link;

    /// What its links can do.
    fn capabilities(&self) -> Capabilities;

    /// Starts to connect to a configured node, from our configured address.
    ///
    /// The link cannot be used before [`Ready::Dialed`] is told for `token`; dropping it gives the attempt up.
    ///
    /// # Errors
    ///
    /// `NotFound` for a node that is not in the roster; what the operating system says, at once or by
    /// [`Ready::Failed`].
    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<Self::Link>;

    /// Takes one waiting connection from a configured node, ready to use.
    ///
    /// Connections from addresses outside the roster are closed without a byte and counted
    /// ([`refused`](Self::refused)). Call it until it gives `None` whenever [`Ready::Incoming`] is told.
    ///
    /// # Errors
    ///
    /// What the operating system says about the listener, for example that descriptors have run out. The
    /// listener stays.
    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<Self::Link>>>;

    /// Waits until something is ready, a [`Waker`] is used, or `timeout` is over (`None`: without end), and puts
    /// what is ready into `ready`, which is cleared first.
    ///
    /// Readiness is told once when it comes (edge) and means: go on until the operation says `WouldBlock` or does
    /// less than was asked, or remember that there is more. It may be told without need, and a wait may end with
    /// nothing. Tokens of dropped links are no longer told once the caller has dropped the link.
    ///
    /// # Errors
    ///
    /// What the operating system says; being interrupted is no error.
    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()>;

    /// A handle that ends [`wait`](Self::wait) from another thread.
    fn waker(&self) -> Waker;

    /// Replaces the roster: the new one counts for every later dial and accept; existing links stay, and so does
    /// the address that is listened on.
    fn set_roster(&mut self, roster: Roster);

    /// How many connections were closed because nobody in the roster has their address.
    fn refused(&self) -> u64;

    /// The address that peers dial, with the port that was really bound.
    fn local_address(&self) -> SocketAddr;
}

/// One connection to one node. Dropping it closes it.
pub trait Link {
    /// Reads what is there, at most `buffer.len()` bytes.
    ///
    /// Fewer bytes than that mean that nothing more is there now: [`Ready::Readable`] is told when something comes,
    /// and if the end or an error is already there, it is told again. A caller that stops before, with a full
    /// buffer, has to remember that there may be more.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there; any other error means that the link is lost, as does a reset.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received>;

    /// Writes some of `slices`, in order, and says how many bytes were taken (at least 1 unless all are empty).
    ///
    /// Fewer than were given mean that there is no room now: [`Ready::Writable`] is told when there is.
    ///
    /// On a transport with records, `slices` together are one record of whole frames and are taken whole.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing can be taken now; any other error means that the link is lost. Nothing of this call was
    /// taken then: a peer that acknowledged what its sender never counted as sent would look restarted.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Says that nothing will be sent any more; receiving goes on where [`Capabilities::half_close`] is given. Elsewhere
    /// what is on its way still comes, and then the end.
    ///
    /// # Errors
    ///
    /// What the operating system says; the link is lost then.
    fn close_send(&mut self) -> io::Result<()>;

    /// Closes at once in a way that the peer sees as a loss (a reset), so that it resends.
    fn abort(self);

    /// The address of the other end.
    fn peer_address(&self) -> SocketAddr;
}

/// What [`Link::receive`] found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Received {
    /// So many bytes, at least 1.
    Bytes(usize),
    /// The peer has closed its direction in order; nothing comes any more.
    End,
}

/// A connection that a node made to us.
#[derive(Debug)]
pub struct Accepted<L> {
    /// The node whose address it has.
    pub node: NodeId,
    /// The connection.
    pub link: L,
}

/// What became ready.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ready {
    /// A connection waits to be accepted.
    Incoming,
    /// A dialed link is connected.
    Dialed(Token),
    /// A dialed link could not be connected.
    Failed(Token, io::ErrorKind),
    /// There is something to receive: bytes, the end, or an error.
    Readable(Token),
    /// There is room to send again.
    Writable(Token),
}

/// Ends a [`Transport::wait`] from any thread; what is used before the wait ends the next one.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that does this. It must neither block nor fail.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Ends the wait that runs, or else the next one.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}
