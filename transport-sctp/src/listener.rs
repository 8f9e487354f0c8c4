//! The listening socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

use dlmwire_transport::sockets::Waiting;
use socket2::{Domain, Socket};

use crate::error::in_operation;
use crate::line::drain;
use crate::options::Options;
use crate::socket;

/// Associations that the system keeps for us.
const BACKLOG: i32 = 128;

/// A listener that is told once per change by the system, and so must remember what is not yet taken.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    /// The first of its addresses, with the port of all.
    pub(crate) address: SocketAddr,
    pub(crate) waiting: Waiting,
}

impl Listener {
    /// Listens on all these addresses.
    pub(crate) fn bind(addresses: &[SocketAddr], options: &Options) -> io::Result<Self> {
        let Some(first) = addresses.first() else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let bind = || {
            let socket = socket::open(Domain::for_address(*first))?;
            // An association that is still ending holds the port; a second listener is refused all the same.
            socket.set_reuse_address(true)?;
            socket::set(&socket, options)?;
            let address = socket::bind_all(&socket, addresses)?;
            socket::listen(&socket, BACKLOG)?;
            Ok((socket, address))
        };
        let (socket, address) = bind().map_err(|e| in_operation(format_args!("listen on {first}"), e))?;
        Ok(Self {
            socket,
            address,
            waiting: Waiting::default(),
        })
    }

    /// Takes the next association and its primary address at the peer; `None` if there is none.
    ///
    /// One that the peer gave up meanwhile counts as none taken: another try follows at the next wait.
    pub(crate) fn accept(&mut self) -> io::Result<Option<(Socket, SocketAddr)>> {
        let taken = self.waiting.note(self.socket.accept());
        let taken = taken.map_err(|e| in_operation(format_args!("accept on {}", self.address), e))?;
        let Some((socket, address)) = taken else {
            return Ok(None);
        };
        socket.set_nonblocking(true)?;
        let Some(address) = address.as_socket() else {
            drain(&socket);
            return Ok(None);
        };
        Ok(Some((socket, canonical(address))))
    }
}

/// The same address with an IPv4-mapped one unwrapped; an IPv6 scope is kept.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, address.port())),
        IpAddr::V6(_) => address,
    }
}
