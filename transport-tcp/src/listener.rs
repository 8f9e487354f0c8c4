//! The listening socket, and when to tell that somebody waits there.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::error::in_operation;
use crate::options::Options;

/// Connections that the system keeps for us, as kernels since 6.12 ask for.
const BACKLOG: i32 = 128;

/// How long a listener that gave an error, for example for want of descriptors, is left alone.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener that is told once per change by the system, and so must remember what is not yet taken.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
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
            waiting: Waiting::Nobody,
        })
    }

    /// Takes the next connection; `None` if there is none.
    ///
    /// A connection that the caller gave up meanwhile counts as none taken: another try follows at the next wait.
    pub(crate) fn accept(&mut self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        match self.socket.accept() {
            Ok(taken) => Ok(Some(taken)),
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
