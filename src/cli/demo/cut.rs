//! Connections that are broken on purpose: a transport whose links are reset on the way.
//!
//! A reset is a real one: the socket is closed so that the system sends `RST`, or `ABORT` over SCTP, and drops what
//! it still holds. Most come in the middle of a frame; where whole records are sent, behind one. They are counted out by what a node has received, so that there is progress
//! however often connections break.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

use super::random::Random;

/// A transport whose links are reset by a [`Cutter`].
#[derive(Debug)]
pub(super) struct Cutting<T> {
    inner: T,
    cutter: Cutter,
}

/// A link that may be reset.
#[derive(Debug)]
pub(super) struct CutLink<L> {
    /// `None` once it was reset.
    inner: Option<L>,
    /// What it sends are records: taken whole, or not at all.
    records: bool,
    token: Token,
    peer_address: SocketAddr,
    cutter: Cutter,
    sent: FrameWalk,
}

/// Decides when one node's links are reset, and counts.
#[derive(Clone, Debug)]
pub(super) struct Cutter(Arc<Mutex<Shears>>);

/// What was done to the connections.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Cuts {
    /// Links that were reset.
    pub(super) resets: u64,
    /// Of these: with a frame half sent.
    pub(super) half_sent: u64,
}

#[derive(Debug)]
struct Shears {
    random: Random,
    /// How many received bytes lie between two cuts on average; `None`: nothing is cut.
    mean_bytes: Option<u64>,
    /// Bytes that are received before the next cut; at 0 it comes with the next bytes that are sent.
    bytes_left: u64,
    /// Links that are connected.
    live: BTreeSet<Token>,
    /// Links that are reset, or are as soon as they are used; their nodes are told so until they are dropped.
    doomed: BTreeSet<Token>,
    /// Links that took less than they had room for.
    owed: BTreeSet<Token>,
    cuts: Cuts,
}

/// What a cut goes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// The link that is being sent on.
    Sending,
    /// Every link that this node has.
    All,
    /// Every link but the one that is being sent on: what came on them and was not read is lost too.
    Others,
}

impl Cutter {
    /// A cutter that resets links about every `mean_bytes` that its node receives; never if `None`.
    pub(super) fn new(seed: u64, mean_bytes: Option<u64>) -> Self {
        let mut shears = Shears {
            random: Random::new(seed),
            mean_bytes,
            bytes_left: u64::MAX,
            live: BTreeSet::new(),
            doomed: BTreeSet::new(),
            owed: BTreeSet::new(),
            cuts: Cuts::default(),
        };
        shears.draw();
        Self(Arc::new(Mutex::new(shears)))
    }

    /// What was done so far.
    pub(super) fn cuts(&self) -> Cuts {
        self.lock().cuts
    }

    fn lock(&self) -> MutexGuard<'_, Shears> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shears {
    /// Draws when the next cut comes: from half to one and a half times the mean.
    fn draw(&mut self) {
        if let Some(mean) = self.mean_bytes {
            self.bytes_left = 1 + mean / 2 + self.random.below(mean);
        }
    }

    fn received(&mut self, count: usize) {
        if self.mean_bytes.is_some() {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            self.bytes_left = self.bytes_left.saturating_sub(count);
        }
    }

