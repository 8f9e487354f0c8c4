//! A transport that counts its reads and writes.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

/// Reads and writes that moved something.
#[derive(Clone, Default, Debug)]
pub(super) struct Calls(Rc<CallsInner>);

#[derive(Default, Debug)]
struct CallsInner {
    reads: Cell<u64>,
    writes: Cell<u64>,
}

impl Calls {
    pub(super) fn reads(&self) -> u64 {
        self.0.reads.get()
    }

    pub(super) fn writes(&self) -> u64 {
        self.0.writes.get()
    }
}

/// A transport and its calls.
#[derive(Debug)]
pub(super) struct Counted<T> {
    inner: T,
    calls: Calls,
}

impl<T> Counted<T> {
    pub(super) fn new(inner: T, calls: Calls) -> Self {
        Self { inner, calls }
    }

    fn count<L>(&self, inner: L) -> CountedLink<L> {
        CountedLink {
            inner,
            calls: self.calls.clone(),
        }
    }
}

/// A link and its transport's calls.
#[derive(Debug)]
pub(super) struct CountedLink<L> {
    inner: L,
    calls: Calls,
}

impl<T: Transport> Transport for Counted<T> {
    type Link = CountedLink<T::Link>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<Self::Link> {
        let link = self.inner.dial(peer, token)?;
        Ok(self.count(link))
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<Self::Link>>> {
        let accepted = self.inner.accept(token)?;
        Ok(accepted.map(|Accepted { node, link }| Accepted {
            node,
            link: self.count(link),
        }))
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.wait(ready, timeout)
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

impl<L: Link> Link for CountedLink<L> {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let received = self.inner.receive(buffer)?;
        self.calls.0.reads.update(|reads| reads + 1);
        Ok(received)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = self.inner.send(slices)?;
        self.calls.0.writes.update(|writes| writes + 1);
        Ok(taken)
    }

    fn close_send(&mut self) -> io::Result<()> {
        self.inner.close_send()
    }

    fn abort(self) {
        self.inner.abort();
    }

    fn peer_address(&self) -> SocketAddr {
        self.inner.peer_address()
    }
}
