//! One way through the proxy: where it listens, whom it dials, from which address.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::str::FromStr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

/// How many dials the system keeps for a route that is busy.
const BACKLOG: i32 = 128;

/// How long a route waits before it tries again what the system has refused.
const RETRY: Duration = Duration::from_millis(100);

/// One way through the proxy. Read from text: `LISTEN=TO[,FROM]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Whom it dials for each connection that it accepts.
    pub to: SocketAddr,
    /// From where it dials.
    pub from: Source,
}

/// The address from which the proxy dials: by this the node at the other end knows who is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Whichever the system chooses.
    #[default]
    Any,
    /// The one from which the proxy was dialled; it has to be one of this host.
    Client,
    /// This one of this host.
    Address(IpAddr),
}

impl Route {
    /// A socket on its way to the server.
    pub(super) fn dial(&self, client: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if let Some(from) = self.from.address(client) {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&self.to.into()) {
            Ok(()) => {}
            Err(error) if in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        socket.set_tcp_nodelay(true)?;
        Ok(TcpStream::from_std(StdStream::from(socket)))
    }

    /// Whether the system lets the proxy dial from the address that it is to dial from.
    pub(super) fn try_from_address(&self) -> io::Result<()> {
        let Source::Address(from) = self.from else {
            return Ok(());
        };
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(from, 0).into())
    }

    fn listener(&self) -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(self.listen),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        // The port is taken again while old connections are still fading.
        socket.set_reuse_address(true)?;
        socket.bind(&self.listen.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from_std(socket.into()))
    }
}

impl Source {
    fn address(self, client: SocketAddr) -> Option<IpAddr> {
        match self {
            Self::Any => None,
            Self::Client => Some(client.ip()),
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.listen, self.to)?;
        match self.from {
            Source::Any => Ok(()),
            Source::Client => f.write_str(",client"),
            Source::Address(address) => write!(f, ",{address}"),
        }
    }
}

impl FromStr for Route {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (listen, rest) = text.split_once('=').ok_or(RouteError::NoTarget)?;
        let (to, from) = match rest.split_once(',') {
            Some((to, from)) => (to, from.parse()?),
            None => (rest, Source::Any),
        };
        let address = |text: &str| text.parse().map_err(|_| RouteError::Address(text.to_owned()));
        Ok(Self {
            listen: address(listen)?,
            to: address(to)?,
            from,
        })
    }
}

impl FromStr for Source {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "any" => Ok(Self::Any),
            "client" => Ok(Self::Client),
            text => match text.parse() {
                Ok(address) => Ok(Self::Address(address)),
                Err(_) => Err(RouteError::Source(text.to_owned())),
            },
        }
    }
}

/// Why a route cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// There is no `=`.
    NoTarget,
    /// Not an address with a port.
    Address(String),
    /// Not an address, nor one of the words.
    Source(String),
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTarget => f.write_str("not LISTEN=TO[,FROM]"),
            Self::Address(text) => write!(f, "`{text}` is not ADDRESS:PORT"),
            Self::Source(text) => write!(f, "`{text}` is not an address, client or any"),
        }
    }
}

impl std::error::Error for RouteError {}

/// A route at work.
pub(super) struct Door {
    pub(super) route: Route,
    listener: Option<TcpListener>,
    /// When to listen again, or to go on accepting.
    pub(super) retry: Option<Instant>,
    /// Somebody may be waiting to be accepted.
    pub(super) knocked: bool,
    /// Connections accepted so far.
    pub(super) count: u64,
}

impl Door {
    /// Listens. Where the system chose the port, it stays the same from then on.
    pub(super) fn open(mut route: Route) -> io::Result<Self> {
        let listener = route.listener()?;
        route.listen = listener.local_addr()?;
        Ok(Self {
            route,
            listener: Some(listener),
            retry: None,
            knocked: false,
            count: 0,
        })
    }

    /// The listener, to be registered after [`open`](Self::open).
    pub(super) fn listener(&mut self) -> Option<&mut TcpListener> {
        self.listener.as_mut()
    }

    /// The next who waits.
    pub(super) fn accept(&mut self, now: Instant) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let Some(listener) = self
            .listener
            .as_ref()
            .filter(|_| self.knocked && self.retry.is_none())
        else {
            return Ok(None);
        };
        let accepted = loop {
            match listener.accept() {
                // Who has gone again is followed by others.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                accepted => break accepted,
            }
        };
        match accepted {
            Ok((stream, client)) => {
                self.count += 1;
                // It only costs time if the system cannot.
                let _ = stream.set_nodelay(true);
                Ok(Some((stream, client)))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.knocked = false;
                Ok(None)
            }
            Err(error) => {
                self.retry = Some(now + RETRY);
                Err(error)
            }
        }
    }

    /// Listens no more before this time.
    pub(super) fn close_until(&mut self, until: Instant) {
        self.listener = None;
        self.knocked = false;
        self.retry = Some(self.retry.map_or(until, |before| before.max(until)));
    }

    /// Listens again where the time for it has come, and has the new listener registered.
    pub(super) fn reopen(
        &mut self,
        now: Instant,
        register: impl FnOnce(&mut TcpListener) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.retry.is_none_or(|retry| now < retry) {
            return Ok(());
        }
        self.retry = None;
        if self.listener.is_some() {
            return Ok(());
        }
        let listener = self.route.listener().and_then(|mut listener| {
            register(&mut listener)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => {
                self.listener = Some(listener);
                Ok(())
            }
            Err(error) => {
                self.retry = Some(now + RETRY);
                Err(error)
            }
        }
    }
}

/// Whether a connection is being made: an error that stable Rust has no word for.
fn in_progress(error: &io::Error) -> bool {
    const EINPROGRESS: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        150
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        115
    } else {
        36 // macOS and the BSDs
    };
    error.raw_os_error() == Some(EINPROGRESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_and_shown_alike() {
        for text in [
            "127.0.0.2:31064=127.0.0.2:21064",
            "127.0.0.2:31064=127.0.0.2:21064,127.0.0.1",
            "[::1]:0=[::1]:21064,client",
        ] {
            assert_eq!(text.parse::<Route>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_routes_are_refused_by_value() {
        let rows = [
            ("127.0.0.1:1", "not LISTEN=TO[,FROM]"),
            ("127.0.0.1=127.0.0.1:1", "`127.0.0.1` is not ADDRESS:PORT"),
            ("127.0.0.1:1=host:1", "`host:1` is not ADDRESS:PORT"),
            (
                "127.0.0.1:1=127.0.0.1:2,me",
                "`me` is not an address, client or any",
            ),
        ];
        for (text, reason) in rows {
            assert_eq!(text.parse::<Route>().unwrap_err().to_string(), reason);
        }
    }
}