    /// How many bytes of these are still sent, if a cut is due.
    fn part(&mut self, slices: &[IoSlice<'_>]) -> Option<usize> {
        if self.bytes_left > 0 {
            return None;
        }
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        let part = 1 + self.random.below(u64::try_from(bytes).unwrap_or(u64::MAX));
        Some(usize::try_from(part).unwrap_or(usize::MAX))
    }

    /// Cuts, while `sending` is being sent on; says whether that link is to be reset too.
    fn cut(&mut self, sending: Token) -> bool {
        self.draw();
        let reach = match self.random.below(4) {
            0 => Reach::All,
            1 if self.live.len() > 1 => Reach::Others,
            _ => Reach::Sending,
        };
        match reach {
            Reach::Sending => drop(self.doomed.insert(sending)),
            Reach::All => self.doomed.clone_from(&self.live),
            Reach::Others => {
                self.doomed.clone_from(&self.live);
                self.doomed.remove(&sending);
                // The system tells nobody that there is room for what it has not been given.
                self.owed.insert(sending);
            }
        }
        reach != Reach::Others
    }

    /// The links that are to be reset, and those that are to be told that they have room.
    fn due(&mut self) -> (BTreeSet<Token>, BTreeSet<Token>) {
        (self.doomed.clone(), std::mem::take(&mut self.owed))
    }

    fn count(&mut self, half_sent: bool) {
        self.cuts.resets += 1;
        self.cuts.half_sent += u64::from(half_sent);
    }

    fn forget(&mut self, token: Token) {
        self.live.remove(&token);
        self.doomed.remove(&token);
        self.owed.remove(&token);
    }
}

impl<T: Transport> Cutting<T> {
    pub(super) const fn new(inner: T, cutter: Cutter) -> Self {
        Self { inner, cutter }
    }

