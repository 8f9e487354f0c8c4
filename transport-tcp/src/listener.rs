//! The listening socket.

use std::io;
use std::net::{SocketAddr, TcpStream};

use dlmwire_transport::sockets::{Waiting, in_operation};
use mio::net::TcpListener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::options::Options;

/// Connections that the system keeps for us, as kernels since 6.12 ask for.
const BACKLOG: i32 = 128;

/// A listener that is told once per change by the system, and so must remember what is not yet taken.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) waiting: Waiting,
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let bind = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            options.apply(&SockRef::from(&socket))?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(TcpListener::from_std(socket.into()))
        };
        let socket = bind().map_err(|e| in_operation(format_args!("listen on {address}"), e))?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            waiting: Waiting::default(),
        })
    }

    /// Takes the next connection; `None` if there is none.
    ///
    /// A connection that the caller gave up meanwhile counts as none taken: another try follows at the next wait.
    pub(crate) fn accept(&mut self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let taken = self.waiting.note(self.socket.accept());
        let taken = taken.map_err(|e| in_operation(format_args!("accept on {}", self.address), e))?;
        Ok(taken.map(|(stream, address)| (stream.into(), address)))
    }
}
