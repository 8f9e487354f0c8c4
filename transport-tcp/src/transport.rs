//! Dialing, accepting, and waiting for readiness.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::sockets::{FarEnd, Interest, Queue, in_operation};
use dlmwire_transport::{Accepted, Capabilities, Ready, Roster, Token, Transport, Waker};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::CAPABILITIES;
use crate::line::{Line, TcpLink};
use crate::listener::Listener;
use crate::options::Options;

/// Dials and accepts over TCP.
///
/// Tokens are at most [`TOKEN_MAX`](dlmwire_transport::sockets::TOKEN_MAX).
pub struct TcpTransport {
    roster: Roster,
    options: Options,
    listener: Listener,
    queue: Queue<Line>,
    refused: u64,
}

impl TcpTransport {
    /// Listens on the first local address of `roster`; port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// What the system says about the address or an option, with the operation and the value.
    pub fn bind(roster: Roster, options: Options) -> io::Result<Self> {
        let Some(address) = roster.local().first() else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let listener = Listener::bind(*address, &options)?;
        let queue = Queue::new(&listener.socket)?;
        Ok(Self {
            roster,
            options,
            listener,
            queue,
            refused: 0,
        })
    }

    /// Takes a connected or connecting stream into the readiness of this transport.
    fn adopt(&mut self, stream: TcpStream, far: FarEnd) -> io::Result<TcpLink> {
        let token = far.token();
        let line = Arc::new(Line::new(stream, far, self.queue.again()));
        self.queue
            .adopt(token, Interest::READABLE | Interest::WRITABLE, &line)?;
        Ok(TcpLink(line))
    }

    /// A socket that is connecting to `peer` from our address (spec: lowcomms 4).
    fn connect(&self, peer: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        self.options.apply(&SockRef::from(&socket))?;
        let mut source = self.listener.address;
        source.set_port(0);
        socket
            .bind(&source.into())
            .map_err(|e| in_operation(format_args!("bind to {source}"), e))?;
        match socket.connect(&peer.into()) {
            Err(e) if !is_in_progress(&e) => Err(e),
            _ => Ok(socket.into()),
        }
    }
}

impl Transport for TcpTransport {
    type Link = TcpLink;

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<TcpLink> {
        let Some(address) = self
            .roster
            .peer(peer)
            .and_then(|addresses| addresses.first())
            .copied()
        else {
            let text = format!("connect to node {peer}: not configured");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        let stream = self.connect(address);
        let link = stream.and_then(|stream| self.adopt(stream, FarEnd::dialed(token, peer, address)));
        link.map_err(|e| in_operation(format_args!("connect to node {peer} at {address}"), e))
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<TcpLink>>> {
        for _ in 0..self.options.strangers_max.max(1) {
            let Some((stream, address)) = self.listener.accept()? else {
                return Ok(None);
            };
            let Some(node) = self.roster.peer_at(address.ip()) else {
                self.refused = self.refused.saturating_add(1);
                continue;
            };
            let set = self.options.apply(&SockRef::from(&stream));
            let link = set.and_then(|()| self.adopt(stream, FarEnd::accepted(token, node, address)));
            let link = link.map_err(|e| in_operation(format_args!("accept node {node} at {address}"), e))?;
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
        self.roster = roster;
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn local_address(&self) -> SocketAddr {
        self.listener.address
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("TcpTransport");
        text.field("node", &self.roster.node())
            .field("address", &self.listener.address);
        text.field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// Whether a connect goes on in the background.
fn is_in_progress(error: &io::Error) -> bool {
    // The system's number, for which the standard library has no stable kind.
    const EINPROGRESS: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        150
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        115
    } else {
        36
    };
    error.raw_os_error() == Some(EINPROGRESS)
}
