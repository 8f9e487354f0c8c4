//! A transport that notes where bytes lie and how long it is asked to wait.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use dlmwire_codec::{NodeId, Payload, RcomFields, StatusFlags};
use dlmwire_midcomms::engine::Message;
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

use crate::world::group;

/// What was seen.
#[derive(Clone, Default)]
pub(crate) struct Seen(Rc<Notes>);

#[derive(Default)]
struct Notes {
    sent: RefCell<Vec<Range<usize>>>,
    received: RefCell<Vec<Range<usize>>>,
    waits: RefCell<Vec<Option<Duration>>>,
    ask_only: Cell<bool>,
}

impl Seen {
    /// Where the bytes lay that were written.
    pub(crate) fn sent(&self) -> Vec<Range<usize>> {
        self.0.sent.borrow().clone()
    }

    /// Where the bytes were read to.
    pub(crate) fn received(&self) -> Vec<Range<usize>> {
        self.0.received.borrow().clone()
    }

    /// How long was to be waited.
    pub(crate) fn waits(&self) -> Vec<Option<Duration>> {
        self.0.waits.borrow().clone()
    }

    pub(crate) fn forget(&self) {
        self.0.sent.borrow_mut().clear();
        self.0.received.borrow_mut().clear();
        self.0.waits.borrow_mut().clear();
    }

    /// Waits end at once from now on, whatever they are asked for.
    pub(crate) fn ask_only(&self, ask_only: bool) {
        self.0.ask_only.set(ask_only);
    }
}

/// The transport that is looked at.
pub(crate) struct Spy<T> {
    inner: T,
    seen: Seen,
}

pub(crate) struct SpyLink<L> {
    inner: L,
    seen: Seen,
}

impl<T> Spy<T> {
    pub(crate) fn new(inner: T, seen: Seen) -> Self {
        Self { inner, seen }
    }
}

impl<T: Transport> Transport for Spy<T> {
    type Link = SpyLink<T::Link>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<Self::Link> {
        let inner = self.inner.dial(peer, token)?;
        let seen = self.seen.clone();
        Ok(SpyLink { inner, seen })
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<Self::Link>>> {
        let accepted = self.inner.accept(token)?;
        Ok(accepted.map(|Accepted { node, link: inner }| {
            let seen = self.seen.clone();
            let link = SpyLink { inner, seen };
            Accepted { node, link }
        }))
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        self.seen.0.waits.borrow_mut().push(timeout);
        let timeout = if self.seen.0.ask_only.get() {
            Some(Duration::ZERO)
        } else {
            timeout
        };
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

impl<L: Link> Link for SpyLink<L> {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let received = self.inner.receive(buffer)?;
        if let Received::Bytes(count) = received {
            let start = buffer.as_ptr().addr();
            self.seen.0.received.borrow_mut().push(start..start + count);
        }
        Ok(received)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        for slice in slices {
            let start = slice.as_ptr().addr();
            self.seen.0.sent.borrow_mut().push(start..start + slice.len());
        }
        self.inner.send(slices)
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

/// What shows a version.
pub(crate) fn status() -> Message<'static> {
    Message::Rcom(RcomFields {
        lockspace: group(),
        result: 0,
        id: 1,
        seq: 1,
        seq_reply: 0,
        payload: Payload::Status {
            flags: StatusFlags::new(0),
        },
    })
}
