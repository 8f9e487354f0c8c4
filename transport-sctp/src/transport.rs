//! Dialing, accepting, and waiting for readiness.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::{Accepted, Capabilities, Ready, Roster, Token, Transport, Waker};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use socket2::{Domain, Socket};

use crate::CAPABILITIES;
use crate::error::in_operation;
use crate::event::LinkEvents;
use crate::line::{Again, Far, Line, SctpLink, drain};
use crate::listener::Listener;
use crate::options::Options;
use crate::socket;

/// Readiness that is fetched from the system in one call.
const EVENTS_MAX: usize = 1024;

const LISTENER: mio::Token = mio::Token(usize::MAX);
const WAKER: mio::Token = mio::Token(usize::MAX - 1);

/// Dials and accepts over the kernel's SCTP.
///
/// Tokens must fit the machine's word; the two greatest values are its own.
pub struct SctpTransport {
    roster: Roster,
    options: Options,
    poll: Poll,
    readiness: Events,
    listener: Listener,
    waker: Waker,
    lines: HashMap<mio::Token, Weak<Line>>,
    /// How many lines there may be before dropped ones are swept out.
    sweep_at: usize,
    /// How often each node was dialed: the next dial goes to its next address.
    dials: BTreeMap<NodeId, usize>,
    again: Again,
    events: LinkEvents,
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
        let poll = Poll::new().map_err(|e| in_operation("create the event queue", e))?;
        poll.registry().register(
            &mut SourceFd(&listener.descriptor()),
            LISTENER,
            Interest::READABLE,
        )?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        // It fails only when the queue is gone, and with it who waits.
        let waker = Waker::new(move || drop(waker.wake()));
        Ok(Self {
            roster,
            options,
            poll,
            readiness: Events::with_capacity(EVENTS_MAX),
            listener,
            waker,
            lines: HashMap::new(),
            sweep_at: 64,
            dials: BTreeMap::new(),
            again: Again::default(),
            events: LinkEvents::default(),
            refused: 0,
        })
    }

    /// What SCTP says of links and their paths; also after the transport has been given away.
    pub fn events(&self) -> LinkEvents {
        self.events.clone()
    }

    /// Takes a connected or connecting socket into the readiness of this transport.
    fn adopt(&mut self, socket: Socket, token: Token, far: Far) -> io::Result<SctpLink> {
        let name = self.name(token)?;
        let line = Line::new(socket, token, far, self.again.clone(), self.events.clone());
        let line = Arc::new(line);
        let descriptor: RawFd = line.descriptor();
        self.poll.registry().register(
            &mut SourceFd(&descriptor),
            name,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        if self.lines.len() >= self.sweep_at {
            self.lines.retain(|_, line| line.strong_count() > 0);
            self.sweep_at = 64 + 2 * self.lines.len();
        }
        self.lines.insert(name, Arc::downgrade(&line));
        Ok(SctpLink::new(line))
    }

    fn name(&self, token: Token) -> io::Result<mio::Token> {
        let name = usize::try_from(token.0).ok().map(mio::Token);
        let Some(name) = name.filter(|name| *name < WAKER) else {
            let text = format!("token {} is greater than {}", token.0, WAKER.0 - 1);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        if self.lines.get(&name).is_some_and(|line| line.strong_count() > 0) {
            let text = format!("token {} already names a link", token.0);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(name)
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
        let far = Far {
            node: peer,
            address,
            primary: self.options.primary.get(&peer).copied(),
            dialing: true,
        };
        let socket = self.connect(&addresses);
        let link = socket.and_then(|socket| self.adopt(socket, token, far));
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
            self.listener.leave();
            let far = Far {
                node,
                address,
                primary: self.options.primary.get(&node).copied(),
                dialing: false,
            };
            let link = socket::set_accepted(&socket, &self.options)
                .and_then(|()| self.adopt(socket, token, far))
                .map_err(|e| in_operation(format_args!("accept node {node} at {address}"), e))?;
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
        match self.poll.poll(&mut self.readiness, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.readiness.clear(),
            outcome => outcome.map_err(|e| in_operation("wait for readiness", e))?,
        }
        let mut incoming = self.listener.is_due();
        for event in &self.readiness {
            match event.token() {
                LISTENER => incoming = true,
                WAKER => {}
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
