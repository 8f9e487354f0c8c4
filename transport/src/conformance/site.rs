//! The strict caller: sites that hold a transport and its links, and act only on what they are told.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dlmwire_codec::NodeId;

use super::{Limits, ensure};
use crate::{Link, Ready, Received, Roster, Token, Transport};

/// Bytes of one receive, as long as nothing else is said.
const BUFFER_BYTES: usize = 16 * 1024;

/// Bytes of one send at most.
const PIECE_BYTES: usize = 64 * 1024;

/// How long one turn waits for readiness.
const TURN: Duration = Duration::from_millis(1);

/// Turns without news after which nothing more is expected.
const QUIET_TURNS: usize = 30;

/// What a check works with.
pub(super) struct World<'m, T> {
    pub(super) make: &'m dyn Fn(NodeId) -> T,
    pub(super) limits: Limits,
    pub(super) until: Instant,
}

/// A node: its transport and its ends of links.
pub(super) struct Site<T: Transport> {
    pub(super) node: NodeId,
    pub(super) address: SocketAddr,
    pub(super) transport: T,
    pub(super) ends: BTreeMap<Token, End<T::Link>>,
    /// Somebody may wait to be accepted.
    incoming: bool,
    tokens: u64,
    ready: Vec<Ready>,
}

/// One end of a link, and what is known of it.
pub(super) struct End<L> {
    pub(super) link: L,
    /// The node at the other end, of an accepted link.
    pub(super) node: Option<NodeId>,
    pub(super) dialed: bool,
    pub(super) failed: Option<io::ErrorKind>,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) received: Vec<u8>,
    pub(super) ended: bool,
    pub(super) lost: Option<io::ErrorKind>,
    piece_bytes: usize,
}

/// Two sites and one link between them, dialed by `a`.
pub(super) struct Joined<T: Transport> {
    pub(super) a: Site<T>,
    pub(super) b: Site<T>,
    /// The link's name at `a`.
    pub(super) at_a: Token,
    /// The link's name at `b`.
    pub(super) at_b: Token,
}

impl<T: Transport> World<'_, T> {
    /// The site of a node; it knows nobody.
    pub(super) fn site(&self, id: u32) -> Result<Site<T>, String> {
        let node = node(id)?;
        let transport = (self.make)(node);
        let address = transport.local_address();
        let (ends, ready) = (BTreeMap::new(), Vec::new());
        // Tokens start apart, so that a transport that mixes up two sites' tokens is found out.
        Ok(Site {
            node,
            address,
            transport,
            ends,
            incoming: false,
            tokens: u64::from(id) << 20,
            ready,
        })
    }

    /// Two sites that know each other.
    pub(super) fn pair(&self) -> Result<(Site<T>, Site<T>), String> {
        let (mut a, mut b) = (self.site(1)?, self.site(2)?);
        a.knows(&[&b])?;
        b.knows(&[&a])?;
        Ok((a, b))
    }

    /// Two sites with a link between them.
    pub(super) fn joined(&self) -> Result<Joined<T>, String> {
        let (mut a, mut b) = self.pair()?;
        let (at_a, at_b) = self.join(&mut a, &mut b)?;
        Ok(Joined { a, b, at_a, at_b })
    }

    /// Makes a link from one site to another; its names at both.
    pub(super) fn join(&self, from: &mut Site<T>, to: &mut Site<T>) -> Result<(Token, Token), String> {
        let dialed = from.dial(to.node)?;
        let mut accepted = None;
        self.wait_for("a dialed link is told and accepted", || {
            from.turn()?;
            to.turn()?;
            if accepted.is_none() {
                accepted = to.accept()?;
            }
            Ok(accepted.filter(|_| from.ends.get(&dialed).is_some_and(|end| end.dialed)))
        })
        .map(|accepted| (dialed, accepted))
    }

    /// Takes steps until one gives a value or the deadline is over.
    pub(super) fn wait_for<R>(
        &self,
        what: &str,
        mut step: impl FnMut() -> Result<Option<R>, String>,
    ) -> Result<R, String> {
        loop {
            if let Some(value) = step().map_err(|reason| format!("waiting until {what}: {reason}"))? {
                return Ok(value);
            }
            ensure!(
                Instant::now() < self.until,
                "the deadline is over, waiting until {what}"
            );
        }
    }
}

