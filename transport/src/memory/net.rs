//! What a net in memory holds: who listens, the wires between them, and what each is still to be told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar};

use super::BACKLOG_MAX;
use crate::{Ready, Token};

pub(super) const CALLER: usize = 0;
pub(super) const CALLEE: usize = 1;

pub(super) fn other(side: usize) -> usize {
    1 - side
}

#[derive(Debug)]
pub(super) struct Net {
    pub(super) buffer_bytes: usize,
    pub(super) hosts: BTreeMap<u64, Host>,
    pub(super) wires: BTreeMap<u64, Wire>,
    pub(super) last_id: u64,
    pub(super) last_port: u16,
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) address: SocketAddr,
    pub(super) arrived: Arc<Condvar>,
    pub(super) backlog: VecDeque<u64>,
    pub(super) incoming: bool,
    pub(super) woken: bool,
    pub(super) told: BTreeMap<Token, Told>,
}

/// What is ready for one token, told at the next wait.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Told {
    pub(super) dialed: bool,
    pub(super) failed: Option<io::ErrorKind>,
    pub(super) readable: bool,
    pub(super) writable: bool,
}

#[derive(Debug)]
pub(super) struct Wire {
    pub(super) ends: [End; 2],
}

/// One end: what has come for it, and what it has done.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: u64,
    /// `None` until accepted.
    pub(super) token: Option<Token>,
    pub(super) peer_address: SocketAddr,
    pub(super) incoming: VecDeque<u8>,
    /// The other end sends nothing any more.
    pub(super) ended: bool,
    pub(super) lost: bool,
    pub(super) send_closed: bool,
    /// It could not send everything and wants to be told of room.
    pub(super) blocked: bool,
    pub(super) dropped: bool,
}

impl Net {
    pub(super) fn new(buffer_bytes: usize) -> Self {
        Self {
            buffer_bytes,
            hosts: BTreeMap::new(),
            wires: BTreeMap::new(),
            last_id: 0,
            last_port: 49_151,
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The same address with a port that nobody listens on; ports are used in turn.
    pub(super) fn free_port(&mut self, mut address: SocketAddr) -> SocketAddr {
        loop {
            self.last_port = if self.last_port == u16::MAX {
                49_152
            } else {
                self.last_port + 1
            };
            address.set_port(self.last_port);
            if self.host_at(address).is_none() {
                return address;
            }
        }
    }

    pub(super) fn host_at(&self, address: SocketAddr) -> Option<u64> {
        self.hosts
            .iter()
            .find(|(_, host)| host.address == address)
            .map(|(id, _)| *id)
    }

    pub(super) fn has_room(&self, host: u64) -> bool {
        self.hosts
            .get(&host)
            .is_some_and(|host| host.backlog.len() < BACKLOG_MAX)
    }

    pub(super) fn end(&mut self, wire: u64, side: usize) -> Option<&mut End> {
        self.wires.get_mut(&wire)?.ends.get_mut(side)
    }

    pub(super) fn queue(&mut self, host: u64, wire: u64) {
        if let Some(host) = self.hosts.get_mut(&host) {
            host.backlog.push_back(wire);
            host.incoming = true;
            host.arrived.notify_all();
        }
    }

    pub(super) fn tell(&mut self, host: u64, token: Token, what: impl FnOnce(&mut Told)) {
        if let Some(host) = self.hosts.get_mut(&host) {
            what(host.told.entry(token).or_default());
            host.arrived.notify_all();
        }
    }

    pub(super) fn tell_end_of(&mut self, wire: u64, side: usize, what: impl FnOnce(&mut Told)) {
        let Some(end) = self.end(wire, side) else { return };
        let (host, token) = (end.host, end.token);
        if let (false, Some(token)) = (end.dropped, token) {
            self.tell(host, token, what);
        }
    }

    pub(super) fn tell_readable(&mut self, wire: u64, side: usize) {
        self.tell_end_of(wire, side, |told| told.readable = true);
    }

    pub(super) fn tell_room(&mut self, wire: u64, side: usize) {
        let Some(end) = self.end(wire, side) else { return };
        if std::mem::take(&mut end.blocked) {
            self.tell_end_of(wire, side, |told| told.writable = true);
        }
    }

    pub(super) fn tell_end(&mut self, wire: u64, side: usize) {
        let Some(end) = self.end(wire, side) else { return };
        end.ended = true;
        self.tell_readable(wire, side);
    }

    pub(super) fn mark_blocked(&mut self, wire: u64, side: usize) {
        if let Some(end) = self.end(wire, side) {
            end.blocked = true;
        }
    }

    /// A reset: what is on the way is lost, both ends are told.
    pub(super) fn lose(&mut self, wire: u64) {
        for side in [CALLER, CALLEE] {
            let Some(end) = self.end(wire, side) else { return };
            end.lost = true;
            end.incoming = VecDeque::new();
            self.tell_readable(wire, side);
            self.tell_room(wire, side);
        }
    }

    /// One end is dropped; the wire goes with the second.
    pub(super) fn close(&mut self, wire: u64, side: usize) {
        let Some(end) = self.end(wire, side) else { return };
        end.dropped = true;
        end.incoming = VecDeque::new();
        let (host, token) = (end.host, end.token);
        if let (Some(host), Some(token)) = (self.hosts.get_mut(&host), token) {
            host.told.remove(&token);
        }
        if self.end(wire, other(side)).is_none_or(|end| end.dropped) {
            self.wires.remove(&wire);
            return;
        }
        self.tell_end(wire, other(side));
        self.tell_room(wire, other(side));
    }
}

impl Host {
    pub(super) fn new(address: SocketAddr, arrived: Arc<Condvar>) -> Self {
        Self {
            address,
            arrived,
            backlog: VecDeque::new(),
            incoming: false,
            woken: false,
            told: BTreeMap::new(),
        }
    }

    /// Moves what is ready to the caller; whether the wait is over.
    pub(super) fn take(&mut self, ready: &mut Vec<Ready>) -> bool {
        let woken = std::mem::take(&mut self.woken);
        if std::mem::take(&mut self.incoming) {
            ready.push(Ready::Incoming);
        }
        for (token, told) in std::mem::take(&mut self.told) {
            ready.extend(told.dialed.then_some(Ready::Dialed(token)));
            if let Some(why) = told.failed {
                ready.push(Ready::Failed(token, why));
                continue;
            }
            ready.extend(told.readable.then_some(Ready::Readable(token)));
            ready.extend(told.writable.then_some(Ready::Writable(token)));
        }
        woken || !ready.is_empty()
    }
}

impl End {
    pub(super) fn new(peer_address: SocketAddr) -> Self {
        Self {
            host: 0,
            token: None,
            peer_address,
            incoming: VecDeque::new(),
            ended: false,
            lost: false,
            send_closed: false,
            blocked: false,
            dropped: false,
        }
    }

    /// Moves what has come into `buffer`; how much it was.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        while let Ok(more @ 1..) = self.incoming.read(&mut buffer[count..]) {
            count += more;
        }
        count
    }

    /// Takes as much of `slices` as there is room for; how much it was.
    pub(super) fn put(&mut self, slices: &[IoSlice<'_>], buffer_bytes: usize) -> usize {
        let before = self.incoming.len();
        for slice in slices {
            let room = buffer_bytes.saturating_sub(self.incoming.len());
            self.incoming.extend(&slice[..room.min(slice.len())]);
        }
        self.incoming.len() - before
    }
}
