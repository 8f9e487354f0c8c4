//! Dialing, accepting, and waiting for readiness.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::sockets::{FarEnd, Queue};
use dlmwire_transport::{Accepted, Capabilities, Ready, Roster, Token, Transport, Waker};
use socket2::{Domain, Socket};

use crate::CAPABILITIES;
use crate::error::in_operation;
use crate::event::LinkEvents;
use crate::line::{Line, SctpLink, Shared, drain};
use crate::listener::Listener;
use crate::options::Options;
use crate::socket;

/// Dials and accepts over the kernel's SCTP.
///
/// Tokens are at most [`TOKEN_MAX`](dlmwire_transport::sockets::TOKEN_MAX).
pub struct SctpTransport {
    roster: Roster,
    options: Options,
    listener: Listener,
    queue: Queue<Line>,
    shared: Shared,
    /// How often each node was dialed: the next dial goes to its next address.
    dials: BTreeMap<NodeId, usize>,
    refused: u64,
}

impl SctpTransport {
    /// Listens on all local addresses of `roster`, with the port of the first; 0 lets the system choose one for all.
    ///
    /// # Errors
    ///
    /// `Unsupported`, holding [`Unavailable`](crate::Unavailable), where there is no SCTP; `InvalidInput`, holding
    /// [`OptionError`](crate::OptionError); else what the system says about an address or an option, with the
    /// operation and the value.
    pub fn bind(roster: Roster, options: Options) -> io::Result<Self> {
        options
            .check()
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let listener = Listener::bind(roster.local(), &options)?;
        let queue = Queue::new(&listener.socket)?;
        let shared = Shared {
            again: queue.again(),
            interests: queue.interests()?,
            events: LinkEvents::default(),
        };
        Ok(Self {
            roster,
            options,
            listener,
            queue,
            shared,
            dials: BTreeMap::new(),
            refused: 0,
        })
    }

    /// What SCTP says of links and their paths; also after the transport has been given away.
    pub fn events(&self) -> LinkEvents {
        self.shared.events.clone()
    }

    /// Takes a connected or connecting socket into the readiness of this transport.
    fn adopt(&mut self, socket: Socket, far: FarEnd) -> io::Result<SctpLink> {
        let token = far.token();
        let primary = self.options.primary.get(&far.node()).copied();
        let line = Arc::new(Line::new(socket, far, primary, self.shared.clone()));
        self.queue.adopt(token, line.interest(), &line)?;
        Ok(SctpLink::new(line))
    }

    /// The addresses of a node in the order in which this dial uses them: one further at each attempt, as kernels do.
    fn rotated(&mut self, peer: NodeId) -> Option<Vec<SocketAddr>> {
        let mut addresses = self.roster.peer(peer)?.to_vec();
        let dials = self.dials.entry(peer).or_default();
        let first = *dials % addresses.len();
        *dials = dials.wrapping_add(1);
        addresses.rotate_left(first);
        Some(addresses)
    }

    /// A socket that is connecting from all our addresses (spec: lowcomms 10).
    fn connect(&self, peer: &[SocketAddr]) -> io::Result<Socket> {
        let socket = socket::open(Domain::for_address(self.listener.address))?;
        socket::set(&socket, &self.options)?;
        let mut sources = self.roster.local().to_vec();
        sources.iter_mut().for_each(|source| source.set_port(0));
        socket::bind_all(&socket, &sources)?;
        socket::connect(&socket, peer)?;
        Ok(socket)
    }
}

impl Transport for SctpTransport {
    type Link = SctpLink;

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<SctpLink> {
        let Some(mut addresses) = self.rotated(peer) else {
            let text = format!("connect to node {peer}: not configured");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        let address = addresses[0];
        if !self.options.connectx {
            addresses.truncate(1);
        }
        let socket = self.connect(&addresses);
        let link = socket.and_then(|socket| self.adopt(socket, FarEnd::dialed(token, peer, address)));
        link.map_err(|e| in_operation(format_args!("connect to node {peer} at {address}"), e))
    }

    /// As [`Transport::accept`]. Who it is, the peer's primary address says, the one that it talks from: any
    /// configured address of a node will do, and what becomes primary later changes nothing (spec: lowcomms 10).
    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<SctpLink>>> {
        for _ in 0..self.options.strangers_max.max(1) {
            let Some((socket, address)) = self.listener.accept()? else {
                return Ok(None);
            };
            let Some(node) = self.roster.peer_at(address.ip()) else {
                self.refused = self.refused.saturating_add(1);
                // It may be a kernel that is not configured yet, and that an ABORT would break.
                drain(&socket);
                continue;
            };
            let link = socket::set_accepted(&socket, &self.options)
                .and_then(|()| self.adopt(socket, FarEnd::accepted(token, node, address)))
                .map_err(|e| in_operation(format_args!("accept node {node} at {address}"), e))?;
            return Ok(Some(Accepted { node, link }));
        }
        Ok(None)
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        self.queue.wait(&mut self.listener.waiting, ready, timeout)
    }

    fn waker(&self) -> Waker {
        self.queue.waker()
    }

    fn set_roster(&mut self, roster: Roster) {
        self.dials.retain(|node, _| roster.peer(*node).is_some());
        self.roster = roster;
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn local_address(&self) -> SocketAddr {
        self.listener.address
    }
}

impl fmt::Debug for SctpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("SctpTransport");
        text.field("node", &self.roster.node())
            .field("address", &self.listener.address);
        text.field("refused", &self.refused).finish_non_exhaustive()
    }
}