impl<T: Transport> Site<T> {
    /// Sets a roster of just these peers.
    pub(super) fn knows(&mut self, others: &[&Self]) -> Result<(), String> {
        let peers = others.iter().map(|other| (other.node, vec![other.address]));
        let roster = Roster::new(self.node, vec![self.address], peers);
        self.transport
            .set_roster(roster.map_err(|e| format!("the suite's roster is flawed: {e}"))?);
        Ok(())
    }

    /// Starts a link; an error is a flaw.
    pub(super) fn dial(&mut self, peer: NodeId) -> Result<Token, String> {
        let token = self.token();
        let link = self
            .transport
            .dial(peer, token)
            .map_err(|e| format!("dialing node {peer} failed: {e}"))?;
        self.ends.insert(token, End::new(link, None, self.piece_bytes()));
        Ok(token)
    }

    /// Takes a connection if one was told of.
    pub(super) fn accept(&mut self) -> Result<Option<Token>, String> {
        if !self.incoming {
            return Ok(None);
        }
        let token = self.token();
        let Some(accepted) = self
            .transport
            .accept(token)
            .map_err(|e| format!("accept failed: {e}"))?
        else {
            self.incoming = false;
            return Ok(None);
        };
        let mut end = End::new(accepted.link, Some(accepted.node), self.piece_bytes());
        end.writable = true;
        self.ends.insert(token, end);
        Ok(Some(token))
    }

    /// Waits a little for readiness and notes it.
    pub(super) fn turn(&mut self) -> Result<(), String> {
        let mut ready = std::mem::take(&mut self.ready);
        self.transport
            .wait(&mut ready, Some(TURN))
            .map_err(|e| format!("wait failed: {e}"))?;
        for told in ready.drain(..) {
            self.note(told)?;
        }
        self.ready = ready;
        Ok(())
    }

    /// Turns so often that whatever is under way has come.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        (0..QUIET_TURNS).try_for_each(|_| self.turn())
    }

    /// Turns, and receives whatever is told.
    pub(super) fn read(&mut self) -> Result<(), String> {
        self.turn()?;
        self.ends
            .values_mut()
            .try_for_each(|end| end.receive(BUFFER_BYTES))
    }

    /// Sends these bytes over a link until no room is told for a while; how many were taken.
    pub(super) fn fill(&mut self, token: Token, bytes: &[u8]) -> Result<usize, String> {
        let mut taken = 0;
        let mut quiet = 0;
        while quiet < QUIET_TURNS && taken < bytes.len() {
            let count = self.end(token)?.send(&bytes[taken..])?;
            taken += count;
            quiet = if count == 0 { quiet + 1 } else { 0 };
            if count == 0 {
                self.turn()?;
            }
        }
        Ok(taken)
    }

    pub(super) fn end(&mut self, token: Token) -> Result<&mut End<T::Link>, String> {
        self.ends
            .get_mut(&token)
            .ok_or_else(|| format!("the suite has no link {token:?}"))
    }

    /// Takes a link out, to drop or to abort it.
    pub(super) fn remove(&mut self, token: Token) -> Result<End<T::Link>, String> {
        self.ends
            .remove(&token)
            .ok_or_else(|| format!("the suite has no link {token:?}"))
    }

    pub(super) fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    fn piece_bytes(&self) -> usize {
        self.transport
            .capabilities()
            .record_bytes_max
            .unwrap_or(PIECE_BYTES)
    }

    fn note(&mut self, told: Ready) -> Result<(), String> {
        let (Ready::Dialed(token)
        | Ready::Failed(token, _)
        | Ready::Readable(token)
        | Ready::Writable(token)) = told
        else {
            self.incoming = true;
            return Ok(());
        };
        let node = self.node;
        let Some(end) = self.ends.get_mut(&token) else {
            return Err(format!(
                "node {node} was told {told:?}, but it has no such link or has dropped it"
            ));
        };
        match told {
            Ready::Dialed(_) => {
                ensure!(
                    end.node.is_none() && !end.dialed,
                    "node {node} was told {told:?} without need"
                );
                end.dialed = true;
                end.writable = true;
            }
            Ready::Failed(_, why) => end.failed = Some(why),
            Ready::Writable(_) => end.writable = true,
            Ready::Readable(_) | Ready::Incoming => end.readable = true,
        }
        Ok(())
    }
}

