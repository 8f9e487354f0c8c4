//! The transports that nodes can be measured over: the one place to add another.

use std::io;
use std::net::SocketAddr;

use dlmwire_codec::NodeId;
#[cfg(not(all(feature = "tcp", feature = "sctp")))]
use dlmwire_node::config;
#[cfg(any(feature = "tcp", feature = "sctp"))]
use dlmwire_transport::Transport;
use dlmwire_transport::{MemoryNet, MemoryTransport, Roster, RosterError};

#[cfg(not(all(feature = "tcp", feature = "sctp")))]
use crate::cli::carrier::not_built_in;

/// What carries the frames.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub(crate) enum Carrier {
    /// Links in memory, no operating system
    Mem,
    /// TCP over loopback
    Tcp,
    /// SCTP over loopback
    Sctp,
}

impl Carrier {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mem => "mem",
            Self::Tcp => "tcp",
            Self::Sctp => "sctp",
        }
    }

    /// Why it cannot be measured here; `None` if it can.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Mem => None,
            #[cfg(feature = "tcp")]
            Self::Tcp => tcp(2, None).err().map(|error| error.to_string()),
            #[cfg(feature = "sctp")]
            Self::Sctp => sctp(2).err().map(|error| error.to_string()),
            #[cfg(not(feature = "tcp"))]
            Self::Tcp => Some(not_built_in(config::Carrier::Tcp).to_string()),
            #[cfg(not(feature = "sctp"))]
            Self::Sctp => Some(not_built_in(config::Carrier::Sctp).to_string()),
        }
    }
}

/// A roster of `of` nodes seen by `node`, from the addresses of all.
fn roster(node: usize, addresses: &[SocketAddr]) -> Result<Roster, RosterError> {
    let id = |at: usize| u32::try_from(at + 1).ok().and_then(NodeId::new);
    let peers = addresses.iter().enumerate().filter(|(at, _)| *at != node);
    let peers = peers.filter_map(|(at, address)| Some((id(at)?, vec![*address])));
    let own = addresses.get(node).copied().into_iter().collect();
    Roster::new(
        id(node).unwrap_or_else(|| unreachable!("nodes are counted from 1")),
        own,
        peers,
    )
}

/// Addresses of the loopback net that nobody else is likely to use, with any port.
fn addresses(of: usize) -> Vec<SocketAddr> {
    (1..=of)
        .map(|node| {
            let [.., high, low] = node.to_be_bytes();
            SocketAddr::from(([127, 99, high, low], 0))
        })
        .collect()
}

/// Transports in memory for nodes 1 to `of`.
pub(super) fn memory(of: usize) -> io::Result<Vec<MemoryTransport>> {
    let net = MemoryNet::with_buffer_bytes(MEMORY_LINK_BYTES);
    let mut addresses = addresses(of);
    for address in &mut addresses {
        address.set_port(21064);
    }
    (0..of)
        .map(|node| net.transport(roster(node, &addresses).map_err(io::Error::other)?))
        .collect()
}

/// What a direction of a link in memory holds: about what a socket does.
const MEMORY_LINK_BYTES: usize = 1 << 20;

/// Transports over TCP for nodes 1 to `of`, on free ports.
#[cfg(feature = "tcp")]
pub(super) fn tcp(of: usize, congestion: Option<&str>) -> io::Result<Vec<dlmwire_tcp::TcpTransport>> {
    let options = dlmwire_tcp::Options {
        congestion: congestion.map(str::to_owned),
        ..Default::default()
    };
    on_loopback(of, |roster| {
        dlmwire_tcp::TcpTransport::bind(roster, options.clone())
    })
}

/// Transports over SCTP for nodes 1 to `of`, on free ports.
#[cfg(feature = "sctp")]
pub(super) fn sctp(of: usize) -> io::Result<Vec<dlmwire_sctp::SctpTransport>> {
    let options = dlmwire_sctp::Options::default();
    on_loopback(of, |roster| {
        dlmwire_sctp::SctpTransport::bind(roster, options.clone())
    })
}

#[cfg(any(feature = "tcp", feature = "sctp"))]
fn on_loopback<T: Transport>(of: usize, bind: impl Fn(Roster) -> io::Result<T>) -> io::Result<Vec<T>> {
    let mut addresses = addresses(of);
    let mut transports = Vec::with_capacity(of);
    for node in 0..of {
        let alone = roster(node, &addresses).map_err(io::Error::other)?;
        transports.push(bind(alone)?);
    }
    for (address, transport) in addresses.iter_mut().zip(&transports) {
        *address = transport.local_address();
    }
    for (node, transport) in transports.iter_mut().enumerate() {
        transport.set_roster(roster(node, &addresses).map_err(io::Error::other)?);
    }
    Ok(transports)
}
