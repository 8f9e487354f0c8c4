//! Faults on purpose: a wrapper of any transport that cuts, delays, refuses and resets, by a seed.
//!
//! What a caller must bear is all that it does: it keeps every promise of [`Transport`] and [`Link`], so a caller
//! that fails on it has a bug. Nothing that it holds back is forgotten: every injected `WouldBlock` and every
//! shortened send or receive is followed by the readiness that it owes.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlmwire_codec::NodeId;

use crate::random::Random;
use crate::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

/// Which faults, and how often. Shares are per mille of the calls; the default is no fault at all.
///
/// The same plan and the same sequence of calls give the same faults. Every link has its own sequence of numbers,
/// from the seed and its place in the order of links.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Plan {
    /// Where the numbers come from.
    pub seed: u64,
    /// Sends that take only a part, half of them a single byte. Records are never cut.
    pub short_send: u16,
    /// Receives that give only a part, half of them a single byte.
    pub short_receive: u16,
    /// Sends and receives that begin a burst of `WouldBlock`.
    pub would_block: u16,
    /// The longest burst, in calls; 0 counts as 1.
    pub would_block_calls_max: u16,
    /// After how many bytes, both directions together, a link is reset: drawn from this range for each link.
    /// Nothing is reset if it is empty. The other end sees an abort.
    pub reset_after_bytes: Range<u64>,
    /// Dials that are refused. The other side may see a connection that ends at once.
    pub refused_dial: u16,
    /// Accepts that find nobody though somebody waits; who waits is told again at the next wait.
    pub delayed_accept: u16,
}

/// A transport with faults.
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    plan: Arc<Plan>,
    random: Random,
    links: u64,
    owed: Owed,
    incoming_owed: bool,
}

/// A link with faults.
#[derive(Debug)]
pub struct FaultyLink<L> {
    /// `None` after a fault that ended it.
    inner: Option<L>,
    token: Token,
    peer_address: SocketAddr,
    plan: Arc<Plan>,
    random: Random,
    may_cut: bool,
    /// How many calls in a row still give `WouldBlock`.
    blocked_calls: u64,
    /// Bytes until it is reset.
    bytes_left: Option<u64>,
    owed: Owed,
}

impl<T: Transport> Faulty<T> {
    /// Wraps a transport.
    pub fn new(inner: T, plan: Plan) -> Self {
        let random = Random::new(plan.seed);
        let plan = Arc::new(plan);
        Self {
            inner,
            plan,
            random,
            links: 0,
            owed: Owed::default(),
            incoming_owed: false,
        }
    }

    fn wrap(
        &mut self,
        inner: Option<T::Link>,
        token: Token,
        peer_address: SocketAddr,
    ) -> FaultyLink<T::Link> {
        self.links += 1;
        let mut random = Random::new(self.plan.seed ^ self.links.rotate_left(32));
        let reset = self.plan.reset_after_bytes.clone();
        let bytes_left = (!reset.is_empty()).then(|| reset.start + random.below(reset.end - reset.start));
        FaultyLink {
            inner,
            token,
            peer_address,
            plan: Arc::clone(&self.plan),
            random,
            may_cut: self.inner.capabilities().record_bytes_max.is_none(),
            blocked_calls: 0,
            bytes_left,
            owed: self.owed.clone(),
        }
    }
}