    fn wrap(&self, inner: T::Link, token: Token) -> CutLink<T::Link> {
        CutLink {
            peer_address: inner.peer_address(),
            inner: Some(inner),
            records: self.inner.capabilities().record_bytes_max.is_some(),
            token,
            cutter: self.cutter.clone(),
            sent: FrameWalk::default(),
        }
    }
}

impl<T: Transport> Transport for Cutting<T> {
    type Link = CutLink<T::Link>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<Self::Link> {
        let link = self.inner.dial(peer, token)?;
        Ok(self.wrap(link, token))
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<Self::Link>>> {
        let Some(Accepted { node, link }) = self.inner.accept(token)? else {
            return Ok(None);
        };
        self.cutter.lock().live.insert(token);
        let link = self.wrap(link, token);
        Ok(Some(Accepted { node, link }))
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let (doomed, owed) = self.cutter.lock().due();
        let idle = doomed.is_empty() && owed.is_empty();
        self.inner
            .wait(ready, if idle { timeout } else { Some(Duration::ZERO) })?;
        let dialed = ready.iter().filter_map(|ready| match ready {
            Ready::Dialed(token) => Some(*token),
            _ => None,
        });
        self.cutter.lock().live.extend(dialed);
        ready.extend(doomed.into_iter().map(Ready::Readable));
        ready.extend(owed.into_iter().map(Ready::Writable));
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

impl<L: Link> CutLink<L> {
    /// Fails if the link is gone, or is to go.
    fn check(&mut self) -> io::Result<&mut L> {
        if self.cutter.lock().doomed.contains(&self.token) {
            self.reset();
        }
        self.inner.as_mut().ok_or(io::ErrorKind::ConnectionReset.into())
    }

    /// Resets the link, if it still is there. Its node is told at the next wait.
    fn reset(&mut self) {
        let half_sent = self.sent.is_inside();
        if let Some(inner) = self.inner.take() {
            self.cutter.lock().count(half_sent);
            inner.abort();
        }
    }
}

impl<L: Link> Link for CutLink<L> {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let received = self.check()?.receive(buffer)?;
        if let Received::Bytes(count) = received {
            self.cutter.lock().received(count);
        }
        Ok(received)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let due = self.cutter.lock().part(slices);
        let due = due.map(|part| if self.records { usize::MAX } else { part });
        let link = self.check()?;
        let Some(part) = due else {
            let taken = link.send(slices)?;
            self.sent.advance(slices, taken);
            return Ok(taken);
        };
        let part = first_bytes(slices, part);
        let taken = link.send(&part)?;
        self.sent.advance(&part, taken);
        if self.cutter.lock().cut(self.token) {
            self.reset();
        }
        Ok(taken)
    }

    fn close_send(&mut self) -> io::Result<()> {
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::ConnectionReset)?;
        inner.close_send()
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

impl<L> Drop for CutLink<L> {
    fn drop(&mut self) {
        self.cutter.lock().forget(self.token);
    }
}

/// The first `count` bytes.
fn first_bytes<'a>(slices: &'a [IoSlice<'_>], mut count: usize) -> Vec<IoSlice<'a>> {
    let mut part = Vec::with_capacity(slices.len());
    for slice in slices {
        let bytes = slice.get(..count).unwrap_or(slice);
        count -= bytes.len();
        part.push(IoSlice::new(bytes));
    }
    part
}

/// Where the bytes that were sent end: between two frames, or inside one.
#[derive(Clone, Copy, Default, Debug)]
struct FrameWalk {
    /// Bytes of this frame until its length is known.
    head: usize,
    /// Bytes of this frame that are still to come, once it is.
    left: usize,
    /// The length's low byte, if the frame was sent up to there.
    low: u8,
}

/// Where the length of a frame stands: two bytes, little-endian.
const AT_LENGTH: usize = 12;

impl FrameWalk {
    /// Takes the first `count` bytes of what is sent.
    fn advance(&mut self, slices: &[IoSlice<'_>], mut count: usize) {
        for slice in slices {
            let mut bytes = slice.get(..count).unwrap_or(slice);
            count -= bytes.len();
            while let Some(rest) = self.step(bytes) {
                bytes = rest;
            }
        }
    }

    /// Goes over the rest of a frame, or on to its length; `None` if there are no bytes.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&first, _) = bytes.split_first()?;
        let passed = if self.left > 0 {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            passed
        } else if self.head < AT_LENGTH {
            let passed = (AT_LENGTH - self.head).min(bytes.len());
            self.head += passed;
            passed
        } else if self.head == AT_LENGTH {
            self.low = first;
            self.head += 1;
            1
        } else {
            let length = usize::from(u16::from_le_bytes([self.low, first]));
            self.left = length.saturating_sub(AT_LENGTH + 2);
            self.head = 0;
            1
        };
        bytes.get(passed..)
    }

    const fn is_inside(self) -> bool {
        self.head > 0 || self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a frame of this length, and its rest.
    fn frame(length: u16) -> Vec<u8> {
        let mut bytes = vec![0xff; usize::from(length)];
        bytes[AT_LENGTH..AT_LENGTH + 2].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    #[test]
    fn bytes_between_frames_and_inside_are_told_apart_wherever_they_are_cut() {
        let lengths = [16, 64, 300, 16];
        let bytes: Vec<u8> = lengths.into_iter().flat_map(frame).collect();
        let ends = [0, 16, 80, 380, 396];
        for first in 0..=bytes.len() {
            for second in [first, bytes.len().min(first + 1), bytes.len()] {
                let mut walk = FrameWalk::default();
                walk.advance(&[IoSlice::new(&bytes)], first);
                assert_eq!(walk.is_inside(), !ends.contains(&first), "{first}");
                let rest = [
                    IoSlice::new(&bytes[first..second]),
                    IoSlice::new(&bytes[second..]),
                ];
                walk.advance(&rest, second - first);
                assert_eq!(walk.is_inside(), !ends.contains(&second), "{first} {second}");
            }
        }
    }

    #[test]
    fn cut_comes_only_with_what_is_sent_behind_enough_received_bytes() {
        let mut shears = Cutter::new(7, Some(1000)).0;
        let shears = Arc::get_mut(&mut shears).expect("nobody else has it");
        let shears = shears.get_mut().expect("nobody panicked");
        let slices = [IoSlice::new(&[0; 100])];
        let due = shears.bytes_left;
        assert!((501..=1500).contains(&due), "{due}");
        shears.received(usize::try_from(due - 1).expect("small"));
        assert_eq!(shears.part(&slices), None);
        shears.received(1);
        let part = shears.part(&slices).expect("it is due");
        assert!((1..=100).contains(&part), "{part}");
        shears.cut(Token(1));
        assert_eq!(shears.part(&slices), None);
    }

    #[test]
    fn nothing_is_cut_unless_asked_for() {
        let cutter = Cutter::new(7, None);
        cutter.lock().received(usize::MAX);
        assert_eq!(cutter.lock().part(&[IoSlice::new(&[0; 100])]), None);
    }
}
