//! The listening socket, and when to tell that somebody waits there.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket};

use crate::error::in_operation;
use crate::line::drain;
use crate::options::Options;
use crate::socket;

/// Associations that the system keeps for us.
const BACKLOG: i32 = 128;

/// How long a listener that gave an error, for example for want of descriptors, is left alone.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener that is told once per change by the system, and so must remember what is not yet taken.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    /// The first of its addresses, with the port of all.
    pub(crate) address: SocketAddr,
    waiting: Waiting,
}

#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// Nobody; the system will tell.
    Nobody,
    /// Perhaps somebody, of whom the system will not tell again.
    Perhaps,
    /// The same, but an error advises to pause until then.
    After(Instant),
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
            waiting: Waiting::Nobody,
        })
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Takes the next association and its primary address at the peer; `None` if there is none.
    ///
    /// One that the peer gave up meanwhile counts as none taken: another try follows at the next wait.
    pub(crate) fn accept(&mut self) -> io::Result<Option<(Socket, SocketAddr)>> {
        match self.socket.accept() {
            Ok((socket, address)) => {
                self.waiting = Waiting::Perhaps;
                socket.set_nonblocking(true)?;
                match address.as_socket() {
                    Some(address) => Ok(Some((socket, canonical(address)))),
                    None => {
                        drain(&socket);
                        Ok(None)
                    }
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.waiting = Waiting::Nobody;
                Ok(None)
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                ) =>
            {
                self.waiting = Waiting::Perhaps;
                Ok(None)
            }
            Err(e) => {
                self.waiting = Waiting::After(Instant::now() + PAUSE);
                Err(in_operation(format_args!("accept on {}", self.address), e))
            }
        }
    }

    /// Notes that somebody may still wait.
    pub(crate) fn leave(&mut self) {
        self.waiting = Waiting::Perhaps;
    }

    /// How long a wait may last, of `timeout`, so that nobody is kept waiting.
    pub(crate) fn patience(&self, timeout: Option<Duration>) -> Option<Duration> {
        let own = match self.waiting {
            Waiting::Nobody => return timeout,
            Waiting::Perhaps => Duration::ZERO,
            Waiting::After(then) => then.saturating_duration_since(Instant::now()),
        };
        Some(timeout.map_or(own, |timeout| timeout.min(own)))
    }

    /// Whether a wait that ends now must tell of somebody whom the system will not tell of again.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = match self.waiting {
            Waiting::Nobody => false,
            Waiting::Perhaps => true,
            Waiting::After(then) => then <= Instant::now(),
        };
        if due {
            self.waiting = Waiting::Nobody;
        }
        due
    }
}

/// The same address with an IPv4-mapped one unwrapped; an IPv6 scope is kept.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, address.port())),
        IpAddr::V6(_) => address,
    }
}
