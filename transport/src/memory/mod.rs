//! A transport in memory: the same rules as sockets, without an operating system.
//!
//! A [`MemoryNet`] joins any number of [`MemoryTransport`]s, in one thread or in many. Addresses are only names
//! there. Links behave as TCP does where it matters: bounded buffers, half-close, reset, a refused dial, admission
//! by address. Time does not pass in them: what is sent is there at once.

mod net;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dlmwire_codec::NodeId;

use self::net::{CALLEE, CALLER, End, Host, Net, Wire, other};
use crate::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

/// Connections that wait to be accepted; further dials are refused.
pub const BACKLOG_MAX: usize = 128;

/// Bytes that a direction of a link holds unless said otherwise.
pub const BUFFER_BYTES: usize = 64 * 1024;

/// What joins transports in memory; clones are the same net.
#[derive(Clone, Debug)]
pub struct MemoryNet(Arc<Mutex<Net>>);

/// A transport on a [`MemoryNet`]. Dropping it takes its address off the net; its links stay.
#[derive(Debug)]
pub struct MemoryTransport {
    net: MemoryNet,
    roster: Roster,
    address: SocketAddr,
    host: u64,
    arrived: Arc<Condvar>,
    refused: u64,
}

/// One end of a connection in memory.
#[derive(Debug)]
pub struct MemoryLink {
    net: MemoryNet,
    wire: u64,
    side: usize,
    peer_address: SocketAddr,
}

impl MemoryNet {
    /// A net whose links hold [`BUFFER_BYTES`] in each direction.
    pub fn new() -> Self {
        Self::with_buffer_bytes(BUFFER_BYTES)
    }