impl<T: Transport> Transport for Faulty<T> {
    type Link = FaultyLink<T::Link>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<Self::Link> {
        let link = self.inner.dial(peer, token)?;
        let peer_address = link.peer_address();
        if self.random.per_mille(self.plan.refused_dial) {
            self.owed.lock().entry(token).or_default().refused = true;
            return Ok(self.wrap(None, token, peer_address));
        }
        Ok(self.wrap(Some(link), token, peer_address))
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<Self::Link>>> {
        if self.random.per_mille(self.plan.delayed_accept) {
            self.incoming_owed = true;
            return Ok(None);
        }
        let Some(Accepted { node, link }) = self.inner.accept(token)? else {
            return Ok(None);
        };
        let peer_address = link.peer_address();
        Ok(Some(Accepted {
            node,
            link: self.wrap(Some(link), token, peer_address),
        }))
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let owed = std::mem::take(&mut *self.owed.lock());
        let incoming = std::mem::take(&mut self.incoming_owed);
        let timeout = if owed.is_empty() && !incoming {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        self.inner.wait(ready, timeout)?;
        ready.extend(incoming.then_some(Ready::Incoming));
        for (token, owed) in owed {
            ready.extend(
                owed.refused
                    .then_some(Ready::Failed(token, io::ErrorKind::ConnectionRefused)),
            );
            ready.extend(owed.readable.then_some(Ready::Readable(token)));
            ready.extend(owed.writable.then_some(Ready::Writable(token)));
        }
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

impl<L: Link> Link for FaultyLink<L> {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        self.reset_if_due();
        if self.is_blocked() {
            self.owed.lock().entry(self.token).or_default().readable = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = match self.random.per_mille(self.plan.short_receive) {
            true => self.part(buffer.len()),
            false => buffer.len(),
        };
        let inner = self.inner.as_mut().ok_or_else(reset)?;
        let received = inner.receive(&mut buffer[..count])?;
        if let Received::Bytes(bytes) = received {
            self.count(bytes);
            if bytes == count && count < buffer.len() {
                self.owed.lock().entry(self.token).or_default().readable = true;
            }
        }
        Ok(received)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.reset_if_due();
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        if wanted > 0 && self.is_blocked() {
            self.owed.lock().entry(self.token).or_default().writable = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !self.may_cut || !self.random.per_mille(self.plan.short_send) {
            let taken = self.inner.as_mut().ok_or_else(reset)?.send(slices)?;
            self.count(taken);
            return Ok(taken);
        }
        let mut left = self.part(wanted);
        let mut part = Vec::with_capacity(slices.len());
        for slice in slices {
            let count = slice.len().min(left);
            part.push(IoSlice::new(&slice[..count]));
            left -= count;
        }
        let taken = self.inner.as_mut().ok_or_else(reset)?.send(&part)?;
        self.count(taken);
        if taken < wanted {
            self.owed.lock().entry(self.token).or_default().writable = true;
        }
        Ok(taken)
    }

    fn close_send(&mut self) -> io::Result<()> {
        self.reset_if_due();
        self.inner.as_mut().ok_or_else(reset)?.close_send()
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

impl<L> FaultyLink<L> {
    /// A part of a length: 1 byte or any number up to all of them.
    fn part(&mut self, length: usize) -> usize {
        if self.random.per_mille(500) {
            return length.min(1);
        }
        let part = self.random.below(u64::try_from(length).unwrap_or(u64::MAX)) + 1;
        usize::try_from(part).unwrap_or(usize::MAX).min(length)
    }

    fn is_blocked(&mut self) -> bool {
        if self.blocked_calls == 0 && self.random.per_mille(self.plan.would_block) {
            self.blocked_calls = 1 + self.random.below(u64::from(self.plan.would_block_calls_max));
        }
        let blocked = self.blocked_calls > 0;
        self.blocked_calls = self.blocked_calls.saturating_sub(1);
        blocked
    }

    fn count(&mut self, bytes: usize) {
        if let Some(left) = &mut self.bytes_left {
            *left = left.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }
}

impl<L: Link> FaultyLink<L> {
    fn reset_if_due(&mut self) {
        if self.bytes_left == Some(0)
            && let Some(inner) = self.inner.take()
        {
            inner.abort();
        }
    }
}

impl<L> Drop for FaultyLink<L> {
    fn drop(&mut self) {
        self.owed.lock().remove(&self.token);
    }
}

/// Readiness that is owed for what was held back, told at the next wait.
#[derive(Clone, Default, Debug)]
struct Owed(Arc<Mutex<BTreeMap<Token, OwedReady>>>);

#[derive(Clone, Copy, Default, Debug)]
struct OwedReady {
    refused: bool,
    readable: bool,
    writable: bool,
}

impl Owed {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Token, OwedReady>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reset() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionReset,
        "the link was reset by an injected fault",
    )
}
