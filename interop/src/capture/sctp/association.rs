//! An association: both ends, their addresses and streams.

use std::net::IpAddr;

use super::chunks::Init;
use super::stream::Stream;
use super::{Packet, Tag};
use crate::capture::deframe::Dialect;
use crate::capture::event::{Begun, Event, LinkId, Side};
use crate::capture::layers::Address;
use crate::capture::reassembly::Outlet;
use crate::capture::stats::SctpStats;
use crate::capture::tcp::Flow;

/// More addresses than any node has.
const ADDRESSES_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Association {
    pub(super) flow: Flow,
    pub(super) state: State,
    pub(super) begun: Begun,
    pub(super) ports: [u16; 2],
    /// The tag that each side chose.
    pub(super) tags: [Option<u32>; 2],
    pub(super) addresses: [Vec<IpAddr>; 2],
    /// Where the last packet of each side came from and went to.
    pub(super) paths: [Option<Path>; 2],
    pub(super) streams: [Stream; 2],
}

pub(super) type Path = (Address, Address);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Opening,
    Up(LinkId),
    /// It was aborted; what was under way may still come.
    Lingering(LinkId),
}

impl Association {
    pub(super) fn new(packet: Packet<'_, '_>, from_a: bool, begun: Begun) -> Self {
        let (source, destination) = (packet.source(), packet.destination());
        let [a, b] = if from_a {
            [source, destination]
        } else {
            [destination, source]
        };
        Self {
            flow: Flow::of(packet.datagram, packet.ports).0,
            state: State::Opening,
            begun,
            ports: [a.port(), b.port()],
            tags: [None; 2],
            addresses: [vec![a.ip()], vec![b.ip()]],
            paths: [None; 2],
            streams: [Stream::new(), Stream::new()],
        }
    }

    pub(super) fn tag(&self, owner: Side) -> Option<Tag> {
        let (owner_port, other_port) = (self.ports[owner.index()], self.ports[owner.other().index()]);
        self.tags[owner.index()].map(|tag| Tag {
            tag,
            owner_port,
            other_port,
        })
    }

    #[inline]
    pub(super) fn dialect(&self) -> Dialect {
        let [a, b] = &self.streams;
        a.dialect().max(b.dialect())
    }

    #[inline]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.streams.iter().map(Stream::waiting_bytes).sum()
    }

    pub(super) const fn lacks_tag(&self, owner: Side) -> bool {
        self.tags[owner.index()].is_none()
    }

    /// Takes the addresses that a side lists in its INIT or INIT ACK.
    pub(super) fn list(&mut self, side: Side, init: &Init<'_>, counts: &mut SctpStats) {
        let addresses = &mut self.addresses[side.index()];
        for address in init.addresses() {
            if addresses.contains(&address) {
                continue;
            }
            if addresses.len() < ADDRESSES_MAX {
                addresses.push(address);
            } else {
                counts.addresses_ignored += 1;
            }
        }
    }

    /// Takes an address that a packet shows.
    #[cold]
    pub(super) fn learn(&mut self, side: Side, address: IpAddr, out: &mut Outlet<'_>) {
        let addresses = &mut self.addresses[side.index()];
        if addresses.contains(&address) {
            return;
        }
        if addresses.len() >= ADDRESSES_MAX {
            out.stats.sctp.addresses_ignored += 1;
            return;
        }
        addresses.push(address);
        if let State::Up(link) = self.state {
            out.emit(Event::AddressAdded { link, side, address });
        }
    }
}