    /// A net whose links hold `buffer_bytes` in each direction, at least 1.
    pub fn with_buffer_bytes(buffer_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Net::new(buffer_bytes.max(1)))))
    }

    /// A transport that listens on the first local address of `roster`; port 0 is replaced by a free one.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if somebody listens there.
    pub fn transport(&self, roster: Roster) -> io::Result<MemoryTransport> {
        let mut net = self.lock();
        let mut address = first(roster.local())?;
        if address.port() == 0 {
            address = net.free_port(address);
        }
        if net.host_at(address).is_some() {
            return Err(error(
                io::ErrorKind::AddrInUse,
                format!("listen on {address}: address in use"),
            ));
        }
        let host = net.next_id();
        let arrived = Arc::new(Condvar::new());
        net.hosts.insert(host, Host::new(address, Arc::clone(&arrived)));
        drop(net);
        Ok(MemoryTransport {
            net: self.clone(),
            roster,
            address,
            host,
            arrived,
            refused: 0,
        })
    }

    // A panic elsewhere leaves no half-done change behind: nothing here panics between two of them.
    fn lock(&self) -> MutexGuard<'_, Net> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryNet {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport for MemoryTransport {
    type Link = MemoryLink;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            half_close: true,
            record_bytes_max: None,
            multihomed: false,
            close_signal: true,
        }
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<MemoryLink> {
        let Some(addresses) = self.roster.peer(peer) else {
            return Err(error(
                io::ErrorKind::NotFound,
                format!("connect to node {peer}: not configured"),
            ));
        };
        let peer_address = first(addresses)?;
        let mut net = self.net.lock();
        let from = net.free_port(self.address);
        let listener = net.host_at(peer_address).filter(|host| net.has_room(*host));
        let caller = End {
            host: self.host,
            token: Some(token),
            ..End::new(peer_address)
        };
        let callee = End {
            host: listener.unwrap_or(0),
            ..End::new(from)
        };
        let wire = net.next_id();
        net.wires.insert(
            wire,
            Wire {
                ends: [caller, callee],
            },
        );
        match listener {
            Some(listener) => {
                net.tell(self.host, token, |told| told.dialed = true);
                net.queue(listener, wire);
            }
            None => {
                net.lose(wire);
                net.close(wire, CALLEE);
                net.tell(self.host, token, |told| {
                    told.failed = Some(io::ErrorKind::ConnectionRefused)
                });
            }
        }
        drop(net);
        Ok(MemoryLink {
            net: self.net.clone(),
            wire,
            side: CALLER,
            peer_address,
        })
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<MemoryLink>>> {
        let mut net = self.net.lock();
        loop {
            let Some(wire) = net
                .hosts
                .get_mut(&self.host)
                .and_then(|host| host.backlog.pop_front())
            else {
                return Ok(None);
            };
            let Some(end) = net.end(wire, CALLEE) else {
                continue;
            };
            let peer_address = end.peer_address;
            let Some(node) = self.roster.peer_at(peer_address.ip()) else {
                self.refused = self.refused.saturating_add(1);
                net.close(wire, CALLEE);
                continue;
            };
            end.token = Some(token);
            let something = !end.incoming.is_empty() || end.ended || end.lost;
            if something {
                net.tell(self.host, token, |told| told.readable = true);
            }
            drop(net);
            let link = MemoryLink {
                net: self.net.clone(),
                wire,
                side: CALLEE,
                peer_address,
            };
            return Ok(Some(Accepted { node, link }));
        }
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut net = self.net.lock();
        loop {
            let Some(host) = net.hosts.get_mut(&self.host) else {
                return Ok(());
            };
            if host.take(ready) {
                return Ok(());
            }
            let Some(until) = until else {
                net = self.arrived.wait(net).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            net = self
                .arrived
                .wait_timeout(net, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn waker(&self) -> Waker {
        let (net, host) = (self.net.clone(), self.host);
        Waker::new(move || {
            if let Some(host) = net.lock().hosts.get_mut(&host) {
                host.woken = true;
                host.arrived.notify_all();
            }
        })
    }

    fn set_roster(&mut self, roster: Roster) {
        self.roster = roster;
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        let mut net = self.net.lock();
        let Some(host) = net.hosts.remove(&self.host) else {
            return;
        };
        for wire in host.backlog {
            net.lose(wire);
            net.close(wire, CALLEE);
        }
    }
}

impl Link for MemoryLink {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut net = self.net.lock();
        let Some(end) = net.end(self.wire, self.side) else {
            return Err(lost());
        };
        if end.lost {
            return Err(lost());
        }
        if end.incoming.is_empty() && end.ended {
            return Ok(Received::End);
        }
        if end.incoming.is_empty() || buffer.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = end.take(buffer);
        if end.ended && count < buffer.len() {
            net.tell_readable(self.wire, self.side);
        }
        net.tell_room(self.wire, other(self.side));
        Ok(Received::Bytes(count))
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut net = self.net.lock();
        let room_bytes = net.buffer_bytes;
        let Some(own) = net.end(self.wire, self.side) else {
            return Err(lost());
        };
        if own.lost {
            return Err(lost());
        }
        if own.send_closed {
            return Err(error(
                io::ErrorKind::BrokenPipe,
                "send: our direction is closed".to_owned(),
            ));
        }
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let Some(peer) = net.end(self.wire, other(self.side)) else {
            return Err(lost());
        };
        if peer.dropped {
            return Err(error(
                io::ErrorKind::BrokenPipe,
                "send: the peer has closed".to_owned(),
            ));
        }
        let taken = peer.put(slices, room_bytes);
        if taken > 0 {
            net.tell_readable(self.wire, other(self.side));
        }
        if taken < wanted {
            net.mark_blocked(self.wire, self.side);
        }
        if taken == 0 && wanted > 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(taken)
        }
    }

    fn close_send(&mut self) -> io::Result<()> {
        let mut net = self.net.lock();
        let Some(own) = net.end(self.wire, self.side) else {
            return Err(lost());
        };
        if own.lost {
            return Err(lost());
        }
        if own.send_closed {
            return Ok(());
        }
        own.send_closed = true;
        net.tell_end(self.wire, other(self.side));
        Ok(())
    }

    fn abort(self) {
        self.net.lock().lose(self.wire);
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        self.net.lock().close(self.wire, self.side);
    }
}

fn first(addresses: &[SocketAddr]) -> io::Result<SocketAddr> {
    // A built roster has no node without an address.
    addresses
        .first()
        .copied()
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn error(kind: io::ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, text)
}

fn lost() -> io::Error {
    error(io::ErrorKind::ConnectionReset, "the link was reset".to_owned())
}