impl<L: Link> End<L> {
    fn new(link: L, node: Option<NodeId>, piece_bytes: usize) -> Self {
        Self {
            link,
            node,
            dialed: false,
            failed: None,
            readable: false,
            writable: false,
            received: Vec::new(),
            ended: false,
            lost: None,
            piece_bytes,
        }
    }

    /// Receives if told to, with a buffer of this size, until a receive is short.
    pub(super) fn receive(&mut self, buffer_bytes: usize) -> Result<(), String> {
        let mut buffer = vec![0; buffer_bytes];
        while self.readable && self.lost.is_none() {
            match self.link.receive(&mut buffer) {
                Ok(Received::Bytes(count)) => {
                    ensure!(
                        count > 0 && count <= buffer_bytes,
                        "receive gave {count} of {buffer_bytes} bytes"
                    );
                    ensure!(!self.ended, "receive gave bytes after the end");
                    self.received.extend_from_slice(&buffer[..count]);
                    self.readable = count == buffer_bytes;
                }
                Ok(Received::End) => {
                    self.ended = true;
                    self.readable = false;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(e) => self.lost = Some(e.kind()),
            }
        }
        Ok(())
    }

    /// Sends one piece if there is room; how much was taken, 0 also if the link is lost.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let piece = &bytes[..bytes.len().min(self.piece_bytes)];
        self.send_slices(&[IoSlice::new(piece)])
    }

    /// Sends one piece in slices if there is room.
    pub(super) fn send_slices(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, String> {
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        if !self.writable || self.lost.is_some() {
            return Ok(0);
        }
        match self.link.send(slices) {
            Ok(count) => {
                ensure!(count > 0 || wanted == 0, "send took 0 of {wanted} bytes");
                ensure!(count <= wanted, "send took {count} of {wanted} bytes");
                self.writable = count == wanted;
                Ok(count)
            }
            Err(e) => {
                self.writable = false;
                if e.kind() != io::ErrorKind::WouldBlock {
                    self.lost = Some(e.kind());
                }
                Ok(0)
            }
        }
    }

    /// Whether the other end is known to be gone.
    pub(super) fn is_over(&self) -> bool {
        self.ended || self.lost.is_some()
    }

    /// That so far the link is whole and has brought a beginning of `expected`.
    pub(super) fn is_intact(&self, expected: &[u8]) -> Result<(), String> {
        if let Some(why) = self.lost {
            return Err(format!("the link was lost: {why}"));
        }
        self.has_brought(expected)
    }

    /// That what came is a beginning of `expected`.
    pub(super) fn has_brought(&self, expected: &[u8]) -> Result<(), String> {
        let count = self.received.len();
        ensure!(
            count <= expected.len(),
            "{count} bytes came of {} sent",
            expected.len()
        );
        let wrong = self
            .received
            .iter()
            .zip(expected)
            .position(|(came, sent)| came != sent);
        match wrong {
            Some(at) => Err(format!(
                "byte {at} came as {:#04x}, not {:#04x}",
                self.received[at], expected[at]
            )),
            None => Ok(()),
        }
    }
}

pub(super) fn node(id: u32) -> Result<NodeId, String> {
    NodeId::new(id).ok_or_else(|| "0 is no node".to_owned())
}

/// Bytes that repeat nowhere near, so that a shift, a gap or a swap shows; another `seed` gives others.
pub(super) fn pattern(seed: u64, count: usize) -> Vec<u8> {
    let mut random = crate::random::Random::new(seed);
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
