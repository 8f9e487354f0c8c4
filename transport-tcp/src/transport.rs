//! Dialing, accepting, and waiting for readiness.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::{Accepted, Capabilities, Ready, Roster, Token, Transport, Waker};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::CAPABILITIES;
use crate::alarm::Alarm;
use crate::error::in_operation;
use crate::line::{Again, Far, Line, TcpLink};
use crate::listener::Listener;
use crate::options::Options;

/// Readiness that is fetched from the system in one call.
const EVENTS_MAX: usize = 1024;

const LISTENER: mio::Token = mio::Token(usize::MAX);
const WAKER: mio::Token = mio::Token(usize::MAX - 1);
const ALARM: mio::Token = mio::Token(usize::MAX - 2);

/// Dials and accepts over TCP.
///
/// Tokens must fit the machine's word; the three greatest values are its own.
pub struct TcpTransport {
    roster: Roster,
    options: Options,
    poll: Poll,
    events: Events,
    listener: Listener,
    waker: Waker,
    alarm: Alarm,
    lines: BTreeMap<mio::Token, Weak<Line>>,
    /// How many lines there may be before dropped ones are swept out.
    sweep_at: usize,
    again: Again,
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
        let mut listener = Listener::bind(*address, &options)?;
        let poll = Poll::new().map_err(|e| in_operation("create the event queue", e))?;
        poll.registry()
            .register(&mut listener.socket, LISTENER, Interest::READABLE)?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        // It fails only when the queue is gone, and with it who waits.
        let waker = Waker::new(move || drop(waker.wake()));
        let alarm = Alarm::new(poll.registry(), ALARM);
        Ok(Self {
            roster,
            options,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            listener,
            waker,
            alarm,
            lines: BTreeMap::new(),
            sweep_at: 64,
            again: Again::default(),
            refused: 0,
        })
    }

    /// Takes a connected or connecting stream into the readiness of this transport.
    fn adopt(&mut self, mut stream: TcpStream, token: Token, far: Far) -> io::Result<TcpLink> {
        let name = self.name(token)?;
        self.poll
            .registry()
            .register(&mut stream, name, Interest::READABLE | Interest::WRITABLE)?;
        let line = Arc::new(Line::new(stream, token, far, self.again.clone()));
        if self.lines.len() >= self.sweep_at {
            self.lines.retain(|_, line| line.strong_count() > 0);
            self.sweep_at = 64 + 2 * self.lines.len();
        }
        self.lines.insert(name, Arc::downgrade(&line));
        Ok(TcpLink(line))
    }

    fn name(&self, token: Token) -> io::Result<mio::Token> {
        let name = usize::try_from(token.0).ok().map(mio::Token);
        let Some(name) = name.filter(|name| *name < ALARM) else {
            let text = format!("token {} is greater than {}", token.0, ALARM.0 - 1);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        if self.lines.get(&name).is_some_and(|line| line.strong_count() > 0) {
            let text = format!("token {} already names a link", token.0);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(name)
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
            _ => Ok(TcpStream::from_std(StdStream::from(socket))),
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
        let link = stream.and_then(|stream| {
            self.adopt(
                stream,
                token,
                Far {
                    node: peer,
                    address,
                    dialing: true,
                },
            )
        });
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
            self.listener.leave();
            let adopt = |transport: &mut Self| {
                transport.options.apply(&SockRef::from(&stream))?;
                transport.adopt(
                    stream,
                    token,
                    Far {
                        node,
                        address,
                        dialing: false,
                    },
                )
            };
            let link = adopt(self);
            let link = link.map_err(|e| in_operation(format_args!("accept node {node} at {address}"), e))?;
            return Ok(Some(Accepted { node, link }));
        }
        self.listener.leave();
        Ok(None)
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        for token in self.again.take() {
            let name = usize::try_from(token.0).map(mio::Token).unwrap_or(WAKER);
            if self.lines.get(&name).is_some_and(|line| line.strong_count() > 0) {
                ready.push(Ready::Readable(token));
            }
        }
        let timeout = if ready.is_empty() {
            self.listener.patience(timeout)
        } else {
            Some(Duration::ZERO)
        };
        let timeout = self.alarm.cover(timeout);
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            outcome => outcome.map_err(|e| in_operation("wait for readiness", e))?,
        }
        let mut incoming = self.listener.is_due();
        for event in &self.events {
            match event.token() {
                LISTENER => incoming = true,
                WAKER => {}
                ALARM => self.alarm.told(),
                name => {
                    if let Some(line) = self.lines.get(&name).and_then(Weak::upgrade) {
                        line.tell(event, ready);
                    }
                }
            }
        }
        ready.extend(incoming.then_some(Ready::Incoming));
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
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
